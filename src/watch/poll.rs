//! Where the kernel is blind: watched directories and files are looked at again and again, within a budget of system
//! calls, those that were asked for last first.
//!
//! A look compares names, and where content matters size, times and mode. What we have changed ourselves since the last
//! look is excused by name; of content it is not known who changed it, so what is cached is broken and nobody is told.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::{Errno, Result};

use super::keeper::Task;
use super::source::{ATTRIBUTES, Event, Name, Origin, What};
use super::{Interest, Shared};
use crate::fsa::Moment;
use crate::fsa::change::Facets;
use crate::sys;
use crate::types::NodeKey;

/// System calls in a second, for one exported path.
const BUDGET: f64 = 2000.0;
/// Rests between looks are no shorter.
const SHORTEST: Duration = Duration::from_millis(1);

/// What is polled.
#[derive(Default)]
pub(super) struct Polls {
    snaps: HashMap<NodeKey, Arc<Mutex<Snap>>>,
    /// How long the last round took.
    round: Duration,
}

impl Polls {
    pub fn len(&self) -> usize {
        self.snaps.len()
    }

    /// A change is seen at the latest after this.
    pub fn bound(&self, interval: Duration) -> Duration {
        interval.max(self.round)
    }
}

/// One object as it was seen last.
struct Snap {
    /// `O_PATH`: closing it waits for nobody.
    fd: OwnedFd,
    interest: Interest,
    print: Print,
    /// Of a directory.
    names: Option<HashMap<Name, Child>>,
    /// When the last look began.
    looked: Moment,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Child {
    ino: u64,
    directory: bool,
    /// Where content matters.
    print: Option<Print>,
}

/// What tells that something changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Print {
    key: NodeKey,
    size: u64,
    written: (i64, u32),
    changed: (i64, u32),
    mode: u16,
    owner: (u32, u32),
    links: u32,
}

impl Print {
    fn of(stx: &Statx) -> Print {
        Print {
            key: NodeKey { dev: rustix::fs::makedev(stx.stx_dev_major, stx.stx_dev_minor), ino: stx.stx_ino },
            size: stx.stx_size,
            written: (stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec),
            changed: (stx.stx_ctime.tv_sec, stx.stx_ctime.tv_nsec),
            mode: stx.stx_mode,
            owner: (stx.stx_uid, stx.stx_gid),
            links: stx.stx_nlink,
        }
    }

    /// What is different. Of a directory's own data only its names count, and those are compared one by one.
    fn difference(&self, now: &Print, directory: bool) -> Facets {
        let mut facets = Facets::empty();
        if directory {
            if (self.mode, self.owner) != (now.mode, now.owner) {
                facets |= ATTRIBUTES;
            }
            return facets;
        }
        if self.key != now.key || (self.size, self.written) != (now.size, now.written) {
            facets |= Facets::WRITTEN;
        }
        if (self.mode, self.owner, self.links) != (now.mode, now.owner, now.links)
            || (facets.is_empty() && self.changed != now.changed)
        {
            facets |= ATTRIBUTES;
        }
        facets
    }
}

/// As the file system has it now, not as the kernel remembers it.
fn stat(fd: BorrowedFd<'_>, name: &[u8]) -> Result<Print> {
    let how = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
    let flags = how | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_FORCE_SYNC;
    Ok(Print::of(&rustix::fs::statx(fd, name, flags, StatxFlags::BASIC_STATS)?))
}

/// Names in a directory, with what matters of them; and how many system calls it took.
fn list(dir: BorrowedFd<'_>, content: bool) -> Result<(HashMap<Name, Child>, u32)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, c".", flags, Mode::empty())?;
    let mut buf = sys::dir::DirBuf::new(32 << 10);
    let mut names = HashMap::new();
    let mut unknown = Vec::new();
    while let Some(entry) = buf.next(&fd)? {
        if entry.name == b"." || entry.name == b".." {
            continue;
        }
        if content || entry.file_type == FileType::Unknown {
            unknown.push(Name::from(entry.name));
        }
        let directory = entry.file_type == FileType::Directory;
        names.insert(entry.name.into(), Child { ino: entry.ino, directory, print: None });
    }
    let calls = 4 + unknown.len() as u32;
    for name in unknown {
        match stat(fd.as_fd(), &name) {
            Ok(print) => {
                if let Some(child) = names.get_mut(&name) {
                    child.directory = FileType::from_raw_mode(u32::from(print.mode)) == FileType::Directory;
                    child.print = content.then_some(print);
                }
            }
            // Gone since.
            Err(Errno::NOENT) => drop(names.remove(&name)),
            // Cannot be looked at: that it is there is all that is known.
            Err(_) => {}
        }
    }
    Ok((names, calls))
}

