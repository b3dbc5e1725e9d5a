//! Changes that are not ours: made by local processes, by other protocols, at the far side of a mount.
//!
//! ```text
//!   kernel -> source (fanotify, inotify) -> translate -> fsa::change::apply -> effects, for the layer above
//!                                              '-> name indexes            '-> keeper: what takes a look at the disk
//! ```
//!
//! One [`Watch`] for each exported path. What depends on hearing of changes (a lease, an oplock, a notification, a name
//! index) asks [`Watch::ensure`] first and keeps the [`Token`]; without one there is no promise.
//!
//! Threads of its own, once something is watched: a **reader** for each source never touches the exported path, so
//! events come in whatever hangs there; the **keeper** does (new subdirectories, marks to take away), and may hang; so may
//! the **poller**, which looks again and again where the kernel is blind.
//!
//! Locks: `marking`, then what a look saw last, then the rules, then the table. Only the first two are held across system
//! calls on the path, and a reader takes neither.

mod barrier;
mod excuse;
mod fanotify;
mod inotify;
mod keeper;
mod ledger;
mod look;
mod mark;
mod pace;
mod poll;
mod print;
mod reader;
mod source;
mod subtree;
mod table;
#[cfg(test)]
mod tests;
mod translate;

pub use poll::descriptors as polled;

use std::any::Any;
use std::collections::HashSet;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

use crate::config::Watch as Mode;
use crate::fsa::change::{self, Change};
use crate::fsa::{Effects, Moment, RelPath, Tree};
use crate::posix::{self, Export, Kind, Object};
use crate::types::NodeKey;
use barrier::Barrier;
use ledger::Ledger;
use source::Source;
use table::{Hold, Table};

bitflags::bitflags! {
    /// What somebody wants to hear of.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Interest: u8 {
        /// Of a directory: names that come, go and change. And that the object itself moves or is deleted.
        const NAMES = 0x1;
        /// Content and attributes: of the file, or of what stands in the directory.
        const CONTENT = 0x2;
        /// Of a file: that somebody opens it.
        const OPENS = 0x4;
    }
}

/// Why there is no watch.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoWatch {
    #[error("switched off (watch = \"off\")")]
    Off,
    /// A limit, and what raises it.
    #[error("no watches are left: raise {0}")]
    Exhausted(&'static str),
    #[error("the kernel cannot watch this file system: {0}")]
    Unsupported(Errno),
    #[error("too many directories to be watched one by one")]
    TooMany,
    #[error("cannot be watched: {0}")]
    Failed(Errno),
}

/// The exported path, once it is open.
pub type ExportSlot = Arc<Mutex<Option<Arc<Export>>>>;

/// What a watch stands on, and whom it tells.
pub struct Ground {
    /// For threads and the log.
    pub name: String,
    pub rules: Arc<Mutex<Tree>>,
    pub epoch: Instant,
    pub export: ExportSlot,
    /// Carries effects out. Called without any lock.
    pub carry_out: Box<dyn Fn(Effects) + Send + Sync>,
}

/// How much can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub level: Level,
    /// `fanotify`, `inotify`, as far as they were needed.
    pub sources: Vec<&'static str>,
    /// Files and directories that are watched.
    pub watched: usize,
    /// Those of them that are looked at though the kernel tells of the others, being on a mount within the path that it does
    /// not see all of; and how soon that finds a change at the latest.
    pub polled: Option<(usize, Duration)>,
    /// Why the last attempt failed, if it did.
    pub trouble: Option<NoWatch>,
    /// The file system can be changed where the kernel does not see it.
    pub remote: bool,
}

/// How soon a change from outside is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The kernel tells.
    Async,
    /// At the latest after this.
    Poll(Duration),
    None,
}

bitflags::bitflags! {
    /// How something is watched.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub(crate) struct Via: u8 {
        const FANOTIFY = 0x1;
        const INOTIFY = 0x2;
        const POLL = 0x4;
    }
}

/// As the share says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct How {
    mode: Mode,
    interval: Duration,
    /// The sources to try, first to last.
    sources: &'static [Via],
}

/// Changes from outside, of one exported path. Its threads end with it.
pub struct Watch(Arc<Shared>);

struct Shared {
    ground: Ground,
    inner: Mutex<Inner>,
    /// Held while marks are added or taken away.
    marking: Mutex<()>,
    polls: Mutex<poll::Polls>,
    ledger: Ledger,
    /// Our own changes of names are to be noted.
    noting: AtomicBool,
}

struct Inner {
    table: Table,
    how: How,
    running: Vec<Running>,
    /// Devices that a source cannot watch.
    cannot: HashSet<(u64, Via)>,
    /// Ends the poller when it is dropped.
    poller: Option<mpsc::Sender<()>>,
    keeper: Option<mpsc::Sender<keeper::Task>>,
    /// And when it last came up.
    trouble: Option<(NoWatch, Instant)>,
    /// Directories whose `read` is to be cleared once all events are in.
    cleared: Vec<NodeKey>,
    /// Directories of subtrees that could not be watched.
    uncovered: bool,
}

