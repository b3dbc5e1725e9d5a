//! Which objects have no security descriptor stored, so that opening them again asks no more.
//!
//! Storing one sets the change time, which every look-up reads anyway. So an object that had none, at a change time that
//! was already a while ago, has none as long as that time is the same. Where change times come from elsewhere (FUSE,
//! network file systems) nothing is remembered.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Stat;
use super::index::Clockwork;
use crate::types::FileTime;

/// 128 KiB, once it is used.
const SLOTS: usize = 1 << 14;
/// More than change times are apart at least (a tick of the kernel is 10 ms at most), in units of 100 ns.
const A_WHILE: u64 = 1_000_000;

/// A slot holds the hash of node and change time of the last object it was used for. The key of the hash is this
/// process's own: nobody can make two objects that have the same.
pub struct Unstored {
    trusted: bool,
    slots: OnceLock<Box<[AtomicU64]>>,
    hasher: RandomState,
}

impl Unstored {
    pub fn new(clockwork: Clockwork) -> Unstored {
        Unstored {
            trusted: clockwork != Clockwork::Foreign,
            slots: OnceLock::new(),
            hasher: RandomState::new(),
        }
    }

    /// `stat`: of the object, from just now.
    pub fn knows(&self, stat: &Stat) -> bool {
        let Some(slots) = self.slots.get() else { return false };
        let hash = self.hash(stat);
        slots[hash as usize % SLOTS].load(Ordering::Relaxed) == hash
    }

    /// None was found, after `stat` was read.
    pub fn note(&self, stat: &Stat) {
        if !self.trusted {
            return;
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        self.note_at(stat, FileTime::from_unix(now.tv_sec, now.tv_nsec as u32));
    }

    fn note_at(&self, stat: &Stat, now: FileTime) {
        if now.0.saturating_sub(stat.version.0) < A_WHILE {
            return;
        }
        let slots = self.slots.get_or_init(|| (0..SLOTS).map(|_| AtomicU64::new(0)).collect());
        let hash = self.hash(stat);
        slots[hash as usize % SLOTS].store(hash, Ordering::Relaxed);
    }

    /// Never 0, which is an empty slot.
    fn hash(&self, stat: &Stat) -> u64 {
        self.hasher.hash_one((stat.key.dev, stat.key.ino, stat.version.0)) | 1 << 63
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posix::tests::{Share, new_file};

    #[test]
    fn only_what_has_long_been_so_is_remembered() {
        let s = Share::new();
        let stat = s.export.create(&s.missing("f"), new_file()).unwrap().stat;
        let later = |by| FileTime(stat.version.0 + by);
        let known = Unstored::new(Clockwork::Ticks);
        assert!(!known.knows(&stat));
        known.note_at(&stat, later(A_WHILE - 1));
        assert!(!known.knows(&stat), "it might change within the same tick");
        known.note_at(&stat, later(A_WHILE));
        assert!(known.knows(&stat));
        assert!(!known.knows(&Stat { version: later(1), ..stat }));
        assert!(!known.knows(&Stat { key: Default::default(), ..stat }));
        let foreign = Unstored::new(Clockwork::Foreign);
        foreign.note(&Stat { version: FileTime::ZERO, ..stat });
        assert!(!foreign.knows(&Stat { version: FileTime::ZERO, ..stat }));
    }
}
