//! A bounded pool of threads for calls that may hang. Each export has its own, so that a hung one holds up
//! nobody else; another one looks up accounts at logon.
//!
//! A quick backend is served best by one thread that never sleeps while there is work (waking another costs
//! more than the job), a slow one by many. So the pool measures its jobs: while they are quick, another thread
//! is put to work for every few jobs that wait; while they are slow, for each one. When a job has waited for
//! [`STALL`] all the same, the watchdog calls [`Workers::relieve`], which puts more to work, up to the bound.
//! Threads without work end after a while.
//!
//! Jobs of one **strand** run one after the other, on one thread at a time: writes to one file, which the kernel
//! would let in one by one anyway, at the price of putting the others to sleep.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A thread without work for this long ends.
const IDLE: Duration = Duration::from_secs(20);
/// A job that waits longer than this shows that the busy threads are stuck.
pub const STALL: Duration = Duration::from_millis(3);

/// A job that takes less than this on average (nanoseconds) is quick.
const QUICK: u64 = 60_000;
/// While jobs are quick, so many may wait for each busy thread.
const PATIENCE: usize = 8;

pub type Job = Box<dyn FnOnce() + Send>;

/// Which jobs must not run side by side. Zero: any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Strand(pub u64);

struct Waiting {
    since: Instant,
    strand: Strand,
    job: Job,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Waiting>,
    /// What waits behind a job of its strand that is queued or runs.
    strands: HashMap<Strand, VecDeque<Job>>,
    /// How many wait there.
    behind: usize,
    threads: usize,
    idle: usize,
    /// Moving average of what a job takes, in nanoseconds.
    pace: u64,
}

struct Shared {
    name: String,
    max_threads: usize,
    max_jobs: usize,
    cores: usize,
    queue: Mutex<Queue>,
    work: Condvar,
    /// Told when jobs wait although threads could still be started.
    watchdog: Arc<Notify>,
}

/// A handle to the pool. The threads end when the last handle is gone and the work is done.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Workers").field(&self.0.name).finish()
    }
}

/// How busy a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub threads: usize,
    pub busy: usize,
    pub queued: usize,
}

impl Workers {
    /// At most `max_threads` threads and `max_jobs` jobs that wait for one. `watchdog` is told when somebody
    /// has to call [`Workers::relieve`] from time to time until it returns false.
    pub fn new(
        name: impl Into<String>,
        max_threads: usize,
        max_jobs: usize,
        watchdog: Arc<Notify>,
    ) -> Workers {
        Workers(Arc::new(Shared {
            name: name.into(),
            max_threads,
            max_jobs,
            cores: std::thread::available_parallelism().map_or(2, usize::from),
            queue: Mutex::default(),
            work: Condvar::new(),
            watchdog,
        }))
    }

    /// Hands the job over. It comes back when too many wait already.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        self.submit_on(Strand::default(), job)
    }

    /// The same for a job that must not run beside others of its strand.
    pub fn submit_on(&self, strand: Strand, job: Job) -> Result<(), Job> {
        let mut queue = self.0.queue.lock();
        if queue.jobs.len() + queue.behind >= self.0.max_jobs {
            return Err(job);
        }
        if strand != Strand::default() {
            if let Some(behind) = queue.strands.get_mut(&strand) {
                behind.push_back(job);
                queue.behind += 1;
                return Ok(());
            }
            queue.strands.insert(strand, VecDeque::new());
        }
        queue.jobs.push_back(Waiting { since: Instant::now(), strand, job });
        let busy = queue.threads - queue.idle;
        // More busy threads than cores: they are stuck, whatever the quick jobs between them say.
        let patience = if queue.pace < QUICK && busy <= self.0.cores { busy * PATIENCE } else { 0 };
        if queue.jobs.len() + queue.behind > patience {
            self.put_to_work(queue);
        } else if queue.jobs.len() == 1 {
            drop(queue);
            self.0.watchdog.notify_one();
        }
        Ok(())
    }

    /// Wakes or starts one thread.
    fn put_to_work(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.idle > 0 {
            queue.idle -= 1;
            drop(queue);
            self.0.work.notify_one();
        } else if queue.threads < self.0.max_threads {
            queue.threads += 1;
            drop(queue);
            let shared = Arc::clone(&self.0);
            let started = std::thread::Builder::new()
                .name(self.0.name.chars().take(15).collect())
                .stack_size(512 << 10)
                .spawn(move || shared.run());
            if let Err(e) = started {
                log::warn!("{}: no further worker thread: {e}", self.0.name);
                self.0.queue.lock().threads -= 1;
            }
        }
    }

    /// Puts more threads to work if jobs have been waiting. False: nothing waits any more.
    pub fn relieve(&self, now: Instant) -> bool {
        let mut n = 0;
        loop {
            let queue = self.0.queue.lock();
            let Some(first) = queue.jobs.front() else { return false };
            if now.saturating_duration_since(first.since) < STALL || n >= queue.jobs.len().min(8) {
                return true;
            }
            n += 1;
            self.put_to_work(queue);
        }
    }

    /// This thread is one of the pool's: it may block on what the pool is for, and on nothing else.
    pub fn is_here(&self) -> bool {
        std::ptr::eq(WORKS_FOR.get(), Arc::as_ptr(&self.0))
    }

    pub fn load(&self) -> Load {
        let queue = self.0.queue.lock();
        Load {
            threads: queue.threads,
            busy: queue.threads - queue.idle.min(queue.threads),
            queued: queue.jobs.len() + queue.behind,
        }
    }
}

