//! Named pipes: READ, WRITE and FSCTL_PIPE_TRANSCEIVE of an open one (MS-SMB2 3.3.5.12, 3.3.5.13, 3.3.5.15.10). A
//! read that finds nothing waits, until an answer comes, the pipe is closed, or the client cancels it.

use super::effects::body;
use super::wait::Wait;
use super::{Ctx, Fail, Gate, Handled, Reply};
use crate::conn::flight::Answer;
use crate::rpc::{Part, Served, Waiter};
use crate::session::{Open, OpenKind, PipeOpen};
use crate::types::NtStatus;
use crate::wire::codec::Writer;
use crate::wire::header::{self, Command};
use crate::wire::ioctl::{CtlCode, IoctlResponse};
use crate::wire::read::{ReadRequest, ReadResponse};
use std::sync::Arc;

/// Where a request of a tree without an export (IPC$) is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On the reactor.
    Here,
    /// There too, and it may wait.
    Waits,
    /// On a worker: it may block.
    Worker,
}

/// The control code of an IOCTL as it came.
fn code_of(message: &[u8]) -> Option<CtlCode> {
    let code = message.get(header::LEN + 4..header::LEN + 8)?;
    Some(CtlCode(u32::from_le_bytes(code.try_into().ok()?)))
}

/// `open`: what the request names, if it is there.
pub fn place(command: Command, message: &[u8], open: Option<&Open>) -> Place {
    let pipe = open.and_then(|open| match &open.kind {
        OpenKind::Pipe(pipe) => Some(&pipe.pipe),
        OpenKind::File(_) => None,
    });
    match (command, pipe) {
        (Command::READ, Some(_)) => Place::Waits,
        (Command::WRITE, Some(pipe)) if pipe.blocks() => Place::Worker,
        (Command::IOCTL, pipe) => match (code_of(message), pipe) {
            (Some(CtlCode::PIPE_TRANSCEIVE), Some(pipe)) if pipe.blocks() => Place::Worker,
            (Some(CtlCode::PIPE_TRANSCEIVE), Some(_)) => Place::Waits,
            // This asks the kernel for what may take it a while.
            (Some(CtlCode::QUERY_NETWORK_INTERFACE_INFO), _) => Place::Worker,
            _ => Place::Here,
        },
        _ => Place::Here,
    }
}

/// Whether a request writes to what it names, in the order it came: WRITE, and TRANSCEIVE on a pipe.
pub fn is_write(command: Command, message: &[u8]) -> bool {
    command == Command::WRITE
        || (command == Command::IOCTL && code_of(message) == Some(CtlCode::PIPE_TRANSCEIVE))
}

pub fn read(
    ctx: &Ctx<'_>,
    open: &Arc<Open>,
    pipe: &PipeOpen,
    request: &ReadRequest<'_>,
    reply: &mut Reply,
) -> Handled {
    let wait = begin(ctx, open)?;
    let waiter = Waiter { id: wait.id().0, max: request.length as usize, transceives: false };
    let result = pipe.pipe.read_or_wait(waiter);
    let (data, more) = over(Some(wait), result)?;
    ReadResponse { data: &data, ..ReadResponse::default() }.encode(&mut reply.body());
    Ok(status(more))
}

pub fn write(ctx: &Ctx<'_>, open: &Open, pipe: &PipeOpen, data: &[u8]) -> Result<usize, NtStatus> {
    let mut served = Vec::new();
    let written = pipe.pipe.write(data, &mut served);
    serve(ctx.gate, open, served);
    written.map(|()| data.len())
}

/// What is read, and the status.
pub fn transceive(
    ctx: &Ctx<'_>,
    open: &Arc<Open>,
    pipe: &PipeOpen,
    input: &[u8],
    max: usize,
) -> Result<(Vec<u8>, NtStatus), Fail> {
    let (mut wait, mut served) = (None, Vec::new());
    let waiter = || {
        let begun = begin(ctx, open)?;
        let id = begun.id().0;
        wait = Some(begun);
        Ok(Waiter { id, max, transceives: true })
    };
    let result = pipe.pipe.transceive(input, max, waiter, &mut served);
    serve(ctx.gate, open, served);
    let (data, more) = over(wait, result)?;
    Ok((data, status(more)))
}

fn status(more: bool) -> NtStatus {
    if more { NtStatus::BUFFER_OVERFLOW } else { NtStatus::SUCCESS }
}

fn begin<'a>(ctx: &Ctx<'a>, open: &Arc<Open>) -> Result<Wait<'a>, NtStatus> {
    let (gate, open) = (Arc::clone(ctx.gate), Arc::clone(open));
    Wait::begin(ctx, move |waiter| {
        if let OpenKind::Pipe(pipe) = &open.kind
            && pipe.pipe.forget(waiter.0)
        {
            gate.answer(waiter.0, Answer { status: NtStatus::CANCELLED, body: Vec::new() });
        }
    })
}

/// None: it waits.
fn over(wait: Option<Wait<'_>>, result: Option<Result<Part, NtStatus>>) -> Result<Part, Fail> {
    let result = result.ok_or(Fail::Pending)?;
    if let Some(wait) = wait {
        wait.over();
    }
    Ok(result?)
}

/// Answers those whose wait has ended.
fn serve(gate: &Gate, open: &Open, served: Vec<Served>) {
    for Served { waiter, result } in served {
        let answer = match result {
            Ok((data, more)) => Answer { status: status(more), body: body(|w| tell(w, open, waiter, &data)) },
            Err(status) => Answer { status, body: Vec::new() },
        };
        gate.answer(waiter.id, answer);
    }
}

fn tell(w: &mut Writer<'_>, open: &Open, waiter: Waiter, data: &[u8]) {
    if waiter.transceives {
        let (ctl_code, file_id) = (CtlCode::PIPE_TRANSCEIVE, open.id);
        IoctlResponse { ctl_code, file_id, input: &[], output: data }.encode(w);
    } else {
        ReadResponse { data, ..ReadResponse::default() }.encode(w);
    }
}

/// The client has closed it: its waiting reads end.
pub fn closed(gate: &Gate, open: &Open) {
    if let OpenKind::Pipe(pipe) = &open.kind {
        serve(gate, open, pipe.pipe.close());
    }
}
