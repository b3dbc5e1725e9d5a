//! CHANGE_NOTIFY (MS-SMB2 2.2.35, 2.2.36).

use super::codec::{Reader, Result, Writer};
use crate::types::FileId;

bitflags::bitflags! {
    /// MS-SMB2 2.2.35 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct ChangeNotifyFlags: u16 {
        const WATCH_TREE = 1;
        const _ = !0;
    }

    /// MS-SMB2 2.2.35 CompletionFilter.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct CompletionFilter: u32 {
        const FILE_NAME = 0x001;
        const DIR_NAME = 0x002;
        const ATTRIBUTES = 0x004;
        const SIZE = 0x008;
        const LAST_WRITE = 0x010;
        const LAST_ACCESS = 0x020;
        const CREATION = 0x040;
        const EA = 0x080;
        const SECURITY = 0x100;
        const STREAM_NAME = 0x200;
        const STREAM_SIZE = 0x400;
        const STREAM_WRITE = 0x800;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.35.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChangeNotifyRequest {
    pub flags: ChangeNotifyFlags,
    pub output_buffer_length: u32,
    pub file_id: FileId,
    pub completion_filter: CompletionFilter,
}

impl ChangeNotifyRequest {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "CHANGE_NOTIFY request";
        let mut f = r.body::<32>(32, WHAT)?;
        Ok(ChangeNotifyRequest {
            flags: ChangeNotifyFlags::from_bits_retain(f.u16(WHAT)?),
            output_buffer_length: f.u32(WHAT)?,
            file_id: f.file_id(WHAT)?,
            completion_filter: CompletionFilter::from_bits_retain(f.u32(WHAT)?),
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(32);
        w.u16(self.flags.bits());
        w.u32(self.output_buffer_length);
        w.file_id(self.file_id);
        w.u32(self.completion_filter.bits());
        w.u32(0);
    }
}

output_buffer_body! {
    /// MS-SMB2 2.2.36. The buffer holds FILE_NOTIFY_INFORMATION entries (MS-FSCC 2.7.1).
    ChangeNotifyResponse = "CHANGE_NOTIFY response"
}
