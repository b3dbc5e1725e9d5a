//! CREATE and leases (MS-SMB2 3.3.5.9.8, 3.3.5.9.11).

use crate::cmd::{Ctx, Gate, Post};
use crate::fsa::{LeaseAsk, LeaseId, Leased};
use crate::session::{self, Disk, Open};
use crate::types::{Dialect, LeaseState, NodeKey, NtStatus, OplockLevel};
use crate::watch::{Interest, NoWatch};
use crate::wire::create::CreateRequest;
use crate::wire::create_context::{CreateContext, Lease, LeaseFlags, find, name};
use std::sync::Arc;

/// The lease that a CREATE asks for. Its key is the client's for as long as this, or an open that came of it, is there.
pub struct Wanted {
    lease: Arc<session::Lease>,
    ask: LeaseAsk,
    state: LeaseState,
    directories: bool,
}

/// None: no lease is asked for, or none is granted here. INVALID_PARAMETER: the client uses the key in another share.
pub fn read(ctx: &Ctx<'_>, request: &CreateRequest<'_>, disk: &Disk) -> Result<Option<Wanted>, NtStatus> {
    let Some(negotiated) = ctx.conn.negotiated.get() else { return Ok(None) };
    let leases = request.requested_oplock_level == OplockLevel::LEASE
        && disk.settings.leases
        && negotiated.dialect >= Dialect::SMB2_10;
    let Some(data) = find(&request.create_contexts, name::REQUEST_LEASE).filter(|_| leases) else {
        return Ok(None);
    };
    let (ask, state, version2) = match Lease::decode(data)? {
        Lease::V1 { lease_key, lease_state, .. } => {
            let id = LeaseId { client: negotiated.client_guid, key: lease_key };
            (LeaseAsk { id, ..LeaseAsk::default() }, lease_state, false)
        }
        Lease::V2 { .. } if !negotiated.dialect.is_smb3() => return Ok(None),
        Lease::V2 { lease_key, lease_state, flags, parent_lease_key, epoch } => {
            let id = LeaseId { client: negotiated.client_guid, key: lease_key };
            let parent = flags.contains(LeaseFlags::PARENT_LEASE_KEY_SET).then_some(parent_lease_key);
            (LeaseAsk { id, version2: true, epoch, parent }, lease_state, true)
        }
    };
    let lease = ctx.gate.leases.enter(ask.id, version2, &disk.area)?;
    Ok(Some(Wanted { lease, ask, state, directories: version2 && disk.settings.directory_leases }))
}

impl Wanted {
    /// What the rules are asked. `node`: None for what is yet to be created. INVALID_PARAMETER: the client uses the key
    /// for something else.
    pub fn ask(
        &self,
        disk: &Disk,
        node: Option<NodeKey>,
        stream: Option<&str>,
        directory: bool,
    ) -> Result<Option<LeaseAsk>, NtStatus> {
        if disk.area.rules.lock().lease_is_elsewhere(self.ask.id, node, stream) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        Ok(Some(self.ask).filter(|_| !directory || self.directories))
    }

    /// The open is in its lease from here on. To be done before it can be found.
    pub fn enter(&self, gate: &Gate, open: &Open) {
        self.lease.add(open);
        self.lease.touch(gate.milliseconds());
        let _ = open.lease.set(Arc::clone(&self.lease));
    }

    /// What has to be told of changes from outside, if this is granted.
    fn interest(&self) -> Interest {
        interest(self.state)
    }

    /// What it is wanted for may be watched, whatever that is.
    pub fn may_be_quick(&self) -> bool {
        self.state.is_empty() || self.lease.watches()
    }

    /// It can be granted without a system call.
    pub fn is_quick(&self, node: NodeKey) -> bool {
        self.state.is_empty() || self.lease.is_watched(node, self.interest())
    }

    /// Never a lease without a watch. Where the share is not to be watched, files are leased all the same: that is as much
    /// as to say that nobody else changes them.
    fn is_seen(&self, open: &Open) -> bool {
        let Some(file) = open.file().filter(|_| !self.state.is_empty()) else { return true };
        let area = &self.lease.area;
        let Some(path) = area.rules.lock().path_of(open.open_id()) else { return false };
        match self.lease.watch(file.key, self.interest(), |interest| {
            area.watch.ensure_named(&file.object, &path, interest)
        }) {
            Ok(()) => true,
            Err(NoWatch::Off) => !file.directory,
            Err(_) => false,
        }
    }

    /// After the open was entered into the tables.
    pub fn grant(&self, ctx: &mut Ctx<'_>, open: &Arc<Open>) -> Option<Leased> {
        open.lease.get()?;
        let wanted = if self.is_seen(open) { self.state } else { LeaseState::empty() };
        // From the moment it is granted it may be broken.
        self.lease.breaks.hold_back();
        ctx.post = Some(Post::Opened(Arc::clone(open)));
        let area = &self.lease.area;
        let mut rules = area.rules.lock();
        let before = rules.lease_of(open.open_id());
        let leased = rules.request_lease(open.open_id(), wanted, area.now());
        drop(rules);
        if leased != before {
            // It may be more than the records of its other opens say.
            for other in self.lease.others(&ctx.gate.opens, open) {
                if let Err(status) = ctx.gate.keeper.note(&other) {
                    log::info!("a lease is not kept as it is now: {status}");
                }
            }
        }
        leased
    }

    /// The context of the answer.
    pub fn context(&self, leased: Leased) -> CreateContext<'static> {
        context(self.ask, leased)
    }
}

/// What has to be told of changes from outside while this is held.
pub fn interest(state: LeaseState) -> Interest {
    let opens = if state.contains(LeaseState::WRITE) { Interest::OPENS } else { Interest::empty() };
    Interest::NAMES | Interest::CONTENT | opens
}

/// A lease is told of in the version that it was made with, whoever asks.
pub fn context(ask: LeaseAsk, leased: Leased) -> CreateContext<'static> {
    let mut flags = LeaseFlags::empty();
    flags.set(LeaseFlags::BREAK_IN_PROGRESS, leased.breaking);
    let lease = if leased.version2 {
        flags.set(LeaseFlags::PARENT_LEASE_KEY_SET, ask.parent.is_some());
        Lease::V2 {
            lease_key: ask.id.key,
            lease_state: leased.state,
            flags,
            parent_lease_key: ask.parent.unwrap_or_default(),
            epoch: leased.epoch,
        }
    } else {
        Lease::V1 { lease_key: ask.id.key, lease_state: leased.state, lease_flags: flags }
    };
    lease.to_context()
}

/// What an open is in, by the context that a CREATE sent once more, or for a handle that is there, is answered with.
/// `parent`: as the request has it.
pub fn of(open: &Open, asked: Option<&Lease>) -> Option<CreateContext<'static>> {
    let lease = open.lease.get()?;
    let leased = lease.area.rules.lock().lease_of(open.open_id())?;
    let parent = match asked {
        Some(Lease::V2 { flags, parent_lease_key, .. })
            if flags.contains(LeaseFlags::PARENT_LEASE_KEY_SET) =>
        {
            Some(*parent_lease_key)
        }
        _ => None,
    };
    Some(context(LeaseAsk { id: lease.id, parent, ..LeaseAsk::default() }, leased))
}
