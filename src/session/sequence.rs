//! The channel sequence of one open (MS-SMB2 3.3.5.2.10): when a channel is lost, the client counts its sequence up and
//! sends once more what was under way there. What came before the count and is still under way may be carried out at
//! any time: until it is over, a write that is sent once more has to wait.

use crate::types::NtStatus;
use std::sync::atomic::{AtomicU64, Ordering};

/// What of a request the rules look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sequenced {
    /// ChannelSequence.
    pub number: u16,
    /// SMB2_FLAGS_REPLAY_OPERATION.
    pub replay: bool,
    /// WRITE, SET_INFO, IOCTL: refused when out of sequence. Others go on.
    pub changes: bool,
}

/// Open.ChannelSequence, OutstandingRequestCount, OutstandingPreRequestCount, IsReplayEligible. Pure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sequence {
    pub number: u16,
    /// Requests under way with this number.
    pub now: u32,
    /// Requests under way with an older one.
    pub before: u32,
    /// Nothing but its CREATE was sent on it yet.
    pub untouched: bool,
}

/// The most requests that are counted; a connection's credits allow fewer.
const COUNTED: u32 = 0x7F_FFFF;

impl Sequence {
    /// A request begins. Ok: whether it counts as under way, to be given to [`Sequence::end`].
    pub fn begin(&mut self, request: Sequenced) -> Result<bool, NtStatus> {
        self.untouched = false;
        let ahead = request.number.wrapping_sub(self.number);
        if ahead > 0x7FFF {
            return if request.changes { Err(NtStatus::FILE_NOT_AVAILABLE) } else { Ok(false) };
        }
        if ahead > 0 {
            self.before = (self.before + self.now).min(COUNTED);
            self.now = 0;
            self.number = request.number;
        }
        if request.replay && self.before > 0 {
            return if request.changes { Err(NtStatus::FILE_NOT_AVAILABLE) } else { Ok(false) };
        }
        self.now = (self.now + 1).min(COUNTED);
        Ok(true)
    }

    /// The answer to a request that counted is on its way (3.3.4.1). When the numbers have gone once around, one of
    /// before looks like one of now: what is there is counted down.
    pub fn end(&mut self, number: u16) {
        let own = number == self.number && self.now > 0;
        if own || self.before == 0 {
            self.now = self.now.saturating_sub(1);
        } else {
            self.before -= 1;
        }
    }

    const fn pack(self) -> u64 {
        self.number as u64
            | (self.now as u64) << 16
            | (self.before as u64) << 39
            | (self.untouched as u64) << 63
    }

    const fn unpack(word: u64) -> Sequence {
        Sequence {
            number: word as u16,
            now: (word >> 16) as u32 & COUNTED,
            before: (word >> 39) as u32 & COUNTED,
            untouched: word >> 63 != 0,
        }
    }
}

/// The same, shared: one word, no lock.
#[derive(Debug)]
pub struct SharedSequence(AtomicU64);

impl SharedSequence {
    /// Of an open that a CREATE with this number made.
    pub fn new(number: u16) -> SharedSequence {
        SharedSequence(AtomicU64::new(Sequence { number, untouched: true, ..Sequence::default() }.pack()))
    }

    fn change<T>(&self, change: impl Fn(&mut Sequence) -> T) -> T {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let mut sequence = Sequence::unpack(word);
            let result = change(&mut sequence);
            match self.0.compare_exchange_weak(word, sequence.pack(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => word = now,
            }
        }
    }

    /// The client has come back with this number. What is under way from before goes on counting as such.
    pub fn restart(&self, number: u16) {
        self.change(|sequence| {
            sequence.before = (sequence.before + sequence.now).min(COUNTED);
            (sequence.now, sequence.number) = (0, number);
        });
    }

    /// See [`Sequence::begin`].
    pub fn begin(&self, request: Sequenced) -> Result<bool, NtStatus> {
        self.change(|sequence| sequence.begin(request))
    }

    /// See [`Sequence::end`].
    pub fn end(&self, number: u16) {
        self.change(|sequence| sequence.end(number));
    }

