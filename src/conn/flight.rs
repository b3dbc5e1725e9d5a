//! A request under way: handed to a worker, or waiting for something to happen.
//!
//! ```text
//!             slow                          done
//!   Running ---------> Running, PENDING sent -----> answered
//!      |  \                 |
//!      |   \ handler waits  | CANCEL: answered with STATUS_CANCELLED at once,
//!      |    v               |         what the worker brings later is dropped
//!      |   Parked ----------+-----> resumed (by an effect or by CANCEL): answered, or Running again
//!      '-- early: the effect came before the handler had returned
//! ```
//!
//! MS-SMB2 3.3.4.2 (interim responses), 3.3.5.16 (CANCEL).

use crate::types::{AsyncId, MessageId, NtStatus, SessionId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The most requests of one connection that may be asynchronous at a time (MS-SMB2 appendix A, 3.3.4.2).
pub const MAX_ASYNC: usize = 512;

/// A status, and the body of the answer (empty: the command's own default).
#[derive(Debug)]
pub struct Answer {
    pub status: NtStatus,
    pub body: Vec<u8>,
}

/// How a wait ended.
#[derive(Debug)]
pub enum Wake {
    /// This is the answer.
    Answer(Answer),
    /// What stood in the way is gone: the handler runs once more, from its beginning.
    Again,
}

/// What goes on when the wait is over. Runs once a wait, on whatever thread ends it; must not block.
pub type Resume = Box<dyn FnOnce(Wake, Option<AsyncId>) + Send>;
/// Takes the wait out of where it is registered. What it was waiting for then ends with STATUS_CANCELLED.
pub type Withdraw = Box<dyn FnOnce() + Send>;

enum State {
    Running,
    /// Cancelled, and answered, while a worker has it.
    Abandoned,
    Parked(Resume),
    Early(Wake),
    Done,
}

struct Inner {
    state: State,
    async_id: Option<AsyncId>,
    withdraw: Option<Withdraw>,
    /// CANCEL came while the handler ran, and could not be answered out of turn.
    cancelled: bool,
    /// The handler runs once more.
    again: bool,
}

impl Inner {
    fn wakes(&mut self, wake: &Wake) -> Option<AsyncId> {
        if matches!(wake, Wake::Again) {
            self.state = State::Running;
            self.withdraw = None;
            self.again = true;
        }
        self.async_id
    }
}

impl From<Answer> for Wake {
    fn from(answer: Answer) -> Wake {
        Wake::Answer(answer)
    }
}

/// One request under way.
pub struct Flight {
    /// Unique in the process. Also the AsyncId, should it get one, and the id of its wait.
    pub id: u64,
    pub message: MessageId,
    /// Zero: of none.
    pub session: SessionId,
    pub since: Instant,
    /// It goes on when its connection is lost.
    outlives: AtomicBool,
    /// Writes an answer for this request outside of its chain (interim, cancelled).
    say: Box<dyn Fn(NtStatus, AsyncId) + Send + Sync>,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").field("id", &self.id).field("message", &self.message).finish_non_exhaustive()
    }
}

/// What the chain does with what the handler brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Landing {
    /// Answer; with this AsyncId if PENDING was sent.
    Answer(Option<AsyncId>),
    /// Answered already; undo what was done.
    Abandoned,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An id that no flight has, for somebody else who waits for the rules.
