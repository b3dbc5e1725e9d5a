//! Failed logons are delayed and rate-limited per peer address. Pure: (state, event, now).

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What a new attempt from a peer meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Proceed,
    /// Too many failures: answer LOGON_FAILURE without looking at the token. May try again after this time.
    Refuse(Duration),
}

/// The failures of all peers. Bounded: knows 4096 peers at most.
#[derive(Debug, Default)]
pub struct Throttle {}

impl Throttle {
    pub fn new() -> Throttle {
        Throttle {}
    }

    /// Before the first token of an attempt.
    pub fn attempt(&mut self, _peer: IpAddr, _now: Instant) -> Verdict {
        unreachable!()
    }

    /// A logon failed. The answer is to be held back for the time returned.
    pub fn failed(&mut self, _peer: IpAddr, _now: Instant) -> Duration {
        unreachable!()
    }

    /// A user logged on: the peer's failures are forgiven.
    pub fn succeeded(&mut self, _peer: IpAddr) {
        unreachable!()
    }
}
