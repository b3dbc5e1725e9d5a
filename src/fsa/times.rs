//! The times of what is open, as Windows shows them (MS-FSA 2.1.5.4, 2.1.5.5, 2.1.5.15.2 and what its servers do).
//!
//! The file system moves a file's times with every write. A client is told otherwise in two ways:
//!
//! - **Delayed.** The first write through an open shows two seconds later, at the write time it then has; later ones
//!   when the open is closed, which is when they count as made. FLUSH, setting a size, times or attributes show all at once.
//! - **Frozen.** A time that was set through an open, or frozen (-1), is not moved by that open until it is thawed (-2).
//!   What the file system has made of it meanwhile is put right when the open is closed.
//!
//! Nothing here costs a WRITE a system call: the disk has the true time all along, and what to tell instead of it is
//! worked out when somebody asks. Who writes outside SMB is seen at once: the disk's time is then later than that of
//! our last write.
//!
//! A server that comes after this one knows nothing of it, and tells what the disk has. For what was delayed that is the time
//! of MS-FSA 2.1.4.17, which knows no delay; what was frozen is not any more.

use super::tree::Node;
use super::{Moment, Tree};
use crate::types::{FileTime, NodeKey, OpenId};

pub use crate::wire::fscc::set_info::TimeChange;

/// What the first write through an open takes to show.
const DELAY: std::time::Duration = std::time::Duration::from_secs(2);

/// The times that are told otherwise. (The time of creation never is.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileTimes {
    pub accessed: FileTime,
    pub written: FileTime,
    pub changed: FileTime,
}

/// What a set asks of each of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimesAsk {
    pub accessed: TimeChange,
    pub written: TimeChange,
    pub changed: TimeChange,
}

impl TimesAsk {
    /// Some time is to stay as it is told now.
    pub fn freezes(&self) -> bool {
        [self.accessed, self.written, self.changed].contains(&TimeChange::Freeze)
    }

    /// No time is said anything of.
    pub fn is_empty(&self) -> bool {
        [self.accessed, self.written, self.changed] == [TimeChange::Keep; 3]
    }
}

/// What the disk has to be given, for it has moved on where it should not have, or not where it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mend {
    /// The write time, and when the last write was that must not show. Somebody who wrote later keeps his.
    pub written: Option<(FileTime, FileTime)>,
    pub accessed: Option<FileTime>,
    pub changed: Option<FileTime>,
    /// What was written counts as written now.
    pub touch: bool,
}

/// What an open has frozen, and what is told of it as long as nobody else moves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FrozenTimes {
    pub written: Option<FrozenWritten>,
    pub accessed: Option<FileTime>,
    pub changed: Option<FileTime>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrozenWritten {
    pub told: FileTime,
    /// What the disk had then.
    pub disk: FileTime,
    /// When the last write was done that must not show.
    pub last: Option<FileTime>,
}

bitflags::bitflags! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    struct Frozen: u8 {
        const WRITTEN = 1;
        const ACCESSED = 2;
        const CHANGED = 4;
    }
}

/// Of an open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OpenTimes {
    frozen: Frozen,
    /// It has had its two seconds.
    armed: bool,
    /// It has written what shows when it is closed.
    late: bool,
    /// It has written what does not show yet.
    wrote: bool,
}

/// Of a node, while something else is told than the disk has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeTimes {
    written: Option<Written>,
    accessed: Option<FileTime>,
    changed: Option<FileTime>,
}

#[derive(Clone, Copy, Debug)]
enum Written {
    Delayed {
        told: FileTime,
        /// None: until who wrote closes, or something else shows it.
        until: Option<Moment>,
        /// When the last write was done: no earlier than the disk says.
        last: FileTime,
    },
    Frozen(FrozenWritten),
}

impl Mend {
    pub fn is_needed(&self) -> bool {
        *self != Mend::default()
    }
}

impl NodeTimes {
    fn is_empty(&self) -> bool {
        self.written.is_none() && self.accessed.is_none() && self.changed.is_none()
    }

    /// What to tell. `disk`: what is there.
    fn told(&self, disk: FileTimes, now: Moment) -> FileTimes {
        FileTimes {
            accessed: self.accessed.unwrap_or(disk.accessed),
            written: self.written.map_or(disk.written, |w| w.told(disk.written, now)),
            changed: self.changed.unwrap_or(disk.changed),
        }
    }
}

impl FrozenWritten {
    fn told(self, disk: FileTime) -> FileTime {
        let moved = self.last.map_or(disk != self.disk, |last| disk > last);
        if moved { disk } else { self.told }
    }
}

