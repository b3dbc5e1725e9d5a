//! The one door: every change to the tree, whoever makes it, is told here, once, after it happened (the view announces
//! it before: [`announce`]). The index of open paths, breaks of what was cached, notifications and, later, name caches follow from it.

use super::notify::{Filter, Touched};
use super::{Effects, Moment, NotifyAction, RelPath, Tree};
use crate::types::{NodeKey, OpenId};

/// Who made a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Author {
    /// A local process, another protocol, the far side of a FUSE mount. Exempt from nothing.
    #[default]
    Outside,
    /// Through this open (it may be closed already). Exempt from breaks of its own lease, not from notifications.
    Open(OpenId),
}

bitflags::bitflags! {
    /// What about an object changed.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Facets: u32 {
        /// Its bytes. Of interest to who caches them; no notification by itself.
        const DATA = 0x01;
        const SIZE = 0x02;
        const ATTRIBUTES = 0x04;
        const LAST_WRITE = 0x08;
        const LAST_ACCESS = 0x10;
        const CREATION = 0x20;
        const SECURITY = 0x40;
        const EA = 0x80;
        /// Of what a listing shows of it nobody knows whether it is as before. No notification.
        const LISTED = 0x100;
        /// As a write from outside looks.
        const WRITTEN = Self::DATA.bits() | Self::SIZE.bits() | Self::LAST_WRITE.bits();
    }
}

/// What happened to a named stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamChange {
    Added,
    Removed,
    Written,
    Resized,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A name appeared: a new object, a hard link, something moved in from outside the tree.
    Created,
    /// A name went, and all beneath it.
    Removed,
    /// `Change::path` is now called `to`, and all beneath it with it.
    Renamed {
        to: RelPath,
        /// Another object had that name and lost it: what it was called (it may differ from `to` in case).
        replaced: Option<RelPath>,
    },
    Modified(Facets),
    Stream {
        name: String,
        what: StreamChange,
    },
    /// A local process opened it, for reading or writing. Who caches what he has written has to give it back.
    Opened,
    /// Something may have happened at this path and beneath it; events were lost.
    Lost,
}

/// A change to the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub kind: Kind,
    pub path: RelPath,
    pub directory: bool,
    /// Which object, where the teller knows.
    pub node: Option<NodeKey>,
    pub author: Author,
}

impl Change {
    pub fn new(kind: Kind, path: RelPath, directory: bool) -> Change {
        Change { kind, path, directory, node: None, author: Author::Outside }
    }

    pub fn created(path: RelPath, directory: bool) -> Change {
        Change::new(Kind::Created, path, directory)
    }

    pub fn removed(path: RelPath, directory: bool) -> Change {
        Change::new(Kind::Removed, path, directory)
    }

    pub fn renamed(from: RelPath, to: RelPath, directory: bool, replaced: Option<RelPath>) -> Change {
        Change::new(Kind::Renamed { to, replaced }, from, directory)
    }

    pub fn modified(path: RelPath, directory: bool, facets: Facets) -> Change {
        Change::new(Kind::Modified(facets), path, directory)
    }

    pub fn stream(path: RelPath, name: String, what: StreamChange) -> Change {
        Change::new(Kind::Stream { name, what }, path, false)
    }

    /// Made through this open.
    #[must_use]
    pub fn by(mut self, open: OpenId) -> Change {
        self.author = Author::Open(open);
        self
    }

    #[must_use]
    pub fn of(mut self, node: NodeKey) -> Change {
        self.node = Some(node);
        self
    }
}

/// The door.
#[must_use]
pub fn apply(tree: &mut Tree, change: &Change, now: Moment) -> Effects {
    tree.reflect(change);
    if matches!(change.kind, Kind::Removed | Kind::Renamed { .. }) {
        tree.missing.remove(&change.path);
    }
    if let (Some(own), Author::Open(_), Some(node)) = (&mut tree.own_changes, change.author, change.node) {
        own.insert(node, now);
    }
    let path = change.path.as_bytes();
    let name = if change.directory { Filter::DIR_NAME } else { Filter::FILE_NAME };
    let mut touched = Touched::new();
    let mut effects = tree.break_for_change(change);
    match &change.kind {
        Kind::Created => {
            effects.extend(displace(tree, change));
            tree.report(path, "", name, NotifyAction::ADDED, &mut touched);
        }
        Kind::Removed => effects.extend(removed(tree, &change.path, change.directory)),
        Kind::Renamed { to, replaced } => {
            if change.path == *to {
                return effects;
            }
            if let Some(old) = replaced {
                effects.extend(removed(tree, old, change.directory));
            }
            if !is_late(tree, change, to) {
                effects.extend(tree.move_paths(&change.path, to));
            }
            let (old, new) = if change.path.parent() == to.parent() {
                (NotifyAction::RENAMED_OLD_NAME, NotifyAction::RENAMED_NEW_NAME)
            } else {
                (NotifyAction::REMOVED, NotifyAction::ADDED)
            };
            tree.report(path, "", name, old, &mut touched);
            tree.report(to.as_bytes(), "", name, new, &mut touched);
            if !change.directory {
                // As Windows does: who does not hear of the names hears of another file there.
                let filter = Filter::ATTRIBUTES | Filter::CREATION;
                tree.report_unless(to.as_bytes(), "", filter, name, NotifyAction::MODIFIED, &mut touched);
            }
        }
        Kind::Modified(facets) => {
            let filter = filter_of(*facets);
            if !filter.is_empty() {
                tree.report(path, "", filter, NotifyAction::MODIFIED, &mut touched);
            }
        }
        Kind::Stream { name, what } => {
            let (filter, action) = match what {
                StreamChange::Added => (Filter::STREAM_NAME, NotifyAction::ADDED_STREAM),
                StreamChange::Removed => (Filter::STREAM_NAME, NotifyAction::REMOVED_STREAM),
                StreamChange::Written => (Filter::STREAM_WRITE, NotifyAction::MODIFIED_STREAM),
                StreamChange::Resized => (Filter::STREAM_SIZE, NotifyAction::MODIFIED_STREAM),
            };
            tree.report(path, &format!(":{name}"), filter, action, &mut touched);
        }
        Kind::Opened => {}
        Kind::Lost => tree.report_lost(path, &mut touched),
    }
    effects.extend(tree.flush(touched));
    effects
}

