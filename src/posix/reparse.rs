//! Reparse points (MS-FSA 2.1.5.10.37, .3): symlinks, FIFOs and sockets, which on disk are such and nothing else. A client
//! makes a file and then turns it into one; here the one takes the other's name.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Export, Kind, Object, RelPath, Result, Stat, Symlinks, of_errno, stat};
use crate::sys;
use crate::types::NtStatus;

/// What a file is to become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Node<'a> {
    /// With this text.
    Symlink(&'a [u8]),
    Fifo,
    Socket,
    /// No reparse point any more: an empty file.
    Plain,
}

/// What [`Kind::Special`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpecialKind {
    Fifo,
    Socket,
    Character,
    Block,
}

impl Stat {
    /// None: it is something else.
    pub fn special(&self) -> Option<SpecialKind> {
        match FileType::from_raw_mode(self.mode) {
            FileType::Fifo => Some(SpecialKind::Fifo),
            FileType::Socket => Some(SpecialKind::Socket),
            FileType::CharacterDevice => Some(SpecialKind::Character),
            FileType::BlockDevice => Some(SpecialKind::Block),
            _ => None,
        }
    }
}

impl Export {
    /// Puts what `node` says in the place of `object`, which is called `path` and has nothing in it: no data, no
    /// entries, no streams, no second name. Everybody finds the one or the other at the name. ACCESS_DENIED: a symlink
    /// that the share's policy does not have.
    pub fn turn_into(&self, object: &Object, path: &RelPath, node: Node<'_>) -> Result<(Object, Stat)> {
        if let Node::Symlink(text) = node {
            self.may_link(path, text)?;
        }
        self.has_nothing(object)?;
        let root = self.root();
        let place = self.place_of(&root, object, path)?;
        if place.link {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let (dir, name) = (place.fd.as_fd(), place.path.name());
        root.indexes
            .change(&[(dir, place.key, &[])], || {
                let temporary = self.make_unseen(dir, node)?;
                put_in_place(object, dir, temporary.as_bytes(), name).inspect_err(|_| {
                    let _ = rustix::fs::unlinkat(dir, temporary.as_bytes(), AtFlags::empty());
                })
            })
            .map_err(|errno| match errno {
                Errno::OPNOTSUPP | Errno::PERM | Errno::NOSYS => NtStatus::NOT_SUPPORTED,
                other => of_errno(other),
            })?;
        if object.kind == Kind::Directory {
            root.indexes.forget(object.key);
        }
        self.forget(object, object.kind == Kind::Directory);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd: OwnedFd = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(of_errno)?;
        self.object_of(fd)
    }

    fn has_nothing(&self, object: &Object) -> Result<()> {
        if object.is_stream() {
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        match object.kind {
            Kind::Symlink | Kind::Special => return Ok(()),
            Kind::Directory if !self.is_empty(object)? => return Err(NtStatus::DIRECTORY_NOT_EMPTY),
            Kind::Directory | Kind::File => {}
        }
        let stat = self.stat_file(object)?;
        let elsewhere = object.kind == Kind::File && stat.nlink != 1;
        if stat.size > 0 || elsewhere || !self.streams(object)?.is_empty() {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        Ok(())
    }

    fn may_link(&self, path: &RelPath, text: &[u8]) -> Result<()> {
        if text.is_empty() || text.contains(&0) || text.len() >= libc::PATH_MAX as usize {
            return Err(NtStatus::IO_REPARSE_DATA_INVALID);
        }
        let allowed = match self.policy().symlinks {
            Symlinks::Never => false,
            Symlinks::Outside => true,
            Symlinks::Inside => stays_inside(path, text, &self.root().place),
        };
        if allowed { Ok(()) } else { Err(NtStatus::ACCESS_DENIED) }
    }

    /// Under a name that nobody asks for, in the directory where it is wanted.
    fn make_unseen(&self, dir: BorrowedFd<'_>, node: Node<'_>) -> rustix::io::Result<String> {
        let policy = self.policy();
        let mode = Mode::from_raw_mode(policy.file_mode.unwrap_or(0o666 & !policy.umask));
        loop {
            let name = unseen_name();
            let at = name.as_bytes();
            let made = match node {
                Node::Symlink(text) => rustix::fs::symlinkat(text, dir, at),
                Node::Fifo => rustix::fs::mknodat(dir, at, FileType::Fifo, mode, 0),
                Node::Socket => rustix::fs::mknodat(dir, at, FileType::Socket, mode, 0),
                Node::Plain => {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    rustix::fs::openat(dir, at, flags, mode).map(drop)
                }
            };
            match made {
                Err(Errno::EXIST) => {}
                other => return other.map(|()| name),
            }
        }
    }
}

fn unseen_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(".smbgate-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `new` takes the name of `object`, which goes. `NOENT`: something else has that name by now.
fn put_in_place(object: &Object, dir: BorrowedFd<'_>, new: &[u8], name: &[u8]) -> rustix::io::Result<()> {
    let is_it = |at: &[u8]| Ok(stat::key(&sys::file::stat_at(dir, at)?) == object.key);
    let flags = if object.kind == Kind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match rustix::fs::renameat_with(dir, new, dir, name, RenameFlags::EXCHANGE) {
        Ok(()) if is_it(new)? => match rustix::fs::unlinkat(dir, new, flags) {
            Ok(()) => Ok(()),
            // Somebody has put something into the directory.
            Err(errno) => {
                rustix::fs::renameat_with(dir, new, dir, name, RenameFlags::EXCHANGE).and(Err(errno))
            }
        },
        Ok(()) => {
            rustix::fs::renameat_with(dir, new, dir, name, RenameFlags::EXCHANGE).and(Err(Errno::NOENT))
        }
        // File systems that do not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) if is_it(name)? => {
            rustix::fs::unlinkat(dir, name, flags)?;
            rustix::fs::renameat(dir, new, dir, name)
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(Errno::NOENT),
        Err(errno) => Err(errno),
    }
}

/// Whether a link at `path` with this text leads to a place beneath the root, as far as the text tells. (What is in the
/// way may be a link itself; it is held to the same when it is made, and when it is followed.)
fn stays_inside(path: &RelPath, text: &[u8], root: &[u8]) -> bool {
    let (mut depth, rest) = if text.starts_with(b"/") {
        match text.strip_prefix(root).filter(|rest| root == b"/" || rest.is_empty() || rest[0] == b'/') {
            Some(rest) => (0, rest),
            None => return false,
        }
    } else {
        (path.components().count().saturating_sub(1), text)
    };
    for step in rest.split(|b| *b == b'/') {
        match step {
            b"" | b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out_are_told_from_those_that_do_not() {
        let inside = |path: &str, text: &str| {
            stays_inside(&RelPath::from_bytes(path.as_bytes()), text.as_bytes(), b"/srv/media")
        };
        for text in ["x", "../a/x", "..", "./../b", "/srv/media", "/srv/media/a/../b", "x/../../y"] {
            assert!(inside("a/link", text), "{text}");
        }
        for text in ["../..", "../../x", "/", "/etc", "/srv/media2", "/srv/media/..", "x/../../.."] {
            assert!(!inside("a/link", text), "{text}");
        }
        assert!(!inside("link", ".."));
    }
}
