//! READ (MS-SMB2 3.3.5.12), onto MS-FSA 2.1.5.3. The data goes from the page cache straight into the answer.

use super::taken::{Protect, Taken};
use super::{Ctx, Handled, Reply};
use crate::session::{FileOpen, Open, OpenKind};
use crate::types::{AccessMask, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::header;
use crate::wire::read::{ReadRequest, ReadResponse};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// From this length on the answer is built in a pooled buffer.
const LARGE: usize = 16 << 10;
/// From this length on what is in the page cache is read through a mapping, signed or sealed while it is copied.
const MAPPED: usize = 64 << 10;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = ReadRequest::decode(&mut body)?;
    let open = check(ctx, &request)?;
    match &open.kind {
        OpenKind::Pipe(pipe) => super::pipe::read(ctx, &open, pipe, &request, reply),
        OpenKind::File(file) => {
            may_read(&open, file, &request)?;
            if file.object.is_remote() {
                file.fresh.renew(&file.object, open.tree.disk()?.settings.poll_interval);
            }
            let data = prepare(ctx, &request, reply);
            let got = file.object.read_at(request.offset, data)?;
            Ok(done(file, &request, reply, got)?)
        }
    }
}

/// The same on the reactor, where the kernel can answer at once: no worker, no waiting. None: it cannot.
pub fn try_inline(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Option<Handled> {
    let Ok(request) = ReadRequest::decode(&mut body) else { return None };
    let Ok(open) = check(ctx, &request) else { return None };
    let OpenKind::File(file) = &open.kind else { return None };
    let every = open.tree.disk().ok()?.settings.poll_interval;
    if may_read(&open, file, &request).is_err() || (file.object.is_remote() && !file.fresh.is_recent(every)) {
        return None;
    }
    let protect = takes_part(ctx, &request, reply).then(|| Protect::of(ctx)).flatten();
    let data = prepare(ctx, &request, reply);
    let got = match protect.and_then(|protect| take(protect, file, request.offset, data)) {
        Some(taken) => {
            let got = data.len();
            reply.taken(taken);
            got
        }
        None => file.object.read_nowait(request.offset, data)?,
    };
    Some(done(file, &request, reply, got).map_err(Into::into))
}

/// It is long enough, and its data ends the answer.
fn takes_part(ctx: &Ctx<'_>, request: &ReadRequest<'_>, reply: &Reply) -> bool {
    let len = request.length as usize;
    len >= MAPPED && goes_large(ctx, len, reply)
}

/// All of `data`, copied and signed or sealed in one pass. None: not in this way.
fn take(protect: Protect, file: &FileOpen, offset: u64, data: &mut [u8]) -> Option<Taken> {
    // Where the kernel tells only the owner what it has of a file, it tells the process.
    let _as_process = crate::sys::creds::assume_process().ok()?;
    let at = header::LEN + ReadResponse::PREFIX_LEN;
    file.object.with_cached(offset, data.len(), |source| protect.take(at, source, data))?
}

fn check(ctx: &mut Ctx<'_>, request: &ReadRequest<'_>) -> Result<Arc<Open>, NtStatus> {
    let open = ctx.open(request.file_id)?;
    ctx.check_payload(request.length as usize)?;
    Ok(open)
}

fn may_read(open: &Open, file: &FileOpen, request: &ReadRequest<'_>) -> Result<(), NtStatus> {
    if file.directory {
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    if !file.access.intersects(AccessMask::READ_DATA | AccessMask::EXECUTE) {
        return Err(NtStatus::ACCESS_DENIED);
    }
    if request.offset > i64::MAX as u64
        || request.offset.checked_add(request.length.into()).is_none_or(|end| end > i64::MAX as u64)
    {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let disk = open.tree.disk()?;
    if !disk.area.rules.lock().may_read(open.open_id(), request.offset, request.length.into()) {
        return Err(NtStatus::FILE_LOCK_CONFLICT);
    }
    Ok(())
}

/// It stands alone, in a buffer of its own.
fn goes_large(ctx: &Ctx<'_>, len: usize, reply: &Reply) -> bool {
    len >= LARGE && ctx.header.next_command == 0 && reply.can_go_large()
}

/// Room for the data behind the fixed part of the body.
fn prepare<'r>(ctx: &Ctx<'_>, request: &ReadRequest<'_>, reply: &'r mut Reply) -> &'r mut [u8] {
    let len = request.length as usize;
    if goes_large(ctx, len, reply) {
        let mut prefix = [0; ReadResponse::PREFIX_LEN];
        prefix[0] = 17;
        prefix[2] = ReadResponse::DATA_OFFSET;
        reply.go_large(&prefix, len);
        return reply.large_data(len);
    }
    let mut w = reply.body();
    let _ = ReadResponse::encode_prefix(&mut w, ReadResponse::DATA_OFFSET);
    w.zeros(len);
    reply.tail_mut(len)
}

fn done(
    file: &FileOpen,
    request: &ReadRequest<'_>,
    reply: &mut Reply,
    got: usize,
) -> Result<NtStatus, NtStatus> {
    let asked = request.length as usize;
    if (got == 0 && asked > 0) || got < request.minimum_count as usize {
        return Err(NtStatus::END_OF_FILE);
    }
    file.position.store(request.offset + got as u64, Ordering::Relaxed);
    if reply.large_message().is_some() {
        reply.shrink_large(asked - got);
    } else {
        reply.shrink(asked - got);
    }
    ReadResponse::patch_data_length(reply.message_mut(), got as u32)?;
    Ok(NtStatus::SUCCESS)
}
