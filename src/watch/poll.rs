//! Where the kernel is blind: watched directories and files are looked at again and again, within a budget of system
//! calls, those that were asked for last first.
//!
//! A look compares names, and where content matters size, times and mode. What we have changed ourselves since the last
//! look is excused by name; of content it is not known who changed it, so what is cached is broken and nobody is told.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{Advice, OFlags};
use rustix::io::{Errno, Result};

use super::keeper::Task;
use super::print::{Child, Print, list, moved, stat};
use super::source::{Event, Name, Origin, What};
use super::{Interest, Shared};
use crate::fsa::Moment;
use crate::fsa::change::Facets;
use crate::sys;
use crate::types::NodeKey;

/// System calls in a second, for one exported path.
const BUDGET: f64 = 2000.0;
/// Rests between looks are no shorter.
const SHORTEST: Duration = Duration::from_millis(1);

/// Somebody else may have changed it together with what is known.
const DOUBT: Facets = Facets::DATA.union(Facets::LISTED);

/// Objects that are polled, of all exported paths. Each costs a descriptor.
static POLLED: AtomicUsize = AtomicUsize::new(0);

/// Descriptors that polling takes now: never more than a quarter of those that the process may have.
pub fn descriptors() -> usize {
    POLLED.load(Ordering::Relaxed)
}

/// One of them.
struct Counted(());

impl Counted {
    /// None: it would be one too many.
    fn new(limit: usize) -> Option<Counted> {
        let more = |polled| (polled < limit / 4).then_some(polled + 1);
        POLLED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Counted(()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        POLLED.fetch_sub(1, Ordering::Relaxed);
    }
}

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
    _counted: Counted,
    interest: Interest,
    print: Print,
    /// The print need not show the next change, see [`Print::is_fresh`].
    fresh: bool,
    /// Of a directory.
    names: Option<HashMap<Name, Child>>,
    /// When the last look began.
    looked: Moment,
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
        let counted = Counted::new(sys::process::open_files_limit()).ok_or(Errno::MFILE)?;
        // Open before anything is looked at: it cannot become another's.
        let fd = sys::file::reopen(object, OFlags::PATH)?;
        let looked = self.now();
        self.ground.rules.lock().note_own_changes();
        let print = stat(fd.as_fd(), b"")?;
        let names = match directory {
            true => Some(list(fd.as_fd(), interest.contains(Interest::CONTENT))?.0),
            false => None,
        };
        let snap = Snap { fd, _counted: counted, interest, print, fresh: print.is_fresh(), names, looked };
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
            // Some FUSE file systems open by name: this is what has the name now.
            Ok(now) if now.key != key => return self.failed(key, Errno::STALE),
            Ok(now) => {
                let directory = snap.names.is_some();
                let mut facets = snap.print.difference(&now, directory);
                let fresh = now.is_fresh();
                if snap.fresh && !fresh && facets.is_empty() && now.is_file() {
                    // It may have been changed since, without a trace.
                    facets = Facets::DATA;
                }
                snap.fresh = fresh;
                if now.links == 0 {
                    self.give([Task::Verify(key)]);
                } else if content && !facets.is_empty() {
                    if facets.contains(Facets::DATA) && now.is_file() {
                        self.drop_pages(key);
                    }
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

    /// It cannot be looked at, or is another object.
    fn failed(self: &Arc<Shared>, key: NodeKey, errno: Errno) -> u32 {
        if matches!(errno, Errno::NOENT | Errno::STALE) {
            self.give([Task::Regain(key), Task::Verify(key)]);
        }
        2
    }

    /// From now on it is looked at through this descriptor; what is different from what was seen last will be told.
    pub(super) fn look_through(&self, object: BorrowedFd<'_>, key: NodeKey) -> Result<()> {
        let Some(snap) = self.polls.lock().snaps.get(&key).cloned() else { return Ok(()) };
        let fd = sys::file::reopen(object, OFlags::PATH)?;
        snap.lock().fd = fd;
        Ok(())
    }

    /// A FUSE file system's pages may stay in the kernel's cache for as long as the file is open, whatever a look has seen.
    /// Who is told to read again is to find what is there. Each name may have pages of its own.
    fn drop_pages(&self, key: NodeKey) {
        let Some(export) = self.export().filter(|export| !export.is_quick()) else { return };
        for path in self.paths_in_rules(key) {
            let Ok(found) = export.open_rel(&super::disk_path(&path)) else { continue };
            let opened = sys::file::reopen(found.object.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK);
            let done = opened.and_then(|fd| rustix::fs::fadvise(&fd, 0, None, Advice::DontNeed));
            if let Err(errno) = done {
                log::debug!("{}: old pages may stay in the kernel's cache: {errno}", self.ground.name);
            }
        }
    }

    /// What we have changed ourselves since the last look may be all there is to it: nobody is told, what is cached is
    /// broken all the same.
    fn doubted(&self, node: NodeKey, since: Moment, facets: Facets) -> Facets {
        match self.ground.rules.lock().changed_by_us(node, since) {
            true => DOUBT,
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
        let mut unsure = Vec::new();
        for name in come {
            if known(name, true) {
                unsure.push((name.clone(), now[name].directory));
            }
            let (directory, node) = (now[name].directory, watched(&now[name]));
            let what = What::Created { at: (dir, name.clone()), moved: node.is_some() };
            events.push(Event { origin: origin(known(name, true)), directory, node, what });
        }
        // It came, as is known, and went again.
        let come = excuses.iter().flat_map(|e| e.come()).filter(|name| !now.contains_key(*name));
        unsure.extend(come.map(|name| (name.clone(), false)));
        for (name, directory) in unsure {
            let what = What::Modified { at: Some((dir, name)), facets: Facets::LISTED };
            events.push(Event { origin: Origin::Outside, directory, node: None, what });
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
            let facets = if may_know { DOUBT } else { self.doubted(node, since, facets) };
            let at = Some((dir, name.clone()));
            let what = What::Modified { at, facets };
            events.push(Event { origin: Origin::Outside, directory, node: Some(node), what });
        }
    }
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
