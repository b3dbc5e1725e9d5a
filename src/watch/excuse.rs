//! What a poll will find changed and is not to tell again: our own changes, and what the kernel has told already.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::source::Name;

/// Of one polled directory. A look does not see all names at one moment, and what it is compared with is excused when it
/// has ended: each excuse stands until two looks are over that began after what it is about was done.
#[derive(Debug, Default)]
pub(super) struct Excuses {
    /// Looks that have begun.
    look: u64,
    names: HashMap<Name, SmallVec<[Line; 2]>>,
    /// Their content was changed.
    content: HashMap<Name, u64>,
}

/// In the order in which they were begun.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The name was made, or taken away.
    present: bool,
    /// Of our own.
    number: Option<u64>,
    /// How many looks had begun when it was done. None: it is under way.
    done: Option<u64>,
}

impl Excuses {
    /// It is about to be made or taken away by us.
    pub fn expect(&mut self, name: &[u8], present: bool, number: u64) {
        let line = Line { present, number: Some(number), done: None };
        self.names.entry(name.into()).or_default().push(line);
    }

    /// That was done.
    pub fn done(&mut self, name: &[u8], present: bool, number: u64) {
        let done = Some(self.look);
        let lines = self.names.entry(name.into()).or_default();
        match lines.iter_mut().find(|line| line.number == Some(number)) {
            Some(line) => line.done = done,
            // The directory was not polled when it began.
            None => lines.push(Line { present, number: Some(number), done }),
        }
    }

    /// That did not happen.
    pub fn retract(&mut self, name: &[u8], number: u64) {
        if let Some(lines) = self.names.get_mut(name) {
            lines.retain(|line| line.number != Some(number));
        }
    }

    /// The kernel has told of it.
    pub fn name(&mut self, name: &[u8], present: bool) {
        let line = Line { present, number: None, done: Some(self.look) };
        self.names.entry(name.into()).or_default().push(line);
    }

    pub fn content(&mut self, name: &[u8]) {
        self.content.insert(name.into(), self.look);
    }

    /// What may be why the name is as this look has it: not what was undone before it began.
    fn at_work<'a>(&self, lines: &'a [Line]) -> impl Iterator<Item = &'a Line> {
        let before = lines.iter().rposition(|line| line.done.is_some_and(|done| done < self.look));
        lines.iter().skip(before.unwrap_or(0))
    }

    /// The name came, or went: known?
    pub fn knows(&self, name: &[u8], present: bool) -> bool {
        self.names.get(name).is_some_and(|lines| self.at_work(lines).any(|line| line.present == present))
    }

    /// Names that came, as is known.
    pub fn come(&self) -> impl Iterator<Item = &Name> {
        let come = |lines: &[Line]| self.at_work(lines).any(|line| line.present);
        self.names.iter().filter(move |(_, lines)| come(lines)).map(|(name, _)| name)
    }

    /// The content may be changed by what is known.
    pub fn may_know(&self, name: &[u8]) -> bool {
        self.content.contains_key(name) || self.names.contains_key(name)
    }

    /// A look begins.
    pub fn look(&mut self) {
        self.look += 1;
    }

    /// And is over.
    pub fn looked(&mut self) {
        let look = self.look;
        let stands = |since: u64| since + 1 >= look;
        self.names.retain(|_, lines| {
            lines.retain(|line| line.done.is_none_or(stands));
            !lines.is_empty()
        });
        self.content.retain(|_, since| stands(*since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Excuses {
        fn turn(&mut self) {
            self.look();
            self.looked();
        }
    }

    #[test]
    fn an_excuse_stands_for_two_looks_and_its_own_direction() {
        let mut excuses = Excuses::default();
        excuses.name(b"x", true);
        excuses.content(b"y");
        for _ in 0..2 {
            excuses.look();
            assert!(excuses.knows(b"x", true) && !excuses.knows(b"x", false) && !excuses.knows(b"y", true));
            assert!(excuses.may_know(b"x") && excuses.may_know(b"y") && !excuses.may_know(b"z"));
            excuses.looked();
        }
        assert!(!excuses.knows(b"x", true) && !excuses.may_know(b"y"));
    }

    #[test]
    fn the_last_counts_and_what_failed_does_not() {
        let mut excuses = Excuses::default();
        excuses.name(b"x", true);
        excuses.turn();
        excuses.expect(b"x", false, 7);
        excuses.done(b"x", false, 7);
        excuses.look();
        assert!(excuses.knows(b"x", false) && !excuses.knows(b"x", true));
        excuses.looked();
        excuses.expect(b"y", true, 8);
        assert!(excuses.knows(b"y", true));
        excuses.retract(b"y", 8);
        assert!(!excuses.knows(b"y", true));
    }

    #[test]
    fn what_is_done_while_a_look_is_on_may_be_in_it_or_not() {
        let mut excuses = Excuses::default();
        excuses.expect(b"x", true, 1);
        excuses.done(b"x", true, 1);
        excuses.look();
        excuses.expect(b"x", false, 2);
        assert!(excuses.knows(b"x", true) && excuses.knows(b"x", false));
        excuses.done(b"x", false, 2);
        assert!(excuses.knows(b"x", true) && excuses.knows(b"x", false));
        excuses.looked();
        excuses.look();
        assert!(!excuses.knows(b"x", true) && excuses.knows(b"x", false) && excuses.come().next().is_none());
    }

    #[test]
    fn what_takes_long_is_excused_until_it_is_done_and_seen() {
        let mut excuses = Excuses::default();
        excuses.expect(b"x", true, 1);
        (0..5).for_each(|_| excuses.turn());
        assert!(excuses.knows(b"x", true));
        excuses.look();
        excuses.done(b"x", true, 1);
        excuses.looked();
        excuses.look();
        assert!(excuses.knows(b"x", true));
        excuses.looked();
        excuses.turn();
        assert!(!excuses.knows(b"x", true));
    }
}
