//! The thread that touches the exported path on the watch's behalf: it enters new directories of watched subtrees, looks
//! where things went, and takes marks away that nobody needs. It may hang with the path; nobody waits for it.

use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::source::{ATTRIBUTES, Name};
use super::{Shared, disk_path};
use crate::fsa::RelPath;
use crate::fsa::change::{self, Change, Facets};
use crate::posix::{self, Export, Kind};
use crate::sys;
use crate::sys::handle::FileHandle;
use crate::types::{NodeKey, NtStatus};

/// What takes a look at the disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// A directory came into a watched subtree.
    Enter { at: (NodeKey, Name), moved: bool },
    /// Something came to a path at which this was open: that itself, or in its place.
    Displaced { at: RelPath, node: NodeKey },
    /// What was open by this name has it no longer.
    Missing { at: RelPath, node: NodeKey, directory: bool },
    /// An open file or directory may have lost a name.
    Verify(NodeKey),
    /// A directory's attributes changed, and this is all that is known of it.
    Stranger(FileHandle),
    /// Whether there is such a name is not sure; this is what was told.
    Check { at: (NodeKey, Name), present: bool },
    /// Events were lost: subtrees are walked again.
    Rescan,
}

/// A mark that nobody has needed for so long goes.
const IDLE: Duration = Duration::from_secs(10);

pub(super) fn start(shared: &Arc<Shared>) -> Result<Sender<Task>, Errno> {
    let (sender, tasks) = channel();
    let weak = Arc::downgrade(shared);
    let name: String = format!("keep {}", shared.ground.name).chars().take(15).collect();
    std::thread::Builder::new()
        .name(name)
        .stack_size(512 << 10)
        .spawn(move || run(&weak, &tasks))
        .map_err(|_| Errno::AGAIN)?;
    Ok(sender)
}

fn run(shared: &Weak<Shared>, tasks: &Receiver<Task>) {
    if let Err(e) = sys::creds::assume_process() {
        log::error!("the keeper of a watch has no identity: {e}");
        return;
    }
    let mut swept = Instant::now();
    loop {
        let task = match tasks.recv_timeout(IDLE) {
            Ok(task) => Some(task),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let Some(shared) = shared.upgrade() else { return };
        let work = || {
            if let Some(task) = task {
                shared.perform(task);
            }
            if swept.elapsed() >= IDLE {
                shared.sweep(Instant::now().checked_sub(IDLE));
                swept = Instant::now();
            }
        };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            log::error!("{}: a change made outside SMB could not be looked into", shared.ground.name);
        }
    }
}

impl Shared {
    fn perform(self: &Arc<Shared>, task: Task) {
        let Some(export) = self.export() else { return };
        match task {
            Task::Enter { at, moved } => self.enter(&export, at, moved),
            Task::Displaced { at, node } => self.displaced(&export, &at, node),
            Task::Missing { at, node, directory } => self.missing(&export, at, node, directory),
            Task::Verify(node) => self.verify(&export, node),
            Task::Stranger(handle) => self.stranger(&export, &handle),
            Task::Check { at, present } => self.check(&export, &at, present),
            Task::Rescan => self.rescan(&export),
        }
    }

    /// What a watched directory is called.
    pub(super) fn path_of(&self, key: NodeKey) -> Option<RelPath> {
        let rules = self.ground.rules.lock();
        let inner = self.inner.lock();
        inner.table.path_of(key, &|key| rules.path_of_node(key))
    }

    fn displaced(&self, export: &Export, at: &RelPath, node: NodeKey) {
        if export.open_rel(&disk_path(at)).is_ok_and(|found| found.stat.key == node) {
            return;
        }
        let effects = change::displaced(&mut self.ground.rules.lock(), at, node);
        if !effects.is_empty() {
            (self.ground.carry_out)(effects);
        }
    }

    fn missing(&self, export: &Export, at: RelPath, node: NodeKey, directory: bool) {
        let known = self.paths_in_rules(node);
        let stood = known.contains(&at);
        if stood {
            self.verify_at(export, node, known);
        }
        // It was closed meanwhile, or opened by its new name: the listing that it left is the same.
        let untold = self.ground.rules.lock().misses_no_more(&at);
        if (untold || !stood) && export.open_rel(&disk_path(&at)).is_err_and(is_gone) {
            self.tell(&[match untold {
                true => Change::removed(at, directory),
                false => Change::modified(at, directory, Facets::LISTED),
            }]);
        }
    }

    pub(super) fn verify(&self, export: &Export, node: NodeKey) {
        self.verify_at(export, node, self.paths_in_rules(node));
    }

