//! CHANGE_NOTIFY (MS-FSA 2.1.4.1, 2.1.5.11; MS-SMB2 3.3.1.3).
//!
//! The first request on an open makes its watch: filter, depth and buffer size are those of that request for good.
//! From then on events are kept for the next request; if they outgrow the buffer they are dropped and the next
//! answer is NOTIFY_ENUM_DIR.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::tree::{LinkNo, Waiting};
use super::{Effect, Effects, Moment, Notified, NotifyAction, NotifyEvent, Tree, WaiterId, path};
use crate::types::{AccessMask, NtStatus, OpenId};
pub use crate::wire::change_notify::CompletionFilter as Filter;
use crate::wire::fscc::notify::entry_size;

/// A CHANGE_NOTIFY request.
#[derive(Clone, Copy, Debug)]
pub struct NotifyAsk {
    pub open: OpenId,
    pub waiter: WaiterId,
    /// Heeded in the first request of an open only.
    pub filter: Filter,
    /// SMB2_WATCH_TREE. Heeded in the first request of an open only.
    pub recursive: bool,
    /// OutputBufferLength, bytes. That of the first request bounds what is kept between requests.
    pub buffer: usize,
}

/// The answer to a CHANGE_NOTIFY.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notifying {
    /// At once: events were waiting.
    Answered(Notified),
    /// [`Effect::Notify`] will answer it.
    Waiting,
    Refused(NtStatus),
}

/// More than this is not kept between requests, however large the buffer.
const KEPT: usize = 64 * 1024;

/// The watch of one open directory.
#[derive(Debug)]
pub(super) struct Watch {
    filter: Filter,
    pub recursive: bool,
    /// Bytes that `events` may take on the wire.
    limit: usize,
    events: Vec<NotifyEvent>,
    /// Bytes that `events` take on the wire.
    size: usize,
    /// More happened than fits; `events` is empty.
    lost: bool,
    /// Answered first come, first served. Empty while events are kept.
    waiters: VecDeque<(WaiterId, usize)>,
}

/// Opens whose watch got something, to be flushed once the whole change is in.
pub(super) type Touched = SmallVec<[OpenId; 4]>;

impl Watch {
    fn push(&mut self, event: NotifyEvent) {
        if self.lost {
            return;
        }
        if event.action == NotifyAction::MODIFIED && self.events.last() == Some(&event) {
            return;
        }
        let size = self.size.next_multiple_of(4) + entry_size(&event.name);
        if size > self.limit {
            self.lose();
        } else {
            self.size = size;
            self.events.push(event);
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.events = Vec::new();
        self.size = 0;
    }

    /// What a request with this buffer gets now, if there is anything.
    fn take(&mut self, buffer: usize) -> Option<Notified> {
        if self.events.is_empty() && !self.lost {
            return None;
        }
        let fits = !self.lost && self.size <= buffer;
        self.lost = false;
        self.size = 0;
        let events = std::mem::take(&mut self.events);
        Some(if fits { Notified::Events(events) } else { Notified::Status(NtStatus::NOTIFY_ENUM_DIR) })
    }
}

impl Tree {
    /// Refused: FILE_CLOSED, INVALID_PARAMETER (not a directory), ACCESS_DENIED (no LIST_DIRECTORY access),
    /// DELETE_PENDING.
    #[must_use]
    pub fn notify(&mut self, ask: &NotifyAsk, _now: Moment) -> Notifying {
        let Some(entry) = self.opens.get_mut(&ask.open) else {
            return Notifying::Refused(NtStatus::FILE_CLOSED);
        };
        if !entry.directory {
            return Notifying::Refused(NtStatus::INVALID_PARAMETER);
        }
        if !entry.access.contains(AccessMask::LIST_DIRECTORY) {
            return Notifying::Refused(NtStatus::ACCESS_DENIED);
        }
        let link = &mut self.links[entry.link];
        if link.gone || link.is_delete_pending() {
            return Notifying::Refused(NtStatus::DELETE_PENDING);
        }
        let watch = match &mut entry.watch {
            Some(watch) => watch,
            none => {
                link.watchers.push(ask.open);
                self.watches += 1;
                self.deep_watches += usize::from(ask.recursive);
                none.insert(Box::new(Watch {
                    filter: ask.filter,
                    recursive: ask.recursive,
                    limit: ask.buffer.min(KEPT),
                    events: Vec::new(),
                    size: 0,
                    lost: false,
                    waiters: VecDeque::new(),
                }))
            }
        };
        if let Some(answer) = watch.take(ask.buffer) {
            return Notifying::Answered(answer);
        }
        watch.waiters.push_back((ask.waiter, ask.buffer));
        self.waiters.insert(ask.waiter, Waiting::Notify(ask.open));
        Notifying::Waiting
    }

    pub(super) fn cancel_notify(&mut self, open: OpenId, waiter: WaiterId) -> Effects {
        if let Some(watch) = self.opens.get_mut(&open).and_then(|e| e.watch.as_mut()) {
            watch.waiters.retain(|(w, _)| *w != waiter);
        }
        vec![Effect::Notify { waiter, answer: Notified::Status(NtStatus::CANCELLED) }]
    }

