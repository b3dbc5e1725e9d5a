//! What a look sees of files and directories, and what is different from the last one.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::{Errno, Result};

use super::source::{ATTRIBUTES, Name};
use crate::fsa::change::Facets;
use crate::sys;
use crate::types::NodeKey;

/// Of a file system that keeps parts of seconds.
pub(super) const TICK: Duration = Duration::from_millis(20);

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Child {
    pub ino: u64,
    pub directory: bool,
    /// Where content matters.
    pub print: Option<Print>,
}

/// What tells that something changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Print {
    pub key: NodeKey,
    size: u64,
    written: (i64, u32),
    changed: (i64, u32),
    mode: u16,
    owner: (u32, u32),
    pub links: u32,
}

impl Print {
    fn of(stx: &Statx) -> Print {
        Print {
            key: NodeKey { dev: rustix::fs::makedev(stx.stx_dev_major, stx.stx_dev_minor), ino: stx.stx_ino },
            size: stx.stx_size,
            written: (stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec),
            changed: (stx.stx_ctime.tv_sec, stx.stx_ctime.tv_nsec),
            mode: stx.stx_mode,
            owner: (stx.stx_uid, stx.stx_gid),
            links: stx.stx_nlink,
        }
    }

    /// What is different. Of a directory's own data only its names count, and those are compared one by one.
    pub fn difference(&self, now: &Print, directory: bool) -> Facets {
        let mut facets = Facets::empty();
        if directory {
            if (self.mode, self.owner) != (now.mode, now.owner) {
                facets |= ATTRIBUTES;
            }
            return facets;
        }
        if self.key != now.key || (self.size, self.written) != (now.size, now.written) {
            facets |= Facets::WRITTEN;
        }
        if (self.mode, self.owner, self.links) != (now.mode, now.owner, now.links)
            || (facets.is_empty() && self.changed != now.changed)
        {
            facets |= ATTRIBUTES;
        }
        facets
    }

    /// When it was written, and when anything of it was changed.
    pub fn times(&self) -> ((i64, u32), (i64, u32)) {
        (self.written, self.changed)
    }

    /// Its times are of now, as far as they go: one more change may leave them as they are. Some file systems keep whole
    /// seconds (sshfs), others what the clock interrupt counts.
    pub fn is_fresh(&self) -> bool {
        let tick = self.tick();
        let (sec, nsec) = self.written.max(self.changed);
        let Ok(since) = u64::try_from(sec) else { return false };
        let (time, now) = (SystemTime::UNIX_EPOCH + Duration::new(since, nsec), SystemTime::now());
        now.duration_since(time).unwrap_or_else(|ahead| ahead.duration()) < tick
    }

    /// What is changed twice within it may have the times of the first.
    pub fn tick(&self) -> Duration {
        match (self.written.1, self.changed.1) {
            (0, 0) => Duration::from_secs(2),
            _ => TICK,
        }
    }

    pub fn is_file(&self) -> bool {
        FileType::from_raw_mode(u32::from(self.mode)) == FileType::RegularFile
    }
}

/// As the file system has it now, not as the kernel remembers it.
pub(super) fn stat(fd: BorrowedFd<'_>, name: &[u8]) -> Result<Print> {
    let how = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
    let flags = how | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_FORCE_SYNC;
    Ok(Print::of(&rustix::fs::statx(fd, name, flags, StatxFlags::BASIC_STATS)?))
}

/// Names in a directory, with what matters of them; and how many system calls it took. `fuse`: the kernel may remember
/// other objects of these names.
pub(super) fn list(dir: BorrowedFd<'_>, content: bool, fuse: bool) -> Result<(HashMap<Name, Child>, u32)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, c".", flags, Mode::empty())?;
    let mut buf = sys::dir::DirBuf::new(32 << 10);
    let mut names = HashMap::new();
    let mut unknown = Vec::new();
    while let Some(entry) = buf.next(&fd)? {
        if entry.name == b"." || entry.name == b".." {
            continue;
        }
        if content || entry.file_type == FileType::Unknown {
            unknown.push(Name::from(entry.name));
        }
        let directory = entry.file_type == FileType::Directory;
        names.insert(entry.name.into(), Child { ino: entry.ino, directory, print: None });
    }
    let mut calls = 4 + unknown.len() as u32;
    for name in unknown {
        let mut found = stat(fd.as_fd(), &name);
        let is_it = |print: &Print| print.links > 0 && print.key.ino == names[&name].ino;
        if fuse && !found.as_ref().is_ok_and(is_it) {
            sys::file::look_up_again(&fd, &name);
            found = stat(fd.as_fd(), &name);
            calls += 2;
        }
        match found {
            Ok(print) => {
                if let Some(child) = names.get_mut(&name) {
                    child.directory = FileType::from_raw_mode(u32::from(print.mode)) == FileType::Directory;
                    child.print = content.then_some(print);
                }
            }
            // Gone since.
            Err(Errno::NOENT) => drop(names.remove(&name)),
            // Cannot be looked at: that it is there is all that is known.
            Err(_) => {}
        }
    }
    Ok((names, calls))
}

/// The same object under another name, as far as can be told.
pub(super) fn moved(was: &Print, is: Option<&Print>) -> bool {
    is.is_some_and(|is| {
        was.key == is.key && (was.size, was.written, was.mode) == (is.size, is.written, is.mode)
    })
}