impl Written {
    fn told(self, disk: FileTime, now: Moment) -> FileTime {
        match self {
            Written::Delayed { last, .. } if disk > last => disk,
            Written::Delayed { until: Some(until), .. } if until <= now => disk,
            Written::Delayed { told, .. } => told,
            Written::Frozen(frozen) => frozen.told(disk),
        }
    }
}

impl Tree {
    /// Data was written through this open, at `wall` by the clock (after it was done).
    pub fn wrote(&mut self, open: OpenId, wall: FileTime, now: Moment) {
        let Some(entry) = self.opens.get_mut(&open) else { return };
        if entry.stream.is_some() {
            return;
        }
        let times = self.times.entry(entry.node).or_default();
        if !entry.times.frozen.contains(Frozen::CHANGED) {
            times.changed = None;
        }
        if entry.times.frozen.contains(Frozen::WRITTEN) {
            if let Some(Written::Frozen(frozen)) = &mut times.written {
                frozen.last = Some(wall);
            }
            return;
        }
        let known = self.nodes.get(&entry.node).map_or(wall, |node| node.written);
        // `due`: when what is held back shows by itself.
        let (told, due) = match times.written {
            None => (known, None),
            Some(Written::Frozen(frozen)) => (frozen.told, None),
            // It has shown since, though nobody looked: the last write before this one.
            Some(Written::Delayed { until: Some(until), last, .. }) if until <= now => (last, None),
            Some(Written::Delayed { told, until, .. }) => (told, until),
        };
        entry.times.wrote = true;
        let until = if entry.times.armed {
            entry.times.late |= due.is_none();
            due
        } else {
            entry.times.armed = true;
            Some(due.unwrap_or(Moment(now.0 + DELAY)))
        };
        times.written = Some(Written::Delayed { told, until, last: wall });
    }

    /// The file was changed in a way that shows at once (its size was set, it was copied into), or what was written is
    /// to show (FLUSH). `wall`: when, if there was a change. True: what the disk has now is to be told to [`Tree::told`].
    pub fn show_times(&mut self, open: OpenId, wall: Option<FileTime>) -> bool {
        let Some(entry) = self.opens.get_mut(&open) else { return false };
        if entry.stream.is_some() {
            return false;
        }
        entry.times.late = false;
        entry.times.wrote = false;
        let Some(times) = self.times.get_mut(&entry.node) else { return wall.is_some() };
        let written = entry.times.frozen.contains(Frozen::WRITTEN);
        match &mut times.written {
            Some(Written::Frozen(frozen)) if written => frozen.last = wall.or(frozen.last),
            Some(Written::Frozen(_)) if wall.is_none() => {}
            other => *other = None,
        }
        if wall.is_some() && !entry.times.frozen.contains(Frozen::CHANGED) {
            times.changed = None;
        }
        true
    }

    /// What to tell of a node that may be open. `disk`: what is there at this moment.
    pub fn told(&mut self, node: NodeKey, disk: FileTimes, now: Moment) -> FileTimes {
        let Some(known) = self.nodes.get_mut(&node) else { return disk };
        let Some(times) = self.times.get_mut(&node) else {
            known.written = disk.written;
            return disk;
        };
        let told = times.told(disk, now);
        known.written = told.written;
        if matches!(times.written, Some(Written::Delayed { until: Some(until), .. }) if until <= now) {
            times.written = None;
        }
        if times.is_empty() {
            self.times.remove(&node);
        }
        told
    }

    /// Times have been set, frozen and thawed through this open; whatever was held back shows ([`Tree::show_times`] was
    /// called before). `before`: what was told before; `disk`: what is there now. What is to be mended was frozen so far.
    pub fn set_times(
        &mut self,
        open: OpenId,
        ask: TimesAsk,
        before: FileTimes,
        disk: FileTimes,
        now: Moment,
    ) -> Mend {
        let Some(entry) = self.opens.get_mut(&open).filter(|entry| entry.stream.is_none()) else {
            return Mend::default();
        };
        let key = entry.node;
        let times = self.times.entry(key).or_default();
        let told = |change, before| match change {
            TimeChange::Set(time) => Some(time),
            TimeChange::Freeze => Some(before),
            TimeChange::Keep | TimeChange::Thaw => None,
        };
        let mut thaw = Frozen::empty();
        for (what, change) in
            [(Frozen::WRITTEN, ask.written), (Frozen::ACCESSED, ask.accessed), (Frozen::CHANGED, ask.changed)]
        {
            match change {
                TimeChange::Set(_) | TimeChange::Freeze => entry.times.frozen |= what,
                TimeChange::Thaw => thaw |= entry.times.frozen & what,
                TimeChange::Keep => {}
            }
        }
        entry.times.frozen -= thaw;
        if let Some(told) = told(ask.written, before.written) {
            // What must not show of a time that is frozen again must not show still.
            let last = match times.written {
                Some(Written::Frozen(frozen)) if ask.written == TimeChange::Freeze => frozen.last,
                _ => None,
            };
            times.written = Some(Written::Frozen(FrozenWritten { told, disk: disk.written, last }));
        }
        times.accessed = told(ask.accessed, before.accessed).or(times.accessed);
        times.changed = told(ask.changed, before.changed).or(times.changed);
        let mend = self.thaw(key, open, thaw);
        self.told(key, disk, now);
        mend
    }

