//! SET_INFO (MS-SMB2 2.2.39, 2.2.40).

use super::codec::{Reader, Result, Writer};
use super::query_info::InfoType;
use crate::types::FileId;

/// MS-SMB2 2.2.39.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetInfoRequest<'a> {
    pub info_type: InfoType,
    pub file_info_class: u8,
    /// [`super::query_info::SecurityInformation`].
    pub additional_information: u32,
    pub file_id: FileId,
    pub buffer: &'a [u8],
}

impl<'a> SetInfoRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "SET_INFO request";
        let mut f = r.body::<32>(33, WHAT)?;
        let (info_type, file_info_class) = (InfoType(f.u8(WHAT)?), f.u8(WHAT)?);
        let (length, offset) = (f.u32(WHAT)?, f.u16(WHAT)?);
        f.skip(2, WHAT)?;
        Ok(SetInfoRequest {
            info_type,
            file_info_class,
            additional_information: f.u32(WHAT)?,
            file_id: f.file_id(WHAT)?,
            buffer: r.buffer_at(offset, length, "SET_INFO buffer")?,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(33);
        w.u8(self.info_type.0);
        w.u8(self.file_info_class);
        w.u32(self.buffer.len() as u32);
        w.u16((at + 32) as u16);
        w.u16(0);
        w.u32(self.additional_information);
        w.file_id(self.file_id);
        w.bytes(self.buffer);
        // StructureSize counts one byte of the buffer.
        if self.buffer.is_empty() {
            w.u8(0);
        }
    }
}

/// MS-SMB2 2.2.40.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetInfoResponse;

impl SetInfoResponse {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.body::<2>(2, "SET_INFO response").map(|_| SetInfoResponse)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(2);
    }
}
