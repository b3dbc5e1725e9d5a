//! A look at one polled object: what is different from the last one, and telling it.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, OFlags};
use rustix::io::{Errno, Result};

use super::print::{Child, list, moved, stat};
use super::source::{Event, Name, Origin, What};
use super::{Interest, Shared, poll};
use crate::fsa::Moment;
use crate::fsa::change::Facets;
use crate::sys;
use crate::types::NodeKey;

/// Somebody else may have changed it together with what is known.
const DOUBT: Facets = Facets::DATA.union(Facets::LISTED);

/// How long a look waits for those who read what the kernel tells: only a machine that has no time for them at all takes as long.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a look finds.
struct Seen<'a> {
    shared: &'a Arc<Shared>,
    key: NodeKey,
    /// When the last look began.
    since: Moment,
    events: Vec<Event>,
    calls: u32,
    /// Of a file: its last name is gone.
    nameless: bool,
}

impl Shared {
    /// Looks at one object and tells what is different. How many system calls that took.
    pub(super) fn look(self: &Arc<Shared>, key: NodeKey) -> u32 {
        let Some((snap, fuse)) = self.polls.lock().get(key) else { return 0 };
        let mut snap = snap.lock();
        if let Some(excuses) = self.inner.lock().table.excuses(key) {
            excuses.look();
        }
        let (since, began, at) = (snap.looked, self.now(), Instant::now());
        let mut seen = Seen { shared: self, key, since, events: Vec::new(), calls: 0, nameless: false };
        let done = seen.look(&mut snap, fuse);
        let Seen { events, calls, nameless, .. } = seen;
        let (round, tick) = (snap.round, snap.print.tick());
        if done.is_ok() {
            (snap.looked, snap.round) = (began, self.polls.lock().round());
        }
        drop(snap);
        // Who is told to look again is to find what is there.
        if fuse || self.export().is_some_and(|export| !export.is_quick()) {
            let changed = events.iter().filter_map(|event| match event.what {
                What::Modified { facets, .. } if facets.contains(Facets::DATA) && !event.directory => {
                    event.node
                }
                _ => None,
            });
            changed.for_each(|key| self.drop_pages(key));
        }
        if done.is_ok()
            && let Some(excuses) = self.inner.lock().table.excuses(key)
        {
            excuses.looked();
        }
        self.heard(events, false);
        if let Some(export) = self.export() {
            // It cannot be looked at, or is another object.
            let lost = matches!(done, Err(Errno::NOENT | Errno::STALE));
            if lost {
                self.regain(&export, key);
            }
            if lost || nameless {
                self.verify(&export, key);
            }
        }
        if done.is_ok() {
            let gap = self.now().0.saturating_sub(since.0);
            self.polls.lock().looked(key, poll::Look { before: round, gap, tick, calls, began: at });
        }
        calls
    }

    /// A FUSE file system's pages may stay in the kernel's cache for as long as the file is open, whatever a look has seen.
    /// Each name may have pages of its own.
    fn drop_pages(&self, key: NodeKey) {
        let Some(export) = self.export() else { return };
        for path in self.paths_in_rules(key) {
            let Ok(found) = export.open_rel(&super::disk_path(&path)) else { continue };
            let done =
                sys::file::reopen(found.object.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK).and_then(|fd| {
                    // Its length, too, may be what the kernel remembers.
                    sys::file::stat_anew(&fd)?;
                    rustix::fs::fadvise(&fd, 0, None, Advice::DontNeed)
                });
            if let Err(errno) = done {
                log::debug!("{}: old pages may stay in the kernel's cache: {errno}", self.ground.name);
            }
        }
    }

    /// What we have changed ourselves since the last look may be all there is to it: nobody is told, what is cached is
    /// broken all the same.
    fn doubted(&self, node: NodeKey, since: Moment, facets: Facets) -> Facets {
        match self.ground.rules.lock().changed_by_us(node, since) {
            true => DOUBT,
            false => facets,
        }
    }
}