thread_local! {
    /// The pool this thread works for; null: none.
    static WORKS_FOR: std::cell::Cell<*const Shared> = const { std::cell::Cell::new(std::ptr::null()) };
}

impl Shared {
    fn run(self: Arc<Shared>) {
        WORKS_FOR.set(Arc::as_ptr(&self));
        let mut queue = self.queue.lock();
        loop {
            if let Some(Waiting { strand, mut job, .. }) = queue.jobs.pop_front() {
                loop {
                    drop(queue);
                    let begun = Instant::now();
                    // A bug in one request must not take the pool's thread with it.
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                        log::error!("{}: a request panicked", self.name);
                    }
                    let took = begun.elapsed().as_nanos().min(u128::from(u32::MAX)) as u64;
                    queue = self.queue.lock();
                    queue.pace = queue.pace - queue.pace / 16 + took / 16;
                    let Some(next) = queue.strands.get_mut(&strand).and_then(VecDeque::pop_front) else {
                        break;
                    };
                    queue.behind -= 1;
                    job = next;
                }
                queue.strands.remove(&strand);
                continue;
            }
            queue.idle += 1;
            let timed_out = self.work.wait_for(&mut queue, IDLE).timed_out();
            if timed_out && queue.jobs.is_empty() {
                // Nobody took this thread off the idle count: it is still in it, unless a job came and another
                // thread was quicker.
                queue.idle = queue.idle.saturating_sub(1);
                queue.threads -= 1;
                return;
            }
            if timed_out {
                queue.idle = queue.idle.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn pool(threads: usize, jobs: usize) -> Workers {
        Workers::new("test", threads, jobs, Arc::new(Notify::new()))
    }

    #[test]
    fn jobs_run_side_by_side_up_to_the_bound() {
        let pool = pool(2, 10);
        let (gate_tx, gate_rx) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate_rx));
        let (tx, rx) = mpsc::channel();
        for i in 0..3 {
            let (tx, gate) = (tx.clone(), Arc::clone(&gate));
            let stuck = i == 0;
            assert!(
                pool.submit(Box::new(move || {
                    if stuck {
                        gate.lock().recv().unwrap();
                    }
                    tx.send(i).unwrap();
                }))
                .is_ok()
            );
        }
        let mut later = Instant::now();
        let mut done = Vec::new();
        while done.len() < 2 {
            later += STALL * 2;
            pool.relieve(later);
            done.extend(rx.try_iter());
            std::thread::yield_now();
        }
        assert_eq!(done, [1, 2]);
        gate_tx.send(()).unwrap();
        assert_eq!(rx.recv().unwrap(), 0);
    }

    #[test]
    fn a_strand_keeps_its_order_and_leaves_others_alone() {
        let pool = pool(8, 1000);
        let (tx, rx) = mpsc::channel();
        for i in 0..300 {
            let tx = tx.clone();
            let strand = Strand(1 + i % 3);
            assert!(pool.submit_on(strand, Box::new(move || tx.send((strand.0, i)).unwrap())).is_ok());
        }
        drop(tx);
        let mut last = [0; 4];
        let mut count = 0;
        let mut later = Instant::now();
        while count < 300 {
            for (strand, i) in rx.try_iter() {
                assert!(last[strand as usize] <= i);
                last[strand as usize] = i;
                count += 1;
            }
            later += STALL * 2;
            pool.relieve(later);
            std::thread::yield_now();
        }
        // The thread of the last job still has to put its strand away.
        let end = Instant::now() + Duration::from_secs(10);
        while !pool.0.queue.lock().strands.is_empty() {
            assert!(Instant::now() < end, "strands stay behind");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_works_for_one_pool() {
        let (own, other) = (pool(1, 10), pool(1, 10));
        assert!(!own.is_here());
        let (tx, rx) = mpsc::channel();
        let (a, b) = (own.clone(), other.clone());
        assert!(own.submit(Box::new(move || tx.send((a.is_here(), b.is_here())).unwrap())).is_ok());
        assert_eq!(rx.recv().unwrap(), (true, false));
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let pool = pool(1, 1);
        let (started_tx, started) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        assert!(
            pool.submit(Box::new(move || {
                started_tx.send(()).unwrap();
                gate.recv().unwrap();
            }))
            .is_ok()
        );
        started.recv().unwrap();
        assert!(pool.submit(Box::new(|| {})).is_ok());
        assert!(pool.submit(Box::new(|| {})).is_err());
        go.send(()).unwrap();
    }

    #[test]
    fn stuck_threads_get_help() {
        let pool = pool(16, 100);
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (tx, rx) = mpsc::channel();
        for _ in 0..8 {
            let gate = Arc::clone(&gate);
            assert!(pool.submit(Box::new(move || assert!(gate.lock().recv().is_err()))).is_ok());
        }
        assert!(pool.submit(Box::new(move || tx.send(()).unwrap())).is_ok());
        let mut later = Instant::now();
        while rx.try_recv().is_err() {
            later += STALL * 2;
            pool.relieve(later);
            std::thread::yield_now();
        }
        drop(release);
    }

    #[test]
    fn a_panic_costs_one_job() {
        let pool = pool(1, 10);
        let (tx, rx) = mpsc::channel();
        assert!(pool.submit(Box::new(|| panic!("as the test wants"))).is_ok());
        assert!(pool.submit(Box::new(move || tx.send(()).unwrap())).is_ok());
        rx.recv().unwrap();
    }
}
