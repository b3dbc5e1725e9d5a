//! What opens, writes and locks take from those who cache (MS-FSA 2.1.4.12).

use super::{ALL, LeaseId, LeaseState, Who};
use crate::fsa::change::Author;
use crate::fsa::{Effects, OpenAsk, RelPath, Tree};
use crate::types::{AccessMask, NodeKey, OpenId};

/// Opens for these alone disturb nobody.
const HARMLESS: AccessMask =
    AccessMask::READ_ATTRIBUTES.union(AccessMask::WRITE_ATTRIBUTES).union(AccessMask::SYNCHRONIZE);
/// As Windows has it: leases are not disturbed by these either.
const HARMLESS_TO_LEASES: AccessMask = HARMLESS.union(AccessMask::READ_CONTROL);

/// What an open takes.
#[derive(Clone, Copy)]
struct Claim {
    from_oplocks: LeaseState,
    from_leases: LeaseState,
    /// The part of it that has to be given up before.
    waits_for: LeaseState,
}

impl OpenAsk {
    fn lease_id(&self) -> Option<LeaseId> {
        self.lease.as_ref().map(|lease| lease.id)
    }

    /// It takes what is cached altogether: at once, or by writes that nobody will tell of.
    fn overwrites(&self) -> bool {
        !self.implied.is_empty() || self.writes_unseen()
    }

    /// `shares`: the share modes go together.
    fn claim(&self, shares: bool) -> Claim {
        let taken = match (shares, self.overwrites()) {
            (false, _) => LeaseState::HANDLE,
            (true, true) => ALL,
            (true, false) => LeaseState::WRITE,
        };
        let unless = |harmless: AccessMask| match !self.overwrites() && harmless.contains(self.access) {
            true => LeaseState::empty(),
            false => taken,
        };
        Claim {
            from_oplocks: if self.overwrites() { ALL } else { unless(HARMLESS) },
            from_leases: unless(HARMLESS_TO_LEASES),
            waits_for: if shares { LeaseState::WRITE } else { LeaseState::HANDLE },
        }
    }

    /// To delete a file is to delete its streams, so all of them can refuse it; else the one that is opened can.
    fn concerns(&self, stream: Option<&str>, shares: bool) -> bool {
        let deletes =
            !shares && self.stream.is_none() && (self.access | self.implied).contains(AccessMask::DELETE);
        deletes || stream == self.stream.as_deref()
    }
}

impl Tree {
    /// [`Tree::open`] would say [`crate::fsa::Opening::Wait`]. Changes nothing.
    pub fn must_wait(&self, ask: &OpenAsk) -> bool {
        self.nodes.contains_key(&ask.node)
            && self.going(ask).is_ok()
            && self.blocked(ask, self.shares(ask).is_ok())
    }

    /// Does somebody have to give something up before the open is decided?
    pub(in crate::fsa) fn blocked(&self, ask: &OpenAsk, shares: bool) -> bool {
        let Some(node) = self.nodes.get(&ask.node) else { return false };
        let claim = ask.claim(shares);
        node.streams
            .iter()
            .filter(|s| !s.caching.held.is_empty() && ask.concerns(s.name.as_deref(), shares))
            .any(|s| {
                s.caching.held.iter().any(|h| {
                    let (own, taken) = match h.who {
                        Who::Oplock(_) => (false, claim.from_oplocks),
                        Who::Lease(id) => (ask.lease_id() == Some(id), claim.from_leases),
                    };
                    !own && !taken.is_empty() && h.state.intersects(claim.waits_for)
                })
            })
    }

    /// The open waits: who has what it needs is told.
    pub(in crate::fsa) fn wait_for_break(&mut self, ask: &OpenAsk, shares: bool) -> Effects {
        let claim = ask.claim(shares);
        let mut effects = Effects::new();
        let Some(node) = self.nodes.get_mut(&ask.node) else { return effects };
        let mut waits_at = None;
        for stream in node.streams.iter_mut().filter(|s| ask.concerns(s.name.as_deref(), shares)) {
            for held in &mut stream.caching.held {
                let (own, taken) = match held.who {
                    Who::Oplock(_) => (false, claim.from_oplocks),
                    Who::Lease(id) => (ask.lease_id() == Some(id), claim.from_leases),
                };
                if own || taken.is_empty() || !held.state.intersects(claim.waits_for) {
                    continue;
                }
                effects.extend(held.take(taken));
                waits_at.get_or_insert_with(|| stream.name.clone());
            }
        }
        if let Some(stream) = waits_at {
            self.wait_on(ask.node, stream.as_deref(), ask.waiter);
        }
        effects
    }

