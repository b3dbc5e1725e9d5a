//! Byte-range locks: a list, and overlap told by bytes and gaps rather than by arithmetic on ends.

use smbgate::fsa::{
    Effect, LockAsk, LockRange, LockSequence, Locking, Moment, OpenAsk, Opening, RelPath, Tree, WaiterId,
};
use smbgate::types::{AccessMask, NodeKey, NtStatus, OpenId, ShareAccess};

use crate::driver::{self, Rng, same};

#[derive(Clone, Debug)]
pub enum Step {
    Open(u64),
    Close(u64),
    Lock {
        open: u64,
        ranges: Vec<LockRange>,
        wait: Option<u64>,
        sequence: Option<LockSequence>,
        outside: Option<Answer>,
    },
    AskAgain(u64),
    Unlock {
        open: u64,
        ranges: Vec<LockRange>,
        sequence: Option<LockSequence>,
    },
    Cancel(u64),
    Access {
        open: u64,
        offset: u64,
        length: u64,
    },
}

/// What somebody outside says to a lock that is granted here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Yes,
    No,
}

struct Lock {
    owner: u64,
    range: LockRange,
}

struct Pending {
    waiter: u64,
    owner: u64,
    ranges: Vec<LockRange>,
    sequence: Option<LockSequence>,
    outside: Option<Outside>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Asked,
    InTheWay,
}

pub struct World {
    tree: Tree,
    open: Vec<u64>,
    locks: Vec<Lock>,
    queue: Vec<Pending>,
    done: Vec<(u64, LockSequence)>,
}

const NOW: Moment = Moment(std::time::Duration::ZERO);

/// Opens 0 to 3 are of one file, 4 of another; 4 is of its own interest only in that it must not matter.
fn file_of(open: u64) -> u64 {
    open / 4
}

impl driver::World for World {
    type Step = Step;

    fn new() -> World {
        World { tree: Tree::new(), open: vec![], locks: vec![], queue: vec![], done: vec![] }
    }

    fn random(rng: &mut Rng) -> Step {
        let open = rng.below(5);
        match rng.below(20) {
            0 => Step::Close(open),
            1..=3 => Step::Open(open),
            4..=9 => Step::Lock {
                open,
                ranges: (0..1 + rng.below(6) / 4).map(|_| range(rng)).collect(),
                wait: rng.one_in(2).then(|| rng.below(1 << 40)),
                sequence: sequence(rng),
                outside: rng.one_in(2).then(|| rng.pick(&[Answer::Yes, Answer::No])),
            },
            10..=13 => Step::Unlock {
                open,
                ranges: (0..1 + rng.below(4) / 3).map(|_| range(rng)).collect(),
                sequence: sequence(rng),
            },
            14 => match rng.one_in(2) {
                true => Step::Cancel(rng.next()),
                false => Step::AskAgain(rng.next()),
            },
            _ => {
                let LockRange { offset, length, .. } = range(rng);
                Step::Access { open, offset, length }
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open(open) => {
                if !self.open.contains(open) {
                    let file = file_of(*open);
                    let ask = OpenAsk {
                        access: AccessMask::READ_DATA,
                        share: ShareAccess::READ,
                        ..OpenAsk::new(
                            OpenId(*open),
                            NodeKey { dev: 1, ino: file },
                            RelPath::new(format!("{file}")),
                        )
                    };
                    same("open", self.tree.open(ask, NOW), Opening::Granted(vec![]))?;
                    self.open.push(*open);
                }
                Ok(())
            }
            Step::Close(open) => {
                let real = self.tree.close(OpenId(*open), false, NOW).effects;
                let mut model = Vec::new();
                self.queue.retain(|p| {
                    if p.owner == *open {
                        model.push(effect(p.waiter, NtStatus::RANGE_NOT_LOCKED));
                    }
                    p.owner != *open
                });
                self.open.retain(|o| o != open);
                self.locks.retain(|l| l.owner != *open);
                self.done.retain(|(o, _)| o != open);
                model.extend(self.serve(file_of(*open)));
                same("close", real, model)
            }
            Step::Lock { open, ranges, wait, sequence, outside } => {
                if wait.is_some_and(|w| self.queue.iter().any(|p| p.waiter == w)) {
                    return Ok(());
                }
                let ask = LockAsk {
                    open: OpenId(*open),
                    ranges,
                    wait: wait.map(WaiterId),
                    sequence: *sequence,
                    outside: outside.is_some(),
                };
                let before = self.locks.len();
                let real = self.tree.lock(&ask, NOW);
                let asked = outside.map(|_| Outside::Asked);
                same("lock", real, self.lock(*open, ranges, *wait, *sequence, asked))?;
                self.same_held(*open, ranges)?;
                // A request that was recognised locked nothing, and nobody outside is asked.
                if *outside != Some(Answer::No) || real != Locking::Granted || self.locks.len() == before {
                    return Ok(());
                }
                self.locks.truncate(before);
                let real = self.tree.lock_refused_outside(&ask, NOW);
                let model = self.refused(*open, ranges, *wait, *sequence);
                same("refused outside", real, model)?;
                self.same_held(*open, ranges)
            }
            Step::AskAgain(number) => {
                if self.queue.is_empty() {
                    return same("again", self.tree.ask_lock_again(WaiterId(*number)), vec![]);
                }
                let at = (*number % self.queue.len() as u64) as usize;
                let waiter = WaiterId(self.queue.remove(at).waiter);
                same("again", self.tree.ask_lock_again(waiter), vec![Effect::LockAgain { waiter }])?;
                same("again and again", self.tree.ask_lock_again(waiter), vec![])
            }
            Step::Unlock { open, ranges, sequence } => {
                let left = self.tree.left_by_unlock(OpenId(*open), ranges, *sequence);
                let real = self.tree.unlock(OpenId(*open), ranges, *sequence, NOW);
                let quiet = self.queue.iter().all(|p| p.owner != *open);
                same("unlock", real, self.unlock(*open, ranges, *sequence))?;
                // Else a waiting request of the same open may have been granted since.
                if quiet {
                    same("left", in_order(&left), self.held(*open, ranges))?;
                }
                self.same_held(*open, ranges)
            }
            Step::Cancel(number) => {
                if self.queue.is_empty() {
                    return same("cancel", self.tree.cancel(WaiterId(*number), NOW), vec![]);
                }
                let at = (*number % self.queue.len() as u64) as usize;
                let waiter = self.queue.remove(at).waiter;
                same(
                    "cancel",
                    self.tree.cancel(WaiterId(waiter), NOW),
                    vec![effect(waiter, NtStatus::CANCELLED)],
                )?;
                same("cancel again", self.tree.cancel(WaiterId(waiter), NOW), vec![])
            }
            Step::Access { open, offset, length } => {
                if !self.open.contains(open) || offset.checked_add(*length).is_none() {
                    return Ok(());
                }
                let range = LockRange { offset: *offset, length: *length, exclusive: false };
                let hits: Vec<&Lock> = self.near(*open).filter(|l| overlap(&l.range, &range)).collect();
                let some = *length > 0;
                let read = !(some && hits.iter().any(|l| l.range.exclusive && l.owner != *open));
                let write = !(some && hits.iter().any(|l| !l.range.exclusive || l.owner != *open));
                same("read", self.tree.may_read(OpenId(*open), *offset, *length), read)?;
                same("write", self.tree.may_write(OpenId(*open), *offset, *length), write)
            }
        }
    }
}

impl World {
    fn near(&self, open: u64) -> impl Iterator<Item = &Lock> {
        self.locks.iter().filter(move |l| file_of(l.owner) == file_of(open))
    }

