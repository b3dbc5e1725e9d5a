//! The byte-range locks of one stream: a pure table (MS-FSA 2.1.4.10, 2.1.5.8, 2.1.5.9).

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::lock::Held;
use super::{LockRange, LockSequence, WaiterId};
use crate::types::{NtStatus, OpenId};

/// Granted locks and the requests that wait for one. Costs nothing while there are none.
#[derive(Default, Debug)]
pub(super) struct Locks {
    /// Ordered by offset; among equals, by the time they were granted.
    granted: Vec<Granted>,
    /// No granted lock is longer. Not lowered before the table is empty again.
    longest: u64,
    /// In the order in which they came.
    waiting: VecDeque<Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    range: LockRange,
    owner: OpenId,
}

/// A request that could not be granted at once.
#[derive(Debug)]
pub(super) struct Pending {
    pub waiter: WaiterId,
    pub open: OpenId,
    pub ranges: SmallVec<[LockRange; 1]>,
    pub sequence: Option<LockSequence>,
    pub outside: Outside,
}

/// What somebody outside has to do with a waiting request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outside {
    /// Nothing: it is granted as soon as it can be.
    Nothing,
    /// He is asked once it can be granted, by asking for it again.
    Asked,
    /// His lock is in the way. Only [`super::Tree::ask_lock_again`] ends that.
    InTheWay,
}

/// What an access wants of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Intent {
    Read,
    Write,
    Lock { exclusive: bool },
}

