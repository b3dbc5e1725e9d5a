//! Names: looked up, made, taken away, moved. Each is announced before it happens, and told after.

use fuser::{FileAttr, RenameFlags};
use rustix::fs::{AtFlags, OFlags, RenameFlags as RawFlags, Statx};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::caller::Caller;
use super::door::{Patience, Registered, Stop, Subject};
use super::files::{OpenFile, flags_of, mode_of};
use super::inodes::{self, Inode};
use super::{Core, attr};
use crate::fsa::change::{Change, Kind};
use crate::fsa::{RelPath, Way};
use crate::posix;
use crate::sys::{creds, file};
use crate::types::AccessMask;

type Outcome<T> = Result<T, Stop>;

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct Name {
    pub directory: Arc<Inode>,
    pub name: OsString,
}

/// What stands at a name.
struct There {
    stx: Statx,
    subject: Subject,
}

impl Core {
    fn path_of(&self, at: &Name) -> Result<RelPath, Errno> {
        let directory = self.inodes.path(&at.directory)?.ok_or(Errno::NOENT)?;
        Ok(directory.child(at.name.as_bytes()))
    }

    fn there(&self, at: &Name) -> Result<There, Errno> {
        let path = self.path_of(at)?;
        let stx = file::stat_at(at.directory.fd(), at.name.as_os_str())?;
        Ok(There { subject: Subject::new(&stx, path), stx })
    }

    /// Tells the kernel of what stands at a name.
    fn enter(&self, at: &Name) -> Result<(Arc<Inode>, FileAttr), Errno> {
        let _as_process = creds::assume_process().map_err(|_| Errno::PERM)?;
        let fd = inodes::find(at.directory.fd(), &at.name)?;
        let stx = file::stat_fd(&fd)?;
        let inode = self.inodes.enter(fd, &stx, at.directory.id, &at.name);
        let attr = attr::attr(&stx, inode.id);
        self.spare_descriptors();
        Ok((inode, attr))
    }

    pub fn lookup(&self, at: &Name) -> Result<FileAttr, Errno> {
        self.enter(at).map(|(_, attr)| attr)
    }

    /// Makes something at a name where nothing is.
    pub fn make(
        &self,
        at: &Name,
        directory: bool,
        patience: Patience,
        caller: &Caller,
        make: impl Fn(&OwnedFd, &OsStr) -> rustix::io::Result<()>,
    ) -> Outcome<FileAttr> {
        let path = self.path_of(at)?;
        let parent = at.directory.fd();
        if file::stat_at(&parent, at.name.as_os_str()).is_ok() {
            return Err(Errno::EXIST.into());
        }
        self.door.may_create(&path)?;
        let change = Change::created(path, directory);
        self.door.announce(&change, patience, caller)?;
        {
            let _as_caller = caller.assume()?;
            make(&parent, &at.name)?;
        }
        let made = self.enter(at);
        let node = made.as_ref().ok().map(|(inode, _)| inode.node);
        self.door.tell(&Change { node, ..change });
        Ok(made?.1)
    }