    /// Closing this open needs its node's times mended first: [`Tree::mend_at_close`] will say how.
    pub fn is_to_be_mended(&self, open: OpenId) -> bool {
        self.opens.get(&open).is_some_and(|entry| entry.times.late || !entry.times.frozen.is_empty())
    }

    /// The open is about to be closed: what it held back shows, what it froze thaws.
    pub fn mend_at_close(&mut self, open: OpenId) -> Mend {
        let Some(entry) = self.opens.get_mut(&open) else { return Mend::default() };
        let (key, times) = (entry.node, std::mem::take(&mut entry.times));
        let mut mend = self.thaw(key, open, times.frozen);
        let Some(node) = self.times.get_mut(&key).filter(|_| times.wrote) else { return mend };
        if matches!(node.written, Some(Written::Delayed { .. })) {
            node.written = None;
            mend.touch = times.late;
        }
        if node.is_empty() {
            self.times.remove(&key);
        }
        mend
    }

    /// These are no longer frozen by this open. As far as they are by no other, the node's go as the disk's again.
    fn thaw(&mut self, key: NodeKey, open: OpenId, what: Frozen) -> Mend {
        let others = self.nodes.get(&key).map_or(Frozen::empty(), |node| self.frozen_by_others(node, open));
        let what = what - others;
        let mut mend = Mend::default();
        let Some(times) = self.times.get_mut(&key) else { return mend };
        if what.contains(Frozen::WRITTEN)
            && let Some(Written::Frozen(frozen)) = times.written
        {
            mend.written = frozen.last.map(|last| (frozen.told, last));
            times.written = None;
        }
        if what.contains(Frozen::ACCESSED) {
            mend.accessed = times.accessed.take();
        }
        if what.contains(Frozen::CHANGED) {
            mend.changed = times.changed.take();
        }
        if times.is_empty() {
            self.times.remove(&key);
        }
        mend
    }

    /// Of what this open has frozen, what still is.
    pub(super) fn frozen_times(&self, open: OpenId) -> FrozenTimes {
        let Some(entry) = self.opens.get(&open) else { return FrozenTimes::default() };
        let of = |what| self.times.get(&entry.node).filter(|_| entry.times.frozen.contains(what));
        FrozenTimes {
            written: of(Frozen::WRITTEN).and_then(|times| match times.written {
                Some(Written::Frozen(frozen)) => Some(frozen),
                _ => None,
            }),
            accessed: of(Frozen::ACCESSED).and_then(|times| times.accessed),
            changed: of(Frozen::CHANGED).and_then(|times| times.changed),
        }
    }

    /// The open had frozen these.
    pub fn restore_times(&mut self, open: OpenId, frozen: FrozenTimes) {
        let Some(entry) = self.opens.get_mut(&open).filter(|_| frozen != FrozenTimes::default()) else {
            return;
        };
        let times = self.times.entry(entry.node).or_default();
        let had = &mut entry.times.frozen;
        had.set(Frozen::WRITTEN, frozen.written.is_some());
        had.set(Frozen::ACCESSED, frozen.accessed.is_some());
        had.set(Frozen::CHANGED, frozen.changed.is_some());
        times.accessed = frozen.accessed.or(times.accessed);
        times.changed = frozen.changed.or(times.changed);
        if let Some(written) = frozen.written {
            // Of what two opens of it have kept, what knows of the later write.
            match times.written {
                Some(Written::Frozen(known)) if known.last >= written.last => {}
                _ => times.written = Some(Written::Frozen(written)),
            }
        }
    }

    fn frozen_by_others(&self, node: &Node, open: OpenId) -> Frozen {
        let others = node.opens.iter().filter(|other| **other != open);
        others.filter_map(|other| self.opens.get(other)).fold(Frozen::empty(), |all, e| all | e.times.frozen)
    }
}
