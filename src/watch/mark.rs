//! Putting things under watch: by the kernel, by polling, or both.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::barrier::Barrier;
use super::source::Source;
use super::table::Hold;
use super::{How, Interest, Mode, NoWatch, Running, Shared, Via, fanotify, inotify, keeper, poll, reader};
use crate::fsa::RelPath;
use crate::posix::Locality;
use crate::sys;
use crate::types::NodeKey;

/// Trouble is over when there has been none for so long.
const CALM: Duration = Duration::from_secs(10);

/// fanotify tells who did it.
pub(super) const SOURCES: &[Via] = &[Via::FANOTIFY, Via::INOTIFY];

impl How {
    /// Whether the kernel is asked.
    fn asks_kernel(self) -> bool {
        matches!(self.mode, Mode::Auto | Mode::Inotify)
    }

    /// Whether changes are looked for, on a file system that can be changed where the kernel does not see it or on
    /// another.
    pub fn polls(self, remote: bool) -> bool {
        match self.mode {
            Mode::Auto => remote,
            Mode::Poll => true,
            Mode::Inotify | Mode::Off => false,
        }
    }
}

impl Shared {
    /// Marks the object and counts who wants it.
    pub(super) fn hold(
        self: &Arc<Shared>,
        object: BorrowedFd<'_>,
        key: NodeKey,
        directory: bool,
        path: Option<&RelPath>,
        hold: Hold,
    ) -> Result<(), NoWatch> {
        let now = Instant::now();
        {
            let mut inner = self.inner.lock();
            // Whoever pins it has it open: it is the same object, and what was marked is.
            if inner.how.mode != Mode::Off
                && inner.table.get(key).is_some_and(|e| e.is_pinned() && e.marked.contains(hold.interest))
            {
                inner.table.hold(key, directory, (Interest::empty(), Via::empty()), path, hold, now);
                return Ok(());
            }
        }
        let _marking = self.marking.lock();
        let via = self.mark(object, key, directory, hold.interest)?;
        self.inner.lock().table.hold(key, directory, (hold.interest, via), path, hold, now);
        Ok(())
    }

    /// With `marking` held.
    pub(super) fn mark(
        self: &Arc<Shared>,
        object: BorrowedFd<'_>,
        key: NodeKey,
        directory: bool,
        interest: Interest,
    ) -> Result<Via, NoWatch> {
        let how = self.inner.lock().how;
        if how.mode == Mode::Off {
            return Err(NoWatch::Off);
        }
        self.keep().map_err(NoWatch::Failed)?;
        let locality = self.export().map_or(Locality::Local, |export| export.locality_of(object));
        let polls = how.polls(locality != Locality::Local);
        let kernel = match how.asks_kernel() {
            true => self.ask_kernel(how, object, key, directory, interest),
            false => Ok(Via::empty()),
        };
        let done = match (polls, kernel) {
            (false, done) => done,
            // A look finds what the kernel does not tell.
            (true, kernel) => sys::creds::as_process(|| {
                self.poll(object, key, directory, interest, locality == Locality::Fuse)
            })
            .unwrap_or(Err(Errno::PERM))
            .and_then(|()| self.start_poller())
            .map(|()| Via::POLL | kernel.unwrap_or_default())
            .map_err(|errno| match errno {
                Errno::MFILE => NoWatch::Exhausted("LimitNOFILE= in the unit, or ulimit -n"),
                errno => NoWatch::Failed(errno),
            }),
        };
        self.note_trouble(done.as_ref().err());
        done
    }

    /// Says it once, and takes it back when all has been well for a while: where watches are short, what is given back by
    /// one is taken by the next.
    fn note_trouble(&self, trouble: Option<&NoWatch>) {
        let mut inner = self.inner.lock();
        match (trouble, &inner.trouble) {
            (None, None) => {}
            (None, Some((_, since))) if since.elapsed() < CALM => {}
            (None, Some(_)) => {
                log::info!("{}: changes made outside SMB are seen again", self.ground.name);
                inner.trouble = None;
            }
            (Some(why), known) => {
                if known.as_ref().is_none_or(|(known, _)| known != why) {
                    log::warn!("{}: changes made outside SMB are missed: {why}", self.ground.name);
                }
                inner.trouble = Some((why.clone(), Instant::now()));
            }
        }
    }

