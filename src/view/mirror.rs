//! What clients change is dropped from the kernel's caches of the view: pages, attributes, names.
//!
//! The rules only leave a note here. A thread of its own tells the kernel, which may make it wait for a request of the same
//! file that is under way; so it waits for nobody else. What is noted twice is told once, and when too much is noted, all
//! that the kernel knows is dropped.

use fuser::{INodeNo, Notifier};
use parking_lot::{Condvar, Mutex};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::inodes::Inodes;
use crate::fsa::change::{Change, Facets, Kind};
use crate::fsa::{self, RelPath};
use crate::posix;
use crate::sys::file;
use crate::types::NodeKey;

/// More than this is told as "everything".
const MOST: usize = 16 * 1024;

#[derive(Default, Debug)]
struct Notes {
    nodes: HashSet<NodeKey>,
    names: HashSet<RelPath>,
    /// Names that the kernel is to let go of, by their directory's number.
    forget: Vec<(u64, OsString)>,
    everything: bool,
    stop: bool,
}

impl Notes {
    fn is_empty(&self) -> bool {
        self.nodes.is_empty()
            && self.names.is_empty()
            && self.forget.is_empty()
            && !self.everything
            && !self.stop
    }

    fn check(&mut self) {
        if self.nodes.len() + self.names.len() > MOST {
            (self.nodes, self.names) = (HashSet::new(), HashSet::new());
            self.everything = true;
        }
    }
}

#[derive(Default, Debug)]
pub struct Mirror {
    notes: Mutex<Notes>,
    bell: Condvar,
}

impl fsa::Mirror for Mirror {
    fn changed(&self, change: &Change) {
        let mut notes = self.notes.lock();
        match &change.kind {
            Kind::Modified(facets) if (*facets & !Facets::LAST_ACCESS).is_empty() => return,
            Kind::Opened => return,
            Kind::Modified(_) | Kind::Stream { .. } => match change.node {
                Some(node) => drop(notes.nodes.insert(node)),
                None => drop(notes.names.insert(change.path.clone())),
            },
            Kind::Created | Kind::Removed => {
                notes.names.insert(change.path.clone());
                notes.nodes.extend(change.node);
            }
            Kind::Renamed { to, replaced } => {
                notes.names.extend([change.path.clone(), to.clone()]);
                notes.names.extend(replaced.clone());
                notes.nodes.extend(change.node);
            }
            Kind::Lost => notes.everything = true,
        }
        notes.check();
        drop(notes);
        self.bell.notify_one();
    }
}

impl Mirror {
    /// Asks the kernel to let go of these names.
    pub fn forget(&self, names: Vec<(u64, OsString)>) {
        self.notes.lock().forget = names;
        self.bell.notify_one();
    }

    pub fn stop(&self) {
        self.notes.lock().stop = true;
        self.bell.notify_one();
    }

    /// Until it is stopped, or the kernel has ended the mount.
    pub fn run(&self, inodes: &Inodes, notifier: &Notifier) {
        loop {
            let mut notes = self.notes.lock();
            while notes.is_empty() {
                self.bell.wait(&mut notes);
            }
            let now = std::mem::take(&mut *notes);
            drop(notes);
            if now.stop || tell(now, inodes, notifier).is_err() {
                return;
            }
        }
    }
}

fn tell(notes: Notes, inodes: &Inodes, notifier: &Notifier) -> std::io::Result<()> {
    let mut nodes = notes.nodes;
    if notes.everything {
        for (id, parent, name) in inodes.places() {
            ended(notifier.inval_inode(INodeNo(id), 0, 0))?;
            if !name.is_empty() {
                ended(notifier.inval_entry(INodeNo(parent), &name))?;
            }
        }
        return Ok(());
    }
    for path in &notes.names {
        let Some(directory) = path.parent().and_then(|path| node_at(inodes, &path)) else { continue };
        for id in inodes.ids_of(directory) {
            ended(notifier.inval_entry(INodeNo(id), OsStr::from_bytes(path.name())))?;
        }
        nodes.insert(directory);
        nodes.extend(node_at(inodes, path));
    }
    for (parent, name) in &notes.forget {
        ended(notifier.inval_entry(INodeNo(*parent), name))?;
    }
    for id in nodes.into_iter().flat_map(|node| inodes.ids_of(node)) {
        ended(notifier.inval_inode(INodeNo(id), 0, 0))?;
    }
    Ok(())
}

fn node_at(inodes: &Inodes, path: &RelPath) -> Option<NodeKey> {
    if path.is_root() {
        return Some(inodes.root().node);
    }
    inodes.beneath(path.as_bytes()).and_then(file::stat_fd).ok().map(|stx| posix::key(&stx))
}

/// Only the end of the mount counts: what the kernel does not know it need not forget.
fn ended(told: std::io::Result<()>) -> std::io::Result<()> {
    match told {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENOTCONN)) => Err(e),
        Err(e) if e.kind() == std::io::ErrorKind::NotConnected => Err(e),
        _ => Ok(()),
    }
}
