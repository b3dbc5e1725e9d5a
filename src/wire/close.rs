//! CLOSE (MS-SMB2 2.2.15, 2.2.16).

use super::codec::{Reader, Result, Writer};
use super::fscc::file_info::FileStatus;
use crate::types::FileId;

bitflags::bitflags! {
    /// MS-SMB2 2.2.15 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct CloseFlags: u16 {
        /// The answer carries the file's attributes.
        const POSTQUERY_ATTRIB = 1;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.15.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CloseRequest {
    pub flags: CloseFlags,
    pub file_id: FileId,
}

impl CloseRequest {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "CLOSE request";
        let mut f = r.body::<24>(24, WHAT)?;
        let flags = CloseFlags::from_bits_retain(f.u16(WHAT)?);
        f.skip(4, WHAT)?;
        Ok(CloseRequest { flags, file_id: f.file_id(WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(24);
        w.u16(self.flags.bits());
        w.u32(0);
        w.file_id(self.file_id);
    }
}

/// MS-SMB2 2.2.16. All is zero unless `flags` has POSTQUERY_ATTRIB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CloseResponse {
    pub flags: CloseFlags,
    pub status: FileStatus,
}

impl CloseResponse {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "CLOSE response";
        let mut f = r.body::<60>(60, WHAT)?;
        let flags = CloseFlags::from_bits_retain(f.u16(WHAT)?);
        f.skip(4, WHAT)?;
        Ok(CloseResponse { flags, status: FileStatus::decode(&mut f)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(60);
        w.u16(self.flags.bits());
        w.u32(0);
        self.status.encode(w);
    }
}
