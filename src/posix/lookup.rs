//! From a client's path to an object.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{OFlags, ResolveFlags, Statx};
use rustix::io::Errno;

use super::export::Root;
use super::{
    CaseRule, DataAccess, Export, Kind, Object, RelPath, Result, SmbPath, Stat, names, of_errno, stat,
};
use crate::sys;
use crate::types::{NodeKey, NtStatus, same_name};

/// Whether a symlink as the last component is followed (it is not under FILE_OPEN_REPARSE_POINT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    Follow,
    Keep,
}

/// Something stands at the path.
#[derive(Debug)]
pub struct Found {
    /// An `O_PATH` descriptor.
    pub object: Object,
    pub stat: Stat,
    /// With the case that is on disk.
    pub path: RelPath,
}

/// Nothing stands at the path, but its directory does.
#[derive(Debug)]
pub struct Missing {
    /// An `O_PATH` descriptor of the directory.
    pub parent: Object,
    /// The path a file made there will have: the directory in its true case, the name as the client spelled it.
    pub path: RelPath,
}

/// The answer of `Export::lookup`.
#[derive(Debug)]
pub enum Lookup {
    Found(Found),
    Missing(Missing),
}

/// Where a rename or a link goes to.
#[derive(Debug)]
pub struct Target {
    /// An `O_PATH` descriptor of the directory.
    pub parent: Object,
    /// The name as the client spelled it.
    pub path: RelPath,
    /// What stands there now, if anything does, in its true case (it may be the renamed file itself, when only
    /// the case changes).
    pub existing: Option<(NodeKey, RelPath)>,
    /// Keeps `existing`'s inode from being given to another file meanwhile.
    _pin: Option<Object>,
}

/// A directory on the way, found.
struct Dir {
    fd: OwnedFd,
    seen: Statx,
    path: RelPath,
}

impl Dir {
    fn new(fd: OwnedFd, path: RelPath) -> Result<Dir> {
        let seen = sys::file::stat_fd(&fd).map_err(of_errno)?;
        Ok(Dir { fd, seen, path })
    }

    fn into_object(self) -> Object {
        Object {
            fd: self.fd,
            key: stat::key(&self.seen),
            kind: Kind::Directory,
            mount: self.seen.stx_mnt_id,
            data: DataAccess::default(),
            trusted: false,
            stream: None,
            cached: None,
        }
    }
}

/// One step into a directory by name.
enum Step {
    /// It stands there under this name.
    Is(Vec<u8>),
    Nothing,
}

/// A name that comes and goes while we look for it: how often to look again.
const TRIES: usize = 4;

