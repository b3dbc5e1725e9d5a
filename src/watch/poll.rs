//! Where the kernel is blind: watched directories and files are looked at again and again, within a budget of system
//! calls, those that were asked for last first.
//!
//! A look compares names, and where content matters size, times and mode. What we have changed ourselves since the last
//! look is excused by name; of content it is not known who changed it, so what is cached is broken and nobody is told.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use super::pace::Pace;
use super::print::{Child, Print, list, stat};
use super::source::Name;
use super::{Interest, Shared};
use crate::fsa::Moment;
use crate::sys;
use crate::types::NodeKey;

/// System calls in a second, for one exported path.
const BUDGET: f64 = 2000.0;
/// Rests between looks are no shorter.
const SHORTEST: Duration = Duration::from_millis(1);

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
    snaps: HashMap<NodeKey, Polled>,
    pace: Pace,
}

struct Polled {
    snap: Arc<Mutex<Snap>>,
    /// The kernel remembers names and pages for as long as it was told to.
    fuse: bool,
    /// What the last look took of a round.
    cost: Duration,
}

impl Polls {
    pub fn len(&self) -> usize {
        self.snaps.len()
    }

    /// A change is told of at the latest after this.
    pub fn bound(&self, interval: Duration) -> Duration {
        let looks = self.snaps.values().map(|polled| polled.cost).sum();
        self.pace.bound(interval, looks, Instant::now())
    }

    /// And whether it is on a FUSE file system.
    pub fn get(&self, key: NodeKey) -> Option<(Arc<Mutex<Snap>>, bool)> {
        self.snaps.get(&key).map(|polled| (Arc::clone(&polled.snap), polled.fuse))
    }

    /// The number of the round that is on.
    pub fn round(&self) -> u64 {
        self.pace.number()
    }

    /// A look is over, and what it found is told.
    pub fn looked(&mut self, key: NodeKey, look: Look) {
        self.pace.looked(look.before, look.gap, look.tick);
        if let Some(polled) = self.snaps.get_mut(&key) {
            polled.cost = cost(look.calls, look.began);
        }
    }
}

/// What there is to say of a look.
pub(super) struct Look {
    /// The round of the one before.
    pub before: u64,
    /// From the beginning of that one.
    pub gap: Duration,
    /// Of the times of what was looked at.
    pub tick: Duration,
    pub calls: u32,
    pub began: Instant,
}

/// What so many calls may take of a round, and took.
fn cost(calls: u32, began: Instant) -> Duration {
    Duration::from_secs_f64(f64::from(calls) / BUDGET).max(began.elapsed())
}

/// One object as it was seen last.
pub(super) struct Snap {
    /// `O_PATH`: closing it waits for nobody.
    pub fd: OwnedFd,
    _counted: Counted,
    pub interest: Interest,
    pub print: Print,
    /// The print need not show the next change, see [`Print::is_fresh`].
    pub fresh: bool,
    /// Of a directory.
    pub names: Option<HashMap<Name, Child>>,
    /// When the last look began, and in which round.
    pub looked: Moment,
    pub round: u64,
}

impl Shared {
    /// From when this returns, changes of the object will be found. Blocks.
    pub(super) fn poll(
        self: &Arc<Shared>,
        object: BorrowedFd<'_>,
        key: NodeKey,
        directory: bool,
        interest: Interest,
        fuse: bool,
    ) -> Result<()> {
        let known = self.polls.lock().get(key);
        if let Some((known, fuse)) = known {
            let mut snap = known.lock();
            let more = interest - snap.interest;
            if more.contains(Interest::CONTENT) && directory {
                // What is known of names stays, so that no change of them is missed.
                let (now, _) = list(object, true, fuse)?;
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
        let (looked, began) = (self.now(), Instant::now());
        self.ground.rules.lock().note_own_changes();
        let print = stat(fd.as_fd(), b"")?;
        let (names, calls) = match directory {
            true => list(fd.as_fd(), interest.contains(Interest::CONTENT), fuse)
                .map(|(names, calls)| (Some(names), calls))?,
            false => (None, 0),
        };
        let mut polls = self.polls.lock();
        let (fresh, round) = (print.is_fresh(), polls.pace.number());
        let snap = Snap { fd, _counted: counted, interest, print, fresh, names, looked, round };
        let polled = Polled { snap: Arc::new(Mutex::new(snap)), fuse, cost: cost(calls + 1, began) };
        polls.snaps.insert(key, polled);
        Ok(())
    }

    /// Nobody wants to know any more.
    pub(super) fn unpoll(&self, key: NodeKey) {
        self.polls.lock().snaps.remove(&key);
    }

    /// From now on it is looked at through this descriptor; what is different from what was seen last will be told.
    pub(super) fn look_through(&self, object: BorrowedFd<'_>, key: NodeKey) -> Result<()> {
        let Some((snap, _)) = self.polls.lock().get(key) else { return Ok(()) };
        let fd = sys::file::reopen(object, OFlags::PATH)?;
        snap.lock().fd = fd;
        Ok(())
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
        watch.polls.lock().pace.begins(began);
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
        watch.polls.lock().pace.ends(Instant::now());
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
