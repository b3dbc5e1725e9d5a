//! Times: whatever is written, set and frozen through how many opens, what is told comes to what the disk has, and
//! nobody's change outside SMB is hidden or undone.

use std::time::Duration;

use smbgate::fsa::{FileTimes, Mend, Moment, OpenAsk, Opening, RelPath, TimeChange, TimesAsk, Tree};
use smbgate::types::{AccessMask, FileTime, NodeKey, OpenId, ShareAccess};

use crate::driver::{self, Rng, same};

#[derive(Clone, Debug)]
pub enum Step {
    Open(u64),
    Write(u64),
    Outside,
    Flush(u64),
    Resize(u64),
    Set(u64, TimeChange, TimeChange),
    Wait(u64),
    Close(u64),
}

const KEY: NodeKey = NodeKey { dev: 1, ino: 7 };

pub struct World {
    tree: Tree,
    open: Vec<u64>,
    disk: FileTimes,
    /// Tenths of a second.
    clock: u64,
    /// Somebody outside wrote, and since then nobody did anything.
    outside: bool,
}

fn at(clock: u64) -> FileTime {
    FileTime((1 << 40) + clock * 1_000_000)
}

impl World {
    fn now(&self) -> Moment {
        Moment(Duration::from_millis(self.clock * 100))
    }

    fn moves(&mut self) {
        (self.disk.written, self.disk.changed) = (at(self.clock), at(self.clock));
    }

    fn mend(&mut self, mend: Mend) {
        match mend.written {
            Some((time, last)) if self.disk.written <= last => self.disk.written = time,
            _ if mend.touch => self.disk.written = at(self.clock),
            _ => {}
        }
        if let Some(time) = mend.changed {
            self.disk.changed = time;
        }
    }

    fn told(&mut self) -> FileTimes {
        let (disk, now) = (self.disk, self.now());
        self.tree.told(KEY, disk, now)
    }
}

impl driver::World for World {
    type Step = Step;

    fn new() -> World {
        let disk = FileTimes { accessed: at(0), written: at(0), changed: at(0) };
        World { tree: Tree::new(), open: Vec::new(), disk, clock: 1, outside: false }
    }

    fn random(rng: &mut Rng) -> Step {
        let id = rng.below(3);
        let change = |rng: &mut Rng| match rng.below(4) {
            0 => TimeChange::Set(FileTime(1 + rng.below(1 << 20))),
            1 => TimeChange::Freeze,
            2 => TimeChange::Thaw,
            _ => TimeChange::Keep,
        };
        match rng.below(12) {
            0 | 1 => Step::Open(id),
            2..=5 => Step::Write(id),
            6 => Step::Outside,
            7 => Step::Flush(id),
            8 => Step::Resize(id),
            9 => Step::Set(id, change(rng), change(rng)),
            10 => Step::Wait(rng.below(40)),
            _ => Step::Close(id),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.clock += 1;
        let now = self.now();
        let id = match step {
            Step::Write(id)
            | Step::Flush(id)
            | Step::Resize(id)
            | Step::Set(id, ..)
            | Step::Close(id)
            | Step::Open(id) => *id,
            Step::Outside | Step::Wait(_) => u64::MAX,
        };
        let there = self.open.contains(&id);
        if (id != u64::MAX) && there == matches!(step, Step::Open(_)) {
            return Ok(());
        }
        let open = OpenId(id);
        self.outside &= matches!(step, Step::Wait(_) | Step::Open(_));
        match step {
            Step::Open(_) => {
                let ask = OpenAsk {
                    access: AccessMask::WRITE_DATA,
                    share: ShareAccess::READ | ShareAccess::WRITE,
                    written: self.disk.written,
                    ..OpenAsk::new(open, KEY, RelPath::new("f"))
                };
                assert!(matches!(self.tree.open(ask, now), Opening::Granted(_)));
                self.open.push(id);
            }
            Step::Write(_) => {
                self.moves();
                self.tree.wrote(open, at(self.clock), now);
            }
            Step::Outside => {
                self.moves();
                self.outside = true;
            }
            Step::Flush(_) => {
                self.tree.show_times(open, None);
            }
            Step::Resize(_) => {
                self.moves();
                self.tree.show_times(open, Some(at(self.clock)));
            }
            Step::Set(_, written, changed) => {
                self.tree.show_times(open, None);
                let before = self.told();
                if let TimeChange::Set(time) = written {
                    (self.disk.written, self.disk.changed) = (*time, at(self.clock));
                }
                if let TimeChange::Set(time) = changed {
                    self.disk.changed = *time;
                }
                let ask = TimesAsk { accessed: TimeChange::Keep, written: *written, changed: *changed };
                let mend = self.tree.set_times(open, ask, before, self.disk, now);
                self.mend(mend);
                let told = self.told();
                for (change, told, before) in
                    [(written, told.written, before.written), (changed, told.changed, before.changed)]
                {
                    match change {
                        TimeChange::Set(time) => same("a time just set", told, *time)?,
                        TimeChange::Freeze => same("a time just frozen", told, before)?,
                        TimeChange::Keep | TimeChange::Thaw => {}
                    }
                }
            }
            Step::Wait(tenths) => self.clock += tenths,
            Step::Close(_) => {
                let mended = self.tree.is_to_be_mended(open);
                let mend = self.tree.mend_at_close(open);
                if mend.is_needed() && !mended {
                    return Err("a mend that was not announced".to_owned());
                }
                self.mend(mend);
                let _ = self.tree.close(open, true, now);
                self.open.retain(|o| *o != id);
            }
        }
        let told = self.told();
        if self.outside {
            same("a write from outside", told.written, self.disk.written)?;
        }
        if self.open.is_empty() {
            same("what is closed", told, self.disk)?;
            same("nothing is remembered", self.tree.is_empty(), true)?;
        }
        Ok(())
    }
}