impl Export {
    /// `OBJECT_PATH_NOT_FOUND` when a directory on the way is missing or is none; `OBJECT_NAME_NOT_FOUND` for a
    /// symlink that leads nowhere; `ACCESS_DENIED` for one that the share's policy does not follow.
    pub fn lookup(&self, path: &SmbPath, last: Last) -> Result<Lookup> {
        self.check_now_and_then()?;
        let flags = match last {
            Last::Follow => OFlags::empty(),
            Last::Keep => OFlags::NOFOLLOW,
        };
        let wanted = path.as_rel();
        for _ in 0..TRIES {
            let root = self.root();
            match self.open_beneath(&root, wanted.as_bytes(), flags) {
                Ok(fd) => {
                    let found = self.found(fd, wanted.clone())?;
                    if path.is_root() && found.stat.nlink == 0 && self.replaced(&root)? {
                        continue;
                    }
                    return Ok(Lookup::Found(found));
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(of_path_errno(errno)),
            }
            if let Some(lookup) = self.search(&root, wanted, flags)? {
                return Ok(lookup);
            }
        }
        // Renamed under our eyes again and again.
        Err(NtStatus::OBJECT_NAME_NOT_FOUND)
    }

    /// What the kernel can answer from its caches, without ever waiting for a disk or a backend: an exact hit on a
    /// local file system. None: ask [`Export::lookup`], on a worker. May run on the reactor.
    pub fn lookup_cached(&self, path: &SmbPath, last: Last) -> Option<Found> {
        if !self.is_quick() || !self.recently_well() {
            return None;
        }
        let root = self.root();
        let flags = match last {
            Last::Follow => OFlags::PATH,
            Last::Keep => OFlags::PATH | OFlags::NOFOLLOW,
        };
        let name = if path.is_root() { b"." } else { path.as_rel().as_bytes() };
        // A mount within the path may be of a backend that hangs.
        let resolve = super::export::resolve_flags(self.policy().symlinks) | ResolveFlags::NO_XDEV;
        let fd = sys::file::open_cached(root.fd(), name, flags, resolve).ok()?;
        self.found(fd, path.as_rel().clone()).ok().filter(|found| !path.is_root() || found.stat.nlink > 0)
    }

    /// For a name that is to be new: what differs from it in the form of its accents only is another, as on NTFS.
    pub fn apart(&self, found: &Found, wanted: &SmbPath) -> Result<Option<Missing>> {
        let (there, name) = (found.path.name(), wanted.as_rel().name());
        let (smb, asked) = (names::to_smb(there), names::to_smb(name));
        if same_name(&smb, &asked) || !names::same(&smb, &asked) {
            return Ok(None);
        }
        let dir = found.path.parent().unwrap_or_else(RelPath::root);
        let fd = self.open_dir(&self.root(), &dir).map_err(of_path_errno)?;
        let path = dir.join(name);
        Ok(Some(Missing { parent: Dir::new(fd, dir)?.into_object(), path }))
    }

    /// Opens by on-disk path, exact case, last component not followed.
    pub fn open_rel(&self, path: &RelPath) -> Result<Found> {
        self.check_now_and_then()?;
        let fd = self.open_beneath(&self.root(), path.as_bytes(), OFlags::NOFOLLOW).map_err(of_path_errno)?;
        self.found(fd, path.clone())
    }

    /// Has the file system asked who has each name of the path, whatever the kernel remembers.
    pub fn look_up_again(&self, path: &RelPath) {
        let root = self.root();
        let names = path.as_bytes();
        let ends = names.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let mut from = 0;
        for end in ends.chain([names.len()]) {
            let dir = &names[..from.max(1) - 1];
            let Ok(dir) = self.open_beneath(&root, dir, OFlags::NOFOLLOW | OFlags::DIRECTORY) else { return };
            sys::file::look_up_again(&dir, &names[from..end]);
            from = end + 1;
        }
    }

    /// Resolves the directory of a rename's or link's destination and looks what stands there.
    pub fn target(&self, path: &SmbPath) -> Result<Target> {
        if path.is_root() {
            return Err(NtStatus::ACCESS_DENIED);
        }
        match self.lookup(path, Last::Keep)? {
            Lookup::Missing(missing) => {
                Ok(Target { parent: missing.parent, path: missing.path, existing: None, _pin: None })
            }
            Lookup::Found(found) => {
                let (dir, name) = found.path.split();
                let dir = RelPath::from_bytes(dir);
                let fd = self.open_dir(&self.root(), &dir).map_err(of_path_errno)?;
                let spelled = path.as_rel().name();
                let path = dir.join(if name == spelled { name } else { spelled });
                let parent = Dir::new(fd, dir)?.into_object();
                let existing = Some((found.object.key, found.path));
                Ok(Target { parent, path, existing, _pin: Some(found.object) })
            }
        }
    }

    /// An `O_PATH` descriptor of a directory by on-disk path.
    pub(super) fn open_dir(&self, root: &Root, path: &RelPath) -> rustix::io::Result<OwnedFd> {
        self.open_beneath(root, path.as_bytes(), OFlags::DIRECTORY)
    }

    /// A removed root looks like an empty directory; it is not to be taken for one until the next check. False: it
    /// stands where it stood (some FUSE file systems count no links), true: another does.
    fn replaced(&self, root: &Root) -> Result<bool> {
        self.check()?;
        Ok(self.root_key() != root.key)
    }

    fn found(&self, fd: OwnedFd, path: RelPath) -> Result<Found> {
        let (object, stat) = self.object_of(fd)?;
        Ok(Found { object, stat, path })
    }

    /// The path has missed as it was spelled. Finds the longest part of it that exists, and goes on from there by
    /// the name indexes. `None`: something changed meanwhile, start again.
    fn search(&self, root: &Root, wanted: &RelPath, flags: OFlags) -> Result<Option<Lookup>> {
        let parts: Vec<&[u8]> = wanted.components().collect();
        let Some(last) = parts.len().checked_sub(1) else {
            // The root itself is gone.
            return Err(NtStatus::DEVICE_DOES_NOT_EXIST);
        };
        let Some((mut dir, mut at)) = self.longest_dir(root, &parts[..last])? else { return Ok(None) };
        loop {
            let name = parts[at];
            if dir.seen.stx_nlink == 0 && dir.path.is_root() && self.replaced(root)? {
                return Ok(None);
            }
            let step = self.step(root, &dir, name, false)?;
            let (disk, next) = match step {
                Step::Is(disk) => {
                    let next = dir.path.join(&disk);
                    (disk, next)
                }
                Step::Nothing if at == last => {
                    let key = stat::key(&dir.seen);
                    let tunnel = root.indexes.tunnel.as_ref();
                    let before = tunnel.and_then(|tunnel| tunnel.name(key, &names::to_smb(name)));
                    let path = dir.path.join(before.as_deref().unwrap_or(name));
                    return Ok(Some(Lookup::Missing(Missing { parent: dir.into_object(), path })));
                }
                Step::Nothing => return Err(NtStatus::OBJECT_PATH_NOT_FOUND),
            };
            // With this one put right, the rest may well be right.
            let whole = parts[at + 1..].iter().fold(next.clone(), |path, part| path.join(part));
            match self.open_beneath(root, whole.as_bytes(), flags) {
                Ok(fd) => return self.found(fd, whole).map(|found| Some(Lookup::Found(found))),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(of_path_errno(errno)),
            }
            if at == last {
                return self.vanished(root, &dir, name, &disk);
            }
            dir = match self.open_dir(root, &next) {
                Ok(fd) => Dir::new(fd, next)?,
                Err(Errno::NOENT) => return self.vanished(root, &dir, name, &disk),
                Err(errno) => return Err(of_path_errno(errno)),
            };
            at += 1;
        }
    }

    /// The index had `name` as `disk`, but opening that missed: a symlink to nowhere, or the index is old.
    fn vanished(&self, root: &Root, dir: &Dir, name: &[u8], disk: &[u8]) -> Result<Option<Lookup>> {
        match sys::file::stat_at(&dir.fd, disk) {
            Ok(stx) if stat::kind(&stx) == Kind::Symlink => Err(NtStatus::OBJECT_NAME_NOT_FOUND),
            _ => {
                self.step(root, dir, name, true)?;
                Ok(None)
            }
        }
    }

    /// The deepest directory of `parts` that is there as spelled, and how many parts lead to it.
    fn longest_dir(&self, root: &Root, parts: &[&[u8]]) -> Result<Option<(Dir, usize)>> {
        let open = |count: usize| -> Result<Option<Dir>> {
            let path = RelPath::from_bytes(parts[..count].join(&b'/'));
            match self.open_dir(root, &path) {
                Ok(fd) => Dir::new(fd, path).map(Some),
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(of_path_errno(errno)),
            }
        };
        // Nearly always only the last name is new.
        if let Some(dir) = open(parts.len())? {
            return Ok(Some((dir, parts.len())));
        }
        let (mut there, mut not) = (0, parts.len());
        let mut best = open(0)?;
        while there + 1 < not {
            let middle = there + (not - there) / 2;
            match open(middle)? {
                Some(dir) => {
                    best = Some(dir);
                    there = middle;
                }
                None => not = middle,
            }
        }
        Ok(best.map(|dir| (dir, there)))
    }

    /// What a client's name is called in a directory.
    fn step(&self, root: &Root, dir: &Dir, name: &[u8], anew: bool) -> Result<Step> {
        if root.facts.case == CaseRule::Insensitive {
            return Ok(match sys::file::stat_at(&dir.fd, name) {
                Ok(_) => Step::Is(name.to_vec()),
                Err(_) => Step::Nothing,
            });
        }
        let found =
            root.indexes.find(dir.fd.as_fd(), stat::key(&dir.seen), &dir.seen, &names::to_smb(name), anew);
        Ok(found.map_err(of_path_errno)?.map_or(Step::Nothing, Step::Is))
    }
}

/// On the way to the last component a missing or wrong thing is the path's fault, and symlinks that must not be
/// followed are refused.
pub(super) fn of_path_errno(errno: Errno) -> NtStatus {
    match errno {
        Errno::NOTDIR => NtStatus::OBJECT_PATH_NOT_FOUND,
        Errno::XDEV | Errno::LOOP => NtStatus::ACCESS_DENIED,
        other => of_errno(other),
    }
}