    /// An open overwrites what others may have cached, or is going to delete what they keep a handle of.
    pub(in crate::fsa) fn break_for_open(&mut self, ask: &OpenAsk) -> Effects {
        let mut effects = Effects::new();
        let taken = match (ask.overwrites(), ask.delete_on_close) {
            (true, _) => ALL,
            (false, true) => LeaseState::HANDLE,
            (false, false) => return effects,
        };
        let own = ask.lease_id().map(Who::Lease);
        if let Some(caching) = self.caching_of(ask.node, ask.stream.as_deref()) {
            caching.take(taken, own, &mut effects);
        }
        effects
    }

    /// A byte range was locked through `open`: who caches the stream for reading would not see it.
    #[must_use]
    pub fn break_for_lock(&mut self, open: OpenId) -> Effects {
        let lease = self.lease_id_of(open);
        self.stream_of_mut(open).map_or_else(Effects::new, |s| s.caching.take_read(lease, Some(open)))
    }

    /// What its client caches by this open was changed when nobody heard of it.
    #[must_use]
    pub fn outdate(&mut self, open: OpenId) -> Effects {
        let who = self.lease_id_of(open).map_or(Who::Oplock(open), Who::Lease);
        self.stream_of_mut(open).map_or_else(Effects::new, |stream| {
            let effects = stream.caching.find(who).and_then(|held| held.take(ALL)).into_iter().collect();
            stream.caching.drop_ended();
            effects
        })
    }

    /// The data at `path` was changed.
    pub(in crate::fsa) fn break_read(
        &mut self,
        node: Option<NodeKey>,
        path: &RelPath,
        stream: Option<&str>,
        author: Author,
    ) -> Effects {
        let open = match author {
            Author::Open(open) => Some(open),
            Author::Outside => None,
        };
        let lease = open.and_then(|open| self.lease_id_of(open));
        let node = node.or_else(|| self.paths.get(path).map(|&no| self.links[no].node));
        let caching = node.and_then(|node| self.caching_of(node, stream));
        caching.map_or_else(Effects::new, |caching| caching.take_read(lease, open))
    }

    /// Somebody outside opened the file, to write or only to read: who caches writes gives them up.
    pub(in crate::fsa) fn break_for_outside_open(
        &mut self,
        node: Option<NodeKey>,
        path: &RelPath,
    ) -> Effects {
        let node = node.or_else(|| self.paths.get(path).map(|&no| self.links[no].node));
        let mut effects = Effects::new();
        if let Some(caching) = node.and_then(|node| self.caching_of(node, None)) {
            caching.take(LeaseState::WRITE, None, &mut effects);
        }
        effects
    }

    /// Nothing that was cached of this file, nor of its streams, holds any longer.
    pub(in crate::fsa) fn break_node(&mut self, node: Option<NodeKey>, path: &RelPath) -> Effects {
        let node = node.or_else(|| self.paths.get(path).map(|&no| self.links[no].node));
        let mut effects = Effects::new();
        if let Some(node) = node.and_then(|node| self.nodes.get_mut(&node)) {
            for stream in &mut node.streams {
                stream.caching.take(ALL, None, &mut effects);
            }
        }
        effects
    }

    /// Nothing that was cached of this path and what is beneath it holds any longer.
    pub(in crate::fsa) fn break_all_from(&mut self, path: &RelPath) -> Effects {
        let mut effects = Effects::new();
        for no in self.links_from(path) {
            let key = self.links[no].node;
            let Some(node) = self.nodes.get_mut(&key) else { continue };
            for stream in &mut node.streams {
                stream.renamed = stream.renamed.wrapping_add(1);
                stream.caching.take(ALL, None, &mut effects);
            }
        }
        effects
    }
}

impl super::Caching {
    /// The stream was written or locked through an open (or from outside): what others have read of it is old. A level II
    /// oplock ends even if it is the writer's own.
    fn take_read(&mut self, lease: Option<LeaseId>, open: Option<OpenId>) -> Effects {
        let mut effects = Effects::new();
        for held in &mut self.held {
            let own = match held.who {
                Who::Lease(id) => lease == Some(id),
                Who::Oplock(by) => open == Some(by) && held.state.contains(LeaseState::WRITE),
            };
            if !own {
                effects.extend(held.take(ALL));
            }
        }
        self.drop_ended();
        effects
    }
}
