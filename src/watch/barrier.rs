//! To know that all has been told that the kernel had to tell at a moment.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::source::Source;

/// Between one reader and those who want to know.
#[derive(Default)]
pub(super) struct Barrier {
    state: Mutex<State>,
    passed: Condvar,
}

#[derive(Default)]
struct State {
    /// The reader has taken events, and has not told of all of them yet.
    turning: bool,
    /// How many have asked, and for how many of them all has been told.
    asked: u64,
    passed: u64,
}

impl Barrier {
    /// The reader is going to take events.
    pub fn begin(&self) {
        self.state.lock().turning = true;
    }

    /// What it took is told. Some: somebody has asked meanwhile, and is to be told of with [`Barrier::pass`] once nothing waits
    /// in the kernel.
    pub fn end(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.turning = state.asked > state.passed;
        state.turning.then_some(state.asked)
    }

    pub fn pass(&self, asked: u64) {
        self.state.lock().passed = asked;
        self.passed.notify_all();
    }

    /// All that waits at this moment has been told when this returns. False: not before `until`.
    pub fn wait(&self, source: &dyn Source, until: Instant) -> bool {
        let mut state = self.state.lock();
        // Whatever the reader takes it takes after `begin`.
        if !state.turning && rustix::io::ioctl_fionread(source.fd()) == Ok(0) {
            return true;
        }
        state.asked += 1;
        let mine = state.asked;
        while state.passed < mine {
            if self.passed.wait_until(&mut state, until).timed_out() {
                return state.passed >= mine;
            }
        }
        true
    }
}
