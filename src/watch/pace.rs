//! How soon looks find a change: as they were measured, not as they are wished for.

use std::time::{Duration, Instant};

use super::print::TICK;

/// How long the slowest is remembered, at least: so long, and so many rounds.
const MEMORY: Duration = Duration::from_secs(30);
const ROUNDS: u32 = 8;

#[derive(Debug)]
pub(super) struct Pace {
    /// Rounds that have begun.
    number: u64,
    /// When the one that is on began.
    began: Option<Instant>,
    rounds: Slowest,
    /// From the beginning of a look to the end of the next one at the same object, and of what it tells.
    gaps: Slowest,
    /// Since when the slowest are of now, and how many rounds that is.
    since: (Instant, u32),
    /// Times that the file system keeps may hide a second change for so long.
    tick: Duration,
}

/// Of now, and of the time before.
#[derive(Debug, Default)]
struct Slowest(Duration, Duration);

impl Slowest {
    fn note(&mut self, took: Duration) {
        self.0 = self.0.max(took);
    }

    fn turn(&mut self) {
        self.1 = std::mem::take(&mut self.0);
    }

    fn get(&self) -> Duration {
        self.0.max(self.1)
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            number: 0,
            began: None,
            rounds: Slowest::default(),
            gaps: Slowest::default(),
            since: (Instant::now(), 0),
            tick: TICK,
        }
    }
}

impl Pace {
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn begins(&mut self, now: Instant) {
        self.number += 1;
        self.began = Some(now);
    }

    pub fn ends(&mut self, now: Instant) {
        let Some(began) = self.began.take() else { return };
        self.rounds.note(now - began);
        self.since.1 += 1;
        if self.since.1 >= ROUNDS && now - self.since.0 >= MEMORY {
            self.rounds.turn();
            self.gaps.turn();
            self.since = (now, 0);
        }
    }

    /// An object was looked at in the round of this number and now again.
    pub fn looked(&mut self, before: u64, gap: Duration, tick: Duration) {
        if before + 1 >= self.number {
            self.gaps.note(gap);
        }
        self.tick = self.tick.max(tick);
    }

    /// A change is told of at the latest after this. `looks`: what a round of what is polled now costs.
    pub fn bound(&self, interval: Duration, looks: Duration, now: Instant) -> Duration {
        let round = self.rounds.get().max(looks);
        // First in one round and last in the next.
        let between = interval.max(round) + round;
        let on = self.began.map_or(Duration::ZERO, |began| interval + (now - began));
        between.max(on).max(self.gaps.get()) + self.tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);
    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_was_slow_counts_for_a_while() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        assert_eq!(pace.bound(INTERVAL, ms(0), now), INTERVAL + TICK);
        pace.begins(now);
        now += ms(3000);
        pace.ends(now);
        assert_eq!(pace.bound(INTERVAL, ms(0), now), ms(6000) + TICK);
        for _ in 0..2 * (ROUNDS + 30) {
            assert_eq!(pace.bound(INTERVAL, ms(0), now), ms(6000) + TICK);
            pace.begins(now);
            pace.ends(now + ms(100));
            now += ms(500);
        }
        for _ in 0..2 * (ROUNDS + 30) {
            pace.begins(now);
            pace.ends(now + ms(100));
            now += ms(500);
        }
        assert_eq!(pace.bound(INTERVAL, ms(0), now), ms(2100) + TICK);
    }

    #[test]
    fn what_has_just_come_and_a_round_that_hangs_count_at_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.bound(INTERVAL, ms(5000), now), ms(10_000) + TICK);
        pace.begins(now);
        assert_eq!(pace.bound(INTERVAL, ms(0), now + ms(60_000)), ms(62_000) + TICK);
        pace.ends(now + ms(60_000));
        assert_eq!(pace.bound(INTERVAL, ms(0), now + ms(60_000)), ms(120_000) + TICK);
    }

    #[test]
    fn a_gap_is_between_two_rounds_that_follow_each_other() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..5 {
            pace.begins(now);
            pace.ends(now);
        }
        // Nobody wanted it in between.
        pace.looked(2, ms(9000), TICK);
        assert_eq!(pace.bound(INTERVAL, ms(0), now), INTERVAL + TICK);
        pace.looked(4, ms(2500), ms(2000));
        assert_eq!(pace.bound(INTERVAL, ms(0), now), ms(4500));
    }
}
