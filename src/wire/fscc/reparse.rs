//! Reparse data buffers (MS-FSCC 2.1.2).

use crate::types::{Guid, open_enum};
use crate::wire::codec::{DecodeError, Reader, Result, Writer, utf16_len};

open_enum! {
    /// MS-FSCC 2.1.2.1.
    pub struct ReparseTag(u32) {
        MOUNT_POINT = 0xA000_0003,
        SYMLINK = 0xA000_000C,
        LX_SYMLINK = 0xA000_001D,
        AF_UNIX = 0x8000_0023,
        LX_FIFO = 0x8000_0024,
        LX_CHR = 0x8000_0025,
        LX_BLK = 0x8000_0026,
        NFS = 0x8000_0014,
        DEDUP = 0x8000_0013,
        APPEXECLINK = 0x8000_001B,
    }
}

impl ReparseTag {
    /// A tag that Microsoft assigned; others carry a GUID.
    pub const fn is_microsoft(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }
}

/// A decoded reparse data buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reparse<'a> {
    /// 2.1.2.4.
    Symlink { substitute_name: String, print_name: String, relative: bool },
    /// 2.1.2.5.
    MountPoint { substitute_name: String, print_name: String },
    /// Made by WSL: a target in UTF-8.
    LxSymlink { target: &'a [u8] },
    /// Any other tag (2.1.2.2, 2.1.2.3): FIFO, socket, NFS, unknown.
    Other { tag: ReparseTag, guid: Option<Guid>, data: &'a [u8] },
}

/// The data of [`ReparseTag::NFS`] (2.1.2.6): what a Unix client made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NfsNode {
    Symlink { target: String },
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
    Socket,
}

impl NfsNode {
    const LNK: u64 = 0x014B_4E4C;
    const CHR: u64 = 0x0052_4843;
    const BLK: u64 = 0x004B_4C42;
    const FIFO: u64 = 0x4F46_4946;
    const SOCK: u64 = 0x4B43_4F53;

