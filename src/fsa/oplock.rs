//! Oplocks (MS-FSA 2.1.4.12, 2.1.5.18, 2.1.5.19): what the holder of an open may cache.
//!
//! ```text
//!   Exclusive, Batch --a conflicting open--> breaking --acknowledged--> Level II or none
//!                                               '--closed, time-out--> none
//!   Level II --written, locked, overwritten--> none, at once
//! ```
//!
//! An open that meets an exclusive oplock waits until its break is over, and asks again.

use smallvec::SmallVec;

use super::tree::Waiting;
use super::{Effect, Effects, Moment, OpenAsk, RelPath, Tree, WaiterId};
use crate::types::{AccessMask, NodeKey, NtStatus, OpenId, OplockLevel};

/// The oplocks of one stream. Either one of them is exclusive or batch and there is no other, or all are level II.
#[derive(Debug, Default)]
pub(super) struct Oplocks {
    held: SmallVec<[Held; 1]>,
    /// Opens that wait for a break. Only while there is one.
    waiters: Vec<WaiterId>,
}

/// One oplock.
#[derive(Debug)]
struct Held {
    open: OpenId,
    /// In force until the break is acknowledged. Never NONE.
    level: OplockLevel,
    /// The holder was told to go down to this level, and has not answered yet.
    breaking: Option<OplockLevel>,
}

impl Oplocks {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn exclusive(&self) -> Option<&Held> {
        self.held.first().filter(|h| h.level != OplockLevel::LEVEL_II)
    }

    pub fn has_batch(&self) -> bool {
        self.exclusive().is_some_and(|h| h.level == OplockLevel::BATCH)
    }

    /// A conflicting open: what it has to wait for is told to go down to `to`, once. None: nothing to wait for.
    fn break_exclusive(&mut self, to: OplockLevel) -> Option<Effects> {
        self.exclusive()?;
        let held = &mut self.held[0];
        if held.breaking.is_some() {
            return Some(Effects::new());
        }
        held.breaking = Some(to);
        Some(vec![Effect::Break { open: held.open, to, acknowledge: true }])
    }

    /// Everybody's level II ends, that of who does it included.
    pub fn break_shared(&mut self) -> Effects {
        if self.exclusive().is_some() {
            return Effects::new();
        }
        let told = |held: Held| Effect::Break { open: held.open, to: OplockLevel::NONE, acknowledge: false };
        self.held.drain(..).map(told).collect()
    }

    fn release(&mut self, open: OpenId) -> bool {
        let before = self.held.len();
        self.held.retain(|h| h.open != open);
        self.held.len() < before
    }

    /// Who waited, if what they waited for is over.
    fn settled(&mut self) -> Vec<WaiterId> {
        match self.held.iter().any(|h| h.breaking.is_some()) {
            true => Vec::new(),
            false => std::mem::take(&mut self.waiters),
        }
    }

    fn level_of(&self, open: OpenId) -> OplockLevel {
        self.held.iter().find(|h| h.open == open).map_or(OplockLevel::NONE, |h| h.level)
    }
}

/// Opens for these alone disturb nobody (MS-FSA 2.1.4.12).
const HARMLESS: AccessMask =
    AccessMask::READ_ATTRIBUTES.union(AccessMask::WRITE_ATTRIBUTES).union(AccessMask::SYNCHRONIZE);

impl OpenAsk {
    /// What an exclusive oplock of somebody else comes down to. None: it may stay.
    fn breaks_to(&self) -> Option<OplockLevel> {
        match (self.implied.is_empty(), HARMLESS.contains(self.access)) {
            (false, _) => Some(OplockLevel::NONE),
            (true, true) => None,
            (true, false) => Some(OplockLevel::LEVEL_II),
        }
    }
}

impl Tree {
    fn oplocks_of(&mut self, node: NodeKey, stream: Option<&str>) -> Option<&mut Oplocks> {
        let node = self.nodes.get_mut(&node)?;
        let at = node.stream_at(stream)?;
        Some(&mut node.streams[at].oplocks)
    }

    /// [`Tree::open`] would say [`super::Opening::Wait`]. Changes nothing.
    pub fn must_wait(&self, ask: &OpenAsk) -> bool {
        let Some(node) = self.nodes.get(&ask.node) else { return false };
        let Some(stream) = node.stream(ask.stream.as_deref()) else { return false };
        let Some(held) = stream.oplocks.exclusive() else { return false };
        if self.going(ask).is_err() || ask.breaks_to().is_none() {
            return false;
        }
        held.level == OplockLevel::BATCH || self.shares(ask).is_ok()
    }

    /// An exclusive oplock stands in the way: its holder is asked to go down, and the open waits.
    pub(super) fn wait_for_break(&mut self, ask: &OpenAsk) -> Option<Effects> {
        let to = ask.breaks_to()?;
        let oplocks = self.oplocks_of(ask.node, ask.stream.as_deref())?;
        let effects = oplocks.break_exclusive(to)?;
        if let Some(waiter) = ask.waiter {
            oplocks.waiters.push(waiter);
            let stream = ask.stream.as_deref().map(Into::into);
            self.waiters.insert(waiter, Waiting::Open { node: ask.node, stream });
        }
        Some(effects)
    }

    /// An open overwrites what others may have cached.
    pub(super) fn break_for_overwrite(&mut self, ask: &OpenAsk) -> Effects {
        match self.oplocks_of(ask.node, ask.stream.as_deref()) {
            Some(oplocks) if !ask.implied.is_empty() => oplocks.break_shared(),
            _ => Effects::new(),
        }
    }

