//! What clients may cache: oplocks (MS-FSA 2.1.4.12, 2.1.5.18, 2.1.5.19) and leases (MS-SMB2 3.3.1.11, 3.3.1.12).
//!
//! An oplock belongs to one open. A **lease** belongs to a client and a key of its choice, and all opens that it makes
//! with that key share it. Both are a set of rights to one stream, or to a directory's listing:
//!
//! ```text
//!   READ    it may answer reads from its cache            level II is READ
//!   WRITE   it may keep writes, and is alone              exclusive is READ + WRITE
//!   HANDLE  it may keep the handle when its user closes   batch is all three
//!
//!   held --a conflict--> breaking (told, once, what is left) --acknowledged--> held, less
//!    |                       |   '--more was taken meanwhile: told again      (oplocks: at most level II)
//!    |                       '--closed, time-out--> none
//!    '-- READ only: gone at once, nobody waits
//! ```
//!
//! What conflicts: an open takes WRITE and waits for it; one that overwrites takes all, and waits if there was WRITE; one
//! that a share mode would refuse takes HANDLE, waits, and is decided again; so do rename and delete. Who writes or locks
//! takes READ, and waits for nothing. Opens of the same lease take nothing from it.
//!
//! A directory's lease ends with each change of its listing, except for opens that name it as their parent's.

mod acknowledge;
mod changed;
mod directory;
mod grant;
mod handle;
mod take;

pub use grant::Leased;
pub use handle::Way;

use super::{Effect, Effects, Tree, WaiterId};
use crate::types::{Guid, LeaseKey, LeaseState, NodeKey, OpenId, OplockLevel};

/// A lease: what one client calls by one key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct LeaseId {
    pub client: Guid,
    pub key: LeaseKey,
}

/// The lease context of a CREATE (MS-SMB2 2.2.13.2.8, 2.2.13.2.10), but for what it wants of it:
/// [`Tree::request_lease`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeaseAsk {
    pub id: LeaseId,
    /// It counts epochs. Decided by the first open of the lease.
    pub version2: bool,
    /// The client's count, where the lease is new.
    pub epoch: u16,
    /// The key of the lease that the client has on the file's directory.
    pub parent: Option<LeaseKey>,
}

/// What an open has to do with leases.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenLease {
    pub id: LeaseId,
    pub parent: Option<LeaseKey>,
}

/// Whose a set of rights is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Oplock(OpenId),
    Lease(LeaseId),
}

/// Rights to one stream. Of all that are held there, either one has WRITE and there is no other, or none has.
#[derive(Debug)]
struct Held {
    who: Who,
    /// In force until a break is acknowledged. Of an oplock never empty.
    state: LeaseState,
    breaking: Option<Breaking>,
    /// Opens of the lease.
    opens: u32,
    version2: bool,
    epoch: u16,
}

/// The holder was told, and has not answered yet.
#[derive(Clone, Copy, Debug)]
struct Breaking {
    /// What it was told that it keeps.
    to: LeaseState,
    /// What it will have been told to keep in the end.
    required: LeaseState,
    /// It answered wrongly, and was told once more.
    reminded: bool,
}

/// All rights to one stream, and who waits for some of them to be given up.
#[derive(Debug, Default)]
pub(super) struct Caching {
    held: Vec<Held>,
    /// Only while something is breaking.
    waiters: Vec<WaiterId>,
}

const ALL: LeaseState = LeaseState::READ.union(LeaseState::WRITE).union(LeaseState::HANDLE);
/// What has to be given up by an answer.
const WAITED_FOR: LeaseState = LeaseState::WRITE.union(LeaseState::HANDLE);

fn state_of(level: OplockLevel) -> LeaseState {
    match level {
        OplockLevel::BATCH => ALL,
        OplockLevel::EXCLUSIVE => LeaseState::READ | LeaseState::WRITE,
        OplockLevel::LEVEL_II => LeaseState::READ,
        _ => LeaseState::empty(),
    }
}