impl Tree {
    /// From here on [`Tree::changed_by_us`] knows.
    pub fn note_own_changes(&mut self) {
        self.own_changes.get_or_insert_default();
    }

    /// The node was changed through an open at that time or later.
    pub fn changed_by_us(&self, node: NodeKey, since: Moment) -> bool {
        let own = self.own_changes.as_ref();
        own.and_then(|own| own.get(&node)).is_some_and(|at| *at >= since)
    }

    /// Those that were made earlier do not matter any more.
    pub fn forget_own_changes(&mut self, before: Moment) {
        if let Some(own) = &mut self.own_changes {
            own.retain(|_, at| *at >= before);
        }
    }

    /// The name is gone, which is told once it is known where it went.
    pub fn misses(&mut self, path: RelPath) {
        self.missing.insert(path);
    }

    #[cfg(test)]
    pub fn is_missing(&self, path: &RelPath) -> bool {
        self.missing.contains(path)
    }

    /// It is known. True: nobody has been told. (Who opens by its new name what had this one takes it along without a word.)
    pub fn misses_no_more(&mut self, path: &RelPath) -> bool {
        self.missing.remove(path)
    }
}

/// What is about to happen, told by somebody who can wait: what it takes from those who cache is taken now. True: not all
/// of it has been given up; `waiter` is answered with [`super::Effect::Open`] when more has, and asks again. Once it has
/// happened it goes through [`apply`] all the same.
#[must_use]
pub fn announce(tree: &mut Tree, change: &Change, waiter: Option<super::WaiterId>) -> (Effects, bool) {
    let effects = tree.break_for_change(change);
    let waits = tree.wait_for_breaks(change, waiter);
    (effects, waits)
}

/// [`apply`], for a change made through a mirror, which need not hear of it.
#[must_use]
pub fn apply_unreflected(tree: &mut Tree, by: super::MirrorId, change: &Change, now: Moment) -> Effects {
    tree.mirrors.blind = Some(by);
    let effects = apply(tree, change, now);
    tree.mirrors.blind = None;
    effects
}

/// Something new stands at a path: what the index has there under another identity is gone.
fn displace(tree: &mut Tree, change: &Change) -> Effects {
    match (tree.paths.get(&change.path), change.node) {
        (Some(&no), Some(node)) if tree.links[no].node != node => tree.detach(no),
        _ => Effects::new(),
    }
}

/// The name at `path` and all beneath it have left the namespace.
fn removed(tree: &mut Tree, path: &RelPath, directory: bool) -> Effects {
    let mut effects = Effects::new();
    for no in tree.links_from(path) {
        effects.extend(tree.detach(no));
    }
    effects.extend(report_removed(tree, path, directory));
    effects
}

/// Nobody has what was renamed open under its old name, as far as is known: what is open under the new one may be just
/// that, opened before this was told.
fn is_late(tree: &Tree, change: &Change, to: &RelPath) -> bool {
    let there = tree.paths.get(to).map(|&no| tree.links[no].node);
    change.author == Author::Outside
        && there.is_some()
        && (change.node.is_none() || change.node == there)
        && tree.links_from(&change.path).is_empty()
}

/// Of a path nobody knew what stands there: it is not this node.
#[must_use]
pub fn displaced(tree: &mut Tree, path: &RelPath, node: NodeKey) -> Effects {
    match tree.paths.get(path) {
        Some(&no) if tree.links[no].node == node => tree.detach(no),
        _ => Effects::new(),
    }
}

/// Only the notification of a removal.
pub(super) fn report_removed(tree: &mut Tree, path: &RelPath, directory: bool) -> Effects {
    let name = if directory { Filter::DIR_NAME } else { Filter::FILE_NAME };
    let mut touched = Touched::new();
    tree.report(path.as_bytes(), "", name, NotifyAction::REMOVED, &mut touched);
    tree.flush(touched)
}

fn filter_of(facets: Facets) -> Filter {
    [
        (Facets::SIZE, Filter::SIZE),
        (Facets::ATTRIBUTES, Filter::ATTRIBUTES),
        (Facets::LAST_WRITE, Filter::LAST_WRITE),
        (Facets::LAST_ACCESS, Filter::LAST_ACCESS),
        (Facets::CREATION, Filter::CREATION),
        (Facets::SECURITY, Filter::SECURITY),
        (Facets::EA, Filter::EA),
    ]
    .into_iter()
    .filter(|(facet, _)| facets.contains(*facet))
    .fold(Filter::empty(), |all, (_, filter)| all | filter)
}
