//! A share, and the export behind it: the path, the rules of what is open on it, and its workers.

use super::workers::Workers;
use crate::auth::Identity;
use crate::config::Share as ShareSettings;
use crate::fsa;
use crate::posix;
use crate::types::NtStatus;
use crate::watch::{ExportSlot, Ground, Watch};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

/// Threads that may hang in one export at a time.
const MAX_THREADS: usize = 64;
/// Requests that may wait for one of them.
const MAX_QUEUED: usize = 16 * 1024;

/// What one component of a path on disk is called on the wire.
fn on_wire(name: &[u8]) -> String {
    posix::RelPath::root().join(name).to_smb()
}

/// One exported path. Shares that export the same directory share it.
pub struct Area {
    /// The path, opened when it is first needed and again after it has failed.
    export: ExportSlot,
    policy: posix::Policy,
    path: std::path::PathBuf,
    /// MS-FSA: everything open on it. Never held across a system call.
    pub rules: Arc<Mutex<fsa::Tree>>,
    /// Changes that others make.
    pub watch: Watch,
    pub workers: Workers,
    epoch: Instant,
}

impl Area {
    /// `carry_out`: does what the rules want done after a change from outside.
    pub fn new(
        path: std::path::PathBuf,
        mut policy: posix::Policy,
        name: &str,
        watchdog: Arc<tokio::sync::Notify>,
        carry_out: Box<dyn Fn(fsa::Effects) + Send + Sync>,
    ) -> Area {
        let epoch = Instant::now();
        let export = ExportSlot::default();
        let rules = Arc::new(Mutex::new(fsa::Tree::with_names(on_wire)));
        let watch = Watch::new(Ground {
            name: format!("share {name}"),
            rules: Arc::clone(&rules),
            epoch,
            export: Arc::clone(&export),
            carry_out,
        });
        policy.watcher = Some(watch.watcher());
        Area {
            export,
            policy,
            path,
            rules,
            watch,
            workers: Workers::new(format!("share {name}"), MAX_THREADS, MAX_QUEUED, watchdog),
            epoch,
        }
    }

    /// The export. Blocks: for workers only. A path that cannot be had is tried anew by each request.
    pub fn export(&self) -> Result<Arc<posix::Export>, NtStatus> {
        if let Some(export) = &*self.export.lock() {
            return Ok(Arc::clone(export));
        }
        // Not under the lock: the path may hang.
        match posix::Export::open(&self.path, self.policy.clone()) {
            Ok(export) => {
                let mut slot = self.export.lock();
                Ok(Arc::clone(slot.get_or_insert_with(|| Arc::new(export))))
            }
            Err(e) => {
                log::warn!("{}: cannot be exported now: {e}", self.path.display());
                Err(NtStatus::BAD_NETWORK_NAME)
            }
        }
    }

    /// The export, if it is open already. Never blocks.
    pub fn export_if_open(&self) -> Option<Arc<posix::Export>> {
        self.export.lock().clone()
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Now, as the rules count time.
    pub fn now(&self) -> fsa::Moment {
        fsa::Moment(self.epoch.elapsed())
    }
}

/// What a tree connects to.
#[derive(Debug)]
pub struct Share {
    pub name: String,
    pub kind: ShareKind,
    pub opens: AtomicUsize,
}

#[derive(Debug)]
pub enum ShareKind {
    /// IPC$: named pipes only.
    Pipes,
    Disk(Box<Disk>),
}

/// A directory that is shared.
#[derive(Debug)]
pub struct Disk {
    pub settings: ShareSettings,
    pub area: Arc<Area>,
    pub acts_as: ActsAs,
}

/// Whose rights count on the disk.
#[derive(Debug)]
pub enum ActsAs {
    /// The account of the user who connects.
    User,
    /// `owner`: everybody acts as this account.
    Owner(Arc<Identity>),
    /// `owner` is set and cannot be looked up: nobody gets in.
    Nobody,
}

impl Share {
    pub fn disk(&self) -> Option<&Disk> {
        match &self.kind {
            ShareKind::Disk(disk) => Some(disk),
            ShareKind::Pipes => None,
        }
    }
}

impl Area {
    /// Whether another share of the same path may use this area.
    pub fn same_policy(&self, other: &posix::Policy) -> bool {
        let own = &self.policy;
        own.symlinks == other.symlinks
            && own.file_mode == other.file_mode
            && own.dir_mode == other.dir_mode
            && own.acls == other.acls
            && own.short_names == other.short_names
    }
}

impl std::fmt::Debug for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Area").field(&self.path).finish()
    }
}
