//! WRITE (MS-SMB2 3.3.5.13), onto MS-FSA 2.1.5.4. The data goes from the request's buffer straight to the file.

use super::{Ctx, Fail, Handled, Reply, times};
use crate::fsa::change::{Change, Facets, StreamChange};
use crate::posix;
use crate::session::{FileOpen, Open, OpenKind};
use crate::types::{AccessMask, CreateOptions, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::write::{WriteFlags, WriteRequest, WriteResponse};
use std::sync::atomic::Ordering;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = WriteRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    ctx.check_payload(request.data.len())?;
    let count = match &open.kind {
        OpenKind::Pipe(pipe) => super::pipe::write(ctx, &open, pipe, request.data)?,
        OpenKind::File(file) => write_file(ctx, &open, file, &request)?,
    };
    WriteResponse { count: count as u32, remaining: 0 }.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

fn write_file(
    ctx: &mut Ctx<'_>,
    open: &Open,
    file: &FileOpen,
    request: &WriteRequest<'_>,
) -> Result<usize, Fail> {
    if file.directory {
        return Err(NtStatus::INVALID_DEVICE_REQUEST.into());
    }
    // An offset of all ones means the end of the file (MS-SMB2 3.3.5.13); so does a handle that may only append.
    let at_end = request.offset == u64::MAX;
    let appends = !file.access.contains(AccessMask::WRITE_DATA);
    if !file.access.intersects(AccessMask::WRITE_DATA | AccessMask::APPEND_DATA) {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let len = request.data.len() as u64;
    if !at_end && request.offset.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    let through = request.flags.contains(WriteFlags::WRITE_THROUGH)
        || file.mode().contains(CreateOptions::WRITE_THROUGH);
    let disk = open.tree.disk()?;
    let path = {
        let rules = disk.area.rules.lock();
        if !at_end && !rules.may_write(open.open_id(), request.offset, len) {
            return Err(NtStatus::FILE_LOCK_CONFLICT.into());
        }
        rules.path_of(open.open_id())
    };
    if len == 0 {
        return Ok(0);
    }
    let written = if at_end || (appends && is_end(disk, file, request.offset)?) {
        let posix::Append { offset, written } = file.object.append(request.data, through)?;
        file.position.store(offset + written as u64, Ordering::Relaxed);
        written
    } else if appends {
        return Err(NtStatus::ACCESS_DENIED.into());
    } else {
        let written = file.object.write_at(request.offset, request.data, through)?;
        file.position.store(request.offset + written as u64, Ordering::Relaxed);
        written
    };
    if let Some(path) = path {
        let change = match file.object.stream() {
            Some(name) => Change::stream(path, name, StreamChange::Written),
            None => Change::modified(path, false, Facets::WRITTEN),
        };
        let change = change.by(open.open_id()).of(file.key);
        let (wall, now) = (times::now(), disk.area.now());
        let mut rules = disk.area.rules.lock();
        rules.wrote(open.open_id(), wall, now);
        let effects = crate::fsa::change::apply(&mut rules, &change, now);
        drop(rules);
        ctx.effects.extend(effects);
    }
    Ok(written)
}

/// Whether a write at `offset` appends.
fn is_end(disk: &crate::session::Disk, file: &FileOpen, offset: u64) -> Result<bool, NtStatus> {
    Ok(disk.area.export()?.stat(&file.object)?.size == offset)
}