pub fn new_id() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Flight {
    pub fn new(
        message: MessageId,
        session: SessionId,
        say: Box<dyn Fn(NtStatus, AsyncId) + Send + Sync>,
    ) -> Arc<Flight> {
        Arc::new(Flight {
            id: new_id(),
            message,
            session,
            outlives: AtomicBool::new(false),
            since: Instant::now(),
            say,
            inner: Mutex::new(Inner {
                state: State::Running,
                async_id: None,
                withdraw: None,
                cancelled: false,
                again: false,
            }),
        })
    }

    /// The handler is going to wait; this is how to take it out again. False: it has been answered already, as
    /// cancelled, and must not wait.
    #[must_use]
    pub fn waits(&self, withdraw: Withdraw) -> bool {
        let mut inner = self.inner.lock();
        if matches!(inner.state, State::Abandoned) {
            return false;
        }
        inner.withdraw = Some(withdraw);
        true
    }

    /// What comes of it can be found by another connection of the session: it goes on when this one is lost.
    pub fn outlive(&self) {
        self.outlives.store(true, Ordering::Release);
    }

    pub fn outlives(&self) -> bool {
        self.outlives.load(Ordering::Acquire)
    }

    /// What the handler does now is done at once and not taken back: CANCEL comes too late from here on. False: it
    /// has been answered already, as cancelled.
    #[must_use]
    pub fn commits(&self) -> bool {
        self.waits(Box::new(|| {}))
    }

    /// It has waited before, and its handler runs once more.
    pub fn has_waited(&self) -> bool {
        self.inner.lock().again
    }

    /// Takes the wait out again, with the handler just returned.
    pub fn withdraw(&self) {
        let withdraw = self.inner.lock().withdraw.take();
        if let Some(withdraw) = withdraw {
            withdraw();
        }
    }

    /// The handler has returned with an answer.
    pub fn land(&self) -> Landing {
        let mut inner = self.inner.lock();
        match std::mem::replace(&mut inner.state, State::Done) {
            State::Abandoned => Landing::Abandoned,
            _ => Landing::Answer(inner.async_id),
        }
    }

    /// The handler waits. Sends the interim response, unless the wait is over already.
    pub fn park(&self, resume: Resume) {
        let mut inner = self.inner.lock();
        match std::mem::replace(&mut inner.state, State::Done) {
            State::Early(wake) => {
                let id = inner.wakes(&wake);
                drop(inner);
                resume(wake, id);
            }
            State::Abandoned | State::Done => {}
            State::Running | State::Parked(_) => {
                inner.state = State::Parked(resume);
                if inner.cancelled
                    && let Some(withdraw) = inner.withdraw.take()
                {
                    drop(inner);
                    withdraw();
                } else if inner.async_id.is_none() {
                    inner.async_id = Some(AsyncId(self.id));
                    // Under the lock, so that the final answer cannot overtake it. It never blocks.
                    (self.say)(NtStatus::PENDING, AsyncId(self.id));
                }
            }
        }
    }

    /// What was waited for has happened.
    pub fn resume(&self, wake: impl Into<Wake>) {
        let wake = wake.into();
        let mut inner = self.inner.lock();
        match std::mem::replace(&mut inner.state, State::Done) {
            State::Running => inner.state = State::Early(wake),
            State::Parked(resume) => {
                let id = inner.wakes(&wake);
                drop(inner);
                resume(wake, id);
            }
            state @ (State::Abandoned | State::Early(_)) => inner.state = state,
            State::Done => {}
        }
    }

    /// It takes long: tell the client so, once.
    pub fn slow(&self) {
        let mut inner = self.inner.lock();
        if matches!(inner.state, State::Running) && inner.async_id.is_none() {
            inner.async_id = Some(AsyncId(self.id));
            (self.say)(NtStatus::PENDING, AsyncId(self.id));
        }
    }

    /// CANCEL has come, or the export's workers cannot take it.
    pub fn cancel(&self) {
        let mut inner = self.inner.lock();
        match (&inner.state, inner.async_id) {
            (State::Parked(_), _) => {
                let withdraw = inner.withdraw.take();
                drop(inner);
                if let Some(withdraw) = withdraw {
                    withdraw();
                }
            }
            // Only a request that went asynchronous can be answered out of turn (MS-SMB2 3.3.5.16).
            (State::Running, Some(id)) if inner.withdraw.is_none() => {
                inner.state = State::Abandoned;
                (self.say)(NtStatus::CANCELLED, id);
            }
            // If it is going to wait, it will not wait long.
            (State::Running, _) => inner.cancelled = true,
            _ => {}
        }
    }

    fn is_async(&self) -> bool {
        self.inner.lock().async_id.is_some()
    }
}

/// The requests of one connection that are under way.
#[derive(Debug, Default)]
pub struct Flights {
    by_message: Mutex<HashMap<MessageId, Arc<Flight>>>,
}

impl Flights {
    pub fn add(&self, flight: &Arc<Flight>) {
        self.by_message.lock().insert(flight.message, Arc::clone(flight));
    }

    pub fn remove(&self, flight: &Flight) {
        let mut map = self.by_message.lock();
        if map.get(&flight.message).is_some_and(|f| f.id == flight.id) {
            map.remove(&flight.message);
        }
        if map.is_empty() && map.capacity() > 64 {
            map.shrink_to(16);
        }
    }

    /// The target of a CANCEL: by AsyncId where the request has one, else by message id.
    pub fn find(&self, async_id: Option<AsyncId>, message: MessageId) -> Option<Arc<Flight>> {
        let map = self.by_message.lock();
        match async_id {
            Some(id) => map.values().find(|f| f.id == id.0).cloned(),
            None => map.get(&message).cloned(),
        }
    }

    /// Sends the interim response for whatever is older than `patience`.
    pub fn hurry(&self, now: Instant, patience: Duration) {
        let slow: Vec<_> = {
            let map = self.by_message.lock();
            map.values().filter(|f| now.saturating_duration_since(f.since) >= patience).cloned().collect()
        };
        slow.iter().for_each(|f| f.slow());
    }

