//! What is looked at again a fixed time after it was put here, by one task for all of it. What does not matter any more is
//! forgotten before its time: however much comes and goes, what is kept is at most twice what still matters.

use super::Gate;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many are not worth going through.
const FEW: usize = 64;

pub struct Overdue<T> {
    after: Duration,
    queue: Mutex<Queue<T>>,
}

struct Queue<T> {
    /// The first is due first.
    due: VecDeque<(Instant, T)>,
    /// Grown to this, it is gone through for what does not matter any more.
    full: usize,
    /// A task sees to it.
    seen_to: bool,
}

impl<T: Send + 'static> Overdue<T> {
    pub fn new(after: Duration) -> Overdue<T> {
        Overdue { after, queue: Mutex::new(Queue { due: VecDeque::new(), full: FEW, seen_to: false }) }
    }

    /// True: from now on the caller sees to it that [`Overdue::next`] is asked until it says None.
    fn add(&self, what: T, now: Instant, matters: impl Fn(&T) -> bool) -> bool {
        let mut queue = self.queue.lock();
        if queue.due.len() >= queue.full {
            queue.due.retain(|(_, what)| matters(what));
            queue.full = FEW.max(queue.due.len() * 2);
            let full = queue.full;
            queue.due.shrink_to(full);
        }
        queue.due.push_back((now + self.after, what));
        !std::mem::replace(&mut queue.seen_to, true)
    }

    /// What is due, or when something will be. None: there is nothing.
    fn next(&self, now: Instant) -> Option<Result<T, Instant>> {
        let mut queue = self.queue.lock();
        match queue.due.front() {
            Some((due, _)) if *due > now => Some(Err(*due)),
            Some(_) => queue.due.pop_front().map(|(_, what)| Ok(what)),
            None => {
                *queue = Queue { due: VecDeque::new(), full: FEW, seen_to: false };
                None
            }
        }
    }

    /// `of`: where the gate has this. `look`: what is done about it then.
    pub fn put(
        gate: &Arc<Gate>,
        of: fn(&Gate) -> &Overdue<T>,
        what: T,
        matters: fn(&T) -> bool,
        look: fn(&Arc<Gate>, T),
    ) {
        if !of(gate).add(what, Instant::now(), matters) {
            return;
        }
        let gate = Arc::clone(gate);
        gate.runtime.clone().spawn(async move {
            while let Some(next) = of(&gate).next(Instant::now()) {
                match next {
                    Ok(what) => {
                        look(&gate, what);
                        tokio::task::yield_now().await;
                    }
                    Err(due) => tokio::time::sleep_until(due.into()).await,
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(35);

    #[test]
    fn what_matters_comes_in_order_and_one_task_sees_to_all() {
        let (overdue, start) = (Overdue::new(AFTER), Instant::now());
        let second = start + Duration::from_secs(1);
        assert!(overdue.next(start).is_none());
        assert!(overdue.add('a', start, |_| true));
        assert!(!overdue.add('b', second, |_| true));
        assert_eq!(overdue.next(second), Some(Err(start + AFTER)));
        assert_eq!(overdue.next(start + AFTER), Some(Ok('a')));
        assert_eq!(overdue.next(start + AFTER), Some(Err(second + AFTER)));
        assert_eq!(overdue.next(second + AFTER), Some(Ok('b')));
        assert_eq!(overdue.next(second + AFTER), None);
        assert!(overdue.add('c', second, |_| true), "the task has ended");
    }

    #[test]
    fn what_does_not_matter_any_more_is_forgotten() {
        let (overdue, now) = (Overdue::new(AFTER), Instant::now());
        // Each thousandth is never answered, the others by the time the next one comes.
        for n in 0..100_000 {
            overdue.add(n, now, |n| n % 1000 == 0);
        }
        let queue = overdue.queue.lock();
        assert!(queue.due.len() <= 200 && queue.due.capacity() < 1000, "{} of 100", queue.due.len());
        assert_eq!(queue.due.iter().filter(|(_, n)| n % 1000 == 0).count(), 100);
    }
}
