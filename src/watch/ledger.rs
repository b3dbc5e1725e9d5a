//! Our own changes of names, so that their events are not taken for somebody else's where the kernel does not say whose
//! they are. Each entry excuses one event, and the one it was made for: that name, in that directory, coming or going.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::source::{Name, Origin};
use crate::types::NodeKey;

/// An event that has not come by then will not come.
const KEPT: Duration = Duration::from_secs(10);
/// How many are remembered. What is forgotten counts as somebody else's.
const MOST: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The operation runs, or has worked.
    Expected,
    /// Its event came.
    Seen,
}

#[derive(Debug)]
struct Line {
    number: u64,
    added: bool,
    state: State,
    since: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: HashMap<(NodeKey, Name), Vec<Line>>,
    /// In the order in which they came.
    order: VecDeque<(Instant, NodeKey, Name)>,
    next: u64,
}

impl Ledger {
    /// About to be done. The number is for [`Ledger::failed`].
    pub fn expect(&self, dir: NodeKey, name: &[u8], added: bool, now: Instant) -> u64 {
        let mut inner = self.inner.lock();
        inner.prune(now);
        let number = inner.next;
        inner.next += 1;
        let name = Name::from(name);
        inner.order.push_back((now, dir, name.clone()));
        let line = Line { number, added, state: State::Expected, since: now };
        inner.lines.entry((dir, name)).or_default().push(line);
        number
    }

    /// It was not done. True: an event was excused by it that must have been somebody else's.
    pub fn failed(&self, dir: NodeKey, name: &[u8], number: u64) -> bool {
        let mut inner = self.inner.lock();
        let at = (dir, Name::from(name));
        let Some(lines) = inner.lines.get_mut(&at) else { return false };
        let Some(line) = lines.iter().position(|line| line.number == number) else { return false };
        lines.remove(line).state == State::Seen
    }

    /// Whose event that is.
    pub fn claim(&self, at: &(NodeKey, Name), added: bool) -> Origin {
        let mut inner = self.inner.lock();
        let lines = inner.lines.get_mut(at);
        let line = lines.and_then(|lines| {
            lines.iter_mut().find(|line| line.added == added && line.state == State::Expected)
        });
        match line {
            Some(line) => {
                line.state = State::Seen;
                Origin::Own
            }
            None => Origin::Outside,
        }
    }

    /// The last that we did with this name, lately: whether it was made.
    pub fn last(&self, dir: NodeKey, name: &[u8]) -> Option<bool> {
        let inner = self.inner.lock();
        inner.lines.get(&(dir, Name::from(name)))?.last().map(|line| line.added)
    }
}

impl Inner {
    fn prune(&mut self, now: Instant) {
        while let Some((since, dir, name)) = self.order.front()
            && (now.saturating_duration_since(*since) > KEPT || self.order.len() > MOST)
        {
            let (at, since) = ((*dir, name.clone()), *since);
            self.order.pop_front();
            if let Some(lines) = self.lines.get_mut(&at) {
                lines.retain(|line| line.since > since);
                if lines.is_empty() {
                    self.lines.remove(&at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: NodeKey = NodeKey { dev: 1, ino: 2 };

    fn at(name: &str) -> (NodeKey, Name) {
        (DIR, Name::from(name.as_bytes()))
    }

    #[test]
    fn an_operation_excuses_one_event_of_its_kind() {
        let ledger = Ledger::default();
        let now = Instant::now();
        ledger.expect(DIR, b"x", true, now);
        assert_eq!(ledger.claim(&at("y"), true), Origin::Outside);
        assert_eq!(ledger.claim(&at("x"), false), Origin::Outside);
        assert_eq!(ledger.claim(&at("x"), true), Origin::Own);
        assert_eq!(ledger.claim(&at("x"), true), Origin::Outside, "the second is somebody else's");
    }

    #[test]
    fn what_failed_excuses_nothing() {
        let ledger = Ledger::default();
        let now = Instant::now();
        let number = ledger.expect(DIR, b"x", true, now);
        assert!(!ledger.failed(DIR, b"x", number));
        assert_eq!(ledger.claim(&at("x"), true), Origin::Outside);
        let number = ledger.expect(DIR, b"x", true, now);
        assert_eq!(ledger.claim(&at("x"), true), Origin::Own);
        assert!(ledger.failed(DIR, b"x", number), "that event was somebody else's");
    }

    #[test]
    fn old_lines_are_forgotten() {
        let ledger = Ledger::default();
        let now = Instant::now();
        ledger.expect(DIR, b"x", true, now);
        ledger.expect(DIR, b"y", true, now + KEPT * 2);
        assert_eq!(ledger.claim(&at("x"), true), Origin::Outside);
        assert_eq!(ledger.last(DIR, b"x"), None);
        assert_eq!(ledger.last(DIR, b"y"), Some(true));
        for n in 0..MOST + 100 {
            ledger.expect(DIR, n.to_string().as_bytes(), true, now + KEPT * 2);
        }
        assert!(ledger.inner.lock().lines.len() <= MOST + 1);
    }
}