    /// How many have been answered with STATUS_PENDING.
    pub fn asynchronous(&self) -> usize {
        self.by_message.lock().values().filter(|f| f.is_async()).count()
    }

    pub fn all(&self) -> Vec<Arc<Flight>> {
        self.by_message.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    type Said = mpsc::Receiver<(NtStatus, AsyncId)>;

    fn flight() -> (Arc<Flight>, Said) {
        let (tx, rx) = mpsc::channel();
        (Flight::new(MessageId(1), SessionId(0), Box::new(move |s, id| tx.send((s, id)).unwrap())), rx)
    }

    fn answer(status: NtStatus) -> Answer {
        Answer { status, body: Vec::new() }
    }

    fn status(wake: Wake) -> NtStatus {
        match wake {
            Wake::Answer(answer) => answer.status,
            Wake::Again => panic!("not answered"),
        }
    }

    #[test]
    fn a_request_that_is_tried_again_may_wait_again_and_says_pending_once() {
        let (f, said) = flight();
        let (tx, rx) = mpsc::channel();
        f.park(Box::new(move |wake, id| tx.send((matches!(wake, Wake::Again), id)).unwrap()));
        f.resume(Wake::Again);
        assert_eq!(rx.try_recv().unwrap(), (true, Some(AsyncId(f.id))));
        assert!(f.has_waited());
        let (tx, rx) = mpsc::channel();
        f.park(Box::new(move |wake, _| tx.send(status(wake)).unwrap()));
        f.resume(answer(NtStatus::CANCELLED));
        assert_eq!(rx.try_recv().unwrap(), NtStatus::CANCELLED);
        assert_eq!(said.try_iter().count(), 1);
    }

    #[test]
    fn a_parked_request_says_pending_and_then_goes_on() {
        let (f, said) = flight();
        let (tx, rx) = mpsc::channel();
        f.park(Box::new(move |a, id| tx.send((status(a), id)).unwrap()));
        assert_eq!(said.try_recv().unwrap().0, NtStatus::PENDING);
        f.resume(answer(NtStatus::SUCCESS));
        assert_eq!(rx.try_recv().unwrap(), (NtStatus::SUCCESS, Some(AsyncId(f.id))));
    }

    #[test]
    fn an_effect_that_comes_early_spares_the_interim_response() {
        let (f, said) = flight();
        f.resume(answer(NtStatus::SUCCESS));
        let (tx, rx) = mpsc::channel();
        f.park(Box::new(move |_, id| tx.send(id).unwrap()));
        assert_eq!(rx.try_recv().unwrap(), None);
        assert!(said.try_recv().is_err());
    }

    #[test]
    fn a_request_stuck_on_a_worker_is_cancelled_once_it_is_asynchronous() {
        let (f, said) = flight();
        f.cancel();
        assert!(said.try_recv().is_err());
        f.slow();
        f.cancel();
        f.cancel();
        assert_eq!(
            said.iter().take(2).map(|s| s.0).collect::<Vec<_>>(),
            [NtStatus::PENDING, NtStatus::CANCELLED]
        );
        assert_eq!(f.land(), Landing::Abandoned);
        assert!(said.try_recv().is_err());
    }

    #[test]
    fn cancelling_a_wait_withdraws_it() {
        let (f, _said) = flight();
        let (tx, rx) = mpsc::channel();
        let g = Arc::clone(&f);
        assert!(f.waits(Box::new(move || g.resume(answer(NtStatus::CANCELLED)))));
        f.park(Box::new(move |a, _| tx.send(status(a)).unwrap()));
        f.cancel();
        assert_eq!(rx.try_recv().unwrap(), NtStatus::CANCELLED);
    }

    #[test]
    fn a_cancel_that_comes_before_the_wait_ends_it_at_once() {
        let (f, said) = flight();
        let (tx, rx) = mpsc::channel();
        f.cancel();
        let g = Arc::clone(&f);
        assert!(f.waits(Box::new(move || g.resume(answer(NtStatus::CANCELLED)))));
        f.park(Box::new(move |a, id| tx.send((status(a), id)).unwrap()));
        assert_eq!(rx.try_recv().unwrap(), (NtStatus::CANCELLED, None));
        assert!(said.try_recv().is_err());
    }

    #[test]
    fn who_was_answered_as_cancelled_does_not_begin_to_wait() {
        let (f, _said) = flight();
        f.slow();
        f.cancel();
        assert!(!f.waits(Box::new(|| panic!())));
        assert!(!f.commits());
    }

    #[test]
    fn what_is_committed_is_not_cancelled() {
        let (f, _said) = flight();
        f.slow();
        assert!(f.commits());
        f.cancel();
        assert_eq!(f.land(), Landing::Answer(Some(AsyncId(f.id))));
    }
}