/// A source with its reader.
struct Running {
    via: Via,
    source: Arc<dyn Source>,
    barrier: Arc<Barrier>,
    /// Ends the reader when it is dropped.
    _stop: OwnedFd,
}

/// Somebody depends on hearing of changes. Dropped: no more.
pub struct Token {
    shared: Weak<Shared>,
    held: smallvec::SmallVec<[(NodeKey, Hold); 2]>,
}

#[cfg(test)]
impl Token {
    /// Of no watch.
    pub fn none() -> Token {
        Token { shared: Weak::new(), held: Default::default() }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let now = Instant::now();
        let mut inner = shared.inner.lock();
        for (key, hold) in &self.held {
            inner.table.release(*key, *hold, now);
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Token").field(&self.held).finish()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut inner = self.0.inner.lock();
        inner.keeper = None;
        inner.poller = None;
        inner.running.clear();
    }
}

impl Watch {
    pub fn new(ground: Ground) -> Watch {
        Watch(Arc::new(Shared {
            ground,
            inner: Mutex::new(Inner {
                table: Table::default(),
                how: How { mode: Mode::Auto, interval: Duration::from_secs(2), sources: mark::SOURCES },
                running: Vec::new(),
                cannot: HashSet::new(),
                poller: None,
                keeper: None,
                trouble: None,
                cleared: Vec::new(),
                uncovered: false,
            }),
            marking: Mutex::new(()),
            polls: Mutex::default(),
            ledger: Ledger::default(),
            noting: AtomicBool::new(false),
        }))
    }

    /// As the share says. What is watched already stays so.
    pub fn configure(&self, mode: Mode, interval: Duration) {
        let mut inner = self.0.inner.lock();
        inner.how = How { mode, interval, ..inner.how };
    }

    /// Changes of `object`, which stands at `path`, are told from the moment this returns until the token is dropped.
    /// The caller keeps the object open as long. Makes system calls on it: for workers.
    pub fn ensure(&self, object: &Object, path: &RelPath, interest: Interest) -> Result<Token, NoWatch> {
        self.0.ensure(object, path, interest, false)
    }

    /// The same, for who is to rely on the name: STALE if it has become another's before that would have been told.
    pub fn ensure_named(
        &self,
        object: &Object,
        path: &RelPath,
        interest: Interest,
    ) -> Result<Token, NoWatch> {
        let token = self.ensure(object, path, interest)?;
        match self.0.export().is_none_or(|export| export.is_at(object, &disk_path(path))) {
            true => Ok(token),
            false => Err(NoWatch::Failed(Errno::STALE)),
        }
    }

    /// [`Watch::ensure`] of a directory and everything beneath it. Directories that appear there are added. Beyond
    /// [`subtree::MOST`] directories, and where a file system cannot be watched, it is less than everything.
    pub fn ensure_tree(&self, object: &Object, path: &RelPath, interest: Interest) -> Result<Token, NoWatch> {
        self.0.ensure(object, path, interest | Interest::NAMES, true)
    }

    /// What the kernel has to tell at this moment has been told when this returns. False: it takes too long. Of what is
    /// only polled nothing is known between two looks.
    pub fn catches_up(&self) -> bool {
        self.0.catches_up(CATCH_UP)
    }

    /// For the exported path's policy.
    pub fn watcher(&self) -> Arc<dyn posix::Watcher> {
        Arc::new(Hook(Arc::downgrade(&self.0)))
    }

    /// What the sources are, first to last.
    #[cfg(test)]
    fn by(&self, sources: &'static [Via]) {
        self.0.inner.lock().how.sources = sources;
    }

