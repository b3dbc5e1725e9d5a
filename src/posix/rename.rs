//! What changes names: rename, link, remove.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::export::Root;
use super::index::Edit;
use super::lookup::of_path_errno;
use super::{CaseRule, Export, Kind, Object, RelPath, Result, Target, of_errno, stat};
use crate::sys;
use crate::types::{NodeKey, NtStatus};

/// A name of an object, proved a moment ago.
pub(super) struct Place {
    pub fd: OwnedFd,
    pub key: NodeKey,
    pub path: RelPath,
    /// The name is that of a symlink that leads to the object.
    pub link: bool,
}

impl Export {
    /// Moves `object`, which stood at `from`. With `replace`, a file that stands at the target goes away; without,
    /// `OBJECT_NAME_COLLISION` (but not when that is `object`'s own name: a change of case). The new path.
    pub fn rename(&self, object: &Object, from: &RelPath, to: &Target, replace: bool) -> Result<RelPath> {
        let root = self.root();
        let place = self.place_of(&root, object, from)?;
        let (old, new) = (place.path.name(), to.path.name());
        let existing = match &to.existing {
            Some((_, path)) if to.parent.key == place.key && path.name() == old => {
                if old == new {
                    return Ok(place.path.clone());
                }
                None
            }
            other => other.as_ref(),
        };
        if existing.is_some() && !replace {
            return Err(NtStatus::OBJECT_NAME_COLLISION);
        }
        let source = (place.fd.as_fd(), place.key);
        let target = (to.parent.fd.as_fd(), to.parent.key);
        if let Some((key, path)) = existing {
            let there = path.name();
            let stx = match sys::file::stat_at(target.0, there) {
                Ok(stx) => Some(stx),
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(of_errno(errno)),
            };
            if let Some(stx) = stx {
                if stat::key(&stx) != *key {
                    // Somebody else's file by now: the caller's share mode checks were about another.
                    return Err(NtStatus::OBJECT_NAME_COLLISION);
                }
                if stat::kind(&stx) == Kind::Directory {
                    return Err(NtStatus::ACCESS_DENIED);
                }
                let edits_from = [Edit::Removed(old)];
                let edits_to = [Edit::Added(there)];
                let changed = [(source.0, source.1, &edits_from[..]), (target.0, target.1, &edits_to[..])];
                let done = if stat::key(&stx) == object.key {
                    // Two names of one file: rename(2) would leave both.
                    root.indexes
                        .change(&changed[..1], || rustix::fs::unlinkat(source.0, old, AtFlags::empty()))
                } else {
                    root.indexes.change(&changed, || rustix::fs::renameat(source.0, old, target.0, there))
                };
                done.map_err(of_rename_errno)?;
                self.gone(&stx, target.0);
                if there != new {
                    self.move_name(&root, target, there, target, new)?;
                }
                return Ok(to.path.clone());
            }
        }
        self.move_name(&root, source, old, target, new)?;
        Ok(to.path.clone())
    }