impl Locks {
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty() && self.waiting.is_empty()
    }

    /// With these of one open, and nothing else.
    pub fn holding(owner: OpenId, ranges: &[LockRange]) -> Locks {
        let granted = ranges.iter().map(|&range| Granted { range, owner }).collect();
        let longest = ranges.iter().map(|range| range.length).max().unwrap_or(0);
        Locks { granted, longest, waiting: VecDeque::new() }
    }

    /// The locks of this open, those that were granted first before others of the same offset.
    pub fn of(&self, owner: OpenId) -> Vec<LockRange> {
        self.granted.iter().filter(|g| g.owner == owner).map(|g| g.range).collect()
    }

    /// How many locks this open holds.
    pub fn held_by(&self, owner: OpenId) -> usize {
        self.granted.iter().filter(|g| g.owner == owner).count()
    }

    /// MS-FSA 2.1.4.10. The range {0, 0} overlaps nothing; another range of no bytes overlaps what has bytes on
    /// both sides of it.
    pub fn conflicts(&self, by: OpenId, offset: u64, length: u64, intent: Intent) -> bool {
        if self.granted.is_empty() || (offset == 0 && length == 0) {
            return false;
        }
        let last = last_byte(offset, length);
        let first = self.granted.partition_point(|g| g.range.offset < offset.saturating_sub(self.longest));
        self.granted[first..].iter().take_while(|g| g.range.offset <= last).any(|g| {
            if g.range.is_nothing() || last_byte(g.range.offset, g.range.length) < offset {
                return false;
            }
            match (g.range.exclusive, intent) {
                // Overlapping exclusive locks are refused even to the owner.
                (true, Intent::Lock { exclusive: true }) => true,
                (true, _) => g.owner != by,
                // A shared lock blocks writes and exclusive locks, the owner's too.
                (false, Intent::Write | Intent::Lock { exclusive: true }) => true,
                (false, _) => false,
            }
        })
    }

    /// All of the ranges, in order, or none. The ranges of one request can be in each other's way.
    pub fn grant(&mut self, owner: OpenId, ranges: &[LockRange]) -> Result<(), NtStatus> {
        for (done, range) in ranges.iter().enumerate() {
            let refused = if !range.is_valid() {
                NtStatus::INVALID_LOCK_RANGE
            } else if self.conflicts(
                owner,
                range.offset,
                range.length,
                Intent::Lock { exclusive: range.exclusive },
            ) {
                NtStatus::LOCK_NOT_GRANTED
            } else {
                let at = self.granted.partition_point(|g| g.range.offset <= range.offset);
                self.granted.insert(at, Granted { range: *range, owner });
                self.longest = self.longest.max(range.length);
                continue;
            };
            self.take_back(owner, &ranges[..done]);
            return Err(refused);
        }
        Ok(())
    }

    /// MS-FSA 2.1.5.9: exactly this range of this owner; of several, an exclusive one first.
    pub fn release(&mut self, owner: OpenId, offset: u64, length: u64) -> bool {
        self.remove(owner, offset, length, |r| r.exclusive) || self.remove(owner, offset, length, |_| true)
    }

    /// Removes the youngest match.
    fn remove(&mut self, owner: OpenId, offset: u64, length: u64, want: impl Fn(&LockRange) -> bool) -> bool {
        let first = self.granted.partition_point(|g| g.range.offset < offset);
        let end = first + self.granted[first..].partition_point(|g| g.range.offset == offset);
        let found = (first..end).rev().find(|&i| {
            let g = &self.granted[i];
            g.owner == owner && g.range.length == length && want(&g.range)
        });
        if let Some(at) = found {
            self.granted.remove(at);
            self.forget_longest();
        }
        found.is_some()
    }

    /// Everything an open holds. True if it held anything.
    pub fn release_all(&mut self, owner: OpenId) -> bool {
        let before = self.granted.len();
        self.granted.retain(|g| g.owner != owner);
        self.forget_longest();
        self.granted.len() < before
    }

    fn forget_longest(&mut self) {
        if self.granted.is_empty() {
            self.longest = 0;
        }
    }

    pub fn wait(&mut self, pending: Pending) {
        self.waiting.push_back(pending);
    }

    /// The locks of an open that have bytes in common with one of the ranges.
    pub fn held_near(&self, owner: OpenId, ranges: &[LockRange]) -> Held {
        let own = self.granted.iter().filter(|g| g.owner == owner).map(|g| g.range);
        own.filter(|held| ranges.iter().any(|range| held.overlaps(range))).collect()
    }

    /// Takes back what was granted a moment ago.
    pub fn take_back(&mut self, owner: OpenId, ranges: &[LockRange]) {
        for range in ranges.iter().rev() {
            let gone = self.remove(owner, range.offset, range.length, |g| g.exclusive == range.exclusive);
            debug_assert!(gone);
        }
    }

    /// Takes a waiting request back.
    pub fn withdraw(&mut self, waiter: WaiterId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|p| p.waiter != waiter);
        self.waiting.len() < before
    }

    /// Takes all waiting requests of an open back.
    pub fn withdraw_all(&mut self, open: OpenId) -> Vec<WaiterId> {
        let mut out = Vec::new();
        self.waiting.retain(|p| {
            if p.open == open {
                out.push(p.waiter);
            }
            p.open != open
        });
        out
    }

    /// After a release: grants, in the order they came, the waiting requests that now can be, and lets those that
    /// somebody outside has a say in go, to be asked again. One that still cannot does not hold up those behind it.
    pub fn settle(&mut self) -> Vec<Pending> {
        let mut settled = Vec::new();
        let mut at = 0;
        while at < self.waiting.len() {
            let Pending { open, outside, .. } = self.waiting[at];
            let ranges = self.waiting[at].ranges.clone();
            if outside == Outside::InTheWay || self.grant(open, &ranges).is_err() {
                at += 1;
                continue;
            }
            if outside == Outside::Asked {
                self.take_back(open, &ranges);
            }
            settled.extend(self.waiting.remove(at));
        }
        settled
    }
}

impl LockRange {
    /// They have bytes in common.
    fn overlaps(&self, other: &LockRange) -> bool {
        self.length > 0
            && other.length > 0
            && self.offset <= last_byte(other.offset, other.length)
            && other.offset <= last_byte(self.offset, self.length)
    }
}

