//! Who gets what (MS-FSA 2.1.5.18, MS-SMB2 3.3.5.9.8, 3.3.5.9.11).

use super::{ALL, Held, LeaseState, Who, level_of, state_of};
use crate::fsa::tree::Stream;
use crate::fsa::{KeptLease, Moment, Tree};
use crate::types::{OpenId, OplockLevel};

/// What a lease is at the moment: the lease context of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leased {
    pub state: LeaseState,
    /// SMB2_LEASE_FLAG_BREAK_IN_PROGRESS: the state is the one from before the break.
    pub breaking: bool,
    pub version2: bool,
    /// Zero for a lease of version 1.
    pub epoch: u16,
}

impl Held {
    fn leased(&self) -> Leased {
        let epoch = if self.version2 { self.epoch } else { 0 };
        Leased { state: self.state, breaking: self.breaking.is_some(), version2: self.version2, epoch }
    }
}

/// What can be had at all: READ, with others or alone (MS-FSA 2.1.5.18). A directory's listing is not written to.
fn valid(wanted: LeaseState, directory: bool) -> LeaseState {
    let wanted = wanted & if directory { LeaseState::READ | LeaseState::HANDLE } else { ALL };
    if wanted.contains(LeaseState::READ) { wanted } else { LeaseState::empty() }
}

impl Stream {
    /// The part of `wanted` that goes together with what others have, and have open.
    fn grantable(&self, at: usize, wanted: LeaseState) -> LeaseState {
        let held = &self.caching.held[at];
        let others = || self.caching.held.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, h)| h);
        let alone = self.opens == held.opens;
        if self.unseen_writers > 0 {
            return LeaseState::empty();
        }
        if others().any(|h| h.state.contains(LeaseState::WRITE)) || !(alone || self.locks.is_empty()) {
            return LeaseState::empty();
        }
        let mut granted = wanted;
        if !alone {
            granted &= !LeaseState::WRITE;
        }
        // Level II oplocks and handle caching exclude each other.
        if others().any(|h| matches!(h.who, Who::Oplock(_))) {
            granted &= !LeaseState::HANDLE;
        }
        granted
    }
}

impl Tree {
    /// MS-FSA 2.1.5.18, after the open was granted: the level that it gets, at most the one asked for.
    #[must_use]
    pub fn request_oplock(&mut self, open: OpenId, level: OplockLevel, _now: Moment) -> OplockLevel {
        let Some(entry) = self.opens.get(&open) else { return OplockLevel::NONE };
        if entry.directory || entry.lease.is_some() {
            return OplockLevel::NONE;
        }
        let renamed = entry.renamed;
        let Some(stream) = self.stream_of_mut(open) else { return OplockLevel::NONE };
        if stream.unseen_writers > 0 || stream.renamed != renamed {
            return OplockLevel::NONE;
        }
        let exclusive = matches!(level, OplockLevel::EXCLUSIVE | OplockLevel::BATCH);
        let granted = if exclusive && stream.opens == 1 && stream.caching.is_idle() {
            level
        } else if (exclusive || level == OplockLevel::LEVEL_II)
            && !stream.caching.held.iter().any(|h| h.state.intersects(super::WAITED_FOR))
            && stream.locks.is_empty()
        {
            OplockLevel::LEVEL_II
        } else {
            return OplockLevel::NONE;
        };
        stream.caching.hold(Held::oplock(open, state_of(granted)));
        granted
    }

    /// After the open was granted: what its lease is now. A lease that had nothing gets the part of `wanted` that can be
    /// had; one that has something gets all of it, if that is more, or keeps what it has. Nothing is added if the name has
    /// become another's since the open. None: the open has no lease.
    #[must_use]
    pub fn request_lease(&mut self, open: OpenId, wanted: LeaseState, _now: Moment) -> Option<Leased> {
        let entry = self.opens.get(&open)?;
        let id = entry.lease.as_ref()?.id;
        let (wanted, renamed) = (valid(wanted, entry.directory), entry.renamed);
        let stream = self.stream_of_mut(open)?;
        let at = stream.caching.held.iter().position(|h| h.who == Who::Lease(id))?;
        let can = stream.grantable(at, wanted);
        let held = &mut stream.caching.held[at];
        let had = held.state;
        let more = wanted != had && wanted.contains(had) && (had.is_empty() || can == wanted);
        if held.breaking.is_none() && more && can != had && stream.renamed == renamed {
            held.state = can;
            held.epoch = held.epoch.wrapping_add(1);
        }
        Some(held.leased())
    }

    /// What the lease of an open is now, if it has one.
    pub fn lease_of(&self, open: OpenId) -> Option<Leased> {
        let id = self.lease_id_of(open)?;
        let held = self.stream_of(open)?.caching.held.iter().find(|h| h.who == Who::Lease(id))?;
        Some(held.leased())
    }

    /// What an open has, also of what is being broken, and whether anything is.
    pub(in crate::fsa) fn caches(&self, open: OpenId) -> (OplockLevel, Option<KeptLease>, bool) {
        let who = self.who(open);
        let held = self.stream_of(open).and_then(|s| s.caching.held.iter().find(|h| h.who == who));
        let Some(held) = held else { return (OplockLevel::NONE, None, false) };
        let (level, lease) = match who {
            Who::Oplock(_) => (level_of(held.state), None),
            Who::Lease(id) => {
                let parent = self.opens.get(&open).and_then(|e| e.lease.as_ref()).and_then(|l| l.parent);
                let Held { state, version2, epoch, .. } = *held;
                (OplockLevel::LEASE, Some(KeptLease { id, state, version2, epoch, parent }))
            }
        };
        (level, lease, held.breaking.is_some())
    }

    /// The level that an open has; while it is being broken, the old one.
    pub fn oplock_of(&self, open: OpenId) -> OplockLevel {
        let held =
            self.stream_of(open).and_then(|s| s.caching.held.iter().find(|h| h.who == Who::Oplock(open)));
        held.map_or(OplockLevel::NONE, |held| level_of(held.state))
    }

    /// Its client may keep the handle while nobody wants the file: handle caching, by oplock or lease, that is not being
    /// taken from it.
    pub fn keeps_handle(&self, open: OpenId) -> bool {
        let who = self.lease_id_of(open).map_or(Who::Oplock(open), Who::Lease);
        let held = self.stream_of(open).and_then(|s| s.caching.held.iter().find(|h| h.who == who));
        held.is_some_and(|h| {
            let left = h.breaking.map_or(h.state, |breaking| breaking.required);
            match h.who {
                Who::Oplock(_) => h.breaking.is_none() && h.state.contains(LeaseState::HANDLE),
                Who::Lease(_) => left.contains(LeaseState::HANDLE),
            }
        })
    }
}
