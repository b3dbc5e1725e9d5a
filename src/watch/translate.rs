//! From what the kernel says to what the door is told: pure, under the lock of the rules and of the table.

use std::time::Instant;

use super::keeper::Task;
use super::ledger::Ledger;
use super::source::{Event, Name, Origin, What};
use super::table::Table;
use crate::fsa::change::{Change, Facets, Kind};
use crate::fsa::{RelPath, Tree};
use crate::sys::handle::FileHandle;
use crate::types::NodeKey;

/// What came of some events.
#[derive(Default)]
pub(super) struct Outcome {
    pub changes: Vec<Change>,
    /// Directories whose names were changed by somebody else.
    pub names: Vec<NodeKey>,
    /// Events were lost: any name of any directory may have changed.
    pub lost: bool,
    /// Names, and whether they were told to be there.
    pub touched: Vec<(NodeKey, Name, bool)>,
    /// Names that are gone, and looked for by a task.
    pub missing: Vec<RelPath>,
    /// What takes a look at the disk.
    pub tasks: Vec<Task>,
}

pub(super) fn translate(
    table: &mut Table,
    ledger: &Ledger,
    mut event: Event,
    rules: &Tree,
    now: Instant,
    out: &mut Outcome,
) {
    if event.origin == Origin::Unknown {
        event.origin = match &event.what {
            What::Created { at, .. } => ledger.claim(at, true),
            What::Removed { at, .. } => ledger.claim(at, false),
            // Both halves, or it was somebody else.
            What::Renamed { from, to } => match (ledger.claim(from, false), ledger.claim(to, true)) {
                (Origin::Own, Origin::Own) => Origin::Own,
                _ => Origin::Outside,
            },
            _ => Origin::Outside,
        };
    }
    let own = event.origin == Origin::Own;
    let mut one = One { table, rules, now, out, directory: event.directory, node: event.node, own };
    match event.what {
        What::Created { at, moved } => one.created(at, moved),
        What::Removed { at, moved } => one.removed(&at, moved),
        What::Renamed { from, to } => one.renamed(&from, &to),
        What::Modified { .. } | What::Stranger(_) | What::Opened | What::Moved if own => {}
        What::Modified { at, facets } => one.modified(at, facets),
        What::Stranger(handle) => one.stranger(handle),
        What::Opened => one.of_node(Kind::Opened),
        What::Moved => one.verify(),
        What::Gone => {
            if let Some(key) = event.node {
                one.verify();
                one.table.unmark(key, now);
            }
        }
        What::Lost => {
            out.changes.push(Change::new(Kind::Lost, RelPath::root(), true));
            out.lost = true;
            out.tasks.push(Task::Rescan);
        }
    }
}

/// What the kernel tells, a look will find.
pub(super) fn excuse(table: &mut Table, what: &What) {
    let mut name = |at: &(NodeKey, Name), present| {
        if let Some(excuses) = table.excuses(at.0) {
            excuses.name(&at.1, present);
        }
    };
    match what {
        What::Created { at, .. } => name(at, true),
        What::Removed { at, .. } => name(at, false),
        What::Renamed { from, to } => {
            name(from, false);
            name(to, true);
        }
        What::Modified { at: Some(at), .. } => {
            if let Some(excuses) = table.excuses(at.0) {
                excuses.content(&at.1);
            }
        }
        _ => {}
    }
}

/// One event on its way.
struct One<'a> {
    table: &'a mut Table,
    rules: &'a Tree,
    now: Instant,
    out: &'a mut Outcome,
    directory: bool,
    node: Option<NodeKey>,
    own: bool,
}

