use std::time::Duration;

use super::*;
use crate::types::FileTime;

/// One file of one name on a disk, the clock (1 is a second) and who is told.
struct File {
    tree: Tree,
    disk: FileTimes,
    clock: u64,
}

const FILE: u64 = 7;

fn at(time: u64) -> FileTime {
    FileTime(time * 10_000_000)
}

impl File {
    /// Made at second 1, open as 1 and 2.
    fn new() -> File {
        let times = FileTimes { accessed: at(1), written: at(1), changed: at(1) };
        let mut file = File { tree: Tree::new(), disk: times, clock: 1 };
        for open in [1, 2] {
            opened(&mut file.tree, OpenAsk { written: times.written, ..ask(open, FILE, "f") });
        }
        file
    }

    fn now(&self) -> Moment {
        Moment(Duration::from_secs(self.clock))
    }

    fn moves(&mut self) {
        (self.disk.written, self.disk.changed) = (at(self.clock), at(self.clock));
    }

    fn write(&mut self, open: u64, clock: u64) {
        self.clock = clock;
        self.moves();
        let now = self.now();
        self.tree.wrote(OpenId(open), at(clock), now);
    }

    fn outside(&mut self, clock: u64) {
        self.clock = clock;
        self.moves();
    }

    fn told(&mut self, clock: u64) -> FileTimes {
        self.clock = clock;
        let now = self.now();
        self.tree.told(key(FILE), self.disk, now)
    }

    fn written(&mut self, clock: u64) -> FileTime {
        self.told(clock).written
    }

    fn flush(&mut self, open: u64) {
        self.tree.show_times(OpenId(open), None);
        self.told(self.clock);
    }

    fn set(&mut self, open: u64, written: TimeChange, changed: TimeChange) {
        let now = self.now();
        self.tree.show_times(OpenId(open), None);
        let before = self.told(self.clock);
        if let TimeChange::Set(time) = written {
            (self.disk.written, self.disk.changed) = (time, at(self.clock));
        }
        let ask = TimesAsk { accessed: TimeChange::Keep, written, changed };
        let mend = self.tree.set_times(OpenId(open), ask, before, self.disk, now);
        self.mend(mend);
    }

    fn mend(&mut self, mend: Mend) {
        match mend.written {
            Some((time, last)) if self.disk.written <= last => self.disk.written = time,
            _ if mend.touch => self.disk.written = at(self.clock),
            _ => {}
        }
        self.disk.changed = mend.changed.unwrap_or(self.disk.changed);
    }

    fn close(&mut self, open: u64, clock: u64) -> FileTime {
        self.clock = clock;
        let mend = self.tree.mend_at_close(OpenId(open));
        self.mend(mend);
        let written = self.written(clock);
        let _ = self.tree.close(OpenId(open), true, self.now());
        written
    }
}

#[test]
fn the_first_write_shows_after_two_seconds_and_the_next_at_close() {
    let mut f = File::new();
    f.write(1, 5);
    assert_eq!(f.written(6), at(1));
    assert_eq!(f.written(7), at(5));
    f.write(1, 10);
    assert_eq!(f.written(100), at(5));
    assert_eq!(f.close(1, 110), at(110), "written late, it counts as written now");
    assert_eq!(f.disk.written, at(110));
}

#[test]
fn what_nobody_looked_at_has_shown_all_the_same() {
    let mut f = File::new();
    f.write(1, 5);
    f.write(1, 6);
    f.write(1, 20);
    assert_eq!(f.written(21), at(6));
}

#[test]
fn a_close_in_time_leaves_the_time_of_the_write() {
    let mut f = File::new();
    f.write(1, 5);
    assert_eq!(f.close(2, 6), at(1), "not his to show");
    assert_eq!(f.close(1, 6), at(5));
    let mut f = File::new();
    f.write(1, 5);
    assert_eq!(f.written(8), at(5));
    assert_eq!(f.close(1, 9), at(5));
}

#[test]
fn flush_and_a_set_of_sizes_show_at_once() {
    let mut f = File::new();
    f.write(1, 5);
    f.flush(2);
    assert_eq!(f.written(5), at(5));
    f.outside(6);
    f.tree.show_times(OpenId(1), Some(at(6)));
    assert_eq!(f.written(6), at(6));
    f.write(1, 7);
    assert_eq!(f.written(50), at(6), "it has had its two seconds");
}

#[test]
fn who_writes_outside_is_seen_at_once() {
    let mut f = File::new();
    f.write(1, 5);
    f.outside(6);
    assert_eq!(f.written(6), at(6));
    f.set(1, TimeChange::Set(at(3)), TimeChange::Keep);
    f.outside(8);
    assert_eq!(f.written(8), at(8));
    f.write(1, 9);
    f.outside(10);
    assert_eq!(f.close(1, 11), at(10));
}