    fn ask_kernel(
        self: &Arc<Shared>,
        how: How,
        object: BorrowedFd<'_>,
        key: NodeKey,
        directory: bool,
        interest: Interest,
    ) -> Result<Via, NoWatch> {
        let mut result = Err(NoWatch::Unsupported(Errno::NOSYS));
        for &via in how.sources {
            if self.inner.lock().cannot.contains(&(key.dev, via)) {
                continue;
            }
            let marked = self.source(via).and_then(|source| {
                let add = || source.add(object, key, directory, interest);
                match add() {
                    // The kernel wants the right to read; who may not may still hold a lease.
                    Err(Errno::ACCESS | Errno::PERM) => {
                        sys::creds::as_process(add).unwrap_or(Err(Errno::PERM))
                    }
                    other => other,
                }
            });
            match marked {
                Ok(()) => return Ok(via),
                Err(errno) => result = Err(reason(via, errno)),
            }
            match result {
                Err(NoWatch::Unsupported(_)) => drop(self.inner.lock().cannot.insert((key.dev, via))),
                // Others have them all: the next source may do.
                Err(NoWatch::Exhausted(GROUPS)) => {}
                _ => break,
            }
        }
        result
    }

    /// A source, made when it is first needed. With `marking` held.
    fn source(self: &Arc<Shared>, via: Via) -> Result<Arc<dyn Source>, Errno> {
        if let Some(source) = self.source_if_running(via) {
            return Ok(source);
        }
        let make = || -> Result<Arc<dyn Source>, Errno> {
            Ok(match via {
                Via::FANOTIFY => Arc::new(fanotify::Fanotify::new()?),
                _ => Arc::new(inotify::Inotify::new()?),
            })
        };
        let source = sys::creds::as_process(make).unwrap_or(Err(Errno::PERM))?;
        if via == Via::INOTIFY {
            self.noting.store(true, Ordering::Release);
        }
        let barrier = Arc::new(Barrier::default());
        let stop = reader::start(self, Arc::clone(&source), Arc::clone(&barrier))?;
        self.inner.lock().running.push(Running { via, source: Arc::clone(&source), barrier, _stop: stop });
        Ok(source)
    }

    pub(super) fn source_if_running(&self, via: Via) -> Option<Arc<dyn Source>> {
        let inner = self.inner.lock();
        let running = inner.running.iter().find(|running| via.contains(running.via))?;
        Some(Arc::clone(&running.source))
    }

    /// With `marking` held.
    fn keep(self: &Arc<Shared>) -> Result<(), Errno> {
        if self.inner.lock().keeper.is_none() {
            let keeper = keeper::start(self)?;
            self.inner.lock().keeper = Some(keeper);
        }
        Ok(())
    }

    /// With `marking` held.
    fn start_poller(self: &Arc<Shared>) -> Result<(), Errno> {
        if self.inner.lock().poller.is_none() {
            self.noting.store(true, Ordering::Release);
            let poller = poll::start(self)?;
            self.inner.lock().poller = Some(poller);
        }
        Ok(())
    }
}

const GROUPS: &str = "fs.fanotify.max_user_groups";

fn reason(via: Via, errno: Errno) -> NoWatch {
    let (watches, groups) = match via {
        Via::FANOTIFY => ("fs.fanotify.max_user_marks", GROUPS),
        _ => ("fs.inotify.max_user_watches", "fs.inotify.max_user_instances"),
    };
    match errno {
        Errno::NOSPC => NoWatch::Exhausted(watches),
        Errno::MFILE => NoWatch::Exhausted(groups),
        Errno::OPNOTSUPP
        | Errno::NODEV
        | Errno::XDEV
        | Errno::INVAL
        | Errno::NOSYS
        | Errno::OVERFLOW
        | Errno::PERM => NoWatch::Unsupported(errno),
        errno => NoWatch::Failed(errno),
    }
}