    pub fn decode(data: &[u8]) -> Result<NfsNode> {
        let mut r = Reader::new(data);
        let kind = r.u64("InodeType")?;
        Ok(match kind {
            NfsNode::LNK => NfsNode::Symlink { target: r.utf16(r.remaining(), "symlink target")? },
            NfsNode::CHR => NfsNode::Character { major: r.u32("major")?, minor: r.u32("minor")? },
            NfsNode::BLK => NfsNode::Block { major: r.u32("major")?, minor: r.u32("minor")? },
            NfsNode::FIFO => NfsNode::Fifo,
            NfsNode::SOCK => NfsNode::Socket,
            _ => return Err(DecodeError::new("InodeType")),
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        match self {
            NfsNode::Symlink { target } => {
                w.u64(NfsNode::LNK);
                w.utf16(target);
            }
            NfsNode::Character { major, minor } | NfsNode::Block { major, minor } => {
                let character = matches!(self, NfsNode::Character { .. });
                w.u64(if character { NfsNode::CHR } else { NfsNode::BLK });
                w.u32(*major);
                w.u32(*minor);
            }
            NfsNode::Fifo => w.u64(NfsNode::FIFO),
            NfsNode::Socket => w.u64(NfsNode::SOCK),
        }
    }
}

/// The largest buffer (MS-FSCC 2.1.2): more is STATUS_IO_REPARSE_DATA_INVALID.
pub const MAX_SIZE: usize = 16 * 1024;

/// The request of FSCTL_DELETE_REPARSE_POINT (2.3.6): a tag, a GUID where the tag is nobody's, and no data.
pub fn decode_deletion(bytes: &[u8]) -> Result<ReparseTag> {
    let mut r = Reader::new(bytes);
    let tag = ReparseTag(r.u32("ReparseTag")?);
    let len = r.u16("ReparseDataLength")?;
    r.skip(2, "Reserved")?;
    r.skip(if tag.is_microsoft() { 0 } else { 16 }, "ReparseGuid")?;
    if len != 0 || !r.is_empty() {
        return Err(DecodeError::new("ReparseDataLength"));
    }
    Ok(tag)
}

impl<'a> Reparse<'a> {
    /// Errors are answered with STATUS_IO_REPARSE_DATA_INVALID.
    pub fn decode(bytes: &'a [u8]) -> Result<Reparse<'a>> {
        if bytes.len() > MAX_SIZE {
            return Err(DecodeError::new("reparse data"));
        }
        let mut r = Reader::new(bytes);
        let tag = ReparseTag(r.u32("ReparseTag")?);
        let len = usize::from(r.u16("ReparseDataLength")?);
        r.skip(2, "Reserved")?;
        let guid = if tag.is_microsoft() { None } else { Some(Guid(r.array("ReparseGuid")?)) };
        let data = r.bytes(len, "ReparseDataLength")?;
        if !r.is_empty() {
            return Err(DecodeError::new("ReparseDataLength"));
        }
        Ok(match tag {
            ReparseTag::SYMLINK => {
                let (substitute_name, print_name, flags) = names(data, true)?;
                Reparse::Symlink { substitute_name, print_name, relative: flags & 1 != 0 }
            }
            ReparseTag::MOUNT_POINT => {
                let (substitute_name, print_name, _) = names(data, false)?;
                Reparse::MountPoint { substitute_name, print_name }
            }
            ReparseTag::LX_SYMLINK if data.len() > 4 && data[..4] == [2, 0, 0, 0] => {
                Reparse::LxSymlink { target: &data[4..] }
            }
            _ => Reparse::Other { tag, guid, data },
        })
    }

    pub fn tag(&self) -> ReparseTag {
        match self {
            Reparse::Symlink { .. } => ReparseTag::SYMLINK,
            Reparse::MountPoint { .. } => ReparseTag::MOUNT_POINT,
            Reparse::LxSymlink { .. } => ReparseTag::LX_SYMLINK,
            Reparse::Other { tag, .. } => *tag,
        }
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.tag().0);
        let at = w.pos();
        w.u32(0);
        if let Reparse::Other { guid: Some(guid), .. } = self {
            w.bytes(&guid.0);
        }
        let data = w.pos();
        match self {
            Reparse::Symlink { substitute_name, print_name, relative } => {
                put_names(w, substitute_name, print_name, Some(u32::from(*relative)));
            }
            Reparse::MountPoint { substitute_name, print_name } => {
                put_names(w, substitute_name, print_name, None);
            }
            Reparse::LxSymlink { target } => {
                w.u32(2);
                w.bytes(target);
            }
            Reparse::Other { data, .. } => w.bytes(data),
        }
        let len = w.pos() - data;
        w.patch_u16(at, len as u16);
    }
}

fn names(data: &[u8], flagged: bool) -> Result<(String, String, u32)> {
    let mut r = Reader::new(data);
    let mut range =
        || -> Result<(usize, usize)> { Ok((r.u16("name offset")?.into(), r.u16("name length")?.into())) };
    let (substitute, print) = (range()?, range()?);
    let flags = if flagged { r.u32("Flags")? } else { 0 };
    let path = Reader::new(r.rest());
    let name = |(offset, len)| {
        crate::wire::codec::decode_utf16(path.slice_at(offset, len, "PathBuffer")?, "PathBuffer")
    };
    Ok((name(substitute)?, name(print)?, flags))
}

/// The mount point's names end with a NUL each (2.1.2.5), the link's do not (2.1.2.4).
fn put_names(w: &mut Writer<'_>, substitute: &str, print: &str, flags: Option<u32>) {
    let nul = if flags.is_some() { 0 } else { 2 };
    let len = utf16_len(substitute);
    w.u16(0);
    w.u16(len as u16);
    w.u16((len + nul) as u16);
    w.u16(utf16_len(print) as u16);
    if let Some(flags) = flags {
        w.u32(flags);
    }
    w.utf16(substitute);
    w.zeros(nul);
    w.utf16(print);
    w.zeros(nul);
}
