//! What is kept of an open beyond the life of the process, and how it gets it back.
//!
//! First all opens are registered ([`Tree::open`]), none with anything cached; then they get back what they cached, then
//! their locks, which would stand in the way of that, and last what is to be deleted, which nobody could open any more. (The
//! times that they froze, [`Tree::restore_times`], stand in nothing's way.)

use super::delete::Mark;
use super::lock::Sequences;
use super::{FrozenTimes, LeaseId, LockRange, RelPath, Tree};
use crate::types::{LeaseKey, LeaseState, OpenId, OplockLevel, ShareAccess};

/// What the rules know of an open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    pub path: RelPath,
    pub stream: Option<String>,
    pub share: ShareAccess,
    pub delete_on_close: bool,
    /// It is marked to be deleted.
    pub deleted: bool,
    pub oplock: OplockLevel,
    pub lease: Option<KeptLease>,
    /// Its client was told that these are broken, and has not answered: it has them still.
    pub breaking: bool,
    pub locks: Vec<LockRange>,
    pub sequences: Option<[u8; 64]>,
    /// None of a stream's.
    pub times: FrozenTimes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptLease {
    pub id: LeaseId,
    pub state: LeaseState,
    pub version2: bool,
    pub epoch: u16,
    pub parent: Option<LeaseKey>,
}

impl Tree {
    /// None: it is closed, or what it is open of is gone.
    pub fn kept(&self, open: OpenId) -> Option<Kept> {
        let entry = self.opens.get(&open)?;
        let link = &self.links[entry.link];
        let stream = self.stream_of(open)?;
        if link.gone || link.deleting || stream.deleting {
            return None;
        }
        let (oplock, lease, breaking) = self.caches(open);
        Some(Kept {
            path: link.path.clone(),
            stream: entry.stream.as_deref().map(str::to_owned),
            share: entry.share,
            delete_on_close: entry.delete_on_close,
            deleted: link.delete.is_some() || stream.deleted,
            oplock,
            lease,
            breaking,
            locks: stream.locks.of(open),
            sequences: entry.sequences.as_ref().map(|sequences| sequences.0),
            times: self.frozen_times(open),
        })
    }

    /// Locks that an open had. False: somebody else has got in the way of one, and it has none.
    pub fn restore_locks(&mut self, open: OpenId, ranges: &[LockRange], sequences: Option<[u8; 64]>) -> bool {
        let Some(stream) = self.stream_of_mut(open) else { return false };
        // An exclusive lock can only have been there before a shared one of the same owner.
        let mut ranges = ranges.to_vec();
        ranges.sort_by_key(|range| !range.exclusive);
        let granted = stream.locks.grant(open, &ranges).is_ok();
        if let Some(entry) = self.opens.get_mut(&open) {
            entry.sequences = sequences.filter(|_| granted).map(|sequences| Box::new(Sequences(sequences)));
        }
        granted
    }

    /// What it is open of was to be deleted.
    pub fn restore_deletion(&mut self, open: OpenId) {
        let Some(entry) = self.opens.get(&open) else { return };
        let (link, named) = (entry.link, entry.stream.is_some());
        match self.stream_of_mut(open) {
            Some(stream) if named => stream.deleted = true,
            _ => drop(self.links[link].delete.get_or_insert(Mark::default())),
        }
    }
}