    /// Never replaces anything.
    fn move_name(
        &self,
        root: &Root,
        from: (BorrowedFd<'_>, NodeKey),
        old: &[u8],
        to: (BorrowedFd<'_>, NodeKey),
        new: &[u8],
    ) -> Result<()> {
        let (edits_from, edits_to) = ([Edit::Removed(old)], [Edit::Added(new)]);
        let changed = [(from.0, from.1, &edits_from[..]), (to.0, to.1, &edits_to[..])];
        root.indexes
            .change(&changed, || {
                match rustix::fs::renameat_with(from.0, old, to.0, new, RenameFlags::NOREPLACE) {
                    // File systems that do not know the flag.
                    Err(Errno::INVAL | Errno::NOSYS) if is_missing(to.0, new) => {
                        rustix::fs::renameat(from.0, old, to.0, new)
                    }
                    // Those without case: the new name is the old one.
                    Err(Errno::EXIST) if root.facts.case == CaseRule::Insensitive => {
                        match is_same(from.0, old, to.0, new) {
                            true => rustix::fs::renameat(from.0, old, to.0, new),
                            false => Err(Errno::EXIST),
                        }
                    }
                    other => other,
                }
            })
            .map_err(of_rename_errno)
    }

    /// Gives `object` a second name.
    pub fn link(&self, object: &Object, to: &Target, replace: bool) -> Result<RelPath> {
        if object.kind == Kind::Directory {
            return Err(NtStatus::FILE_IS_A_DIRECTORY);
        }
        let root = self.root();
        let parent = to.parent.fd.as_fd();
        if let Some((key, path)) = &to.existing {
            if !replace {
                return Err(NtStatus::OBJECT_NAME_COLLISION);
            }
            let there = path.name();
            match sys::file::stat_at(parent, there) {
                Ok(stx) if stat::key(&stx) != *key => return Err(NtStatus::OBJECT_NAME_COLLISION),
                Ok(stx) if stat::kind(&stx) == Kind::Directory => return Err(NtStatus::ACCESS_DENIED),
                Ok(stx) => {
                    if stat::key(&stx) == object.key && there == to.path.name() {
                        return Ok(to.path.clone());
                    }
                    let edits = [Edit::Removed(there)];
                    root.indexes
                        .change(&[(parent, to.parent.key, &edits)], || {
                            rustix::fs::unlinkat(parent, there, AtFlags::empty())
                        })
                        .map_err(of_errno)?;
                    self.gone(&stx, parent);
                }
                Err(_) => {}
            }
        }
        let name = to.path.name();
        root.indexes
            .change(&[(parent, to.parent.key, &[Edit::Added(name)])], || {
                sys::file::link(&object.fd, parent, name)
            })
            .map_err(of_rename_errno)?;
        Ok(to.path.clone())
    }

    /// Removes the name `path` of `object`; `OBJECT_NAME_NOT_FOUND` if something else stands there by now and
    /// the object is nowhere else beneath the root.
    pub fn remove(&self, object: &Object, path: &RelPath) -> Result<()> {
        let root = self.root();
        if path.is_root() || object.key == root.key {
            return Err(NtStatus::CANNOT_DELETE);
        }
        let place = self.place_of(&root, object, path)?;
        let name = place.path.name();
        let directory = object.kind == Kind::Directory && !place.link;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let dir = place.fd.as_fd();
        root.indexes
            .change(&[(dir, place.key, &[Edit::Removed(name)])], || rustix::fs::unlinkat(dir, name, flags))
            .map_err(|errno| match errno {
                // unlink of a directory, or POSIX's other word for "not empty".
                Errno::EXIST => NtStatus::DIRECTORY_NOT_EMPTY,
                other => of_errno(other),
            })?;
        if directory {
            root.indexes.forget(object.key);
        }
        if !place.link {
            self.forget(object, directory);
        }
        Ok(())
    }

    /// Where the object is now, beneath the root, as the kernel knows; `None` when it has no name there any more.
    pub fn path_now(&self, object: &Object) -> Option<RelPath> {
        self.path_beneath(object.fd.as_fd())
    }

    /// The same of any descriptor.
    pub fn path_beneath(&self, fd: BorrowedFd<'_>) -> Option<RelPath> {
        let place = sys::file::path_of(fd).ok()?;
        let root = sys::file::path_of(self.root().fd()).ok()?;
        let rest = place.strip_prefix(&*root)?;
        match rest.first() {
            None => Some(RelPath::root()),
            Some(b'/') => Some(RelPath::from_bytes(&rest[1..])),
            Some(_) if root == b"/" => Some(RelPath::from_bytes(rest)),
            Some(_) => None,
        }
    }

    /// Whether the object is at that path, as far as this machine's kernel knows.
    pub fn is_at(&self, object: &Object, path: &RelPath) -> bool {
        if !self.is_quick() || self.path_beneath(object.as_fd()).as_ref() == Some(path) {
            return true;
        }
        // By another of its names, or through a symlink.
        let there = self.open_rel(path);
        there.is_ok_and(|there| there.stat.key == object.key() || there.stat.kind == Kind::Symlink)
    }

    /// Opens the directory of `path` and proves that the name in it is the object's; if it is not, and somebody
    /// outside moved the object, goes where it is.
    pub(super) fn place_of(&self, root: &Root, object: &Object, path: &RelPath) -> Result<Place> {
        match self.place_at(root, object, path) {
            Err(NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND) => {
                let now = self.path_now(object).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
                self.place_at(root, object, &now)
            }
            other => other,
        }
    }

    fn place_at(&self, root: &Root, object: &Object, path: &RelPath) -> Result<Place> {
        let parent = path.parent().ok_or(NtStatus::ACCESS_DENIED)?;
        let fd = self.open_dir(root, &parent).map_err(of_path_errno)?;
        let key = stat::key(&sys::file::stat_fd(&fd).map_err(of_errno)?);
        let stx = sys::file::stat_at(&fd, path.name()).map_err(of_errno)?;
        let link = stat::key(&stx) != object.key;
        if link {
            // Opened through a symlink, the object's name is the link.
            let through = stat::kind(&stx) == Kind::Symlink
                && self
                    .open_beneath(root, path.as_bytes(), rustix::fs::OFlags::empty())
                    .and_then(|fd| sys::file::stat_fd(&fd))
                    .is_ok_and(|target| stat::key(&target) == object.key);
            if !through {
                return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
            }
        }
        Ok(Place { fd, key, path: path.clone(), link })
    }

    /// The object lost a name. If it was the last, what the database has of it goes too.
    pub(super) fn forget(&self, object: &Object, directory: bool) {
        let bulk = &self.stream_nodes().bulk;
        if !self.uses_side() && bulk.is_empty() {
            return;
        }
        let Ok(stx) = sys::file::stat_fd(&object.fd) else { return };
        if directory || stx.stx_nlink == 0 {
            self.forget_side(object.key);
            bulk.forget(&stx, object.as_fd());
        }
    }

    /// A file lost a name through a replacement in `dir`; `stx` is from before.
    fn gone(&self, stx: &rustix::fs::Statx, dir: BorrowedFd<'_>) {
        if stx.stx_nlink <= 1 {
            self.forget_side(stat::key(stx));
            self.stream_nodes().bulk.forget(stx, dir);
        }
    }
}

fn is_missing(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    sys::file::stat_at(dir, name).err() == Some(Errno::NOENT)
}

fn is_same(a: BorrowedFd<'_>, a_name: &[u8], b: BorrowedFd<'_>, b_name: &[u8]) -> bool {
    match (sys::file::stat_at(a, a_name), sys::file::stat_at(b, b_name)) {
        (Ok(one), Ok(other)) => stat::key(&one) == stat::key(&other),
        _ => false,
    }
}

fn of_rename_errno(errno: Errno) -> NtStatus {
    match errno {
        // A directory into itself.
        Errno::INVAL => NtStatus::ACCESS_DENIED,
        Errno::NOTDIR | Errno::ISDIR | Errno::NOTEMPTY => NtStatus::ACCESS_DENIED,
        other => of_errno(other),
    }
}
