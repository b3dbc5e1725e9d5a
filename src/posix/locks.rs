//! Byte-range locks that other programs of the machine see: each open has a descriptor of its own, and what it holds
//! belongs to that.

use smallvec::SmallVec;

use super::{Kind, Object};
use crate::fsa::LockRange;
use crate::sys::lock::{self, LAST, Lock};
use rustix::io::Errno;

/// Bytes whose lock changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Step {
    first: u64,
    last: u64,
    was: Lock,
    becomes: Lock,
}

impl Object {
    /// There are locks that its descriptor can have.
    pub fn can_lock(&self) -> bool {
        self.kind == Kind::File && !self.is_stream() && self.has_data()
    }

    /// Locks bytes for other programs as the ranges of `after` say, which so far were locked as those of `before` say.
    /// What the kernel has no lock for is left out: see [`Object::expressible`]. False: a lock of another program is in
    /// the way, and nothing has changed.
    #[must_use]
    pub fn relock(&self, before: &[LockRange], after: &[LockRange]) -> bool {
        let steps = steps(&self.expressible(before), &self.expressible(after));
        for (done, step) in steps.iter().enumerate() {
            match lock::set(&self.fd, step.becomes, step.first, step.last) {
                Ok(()) => {}
                Err(Errno::AGAIN) => {
                    for undo in &steps[..done] {
                        // Never refused: it is less than what is held.
                        let _ = lock::set(&self.fd, undo.was, undo.first, undo.last);
                    }
                    return false;
                }
                Err(errno) => log::debug!("no locks on this file system: {errno}"),
            }
        }
        true
    }

    /// Nothing is locked for other programs any more.
    pub fn unlock_all(&self) {
        let _ = lock::set(&self.fd, Lock::Unlocked, 0, LAST);
    }

    /// The ranges as first and last byte, without those that the kernel has no lock for: of no bytes, beyond its last
    /// byte, shared where the descriptor does not read, exclusive where it does not write.
    fn expressible(&self, ranges: &[LockRange]) -> SmallVec<[(u64, u64, Lock); 4]> {
        let of = |range: &LockRange| {
            let (able, kind) = match range.exclusive {
                true => (self.data.write, Lock::Exclusive),
                false => (self.data.read, Lock::Shared),
            };
            let last = range.offset.saturating_add(range.length.checked_sub(1)?).min(LAST);
            (able && range.offset <= LAST).then_some((range.offset, last, kind))
        };
        ranges.iter().filter_map(of).collect()
    }
}

/// Where the two differ, in order, in as few steps as there are.
fn steps(before: &[(u64, u64, Lock)], after: &[(u64, u64, Lock)]) -> SmallVec<[Step; 2]> {
    let mut edges: SmallVec<[u64; 8]> =
        before.iter().chain(after).flat_map(|&(first, last, _)| [first, last + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut steps: SmallVec<[Step; 2]> = SmallVec::new();
    for bounds in edges.windows(2) {
        let (first, last) = (bounds[0], bounds[1] - 1);
        let (was, becomes) = (at(before, first), at(after, first));
        if was == becomes {
            continue;
        }
        match steps.last_mut() {
            Some(step) if step.last + 1 == first && (step.was, step.becomes) == (was, becomes) => {
                step.last = last;
            }
            _ => steps.push(Step { first, last, was, becomes }),
        }
    }
    steps
}

/// The lock of one byte: the strongest of those that cover it.
fn at(ranges: &[(u64, u64, Lock)], byte: u64) -> Lock {
    let covering = ranges.iter().filter(|(first, last, _)| (*first..=*last).contains(&byte));
    covering.fold(Lock::Unlocked, |found, (_, _, kind)| match (found, kind) {
        (Lock::Exclusive, _) | (_, Lock::Exclusive) => Lock::Exclusive,
        _ => Lock::Shared,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Lock::{Exclusive, Shared, Unlocked};

    fn step(first: u64, last: u64, was: Lock, becomes: Lock) -> Step {
        Step { first, last, was, becomes }
    }

    #[test]
    fn unlocking_leaves_what_another_lock_covers() {
        let before = [(0, 9, Shared), (5, 14, Shared)];
        assert_eq!(steps(&before, &before[1..])[..], [step(0, 4, Shared, Unlocked)]);
        assert_eq!(steps(&before, &before[..1])[..], [step(10, 14, Shared, Unlocked)]);
        let stacked = [(0, 9, Exclusive), (3, 4, Shared)];
        assert_eq!(
            steps(&stacked, &stacked[1..])[..],
            [step(0, 2, Exclusive, Unlocked), step(3, 4, Exclusive, Shared), step(5, 9, Exclusive, Unlocked)]
        );
        assert!(steps(&stacked, &stacked[..1]).is_empty());
    }

    #[test]
    fn neighbours_are_one_step() {
        assert_eq!(
            steps(&[], &[(0, 4, Exclusive), (5, LAST, Exclusive)])[..],
            [step(0, LAST, Unlocked, Exclusive)]
        );
        assert!(steps(&[(1, 2, Shared)], &[(1, 1, Shared), (2, 2, Shared)]).is_empty());
    }
}
