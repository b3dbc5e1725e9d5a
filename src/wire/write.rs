//! WRITE (MS-SMB2 2.2.21, 2.2.22).

use super::codec::{DecodeError, Reader, Result, Writer};
use super::rdma::Channel;
use crate::types::FileId;

bitflags::bitflags! {
    /// MS-SMB2 2.2.21 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct WriteFlags: u32 {
        const WRITE_THROUGH = 1;
        const UNBUFFERED = 2;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.21.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WriteRequest<'a> {
    pub offset: u64,
    pub file_id: FileId,
    pub channel: Channel,
    pub remaining_bytes: u32,
    /// WriteChannelInfo; read only when `channel` is one that has it.
    pub write_channel_info: &'a [u8],
    pub flags: WriteFlags,
    pub data: &'a [u8],
}

/// Bytes of the body before the buffer.
const FIXED: usize = 48;

/// The highest DataOffset that a server takes (MS-SMB2 3.3.5.13).
const MAX_DATA_OFFSET: u16 = 0x100;

impl<'a> WriteRequest<'a> {
    #[inline]
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "WRITE request";
        let mut f = r.body::<FIXED>(49, WHAT)?;
        let (data_offset, length) = (f.u16(WHAT)?, f.u32(WHAT)?);
        if data_offset > MAX_DATA_OFFSET {
            return Err(DecodeError::new("WRITE DataOffset"));
        }
        let data = r.buffer_at(data_offset, length, "WRITE data")?;
        let mut out = WriteRequest {
            offset: f.u64(WHAT)?,
            file_id: f.file_id(WHAT)?,
            channel: Channel(f.u32(WHAT)?),
            remaining_bytes: f.u32(WHAT)?,
            data,
            ..WriteRequest::default()
        };
        let (info_offset, info_length) = (f.u16(WHAT)?, f.u16(WHAT)?);
        if out.channel.has_info() {
            out.write_channel_info = r.buffer_at(info_offset, info_length, "WriteChannelInfo")?;
        }
        out.flags = WriteFlags::from_bits_retain(f.u32(WHAT)?);
        Ok(out)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        self.encode_prefix(w, self.data.len());
        w.bytes(self.data);
        // StructureSize counts one byte of the buffer.
        if self.data.is_empty() && self.write_channel_info.is_empty() {
            w.u8(0);
        }
    }

    /// All but the data: what is written next are its `length` bytes. With both data and channel info, the
    /// latter has at most 144 bytes, for DataOffset's sake.
    #[inline]
    pub fn encode_prefix(&self, w: &mut Writer<'_>, length: usize) {
        let info = self.write_channel_info;
        let at = w.pos();
        w.u16(49);
        // No data beside channel info: both fields are zero (MS-SMB2 3.2.4.7).
        w.u16(if length == 0 && !info.is_empty() { 0 } else { (at + FIXED + info.len()) as u16 });
        w.u32(length as u32);
        w.u64(self.offset);
        w.file_id(self.file_id);
        w.u32(self.channel.0);
        w.u32(self.remaining_bytes);
        w.u16(if info.is_empty() { 0 } else { (at + FIXED) as u16 });
        w.u16(info.len() as u16);
        w.u32(self.flags.bits());
        w.bytes(info);
    }
}

/// MS-SMB2 2.2.22.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WriteResponse {
    pub count: u32,
    pub remaining: u32,
}

impl WriteResponse {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "WRITE response";
        let mut f = r.body::<16>(17, WHAT)?;
        f.skip(2, WHAT)?;
        Ok(WriteResponse { count: f.u32(WHAT)?, remaining: f.u32(WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(17);
        w.u16(0);
        w.u32(self.count);
        w.u32(self.remaining);
        w.u32(0);
    }
}