fn level_of(state: LeaseState) -> OplockLevel {
    if state.contains(ALL) {
        OplockLevel::BATCH
    } else if state.contains(LeaseState::WRITE) {
        OplockLevel::EXCLUSIVE
    } else if state.contains(LeaseState::READ) {
        OplockLevel::LEVEL_II
    } else {
        OplockLevel::NONE
    }
}

impl Held {
    fn oplock(open: OpenId, state: LeaseState) -> Held {
        Held { who: Who::Oplock(open), state, breaking: None, opens: 1, version2: false, epoch: 0 }
    }

    /// What is left of it without `taken`: an oplock goes down to level II or none, a lease keeps nothing without READ.
    fn without(&self, taken: LeaseState) -> LeaseState {
        let left = self.state & !taken;
        match self.who {
            _ if left == self.state => left,
            _ if !left.contains(LeaseState::READ) => LeaseState::empty(),
            Who::Oplock(_) => LeaseState::READ,
            Who::Lease(_) => left,
        }
    }

    /// Some: the holder is to be told. It is told once; what more is taken meanwhile follows its answer.
    fn take(&mut self, taken: LeaseState) -> Option<Effect> {
        if let Some(breaking) = &mut self.breaking {
            let left = breaking.required & !taken;
            breaking.required = if left.contains(LeaseState::READ) { left } else { LeaseState::empty() };
            return None;
        }
        let to = self.without(taken);
        if to == self.state {
            return None;
        }
        self.epoch = self.epoch.wrapping_add(1);
        Some(self.tell(to, to))
    }

    /// Begins a break, or a further step of one.
    fn tell(&mut self, to: LeaseState, required: LeaseState) -> Effect {
        let from = self.state;
        let acknowledge = from.intersects(WAITED_FOR);
        if acknowledge {
            self.breaking = Some(Breaking { to, required, reminded: false });
        } else {
            self.state = to;
        }
        match self.who {
            Who::Oplock(open) => Effect::Break { open, to: level_of(to), acknowledge },
            Who::Lease(id) => {
                let epoch = if self.version2 { self.epoch } else { 0 };
                Effect::BreakLease { id, from, to, acknowledge, epoch }
            }
        }
    }
}

impl Caching {
    /// Nobody has any right.
    pub fn is_idle(&self) -> bool {
        self.held.iter().all(|h| h.state.is_empty())
    }

    /// Most streams have one holder for good.
    fn hold(&mut self, held: Held) {
        if self.held.is_empty() {
            self.held.reserve_exact(1);
        }
        self.held.push(held);
    }

    /// Somebody was told, and has not answered yet.
    fn is_breaking(&self) -> bool {
        self.held.iter().any(|h| h.breaking.is_some())
    }

    fn find(&mut self, who: Who) -> Option<&mut Held> {
        self.held.iter_mut().find(|h| h.who == who)
    }

    /// An open of the lease is registered: from now on, the lease is there.
    pub fn enter(&mut self, ask: &LeaseAsk) {
        match self.find(Who::Lease(ask.id)) {
            Some(held) => held.opens += 1,
            None => self.hold(Held {
                who: Who::Lease(ask.id),
                state: LeaseState::empty(),
                breaking: None,
                opens: 1,
                version2: ask.version2,
                epoch: ask.epoch,
            }),
        }
    }

    /// The open is closed, and with it its oplock, or with the last one its lease. Who waited for that; whether the lease
    /// is no more.
    pub fn leave(&mut self, open: OpenId, lease: Option<LeaseId>) -> (Vec<WaiterId>, bool) {
        let who = lease.map_or(Who::Oplock(open), Who::Lease);
        let Some(at) = self.held.iter().position(|h| h.who == who) else { return (Vec::new(), false) };
        self.held[at].opens -= 1;
        if self.held[at].opens > 0 {
            return (Vec::new(), false);
        }
        self.held.remove(at);
        (self.settled(), lease.is_some())
    }

