//! CLOSE (MS-SMB2 3.3.5.10), onto MS-FSA 2.1.5.5.

use super::lock::local::Local;
use super::{Ctx, Gate, Handled, Reply, times};
use crate::fsa::{Deletion, Effect, Tree};
use crate::session::{Disk, FileOpen, Open, OpenKind, Session};
use crate::types::NtStatus;
use crate::wire::close::{CloseFlags, CloseRequest, CloseResponse};
use crate::wire::codec::Reader;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = CloseRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    run(ctx, &request, &open, reply)
}

/// A close that waits for nobody: on the reactor. None: it takes a worker.
pub fn try_inline(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Option<Handled> {
    let request = CloseRequest::decode(&mut body).ok()?;
    let open = ctx.open(request.file_id).ok()?;
    let quick = open.file()?.object.is_quick();
    let waits = touches(&open, |rules| rules.is_delete_pending(open.open_id()));
    (quick && !waits).then(|| run(ctx, &request, &open, reply))
}

fn run(ctx: &mut Ctx<'_>, request: &CloseRequest, open: &Arc<Open>, reply: &mut Reply) -> Handled {
    let mut answer = CloseResponse::default();
    if let (OpenKind::File(file), Some(disk)) = (&open.kind, open.share().disk()) {
        times::close(disk, open, file);
    }
    if request.flags.contains(CloseFlags::POSTQUERY_ATTRIB)
        && let (OpenKind::File(file), Some(disk)) = (&open.kind, open.share().disk())
        && let Ok(stat) = times::stat(disk, file)
    {
        answer = CloseResponse { flags: CloseFlags::POSTQUERY_ATTRIB, status: times::status(&stat) };
    }
    let session = Arc::clone(ctx.session()?);
    if !take(ctx.gate, Some(&session), open) {
        return Err(NtStatus::FILE_CLOSED.into());
    }
    if let Some(disk) = open.share().disk() {
        let effects = end(disk, open);
        ctx.effects.extend(effects);
    }
    answer.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// Closes an open from anywhere without blocking. The rules let go of it at once; what touches the disk (a
/// delete on close, the descriptor itself) is done by the export's workers.
pub fn close(gate: &Arc<Gate>, session: &Session, open: &Arc<Open>) {
    if take(gate, Some(session), open) {
        close_taken(gate, open);
    }
}

/// The same for one that waited for its client, and was given up.
pub fn close_waiting(gate: &Arc<Gate>, open: &Arc<Open>) {
    if take(gate, None, open) {
        close_taken(gate, open);
    }
}

/// The same of any open, whether a session has it or it waits.
pub fn close_any(gate: &Arc<Gate>, open: &Arc<Open>) {
    match gate.sessions.get(open.session()) {
        Some(session) => close(gate, &session, open),
        None => close_waiting(gate, open),
    }
}

/// Somebody wants the file. True: the open waited for its client and yields to others, and is closed.
pub fn give_way(gate: &Arc<Gate>, open: &Arc<Open>) -> bool {
    let gives = gate.durable.give_way(open);
    if gives {
        close_waiting(gate, open);
    }
    gives
}

/// Whether there is more to closing it than letting go of it.
pub fn touches_disk(open: &Open) -> bool {
    touches(open, |_| false)
}

/// The same, or what else the rules say.
fn touches(open: &Open, or: impl FnOnce(&Tree) -> bool) -> bool {
    let Some(disk) = open.share().disk() else { return false };
    if open.file().is_some_and(FileOpen::may_hold_local_locks) {
        return true;
    }
    let (rules, id) = (disk.area.rules.lock(), open.open_id());
    rules.deletes_on_close(id) || rules.is_to_be_mended(id) || or(&rules)
}

fn close_taken(gate: &Arc<Gate>, open: &Arc<Open>) {
    let Some(disk) = open.share().disk() else { return };
    if disk.area.workers.is_here() || touches_disk(open) {
        if !on_worker(gate, open, end) {
            log::error!("share {}: overloaded; what was to be done at a close was not", open.share().name);
            // That it stays is better than that nobody can open it any more.
            let mut rules = disk.area.rules.lock();
            let mut closed = rules.abandon(open.open_id(), disk.area.now());
            if let Some(deletion) = closed.deletion.take() {
                closed.effects.extend(rules.deleted(deletion, false, disk.area.now()));
            }
            drop(rules);
            super::effects::carry_out(gate, closed.effects);
        }
        return;
    }
    let closed = disk.area.rules.lock().close(open.open_id(), false, disk.area.now());
    super::effects::carry_out(gate, closed.effects);
    if let Some(deletion) = closed.deletion
        && !on_worker(gate, open, |disk, open| delete(disk, open, deletion))
    {
        log::error!("share {}: overloaded; a deletion was not carried out", open.share().name);
    }
}

/// Does what touches the disk as the open's user, on one of the export's workers; at once if this is one. False: too many
/// wait for them already.
fn on_worker(
    gate: &Arc<Gate>,
    open: &Arc<Open>,
    work: impl FnOnce(&Disk, &Open) -> Vec<Effect> + Send + 'static,
) -> bool {
    let Some(disk) = open.share().disk() else { return true };
    let workers = disk.area.workers.clone();
    let (gate, held) = (Arc::clone(gate), Arc::clone(open));
    let job = move || {
        let Some(disk) = held.share().disk() else { return };
        match crate::sys::creds::assume(&super::creds(&held.tree.identity)) {
            Ok(_guard) => super::effects::carry_out(&gate, work(disk, &held)),
            Err(e) => log::error!("share {}: cannot act as its user: {e}", held.share().name),
        }
    };
    if workers.is_here() {
        job();
        return true;
    }
    workers.submit(Box::new(job)).is_ok()
}

/// The rules let go of the open, and what was to be deleted is. Blocks.
fn end(disk: &Disk, open: &Open) -> Vec<Effect> {
    let area = &disk.area;
    let OpenKind::File(file) = &open.kind else { return Vec::new() };
    let mut local = file.may_hold_local_locks().then(|| Local::of(open)).flatten();
    if let Some(local) = &mut local {
        local.release();
    }
    times::close(disk, open, file);
    let mut rules = area.rules.lock();
    let empty = if file.directory && rules.deletes_on_close(open.open_id()) {
        drop(rules);
        let empty = area.export().and_then(|e| e.is_empty(&file.object)).unwrap_or(false);
        rules = area.rules.lock();
        empty
    } else {
        true
    };
    let mut closed = rules.close(open.open_id(), empty, area.now());
    drop(rules);
    drop(local);
    if let Some(deletion) = closed.deletion.take() {
        closed.effects.extend(delete(disk, open, deletion));
    }
    closed.effects
}

/// Carries a deletion out and says so.
fn delete(disk: &Disk, open: &Open, deletion: Deletion) -> Vec<Effect> {
    let area = &disk.area;
    let OpenKind::File(file) = &open.kind else { return Vec::new() };
    let path = super::create::disk_path(deletion.path());
    // The last open may be of another name, but never of another object.
    let removed = area.export().and_then(|export| match deletion.stream() {
        Some(name) => export.remove_stream(&file.object, name),
        None => export.remove(&file.object, &path),
    });
    let done = match removed {
        Ok(()) | Err(NtStatus::OBJECT_NAME_NOT_FOUND) => true,
        Err(status) => {
            log::info!(
                "share {}: {} was to be deleted on close and stays: {status}",
                open.share().name,
                deletion.path()
            );
            false
        }
    };
    area.rules.lock().deleted(deletion, done, area.now())
}

/// Out of the tables. True: by this caller, who must see it through.
fn take(gate: &Gate, session: Option<&Session>, open: &Open) -> bool {
    if !open.claim_close() {
        return false;
    }
    gate.opens.remove(open.id);
    super::pipe::closed(gate, open);
    session.inspect(|session| session.remove_open(open.id));
    gate.durable.forget(open);
    gate.keeper.forget(open);
    open.lease.get().inspect(|lease| lease.remove(open));
    open.share().opens.fetch_sub(1, Ordering::Relaxed);
    true
}