    fn lock(
        &mut self,
        open: u64,
        ranges: &[LockRange],
        wait: Option<u64>,
        sequence: Option<LockSequence>,
        outside: Option<Outside>,
    ) -> Locking {
        if !self.open.contains(&open) {
            return Locking::Refused(NtStatus::FILE_CLOSED);
        }
        if self.replayed(open, sequence) {
            return Locking::Granted;
        }
        match (self.take(open, ranges), wait) {
            (Ok(()), _) => {
                self.succeeded(open, sequence);
                Locking::Granted
            }
            (Err(NtStatus::LOCK_NOT_GRANTED), Some(waiter)) => {
                let ranges = ranges.to_vec();
                self.queue.push(Pending { waiter, owner: open, ranges, sequence, outside });
                Locking::Waiting
            }
            (Err(status), _) => Locking::Refused(status),
        }
    }

    /// As if it had never been granted; but it was, so that its sequence number is free and others are served.
    fn refused(
        &mut self,
        owner: u64,
        ranges: &[LockRange],
        wait: Option<u64>,
        sequence: Option<LockSequence>,
    ) -> (Locking, Vec<Effect>) {
        if let Some(s) = sequence {
            self.done.retain(|(o, d)| (*o, d.index) != (owner, s.index));
        }
        let effects = self.serve(file_of(owner));
        let Some(waiter) = wait else { return (Locking::Refused(NtStatus::LOCK_NOT_GRANTED), effects) };
        let outside = Some(Outside::InTheWay);
        self.queue.push(Pending { waiter, owner, ranges: ranges.to_vec(), sequence, outside });
        (Locking::Waiting, effects)
    }

    /// What an open holds of these ranges, in some order.
    fn held(&self, open: u64, ranges: &[LockRange]) -> Vec<(u64, u64, bool)> {
        let some = |r: &LockRange| r.length > 0;
        let near = |held: &LockRange| ranges.iter().any(|r| some(r) && overlap(held, r));
        let own = self.locks.iter().filter(|l| l.owner == open && some(&l.range) && near(&l.range));
        in_order(&own.map(|l| l.range).collect::<Vec<_>>())
    }

    fn same_held(&self, open: u64, ranges: &[LockRange]) -> Result<(), String> {
        let sound: Vec<LockRange> = ranges.iter().filter(|r| r.is_valid()).copied().collect();
        let real = in_order(&self.tree.held_locks(OpenId(open), &sound));
        same("held", real, self.held(open, &sound))
    }