    fn verify_at(&self, export: &Export, node: NodeKey, paths: Vec<RelPath>) {
        let directory = self.inner.lock().table.get(node).is_some_and(|entry| entry.directory);
        for path in paths {
            match export.open_rel(&disk_path(&path)) {
                Ok(found) if found.stat.key == node => continue,
                // Reached through a symlink: that is what has the name.
                Ok(found) if found.stat.kind == Kind::Symlink => continue,
                Err(status) if !is_gone(status) => continue,
                Ok(_) | Err(_) => {}
            }
            let now = self.handle_of(node).and_then(|handle| by_handle(export, &handle, node));
            // Meanwhile somebody may have told, or only closed it.
            let known = self.paths_in_rules(node);
            let change = match now {
                _ if !known.contains(&path) => Change::modified(path, directory, Facets::LISTED),
                Some(to) if to == path => continue,
                Some(to) if !known.contains(&to) => Change::renamed(path, to, directory, None),
                // Another of its names.
                Some(_) | None => Change::removed(path, directory),
            };
            self.tell(&[change.of(node)]);
        }
    }

    /// Some FUSE file systems go by names: what is open is lost when that very name goes, though the object has others. And
    /// its inode number may be another object's by now, which is open too and counts as the same.
    pub(super) fn regain(&self, export: &Export, node: NodeKey) {
        let mut paths = self.paths_in_rules(node);
        paths.extend(self.path_of(node));
        paths.iter().for_each(|path| export.look_up_again(&disk_path(path)));
        let found = paths.iter().filter_map(|path| export.open_rel(&disk_path(path)).ok());
        for found in found.filter(|found| found.stat.key == node) {
            match self.look_through(found.object.as_fd(), node) {
                Ok(()) => return,
                // The next look will fail as well.
                Err(errno) => log::debug!("{}: cannot be opened again: {errno}", self.ground.name),
            }
        }
    }

    fn handle_of(&self, node: NodeKey) -> Option<FileHandle> {
        let via = self.inner.lock().table.get(node)?.via;
        self.source_if_running(via)?.handle(node)
    }

    fn stranger(&self, export: &Export, handle: &FileHandle) {
        match open_handle(export, handle) {
            Some((object, path)) => self.tell(&[Change::modified(path, true, ATTRIBUTES).of(object)]),
            // Nobody can tell which one it was.
            None => {
                let lost = self.content_directories();
                self.tell(&lost);
            }
        }
    }

    /// All directories of which somebody wants to know the content.
    fn content_directories(&self) -> Vec<Change> {
        let keys: Vec<NodeKey> = {
            let inner = self.inner.lock();
            let content =
                |e: &super::table::Entry| e.directory && e.wanted().contains(super::Interest::CONTENT);
            inner.table.entries().filter(|(_, e)| content(e)).map(|(key, _)| key).collect()
        };
        let paths = keys.into_iter().filter_map(|key| self.path_of(key));
        paths.map(|path| Change::new(crate::fsa::change::Kind::Lost, path, true)).collect()
    }

    fn check(&self, export: &Export, at: &(NodeKey, Name), present: bool) {
        let Some(path) = self.path_of(at.0).map(|dir| dir.child(&at.1)) else { return };
        let change = match (export.open_rel(&disk_path(&path)), present) {
            (Ok(found), false) => Change::created(path, found.stat.kind == Kind::Directory),
            (Err(NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND), true) => {
                Change::removed(path, false)
            }
            _ => return,
        };
        self.tell(&[change]);
    }

    /// Takes marks away that nobody has needed since then.
    pub(super) fn sweep(self: &Arc<Shared>, then: Option<Instant>) {
        let Some(then) = then else { return };
        let idle = self.inner.lock().table.idle_since(then);
        let Some(export) = self.export() else { return };
        for key in idle {
            let path = self.path_of(key);
            let found = path.and_then(|path| export.open_rel(&disk_path(&path)).ok());
            let object = found.filter(|found| found.stat.key == key).map(|found| found.object);
            let by_handle = match object {
                None => self.handle_of(key).and_then(|handle| export.open_handle(&handle).ok()),
                Some(_) => None,
            };
            let _marking = self.marking.lock();
            let mut inner = self.inner.lock();
            // Somebody may want it again.
            if inner.table.get(key).is_none_or(|entry| entry.idle.is_none_or(|since| since > then)) {
                continue;
            }
            let Some(entry) = inner.table.forget(key, Instant::now()) else { continue };
            drop(inner);
            self.unpoll(key);
            if let Some(source) = self.source_if_running(entry.via) {
                let fd = object.as_ref().map(|object| object.as_fd());
                source.remove(fd.or(by_handle.as_ref().map(AsFd::as_fd)), key, entry.directory);
            }
        }
    }
}

fn is_gone(status: NtStatus) -> bool {
    matches!(status, NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND)
}

fn open_handle(export: &Export, handle: &FileHandle) -> Option<(NodeKey, RelPath)> {
    let fd = export.open_handle(handle).ok()?;
    let path = export.path_beneath(fd.as_fd())?;
    Some((posix::key_of(&fd).ok()?, RelPath::new(path.as_bytes())))
}

/// Where the node stands now, if it does.
fn by_handle(export: &Export, handle: &FileHandle, node: NodeKey) -> Option<RelPath> {
    let (key, path) = open_handle(export, handle)?;
    // What is deleted has a path still, with a word behind it.
    let found = export.open_rel(&disk_path(&path)).ok()?;
    (key == node && found.stat.key == node).then_some(path)
}