impl One<'_> {
    fn path(&self, at: &(NodeKey, Name)) -> Option<RelPath> {
        Some(self.path_of(at.0)?.child(&at.1))
    }

    fn path_of(&self, key: NodeKey) -> Option<RelPath> {
        self.table.path_of(key, &|key| self.rules.path_of_node(key))
    }

    fn open_path(&self) -> Option<RelPath> {
        self.rules.path_of_node(self.node?)
    }

    fn tell(&mut self, mut change: Change) {
        change.node = self.node;
        self.out.changes.push(change);
    }

    /// A name that was told by reading its directory is gone; when it comes again, that is news.
    fn unread(&mut self, at: &(NodeKey, Name)) {
        if let Some(entry) = self.table.get_mut(at.0) {
            entry.unread(&at.1);
        }
    }

    fn touch(&mut self, at: &(NodeKey, Name), present: bool) {
        self.out.touched.push((at.0, at.1.clone(), present));
    }

    fn names(&mut self, dir: NodeKey) {
        if !self.own && self.out.names.last() != Some(&dir) {
            self.out.names.push(dir);
        }
    }

    fn created(&mut self, at: (NodeKey, Name), moved: bool) {
        self.names(at.0);
        let path = self.path(&at);
        if self.directory && self.table.is_covered(at.0) {
            self.out.tasks.push(Task::Enter { at: at.clone(), moved });
        }
        if let Some(entry) = self.table.get_mut(at.0) {
            if let Some(fresh) = &mut entry.fresh {
                fresh.0.insert(at.1.clone());
            }
            if !moved && entry.unread(&at.1) {
                return;
            }
        }
        let Some(path) = path.filter(|_| !self.own) else { return };
        self.touch(&at, true);
        match self.open_path() {
            // It is open under the name that it had in a directory that nobody watches.
            Some(old) if moved && old != path => self.tell(Change::renamed(old, path, self.directory, None)),
            _ => self.tell(Change::created(path, self.directory)),
        }
    }

    fn removed(&mut self, at: &(NodeKey, Name), moved: bool) {
        self.names(at.0);
        let path = self.path(at);
        self.unread(at);
        if self.directory {
            self.table.removed(at, self.now);
        }
        let Some(path) = path.filter(|_| !self.own) else { return };
        self.touch(at, false);
        // Not every source says what it was.
        self.node = self.node.or_else(|| self.rules.node_at(&path));
        match self.node.filter(|_| moved && self.rules.node_at(&path) == self.node) {
            // Where it went is to be looked for.
            Some(node) => {
                self.out.missing.push(path.clone());
                self.out.tasks.push(Task::Missing { at: path, node, directory: self.directory });
            }
            None => self.tell(Change::removed(path, self.directory)),
        }
    }

    fn renamed(&mut self, from: &(NodeKey, Name), to: &(NodeKey, Name)) {
        self.names(from.0);
        self.names(to.0);
        let paths = (self.path(from), self.path(to));
        self.unread(from);
        if self.directory {
            let enters = self.table.is_covered(to.0) && self.table.child(from.0, &from.1).is_none();
            if enters {
                self.out.tasks.push(Task::Enter { at: to.clone(), moved: true });
            } else {
                self.table.renamed(from, to, self.now);
            }
        }
        if self.own {
            return;
        }
        self.touch(from, false);
        self.touch(to, true);
        match paths {
            (Some(from), Some(to)) => {
                if let (None, Some(node)) = (self.node, self.rules.node_at(&to)) {
                    // What was renamed, or what it has replaced.
                    self.out.tasks.push(Task::Displaced { at: to.clone(), node });
                }
                self.tell(Change::renamed(from, to, self.directory, None));
            }
            (Some(from), None) => self.tell(Change::removed(from, self.directory)),
            (None, Some(to)) => self.tell(Change::created(to, self.directory)),
            (None, None) => {}
        }
    }

    fn modified(&mut self, at: Option<(NodeKey, Name)>, facets: Facets) {
        let path = at.and_then(|at| self.path(&at)).or_else(|| self.open_path());
        let path = path.or_else(|| self.path_of(self.node?));
        if let Some(path) = path {
            self.tell(Change::modified(path, self.directory, facets));
        }
        // A file's loss of a name is a change of its attributes, too.
        if facets.contains(Facets::SECURITY) && !self.directory {
            self.verify();
        }
    }

    fn stranger(&mut self, handle: FileHandle) {
        self.out.tasks.push(Task::Stranger(handle));
    }

    fn of_node(&mut self, kind: Kind) {
        if let Some(path) = self.open_path() {
            self.tell(Change::new(kind, path, self.directory));
        }
    }

    /// Is what is open still wherever the rules have it?
    fn verify(&mut self) {
        if let Some(node) = self.node.filter(|node| !self.own && self.rules.path_of_node(*node).is_some()) {
            self.out.tasks.push(Task::Verify(node));
        }
    }
}