    /// Open.IsReplayEligible.
    pub fn is_untouched(&self) -> bool {
        Sequence::unpack(self.0.load(Ordering::Acquire)).untouched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WRITE: Sequenced = Sequenced { number: 0, replay: false, changes: true };
    const READ: Sequenced = Sequenced { changes: false, ..WRITE };

    #[test]
    fn what_comes_from_a_lost_channel_is_refused_if_it_changes_anything() {
        let mut s = Sequence::default();
        assert_eq!(s.begin(Sequenced { number: 1, ..WRITE }), Ok(true));
        s.end(1);
        assert_eq!(s.begin(WRITE), Err(NtStatus::FILE_NOT_AVAILABLE));
        assert_eq!(s.begin(READ), Ok(false));
        assert_eq!(s, Sequence { number: 1, ..Sequence::default() });
    }

    #[test]
    fn the_numbers_go_around() {
        let mut s = Sequence::default();
        for (number, fits) in
            [(0x8000, false), (0x7FFF, true), (0x7FFE, false), (0xFFFE, true), (0, true), (0xFFFF, false)]
        {
            assert_eq!(s.begin(Sequenced { number, ..WRITE }).is_ok(), fits, "{number:#x}");
        }
    }

    #[test]
    fn a_replay_waits_for_what_is_under_way_from_before() {
        let mut s = Sequence::default();
        assert_eq!(s.begin(WRITE), Ok(true));
        let again = Sequenced { number: 1, replay: true, ..WRITE };
        assert_eq!(s.begin(again), Err(NtStatus::FILE_NOT_AVAILABLE));
        assert_eq!(s.begin(Sequenced { number: 1, ..WRITE }), Ok(true), "what is new may go on");
        s.end(0);
        assert_eq!(s.begin(again), Ok(true));
    }

    #[test]
    fn an_answer_is_counted_once_even_when_the_numbers_have_gone_around() {
        let mut s = Sequence::default();
        assert_eq!(s.begin(READ), Ok(true));
        for number in [30_000, 60_000, 0] {
            assert_eq!(s.begin(Sequenced { number, ..READ }), Ok(true));
            s.end(number);
        }
        assert_eq!((s.now, s.before), (0, 1));
        s.end(0);
        assert_eq!((s.now, s.before), (0, 0));
    }

    #[test]
    fn the_first_request_touches_it() {
        let s = SharedSequence::new(7);
        assert!(s.is_untouched());
        assert_eq!(s.begin(Sequenced { number: 7, ..READ }), Ok(true));
        assert!(!s.is_untouched());
    }

    proptest! {
        /// Against lists of what is under way, by number.
        #[test]
        fn as_lists(steps in prop::collection::vec((0u8..3, 0u16..4, any::<bool>(), any::<bool>()), 0..300)) {
            let shared = SharedSequence::new(0);
            let (mut number, mut now, mut before) = (0u16, Vec::<u16>::new(), Vec::<u16>::new());
            let mut counted: Vec<u16> = Vec::new();
            for (kind, step, replay, changes) in steps {
                if kind == 0 && !counted.is_empty() {
                    let ended = counted.remove(usize::from(step) % counted.len());
                    shared.end(ended);
                    match now.iter().position(|n| *n == ended) {
                        Some(at) => drop(now.remove(at)),
                        None => drop(before.remove(before.iter().position(|n| *n == ended).unwrap())),
                    }
                } else {
                    // At most two behind and one ahead: no going around here.
                    let asked = number.wrapping_add(step).wrapping_sub(2);
                    let old = (asked.wrapping_sub(number) as i16) < 0;
                    if !old && asked != number {
                        before.append(&mut now);
                        number = asked;
                    }
                    let late = old || (replay && !before.is_empty());
                    let wanted = match (late, changes) {
                        (false, _) => Ok(true),
                        (true, true) => Err(NtStatus::FILE_NOT_AVAILABLE),
                        (true, false) => Ok(false),
                    };
                    prop_assert_eq!(shared.begin(Sequenced { number: asked, replay, changes }), wanted);
                    if wanted == Ok(true) {
                        now.push(asked);
                        counted.push(asked);
                    }
                }
                let is = Sequence::unpack(shared.0.load(Ordering::Relaxed));
                prop_assert_eq!((is.now as usize, is.before as usize, is.number), (now.len(), before.len(), number));
            }
        }
    }
}