/// The last byte of a range; of one without bytes, the byte before it. Input/output that runs over the end of
/// 64 bits stops there.
fn last_byte(offset: u64, length: u64) -> u64 {
    match length {
        0 => offset.wrapping_sub(1),
        n => offset.saturating_add(n - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: OpenId = OpenId(1);
    const B: OpenId = OpenId(2);

    fn x(offset: u64, length: u64) -> LockRange {
        LockRange { offset, length, exclusive: true }
    }

    fn s(offset: u64, length: u64) -> LockRange {
        LockRange { offset, length, exclusive: false }
    }

    fn holding(owner: OpenId, ranges: &[LockRange]) -> Locks {
        let mut locks = Locks::default();
        locks.grant(owner, ranges).unwrap();
        locks
    }

    #[test]
    fn exclusive_keeps_everybody_else_out() {
        let locks = holding(A, &[x(10, 10)]);
        assert!(locks.conflicts(B, 19, 1, Intent::Read) && locks.conflicts(B, 0, 11, Intent::Write));
        assert!(!locks.conflicts(B, 20, 1, Intent::Write) && !locks.conflicts(B, 0, 10, Intent::Write));
        assert!(!locks.conflicts(A, 10, 10, Intent::Write));
        assert!(!locks.conflicts(A, 10, 10, Intent::Lock { exclusive: false }));
        assert!(locks.conflicts(A, 10, 10, Intent::Lock { exclusive: true }));
    }

    #[test]
    fn shared_blocks_its_owners_writes_too() {
        let locks = holding(A, &[s(0, 5)]);
        assert!(locks.conflicts(A, 4, 1, Intent::Write) && !locks.conflicts(B, 4, 1, Intent::Read));
        assert!(!locks.conflicts(B, 4, 1, Intent::Lock { exclusive: false }));
    }

    #[test]
    fn ranges_of_no_bytes() {
        let any = Intent::Lock { exclusive: true };
        let locks = holding(A, &[x(10, 0)]);
        assert!(!locks.conflicts(B, 10, 0, any) && !locks.conflicts(B, 10, 1, any));
        assert!(!locks.conflicts(B, 9, 1, any) && locks.conflicts(B, 9, 2, any));
        let locks = holding(A, &[x(9, 2)]);
        assert!(
            locks.conflicts(B, 10, 0, any)
                && !locks.conflicts(B, 9, 0, any)
                && !locks.conflicts(B, 11, 0, any)
        );
        let locks = holding(A, &[x(0, 0)]);
        assert!(!locks.conflicts(B, 0, u64::MAX, any) && !locks.conflicts(B, 0, 0, any));
    }

    #[test]
    fn the_end_of_64_bits() {
        let mut locks = holding(A, &[x(u64::MAX, 1)]);
        assert_eq!(locks.grant(B, &[x(u64::MAX, 2)]), Err(NtStatus::INVALID_LOCK_RANGE));
        assert_eq!(locks.grant(B, &[x(u64::MAX - 1, 2)]), Err(NtStatus::LOCK_NOT_GRANTED));
        assert_eq!(locks.grant(B, &[x(u64::MAX - 1, 1)]), Ok(()));
        assert_eq!(locks.grant(B, &[s(u64::MAX, 0)]), Ok(()));
        assert_eq!(locks.grant(B, &[x(1, u64::MAX)]), Err(NtStatus::LOCK_NOT_GRANTED));
    }

    #[test]
    fn a_list_is_taken_whole_or_not_at_all() {
        let mut locks = holding(A, &[x(20, 5)]);
        assert_eq!(locks.grant(B, &[x(0, 5), s(5, 5), x(22, 1)]), Err(NtStatus::LOCK_NOT_GRANTED));
        assert_eq!(locks.held_by(B), 0);
        assert_eq!(locks.grant(B, &[x(0, 5), x(4, 5)]), Err(NtStatus::LOCK_NOT_GRANTED), "in its own way");
        assert!(!locks.conflicts(A, 0, 10, Intent::Write));
    }

    #[test]
    fn who_is_asked_outside_is_let_go_and_who_is_in_the_way_there_stays() {
        let mut locks = holding(A, &[x(0, 5)]);
        for (waiter, outside) in [(1, Outside::InTheWay), (2, Outside::Asked), (3, Outside::Nothing)] {
            let ranges = SmallVec::from_slice(&[x(0, 5)]);
            locks.wait(Pending { waiter: WaiterId(waiter), open: B, ranges, sequence: None, outside });
        }
        assert!(locks.settle().is_empty());
        assert!(locks.release(A, 0, 5));
        assert_eq!(locks.settle().iter().map(|p| p.waiter.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(locks.held_near(B, &[s(4, 1)])[..], [x(0, 5)], "of the third");
        assert!(locks.held_near(B, &[s(5, 1), s(4, 0)]).is_empty() && locks.withdraw(WaiterId(1)));
    }

    #[test]
    fn unlock_is_exact_and_takes_the_exclusive_one_first() {
        let mut locks = holding(A, &[x(0, 5), s(0, 5)]);
        assert!(!locks.release(B, 0, 5) && !locks.release(A, 0, 4) && !locks.release(A, 1, 4));
        assert!(locks.release(A, 0, 5));
        assert!(!locks.conflicts(B, 0, 5, Intent::Read) && locks.conflicts(B, 0, 5, Intent::Write));
        assert!(locks.release(A, 0, 5) && !locks.release(A, 0, 5) && locks.is_empty());
    }
}
