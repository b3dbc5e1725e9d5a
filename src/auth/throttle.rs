//! Failed logons are delayed and rate-limited per peer address. Pure: (state, event, now).
//!
//! Each peer has a bucket that a failure fills by one and time empties. How full it is decides how long the
//! refusal is held back, and from `LIMIT` on attempts are refused unseen. Password guessing thus runs at one
//! try per `LEAK`, while somebody who mistypes notices nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// One failure is forgotten each time this has passed.
const LEAK: Duration = Duration::from_secs(3);
/// Failures from which on attempts are refused unseen.
const LIMIT: u32 = 30;
/// The refusal after one failure is held back this long, after each further one twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(3);
/// A success makes good for so many failures; not for all, or a guesser with an account of his own went free.
const FORGIVEN: u32 = 3;
/// Peers remembered.
const MAX_PEERS: usize = 4096;

/// What a new attempt from a peer meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Proceed,
    /// Too many failures: answer LOGON_FAILURE without looking at the token. May try again after this time.
    Refuse(Duration),
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When it will be empty.
    empty_at: Instant,
}

impl Bucket {
    /// Failures in it, rounded up.
    fn level(self, now: Instant) -> u32 {
        let left = self.empty_at.saturating_duration_since(now);
        left.as_millis().div_ceil(LEAK.as_millis()) as u32
    }
}

/// The failures of all peers. Bounded: remembers 4096 peers at most.
#[derive(Debug, Default)]
pub struct Throttle {
    peers: HashMap<IpAddr, Bucket>,
}

impl Throttle {
    pub fn new() -> Throttle {
        Throttle::default()
    }

    /// Before the first token of an attempt.
    pub fn attempt(&mut self, peer: IpAddr, now: Instant) -> Verdict {
        match self.peers.get(&network(peer)) {
            Some(bucket) if bucket.level(now) >= LIMIT => {
                let free_at = bucket.empty_at - LEAK * (LIMIT - 1);
                Verdict::Refuse(free_at.saturating_duration_since(now))
            }
            _ => Verdict::Proceed,
        }
    }

    /// A logon failed. The answer is to be held back for the time returned.
    pub fn failed(&mut self, peer: IpAddr, now: Instant) -> Duration {
        let peer = network(peer);
        if !self.peers.contains_key(&peer) {
            self.make_room(now);
        }
        let bucket = self.peers.entry(peer).or_insert(Bucket { empty_at: now });
        bucket.empty_at = (bucket.empty_at.max(now) + LEAK).min(now + LEAK * LIMIT);
        let doublings = bucket.level(now).saturating_sub(1).min(16);
        (FIRST_DELAY * (1 << doublings)).min(LONGEST_DELAY)
    }

    /// A user logged on: some of the peer's failures are forgiven.
    pub fn succeeded(&mut self, peer: IpAddr) {
        if let Some(bucket) = self.peers.get_mut(&network(peer))
            && let Some(earlier) = bucket.empty_at.checked_sub(LEAK * FORGIVEN)
        {
            bucket.empty_at = earlier;
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.peers.len() >= MAX_PEERS {
            self.peers.retain(|_, b| b.empty_at > now);
        }
        if self.peers.len() >= MAX_PEERS
            && let Some(least) = self.peers.iter().min_by_key(|(_, b)| b.empty_at).map(|(p, _)| *p)
        {
            self.peers.remove(&least);
        }
    }
}

/// Who counts as one peer: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn delays_grow_and_stop_growing() {
        let (mut t, now) = (Throttle::new(), Instant::now());
        let delays: Vec<_> = (0..8).map(|_| t.failed(PEER, now).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
    }

    #[test]
    fn a_guesser_is_refused_until_time_has_passed() {
        let (mut t, now) = (Throttle::new(), Instant::now());
        for _ in 0..100 {
            t.failed(PEER, now);
        }
        let Verdict::Refuse(wait) = t.attempt(PEER, now) else { panic!("not refused") };
        assert_eq!(wait, LEAK);
        assert_eq!(
            t.attempt(PEER, now + wait - Duration::from_millis(1)),
            Verdict::Refuse(Duration::from_millis(1))
        );
        assert_eq!(t.attempt(PEER, now + wait), Verdict::Proceed);
        assert_eq!(t.attempt("192.0.2.2".parse().unwrap(), now), Verdict::Proceed);
        // One more try fills it again.
        t.failed(PEER, now + wait);
        assert!(matches!(t.attempt(PEER, now + wait), Verdict::Refuse(_)));
        assert_eq!(t.attempt(PEER, now + LEAK * LIMIT), Verdict::Proceed);
    }

    #[test]
    fn a_success_forgives_a_few_failures() {
        let (mut t, now) = (Throttle::new(), Instant::now());
        (0..3).for_each(|_| _ = t.failed(PEER, now));
        t.succeeded(PEER);
        assert_eq!(t.failed(PEER, now), FIRST_DELAY);
        t.succeeded("192.0.2.9".parse().unwrap());
    }

    #[test]
    fn addresses_of_one_host_count_together() {
        let (mut t, now) = (Throttle::new(), Instant::now());
        let [a, b, c] =
            ["2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"].map(|a| a.parse::<IpAddr>().unwrap());
        t.failed(a, now);
        assert_eq!(t.failed(b, now).as_millis(), 200);
        assert_eq!(t.failed(c, now).as_millis(), 100);
        t.failed(PEER, now);
        assert_eq!(t.failed("::ffff:192.0.2.1".parse().unwrap(), now).as_millis(), 200);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut t, now) = (Throttle::new(), Instant::now());
        (0..3).for_each(|_| _ = t.failed(PEER, now));
        for n in 0..10_000u32 {
            t.failed(IpAddr::V4(std::net::Ipv4Addr::from_bits(n)), now);
        }
        assert_eq!(t.peers.len(), MAX_PEERS);
        assert_eq!(t.failed(PEER, now).as_millis(), 800, "who failed most is remembered");
    }
}
