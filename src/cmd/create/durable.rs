//! CREATE and handles that survive: asking for one (MS-SMB2 3.3.5.9.6, 3.3.5.9.10), coming back for one (3.3.5.9.7,
//! 3.3.5.9.12), and a CREATE that is sent once more because its answer was lost.

use super::{contexts, disk_path};
use crate::cmd::{Ctx, Gate, Handled, Post, Reply, breaks, close, times};
use crate::durable::{self, grant, grant::Candidate, reconnect};
use crate::session::{Disk, Durability, FileOpen, Open, TreeConnect};
use crate::types::{CreateOptions, FileId, Guid, NtStatus, OpenId, OplockLevel, SessionId};
use crate::wire::create::{CreateAction, CreateRequest, CreateResponse};
use crate::wire::create_context::{
    CreateContext, DurableHandleFlags, DurableHandleReconnect, DurableHandleReconnectV2,
    DurableHandleRequest, DurableHandleRequestV2, DurableHandleResponse, DurableHandleResponseV2, Lease,
    find, name,
};
use crate::wire::header::HeaderFlags;
use crate::wire::negotiate::Capabilities;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What the client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// DHnQ.
    V1,
    /// DH2Q. On a share that is not continuously available persistence is not granted, and only that.
    V2(DurableHandleRequestV2),
    /// DHnC, DH2C.
    Reconnect { file_id: FileId, v2: Option<(Guid, bool)> },
}

