//! The thread that reads events. It makes no system call that can reach the exported path.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::barrier::Barrier;
use super::keeper::Task;
use super::source::{Event, Name, Origin, Source};
use super::translate::{Outcome, excuse, translate};
use super::{BATCH, Shared};
use crate::fsa::Effects;
use crate::fsa::change;
use crate::types::NodeKey;

/// Starts it; it ends when what is returned is dropped.
pub(super) fn start(
    shared: &Arc<Shared>,
    source: Arc<dyn Source>,
    barrier: Arc<Barrier>,
) -> Result<OwnedFd, Errno> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let weak = Arc::downgrade(shared);
    let name: String = format!("watch {}", shared.ground.name).chars().take(15).collect();
    std::thread::Builder::new()
        .name(name)
        .stack_size(256 << 10)
        .spawn(move || run(&weak, &*source, &barrier, &read))
        .map_err(|_| Errno::AGAIN)?;
    Ok(write)
}

fn run(shared: &Weak<Shared>, source: &dyn Source, barrier: &Barrier, stop: &OwnedFd) {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(source.fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                log::error!("changes made outside SMB are not seen any more: {errno}");
                return;
            }
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        let Some(shared) = shared.upgrade() else { return };
        // A bug in here is not to end the watch, and with it every promise, without a word.
        let work = || shared.turn(source);
        barrier.begin();
        let turned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let own = turned.unwrap_or_else(|_| {
            log::error!("{}: a change made outside SMB could not be told", shared.ground.name);
            shared.heard(vec![Event::lost()], true);
            false
        });
        while let Some(asked) = barrier.end() {
            let rest = || shared.read_all(source);
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(rest)).is_err() {
                shared.heard(vec![Event::lost()], true);
            }
            barrier.pass(asked);
        }
        if own {
            std::thread::sleep(REST);
        }
    }
}

/// The kernel merges events that wait, also such as are not neighbours: of a name that came and went, or went and came,
/// the order is not known. What it has come to is looked at.
fn muddled(mut touched: Vec<(NodeKey, Name, bool)>) -> Vec<Task> {
    if touched.len() < 2 {
        return Vec::new();
    }
    // Stable: what was told last stays last.
    touched.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let same = touched.chunk_by(|a, b| (a.0, &a.1) == (b.0, &b.1)).filter(|same| same.len() > 1);
    same.filter_map(|same| same.last().cloned())
        .map(|(dir, name, present)| Task::Check { at: (dir, name), present })
        .collect()
}

/// While all that comes is our own doing, events are taken in heaps: to be woken for each costs more than to read it.
const REST: Duration = Duration::from_micros(500);

impl Shared {
    /// True: all that came was our own doing.
    fn turn(self: &Arc<Shared>, source: &dyn Source) -> bool {
        let own = match source.read() {
            Ok(events) => {
                let events = events.unwrap_or_default();
                let own = !events.is_empty() && events.iter().all(|event| event.origin == Origin::Own);
                self.heard(events, true);
                own
            }
            Err(errno) => {
                log::error!("{}: events cannot be read: {errno}", self.ground.name);
                self.heard(vec![Event::lost()], true);
                false
            }
        };
        self.clear_read(source);
        own
    }

    fn read_all(self: &Arc<Shared>, source: &dyn Source) {
        loop {
            match source.read() {
                Ok(Some(events)) => self.heard(events, true),
                Ok(None) => return,
                Err(_) => return self.heard(vec![Event::lost()], true),
            }
        }
    }

    /// `kernel`: it said so. Else a look did.
    pub(super) fn heard(self: &Arc<Shared>, events: Vec<Event>, kernel: bool) {
        let mut touched = Vec::new();
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let mut outcome = Outcome::default();
            let mut effects = Effects::new();
            {
                let mut rules = self.ground.rules.lock();
                let (now, moment) = (Instant::now(), self.now());
                for event in events.by_ref().take(BATCH) {
                    let mut inner = self.inner.lock();
                    if kernel {
                        excuse(&mut inner.table, &event.what);
                    }
                    translate(&mut inner.table, &self.ledger, event, &rules, now, &mut outcome);
                    drop(inner);
                    outcome.missing.drain(..).for_each(|path| rules.misses(path));
                    for change in outcome.changes.drain(..) {
                        effects.extend(change::apply(&mut rules, &change, moment));
                    }
                }
            }
            // Before anybody is told: who asks then must not find an old index.
            if let Some(export) = (outcome.lost || !outcome.names.is_empty()).then(|| self.export()).flatten()
            {
                if outcome.lost {
                    export.names_lost();
                }
                outcome.names.iter().for_each(|dir| export.names_changed(*dir));
            }
            if outcome.lost {
                log::warn!(
                    "{}: more changes than the kernel keeps; everything is taken as changed",
                    self.ground.name
                );
            }
            if !effects.is_empty() {
                (self.ground.carry_out)(effects);
            }
            touched.append(&mut outcome.touched);
            self.give(outcome.tasks);
        }
        self.give(muddled(touched));
    }

    /// What was told by reading new directories can be forgotten once the events from before are in.
    fn clear_read(self: &Arc<Shared>, source: &dyn Source) {
        loop {
            let due = std::mem::take(&mut self.inner.lock().cleared);
            if due.is_empty() {
                return;
            }
            self.read_all(source);
            let mut inner = self.inner.lock();
            for dir in due {
                if let Some(entry) = inner.table.get_mut(dir) {
                    entry.read = None;
                }
            }
        }
    }
}
