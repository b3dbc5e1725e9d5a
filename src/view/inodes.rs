//! The files and directories that the kernel knows of, by the number it knows them by.
//!
//! Each holds an `O_PATH` descriptor of the object behind it, so it stays the same object whatever becomes of its name, and
//! its path is what the kernel says it is now. Numbers are the file system's own, where they are unique.

use fuser::FileType;
use parking_lot::{Mutex, RwLock};
use rustix::fs::{Mode, OFlags, ResolveFlags, Statx};
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::attr;
use super::files::Sharing;
use crate::fsa::RelPath;
use crate::posix;
use crate::sys::file;
use crate::types::NodeKey;

/// FUSE_ROOT_ID
pub const ROOT: u64 = 1;
/// Numbers of our own have this bit.
const OWN: u64 = 1 << 63;
/// What the kernel appends to the path of what has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// A directory's number, and a name in it.
pub type Place = (u64, OsString);

/// As many of a file's names are remembered.
const MOST_PLACES: usize = 32;

#[derive(Debug)]
pub struct Inode {
    pub id: u64,
    pub node: NodeKey,
    pub kind: FileType,
    fd: RwLock<Arc<OwnedFd>>,
    /// Where the kernel found it, the last one last.
    places: Mutex<Vec<Place>>,
    pub sharing: Mutex<Sharing>,
}

impl Inode {
    /// `O_PATH`, of the name that was looked up last.
    pub fn fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd.read())
    }

    fn found_at(&self, place: Place) {
        let mut places = self.places.lock();
        places.retain(|other| *other != place);
        if places.len() >= MOST_PLACES {
            places.remove(0);
        }
        places.push(place);
    }

    pub fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }
}

/// One object reached by one mount. (A directory that is mounted twice is two to the kernel.)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    node: NodeKey,
    mount: u64,
}

impl Key {
    fn of(stx: &Statx) -> Key {
        Key { node: posix::key(stx), mount: stx.stx_mnt_id }
    }
}

#[derive(Debug)]
struct Known {
    inode: Arc<Inode>,
    key: Key,
    /// As many as the kernel will forget.
    lookups: u64,
}

#[derive(Default, Debug)]
struct Inner {
    by_id: HashMap<u64, Known>,
    by_key: HashMap<Key, u64>,
    next: u64,
}

#[derive(Debug)]
pub struct Inodes {
    root: Arc<Inode>,
    root_key: Key,
    /// Where the root stands.
    place: Vec<u8>,
    inner: Mutex<Inner>,
}