    /// Opens a file, made if it is not there.
    pub fn create(
        &self,
        at: &Name,
        (mode, umask): (u32, u32),
        flags: i32,
        patience: Patience,
        caller: &Caller,
    ) -> Outcome<(FileAttr, OpenFile)> {
        let path = self.path_of(at)?;
        let parent = at.directory.fd();
        let exclusive = flags & libc::O_EXCL != 0;
        if file::stat_at(&parent, at.name.as_os_str()).is_err() {
            self.door.may_create(&path)?;
            let change = Change::created(path, false);
            self.door.announce(&change, patience, caller)?;
            let how = flags_of(flags) | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = mode_of(&parent, mode, umask);
            let made = {
                let _as_caller = caller.assume()?;
                rustix::fs::openat(&parent, &at.name, how, mode)
            };
            match made {
                Ok(fd) => {
                    let entered = self.enter(at);
                    let node = entered.as_ref().ok().map(|(inode, _)| inode.node);
                    self.door.tell(&Change { node, ..change });
                    let (inode, attr) = entered?;
                    // It is made: there is no way back, so it waits here if somebody was quick to open it.
                    let file = self.register_file(&inode, fd, flags_of(flags), Patience::Full, caller);
                    let file = file.inspect_err(|_| self.inodes.forget(inode.id, 1))?;
                    return Ok((attr, file));
                }
                Err(Errno::EXIST) if !exclusive => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if exclusive {
            return Err(Errno::EXIST.into());
        }
        let (inode, mut attr) = self.enter(at)?;
        let opened = self.open_file(&inode, flags, patience, caller).and_then(|file| {
            if flags & libc::O_TRUNC != 0 && file.writes {
                self.truncate(&inode, 0, Some(&file), caller)?;
                attr.size = 0;
            }
            Ok(file)
        });
        let file = opened.inspect_err(|_| self.inodes.forget(inode.id, 1))?;
        Ok((attr, file))
    }

    fn to_delete(&self, there: &There, patience: Patience, caller: &Caller) -> Outcome<Registered> {
        self.door.open(&there.subject, AccessMask::DELETE, patience, caller)
    }

    pub fn remove(&self, at: &Name, directory: bool, patience: Patience, caller: &Caller) -> Outcome<()> {
        let there = self.there(at)?;
        match (there.subject.directory, directory) {
            (true, false) => return Err(Errno::ISDIR.into()),
            (false, true) => return Err(Errno::NOTDIR.into()),
            _ => {}
        }
        let open = self.to_delete(&there, patience, caller)?;
        let way = Way { open: open.id(), target: None, beneath: false };
        self.door.clear_the_way(&way, patience, caller)?;
        let Subject { path, node, .. } = there.subject;
        let change = Change::removed(path, directory).of(node);
        self.door.announce(&change, patience, caller)?;
        {
            let _as_caller = caller.assume()?;
            let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            rustix::fs::unlinkat(at.directory.fd(), &at.name, flags)?;
        }
        self.door.tell(&change);
        Ok(())
    }

    pub fn rename(
        &self,
        from: &Name,
        to: &Name,
        flags: RenameFlags,
        patience: Patience,
        caller: &Caller,
    ) -> Outcome<()> {
        let source = self.there(from)?;
        let target = match self.there(to) {
            Ok(there) => Some(there),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno.into()),
        };
        if target.is_some() && flags.contains(RenameFlags::RENAME_NOREPLACE) {
            return Err(Errno::EXIST.into());
        }
        let go = || {
            let _as_caller = caller.assume()?;
            let raw = RawFlags::from_bits_retain(flags.bits());
            let (old, new) = (from.directory.fd(), to.directory.fd());
            rustix::fs::renameat_with(old, &from.name, new, &to.name, raw)
        };
        // Two names of one file: nothing happens.
        if target.as_ref().is_some_and(|t| posix::key(&t.stx) == source.subject.node) {
            return Ok(go()?);
        }
        let directory = source.subject.directory;
        let to_path = self.path_of(to)?;
        let exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
        if target.is_none() {
            self.door.may_create(&to_path)?;
        }
        let open = self.to_delete(&source, patience, caller)?;
        let _target_open =
            target.as_ref().map(|target| self.to_delete(target, patience, caller)).transpose()?;
        let node = target.as_ref().map(|target| target.subject.node);
        let way = Way { open: open.id(), target: node, beneath: directory };
        self.door.clear_the_way(&way, patience, caller)?;
        let changes = if exchange {
            let lost = |path: RelPath| Change::new(Kind::Lost, path, directory);
            vec![lost(source.subject.path), lost(to_path)]
        } else {
            let replaced = target.map(|_| to_path.clone());
            let change = Change::renamed(source.subject.path, to_path, directory, replaced);
            vec![change.of(source.subject.node)]
        };
        for change in &changes {
            self.door.announce(change, patience, caller)?;
        }
        go()?;
        changes.iter().for_each(|change| self.door.tell(change));
        self.inodes.moved(source.subject.node, to.directory.id, &to.name);
        Ok(())
    }
}
