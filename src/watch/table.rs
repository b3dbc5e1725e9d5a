//! What is watched, for whom, and what it is called: no system calls, no locks.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::excuse::Excuses;
use super::source::Name;
use super::{Interest, Via};
use crate::fsa::RelPath;
use crate::types::NodeKey;

/// One watched file or directory.
#[derive(Debug)]
pub(super) struct Entry {
    pub directory: bool,
    /// What is heard of, or looked at.
    pub marked: Interest,
    /// How.
    pub via: Via,
    excuses: Option<Box<Excuses>>,
    /// Tokens, by what they want: NAMES, CONTENT, OPENS.
    wants: [u32; 3],
    /// Tokens whose holder keeps the object open: its inode is not another's.
    pins: u32,
    /// Tokens of watches of the whole subtree.
    deep: u32,
    /// Where it was when it was watched.
    place: Option<RelPath>,
    /// It stands in a directory of a subtree that is watched as a whole, under this name.
    under: Option<(NodeKey, Name)>,
    /// Such a subtree's: its directory is being read, and these names were heard of meanwhile.
    pub fresh: Option<Box<Names>>,
    /// Told by reading it; their events may still wait to be read.
    pub read: Option<Box<Names>>,
    /// Since when nobody wants it.
    pub idle: Option<Instant>,
    /// When somebody last began to want it.
    pub used: Instant,
}

/// Few directories have any: apart, so that the others are small.
#[derive(Debug, Default)]
pub(super) struct Names(pub HashSet<Name>);

#[derive(Debug, Default)]
pub(super) struct Table {
    /// Boxed: a table that has just grown is more than half empty.
    entries: HashMap<NodeKey, Box<Entry>>,
    /// The other way round of `under`.
    below: HashMap<NodeKey, HashMap<Name, NodeKey>>,
    /// Entries that nobody wants.
    idle: usize,
}

/// What one token holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hold {
    pub interest: Interest,
    pub pins: bool,
    pub deep: bool,
}

impl Entry {
    fn count(&mut self, hold: Hold, up: bool) {
        let step = |n: &mut u32| if up { *n += 1 } else { *n -= 1 };
        for (at, bit) in Interest::all().iter().enumerate() {
            if hold.interest.contains(bit) {
                step(&mut self.wants[at]);
            }
        }
        if hold.pins {
            step(&mut self.pins);
        }
        if hold.deep {
            step(&mut self.deep);
        }
    }

    /// What its tokens want.
    pub fn wanted(&self) -> Interest {
        let mut wanted = Interest::empty();
        for (at, bit) in Interest::all().iter().enumerate() {
            wanted.set(bit, self.wants[at] > 0);
        }
        wanted
    }

    /// The top of a subtree that is watched as a whole.
    pub fn is_deep(&self) -> bool {
        self.deep > 0
    }

    /// The name counts as told no longer. Whether it did.
    pub fn unread(&mut self, name: &Name) -> bool {
        self.read.as_mut().is_some_and(|read| read.0.remove(name))
    }

    pub fn is_pinned(&self) -> bool {
        self.pins > 0
    }
}

impl Table {
    pub fn get(&self, key: NodeKey) -> Option<&Entry> {
        self.entries.get(&key).map(Box::as_ref)
    }

    pub fn get_mut(&mut self, key: NodeKey) -> Option<&mut Entry> {
        self.entries.get_mut(&key).map(Box::as_mut)
    }

    /// Of a directory that is polled.
    pub fn excuses(&mut self, key: NodeKey) -> Option<&mut Excuses> {
        self.entries.get_mut(&key)?.excuses.as_deref_mut()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn idle(&self) -> usize {
        self.idle
    }

    pub fn entries(&self) -> impl Iterator<Item = (NodeKey, &Entry)> {
        self.entries.iter().map(|(key, entry)| (*key, &**entry))
    }

    /// Somebody wants it, and the source hears of `marked`.
    pub fn hold(
        &mut self,
        key: NodeKey,
        directory: bool,
        (marked, via): (Interest, Via),
        path: Option<&RelPath>,
        hold: Hold,
        now: Instant,
    ) {
        let entry = self.entry(key, directory, (marked, via), now);
        entry.count(hold, true);
        if let Some(path) = path {
            entry.place = Some(path.clone());
        }
        match hold.deep {
            true => self.settle_subtree(key, now),
            false => self.settle(key, now),
        }
    }

    /// One less wants it.
    pub fn release(&mut self, key: NodeKey, hold: Hold, now: Instant) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.count(hold, false);
        if hold.deep && entry.deep == 0 {
            for below in self.subtree(key) {
                self.settle(below, now);
            }
        }
        self.settle(key, now);
    }

    /// It stands in a directory of a subtree that is watched as a whole.
    pub fn cover(&mut self, key: NodeKey, at: (NodeKey, Name), marked: (Interest, Via), now: Instant) {
        let entry = self.entry(key, true, marked, now);
        if let Some(old) = entry.under.replace(at.clone())
            && old != at
        {
            self.unlist(&old);
        }
        let other = self.below.entry(at.0).or_default().insert(at.1, key).filter(|other| *other != key);
        if let Some(other) = other {
            if let Some(entry) = self.entries.get_mut(&other) {
                entry.under = None;
            }
            self.settle_subtree(other, now);
        }
        self.settle_subtree(key, now);
    }

    /// No watched directory has that name any more.
    fn unlist(&mut self, at: &(NodeKey, Name)) -> Option<NodeKey> {
        let names = self.below.get_mut(&at.0)?;
        let key = names.remove(&at.1);
        if names.is_empty() {
            self.below.remove(&at.0);
        }
        key
    }

