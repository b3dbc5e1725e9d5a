//! What is known of one file or directory.

use rustix::fs::{FileType, Statx, StatxAttributes, StatxTimestamp};

use super::Kind;
use super::dosattrib::DosAttrib;
use crate::types::{FileAttributes, FileTime, NodeKey};

/// Facts of one object at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub key: NodeKey,
    pub kind: Kind,
    /// Bytes; 0 for directories.
    pub size: u64,
    /// Bytes taken on disk (blocks of 512); 0 for directories.
    pub allocation: u64,
    /// From `user.DOSATTRIB`, else the birth time, else the oldest of the others.
    pub created: FileTime,
    pub accessed: FileTime,
    pub written: FileTime,
    pub changed: FileTime,
    /// The change time that the file system has, whatever clients are told: it moves with every change.
    pub version: FileTime,
    /// As the wire has them: never empty (`NORMAL`), `DIRECTORY` set for directories.
    pub attributes: FileAttributes,
    pub nlink: u32,
    /// Unix mode with type bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// The attributes that are kept on disk as the client set them. The others follow from what the file is.
pub(super) const KEPT: FileAttributes = FileAttributes::READONLY
    .union(FileAttributes::HIDDEN)
    .union(FileAttributes::SYSTEM)
    .union(FileAttributes::ARCHIVE)
    .union(FileAttributes::TEMPORARY)
    .union(FileAttributes::SPARSE_FILE)
    .union(FileAttributes::OFFLINE)
    .union(FileAttributes::NOT_CONTENT_INDEXED);

/// What a file has that nobody has given attributes.
pub(super) fn default_attributes(kind: Kind) -> FileAttributes {
    match kind {
        Kind::File => FileAttributes::ARCHIVE,
        _ => FileAttributes::empty(),
    }
}

pub fn key(stx: &Statx) -> NodeKey {
    // As the C library's makedev packs them.
    NodeKey { dev: rustix::fs::makedev(stx.stx_dev_major, stx.stx_dev_minor), ino: stx.stx_ino }
}

/// Which object a descriptor is of.
pub fn key_of(fd: impl std::os::fd::AsFd) -> rustix::io::Result<NodeKey> {
    Ok(key(&crate::sys::file::stat_fd(fd)?))
}

pub(super) fn kind(stx: &Statx) -> Kind {
    Kind::of(FileType::from_raw_mode(u32::from(stx.stx_mode)))
}

fn time(t: StatxTimestamp) -> FileTime {
    FileTime::from_unix(t.tv_sec, t.tv_nsec)
}

impl Stat {
    /// The same of one of its named streams: what has a size, and is no directory.
    pub(super) fn of_stream(mut self, size: u64) -> Stat {
        if self.kind == Kind::Directory {
            self.nlink = 1;
        }
        self.attributes.remove(FileAttributes::DIRECTORY | FileAttributes::NORMAL);
        if self.attributes.is_empty() {
            self.attributes = FileAttributes::NORMAL;
        }
        let allocation = super::stream_allocation(size);
        Stat { kind: Kind::File, size, allocation, ..self }
    }

    pub(super) fn new(stx: &Statx, dos: DosAttrib) -> Stat {
        let kind = kind(stx);
        let (accessed, written, changed) = (time(stx.stx_atime), time(stx.stx_mtime), time(stx.stx_ctime));
        let born = (stx.stx_mask & rustix::fs::StatxFlags::BTIME.bits() != 0 && stx.stx_btime.tv_sec != 0)
            .then(|| time(stx.stx_btime));
        let created = dos.created.or(born).unwrap_or_else(|| accessed.min(written).min(changed));
        let mut attributes = dos.attributes.unwrap_or(default_attributes(kind)) & KEPT;
        match kind {
            Kind::Directory => {
                attributes |= FileAttributes::DIRECTORY;
                attributes.remove(FileAttributes::TEMPORARY | FileAttributes::SPARSE_FILE);
            }
            Kind::Symlink | Kind::Special => attributes |= FileAttributes::REPARSE_POINT,
            Kind::File => {}
        }
        if stx.stx_attributes.contains(StatxAttributes::COMPRESSED) {
            attributes |= FileAttributes::COMPRESSED;
        }
        if attributes.is_empty() {
            attributes = FileAttributes::NORMAL;
        }
        let has_data = kind == Kind::File;
        Stat {
            key: key(stx),
            kind,
            size: if has_data { stx.stx_size } else { 0 },
            allocation: if has_data { stx.stx_blocks * 512 } else { 0 },
            created,
            accessed,
            written,
            changed,
            version: changed,
            attributes,
            nlink: stx.stx_nlink,
            mode: u32::from(stx.stx_mode),
            uid: stx.stx_uid,
            gid: stx.stx_gid,
        }
    }
}
