//! LOCK requests against the tree (MS-FSA 2.1.5.8, 2.1.5.9; MS-SMB2 3.3.5.14).

use smallvec::SmallVec;

use super::locks::{Intent, Locks, Pending};
use super::tree::Waiting;
use super::{Effect, Effects, Moment, Tree, WaiterId};
use crate::types::{AccessMask, NtStatus, OpenId};

/// One element of a lock list. `exclusive` means nothing in an unlock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockRange {
    pub offset: u64,
    pub length: u64,
    pub exclusive: bool,
}

impl LockRange {
    /// Ends within 64 bits.
    pub fn is_valid(&self) -> bool {
        self.length == 0 || self.offset.checked_add(self.length - 1).is_some()
    }

    /// The range {0, 0}, which overlaps nothing.
    pub(super) fn is_nothing(&self) -> bool {
        self.offset == 0 && self.length == 0
    }
}

/// LockSequenceIndex and LockSequenceNumber (MS-SMB2 2.2.26).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockSequence {
    /// 1 to 64; others are not checked.
    pub index: u32,
    /// 0 to 15.
    pub number: u8,
}

/// A LOCK request without unlocks.
#[derive(Clone, Debug)]
pub struct LockAsk<'a> {
    pub open: OpenId,
    /// Taken all or none.
    pub ranges: &'a [LockRange],
    /// Who waits if it cannot be granted. None: SMB2_LOCKFLAG_FAIL_IMMEDIATELY.
    pub wait: Option<WaiterId>,
    /// Only where replay is detected: dialect above 2.0.2, and the open is durable, resilient or persistent or
    /// the connection may have several channels.
    pub sequence: Option<LockSequence>,
}

/// The answer to a LOCK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locking {
    Granted,
    /// [`Effect::Lock`] will answer it.
    Waiting,
    Refused(NtStatus),
}

/// Entry of the lock sequence array that holds no number.
const NO_SEQUENCE: u8 = 0xFF;

/// Open.LockSequenceArray (MS-SMB2 3.3.1.10).
#[derive(Debug)]
pub(super) struct Sequences([u8; 64]);

impl Default for Sequences {
    fn default() -> Self {
        Sequences([NO_SEQUENCE; 64])
    }
}

impl Sequences {
    fn entry(&mut self, sequence: LockSequence) -> Option<&mut u8> {
        self.0.get_mut(usize::try_from(sequence.index).ok()?.checked_sub(1)?)
    }

    /// This very request was already done. If not, its entry is free again.
    fn replayed(&mut self, sequence: LockSequence) -> bool {
        let Some(entry) = self.entry(sequence) else { return false };
        if *entry == sequence.number {
            return true;
        }
        *entry = NO_SEQUENCE;
        false
    }

    fn done(&mut self, sequence: LockSequence) {
        if let Some(entry) = self.entry(sequence) {
            *entry = sequence.number;
        }
    }
}

impl Tree {
    /// Takes locks. Refused: FILE_CLOSED, INVALID_PARAMETER (directory), ACCESS_DENIED (neither read nor write
    /// access), INVALID_LOCK_RANGE, LOCK_NOT_GRANTED.
    #[must_use]
    pub fn lock(&mut self, ask: &LockAsk<'_>, _now: Moment) -> Locking {
        if let Err(status) = self.lockable(ask.open) {
            return Locking::Refused(status);
        }
        if self.replayed(ask.open, ask.sequence) {
            return Locking::Granted;
        }
        let Some(locks) = self.locks_mut(ask.open) else { return Locking::Refused(NtStatus::FILE_CLOSED) };
        match (locks.grant(ask.open, ask.ranges), ask.wait) {
            (Ok(()), _) => {
                self.sequence_done(ask.open, ask.sequence);
                Locking::Granted
            }
            (Err(NtStatus::LOCK_NOT_GRANTED), Some(waiter)) => {
                locks.wait(Pending {
                    waiter,
                    open: ask.open,
                    ranges: SmallVec::from_slice(ask.ranges),
                    sequence: ask.sequence,
                });
                self.waiters.insert(waiter, Waiting::Lock(ask.open));
                Locking::Waiting
            }
            (Err(status), _) => Locking::Refused(status),
        }
    }