impl Seen<'_> {
    fn look(&mut self, snap: &mut poll::Snap, fuse: bool) -> Result<()> {
        let content = snap.interest.contains(Interest::CONTENT);
        if let Some(before) = &snap.names {
            self.calls += 2;
            let (now, calls) = list(snap.fd.as_fd(), content, fuse)?;
            self.calls += calls;
            if fuse {
                self.calls += look_up_again(snap, before, &now);
            }
            // Else what the kernel has yet to tell would be told twice. (It tells of a name before others can list it.)
            if *before != now && !self.shared.catches_up(PATIENCE) {
                log::debug!("{}: a look may tell what the kernel does, too", self.shared.ground.name);
            }
            self.compare(before, &now);
            snap.names = Some(now);
        }
        self.calls += 1;
        let now = stat(snap.fd.as_fd(), b"")?;
        if now.key != self.key {
            // Some FUSE file systems open by name: this is what has the name now.
            return Err(Errno::STALE);
        }
        let directory = snap.names.is_some();
        let mut facets = snap.print.difference(&now, directory);
        let fresh = now.is_fresh();
        if directory && (snap.print.times() != now.times() || (snap.fresh && !fresh)) {
            // A name may have come and gone in between, and a listing shows it still: `.`, too, looks different there.
            let what = What::Modified { at: Some((self.key, Name::from(&b"."[..]))), facets: Facets::LISTED };
            self.events.push(Event { origin: Origin::Outside, directory, node: None, what });
        }
        if snap.fresh && !fresh && facets.is_empty() && now.is_file() {
            // It may have been changed since, without a trace.
            facets = Facets::DATA;
        }
        (snap.fresh, snap.print) = (fresh, now);
        self.nameless = now.links == 0;
        if self.nameless {
            // That its names are gone is told by who looks there. (FUSE hides what is deleted and open: it can be written to.)
            facets &= Facets::WRITTEN;
        }
        if content && !facets.is_empty() {
            let facets = self.shared.doubted(self.key, self.since, facets);
            let what = What::Modified { at: None, facets };
            self.events.push(Event { origin: Origin::Outside, directory, node: Some(self.key), what });
        }
        Ok(())
    }

    fn compare(&mut self, before: &HashMap<Name, Child>, now: &HashMap<Name, Child>) {
        let (dir, shared) = (self.key, self.shared);
        let mut inner = shared.inner.lock();
        // A file in place of a directory is another object.
        let stays = |name: &Name| match (before.get(name), now.get(name)) {
            (Some(was), Some(is)) => was.directory == is.directory,
            _ => false,
        };
        let mut gone: Vec<&Name> = before.keys().filter(|name| !stays(name)).collect();
        let mut come: Vec<&Name> = now.keys().filter(|name| !stays(name)).collect();
        gone.sort();
        come.sort();
        let key_of = |child: &Child| NodeKey { dev: dir.dev, ino: child.ino };
        let moving = gone.iter().map(|name| &before[*name]).chain(come.iter().map(|name| &now[*name]));
        let wanted: HashSet<NodeKey> =
            moving.map(key_of).filter(|key| inner.table.get(*key).is_some()).collect();
        let watched = |child: &Child| wanted.get(&key_of(child)).copied();
        let excuses = inner.table.excuses(dir);
        let known = |name: &Name, present| excuses.as_ref().is_some_and(|e| e.knows(name, present));
        let origin = |known| if known { Origin::Own } else { Origin::Outside };
        for old in gone {
            let was = &before[old];
            // A name that went and one that came of the same object, as far as its print tells, is a rename.
            let same = |name: &&Name| {
                let is = &now[*name];
                let same = was.print.is_some_and(|print| moved(&print, is.print.as_ref()));
                same && was.ino == is.ino && !known(old, false) && !known(name, true)
            };
            let (name, directory) = (old.clone(), was.directory);
            let (origin, what) = match come.iter().position(same) {
                Some(to) => {
                    let to = come.remove(to).clone();
                    (Origin::Outside, What::Renamed { from: (dir, name), to: (dir, to) })
                }
                None => {
                    let moved = watched(was).is_some();
                    (origin(known(old, false)), What::Removed { at: (dir, name), moved })
                }
            };
            self.events.push(Event { origin, directory, node: watched(was), what });
        }
        let mut unsure = Vec::new();
        for name in come {
            if known(name, true) {
                unsure.push((name.clone(), now[name].directory));
            }
            let (directory, node) = (now[name].directory, watched(&now[name]));
            let what = What::Created { at: (dir, name.clone()), moved: node.is_some() };
            self.events.push(Event { origin: origin(known(name, true)), directory, node, what });
        }
        // It came, as is known, and went again.
        let come = excuses.iter().flat_map(|e| e.come()).filter(|name| !now.contains_key(*name));
        unsure.extend(come.map(|name| (name.clone(), false)));
        for (name, directory) in unsure {
            let what = What::Modified { at: Some((dir, name)), facets: Facets::LISTED };
            self.events.push(Event { origin: Origin::Outside, directory, node: None, what });
        }
        let mut changed = Vec::new();
        for (name, is) in now {
            let (Some(was), Some(print)) = (before.get(name), is.print) else { continue };
            let Some(facets) = was.print.map(|was| was.difference(&print, is.directory)) else { continue };
            if was.directory == is.directory && !facets.is_empty() {
                let may_know = excuses.as_ref().is_some_and(|e| e.may_know(name));
                changed.push((name, is.directory, print.key, facets, may_know));
            }
        }
        drop(inner);
        changed.sort_by_key(|(name, ..)| *name);
        for (name, directory, node, facets, may_know) in changed {
            let facets = if may_know { DOUBT } else { shared.doubted(node, self.since, facets) };
            let at = Some((dir, name.clone()));
            let what = What::Modified { at, facets };
            self.events.push(Event { origin: Origin::Outside, directory, node: Some(node), what });
        }
    }
}

/// Names that are not what they were: the kernel may remember the old ones, and answer opens with them.
fn look_up_again(snap: &poll::Snap, before: &HashMap<Name, Child>, now: &HashMap<Name, Child>) -> u32 {
    let same = |name, is: &Child, others: &HashMap<Name, Child>| {
        others.get(name).is_some_and(|other| (other.ino, other.directory) == (is.ino, is.directory))
    };
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let come = now.iter().filter(|(name, is)| !same(*name, is, before)).map(|(name, _)| name);
    let mut calls = 0;
    for name in gone.chain(come) {
        sys::file::look_up_again(&snap.fd, name);
        calls += 1;
    }
    calls
}
