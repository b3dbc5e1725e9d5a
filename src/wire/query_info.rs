//! QUERY_INFO (MS-SMB2 2.2.37, 2.2.38).

use super::codec::{Reader, Result, Writer};
use crate::types::FileId;

pub use super::dtyp::SecurityInformation;
pub use super::fscc::InfoType;

bitflags::bitflags! {
    /// MS-SMB2 2.2.37 Flags, for extended attributes.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct QueryInfoFlags: u32 {
        const RESTART_SCAN = 1;
        const RETURN_SINGLE_ENTRY = 2;
        const INDEX_SPECIFIED = 4;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.37.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueryInfoRequest<'a> {
    pub info_type: InfoType,
    pub file_info_class: u8,
    pub output_buffer_length: u32,
    /// [`SecurityInformation`], or the EA index.
    pub additional_information: u32,
    pub flags: QueryInfoFlags,
    pub file_id: FileId,
    pub input_buffer: &'a [u8],
}

impl<'a> QueryInfoRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "QUERY_INFO request";
        let mut f = r.body::<40>(41, WHAT)?;
        let (info_type, file_info_class) = (InfoType(f.u8(WHAT)?), f.u8(WHAT)?);
        let output_buffer_length = f.u32(WHAT)?;
        let offset = f.u16(WHAT)?;
        f.skip(2, WHAT)?;
        let input_buffer = r.buffer_at(offset, f.u32(WHAT)?, "QUERY_INFO input buffer")?;
        Ok(QueryInfoRequest {
            info_type,
            file_info_class,
            output_buffer_length,
            additional_information: f.u32(WHAT)?,
            flags: QueryInfoFlags::from_bits_retain(f.u32(WHAT)?),
            file_id: f.file_id(WHAT)?,
            input_buffer,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(41);
        w.u8(self.info_type.0);
        w.u8(self.file_info_class);
        w.u32(self.output_buffer_length);
        w.u16(if self.input_buffer.is_empty() { 0 } else { (at + 40) as u16 });
        w.u16(0);
        w.u32(self.input_buffer.len() as u32);
        w.u32(self.additional_information);
        w.u32(self.flags.bits());
        w.file_id(self.file_id);
        w.bytes(self.input_buffer);
        // StructureSize counts one byte of the buffer.
        if self.input_buffer.is_empty() {
            w.u8(0);
        }
    }
}

output_buffer_body! {
    /// MS-SMB2 2.2.38.
    QueryInfoResponse = "QUERY_INFO response"
}
