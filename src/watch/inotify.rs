//! Events by inotify, where fanotify cannot mark: it does not say who did it. Names are matched with the ledger of our
//! own changes; everything else counts as somebody else's.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify as Kernel, InotifyEvent, WatchDescriptor};
use parking_lot::Mutex;
use rustix::io::{Errno, Result};

use super::Interest;
use super::source::{ATTRIBUTES, Event, Name, Origin, Source, What};
use crate::fsa::change::Facets;
use crate::sys::file::FdName;
use crate::sys::handle::{self, FileHandle};
use crate::types::NodeKey;

pub(super) struct Inotify {
    kernel: Kernel,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<WatchDescriptor, NodeKey>,
    watches: HashMap<NodeKey, WatchDescriptor>,
    handles: HashMap<NodeKey, FileHandle>,
}

/// How long the second half of a rename may take after the first; the kernel makes them one after the other.
const PAIR: Duration = Duration::from_millis(1);
/// Buffers that are read at a time.
const READS: usize = 16;

impl Inotify {
    pub fn new() -> Result<Inotify> {
        let kernel = Kernel::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(errno)?;
        Ok(Inotify { kernel, known: Mutex::default() })
    }

    fn waiting(&self, raw: &mut Vec<InotifyEvent>) -> Result<()> {
        for _ in 0..READS {
            match self.kernel.read_events() {
                Ok(events) => raw.extend(events),
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => break,
                Err(e) => return Err(errno(e)),
            }
        }
        Ok(())
    }
}

fn errno(e: nix::Error) -> Errno {
    Errno::from_raw_os_error(e as i32)
}

fn mask_of(directory: bool, interest: Interest) -> AddWatchFlags {
    use AddWatchFlags as F;
    let mut mask = F::IN_DELETE_SELF | F::IN_MOVE_SELF;
    if directory {
        mask |= F::IN_ONLYDIR;
        if interest.contains(Interest::NAMES) {
            mask |= F::IN_CREATE | F::IN_DELETE | F::IN_MOVED_FROM | F::IN_MOVED_TO;
        }
    } else if interest.contains(Interest::OPENS) {
        mask |= F::IN_OPEN;
    }
    if interest.contains(Interest::CONTENT) {
        mask |= F::IN_MODIFY | F::IN_ATTRIB;
    }
    mask
}

/// First halves of renames whose second halves are not there.
fn halves(raw: &[InotifyEvent]) -> bool {
    let is_half = |(at, event): (usize, &InotifyEvent)| {
        event.mask.contains(AddWatchFlags::IN_MOVED_FROM) && second(raw, at).is_none()
    };
    raw.iter().enumerate().any(is_half)
}

fn second(raw: &[InotifyEvent], first: usize) -> Option<usize> {
    let pairs =
        |e: &InotifyEvent| e.mask.contains(AddWatchFlags::IN_MOVED_TO) && e.cookie == raw[first].cookie;
    raw[first..].iter().position(pairs).map(|at| first + at)
}

impl Known {
    fn at(&self, event: &InotifyEvent) -> Option<(NodeKey, Name)> {
        Some((*self.keys.get(&event.wd)?, Name::from(event.name.as_ref()?.as_bytes())))
    }

    /// What it was the watch of, unless that has another by now.
    fn forget(&mut self, wd: WatchDescriptor) -> Option<NodeKey> {
        let key = self.keys.remove(&wd)?;
        if self.watches.get(&key) != Some(&wd) {
            return None;
        }
        self.watches.remove(&key);
        self.handles.remove(&key);
        Some(key)
    }