/// DHnC and DHnQ together are the former; anything else together is wrong. What only SMB 3 has is ignored before.
pub fn read(contexts: &[CreateContext<'_>], smb3: bool) -> Result<Option<Asked>, NtStatus> {
    let of_smb3 = |name| find(contexts, name).filter(|_| smb3);
    let v1 = find(contexts, name::DURABLE_HANDLE_REQUEST);
    let v1_again = find(contexts, name::DURABLE_HANDLE_RECONNECT);
    let v2 = of_smb3(name::DURABLE_HANDLE_REQUEST_V2);
    let v2_again = of_smb3(name::DURABLE_HANDLE_RECONNECT_V2);
    let asked = match (v1, v1_again, v2, v2_again) {
        (None, None, None, None) => return Ok(None),
        (Some(data), None, None, None) => DurableHandleRequest::decode(data).map(|_| Asked::V1)?,
        (None, None, Some(data), None) => Asked::V2(DurableHandleRequestV2::decode(data)?),
        (_, Some(data), None, None) => {
            let file_id = DurableHandleReconnect::decode(data)?.file_id;
            Asked::Reconnect { file_id, v2: None }
        }
        (None, None, None, Some(data)) => {
            let DurableHandleReconnectV2 { file_id, create_guid, flags } =
                DurableHandleReconnectV2::decode(data)?;
            let persistent = flags.contains(DurableHandleFlags::PERSISTENT);
            Asked::Reconnect { file_id, v2: Some((create_guid, persistent)) }
        }
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    Ok(Some(asked))
}

impl Asked {
    fn is_persistent(self) -> bool {
        matches!(self, Asked::V2(v2) if v2.flags.contains(DurableHandleFlags::PERSISTENT))
    }

    /// The CreateGuid, if it tells this CREATE from others.
    fn create_guid(self) -> Option<Guid> {
        match self {
            Asked::V2(v2) => Some(v2.create_guid).filter(|guid| *guid != Guid::default()),
            Asked::V1 | Asked::Reconnect { .. } => None,
        }
    }
}

/// Takes the CreateGuid for this CREATE. Some: it was done before.
pub fn claim(ctx: &mut Ctx<'_>, asked: Option<Asked>) -> Result<Option<Arc<Open>>, NtStatus> {
    let Some(guid) = asked.and_then(Asked::create_guid) else { return Ok(None) };
    if ctx.claim.is_none() {
        let client = ctx.client_guid();
        let replay = ctx.header.flags.contains(HeaderFlags::REPLAY);
        match ctx.gate.durable.ask(client, guid, replay) {
            durable::Asked::New(claim) => ctx.claim = Some(claim),
            durable::Asked::Refused(status) => return Err(status),
            durable::Asked::Again(open) => {
                // If no session has it, the client has lost the one to which the answer went.
                let own = is_here(ctx, &open)? || open.session() == SessionId(0);
                return if own { Ok(Some(open)) } else { Err(NtStatus::DUPLICATE_OBJECTID) };
            }
        }
    }
    // Should the connection be lost while it waits, the client asks for what came of it on another.
    ctx.flight.inspect(|flight| flight.outlive());
    Ok(None)
}

fn is_here(ctx: &Ctx<'_>, open: &Open) -> Result<bool, NtStatus> {
    Ok(open.is_of(ctx.session()?.id, ctx.tree()?.id))
}

/// The new open is what the CREATE led to, and durable if it may be: then the context that says so.
pub fn made(
    ctx: &mut Ctx<'_>,
    asked: Option<Asked>,
    disk: &Disk,
    open: &Arc<Open>,
    (oplock, handle_lease): (OplockLevel, bool),
    action: CreateAction,
) -> Option<CreateContext<'static>> {
    let asked = asked?;
    let who = ctx.session.as_ref().and_then(|session| session.who());
    let candidate = Candidate {
        directory: open.file().is_none_or(|file| file.directory),
        nobody: who.is_none_or(|who| who.guest || who.anonymous),
        oplock,
        handle_lease,
        share_timeout: disk.settings.durable_timeout,
        persistent: asked.is_persistent() && is_available(ctx, disk),
    };
    let (wanted, create_guid) = match asked {
        Asked::V1 => (0, Guid::default()),
        Asked::V2(v2) => (v2.timeout, v2.create_guid),
        Asked::Reconnect { .. } => return None,
    };
    let granted = grant::grant(&candidate, wanted);
    let client = ctx.client_guid();
    let open_is_persistent = granted.is_some() && candidate.persistent;
    let durability = Durability {
        persistent: open_is_persistent.into(),
        ..Durability::new(client, create_guid, action, granted)
    };
    let access = open.file().map(|file| file.access).unwrap_or_default();
    let replays = grant::is_replay_eligible(open_is_persistent, candidate.directory, access);
    let claim = ctx.claim.take().filter(|_| replays);
    if (granted.is_some() || claim.is_some()) && open.durability.set(Box::new(durability)).is_ok() {
        if granted.is_some() {
            ctx.gate.durable.add(open);
            keep(ctx, open);
        }
        if let Some(claim) = claim {
            claim.settle(open);
        }
    }
    // If it could not be kept it is what it would be without.
    let granted = granted.filter(|_| {
        open.is_persistent() || grant::grant(&Candidate { persistent: false, ..candidate }, 0).is_some()
    });
    granted_context(asked, granted, open.is_persistent())
}

/// It goes to the disk: before the answer if it is persistent, and after the file itself.
fn keep(ctx: &Ctx<'_>, open: &Arc<Open>) {
    let settled = if open.is_persistent() { settle(open) } else { Ok(()) };
    if let Err(status) = settled.and_then(|()| ctx.gate.keeper.note(open)) {
        log::info!("share {}: an open is not persistent: {status}", open.share().name);
        if let Some(durability) = open.durability.get() {
            durability.persistent.store(false, Ordering::Release);
        }
        ctx.gate.keeper.changed(open);
    }
}

/// What the handle is of is there after a power cut, too.
fn settle(open: &Open) -> Result<(), NtStatus> {
    let (file, disk) = (crate::cmd::file_of(open)?, open.tree.disk()?);
    let path = disk.area.rules.lock().path_of(open.open_id()).ok_or(NtStatus::FILE_CLOSED)?;
    let export = disk.area.export()?;
    let settled = crate::sys::creds::as_process(|| export.settle(&file.object, &disk_path(&path)));
    settled.map_err(|_| NtStatus::ACCESS_DENIED)?
}

/// TreeConnect.Share.IsCA, and SMB2_GLOBAL_CAP_PERSISTENT_HANDLES was agreed on.
fn is_available(ctx: &Ctx<'_>, disk: &Disk) -> bool {
    let agreed =
        |n: &crate::conn::Negotiated| n.server_capabilities.contains(Capabilities::PERSISTENT_HANDLES);
    disk.settings.continuous_availability && ctx.conn.negotiated.get().is_some_and(agreed)
}

fn granted_context(
    asked: Asked,
    granted: Option<crate::session::Grant>,
    persistent: bool,
) -> Option<CreateContext<'static>> {
    let timeout = granted?.timeout.as_millis().min(u32::MAX.into()) as u32;
    match asked {
        Asked::V1 => Some(DurableHandleResponse.to_context()),
        Asked::V2(_) => {
            let mut flags = DurableHandleFlags::empty();
            flags.set(DurableHandleFlags::PERSISTENT, persistent);
            Some(DurableHandleResponseV2 { timeout, flags }.to_context())
        }
        Asked::Reconnect { .. } => None,
    }
}

