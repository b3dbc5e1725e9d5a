//! READ (MS-SMB2 2.2.19, 2.2.20).

use super::codec::{DecodeError, Mark, Reader, Result, Writer};
use super::rdma::Channel;
use crate::types::FileId;

bitflags::bitflags! {
    /// MS-SMB2 2.2.19 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct ReadFlags: u8 {
        const UNBUFFERED = 1;
        const REQUEST_COMPRESSED = 2;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.19.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadRequest<'a> {
    /// Where the client would like the data in the answer, from its header. A hint.
    pub padding: u8,
    pub flags: ReadFlags,
    pub length: u32,
    pub offset: u64,
    pub file_id: FileId,
    /// Fewer bytes than this at the end of the file are STATUS_END_OF_FILE.
    pub minimum_count: u32,
    pub channel: Channel,
    pub remaining_bytes: u32,
    /// ReadChannelInfo; read only when `channel` is one that has it.
    pub read_channel_info: &'a [u8],
}

impl<'a> ReadRequest<'a> {
    #[inline]
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "READ request";
        let mut f = r.body::<48>(49, WHAT)?;
        let mut out = ReadRequest {
            padding: f.u8(WHAT)?,
            flags: ReadFlags::from_bits_retain(f.u8(WHAT)?),
            length: f.u32(WHAT)?,
            offset: f.u64(WHAT)?,
            file_id: f.file_id(WHAT)?,
            minimum_count: f.u32(WHAT)?,
            channel: Channel(f.u32(WHAT)?),
            remaining_bytes: f.u32(WHAT)?,
            read_channel_info: &[],
        };
        if out.channel.has_info() {
            out.read_channel_info = r.buffer_at(f.u16(WHAT)?, f.u16(WHAT)?, "ReadChannelInfo")?;
        }
        Ok(out)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(49);
        w.u8(self.padding);
        w.u8(self.flags.bits());
        w.u32(self.length);
        w.u64(self.offset);
        w.file_id(self.file_id);
        w.u32(self.minimum_count);
        w.u32(self.channel.0);
        w.u32(self.remaining_bytes);
        if self.read_channel_info.is_empty() {
            w.u32(0);
            // StructureSize counts one byte of the buffer.
            w.u8(0);
        } else {
            w.u16((at + 48) as u16);
            w.u16(self.read_channel_info.len() as u16);
            w.bytes(self.read_channel_info);
        }
    }
}

/// MS-SMB2 2.2.20.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadResponse<'a> {
    pub data_remaining: u32,
    /// Flags of 3.1.1: 1, the buffer holds an RDMA transform. Reserved2 before.
    pub flags: u32,
    pub data: &'a [u8],
}

impl<'a> ReadResponse<'a> {
    /// Bytes of the body before the data.
    pub const PREFIX_LEN: usize = 16;
    /// Where the data stands, from the header, unless there is padding.
    pub const DATA_OFFSET: u8 = 80;

    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "READ response";
        let mut f = r.body::<16>(17, WHAT)?;
        let offset = f.u8(WHAT)?;
        f.skip(1, WHAT)?;
        let (length, data_remaining, flags) = (f.u32(WHAT)?, f.u32(WHAT)?, f.u32(WHAT)?);
        Ok(ReadResponse { data_remaining, flags, data: r.buffer_at(offset, length, "READ data")? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let body = ReadResponse::encode_prefix(w, ReadResponse::DATA_OFFSET);
        w.patch_u32(body.pos() + 8, self.data_remaining);
        w.patch_u32(body.pos() + 12, self.flags);
        w.bytes(self.data);
        ReadResponse::patch(w, body);
    }

    /// Writes the fixed part and zeros up to `data_offset` (from the header, at least 80). What is written
    /// next is the data. Returns the mark that `patch` takes.
    #[inline]
    pub fn encode_prefix(w: &mut Writer<'_>, data_offset: u8) -> Mark {
        let mark = w.mark();
        debug_assert!(usize::from(data_offset) >= mark.pos() + ReadResponse::PREFIX_LEN);
        w.u16(17);
        w.u8(data_offset);
        w.zeros(13);
        w.zeros(usize::from(data_offset).saturating_sub(w.pos()));
        mark
    }

    /// States that the data ends here.
    #[inline]
    pub fn patch(w: &mut Writer<'_>, body: Mark) {
        let data_offset = usize::from(w.written()[body.pos() + 2]);
        let length = w.pos() - data_offset;
        w.patch_u32(body.pos() + 4, length as u32);
    }

    /// The same on a finished message (from its header, alone or the first of it): states that `length`
    /// bytes of data follow the prefix.
    #[inline]
    pub fn patch_data_length(message: &mut [u8], length: u32) -> Result<()> {
        let field = message.get_mut(68..72).ok_or(DecodeError::new("READ response"))?;
        field.copy_from_slice(&length.to_le_bytes());
        Ok(())
    }
}