    /// Cleanup at close: its waiting requests end with NOTIFY_CLEANUP.
    pub(super) fn unwatch(&mut self, open: OpenId) -> Effects {
        self.end_watch(open, NtStatus::NOTIFY_CLEANUP)
    }

    /// The watched directory goes: all watches on it end with DELETE_PENDING.
    pub(super) fn end_watches(&mut self, link: LinkNo) -> Effects {
        let watchers = self.links[link].watchers.clone();
        watchers.into_iter().flat_map(|open| self.end_watch(open, NtStatus::DELETE_PENDING)).collect()
    }

    fn end_watch(&mut self, open: OpenId, status: NtStatus) -> Effects {
        let Some(entry) = self.opens.get_mut(&open) else { return Effects::new() };
        let Some(watch) = entry.watch.take() else { return Effects::new() };
        self.links[entry.link].watchers.retain(|o| *o != open);
        self.watches -= 1;
        self.deep_watches -= usize::from(watch.recursive);
        let mut effects = Effects::with_capacity(watch.waiters.len());
        for (waiter, _) in watch.waiters {
            self.waiters.remove(&waiter);
            effects.push(Effect::Notify { waiter, answer: Notified::Status(status) });
        }
        effects
    }

    /// MS-FSA 2.1.4.1: `action` befell the object at `path`. Watches of its directory hear of it, and those of any
    /// directory above that watch the whole subtree; a directory's own watch does not hear of the directory itself.
    /// `suffix` is appended to the name (`:stream`).
    pub(super) fn report(
        &mut self,
        path: &[u8],
        suffix: &str,
        filter: Filter,
        action: NotifyAction,
        touched: &mut Touched,
    ) {
        self.report_unless(path, suffix, filter, Filter::empty(), action, touched);
    }

    /// Not to those who watch any of `unless` as well.
    pub(super) fn report_unless(
        &mut self,
        path: &[u8],
        suffix: &str,
        filter: Filter,
        unless: Filter,
        action: NotifyAction,
        touched: &mut Touched,
    ) {
        if self.watches == 0 {
            return;
        }
        let mut dir = path::parent(path);
        let mut direct = true;
        while let Some(here) = dir {
            if let Some(&no) = self.paths.get(here) {
                for &open in &self.links[no].watchers {
                    let Some(watch) = self.opens.get_mut(&open).and_then(|e| e.watch.as_mut()) else {
                        continue;
                    };
                    let interested = watch.filter.intersects(filter) && !watch.filter.intersects(unless);
                    if !(direct || watch.recursive) || !interested {
                        continue;
                    }
                    let relative = path::beneath(path, here).unwrap_or_default();
                    let mut name = String::with_capacity(relative.len() + suffix.len());
                    for (at, component) in relative.split(|&b| b == b'/').enumerate() {
                        if at > 0 {
                            name.push('\\');
                        }
                        name.push_str(&(self.name_on_wire)(component));
                    }
                    name.push_str(suffix);
                    watch.push(NotifyEvent { action, name });
                    if !touched.contains(&open) {
                        touched.push(open);
                    }
                }
            }
            if self.deep_watches == 0 {
                break;
            }
            direct = false;
            dir = path::parent(here);
        }
    }

    /// Nobody knows what happened in the directory at `path` and beneath it: whoever watches any of that must look
    /// for himself.
    pub(super) fn report_lost(&mut self, path: &[u8], touched: &mut Touched) {
        if self.watches == 0 {
            return;
        }
        let mut losers: Touched = Touched::new();
        for no in self.links_from(&super::RelPath::bound(path.to_vec())) {
            losers.extend_from_slice(&self.links[no].watchers);
        }
        let mut dir = path::parent(path);
        while let Some(here) = dir {
            if let Some(&no) = self.paths.get(here) {
                let deep = |open: &OpenId| {
                    self.opens.get(open).and_then(|e| e.watch.as_ref()).is_some_and(|w| w.recursive)
                };
                losers.extend(self.links[no].watchers.iter().copied().filter(deep));
            }
            dir = path::parent(here);
        }
        for open in losers {
            if let Some(watch) = self.opens.get_mut(&open).and_then(|e| e.watch.as_mut()) {
                watch.lose();
                touched.push(open);
            }
        }
    }

    /// Answers the requests that wait on these watches. After a whole change, so that the two names of a rename
    /// arrive together.
    pub(super) fn flush(&mut self, touched: Touched) -> Effects {
        let mut effects = Effects::new();
        for open in touched {
            let Some(watch) = self.opens.get_mut(&open).and_then(|e| e.watch.as_mut()) else { continue };
            while let Some(&(waiter, buffer)) = watch.waiters.front() {
                let Some(answer) = watch.take(buffer) else { break };
                watch.waiters.pop_front();
                self.waiters.remove(&waiter);
                effects.push(Effect::Notify { waiter, answer });
            }
        }
        effects
    }
}
