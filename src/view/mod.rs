//! The local view: an export, mounted for the programs of this machine, so that they and the clients see each other's changes
//! as if there were one file system.
//!
//! ```text
//!   local program -> kernel -> system (fuser) -> door: what clients cache is asked back, and waited for
//!                       |                        -> the file behind, as the caller -> door: what has happened is told
//!                       '- data of open files: straight to the file behind (passthrough), where kernel and privilege allow
//!
//!   client -> cmd -> fsa::change::apply -> mirror -> kernel: cached pages, attributes and names are dropped
//! ```
//!
//! An open is registered with the rules: share modes that deny hold (EBUSY), and who caches writes flushes them before it
//! is decided. While a program has a file open to write, no client caches it, since what goes straight to the file (and
//! through memory) is seen by nobody. What was written is told when a descriptor is closed, and at fsync.
//!
//! Everything is done beneath the exported path, by descriptor; the view itself is never touched from here.

mod attr;
mod attributes;
mod caller;
mod door;
mod files;
mod inodes;
mod locks;
mod mirror;
mod mount;
mod names;
mod system;

pub use mount::{Point, look};

use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::cmd::Gate;
use crate::cmd::gate::Live;
use crate::posix;
use crate::session::{Area, Disk};
use caller::Callers;
use door::Door;
use files::Open;
use inodes::Inodes;
use locks::Locks;
use mirror::Mirror;

/// How long mounting may take: the path may hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a view that is being taken away may take to end.
const END: Duration = Duration::from_secs(2);
/// Threads that read requests. Those that wait for clients have one of their own.
const THREADS: usize = 8;

/// What one view works with.
struct Core {
    name: String,
    door: Arc<Door>,
    inodes: Inodes,
    open: Open,
    callers: Callers,
    locks: Locks,
    mirror: Arc<Mirror>,
    /// The kernel moves data by itself.
    passthrough: AtomicBool,
    /// Operations that wait.
    waiting: AtomicUsize,
    /// When the kernel was asked last to let go of names.
    spared: Mutex<Option<Instant>>,
}

/// A view that is mounted. Unmounts when it is dropped.
struct View {
    point: PathBuf,
    core: Arc<Core>,
    /// fuser's own. Unless it is used up before, fuser unmounts whatever stands at the path when the session ends.
    unmounter: SessionUnmounter,
    /// Hears when the kernel has let go.
    ended: mpsc::Receiver<()>,
    /// No share leads into it.
    _own: Option<posix::OwnView>,
}

impl View {
    fn mount(name: &str, point: &Path, gate: &Arc<Gate>, area: &Arc<Area>) -> Result<View, String> {
        match look(point, area.path())? {
            Point::Free => {}
            Point::Stale => {
                log::info!("view {}: a mount that a former server left is replaced", point.display());
                mount::unmount(point).map_err(|e| {
                    format!("view {}: the mount left there cannot be taken away: {e}", point.display())
                })?;
                // What is beneath it may be unfit.
                look(point, area.path())?;
            }
            Point::Alive => {
                return Err(format!(
                    "view {0}: another server's view is mounted there; stop it, or umount {0}",
                    point.display()
                ));
            }
        }
        let failed = |e: std::io::Error| {
            let remedy = match e.raw_os_error() {
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                    "; is /dev/fuse there (modprobe fuse; under systemd: views.conf)?"
                }
                Some(libc::EPERM | libc::EACCES) => {
                    "; serve as root (under systemd: views.conf), or install fuse3 for fusermount3"
                }
                _ => "",
            };
            format!("view {}: cannot be mounted: {e}{remedy}", point.display())
        };
        let inodes = Inodes::open(area.path())
            .map_err(|e| format!("view {}: {}: {e}", point.display(), area.path().display()))?;
        let mirror = Arc::new(Mirror::default());
        let id = area.rules.lock().add_mirror(Arc::clone(&mirror) as Arc<dyn crate::fsa::Mirror>);
        let door = Arc::new(Door { gate: Arc::clone(gate), area: Arc::clone(area), mirror: id });
        let core = Arc::new(Core {
            name: name.to_owned(),
            door,
            inodes,
            open: Open::default(),
            callers: Callers::default(),
            locks: Locks::default(),
            mirror,
            passthrough: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            spared: Mutex::default(),
        });
        let (ended, unmounter) = core.start(point).map_err(|e| {
            area.rules.lock().remove_mirror(id);
            failed(e)
        })?;
        log::info!("share {name}: local view at {}", point.display());
        let own = mount::device_at(point).map(posix::OwnView::new);
        Ok(View { point: point.to_owned(), core, unmounter, ended, _own: own })
    }
}