    fn translate(&mut self, raw: &[InotifyEvent]) -> Vec<Event> {
        use AddWatchFlags as F;
        let mut out = Vec::with_capacity(raw.len());
        let mut paired = vec![false; raw.len()];
        for (n, event) in raw.iter().enumerate() {
            let (mask, directory) = (event.mask, event.mask.contains(F::IN_ISDIR));
            let mut tell = |node, what| {
                // Who opens or writes is not known; of names the ledger knows.
                out.push(Event { origin: Origin::Unknown, directory, node, what });
            };
            if mask.contains(F::IN_Q_OVERFLOW) {
                out.push(Event::lost());
                continue;
            }
            if mask.intersects(F::IN_IGNORED | F::IN_UNMOUNT) {
                let gone = if mask.contains(F::IN_IGNORED) {
                    self.forget(event.wd)
                } else {
                    self.keys.get(&event.wd).copied()
                };
                if gone.is_some() {
                    tell(gone, What::Gone);
                }
                continue;
            }
            match self.at(event) {
                // Of something in a directory.
                Some(at) if mask.contains(F::IN_CREATE) => tell(None, What::Created { at, moved: false }),
                Some(at) if mask.contains(F::IN_DELETE) => tell(None, What::Removed { at, moved: false }),
                Some(from) if mask.contains(F::IN_MOVED_FROM) => {
                    let second = second(raw, n);
                    match second.and_then(|second| self.at(&raw[second])) {
                        Some(to) => {
                            second.into_iter().for_each(|second| paired[second] = true);
                            tell(None, What::Renamed { from, to });
                        }
                        None => tell(None, What::Removed { at: from, moved: true }),
                    }
                }
                Some(at) if mask.contains(F::IN_MOVED_TO) => {
                    if !paired[n] {
                        tell(None, What::Created { at, moved: true });
                    }
                }
                at => {
                    // Of what is watched itself, unless there is a name.
                    let node = self.keys.get(&event.wd).copied().filter(|_| at.is_none());
                    if mask.contains(F::IN_MODIFY) {
                        tell(node, What::Modified { at, facets: Facets::WRITTEN });
                    } else if mask.contains(F::IN_ATTRIB) {
                        tell(node, What::Modified { at, facets: ATTRIBUTES });
                    } else if mask.contains(F::IN_OPEN) && node.is_some() {
                        tell(node, What::Opened);
                    } else if mask.contains(F::IN_MOVE_SELF) && node.is_some() {
                        tell(node, What::Moved);
                    }
                }
            }
        }
        out
    }
}

impl Source for Inotify {
    fn name(&self) -> &'static str {
        "inotify"
    }

    fn add(&self, object: BorrowedFd<'_>, key: NodeKey, directory: bool, interest: Interest) -> Result<()> {
        let path =
            Path::new("/proc/self/fd").join(std::ffi::OsStr::from_bytes(FdName::of(object).as_bytes()));
        let mask = mask_of(directory, interest) | AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
        // An event that comes before the descriptor is known is of a change before this returns.
        let wd = self.kernel.add_watch(&path, mask).map_err(errno)?;
        let handle = handle::of(object).ok();
        let mut known = self.known.lock();
        if let Some(old) = known.keys.insert(wd, key)
            && old != key
        {
            known.watches.remove(&old);
        }
        known.watches.insert(key, wd);
        known.handles.extend(handle.map(|handle| (key, handle)));
        Ok(())
    }

    fn remove(&self, _object: Option<BorrowedFd<'_>>, key: NodeKey, _directory: bool) {
        let wd = self.known.lock().watches.get(&key).copied();
        if let Some(wd) = wd {
            // IN_IGNORED follows, and forgets it.
            let _ = self.kernel.rm_watch(wd);
        }
    }

    fn handle(&self, key: NodeKey) -> Option<FileHandle> {
        self.known.lock().handles.get(&key).cloned()
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.kernel.as_fd()
    }

    fn read(&self) -> Result<Option<Vec<Event>>> {
        let mut raw = Vec::new();
        self.waiting(&mut raw)?;
        if raw.is_empty() {
            return Ok(None);
        }
        if halves(&raw) {
            std::thread::sleep(PAIR);
            self.waiting(&mut raw)?;
        }
        Ok(Some(self.known.lock().translate(&raw)))
    }
}
