//! Locks of local programs (`fcntl` and, as on NFS, `flock`): asked of the file behind, by a description of each owner's own,
//! so that they meet there what clients and other programs lock (`posix_locks`).

use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::caller::Caller;
use super::door::{Patience, Stop};
use super::inodes::Inode;
use crate::sys::lock::{self, Conflict, LAST, Lock};
use crate::sys::{creds, file};
use crate::types::NodeKey;

/// Nobody says when a lock goes: who waits for one asks again, ever more seldom.
const SOONEST: Duration = Duration::from_millis(2);
const LATEST: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    pub kind: i32,
    pub first: u64,
    pub last: u64,
}

impl Range {
    fn lock(&self) -> Result<Lock> {
        match self.kind {
            libc::F_RDLCK => Ok(Lock::Shared),
            libc::F_WRLCK => Ok(Lock::Exclusive),
            libc::F_UNLCK => Ok(Lock::Unlocked),
            _ => Err(Errno::INVAL),
        }
    }

    fn bounds(&self) -> Result<(u64, u64)> {
        let last = self.last.min(LAST);
        if self.first <= last { Ok((self.first, last)) } else { Err(Errno::INVAL) }
    }
}

/// Who asks: a process, or one open of it (`flock`, OFD locks), by the kernel's number; and through which open.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub id: u64,
    pub handle: u64,
}

#[derive(Debug)]
struct Held {
    fd: Arc<OwnedFd>,
    handle: u64,
}

/// The descriptions that hold locks, by file and owner.
#[derive(Default, Debug)]
pub struct Locks(Mutex<HashMap<(NodeKey, u64), Held>>);

impl Locks {
    /// The owner's description of the file, if it has one.
    fn held(&self, inode: &Inode, owner: u64) -> Option<Arc<OwnedFd>> {
        self.0.lock().get(&(inode.node, owner)).map(|held| Arc::clone(&held.fd))
    }

    fn description(&self, inode: &Inode, owner: Owner) -> Result<Arc<OwnedFd>> {
        if let Some(fd) = self.held(inode, owner.id) {
            return Ok(fd);
        }
        let fd = Arc::new(open(inode)?);
        let held = Held { fd, handle: owner.handle };
        Ok(Arc::clone(&self.0.lock().entry((inode.node, owner.id)).or_insert(held).fd))
    }

    pub fn test(&self, inode: &Inode, owner: u64, range: &Range) -> Result<Option<Conflict>> {
        let (first, last) = range.bounds()?;
        let fd = match self.held(inode, owner) {
            Some(fd) => fd,
            None => Arc::new(open(inode)?),
        };
        lock::test(fd, range.lock()?, first, last)
    }

    pub fn set(
        &self,
        inode: &Inode,
        owner: Owner,
        range: &Range,
        sleep: bool,
        patience: Patience,
        caller: &Caller,
    ) -> std::result::Result<(), Stop> {
        let (lock, (first, last)) = (range.lock()?, range.bounds()?);
        if lock == Lock::Unlocked && self.held(inode, owner.id).is_none() {
            return Ok(());
        }
        let mut pause = SOONEST;
        loop {
            // Anew each time: the owner may have closed the file meanwhile.
            match lock::set(self.description(inode, owner)?, lock, first, last) {
                Err(Errno::AGAIN) if sleep => {}
                other => return Ok(other?),
            }
            if patience == Patience::None {
                return Err(Stop::Wait);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LATEST);
            if caller.is_interrupted() {
                return Err(Errno::INTR.into());
            }
        }
    }

    /// The last descriptor of an open is closed: with it end the locks that were its own, of which the kernel says nothing.
    pub fn end(&self, inode: &Inode, handle: u64) {
        let mut gone = Vec::new();
        self.0.lock().retain(|(node, _), held| {
            let stays = *node != inode.node || held.handle != handle;
            if !stays {
                gone.push(Arc::clone(&held.fd));
            }
            stays
        });
        // Closed without the lock.
        drop(gone);
    }

    /// The owner has closed the file: his locks end.
    pub fn release(&self, inode: &Inode, owner: u64) {
        let gone = self.0.lock().remove(&(inode.node, owner));
        // Closed without the lock.
        drop(gone);
    }
}

/// For locks of any kind, where that can be.
fn open(inode: &Inode) -> Result<OwnedFd> {
    let opened = creds::as_process(|| match file::reopen(inode.fd(), OFlags::RDWR | OFlags::NONBLOCK) {
        Err(Errno::ROFS | Errno::TXTBSY | Errno::ACCESS | Errno::PERM) => {
            file::reopen(inode.fd(), OFlags::RDONLY | OFlags::NONBLOCK)
        }
        other => other,
    });
    opened.map_err(|_| Errno::NOLCK)?
}