    /// Who waited, if what they waited for is over.
    fn settled(&mut self) -> Vec<WaiterId> {
        match self.is_breaking() {
            true => Vec::new(),
            false => std::mem::take(&mut self.waiters),
        }
    }

    /// Is there something of what is to be taken that has to be waited for? Nobody waits for himself.
    fn keeps(&self, taken: LeaseState, except: Option<Who>) -> bool {
        let waited_for = taken & WAITED_FOR;
        self.held.iter().any(|h| h.state.intersects(waited_for) && except != Some(h.who))
    }

    /// Takes rights from all but one holder.
    fn take(&mut self, taken: LeaseState, except: Option<Who>, effects: &mut Effects) {
        effects.extend(self.held.iter_mut().filter(|h| except != Some(h.who)).filter_map(|h| h.take(taken)));
        self.drop_ended();
    }

    /// An oplock that is none is not there. A lease stays while it has opens.
    fn drop_ended(&mut self) {
        self.held.retain(|h| !h.state.is_empty() || matches!(h.who, Who::Lease(_)));
    }
}

impl Tree {
    pub(super) fn caching_of(&mut self, node: NodeKey, stream: Option<&str>) -> Option<&mut Caching> {
        let node = self.nodes.get_mut(&node)?;
        let at = node.stream_at(stream)?;
        Some(&mut node.streams[at].caching)
    }

    /// The rights that a lease is.
    fn held_by(&mut self, id: LeaseId) -> Option<(&mut Caching, usize)> {
        let node = self.nodes.get_mut(self.leases.get(&id)?)?;
        node.streams.iter_mut().find_map(|stream| {
            let at = stream.caching.held.iter().position(|h| h.who == Who::Lease(id))?;
            Some((&mut stream.caching, at))
        })
    }

    pub(super) fn lease_id_of(&self, open: OpenId) -> Option<LeaseId> {
        self.opens.get(&open)?.lease.as_ref().map(|lease| lease.id)
    }

    /// Whose rights the open's are, if it has any.
    fn who(&self, open: OpenId) -> Who {
        self.lease_id_of(open).map_or(Who::Oplock(open), Who::Lease)
    }

    /// Does the client use this key for another stream, file or directory already (MS-SMB2 3.3.5.9.8)? `node` is None for
    /// what is yet to be created.
    pub fn lease_is_elsewhere(&self, id: LeaseId, node: Option<NodeKey>, stream: Option<&str>) -> bool {
        let Some(there) = self.leases.get(&id) else { return false };
        if node != Some(*there) {
            return true;
        }
        let stream = self.nodes.get(there).and_then(|node| node.stream(stream));
        stream.is_none_or(|stream| stream.caching.held.iter().all(|h| h.who != Who::Lease(id)))
    }

    /// Who waits is asked again.
    pub(super) fn woken(&mut self, waiters: Vec<WaiterId>) -> Effects {
        let mut effects = Effects::with_capacity(waiters.len());
        for waiter in waiters {
            self.waiters.remove(&waiter);
            effects.push(Effect::Open { waiter, status: crate::types::NtStatus::SUCCESS });
        }
        effects
    }

    pub(super) fn cancel_open(&mut self, node: NodeKey, stream: Option<&str>, waiter: WaiterId) -> Effects {
        if let Some(caching) = self.caching_of(node, stream) {
            caching.waiters.retain(|w| *w != waiter);
        }
        vec![Effect::Open { waiter, status: crate::types::NtStatus::CANCELLED }]
    }

    fn wait_on(&mut self, node: NodeKey, stream: Option<&str>, waiter: Option<WaiterId>) {
        let Some(waiter) = waiter else { return };
        if let Some(caching) = self.caching_of(node, stream) {
            caching.waiters.push(waiter);
            let stream = stream.map(Into::into);
            self.waiters.insert(waiter, super::tree::Waiting::Open { node, stream });
        }
    }
}