impl Shared {
    /// From when this returns, changes of the object will be found. Blocks.
    pub(super) fn poll(
        self: &Arc<Shared>,
        object: BorrowedFd<'_>,
        key: NodeKey,
        directory: bool,
        interest: Interest,
    ) -> Result<()> {
        let known = self.polls.lock().snaps.get(&key).cloned();
        if let Some(known) = known {
            let mut snap = known.lock();
            let more = interest - snap.interest;
            if more.contains(Interest::CONTENT) && directory {
                // What is known of names stays, so that no change of them is missed.
                let (now, _) = list(object, true)?;
                for (name, child) in snap.names.iter_mut().flatten() {
                    child.print = now.get(name).and_then(|now| now.print);
                }
            }
            snap.interest |= interest;
            return Ok(());
        }
        // Open before anything is looked at: it cannot become another's.
        let fd = sys::file::reopen(object, OFlags::PATH)?;
        let looked = self.now();
        self.ground.rules.lock().note_own_changes();
        let print = stat(fd.as_fd(), b"")?;
        let names = match directory {
            true => Some(list(fd.as_fd(), interest.contains(Interest::CONTENT))?.0),
            false => None,
        };
        let snap = Snap { fd, interest, print, names, looked };
        self.polls.lock().snaps.insert(key, Arc::new(Mutex::new(snap)));
        Ok(())
    }

    /// Nobody wants to know any more.
    pub(super) fn unpoll(&self, key: NodeKey) {
        self.polls.lock().snaps.remove(&key);
    }

    /// Looks at one object and tells what is different. How many system calls that took.
    fn look(self: &Arc<Shared>, key: NodeKey) -> u32 {
        let Some(snap) = self.polls.lock().snaps.get(&key).cloned() else { return 0 };
        let mut snap = snap.lock();
        let (since, began) = (snap.looked, self.now());
        let content = snap.interest.contains(Interest::CONTENT);
        let mut events = Vec::new();
        let calls = match &snap.names {
            Some(before) => match list(snap.fd.as_fd(), content) {
                Ok((now, calls)) => {
                    self.compare(key, before, &now, since, &mut events);
                    snap.names = Some(now);
                    calls
                }
                Err(errno) => return self.failed(key, errno),
            },
            None => 1,
        };
        match stat(snap.fd.as_fd(), b"") {
            Ok(now) => {
                let directory = snap.names.is_some();
                let facets = snap.print.difference(&now, directory);
                if now.links == 0 {
                    self.give([Task::Verify(key)]);
                } else if content && !facets.is_empty() {
                    let facets = self.doubted(key, since, facets);
                    events.push(Event {
                        origin: Origin::Outside,
                        directory,
                        node: Some(key),
                        what: What::Modified { at: None, facets },
                    });
                }
                snap.print = now;
            }
            Err(errno) => return self.failed(key, errno),
        }
        snap.looked = began;
        drop(snap);
        if let Some(excuses) = self.inner.lock().table.excuses(key) {
            excuses.looked();
        }
        self.heard(events, false);
        calls + 1
    }

    /// It cannot be looked at.
    fn failed(self: &Arc<Shared>, key: NodeKey, errno: Errno) -> u32 {
        if matches!(errno, Errno::NOENT | Errno::STALE) {
            self.give([Task::Verify(key)]);
        }
        2
    }

    /// What we have changed ourselves since the last look may be all there is to it: nobody is told, what is cached is
    /// broken all the same.
    fn doubted(&self, node: NodeKey, since: Moment, facets: Facets) -> Facets {
        match self.ground.rules.lock().changed_by_us(node, since) {
            true => Facets::DATA,
            false => facets,
        }
    }

