//! The sequence window of one connection (MS-SMB2 3.3.1.1, 3.3.4.1.2). Pure.
//!
//! ```text
//!            low                                    high
//!   consumed | x . x x . . . . . . . . . . . . . . . | not granted yet
//!              '-- consumed out of order
//! ```
//!
//! A message id may be used once, and only after it has been granted. `low` moves up over consumed ids.

/// The most credits that one connection may hold (MS-SMB2 appendix A, note on 3.3.1.1: 8192 in Windows).
pub const MAX_CREDITS: u64 = 8192;
/// How far apart the oldest unused and the newest granted id may lie (MS-SMB2 3.3.1.1).
const SPAN: u64 = MAX_CREDITS * 2;
const WORDS: usize = (SPAN / 64) as usize;

#[derive(Debug)]
pub struct Window {
    low: u64,
    high: u64,
    /// Credits granted and not yet consumed.
    held: u64,
    /// One bit an id, a ring: id % SPAN.
    used: Box<[u64; WORDS]>,
}

impl Default for Window {
    fn default() -> Window {
        Window { low: 0, high: 1, held: 1, used: Box::new([0; WORDS]) }
    }
}

/// The id was not granted, or was used before. Ends the connection (MS-SMB2 3.3.5.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfWindow;

impl Window {
    fn bit(id: u64) -> (usize, u64) {
        let slot = id % SPAN;
        ((slot / 64) as usize, 1 << (slot % 64))
    }

    /// Uses up `charge` ids (none counts as one) from `id` on.
    pub fn consume(&mut self, id: u64, charge: u16) -> Result<(), OutOfWindow> {
        let charge = u64::from(charge.max(1));
        let end = id.checked_add(charge).ok_or(OutOfWindow)?;
        if id < self.low || end > self.high {
            return Err(OutOfWindow);
        }
        if (id..end).any(|i| {
            let (word, bit) = Window::bit(i);
            self.used[word] & bit != 0
        }) {
            return Err(OutOfWindow);
        }
        for i in id..end {
            let (word, bit) = Window::bit(i);
            self.used[word] |= bit;
        }
        self.held -= charge;
        while self.low < self.high {
            let (word, bit) = Window::bit(self.low);
            if self.used[word] & bit == 0 {
                break;
            }
            self.used[word] &= !bit;
            self.low += 1;
        }
        Ok(())
    }

    /// What an answer grants to a client that asks for `wanted`. At least one, so that it can go on, unless
    /// an unused id holds the window's lower end back.
    pub fn grant(&mut self, wanted: u16, limit: u64) -> u16 {
        let room = limit.saturating_sub(self.held).min(SPAN - (self.high - self.low));
        let granted = u64::from(wanted.max(1)).min(room);
        self.high += granted;
        self.held += granted;
        granted as u16
    }

    /// Credits that the client holds now.
    pub fn held(&self) -> u64 {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_id_is_zero_and_is_used_once() {
        let mut w = Window::default();
        assert_eq!(w.consume(1, 1), Err(OutOfWindow));
        assert_eq!(w.consume(0, 1), Ok(()));
        assert_eq!(w.consume(0, 1), Err(OutOfWindow));
        assert_eq!(w.grant(10, MAX_CREDITS), 10);
        assert_eq!(w.consume(3, 2), Ok(()));
        assert_eq!(w.consume(4, 1), Err(OutOfWindow));
        assert_eq!(w.consume(1, 2), Ok(()));
        assert_eq!(w.held(), 6);
    }

    #[test]
    fn a_multi_credit_request_may_not_reach_beyond_the_window() {
        let mut w = Window::default();
        w.consume(0, 1).unwrap();
        w.grant(4, MAX_CREDITS);
        assert_eq!(w.consume(3, 3), Err(OutOfWindow));
        assert_eq!(w.consume(u64::MAX, 2), Err(OutOfWindow));
    }

    #[test]
    fn grants_stop_at_the_limit() {
        let mut w = Window::default();
        w.consume(0, 1).unwrap();
        assert_eq!(w.grant(u16::MAX, MAX_CREDITS), MAX_CREDITS as u16);
        assert_eq!(w.grant(1, MAX_CREDITS), 0);
    }

    proptest! {
        /// Against a plain set: the same ids are accepted, and none twice.
        #[test]
        fn as_a_set(steps in prop::collection::vec((any::<bool>(), 0u64..64, 1u16..5), 0..400)) {
            let mut w = Window::default();
            let mut open: std::collections::BTreeSet<u64> = [0].into();
            let mut high = 1u64;
            for (grant, back, n) in steps {
                if grant {
                    for _ in 0..w.grant(n, MAX_CREDITS) {
                        open.insert(high);
                        high += 1;
                    }
                } else {
                    let id = high.saturating_sub(back);
                    let ids: Vec<u64> = (id..id + u64::from(n)).collect();
                    let fits = ids.iter().all(|i| open.contains(i));
                    prop_assert_eq!(w.consume(id, n).is_ok(), fits);
                    if fits {
                        for i in ids {
                            open.remove(&i);
                        }
                    }
                }
                prop_assert_eq!(w.held(), open.len() as u64);
            }
        }
    }
}
