//! Who sees to it that the store has what it should. What happens to an open costs it an entry in a list; what is closed
//! before its turn comes never reaches the disk.

use super::snapshot;
use super::{Edit, HandleStore};
use crate::session::Open;
use crate::types::NtStatus;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

/// So long after a change a record is written, at the earliest; at the latest twice as long.
const SOON: Duration = Duration::from_millis(20);
/// The same if only the file has changed, by its own client: until then, a server that is killed takes what the client
/// caches for old.
const LATER: Duration = Duration::from_secs(1);
/// How long an orderly stop waits for what hangs.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Queue {
    soon: Vec<Weak<Open>>,
    /// Those that have waited for a turn: due at the next one.
    due: Vec<Weak<Open>>,
    later: Vec<Weak<Open>>,
    /// When the first of these is due.
    later_at: Option<Instant>,
    /// Records that are to go.
    gone: Vec<u64>,
    over: bool,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.soon.is_empty() && self.due.is_empty() && self.gone.is_empty()
    }

    /// Whose records are to be written in this turn. An open of a moment is closed before its turn comes.
    fn next(&mut self, now: Instant) -> Vec<Weak<Open>> {
        let soon = std::mem::take(&mut self.soon);
        let mut due = std::mem::replace(&mut self.due, soon);
        if self.later_at.is_some_and(|at| at <= now) {
            self.later_at = None;
            due.append(&mut self.later);
        }
        due
    }
}

struct Shared {
    store: Arc<dyn HandleStore>,
    queue: Mutex<Queue>,
    work: Condvar,
}

pub struct Keeper(Arc<Shared>);

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    /// Its thread ends with it.
    pub fn new(store: Arc<dyn HandleStore>) -> std::io::Result<Keeper> {
        let shared = Arc::new(Shared { store, queue: Mutex::default(), work: Condvar::new() });
        let keeps = Arc::clone(&shared);
        std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keeps.run())?;
        Ok(Keeper(shared))
    }

    pub fn store(&self) -> &Arc<dyn HandleStore> {
        &self.0.store
    }

    /// Something about a durable open is another than its record says. Never blocks.
    pub fn changed(&self, open: &Arc<Open>) {
        let Some(durability) = open.durability.get().filter(|d| d.timeout().is_some()) else { return };
        if durability.keeping.soon.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut queue = self.0.queue.lock();
        let first = queue.is_idle();
        queue.soon.push(Arc::downgrade(open));
        drop(queue);
        if first {
            self.0.work.notify_one();
        }
    }

    /// Its client has changed the file. Never blocks.
    pub fn used(&self, open: &Arc<Open>) {
        let Some(durability) = open.durability.get().filter(|d| d.timeout().is_some()) else { return };
        if durability.keeping.later.load(Ordering::Relaxed)
            || durability.keeping.later.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let mut queue = self.0.queue.lock();
        queue.later.push(Arc::downgrade(open));
        if queue.later_at.is_none() {
            queue.later_at = Some(Instant::now() + LATER);
            drop(queue);
            self.0.work.notify_one();
        }
    }

    /// It is closed. Never blocks.
    pub fn forget(&self, open: &Open) {
        if snapshot::is_stored(open) {
            self.0.remove(open.id.persistent);
        }
    }

    /// The same, and if it is persistent its record is on the disk once this returns, or will be when it can. Blocks then:
    /// for workers of its export.
    pub fn note(&self, open: &Arc<Open>) -> Result<(), NtStatus> {
        if !open.is_persistent() {
            self.changed(open);
            return Ok(());
        }
        self.keep(open).inspect_err(|_| {
            let _ = self.0.put(open, None);
        })
    }

    /// Its record is on the disk once this returns. Blocks: for workers of its export.
    fn keep(&self, open: &Open) -> Result<(), NtStatus> {
        let (tell, hear) = mpsc::channel();
        let done = move |result| {
            let _ = tell.send(result);
        };
        self.0.put(open, Some(Box::new(done)))?;
        hear.recv().unwrap_or(Err(NtStatus::INSUFFICIENT_RESOURCES))
    }

    /// All that is known of these opens, and everything before, is on the disk once this returns, but for what hangs.
    /// Blocks.
    pub fn flush(&self, opens: Vec<Arc<Open>>) {
        let until = Instant::now() + PATIENCE;
        let (tell, hear) = mpsc::channel();
        for (workers, opens) in by_area(opens) {
            let (shared, tell) = (Arc::clone(&self.0), tell.clone());
            let job = move || {
                shared.put_each(&opens);
                let _ = tell.send(());
            };
            if workers.submit(Box::new(job)).is_err() {
                log::error!("overloaded: handles of a share are not kept");
            }
        }
        drop(tell);
        let left = || until.saturating_duration_since(Instant::now());
        loop {
            match hear.recv_timeout(left()) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    log::warn!("a share hangs; its handles are kept as they were last");
                    break;
                }
            }
        }
        let gone = std::mem::take(&mut self.0.queue.lock().gone);
        let (tell, hear) = mpsc::channel();
        let done = move |result: Result<(), NtStatus>| {
            let _ = tell.send(result);
        };
        self.0.store.write(gone.into_iter().map(Edit::Remove).collect(), Some(Box::new(done)));
        let _ = hear.recv_timeout(left().max(Duration::from_secs(1)));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.queue.lock().over = true;
        self.0.work.notify_one();
    }
}

