//! The classes that named pipes answer (MS-FSCC 2.4).

use super::Out;
use crate::cmd::Handled;
use crate::types::NtStatus;
use crate::wire::fscc::FileInfoClass;
use crate::wire::fscc::file_info::{PipeInfo, PipeLocalInfo, StandardInfo};
use crate::wire::fscc::set_info::SetFileInfo;

/// Bytes that a pipe holds each way.
const QUOTA: u32 = 4096;
/// FILE_PIPE_FULL_DUPLEX, FILE_PIPE_MESSAGE_TYPE, FILE_PIPE_CONNECTED_STATE, FILE_PIPE_SERVER_END.
const DUPLEX: u32 = 2;
const MESSAGES: u32 = 1;
const CONNECTED: u32 = 3;
const SERVER_END: u32 = 1;

pub fn query(class: FileInfoClass, out: Out<'_>) -> Handled {
    match class {
        FileInfoClass::STANDARD => {
            let info = StandardInfo {
                allocation_size: QUOTA.into(),
                number_of_links: 1,
                delete_pending: true,
                ..StandardInfo::default()
            };
            out.put(|w| info.encode(w))
        }
        FileInfoClass::PIPE => out.put(|w| PipeInfo { read_mode: MESSAGES, completion_mode: 0 }.encode(w)),
        FileInfoClass::PIPE_LOCAL => {
            let info = PipeLocalInfo {
                named_pipe_type: MESSAGES,
                named_pipe_configuration: DUPLEX,
                maximum_instances: u32::MAX,
                current_instances: 1,
                inbound_quota: QUOTA,
                outbound_quota: QUOTA,
                write_quota_available: QUOTA,
                named_pipe_state: CONNECTED,
                named_pipe_end: SERVER_END,
                ..PipeLocalInfo::default()
            };
            out.put(|w| info.encode(w))
        }
        _ => Err(NtStatus::NOT_SUPPORTED.into()),
    }
}

/// Every pipe is in message mode and waits for nothing.
pub fn set(info: &SetFileInfo<'_>) -> Result<(), NtStatus> {
    match info {
        SetFileInfo::Pipe(_) => Ok(()),
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}