    /// Gives locks back, one element after the other, up to the first that fails: what was done before it stays
    /// done (MS-SMB2 3.3.5.14.1). The status is SUCCESS, FILE_CLOSED, INVALID_PARAMETER (directory),
    /// INVALID_LOCK_RANGE or RANGE_NOT_LOCKED. The effects are due in every case.
    #[must_use]
    pub fn unlock(
        &mut self,
        open: OpenId,
        ranges: &[LockRange],
        sequence: Option<LockSequence>,
        _now: Moment,
    ) -> (NtStatus, Effects) {
        if let Err(status) = self.lockable(open) {
            return (status, Effects::new());
        }
        if self.replayed(open, sequence) {
            return (NtStatus::SUCCESS, Effects::new());
        }
        let Some(locks) = self.locks_mut(open) else { return (NtStatus::FILE_CLOSED, Effects::new()) };
        let mut status = NtStatus::SUCCESS;
        for range in ranges {
            if !range.is_valid() {
                status = NtStatus::INVALID_LOCK_RANGE;
                break;
            }
            if !locks.release(open, range.offset, range.length) {
                status = NtStatus::RANGE_NOT_LOCKED;
                break;
            }
        }
        let effects = self.settle_locks(open);
        if status == NtStatus::SUCCESS {
            self.sequence_done(open, sequence);
        }
        (status, effects)
    }

    /// MS-FSA 2.1.5.3: may this open read here? No: FILE_LOCK_CONFLICT. Reading nothing is always allowed.
    pub fn may_read(&self, open: OpenId, offset: u64, length: u64) -> bool {
        self.may_access(open, offset, length, Intent::Read)
    }

    /// MS-FSA 2.1.5.4: may this open write here? No: FILE_LOCK_CONFLICT. Truncation is a write to what is cut.
    pub fn may_write(&self, open: OpenId, offset: u64, length: u64) -> bool {
        self.may_access(open, offset, length, Intent::Write)
    }

    fn may_access(&self, open: OpenId, offset: u64, length: u64, intent: Intent) -> bool {
        if length == 0 {
            return true;
        }
        match self.stream_of(open) {
            Some(stream) => !stream.locks.conflicts(open, offset, length, intent),
            None => true,
        }
    }

    fn lockable(&self, open: OpenId) -> Result<(), NtStatus> {
        let entry = self.opens.get(&open).ok_or(NtStatus::FILE_CLOSED)?;
        if entry.directory {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if !entry.access.intersects(AccessMask::READ_DATA | AccessMask::WRITE_DATA) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(())
    }

    fn locks_mut(&mut self, open: OpenId) -> Option<&mut Locks> {
        self.stream_of_mut(open).map(|s| &mut s.locks)
    }

    /// Grants what can be granted on the stream of `open` after something was released.
    pub(super) fn settle_locks(&mut self, open: OpenId) -> Effects {
        let granted = match self.locks_mut(open) {
            Some(locks) => locks.settle(),
            None => return Effects::new(),
        };
        self.granted(granted)
    }

    pub(super) fn granted(&mut self, granted: Vec<Pending>) -> Effects {
        let mut effects = Effects::with_capacity(granted.len());
        for pending in granted {
            self.waiters.remove(&pending.waiter);
            self.sequence_done(pending.open, pending.sequence);
            effects.push(Effect::Lock { waiter: pending.waiter, status: NtStatus::SUCCESS });
        }
        effects
    }

    fn replayed(&mut self, open: OpenId, sequence: Option<LockSequence>) -> bool {
        let entry = self.opens.get_mut(&open).and_then(|e| e.sequences.as_mut());
        match (entry, sequence) {
            (Some(sequences), Some(sequence)) => sequences.replayed(sequence),
            _ => false,
        }
    }

    fn sequence_done(&mut self, open: OpenId, sequence: Option<LockSequence>) {
        if let (Some(entry), Some(sequence)) = (self.opens.get_mut(&open), sequence) {
            entry.sequences.get_or_insert_with(Box::default).done(sequence);
        }
    }
}