impl Core {
    fn start(self: &Arc<Self>, point: &Path) -> std::io::Result<(mpsc::Receiver<()>, SessionUnmounter)> {
        let root = nix::unistd::geteuid().is_root();
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName(format!("{}{}", mount::SOURCE, self.name)),
            MountOption::Subtype("smbgate".to_owned()),
            MountOption::DefaultPermissions,
        ];
        config.acl = if root { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(THREADS);
        let mut session = Session::new(system::System(Arc::clone(self)), point, &config)?;
        let (notifier, unmounter) = (session.notifier(), session.unmount_callable());
        let core = Arc::clone(self);
        std::thread::Builder::new()
            .name("view-mirror".to_owned())
            .spawn(move || core.mirror.run(&core.inodes, &notifier))?;
        let (tell, ended) = mpsc::channel();
        let core = Arc::clone(self);
        std::thread::Builder::new().name("view".to_owned()).spawn(move || {
            if let Err(e) = session.run() {
                log::error!("view {}: ended: {e}", core.name);
            }
            core.mirror.stop();
            drop(tell);
        })?;
        Ok((ended, unmounter))
    }
}

impl View {
    /// It is alive, and what this share wants.
    fn is_of(&self, disk: &Disk) -> bool {
        let area = &disk.area;
        // Another file system may stand there now.
        let root = area.export_if_open().map(|export| export.root_key());
        disk.settings.view.as_ref() == Some(&self.point)
            && Arc::ptr_eq(&self.core.door.area, area)
            && root.is_none_or(|root| root == self.core.inodes.root().node)
            && !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.ended.try_recv() == Err(mpsc::TryRecvError::Disconnected)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // In use, it can be taken away all the same.
        if !self.is_over()
            && self.unmounter.unmount().is_err()
            && let Err(e) = mount::unmount(&self.point)
        {
            log::warn!("view {}: cannot be unmounted: {e}; umount -l {0}", self.point.display());
        }
        // With files open in it, it lives on until they are closed, or the process ends.
        let _ = self.ended.recv_timeout(END);
        self.core.door.area.rules.lock().remove_mirror(self.core.door.mirror);
        self.core.mirror.stop();
    }
}

/// How a share's view is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    None,
    Mounted(PathBuf),
    /// Why it is not.
    Failed(String),
}

/// The views of all shares, by their lower-case names.
#[derive(Default)]
pub struct Views {
    mounted: Mutex<HashMap<String, Result<View, String>>>,
    /// Held by who mounts and unmounts.
    adjusting: Mutex<()>,
}

impl Views {
    /// Mounts and unmounts until it is as the shares want. Blocks.
    pub fn adjust(&self, gate: &Arc<Gate>, live: &Live) {
        let _alone = self.adjusting.lock();
        let all = std::mem::take(&mut *self.mounted.lock());
        // What could not be mounted is tried anew.
        let (kept, gone): (HashMap<_, _>, HashMap<_, _>) = all.into_iter().partition(|(name, view)| {
            let disk = live.shares.get(name).and_then(|share| share.disk());
            matches!((view, disk), (Ok(view), Some(disk)) if view.is_of(disk))
        });
        *self.mounted.lock() = kept;
        drop(gone);
        for (name, share) in &live.shares {
            let Some(disk) = share.disk() else { continue };
            let Some(point) = &disk.settings.view else { continue };
            if self.mounted.lock().contains_key(name) {
                continue;
            }
            let mounted = mount_in_time(&share.name, point, gate, &disk.area);
            if let Err(why) = &mounted {
                log::error!("share {}: {why}", share.name);
            }
            self.mounted.lock().insert(name.clone(), mounted);
        }
    }

    /// Unmounts all. Blocks for a bounded time.
    pub fn end(&self) {
        let _alone = self.adjusting.lock();
        let views = std::mem::take(&mut *self.mounted.lock());
        drop(views);
    }

    pub fn state(&self, share: &str) -> State {
        match self.mounted.lock().get(&share.to_lowercase()) {
            None => State::None,
            Some(Ok(view)) if view.is_over() => State::Failed(format!(
                "view {}: it was unmounted; reload the server to have it back",
                view.point.display()
            )),
            Some(Ok(view)) => State::Mounted(view.point.clone()),
            Some(Err(why)) => State::Failed(why.clone()),
        }
    }
}

/// On a thread of its own, since the path may hang.
fn mount_in_time(name: &str, point: &Path, gate: &Arc<Gate>, area: &Arc<Area>) -> Result<View, String> {
    let (tell, hear) = mpsc::channel();
    let (name, path) = (name.to_owned(), point.to_owned());
    let (gate, area) = (Arc::clone(gate), Arc::clone(area));
    let started = std::thread::Builder::new().name("view-mount".to_owned()).spawn(move || {
        // Too late: dropped, and so unmounted.
        drop(tell.send(View::mount(&name, &path, &gate, &area)));
    });
    started.map_err(|e| format!("view {}: {e}", point.display()))?;
    hear.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        Err(format!(
            "view {}: its path or the shared one does not answer; is a mount dead there?",
            point.display()
        ))
    })
}