#[test]
fn a_time_that_was_set_is_not_moved_by_this_open() {
    let mut f = File::new();
    f.set(1, TimeChange::Set(at(3)), TimeChange::Set(at(4)));
    f.write(1, 5);
    let told = f.told(50);
    assert_eq!((told.written, told.changed), (at(3), at(4)));
    f.close(1, 60);
    assert_eq!((f.disk.written, f.disk.changed), (at(3), at(4)));
}

#[test]
fn another_open_moves_it() {
    let mut f = File::new();
    f.set(1, TimeChange::Set(at(3)), TimeChange::Set(at(4)));
    f.write(2, 5);
    assert_eq!((f.written(6), f.told(6).changed), (at(3), at(5)));
    assert_eq!(f.written(7), at(5));
    f.close(1, 8);
    assert_eq!(f.disk.written, at(5));
}

#[test]
fn frozen_and_thawed() {
    let mut f = File::new();
    f.set(1, TimeChange::Freeze, TimeChange::Freeze);
    f.write(1, 5);
    assert_eq!(f.told(6), FileTimes { accessed: at(1), written: at(1), changed: at(1) });
    f.set(1, TimeChange::Freeze, TimeChange::Keep);
    f.set(1, TimeChange::Thaw, TimeChange::Thaw);
    assert_eq!(f.disk.written, at(1), "put right");
    assert_eq!(f.written(6), at(1));
    f.write(1, 7);
    assert_eq!(f.written(9), at(7));
}

/// The same file in another process, what an open had frozen put back.
fn again(before: &File, frozen: FrozenTimes) -> File {
    let mut after = File { disk: before.disk, clock: before.clock, ..File::new() };
    after.tree.restore_times(OpenId(1), frozen);
    after
}

#[test]
fn what_is_frozen_is_frozen_in_another_process() {
    let mut f = File::new();
    f.set(1, TimeChange::Freeze, TimeChange::Freeze);
    let mut untouched = again(&f, f.tree.kept(OpenId(1)).expect("it is open").times);
    assert_eq!(untouched.written(2), at(1));
    untouched.outside(3);
    assert_eq!(untouched.written(4), at(3), "what others write shows");

    f.write(1, 5);
    let mut f = again(&f, f.tree.kept(OpenId(1)).expect("it is open").times);
    assert_eq!(f.told(6), FileTimes { accessed: at(1), written: at(1), changed: at(1) });
    f.write(1, 7);
    assert_eq!(f.written(8), at(1));
    assert_eq!(f.close(1, 9), at(1));
    assert_eq!(f.disk.written, at(1), "put right at close");

    let mut f = File::new();
    f.set(1, TimeChange::Freeze, TimeChange::Keep);
    f.write(1, 5);
    let mut f = again(&f, f.tree.kept(OpenId(1)).expect("it is open").times);
    f.set(1, TimeChange::Thaw, TimeChange::Keep);
    f.write(1, 7);
    assert_eq!(f.written(9), at(7));
}

/// One record may be older than the other.
#[test]
fn of_two_opens_that_froze_a_time_the_later_write_counts() {
    let mut f = File::new();
    f.set(1, TimeChange::Freeze, TimeChange::Keep);
    f.set(2, TimeChange::Freeze, TimeChange::Keep);
    let before = f.tree.kept(OpenId(1)).expect("it is open").times;
    f.write(2, 5);
    let after = f.tree.kept(OpenId(2)).expect("it is open").times;
    let mut f = again(&f, after);
    f.tree.restore_times(OpenId(2), before);
    assert_eq!(f.written(6), at(1));
}

#[test]
fn nothing_is_kept_of_what_is_not_frozen() {
    let mut f = File::new();
    f.write(1, 5);
    let kept = f.tree.kept(OpenId(1)).expect("it is open").times;
    assert_eq!(kept, FrozenTimes::default());
    let f = again(&f, kept);
    assert!(!f.tree.is_to_be_mended(OpenId(1)));
}

#[test]
fn nothing_is_remembered_of_what_is_closed() {
    let mut f = File::new();
    f.set(1, TimeChange::Set(at(3)), TimeChange::Freeze);
    f.write(2, 5);
    f.close(2, 5);
    f.close(1, 5);
    assert!(f.tree.is_empty());
    f.outside(2);
    assert_eq!(f.written(6), at(2));
}

#[test]
fn a_streams_writes_are_not_the_files() {
    let mut f = File::new();
    opened(&mut f.tree, stream(3, FILE, "f", "s"));
    f.tree.wrote(OpenId(3), at(5), Moment(Duration::from_secs(5)));
    f.outside(4);
    assert_eq!(f.written(5), at(4));
}