    fn entry(
        &mut self,
        key: NodeKey,
        directory: bool,
        (marked, via): (Interest, Via),
        now: Instant,
    ) -> &mut Entry {
        let idle = &mut self.idle;
        let entry = self.entries.entry(key).or_insert_with(|| {
            *idle += 1;
            Box::new(Entry {
                directory,
                marked: Interest::empty(),
                via: Via::empty(),
                excuses: None,
                wants: [0; 3],
                pins: 0,
                deep: 0,
                place: None,
                under: None,
                fresh: None,
                read: None,
                idle: Some(now),
                used: now,
            })
        });
        entry.marked |= marked;
        entry.via |= via;
        if entry.via.contains(Via::POLL) && directory {
            entry.excuses.get_or_insert_default();
        }
        entry.used = now;
        entry
    }

    /// Brings `idle` in line with what it says.
    fn settle(&mut self, key: NodeKey, now: Instant) {
        let wanted = self.is_wanted(key);
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match (wanted, entry.idle) {
            (true, Some(_)) => {
                entry.idle = None;
                self.idle -= 1;
            }
            (false, None) => {
                entry.idle = Some(now);
                self.idle += 1;
            }
            _ => {}
        }
    }

    fn is_wanted(&self, key: NodeKey) -> bool {
        self.get(key).is_some_and(|e| !e.wanted().is_empty() || e.deep > 0) || self.is_covered(key)
    }

    /// It is in a subtree that is watched as a whole, or the top of one.
    pub fn is_covered(&self, key: NodeKey) -> bool {
        self.chain(key).any(|key| self.get(key).is_some_and(|e| e.deep > 0))
    }

    /// What is to be heard of in a subtree.
    pub fn deep_interest(&self, key: NodeKey) -> Interest {
        let tops = self.chain(key).filter_map(|key| self.get(key)).filter(|e| e.deep > 0);
        tops.fold(Interest::NAMES, |all, top| all | top.wanted())
    }

    /// The entry and those above it, as far as they are known.
    fn chain(&self, key: NodeKey) -> impl Iterator<Item = NodeKey> {
        // A directory cannot stand in itself; a confused table is not to hang anybody.
        std::iter::successors(Some(key), |key| Some(self.get(*key)?.under.as_ref()?.0)).take(4096)
    }

    /// What stands beneath, by the subtree's own book-keeping.
    pub fn subtree(&self, top: NodeKey) -> Vec<NodeKey> {
        let mut found = Vec::new();
        let mut todo = vec![top];
        while let Some(dir) = todo.pop() {
            for &key in self.below.get(&dir).into_iter().flat_map(HashMap::values) {
                // Nothing is met twice, unless the table is confused.
                if found.len() < self.entries.len() {
                    found.push(key);
                    todo.push(key);
                }
            }
        }
        found
    }

    /// The watched directory of that name.
    pub fn child(&self, dir: NodeKey, name: &[u8]) -> Option<NodeKey> {
        self.below.get(&dir)?.get(name).copied()
    }

    /// What it is called. `known`: what the rules know of a node that is open.
    pub fn path_of(&self, key: NodeKey, known: &dyn Fn(NodeKey) -> Option<RelPath>) -> Option<RelPath> {
        let mut names: Vec<&Name> = Vec::new();
        let mut here = key;
        let top = loop {
            if let Some(path) = known(here) {
                break path;
            }
            let entry = self.get(here)?;
            match &entry.under {
                Some((dir, name)) if names.len() < 4096 => {
                    names.push(name);
                    here = *dir;
                }
                _ => break entry.place.clone()?,
            }
        };
        Some(names.into_iter().rev().fold(top, |path, name| path.child(name)))
    }

    /// A directory of a subtree has another name.
    pub fn renamed(&mut self, from: &(NodeKey, Name), to: &(NodeKey, Name), now: Instant) {
        let replaced = self.unlist(to);
        if let Some(entry) = replaced.and_then(|key| self.entries.get_mut(&key)) {
            entry.under = None;
        }
        if let Some(key) = self.unlist(from)
            && let Some(entry) = self.entries.get_mut(&key)
        {
            entry.under = Some(to.clone());
            self.below.entry(to.0).or_default().insert(to.1.clone(), key);
            self.settle_subtree(key, now);
        }
        if let Some(key) = replaced {
            self.settle_subtree(key, now);
        }
    }

    /// A name is gone. Returned is what it was, if that was a directory of a subtree.
    pub fn removed(&mut self, at: &(NodeKey, Name), now: Instant) -> Option<NodeKey> {
        let key = self.unlist(at)?;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.under = None;
        }
        self.settle_subtree(key, now);
        Some(key)
    }

    fn settle_subtree(&mut self, key: NodeKey, now: Instant) {
        for below in self.subtree(key) {
            self.settle(below, now);
        }
        self.settle(key, now);
    }

    /// Nothing is heard of it any more. Who wants to goes on being counted: its number may become another object's, which
    /// is marked anew.
    pub fn unmark(&mut self, key: NodeKey, now: Instant) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.marked = Interest::empty();
        if let Some(at) = entry.under.take() {
            self.unlist(&at);
        }
        self.settle_subtree(key, now);
    }

    /// There is no such object any more.
    pub fn forget(&mut self, key: NodeKey, now: Instant) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        if let Some(at) = &entry.under {
            self.unlist(at);
        }
        self.idle -= usize::from(entry.idle.is_some());
        for below in self.subtree(key) {
            self.settle(below, now);
        }
        Some(*entry)
    }

    /// Entries that nobody has wanted since `then`.
    pub fn idle_since(&self, then: Instant) -> Vec<NodeKey> {
        if self.idle == 0 {
            return Vec::new();
        }
        self.entries()
            .filter(|(_, e)| e.idle.is_some_and(|since| since <= then))
            .map(|(key, _)| key)
            .collect()
    }
}
