//! QUERY_DIRECTORY (MS-SMB2 2.2.33, 2.2.34).

use super::codec::{Reader, Result, Writer, utf16_len};
use super::fscc::FileInfoClass;
use crate::types::FileId;

bitflags::bitflags! {
    /// MS-SMB2 2.2.33 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct QueryDirectoryFlags: u8 {
        const RESTART_SCANS = 0x01;
        const RETURN_SINGLE_ENTRY = 0x02;
        const INDEX_SPECIFIED = 0x04;
        const REOPEN = 0x10;
        const _ = !0;
    }
}

/// What [`super::codec::DecodeError::what`] says when the pattern is not UTF-16.
pub const PATTERN: &str = "QUERY_DIRECTORY search pattern";

/// MS-SMB2 2.2.33.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueryDirectoryRequest {
    pub file_information_class: FileInfoClass,
    pub flags: QueryDirectoryFlags,
    pub file_index: u32,
    pub file_id: FileId,
    pub output_buffer_length: u32,
    /// The search pattern.
    pub file_name: String,
}

impl QueryDirectoryRequest {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "QUERY_DIRECTORY request";
        let mut f = r.body::<32>(33, WHAT)?;
        let mut out = QueryDirectoryRequest {
            file_information_class: FileInfoClass(f.u8(WHAT)?),
            flags: QueryDirectoryFlags::from_bits_retain(f.u8(WHAT)?),
            file_index: f.u32(WHAT)?,
            file_id: f.file_id(WHAT)?,
            ..QueryDirectoryRequest::default()
        };
        out.file_name = r.text_at(f.u16(WHAT)?, f.u16(WHAT)?, PATTERN)?;
        out.output_buffer_length = f.u32(WHAT)?;
        Ok(out)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(33);
        w.u8(self.file_information_class.0);
        w.u8(self.flags.bits());
        w.u32(self.file_index);
        w.file_id(self.file_id);
        w.u16((at + 32) as u16);
        w.u16(utf16_len(&self.file_name) as u16);
        w.u32(self.output_buffer_length);
        w.utf16(&self.file_name);
        // StructureSize counts one byte of the buffer.
        if self.file_name.is_empty() {
            w.u8(0);
        }
    }
}

output_buffer_body! {
    /// MS-SMB2 2.2.34.
    QueryDirectoryResponse = "QUERY_DIRECTORY response"
}