/// Those that wait for their client and are not persistent do not keep others from the file: they are closed. (What keeps
/// the handle by oplock or lease has been asked for it. A restart may have taken those.) False: there are none.
pub fn give_way(gate: &Arc<Gate>, opens: &[OpenId]) -> bool {
    let opens = opens.iter().filter_map(|id| gate.opens.by_volatile(id.0));
    opens.filter(|open| close::give_way(gate, open)).count() > 0
}

/// One of them is persistent and waits for its client, who is to find it as it was: the file cannot be had just now
/// (MS-SMB2 3.3.5.9).
pub fn any_persistent(gate: &Gate, opens: &[OpenId]) -> bool {
    let mut opens = opens.iter().filter_map(|id| gate.opens.by_volatile(id.0));
    opens.any(|open| open.is_persistent() && open.session() == SessionId(0))
}

/// The answer to a CREATE that was done before: what it led to, as it is now. As with Windows, who asks for less this
/// time is told of no more; nothing of the open changes. If it waits for its client he is back, as with DH2C.
pub fn replayed(
    ctx: &mut Ctx<'_>,
    request: &CreateRequest<'_>,
    asked: &contexts::Asked,
    open: &Arc<Open>,
    reply: &mut Reply,
) -> Handled {
    let disk = open.tree.disk()?;
    let file = crate::cmd::file_of(open)?;
    let asked_lease = lease_of(&request.create_contexts);
    let same = match (open.lease.get(), request.requested_oplock_level) {
        (_, OplockLevel::NONE) => true,
        (Some(lease), OplockLevel::LEASE) => {
            asked_lease.is_some_and(|asked| asked.lease_key() == lease.id.key)
        }
        (None, OplockLevel::LEASE) => oplock_of(open)? == OplockLevel::NONE,
        (lease, _) => lease.is_none(),
    };
    if !same {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let mut answers = {
        let path = disk.area.rules.lock().path_of(open.open_id()).ok_or(NtStatus::FILE_CLOSED)?;
        let stat = disk.area.export()?.stat(&file.object)?;
        let backup = file.options.contains(CreateOptions::OPEN_FOR_BACKUP_INTENT);
        let subject =
            contexts::Subject { object: &file.object, stat: &stat, path: &path, described: true, backup };
        contexts::answer(asked, &open.tree, &subject)?
    };
    let answer = if is_here(ctx, open)? {
        response(disk, open, file)?
    } else {
        let guid = asked.durable.and_then(Asked::create_guid).unwrap_or_default();
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
    answers.extend(asked.durable.and_then(|asked| granted_context(asked, granted, persistent)));
    answers.extend(lease);
    let create_action = durability.map_or(CreateAction::OPENED, |d| d.action);
    outdate(ctx, open);
    ctx.file = Some(open.id);
    CreateResponse { oplock_level, create_action, create_contexts: answers, ..answer }
        .encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
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
pub fn back(
    ctx: &mut Ctx<'_>,
    request: &CreateRequest<'_>,
    file_id: FileId,
    v2: Option<(Guid, bool)>,
    reply: &mut Reply,
) -> Handled {
    let (open, answer) = come_back(ctx, request, file_id, v2)?;
    let (oplock_level, lease) = held(&open, lease_of(&request.create_contexts).as_ref())?;
    outdate(ctx, &open);
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
        available: is_available(ctx, tree.disk()?),
        client: ctx.client_guid(),
        user: (!who.guest && !who.anonymous).then(|| who.user.clone()),
        share: durable::place_of(&tree.share),
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
    session: &crate::session::Session,
    open: &Open,
) -> Result<CreateResponse<'static>, NtStatus> {
    let disk = open.tree.disk()?;
    let file = crate::cmd::file_of(open)?;
    let answer = response(disk, open, file)?;
    open.sequence.restart(ctx.header.channel_sequence());
    open.move_to(session.id, tree.id);
    if !session.adopt(open, tree) {
        return Err(NtStatus::USER_SESSION_DELETED);
    }
    Ok(answer)
}

/// Others may have changed the file before this server ran. The client gets what it had, and then its break.
fn outdate(ctx: &mut Ctx<'_>, open: &Open) {
    let (Some(disk), Some(durability)) = (open.share().disk(), open.durability.get()) else { return };
    if open.is_outdated() {
        ctx.effects.extend(disk.area.rules.lock().outdate(open.open_id()));
        // From here on its record says that.
        durability.outdated.store(false, Ordering::SeqCst);
    }
}

/// What an open is now, but for what it caches. Blocks.
fn response(disk: &Disk, open: &Open, file: &FileOpen) -> Result<CreateResponse<'static>, NtStatus> {
    Ok(CreateResponse {
        create_action: CreateAction::OPENED,
        status: times::status(&times::stat(disk, file)?),
        file_id: open.id,
        ..CreateResponse::default()
    })
}

fn lease_of(contexts: &[CreateContext<'_>]) -> Option<Lease> {
    Lease::decode(find(contexts, name::REQUEST_LEASE)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId { persistent: 1, volatile: 2 };
    const GUID: Guid = Guid([7; 16]);

    fn contexts(which: [bool; 4]) -> Vec<CreateContext<'static>> {
        let all = [
            DurableHandleRequest.to_context(),
            DurableHandleReconnect { file_id: FILE }.to_context(),
            DurableHandleRequestV2 { create_guid: GUID, ..DurableHandleRequestV2::default() }.to_context(),
            DurableHandleReconnectV2 { file_id: FILE, create_guid: GUID, ..Default::default() }.to_context(),
        ];
        all.into_iter().zip(which).filter_map(|(context, yes)| yes.then_some(context)).collect()
    }

    #[test]
    fn one_kind_at_a_time() {
        for bits in 0..16u8 {
            let which = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0];
            let read = read(&contexts(which), true);
            match which {
                [false, false, false, false] => assert_eq!(read, Ok(None)),
                [true, false, false, false] => assert_eq!(read, Ok(Some(Asked::V1))),
                [_, true, false, false] => {
                    assert_eq!(read, Ok(Some(Asked::Reconnect { file_id: FILE, v2: None })));
                }
                [false, false, true, false] => {
                    assert!(matches!(read, Ok(Some(Asked::V2(v2))) if v2.create_guid == GUID));
                }
                [false, false, false, true] => {
                    let v2 = Some((GUID, false));
                    assert_eq!(read, Ok(Some(Asked::Reconnect { file_id: FILE, v2 })));
                }
                _ => assert_eq!(read, Err(NtStatus::INVALID_PARAMETER), "{which:?}"),
            }
        }
    }

    #[test]
    fn before_smb3_there_is_one_version() {
        assert_eq!(read(&contexts([true, false, true, true]), false), Ok(Some(Asked::V1)));
        assert_eq!(read(&contexts([false, false, true, false]), false), Ok(None));
    }
}