    pub fn status(&self) -> Status {
        let remote = self.0.export().is_some_and(|export| !export.is_quick());
        let inner = self.0.inner.lock();
        let trouble = if inner.how.mode == Mode::Off {
            Some(NoWatch::Off)
        } else {
            inner.trouble.as_ref().map(|(why, _)| why.clone())
        };
        let polls = self.0.polls.lock();
        let bound = polls.bound(inner.how.interval);
        let level = match (&trouble, inner.how.polls(remote)) {
            (Some(NoWatch::Off), _) => Level::None,
            (_, true) => Level::Poll(bound),
            (Some(_), false) => Level::None,
            (None, false) => Level::Async,
        };
        Status {
            level,
            sources: inner.running.iter().map(|running| running.source.name()).collect(),
            watched: inner.table.len() - inner.table.idle(),
            polled: (level == Level::Async && polls.len() > 0).then(|| (polls.len(), bound)),
            trouble,
            remote,
        }
    }
}

impl Shared {
    fn ensure(
        self: &Arc<Shared>,
        object: &Object,
        path: &RelPath,
        interest: Interest,
        deep: bool,
    ) -> Result<Token, NoWatch> {
        let mut token = Token { shared: Arc::downgrade(self), held: Default::default() };
        let directory = object.kind() == Kind::Directory;
        let hold = Hold { interest, pins: true, deep };
        let covered = deep && self.inner.lock().table.is_covered(object.key());
        self.hold(object.as_fd(), object.key(), directory, Some(path), hold)?;
        token.held.push((object.key(), hold));
        if directory && let Some(above) = path.parent() {
            // A directory that is deleted while somebody has it open is missed in the one above only.
            let hold = Hold { interest: Interest::NAMES, pins: false, deep: false };
            let found = self.export().and_then(|export| export.open_rel(&disk_path(&above)).ok());
            if let Some(found) = found
                && self.hold(found.object.as_fd(), found.object.key(), true, Some(&above), hold).is_ok()
            {
                token.held.push((found.object.key(), hold));
            }
        }
        if deep && !covered {
            self.noting.store(true, Ordering::Release);
            self.walk(object, interest);
        }
        Ok(token)
    }

    fn export(&self) -> Option<Arc<Export>> {
        self.ground.export.lock().clone()
    }

    fn now(&self) -> Moment {
        Moment(self.ground.epoch.elapsed())
    }

    fn catches_up(&self, patience: Duration) -> bool {
        let running = |running: &Running| (Arc::clone(&running.source), Arc::clone(&running.barrier));
        let all: Vec<_> = self.inner.lock().running.iter().map(running).collect();
        let until = Instant::now() + patience;
        all.iter().all(|(source, barrier)| barrier.wait(&**source, until))
    }

    /// Through the door.
    fn tell(&self, changes: &[Change]) {
        for some in changes.chunks(BATCH) {
            let mut rules = self.ground.rules.lock();
            let now = self.now();
            let effects: Effects =
                some.iter().flat_map(|change| change::apply(&mut rules, change, now)).collect();
            drop(rules);
            if !effects.is_empty() {
                (self.ground.carry_out)(effects);
            }
        }
    }

    /// The names that the rules have for a node, if it is open.
    fn paths_in_rules(&self, key: NodeKey) -> Vec<RelPath> {
        self.ground.rules.lock().paths_of_node(key)
    }

    fn give(&self, tasks: impl IntoIterator<Item = keeper::Task>) {
        let inner = self.inner.lock();
        if let Some(keeper) = &inner.keeper {
            for task in tasks {
                // It ends only with the watch.
                let _ = keeper.send(task);
            }
        }
    }
}

/// How long is waited for the readers.
const CATCH_UP: Duration = Duration::from_millis(200);

/// Changes that are told under one hold of the rules.
const BATCH: usize = 64;

/// The disk's form of a path of the rules.
fn disk_path(path: &RelPath) -> posix::RelPath {
    posix::RelPath::root().join(path.as_bytes())
}

/// What the exported path tells the watch, and asks of it.
struct Hook(Weak<Shared>);

impl posix::Watcher for Hook {
    fn watch(&self, dir: BorrowedFd<'_>, key: NodeKey) -> Option<Box<dyn Any + Send + Sync>> {
        let shared = self.0.upgrade()?;
        let hold = Hold { interest: Interest::NAMES, pins: false, deep: false };
        if shared.inner.lock().how.mode == Mode::Poll {
            // Reading it once more is no more than looking at it again and again.
            return None;
        }
        shared.hold(dir, key, true, None, hold).ok()?;
        Some(Box::new(Token { shared: Weak::clone(&self.0), held: smallvec::smallvec![(key, hold)] }))
    }

    fn expect(&self, dir: NodeKey, name: &[u8], added: bool) -> Option<u64> {
        let shared = self.0.upgrade()?;
        if !shared.noting.load(Ordering::Acquire) {
            return None;
        }
        let number = shared.ledger.expect(dir, name, added, Instant::now());
        if let Some(excuses) = shared.inner.lock().table.excuses(dir) {
            excuses.expect(name, added, number);
        }
        Some(number)
    }

    fn over(&self, dir: NodeKey, name: &[u8], added: bool, number: u64, done: bool) {
        let Some(shared) = self.0.upgrade() else { return };
        if let Some(excuses) = shared.inner.lock().table.excuses(dir) {
            match done {
                true => excuses.done(name, added, number),
                false => excuses.retract(name, number),
            }
        }
        if !done
            && shared.ledger.failed(dir, name, number)
            && let Some(path) = shared.path_of(dir).map(|dir| dir.child(name))
        {
            let kind = if added { change::Kind::Created } else { change::Kind::Removed };
            shared.tell(&[Change::new(kind, path, false)]);
        }
    }
}