    fn take(&mut self, owner: u64, ranges: &[LockRange]) -> Result<(), NtStatus> {
        let before = self.locks.len();
        for range in ranges {
            let fits = u128::from(range.offset) + u128::from(range.length) <= 1 << 64;
            let status = if !fits && range.length > 0 {
                Some(NtStatus::INVALID_LOCK_RANGE)
            } else {
                let in_the_way = self.near(owner).filter(|l| overlap(&l.range, range)).any(|l| {
                    match (l.range.exclusive, range.exclusive) {
                        (false, false) => false,
                        (true, false) => l.owner != owner,
                        (_, true) => true,
                    }
                });
                in_the_way.then_some(NtStatus::LOCK_NOT_GRANTED)
            };
            if let Some(status) = status {
                self.locks.truncate(before);
                return Err(status);
            }
            self.locks.push(Lock { owner, range: *range });
        }
        Ok(())
    }

    fn unlock(
        &mut self,
        open: u64,
        ranges: &[LockRange],
        sequence: Option<LockSequence>,
    ) -> (NtStatus, Vec<Effect>) {
        if !self.open.contains(&open) {
            return (NtStatus::FILE_CLOSED, vec![]);
        }
        if self.replayed(open, sequence) {
            return (NtStatus::SUCCESS, vec![]);
        }
        let mut status = NtStatus::SUCCESS;
        for range in ranges {
            if range.length > 0 && u128::from(range.offset) + u128::from(range.length) > 1 << 64 {
                status = NtStatus::INVALID_LOCK_RANGE;
                break;
            }
            // MS-FSA 2.1.5.9, to the letter.
            let mut remove = None;
            for (at, lock) in self.locks.iter().enumerate() {
                if lock.owner == open
                    && lock.range.offset == range.offset
                    && lock.range.length == range.length
                {
                    remove = Some(at);
                    if lock.range.exclusive {
                        break;
                    }
                }
            }
            let Some(at) = remove else {
                status = NtStatus::RANGE_NOT_LOCKED;
                break;
            };
            self.locks.remove(at);
        }
        let effects = self.serve(file_of(open));
        if status == NtStatus::SUCCESS {
            self.succeeded(open, sequence);
        }
        (status, effects)
    }

    fn serve(&mut self, file: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut kept = Vec::new();
        for p in std::mem::take(&mut self.queue) {
            let before = self.locks.len();
            let blocked = p.outside == Some(Outside::InTheWay);
            if file_of(p.owner) != file || blocked || self.take(p.owner, &p.ranges).is_err() {
                kept.push(p);
            } else if p.outside.is_some() {
                self.locks.truncate(before);
                effects.push(Effect::LockAgain { waiter: WaiterId(p.waiter) });
            } else {
                self.succeeded(p.owner, p.sequence);
                effects.push(effect(p.waiter, NtStatus::SUCCESS));
            }
        }
        self.queue = kept;
        effects
    }

    fn replayed(&mut self, open: u64, sequence: Option<LockSequence>) -> bool {
        let Some(s) = sequence.filter(|s| (1..=64).contains(&s.index)) else { return false };
        if self.done.contains(&(open, s)) {
            return true;
        }
        self.done.retain(|(o, d)| (*o, d.index) != (open, s.index));
        false
    }

    fn succeeded(&mut self, open: u64, sequence: Option<LockSequence>) {
        if let Some(s) = sequence.filter(|s| (1..=64).contains(&s.index)) {
            self.done.retain(|(o, d)| (*o, d.index) != (open, s.index));
            self.done.push((open, s));
        }
    }
}

fn effect(waiter: u64, status: NtStatus) -> Effect {
    Effect::Lock { waiter: WaiterId(waiter), status }
}

fn in_order(ranges: &[LockRange]) -> Vec<(u64, u64, bool)> {
    let mut out: Vec<_> = ranges.iter().map(|r| (r.offset, r.length, r.exclusive)).collect();
    out.sort_unstable();
    out
}

/// Bytes in common; or one is a gap between two bytes of the other.
fn overlap(a: &LockRange, b: &LockRange) -> bool {
    let bytes = |r: &LockRange| u128::from(r.offset)..u128::from(r.offset) + u128::from(r.length);
    let (x, y) = (bytes(a), bytes(b));
    let within = |gap: u128, r: std::ops::Range<u128>| gap > r.start && gap < r.end;
    match (x.is_empty(), y.is_empty()) {
        (false, false) => x.start.max(y.start) < x.end.min(y.end),
        (true, false) => within(x.start, y),
        (false, true) => within(y.start, x),
        (true, true) => false,
    }
}

fn range(rng: &mut Rng) -> LockRange {
    let near = rng.below(12);
    let offset = if rng.one_in(6) { u64::MAX - near } else { near };
    let length = match rng.below(12) {
        0 => u64::MAX - rng.below(12),
        1 | 2 => 0,
        _ => rng.below(6),
    };
    LockRange { offset, length, exclusive: rng.one_in(2) }
}

fn sequence(rng: &mut Rng) -> Option<LockSequence> {
    let index = rng.pick(&[0, 1, 1, 2, 2, 64, 65, u32::MAX]);
    rng.one_in(3).then(|| LockSequence { index, number: rng.below(3) as u8 })
}
