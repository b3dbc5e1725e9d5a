//! Watches of everything beneath a directory: the kernel watches single directories, so each one is marked.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{FileType, Mode, OFlags};

use super::keeper::Task;
use super::source::Name;
use super::{Interest, NoWatch, Shared, disk_path};
use crate::fsa::change::Change;
use crate::posix::{Export, Kind, Object, key_of};
use crate::sys;
use crate::types::NodeKey;

/// Directories that are watched at most for one exported path.
pub(super) const MOST: usize = 64 * 1024;
/// Of them, those that are polled: a look at each takes several system calls.
const MOST_POLLED: usize = 4096;
/// Levels beneath the top that are watched; each costs a descriptor while they are walked.
const DEEPEST: usize = 128;

impl Shared {
    /// Marks all directories beneath `top`, which is marked itself.
    pub(super) fn walk(self: &Arc<Shared>, top: &Object, interest: Interest) {
        let walked = sys::creds::as_process(|| self.descend(top.as_fd(), top.key(), interest, 0));
        if let Err(e) = walked {
            log::warn!("{}: cannot act as the process: {e}", self.ground.name);
            self.inner.lock().uncovered = true;
        }
    }

    fn descend(self: &Arc<Shared>, dir: BorrowedFd<'_>, key: NodeKey, interest: Interest, depth: usize) {
        // Gone meanwhile, or not ours to read: nothing to do beneath.
        let Ok(entries) = list(dir) else { return };
        for (name, _) in entries.into_iter().filter(|(_, directory)| *directory) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(child) = rustix::fs::openat(dir, &*name, flags, Mode::empty()) else { continue };
            let Ok(child_key) = key_of(&child) else { continue };
            if depth >= DEEPEST || self.cover(child.as_fd(), child_key, (key, name), interest).is_err() {
                self.inner.lock().uncovered = true;
                continue;
            }
            self.descend(child.as_fd(), child_key, interest, depth + 1);
        }
    }

    /// Marks one directory of a subtree.
    fn cover(
        self: &Arc<Shared>,
        fd: BorrowedFd<'_>,
        key: NodeKey,
        at: (NodeKey, Name),
        interest: Interest,
    ) -> Result<(), NoWatch> {
        let _marking = self.marking.lock();
        let full = self.inner.lock().table.len() >= MOST || self.polls.lock().len() >= MOST_POLLED;
        if full {
            let mut inner = self.inner.lock();
            if !inner.uncovered {
                inner.uncovered = true;
                let most = inner.table.len();
                log::warn!(
                    "{}: more than {most} directories are to be watched at once; changes made outside SMB are missed in the others",
                    self.ground.name
                );
            }
            return Err(NoWatch::TooMany);
        }
        let via = self.mark(fd, key, true, interest)?;
        self.inner.lock().table.cover(key, at, (interest, via), Instant::now());
        Ok(())
    }

    /// A directory came into a watched subtree. What was put into it before it was marked is told from a look at it,
    /// unless it was `moved` here with all it holds.
    pub(super) fn enter(self: &Arc<Shared>, export: &Export, at: (NodeKey, Name), moved: bool) {
        let Some(path) = self.path_of(at.0).map(|dir| dir.child(&at.1)) else { return };
        let interest = {
            let inner = self.inner.lock();
            if !inner.table.is_covered(at.0) {
                return;
            }
            inner.table.deep_interest(at.0)
        };
        let Ok(found) = export.open_rel(&disk_path(&path)) else { return };
        let key = found.stat.key;
        if found.stat.kind != Kind::Directory || self.cover(found.object.as_fd(), key, at, interest).is_err()
        {
            return;
        }
        if moved {
            return self.walk(&found.object, interest);
        }
        if let Some(entry) = self.inner.lock().table.get_mut(key) {
            entry.fresh = Some(Box::default());
        }
        let entries = list(found.object.as_fd()).unwrap_or_default();
        let mut changes = Vec::new();
        let mut below = Vec::new();
        {
            let mut inner = self.inner.lock();
            let Some(entry) = inner.table.get_mut(key) else { return };
            let heard = entry.fresh.take().unwrap_or_default();
            for (name, directory) in entries {
                // Its event is here, or it is our own and was told.
                let told = heard.0.contains(&name) || self.ledger.last(key, &name) == Some(true);
                if !told {
                    entry.read.get_or_insert_default().0.insert(name.clone());
                    changes.push(Change::created(path.child(&name), directory));
                }
                if directory && !heard.0.contains(&name) {
                    below.push(Task::Enter { at: (key, name), moved: false });
                }
            }
            if entry.read.is_some() {
                inner.cleared.push(key);
            }
        }
        self.tell(&changes);
        self.give(below);
    }

    /// Events were lost: directories of subtrees may have come.
    pub(super) fn rescan(self: &Arc<Shared>, export: &Export) {
        let tops: Vec<(NodeKey, Interest)> = {
            let inner = self.inner.lock();
            let tops = inner.table.entries().filter(|(_, entry)| entry.is_deep());
            tops.map(|(key, entry)| (key, entry.wanted() | Interest::NAMES)).collect()
        };
        for (key, interest) in tops {
            let Some(path) = self.path_of(key) else { continue };
            if let Ok(found) = export.open_rel(&disk_path(&path))
                && found.stat.key == key
            {
                self.walk(&found.object, interest);
            }
        }
    }
}

/// Names in a directory, and which of them are directories.
fn list(dir: BorrowedFd<'_>) -> rustix::io::Result<Vec<(Name, bool)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, c".", flags, Mode::empty())?;
    let mut buf = sys::dir::DirBuf::new(32 << 10);
    let mut names = Vec::new();
    while let Some(entry) = buf.next(&fd)? {
        if entry.name == b"." || entry.name == b".." {
            continue;
        }
        names.push((Name::from(entry.name), entry.file_type));
    }
    let directory = |name: &[u8], known: FileType| match known {
        FileType::Unknown => {
            let stat = rustix::fs::statat(&fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
            stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        }
        known => known == FileType::Directory,
    };
    Ok(names
        .into_iter()
        .map(|(name, known)| {
            let directory = directory(&name, known);
            (name, directory)
        })
        .collect())
}
