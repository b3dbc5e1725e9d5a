//! What every operation of the view passes before it touches the disk: the rules of what clients have open and cache.
//!
//! Nothing here holds a lock across a system call. A first try never waits; where it would have to, the operation is done
//! once more, on a thread that may ([`Patience::Full`]).

use rustix::fs::Statx;
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::attr;
use super::caller::Caller;
use crate::cmd::{Gate, effects};
use crate::fsa::change::{self, Change};
use crate::fsa::{Effects, MirrorId, OpenAsk, Opening, RelPath, WaiterId, Way};
use crate::posix;
use crate::session::Area;
use crate::types::{AccessMask, FileTime, NodeKey, OpenId, ShareAccess};

/// How long a change waits for a client to give up what it takes no more than the belief in (a listing, attributes). For
/// data and handles it waits as long as the client has for its answer.
const ANNOUNCED: Duration = Duration::from_secs(1);
/// How often who waits looks whether its process still wants the answer.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    None,
    Full,
}

/// Why an operation came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    Errno(Errno),
    /// It has to wait: once more, with patience. Nothing has happened yet.
    Wait,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Errno(errno)
    }
}

pub struct Door {
    pub gate: Arc<Gate>,
    pub area: Arc<Area>,
    pub mirror: MirrorId,
}

/// An object as the rules are asked about it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub node: NodeKey,
    pub path: RelPath,
    pub directory: bool,
    pub links: u32,
    pub written: FileTime,
}

impl Subject {
    pub fn new(stx: &Statx, path: RelPath) -> Subject {
        Subject {
            node: posix::key(stx),
            path,
            directory: attr::kind(stx) == fuser::FileType::Directory,
            links: stx.stx_nlink,
            written: FileTime::from_unix(stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec),
        }
    }
}

/// One wait of this thread.
struct Wait<'a> {
    door: &'a Door,
    id: WaiterId,
    over: Receiver<()>,
}

impl<'a> Wait<'a> {
    fn new(door: &'a Door) -> Wait<'a> {
        let (id, over) = door.gate.wait_here();
        Wait { door, id: WaiterId(id), over }
    }

    /// Until it is over, at most until then. False: it was not over.
    fn until(self, deadline: Option<Instant>, caller: &Caller) -> Result<bool, Errno> {
        loop {
            let now = Instant::now();
            let left = deadline.map_or(LOOK, |at| at.saturating_duration_since(now).min(LOOK));
            match self.over.recv_timeout(left) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(true),
                Err(RecvTimeoutError::Timeout) if caller.is_interrupted() => return Err(Errno::INTR),
                Err(RecvTimeoutError::Timeout) if deadline.is_some_and(|at| Instant::now() >= at) => {
                    return Ok(false);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let area = &self.door.area;
        let effects = area.rules.lock().cancel(self.id, area.now());
        self.door.carry_out(effects);
        self.door.gate.stop_waiting(self.id.0);
    }
}

impl Door {
    fn carry_out(&self, effects: Effects) {
        effects::carry_out(&self.gate, effects);
    }

    /// Registers an open of a local program, once whoever caches what it needs has given that up.
    pub fn open(
        self: &Arc<Self>,
        subject: &Subject,
        access: AccessMask,
        patience: Patience,
        caller: &Caller,
    ) -> Result<Registered, Stop> {
        let id = OpenId(self.gate.opens.new_id().volatile);
        let ask = OpenAsk {
            directory: subject.directory,
            links: subject.links,
            access,
            share: ShareAccess::READ | ShareAccess::WRITE | ShareAccess::DELETE,
            written: subject.written,
            local: true,
            ..OpenAsk::new(id, subject.node, subject.path.clone())
        };
        loop {
            let mut rules = self.area.rules.lock();
            let mut wait = None;
            if rules.must_wait(&ask) {
                if patience == Patience::None {
                    return Err(Stop::Wait);
                }
                drop(rules);
                wait = Some(Wait::new(self));
                rules = self.area.rules.lock();
            }
            let waiter = wait.as_ref().map(|wait| wait.id);
            let opening = rules.open(OpenAsk { waiter, ..ask.clone() }, self.area.now());
            drop(rules);
            match (opening, wait) {
                (Opening::Granted(effects), _) => {
                    self.carry_out(effects);
                    return Ok(Registered { door: Arc::clone(self), id });
                }
                (Opening::Refused(status), _) => return Err(attr::errno_of(status).into()),
                (Opening::Wait(effects), Some(wait)) => {
                    self.carry_out(effects);
                    wait.until(None, caller)?;
                }
                // It became necessary between the question and now.
                (Opening::Wait(effects), None) => self.carry_out(effects),
            }
        }
    }

    /// Handles that clients only keep, of what is to be renamed or deleted, are given up.
    pub fn clear_the_way(&self, way: &Way, patience: Patience, caller: &Caller) -> Result<(), Stop> {
        while self.area.rules.lock().is_in_the_way(way) {
            if patience == Patience::None {
                return Err(Stop::Wait);
            }
            let wait = Wait::new(self);
            let asked = self.area.rules.lock().clear_the_way(way, wait.id);
            let Some(effects) = asked else { return Ok(()) };
            self.carry_out(effects);
            wait.until(None, caller)?;
        }
        Ok(())
    }

    /// What is going to happen is told to who caches what it changes, before.
    pub fn announce(&self, change: &Change, patience: Patience, caller: &Caller) -> Result<(), Stop> {
        let deadline = Instant::now() + ANNOUNCED;
        loop {
            let wait = (patience == Patience::Full).then(|| Wait::new(self));
            let waiter = wait.as_ref().map(|wait| wait.id);
            let (effects, waits) = change::announce(&mut self.area.rules.lock(), change, waiter);
            self.carry_out(effects);
            match wait {
                _ if !waits => return Ok(()),
                None => return Err(Stop::Wait),
                Some(wait) => {
                    if !wait.until(Some(deadline), caller)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// It has happened.
    pub fn tell(&self, change: &Change) {
        let now = self.area.now();
        let effects = change::apply_unreflected(&mut self.area.rules.lock(), self.mirror, change, now);
        self.carry_out(effects);
    }

    /// May something be made at this path?
    pub fn may_create(&self, path: &RelPath) -> Result<(), Errno> {
        self.area.rules.lock().may_create(path).map_err(|_| Errno::BUSY)
    }
}

/// An open in the rules, until it is dropped.
pub struct Registered {
    door: Arc<Door>,
    id: OpenId,
}

impl Registered {
    pub fn id(&self) -> OpenId {
        self.id
    }

    /// Where it stands, as the rules have it.
    pub fn path(&self) -> Option<RelPath> {
        let rules = self.door.area.rules.lock();
        rules.path_of(self.id).filter(|_| !rules.is_gone(self.id))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let area = &self.door.area;
        let closed = area.rules.lock().close(self.id, false, area.now());
        self.door.carry_out(closed.effects);
        debug_assert!(closed.deletion.is_none(), "local opens delete nothing");
    }
}
