//! LOCK requests against the tree (MS-FSA 2.1.5.8, 2.1.5.9; MS-SMB2 3.3.5.14).

use smallvec::SmallVec;

use super::locks::{Intent, Locks, Outside, Pending};
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
    /// Somebody outside has a say in it: once it is granted here he is asked, and if he refuses, the caller says so
    /// with [`Tree::lock_refused_outside`]. If it has to wait, it is asked for again rather than granted.
    pub outside: bool,
}

/// Locks of one open.
pub type Held = SmallVec<[LockRange; 4]>;

/// The answer to a LOCK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locking {
    Granted,
    /// [`Effect::Lock`] will answer it, or [`Effect::LockAgain`] has it asked for again.
    Waiting,
    Refused(NtStatus),
}

/// Entry of the lock sequence array that holds no number.
const NO_SEQUENCE: u8 = 0xFF;

/// Open.LockSequenceArray (MS-SMB2 3.3.1.10).
#[derive(Debug)]
pub(super) struct Sequences(pub [u8; 64]);

impl Default for Sequences {
    fn default() -> Self {
        Sequences([NO_SEQUENCE; 64])
    }
}

impl Sequences {
    fn entry(&mut self, sequence: LockSequence) -> Option<&mut u8> {
        self.0.get_mut(usize::try_from(sequence.index).ok()?.checked_sub(1)?)
    }

    fn holds(&self, sequence: LockSequence) -> bool {
        let at = usize::try_from(sequence.index).ok().and_then(|index| index.checked_sub(1));
        at.and_then(|at| self.0.get(at)) == Some(&sequence.number)
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

    fn forget(&mut self, sequence: LockSequence) {
        if let Some(entry) = self.entry(sequence) {
            *entry = NO_SEQUENCE;
        }
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
                let outside = if ask.outside { Outside::Asked } else { Outside::Nothing };
                self.wait_for_lock(ask, waiter, outside);
                Locking::Waiting
            }
            (Err(status), _) => Locking::Refused(status),
        }
    }

    fn wait_for_lock(&mut self, ask: &LockAsk<'_>, waiter: WaiterId, outside: Outside) {
        let Some(locks) = self.locks_mut(ask.open) else { return };
        locks.wait(Pending {
            waiter,
            open: ask.open,
            ranges: SmallVec::from_slice(ask.ranges),
            sequence: ask.sequence,
            outside,
        });
        self.waiters.insert(waiter, Waiting::Lock(ask.open));
    }

    /// What was granted a moment ago is refused outside, and so it was not granted. Who waits does so until
    /// [`Tree::ask_lock_again`].
    #[must_use]
    pub fn lock_refused_outside(&mut self, ask: &LockAsk<'_>, _now: Moment) -> (Locking, Effects) {
        if let (Some(entry), Some(sequence)) = (self.opens.get_mut(&ask.open), ask.sequence)
            && let Some(sequences) = &mut entry.sequences
        {
            sequences.forget(sequence);
        }
        let Some(locks) = self.locks_mut(ask.open) else {
            return (Locking::Refused(NtStatus::FILE_CLOSED), Effects::new());
        };
        locks.take_back(ask.open, ask.ranges);
        let effects = self.settle_locks(ask.open);
        match ask.wait {
            Some(waiter) => {
                self.wait_for_lock(ask, waiter, Outside::InTheWay);
                (Locking::Waiting, effects)
            }
            None => (Locking::Refused(NtStatus::LOCK_NOT_GRANTED), effects),
        }
    }

    /// Somebody outside may have given up what was in the way of a waiting request. Nothing, if it has been answered.
    #[must_use]
    pub fn ask_lock_again(&mut self, waiter: WaiterId) -> Effects {
        let Some(&Waiting::Lock(open)) = self.waiters.get(&waiter) else { return Effects::new() };
        self.waiters.remove(&waiter);
        let found = self.locks_mut(open).is_some_and(|locks| locks.withdraw(waiter));
        debug_assert!(found);
        vec![Effect::LockAgain { waiter }]
    }

    /// The locks of an open that have bytes in common with one of the ranges.
    pub fn held_locks(&self, open: OpenId, ranges: &[LockRange]) -> Held {
        self.stream_of(open).map(|stream| stream.locks.held_near(open, ranges)).unwrap_or_default()
    }

    /// Those of them that [`Tree::unlock`] would leave. It changes nothing.
    pub fn left_by_unlock(&self, open: OpenId, ranges: &[LockRange], sequence: Option<LockSequence>) -> Held {
        let held = self.held_locks(open, ranges);
        let sequences = self.opens.get(&open).and_then(|entry| entry.sequences.as_ref());
        if sequences.zip(sequence).is_some_and(|(done, this)| done.holds(this)) {
            return held;
        }
        let mut locks = Locks::holding(open, &held);
        for range in ranges {
            if !range.is_valid() || !locks.release(open, range.offset, range.length) {
                break;
            }
        }
        locks.held_near(open, ranges)
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

    pub(super) fn granted(&mut self, settled: Vec<Pending>) -> Effects {
        let mut effects = Effects::with_capacity(settled.len());
        for Pending { waiter, open, sequence, outside, .. } in settled {
            self.waiters.remove(&waiter);
            if outside == Outside::Nothing {
                self.sequence_done(open, sequence);
                effects.push(Effect::Lock { waiter, status: NtStatus::SUCCESS });
            } else {
                effects.push(Effect::LockAgain { waiter });
            }
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