    fn compare(
        &self,
        dir: NodeKey,
        before: &HashMap<Name, Child>,
        now: &HashMap<Name, Child>,
        since: Moment,
        events: &mut Vec<Event>,
    ) {
        let mut inner = self.inner.lock();
        // A file in place of a directory is another object.
        let stays = |name: &Name| match (before.get(name), now.get(name)) {
            (Some(was), Some(is)) => was.directory == is.directory,
            _ => false,
        };
        let mut gone: Vec<&Name> = before.keys().filter(|name| !stays(name)).collect();
        let mut come: Vec<&Name> = now.keys().filter(|name| !stays(name)).collect();
        gone.sort();
        come.sort();
        let key_of = |child: &Child| NodeKey { dev: dir.dev, ino: child.ino };
        let moving = gone.iter().map(|name| &before[*name]).chain(come.iter().map(|name| &now[*name]));
        let wanted: HashSet<NodeKey> =
            moving.map(key_of).filter(|key| inner.table.get(*key).is_some()).collect();
        let watched = |child: &Child| wanted.get(&key_of(child)).copied();
        let excuses = inner.table.excuses(dir);
        let known = |name: &Name, present| excuses.as_ref().is_some_and(|e| e.knows(name, present));
        let origin = |known| if known { Origin::Own } else { Origin::Outside };
        for old in gone {
            let was = &before[old];
            // A name that went and one that came of the same object, as far as its print tells, is a rename.
            let same = |name: &&Name| {
                let is = &now[*name];
                let same = was.print.is_some_and(|print| moved(&print, is.print.as_ref()));
                same && was.ino == is.ino && !known(old, false) && !known(name, true)
            };
            let (name, directory) = (old.clone(), was.directory);
            let (origin, what) = match come.iter().position(same) {
                Some(to) => {
                    let to = come.remove(to).clone();
                    (Origin::Outside, What::Renamed { from: (dir, name), to: (dir, to) })
                }
                None => {
                    let moved = watched(was).is_some();
                    (origin(known(old, false)), What::Removed { at: (dir, name), moved })
                }
            };
            events.push(Event { origin, directory, node: watched(was), what });
        }
        for name in come {
            let (directory, node) = (now[name].directory, watched(&now[name]));
            let what = What::Created { at: (dir, name.clone()), moved: node.is_some() };
            events.push(Event { origin: origin(known(name, true)), directory, node, what });
        }
        let mut changed = Vec::new();
        for (name, is) in now {
            let (Some(was), Some(print)) = (before.get(name), is.print) else { continue };
            let Some(facets) = was.print.map(|was| was.difference(&print, is.directory)) else { continue };
            if was.directory == is.directory && !facets.is_empty() {
                let may_know = excuses.as_ref().is_some_and(|e| e.may_know(name));
                changed.push((name, is.directory, print.key, facets, may_know));
            }
        }
        drop(inner);
        changed.sort_by_key(|(name, ..)| *name);
        for (name, directory, node, facets, may_know) in changed {
            let facets = if may_know { Facets::DATA } else { self.doubted(node, since, facets) };
            let at = Some((dir, name.clone()));
            let what = What::Modified { at, facets };
            events.push(Event { origin: Origin::Outside, directory, node: Some(node), what });
        }
    }
}

/// The same object under another name, as far as can be told.
fn moved(was: &Print, is: Option<&Print>) -> bool {
    is.is_some_and(|is| {
        was.key == is.key && (was.size, was.written, was.mode) == (is.size, is.written, is.mode)
    })
}

/// Starts the thread; it ends when what is returned is dropped.
pub(super) fn start(shared: &Arc<Shared>) -> Result<Sender<()>> {
    let (sender, stop) = channel();
    let weak = Arc::downgrade(shared);
    let name: String = format!("poll {}", shared.ground.name).chars().take(15).collect();
    std::thread::Builder::new()
        .name(name)
        .stack_size(512 << 10)
        .spawn(move || run(&weak, &stop))
        .map_err(|_| Errno::AGAIN)?;
    Ok(sender)
}

/// Rests; false: it is over.
fn rest(stop: &Receiver<()>, time: Duration) -> bool {
    stop.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
}

fn run(shared: &Weak<Shared>, stop: &Receiver<()>) {
    if let Err(e) = sys::creds::assume_process() {
        log::error!("the poller of a watch has no identity: {e}");
        return;
    }
    let mut time = SHORTEST;
    let mut before = Moment::default();
    while rest(stop, time) {
        let began = Instant::now();
        let Some(watch) = shared.upgrade() else { return };
        let now = watch.now();
        watch.ground.rules.lock().forget_own_changes(before);
        before = now;
        let (interval, keys) = watch.due();
        drop(watch);
        let mut calls = 0;
        for key in keys {
            let Some(watch) = shared.upgrade() else { return };
            let look = || watch.look(key);
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)) {
                Ok(more) => calls += more,
                Err(_) => log::error!("{}: a look at what may have changed failed", watch.ground.name),
            }
            drop(watch);
            let due = Duration::from_secs_f64(f64::from(calls) / BUDGET);
            let ahead = due.saturating_sub(began.elapsed());
            if ahead > SHORTEST && !rest(stop, ahead) {
                return;
            }
        }
        let Some(watch) = shared.upgrade() else { return };
        watch.polls.lock().round = began.elapsed();
        time = interval.saturating_sub(began.elapsed()).max(SHORTEST);
    }
}

impl Shared {
    /// How often, and what: those that were asked for last first.
    fn due(&self) -> (Duration, Vec<NodeKey>) {
        let polled: Vec<NodeKey> = self.polls.lock().snaps.keys().copied().collect();
        let inner = self.inner.lock();
        let mut keys: Vec<(Instant, NodeKey)> = polled
            .into_iter()
            .filter_map(|key| Some((inner.table.get(key).filter(|e| e.idle.is_none())?.used, key)))
            .collect();
        keys.sort_by(|a, b| b.cmp(a));
        (inner.how.interval, keys.into_iter().map(|(_, key)| key).collect())
    }
}
