//! FLUSH (MS-SMB2 2.2.17, 2.2.18).

use super::codec::{Reader, Result, Writer};
use crate::types::FileId;

/// MS-SMB2 2.2.17.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlushRequest {
    pub file_id: FileId,
}

impl FlushRequest {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "FLUSH request";
        let mut f = r.body::<24>(24, WHAT)?;
        f.skip(6, WHAT)?;
        Ok(FlushRequest { file_id: f.file_id(WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(24);
        w.zeros(6);
        w.file_id(self.file_id);
    }
}

empty_body! {
    /// MS-SMB2 2.2.18.
    FlushResponse = "FLUSH response";
}
