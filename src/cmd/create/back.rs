//! CREATE of what is open already: its client is back for a handle (MS-SMB2 3.3.5.9.7, 3.3.5.9.12), or sends the CREATE once
//! more because its answer was lost (3.3.5.9.10).

use super::{contexts, durable};
use crate::cmd::{Ctx, Gate, Handled, Post, Reply, breaks, effects, times};
use crate::durable::{place_of, reconnect};
use crate::session::{Open, Session, TreeConnect};
use crate::types::{CreateOptions, FileId, Guid, NtStatus, OplockLevel, SessionId};
use crate::wire::create::{CreateAction, CreateRequest, CreateResponse};
use crate::wire::create_context::{CreateContext, CreateContexts, Lease, find, name};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A client has taken in the answer to its CREATE by then.
const TAKEN_IN: Duration = Duration::from_millis(200);

/// The answer to a CREATE that was done before: what it led to, as it is now. As with Windows, who asks for less this
/// time is told of no more; nothing of the open changes. If it waits for its client he is back, as with DH2C.
pub fn replayed(
    ctx: &mut Ctx<'_>,
    request: &CreateRequest<'_>,
    asked: &contexts::Asked,
    open: &Arc<Open>,
    reply: &mut Reply,
) -> Handled {
    let asked_lease = lease_of(&request.create_contexts);
    if !asks_for_the_same(open, request.requested_oplock_level, asked_lease.as_ref())? {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let mut answers = described(asked, open)?;
    let answer = if durable::is_here(ctx, open)? {
        response(open)?
    } else {
        let guid = asked.durable.and_then(durable::Asked::create_guid).unwrap_or_default();
        come_back(ctx, request, open.id, Some((guid, open.is_persistent())))?.1
    };
    let (oplock_level, lease) = match request.requested_oplock_level {
        OplockLevel::NONE => (OplockLevel::NONE, None),
        OplockLevel::LEASE => held(open, asked_lease.as_ref())?,
        _ => (oplock_of(open)?, None),
    };
    let durability = open.durability.get();
    let persistent = open.is_persistent();
    let told = persistent || oplock_level == OplockLevel::BATCH || lease.is_some();
    let granted = durability.and_then(|d| d.grant).filter(|_| told);
    answers.extend(asked.durable.and_then(|asked| durable::context(asked, granted, persistent)));
    answers.extend(lease);
    let create_action = durability.map_or(CreateAction::OPENED, |d| d.action);
    outdate(ctx.gate, open);
    ctx.file = Some(open.id);
    CreateResponse { oplock_level, create_action, create_contexts: answers, ..answer }
        .encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// As far as it caches: a lease with this key, or an oplock.
fn asks_for_the_same(open: &Open, level: OplockLevel, asked: Option<&Lease>) -> Result<bool, NtStatus> {
    Ok(match (open.lease.get(), level) {
        (_, OplockLevel::NONE) => true,
        (Some(lease), OplockLevel::LEASE) => asked.is_some_and(|asked| asked.lease_key() == lease.id.key),
        (None, OplockLevel::LEASE) => oplock_of(open)? == OplockLevel::NONE,
        (lease, _) => lease.is_none(),
    })
}

/// What the contexts ask to be told.
fn described(asked: &contexts::Asked, open: &Open) -> Result<CreateContexts<'static>, NtStatus> {
    let (disk, file) = (open.tree.disk()?, crate::cmd::file_of(open)?);
    let path = disk.area.rules.lock().path_of(open.open_id()).ok_or(NtStatus::FILE_CLOSED)?;
    let stat = disk.area.export()?.stat(&file.object)?;
    let backup = file.options.contains(CreateOptions::OPEN_FOR_BACKUP_INTENT);
    let subject =
        contexts::Subject { object: &file.object, stat: &stat, path: &path, described: true, backup };
    contexts::answer(asked, &open.tree, &subject)
}

fn oplock_of(open: &Open) -> Result<OplockLevel, NtStatus> {
    Ok(open.tree.disk()?.area.rules.lock().oplock_of(open.open_id()))
}

/// What an open caches by, as an answer tells it.
fn held(
    open: &Open,
    asked: Option<&Lease>,
) -> Result<(OplockLevel, Option<CreateContext<'static>>), NtStatus> {
    let lease = super::lease::of(open, asked);
    let level = if lease.is_some() { OplockLevel::LEASE } else { oplock_of(open)? };
    Ok((level, lease))
}

/// The client is back for a handle. Of the request only that and its lease, with its file name, counts.
pub fn returned(
    ctx: &mut Ctx<'_>,
    request: &CreateRequest<'_>,
    file_id: FileId,
    v2: Option<(Guid, bool)>,
    reply: &mut Reply,
) -> Handled {
    let (open, answer) = come_back(ctx, request, file_id, v2)?;
    let (oplock_level, lease) = held(&open, lease_of(&request.create_contexts).as_ref())?;
    outdate(ctx.gate, &open);
    let create_contexts = lease.into_iter().collect();
    CreateResponse { oplock_level, create_contexts, ..answer }.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// The handle is in the session that its client has now, and this is what is told of it. Its breaks are held back from here on
/// until the answer is on its way: what it caches now is what it caches until they are told.
fn come_back(
    ctx: &mut Ctx<'_>,
    request: &CreateRequest<'_>,
    file_id: FileId,
    v2: Option<(Guid, bool)>,
) -> Result<(Arc<Open>, CreateResponse<'static>), NtStatus> {
    let (session, tree) = (Arc::clone(ctx.session()?), Arc::clone(ctx.tree()?));
    let who = session.who().ok_or(NtStatus::USER_SESSION_DELETED)?;
    let ask = reconnect::Ask {
        v2,
        available: durable::is_available(ctx, tree.disk()?),
        client: ctx.client_guid(),
        user: (!who.guest && !who.anonymous).then(|| who.user.clone()),
        share: place_of(&tree.share),
        name: request.name.clone(),
        lease: lease_of(&request.create_contexts)
            .map(|lease| (lease.lease_key(), matches!(lease, Lease::V2 { .. }))),
        leases: tree.disk()?.settings.leases,
    };
    let found = ctx.gate.durable.reconnect(file_id.persistent, &ask, Instant::now());
    let open = found.map_err(|(check, status)| {
        log::info!("{}: {} does not get a handle back: {check}", ctx.conn.peer.ip(), who.user);
        status
    })?;
    match resume(ctx, &tree, &session, &open) {
        Ok(answer) => {
            give_back(&open);
            ctx.file = Some(open.id);
            ctx.post = Some(Post::Opened(Arc::clone(&open)));
            Ok((open, answer))
        }
        Err(status) => {
            ctx.gate.durable.wait(&open, Instant::now());
            breaks::announced(ctx.gate, &open);
            Err(status)
        }
    }
}

/// The open moves to the session that its client has now.
fn resume(
    ctx: &Ctx<'_>,
    tree: &TreeConnect,
    session: &Session,
    open: &Open,
) -> Result<CreateResponse<'static>, NtStatus> {
    let answer = response(open)?;
    open.sequence.restart(ctx.header.channel_sequence());
    open.move_to(session.id, tree.id);
    if !session.adopt(open, tree) {
        return Err(NtStatus::USER_SESSION_DELETED);
    }
    Ok(answer)
}

/// What was taken from its lease while its client was away, as far as it can be had: he is told of that after the answer.
fn give_back(open: &Open) {
    let (Some(disk), Some(durability)) = (open.share().disk(), open.durability.get()) else { return };
    let taken = durability.taken();
    if !taken.is_empty() {
        let _ = disk.area.rules.lock().request_lease(open.open_id(), taken, disk.area.now());
        durability.taken.store(0, Ordering::SeqCst);
    }
}

/// Others may have changed the file while its client was away. He gets what he had, and then its break: not at once, since Linux
/// 6.1 takes one that comes with the answer for one of what it had before.
fn outdate(gate: &Arc<Gate>, open: &Arc<Open>) {
    if !open.is_outdated() {
        return;
    }
    let (gate, open) = (Arc::clone(gate), Arc::clone(open));
    gate.runtime.clone().spawn(async move {
        tokio::time::sleep(TAKEN_IN).await;
        let (Some(disk), Some(durability)) = (open.share().disk(), open.durability.get()) else { return };
        // Else he is away again, and is told when he is back.
        if open.is_outdated() && open.session() != SessionId(0) {
            let effects = disk.area.rules.lock().outdate(open.open_id());
            // From here on its record says that.
            durability.outdated.store(false, Ordering::SeqCst);
            effects::carry_out(&gate, effects);
        }
    });
}

/// What an open is now, but for what it caches. Blocks.
fn response(open: &Open) -> Result<CreateResponse<'static>, NtStatus> {
    let stat = times::stat(open.tree.disk()?, crate::cmd::file_of(open)?)?;
    Ok(CreateResponse {
        create_action: CreateAction::OPENED,
        status: times::status(&stat),
        file_id: open.id,
        ..CreateResponse::default()
    })
}

fn lease_of(contexts: &[CreateContext<'_>]) -> Option<Lease> {
    Lease::decode(find(contexts, name::REQUEST_LEASE)?).ok()
}