    /// MS-FSA 2.1.5.18, after the open was granted: the level that it gets, at most the one asked for.
    #[must_use]
    pub fn request_oplock(&mut self, open: OpenId, level: OplockLevel, _now: Moment) -> OplockLevel {
        let Some(entry) = self.opens.get(&open) else { return OplockLevel::NONE };
        if entry.directory {
            return OplockLevel::NONE;
        }
        let Some(stream) = self.stream_of_mut(open) else { return OplockLevel::NONE };
        let exclusive = matches!(level, OplockLevel::EXCLUSIVE | OplockLevel::BATCH);
        let granted = if exclusive && stream.opens == 1 && stream.oplocks.is_empty() {
            level
        } else if (exclusive || level == OplockLevel::LEVEL_II)
            && stream.oplocks.exclusive().is_none()
            && stream.locks.is_empty()
        {
            OplockLevel::LEVEL_II
        } else {
            return OplockLevel::NONE;
        };
        stream.oplocks.held.push(Held { open, level: granted, breaking: None });
        granted
    }

    /// The level that an open has; while it is being broken, the old one.
    pub fn oplock_of(&self, open: OpenId) -> OplockLevel {
        self.stream_of(open).map_or(OplockLevel::NONE, |s| s.oplocks.level_of(open))
    }

    /// Its client may keep the handle while nobody wants the file: a batch oplock that is not being broken.
    pub fn keeps_handle(&self, open: OpenId) -> bool {
        let held = self.stream_of(open).and_then(|s| s.oplocks.held.iter().find(|h| h.open == open));
        held.is_some_and(|h| h.level == OplockLevel::BATCH && h.breaking.is_none())
    }

    /// MS-SMB2 3.3.5.22.1: the holder answers a break with the level that it keeps. The effects are due in every
    /// case: a wrong answer ends the oplock as well.
    pub fn acknowledge_break(
        &mut self,
        open: OpenId,
        level: OplockLevel,
        _now: Moment,
    ) -> (Result<OplockLevel, NtStatus>, Effects) {
        let unasked = (Err(NtStatus::INVALID_OPLOCK_PROTOCOL), Effects::new());
        let Some(stream) = self.stream_of_mut(open) else { return unasked };
        let Some(held) = stream.oplocks.held.iter_mut().find(|h| h.open == open) else { return unasked };
        let Some(to) = held.breaking.take() else { return unasked };
        let result = match level {
            OplockLevel::NONE => Ok(OplockLevel::NONE),
            OplockLevel::LEVEL_II if to == OplockLevel::LEVEL_II => Ok(to),
            OplockLevel::LEASE => Err(NtStatus::INVALID_PARAMETER),
            _ => Err(NtStatus::INVALID_OPLOCK_PROTOCOL),
        };
        match result {
            Ok(OplockLevel::LEVEL_II) => held.level = OplockLevel::LEVEL_II,
            _ => drop(stream.oplocks.release(open)),
        }
        let effects = self.wake_opens(open);
        (result, effects)
    }

    /// Nobody answered the break in time, or there is nobody to tell: the oplock ends.
    #[must_use]
    pub fn break_unanswered(&mut self, open: OpenId, _now: Moment) -> Effects {
        let Some(stream) = self.stream_of_mut(open) else { return Effects::new() };
        if !stream.oplocks.held.iter().any(|h| h.open == open && h.breaking.is_some()) {
            return Effects::new();
        }
        stream.oplocks.release(open);
        self.wake_opens(open)
    }

    /// A byte range was locked through `open`: who caches the stream for reading would not see it.
    #[must_use]
    pub fn break_for_lock(&mut self, open: OpenId) -> Effects {
        self.stream_of_mut(open).map_or_else(Effects::new, |s| s.oplocks.break_shared())
    }

    /// The data at `path` was changed.
    pub(super) fn break_shared(
        &mut self,
        node: Option<NodeKey>,
        path: &RelPath,
        stream: Option<&str>,
    ) -> Effects {
        let node = node.or_else(|| self.paths.get(path).map(|&no| self.links[no].node));
        let oplocks = node.and_then(|node| self.oplocks_of(node, stream));
        oplocks.map_or_else(Effects::new, Oplocks::break_shared)
    }

    fn wake_opens(&mut self, open: OpenId) -> Effects {
        let woken = self.stream_of_mut(open).map(|s| s.oplocks.settled()).unwrap_or_default();
        self.woken(woken)
    }

    pub(super) fn woken(&mut self, waiters: Vec<WaiterId>) -> Effects {
        let mut effects = Effects::with_capacity(waiters.len());
        for waiter in waiters {
            self.waiters.remove(&waiter);
            effects.push(Effect::Open { waiter, status: NtStatus::SUCCESS });
        }
        effects
    }

    pub(super) fn cancel_open(&mut self, node: NodeKey, stream: Option<&str>, waiter: WaiterId) -> Effects {
        if let Some(oplocks) = self.oplocks_of(node, stream) {
            oplocks.waiters.retain(|w| *w != waiter);
        }
        vec![Effect::Open { waiter, status: NtStatus::CANCELLED }]
    }
}

impl super::tree::Stream {
    /// At close: the oplock goes with the open. Who waited for it.
    pub fn release_oplock(&mut self, open: OpenId) -> Vec<WaiterId> {
        if self.oplocks.release(open) { self.oplocks.settled() } else { Vec::new() }
    }
}
