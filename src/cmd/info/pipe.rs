//! The classes that named pipes answer (MS-FSCC 2.4).

use super::Out;
use crate::cmd::Handled;
use crate::rpc::{Modes, Pipe};
use crate::types::NtStatus;
use crate::wire::fscc::FileInfoClass;
use crate::wire::fscc::file_info::{PipeInfo, PipeLocalInfo, StandardInfo};
use crate::wire::fscc::set_info::SetFileInfo;

/// Bytes that a pipe holds each way.
const QUOTA: u32 = 4096;
/// ReadMode and CompletionMode (2.4.37); the mode of messages is 1.
const BYTES: u32 = 0;
const WAIT: u32 = 0;
const COMPLETE: u32 = 1;
/// FILE_PIPE_FULL_DUPLEX, FILE_PIPE_MESSAGE_TYPE, FILE_PIPE_CONNECTED_STATE, FILE_PIPE_SERVER_END.
const DUPLEX: u32 = 2;
const MESSAGES: u32 = 1;
const CONNECTED: u32 = 3;
const SERVER_END: u32 = 1;

pub fn query(pipe: &Pipe, class: FileInfoClass, out: Out<'_>) -> Handled {
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
        FileInfoClass::PIPE => {
            let Modes { messages, waits } = pipe.modes();
            let info = PipeInfo {
                read_mode: if messages { MESSAGES } else { BYTES },
                completion_mode: if waits { WAIT } else { COMPLETE },
            };
            out.put(|w| info.encode(w))
        }
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

pub fn set(pipe: &Pipe, info: &SetFileInfo<'_>) -> Result<(), NtStatus> {
    match info {
        SetFileInfo::Pipe(PipeInfo { read_mode, completion_mode }) => {
            if *read_mode > MESSAGES || *completion_mode > COMPLETE {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            pipe.set_modes(Modes { messages: *read_mode == MESSAGES, waits: *completion_mode == WAIT });
            Ok(())
        }
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}
