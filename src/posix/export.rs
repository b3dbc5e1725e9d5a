//! The root of one share and what is known of its file system.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::bulk::Bulk;
use super::cached::Cached;
use super::index::Indexes;
use super::unstored::Unstored;
use super::{
    CaseRule, Facts, Kind, MemorySide, Object, Result, SideStore, Watcher, facts, of_errno, short, stat,
    status, stream,
};
use crate::config::Acls;
use crate::sys;
use crate::types::{NodeKey, NtStatus};

/// What a symlink on disk means to clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Symlinks {
    /// Followed while the target stays inside the export.
    #[default]
    Inside,
    Never,
    /// Followed wherever it goes.
    Outside,
}

/// The share's settings that matter here. (Who owns new files is the identity the caller assumes.)
#[derive(Clone)]
pub struct Policy {
    pub symlinks: Symlinks,
    /// For new files, exactly; `None`: 0666 without `umask`.
    pub file_mode: Option<u32>,
    /// For new directories, exactly; `None`: 0777 without `umask`.
    pub dir_mode: Option<u32>,
    /// What the process had before the daemon set it to 0.
    pub umask: u32,
    /// Where DOS attributes live when the file system has no xattrs, and security descriptors when it has none for
    /// this process.
    pub side: Arc<dyn SideStore>,
    pub acls: Acls,
    /// Names have another of 8.3 form, and are found by it.
    pub short_names: bool,
    /// Who hears of changes that are not our own.
    pub watcher: Option<Arc<dyn Watcher>>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            symlinks: Symlinks::Inside,
            file_mode: None,
            dir_mode: None,
            umask: 0o022,
            side: Arc::new(MemorySide::default()),
            acls: Acls::default(),
            short_names: true,
            watcher: None,
        }
    }
}

/// The root directory, opened, and what tells whether it is still the same.
pub(super) struct Root {
    pub(super) fd: OwnedFd,
    pub(super) key: NodeKey,
    mount: u64,
    is_mount_root: bool,
    /// Where it stands, without symlinks; absolute symlinks inside the export begin so.
    pub(super) place: Vec<u8>,
    pub(super) facts: Arc<Facts>,
    pub(super) indexes: Indexes,
    pub(super) unstored: Unstored,
    /// Large files are better looked at in the cache than read.
    maps: bool,
}

/// One exported path.
pub struct Export {
    path: PathBuf,
    policy: Policy,
    root: RwLock<Arc<Root>>,
    checked: Mutex<(Instant, Result<()>)>,
    streams: Arc<stream::Nodes>,
}

/// How long a check of the root stands for the lookups after it.
const CHECK_EVERY: Duration = Duration::from_secs(1);

impl Export {
    /// Opens the root directory as the process (not as a user) and finds out the facts. Blocks.
    pub fn open(path: &Path, policy: Policy) -> std::io::Result<Export> {
        let root = sys::creds::as_process(|| Root::open(path, &policy))??;
        let bulk = Bulk::new(Arc::clone(&policy.side), &root.facts);
        let export = Export {
            path: path.to_owned(),
            policy,
            root: RwLock::new(Arc::new(root)),
            checked: Mutex::new((Instant::now(), Ok(()))),
            streams: Arc::new(stream::Nodes::new(bulk)),
        };
        Ok(export)
    }

