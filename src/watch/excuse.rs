//! What a poll will find changed and is not to tell again: our own changes, and what the kernel has told already.

use std::collections::HashMap;

use super::source::Name;

/// Of one polled directory. Each excuse stands for two looks: what it is about may have come while the first was on.
#[derive(Debug, Default)]
pub(super) struct Excuses {
    look: u64,
    /// Whether the name was made, or taken away.
    names: HashMap<Name, (bool, u64)>,
    /// Their content was changed.
    content: HashMap<Name, u64>,
}

impl Excuses {
    pub fn name(&mut self, name: &[u8], present: bool) {
        self.names.insert(name.into(), (present, self.look));
    }

    /// That did not happen.
    pub fn retract(&mut self, name: &[u8]) {
        self.names.remove(name);
    }

    pub fn content(&mut self, name: &[u8]) {
        self.content.insert(name.into(), self.look);
    }

    /// The name came, or went: known?
    pub fn knows(&self, name: &[u8], present: bool) -> bool {
        self.names.get(name).is_some_and(|(known, _)| *known == present)
    }

    /// Names that came, as is known.
    pub fn come(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(|(_, (present, _))| *present).map(|(name, _)| name)
    }

    /// The content may be changed by what is known.
    pub fn may_know(&self, name: &[u8]) -> bool {
        self.content.contains_key(name) || self.names.contains_key(name)
    }

    /// A look is over.
    pub fn looked(&mut self) {
        let look = self.look;
        self.look += 1;
        self.names.retain(|_, (_, since)| *since == look);
        self.content.retain(|_, since| *since == look);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excuse_stands_for_two_looks_and_its_own_direction() {
        let mut excuses = Excuses::default();
        excuses.name(b"x", true);
        excuses.content(b"y");
        for _ in 0..2 {
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
        excuses.looked();
        excuses.name(b"x", false);
        excuses.looked();
        assert!(excuses.knows(b"x", false) && !excuses.knows(b"x", true));
        excuses.retract(b"x");
        assert!(!excuses.knows(b"x", false));
    }
}
