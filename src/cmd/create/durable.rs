//! CREATE and handles that survive: asking for one (MS-SMB2 3.3.5.9.6, 3.3.5.9.10). Of one that is there: [`super::back`].

use super::disk_path;
use crate::cmd::{Ctx, Gate, close};
use crate::durable::{self, grant, grant::Candidate};
use crate::session::{Disk, Durability, Grant, Open};
use crate::types::{FileId, Guid, NtStatus, OpenId, OplockLevel, SessionId};
use crate::wire::create::CreateAction;
use crate::wire::create_context::{
    CreateContext, DurableHandleFlags, DurableHandleReconnect, DurableHandleReconnectV2,
    DurableHandleRequest, DurableHandleRequestV2, DurableHandleResponse, DurableHandleResponseV2, find, name,
};
use crate::wire::header::HeaderFlags;
use crate::wire::negotiate::Capabilities;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    pub fn create_guid(self) -> Option<Guid> {
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

/// It is reached through the session and the tree of this request.
pub fn is_here(ctx: &Ctx<'_>, open: &Open) -> Result<bool, NtStatus> {
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
    let candidate = candidate(ctx, asked, disk, open, (oplock, handle_lease));
    let (wanted, create_guid) = match asked {
        Asked::V1 => (0, Guid::default()),
        Asked::V2(v2) => (v2.timeout, v2.create_guid),
        Asked::Reconnect { .. } => return None,
    };
    let granted = grant::grant(&candidate, wanted);
    let persistent = granted.is_some() && candidate.persistent;
    let access = open.file().map(|file| file.access).unwrap_or_default();
    let replays = grant::is_replay_eligible(persistent, candidate.directory, access);
    let claim = ctx.claim.take().filter(|_| replays);
    let durability = Durability {
        persistent: persistent.into(),
        ..Durability::new(ctx.client_guid(), create_guid, action, granted)
    };
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
    context(asked, granted, open.is_persistent())
}

fn candidate(
    ctx: &Ctx<'_>,
    asked: Asked,
    disk: &Disk,
    open: &Open,
    (oplock, handle_lease): (OplockLevel, bool),
) -> Candidate {
    let who = ctx.session.as_ref().and_then(|session| session.who());
    Candidate {
        directory: open.file().is_none_or(|file| file.directory),
        nobody: who.is_none_or(|who| who.guest || who.anonymous),
        oplock,
        handle_lease,
        share_timeout: disk.settings.durable_timeout,
        persistent: asked.is_persistent() && is_available(ctx, disk),
    }
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
pub fn is_available(ctx: &Ctx<'_>, disk: &Disk) -> bool {
    let agreed =
        |n: &crate::conn::Negotiated| n.server_capabilities.contains(Capabilities::PERSISTENT_HANDLES);
    disk.settings.continuous_availability && ctx.conn.negotiated.get().is_some_and(agreed)
}

/// What the client is told of what was granted.
pub fn context(asked: Asked, granted: Option<Grant>, persistent: bool) -> Option<CreateContext<'static>> {
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