/// A file or directory in a directory, whatever stands there; links are not followed.
pub fn find<Fd: AsFd>(directory: Fd, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

impl Inodes {
    pub fn open(path: &Path) -> Result<Inodes> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let (stx, place) = (file::stat_fd(&fd)?, file::path_of(&fd)?);
        let root_key = Key::of(&stx);
        let root = Arc::new(new_inode(ROOT, &stx, fd, (ROOT, OsString::new())));
        let known = Known { inode: Arc::clone(&root), key: root_key, lookups: 1 };
        let inner = Inner {
            by_id: HashMap::from([(ROOT, known)]),
            by_key: HashMap::from([(root_key, ROOT)]),
            next: OWN,
        };
        Ok(Inodes { root, root_key, place, inner: Mutex::new(inner) })
    }

    pub fn root(&self) -> &Arc<Inode> {
        &self.root
    }

    pub fn get(&self, id: fuser::INodeNo) -> Result<Arc<Inode>> {
        self.inner.lock().by_id.get(&id.0).map(|known| Arc::clone(&known.inode)).ok_or(Errno::STALE)
    }

    /// The kernel is told of what was found at a name, and will forget it once more.
    pub fn enter(&self, fd: OwnedFd, stx: &Statx, parent: u64, name: &OsStr) -> Arc<Inode> {
        let key = Key::of(stx);
        let place = (parent, name.to_owned());
        let mut inner = self.inner.lock();
        if let Some(id) = inner.by_key.get(&key).copied()
            && let Some(known) = inner.by_id.get_mut(&id)
        {
            known.lookups += 1;
            let inode = Arc::clone(&known.inode);
            drop(inner);
            if id != ROOT {
                // Its other name may be gone by now; this one is there.
                *inode.fd.write() = Arc::new(fd);
                inode.found_at(place);
            }
            return inode;
        }
        let usual = (key.node.dev, key.mount) == (self.root_key.node.dev, self.root_key.mount);
        let free = |id: &u64| *id > ROOT && *id < OWN && !inner.by_id.contains_key(id);
        let id = Some(key.node.ino).filter(|id| usual && free(id));
        let id = id.unwrap_or_else(|| {
            inner.next += 1;
            inner.next
        });
        let inode = Arc::new(new_inode(id, stx, fd, place));
        inner.by_id.insert(id, Known { inode: Arc::clone(&inode), key, lookups: 1 });
        inner.by_key.insert(key, id);
        inode
    }

    pub fn forget(&self, id: u64, lookups: u64) {
        let mut inner = self.inner.lock();
        let Some(known) = inner.by_id.get_mut(&id).filter(|_| id != ROOT) else { return };
        known.lookups = known.lookups.saturating_sub(lookups);
        if known.lookups > 0 {
            return;
        }
        let gone = inner.by_id.remove(&id);
        if let Some(known) = &gone {
            inner.by_key.remove(&known.key);
        }
        drop(inner);
        // Its descriptor is closed here, without the lock.
        drop(gone);
    }

    pub fn len(&self) -> usize {
        self.inner.lock().by_id.len()
    }

    /// The numbers by which the kernel knows an object.
    pub fn ids_of(&self, node: NodeKey) -> Vec<u64> {
        let inner = self.inner.lock();
        let usual = Key { node, mount: self.root_key.mount };
        match inner.by_key.get(&usual) {
            Some(id) => vec![*id],
            None => inner.by_key.iter().filter(|(key, _)| key.node == node).map(|(_, id)| *id).collect(),
        }
    }

    /// Everything that the kernel knows, with where it found it.
    pub fn places(&self) -> Vec<(u64, u64, OsString)> {
        let inner = self.inner.lock();
        let places = inner.by_id.values().map(|known| (known.inode.id, known.inode.places.lock().clone()));
        places
            .flat_map(|(id, places)| places.into_iter().map(move |(parent, name)| (id, parent, name)))
            .collect()
    }

    /// It has another name now.
    pub fn moved(&self, node: NodeKey, parent: u64, name: &OsStr) {
        for id in self.ids_of(node) {
            if let Ok(inode) = self.get(fuser::INodeNo(id)) {
                inode.found_at((parent, name.to_owned()));
            }
        }
    }

    /// Where it stands in the export. None: nowhere any more. STALE: moved out of the export.
    pub fn path(&self, inode: &Inode) -> Result<Option<RelPath>> {
        if inode.id == ROOT {
            return Ok(Some(RelPath::root()));
        }
        let place = file::path_of(inode.fd())?;
        let inside = match self.place.as_slice() {
            b"/" => place.strip_prefix(b"/"),
            root => place.strip_prefix(root).and_then(|rest| rest.strip_prefix(b"/")),
        };
        let path = inside.filter(|path| !path.is_empty()).ok_or(Errno::STALE)?;
        if path.ends_with(DELETED) && !self.stands_at(inode, path) {
            return Ok(self.by_another_name(inode));
        }
        Ok(Some(RelPath::new(path)))
    }

    /// The name that was looked up last is gone; another one that the kernel knows may be there.
    fn by_another_name(&self, inode: &Inode) -> Option<RelPath> {
        let places = inode.places.lock().clone();
        for (parent, name) in places.iter().rev() {
            let Ok(directory) = self.get(fuser::INodeNo(*parent)) else { continue };
            let Ok(fd) = find(directory.fd(), name) else { continue };
            if !file::stat_fd(&fd).is_ok_and(|stx| posix::key(&stx) == inode.node) {
                continue;
            }
            if let Ok(Some(path)) = self.path(&directory) {
                *inode.fd.write() = Arc::new(fd);
                return Some(path.child(name.as_bytes()));
            }
        }
        None
    }

    fn stands_at(&self, inode: &Inode, path: &[u8]) -> bool {
        let there = self.beneath(path).and_then(file::stat_fd);
        there.is_ok_and(|stx| posix::key(&stx) == inode.node)
    }

    /// What stands at a path of the export.
    pub fn beneath(&self, path: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let path = if path.is_empty() { b"." } else { path };
        file::open_beneath(self.root.fd(), path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
    }
}

fn new_inode(id: u64, stx: &Statx, fd: OwnedFd, place: (u64, OsString)) -> Inode {
    Inode {
        id,
        node: posix::key(stx),
        kind: attr::kind(stx),
        fd: RwLock::new(Arc::new(fd)),
        places: Mutex::new(vec![place]),
        sharing: Mutex::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(inodes: &Inodes, name: &str) -> Arc<Inode> {
        let fd = find(inodes.root().fd(), name.as_ref()).expect("it is there");
        let stx = file::stat_fd(&fd).expect("stat");
        inodes.enter(fd, &stx, ROOT, name.as_ref())
    }

    #[test]
    fn what_was_looked_up_is_known_until_it_is_forgotten_as_often() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("f"), "").expect("a file");
        std::fs::hard_link(dir.path().join("f"), dir.path().join("g")).expect("a link");
        let inodes = Inodes::open(dir.path()).expect("opens");
        let (f, g) = (enter(&inodes, "f"), enter(&inodes, "g"));
        assert!(Arc::ptr_eq(&f, &g), "one object");
        assert_eq!(inodes.ids_of(f.node), [f.id]);
        inodes.forget(f.id, 1);
        assert!(inodes.get(fuser::INodeNo(f.id)).is_ok());
        inodes.forget(f.id, 1);
        assert_eq!(inodes.get(fuser::INodeNo(f.id)).unwrap_err(), Errno::STALE);
        inodes.forget(ROOT, 7);
        assert_eq!(inodes.len(), 1, "the root stays");
    }

    #[test]
    fn a_file_with_two_names_has_a_path_as_long_as_one_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("f"), "").expect("a file");
        std::fs::hard_link(at("f"), at("g")).expect("a link");
        let inodes = Inodes::open(dir.path()).expect("opens");
        let f = enter(&inodes, "f");
        enter(&inodes, "g");
        assert_eq!(inodes.path(&f), Ok(Some("g".into())));
        std::fs::remove_file(at("g")).expect("removed");
        assert_eq!(inodes.path(&f), Ok(Some("f".into())));
        std::fs::rename(at("f"), at("h")).expect("moved");
        assert_eq!(inodes.path(&f), Ok(Some("h".into())), "it follows this one now");
        std::fs::remove_file(at("h")).expect("removed");
        assert_eq!(inodes.path(&f), Ok(None));
    }

    #[test]
    fn a_path_is_what_it_is_now() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("d")).expect("a directory");
        std::fs::write(at("f"), "").expect("a file");
        let inodes = Inodes::open(dir.path()).expect("opens");
        let f = enter(&inodes, "f");
        std::fs::rename(at("f"), at("d/x (deleted)")).expect("moved");
        assert_eq!(inodes.path(&f), Ok(Some(RelPath::from("d/x (deleted)"))));
        std::fs::remove_file(at("d/x (deleted)")).expect("removed");
        assert_eq!(inodes.path(&f), Ok(None));
        let outside = tempfile::tempdir().expect("a directory");
        let d = enter(&inodes, "d");
        std::fs::rename(at("d"), outside.path().join("d")).expect("moved out");
        assert_eq!(inodes.path(&d), Err(Errno::STALE));
        assert_eq!(inodes.path(inodes.root()), Ok(Some(RelPath::root())));
    }
}