type Group = (crate::session::Workers, Vec<Arc<Open>>);

/// By the export that they are of.
fn by_area(opens: Vec<Arc<Open>>) -> Vec<Group> {
    let mut groups: HashMap<*const crate::session::Area, Group> = HashMap::new();
    for open in opens {
        let Some(disk) = open.share().disk() else { continue };
        let group =
            groups.entry(Arc::as_ptr(&disk.area)).or_insert_with(|| (disk.area.workers.clone(), Vec::new()));
        group.1.push(open);
    }
    groups.into_values().collect()
}

impl Shared {
    fn run(self: &Arc<Self>) {
        loop {
            let mut queue = self.queue.lock();
            while queue.is_idle() && !queue.over {
                match queue.later_at {
                    Some(at) if at <= Instant::now() => break,
                    Some(at) => drop(self.work.wait_until(&mut queue, at)),
                    None => self.work.wait(&mut queue),
                }
            }
            if queue.over {
                return;
            }
            drop(queue);
            // What comes meanwhile goes with it, and what goes meanwhile does not come.
            std::thread::sleep(SOON);
            self.turn();
        }
    }

    fn turn(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        let due = queue.next(Instant::now());
        let gone = std::mem::take(&mut queue.gone);
        drop(queue);
        if !gone.is_empty() {
            self.store.write(gone.into_iter().map(Edit::Remove).collect(), None);
        }
        let due: Vec<_> = due.iter().filter_map(Weak::upgrade).filter(|open| !open.is_closed()).collect();
        for (workers, opens) in by_area(due) {
            let shared = Arc::clone(self);
            if workers.submit(Box::new(move || shared.put_each(&opens))).is_err() {
                log::warn!("overloaded: the handles of a share are not kept as they are now");
            }
        }
    }

    fn remove(&self, persistent: u64) {
        let mut queue = self.queue.lock();
        let first = queue.is_idle();
        queue.gone.push(persistent);
        drop(queue);
        if first {
            self.work.notify_one();
        }
    }

    fn put_each(&self, opens: &[Arc<Open>]) {
        for open in opens {
            let _ = self.put(open, None);
        }
    }

    /// Writes its record. INSUFFICIENT_RESOURCES: it has none, since it could not be found again.
    fn put(&self, open: &Open, done: Option<super::Done>) -> Result<(), NtStatus> {
        const NONE: NtStatus = NtStatus::INSUFFICIENT_RESOURCES;
        let keeping = &open.durability.get().ok_or(NONE)?.keeping;
        let mut making = keeping.making.lock();
        // What changes from here on is another change.
        keeping.soon.store(false, Ordering::Release);
        keeping.later.store(false, Ordering::Release);
        let before = keeping.stored.swap(true, Ordering::SeqCst);
        let record = snapshot::of(open, &mut making).filter(|_| !open.is_closed());
        let any = record.is_some();
        match record {
            Some(record) => self.store.write(vec![Edit::Put(Box::new(record))], done),
            None if before => self.store.write(vec![Edit::Remove(open.id.persistent)], None),
            None => {}
        }
        drop(making);
        // Who closed it while this went on may not have seen that there was something to remove.
        if any && open.is_closed() {
            self.remove(open.id.persistent);
        }
        if any { Ok(()) } else { Err(NONE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_in_one_turn_is_due_in_the_next() {
        let mut queue = Queue { soon: vec![Weak::new()], ..Queue::default() };
        assert_eq!((queue.next(Instant::now()).len(), queue.is_idle()), (0, false));
        queue.soon.push(Weak::new());
        queue.soon.push(Weak::new());
        assert_eq!((queue.next(Instant::now()).len(), queue.is_idle()), (1, false));
        assert_eq!((queue.next(Instant::now()).len(), queue.is_idle()), (2, true));
        queue.later.push(Weak::new());
        queue.later_at = Some(Instant::now() + LATER);
        assert_eq!(queue.next(Instant::now()).len(), 0);
        assert_eq!((queue.next(Instant::now() + LATER).len(), queue.later_at), (1, None));
    }
}
