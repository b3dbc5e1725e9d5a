//! Named pipes: FSCTL_PIPE_TRANSCEIVE, FSCTL_PIPE_PEEK, FSCTL_PIPE_WAIT (MS-SMB2 3.3.5.15.3, .4, .10).

use super::{Done, Output, encoded};
use crate::cmd::{self, Ctx};
use crate::rpc;
use crate::session::{Open, OpenKind, PipeOpen};
use crate::types::NtStatus;
use crate::wire::fscc::fsctl::{PipePeek, PipeWait};
use crate::wire::ioctl::IoctlRequest;
use std::sync::Arc;

fn pipe(open: &Open) -> Result<&PipeOpen, NtStatus> {
    match &open.kind {
        OpenKind::Pipe(pipe) => Ok(pipe),
        OpenKind::File(_) => Err(NtStatus::INVALID_DEVICE_REQUEST),
    }
}

pub fn transceive(ctx: &Ctx<'_>, open: &Arc<Open>, request: &IoctlRequest<'_>) -> Done {
    let max = request.max_output_response as usize;
    let (data, status) = cmd::pipe::transceive(ctx, open, pipe(open)?, request.input, max)?;
    Ok(Output { status, data })
}

/// Tells how much there is to read, but not what.
pub fn peek(open: &Open, request: &IoctlRequest<'_>) -> Done {
    const CONNECTED: u32 = 3;
    const CLOSING: u32 = 4;
    let pipe = &pipe(open)?.pipe;
    if (request.max_output_response as usize) < PipePeek::SIZE {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    let (next, all, messages) = pipe.available();
    let answer = PipePeek {
        named_pipe_state: if pipe.is_broken() { CLOSING } else { CONNECTED },
        read_data_available: all as u32,
        number_of_messages: messages as u32,
        message_length: next as u32,
    };
    let status = if all > 0 { NtStatus::BUFFER_OVERFLOW } else { NtStatus::SUCCESS };
    Ok(Output { status, data: encoded(|w| answer.encode(w)) })
}

/// A pipe of ours is always ready.
pub fn wait(ctx: &Ctx<'_>, request: &IoctlRequest<'_>) -> Done {
    if ctx.tree()?.share.disk().is_some() {
        return Err(NtStatus::INVALID_DEVICE_REQUEST.into());
    }
    let wait = PipeWait::decode(request.input)?;
    if rpc::exists(&wait.name) { Output::none() } else { Err(NtStatus::OBJECT_NAME_NOT_FOUND.into()) }
}