    /// As if the file system had no xattrs.
    #[cfg(test)]
    pub(super) fn open_without_xattrs(path: &Path, policy: Policy) -> std::io::Result<Export> {
        let mut root = Root::open(path, &policy)?;
        root.facts = Arc::new(Facts { xattrs: false, security_xattrs: false, ..(*root.facts).clone() });
        let export = Export::open(path, policy)?;
        export.streams.bulk.set_facts(&root.facts);
        *export.root.write() = Arc::new(root);
        Ok(export)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.root.read().facts)
    }

    /// How often a directory was read to build a name index (for status and tests).
    pub fn scans(&self) -> u64 {
        self.root.read().indexes.scans()
    }

    /// The name of 8.3 form by which a file is found too: its own, if it is of that form. None: there are none here.
    pub fn short_name(&self, name: &str) -> Option<String> {
        self.has_short_names().then(|| short::short_name(name).unwrap_or_else(|| name.to_owned()))
    }

    /// The same, if it is not its own.
    pub fn other_short_name(&self, name: &str) -> Option<String> {
        short::short_name(name).filter(|_| self.has_short_names())
    }

    pub fn has_short_names(&self) -> bool {
        self.root.read().indexes.tunnel.is_some()
    }

    pub(super) fn root(&self) -> Arc<Root> {
        Arc::clone(&self.root.read())
    }

    pub(super) fn stream_nodes(&self) -> &Arc<stream::Nodes> {
        &self.streams
    }

    /// Opens whatever a handle means on the root's file system (`O_PATH`). Takes CAP_DAC_READ_SEARCH.
    pub fn open_handle(&self, handle: &sys::handle::FileHandle) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mount = rustix::fs::openat(self.root().fd(), c".", flags, Mode::empty())?;
        sys::handle::open(mount, handle, OFlags::PATH)
    }

    /// Somebody else has changed names in this directory. Never blocks.
    pub fn names_changed(&self, directory: NodeKey) {
        self.root.read().indexes.outdate(Some(directory));
    }

    /// Somebody else may have changed names anywhere. Never blocks.
    pub fn names_lost(&self) {
        self.root.read().indexes.outdate(None);
    }

    /// The key of the root directory.
    pub fn root_key(&self) -> NodeKey {
        self.root.read().key
    }

    /// Still the file system that was exported? An error when the mount has vanished, never an empty directory
    /// in its place; when the mount has come back, its root is opened and all is well. Every lookup calls
    /// `check_now_and_then`; tree connect calls this.
    pub fn check(&self) -> Result<()> {
        let verdict = match sys::creds::as_process(|| self.look()) {
            Ok(verdict) => verdict,
            Err(error) => Err(status::of_io(&error)),
        };
        *self.checked.lock() = (Instant::now(), verdict);
        verdict
    }

    /// On a local file system the inode of an open descriptor is in memory: looking at it, opening it again and
    /// closing it when nothing was written through it wait for nobody.
    pub fn is_quick(&self) -> bool {
        self.root.read().facts.locality == super::Locality::Local
    }

    /// The same of one object, which may be on another mount than the root.
    pub fn is_quick_at(&self, object: &Object) -> bool {
        self.is_quick() && object.mount == self.root.read().mount
    }

    /// What `Object::with_cached` takes; none where that is not worth while.
    pub(super) fn cached(&self, object: &Object) -> Option<Cached> {
        let root = self.root.read();
        let fits = object.kind == Kind::File && object.data.read && object.mount == root.mount && root.maps;
        fits.then(Cached::default)
    }

    /// How far changes of what is on this object's mount can be seen from here. May block.
    pub fn locality_of(&self, object: BorrowedFd<'_>) -> super::Locality {
        let Ok(stx) = sys::file::stat_fd(object) else { return super::Locality::Remote };
        match stx.stx_mnt_id == self.root.read().mount {
            true => self.root.read().facts.locality,
            false => facts::locality(object, stx.stx_mnt_id),
        }
    }

    /// The last look is not old, and was good.
    pub(super) fn recently_well(&self) -> bool {
        let checked = self.checked.lock();
        checked.1.is_ok() && checked.0.elapsed() < CHECK_EVERY
    }

    /// At most once a second; between, the last verdict stands.
    pub(super) fn check_now_and_then(&self) -> Result<()> {
        {
            let mut checked = self.checked.lock();
            if checked.0.elapsed() < CHECK_EVERY {
                return checked.1;
            }
            // Others go on with the last verdict while this one looks.
            checked.0 = Instant::now();
        }
        self.check()
    }

    fn look(&self) -> Result<()> {
        let root = self.root();
        let flags = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID;
        let now = match rustix::fs::statx(rustix::fs::CWD, &self.path, AtFlags::empty(), flags) {
            Ok(now) => now,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(NtStatus::DEVICE_DOES_NOT_EXIST),
            Err(errno) => return Err(of_errno(errno)),
        };
        if stat::key(&now) == root.key && now.stx_mnt_id == root.mount {
            return Ok(());
        }
        // Another directory stands there. Only the like of what was exported is taken for it: where a mount
        // was, a mount of the same kind.
        let fresh = Root::open(&self.path, &self.policy).map_err(|error| status::of_io(&error))?;
        if fresh.is_mount_root != root.is_mount_root || fresh.facts.fs_type != root.facts.fs_type {
            return Err(NtStatus::DEVICE_DOES_NOT_EXIST);
        }
        log::info!(
            "{}: another directory or mount stands there, and is served from now on",
            self.path.display()
        );
        self.streams.bulk.set_facts(&fresh.facts);
        *self.root.write() = Arc::new(fresh);
        Ok(())
    }
}

impl Root {
    fn open(path: &Path, policy: &Policy) -> std::io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let stx = sys::file::stat_fd(&fd)?;
        // ENOTCONN of a dead FUSE mount shows here at the latest.
        drop(rustix::fs::openat(
            &fd,
            c".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let place = std::fs::canonicalize(path)?.as_os_str().as_bytes().to_vec();
        let facts = facts::find(fd.as_fd(), &stx, &place)?;
        let clockwork = facts::clockwork(&facts);
        let shorts = policy.short_names && facts.case == CaseRule::Sensitive;
        let indexes = Indexes::new(clockwork, shorts, policy.watcher.clone());
        Ok(Root {
            key: stat::key(&stx),
            mount: stx.stx_mnt_id,
            is_mount_root: stx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
            fd,
            place,
            maps: facts::is_better_mapped(&facts),
            facts: Arc::new(facts),
            indexes,
            unstored: Unstored::new(clockwork),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The flags of every resolution.
pub(super) fn resolve_flags(symlinks: Symlinks) -> ResolveFlags {
    match symlinks {
        Symlinks::Inside => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        Symlinks::Never => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS,
        Symlinks::Outside => ResolveFlags::NO_MAGICLINKS,
    }
}
