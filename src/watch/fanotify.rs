//! Events by fanotify. Each tells the process that caused it, and those of different processes are not merged: what is
//! our own is known exactly.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Result;

use super::Interest;
use super::source::{ATTRIBUTES, Event, Name, Origin, Source, What};
use crate::fsa::change::Facets;
use crate::sys::fanotify::{self, Fid, Mask};
use crate::sys::handle::{self, FileHandle};
use crate::types::NodeKey;

pub(super) struct Fanotify {
    group: OwnedFd,
    own: i32,
    known: Mutex<Known>,
    buf: Mutex<Box<[u8]>>,
}

/// What is watched, by the name it has in events and the other way round.
#[derive(Default)]
struct Known {
    keys: HashMap<Arc<Fid>, NodeKey>,
    fids: HashMap<NodeKey, Arc<Fid>>,
    /// File system ids by device.
    devices: HashMap<u64, u64>,
}

/// Room for some hundred events.
const BUFFER: usize = 64 << 10;

impl Fanotify {
    pub fn new() -> Result<Fanotify> {
        Ok(Fanotify {
            group: fanotify::group()?,
            own: std::process::id() as i32,
            known: Mutex::default(),
            buf: Mutex::new(vec![0; BUFFER].into()),
        })
    }

    fn translate(&self, known: &Known, event: fanotify::Event, out: &mut Vec<Event>) {
        let mask = event.mask;
        let origin = if event.pid == self.own { Origin::Own } else { Origin::Outside };
        if mask.contains(Mask::Q_OVERFLOW) {
            out.push(Event::lost());
            return;
        }
        let at = |place: Option<(Fid, Name)>| -> Option<(NodeKey, Name)> {
            let (fid, name) = place?;
            Some((*known.keys.get(&fid)?, name))
        };
        let node = event.object.as_ref().and_then(|fid| known.keys.get(fid)).copied();
        let directory = mask.contains(Mask::ONDIR);
        let mut tell = |what| out.push(Event { origin, directory, node, what });
        if mask.contains(Mask::RENAME) {
            match (at(event.name), at(event.to)) {
                (Some(from), Some(to)) => tell(What::Renamed { from, to }),
                (Some(at), None) => tell(What::Removed { at, moved: true }),
                (None, Some(at)) => tell(What::Created { at, moved: true }),
                (None, None) => {}
            }
            return;
        }
        // One event may carry several bits: what one process did in a row to one name.
        let place = at(event.name);
        if mask.contains(Mask::CREATE)
            && let Some(at) = place.clone()
        {
            tell(What::Created { at, moved: false });
        }
        if mask.contains(Mask::OPEN) && node.is_some() {
            tell(What::Opened);
        }
        if mask.intersects(Mask::MODIFY | Mask::ATTRIB) {
            let mut facets = Facets::empty();
            if mask.contains(Mask::MODIFY) {
                facets |= Facets::WRITTEN;
            }
            if mask.contains(Mask::ATTRIB) {
                facets |= ATTRIBUTES;
            }
            match (&place, node, &event.object) {
                // A directory's own event names no directory above it.
                (None, None, Some(fid)) if directory => tell(What::Stranger(fid.handle.clone())),
                (None, None, _) => {}
                _ => tell(What::Modified { at: place.clone(), facets }),
            }
        }
        if mask.contains(Mask::DELETE)
            && let Some(at) = place
        {
            tell(What::Removed { at, moved: false });
        }
        if mask.contains(Mask::MOVE_SELF) && node.is_some() {
            tell(What::Moved);
        }
        if mask.contains(Mask::DELETE_SELF) && node.is_some() {
            tell(What::Gone);
        }
    }
}

fn mask_of(directory: bool, interest: Interest) -> Mask {
    let mut mask = Mask::DELETE_SELF | Mask::MOVE_SELF;
    if directory {
        mask |= Mask::ONDIR;
        if interest.contains(Interest::NAMES) {
            mask |= Mask::CREATE | Mask::DELETE | Mask::RENAME;
        }
        if interest.contains(Interest::CONTENT) {
            mask |= Mask::MODIFY | Mask::ATTRIB | Mask::EVENT_ON_CHILD;
        }
    } else {
        if interest.contains(Interest::CONTENT) {
            mask |= Mask::MODIFY | Mask::ATTRIB;
        }
        if interest.contains(Interest::OPENS) {
            mask |= Mask::OPEN;
        }
    }
    mask
}

impl Source for Fanotify {
    fn name(&self) -> &'static str {
        "fanotify"
    }

    fn add(&self, object: BorrowedFd<'_>, key: NodeKey, directory: bool, interest: Interest) -> Result<()> {
        let seen = self.known.lock().devices.get(&key.dev).copied();
        let fsid = match seen {
            Some(fsid) => fsid,
            None => {
                let fsid = rustix::fs::fstatvfs(object)?.f_fsid;
                self.known.lock().devices.insert(key.dev, fsid);
                fsid
            }
        };
        let fid = Arc::new(Fid { fsid, handle: handle::name_of(object)? });
        {
            // Before the first event can come.
            let mut known = self.known.lock();
            if let Some(old) = known.fids.insert(key, Arc::clone(&fid))
                && old != fid
            {
                known.keys.remove(&old);
            }
            known.keys.insert(fid, key);
        }
        fanotify::add(&self.group, object, mask_of(directory, interest))
    }

    fn remove(&self, object: Option<BorrowedFd<'_>>, key: NodeKey, directory: bool) {
        if let Some(object) = object {
            // What is not marked any more needs no removal.
            let _ = fanotify::remove(&self.group, object, mask_of(directory, Interest::all()));
        }
        let mut known = self.known.lock();
        if let Some(fid) = known.fids.remove(&key) {
            known.keys.remove(&fid);
        }
    }

    fn handle(&self, key: NodeKey) -> Option<FileHandle> {
        self.known.lock().fids.get(&key).map(|fid| fid.handle.clone())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    fn read(&self) -> Result<Option<Vec<Event>>> {
        let events = fanotify::read(&self.group, &mut self.buf.lock())?;
        if events.is_empty() {
            return Ok(None);
        }
        let known = self.known.lock();
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            self.translate(&known, event, &mut out);
        }
        Ok(Some(out))
    }
}
