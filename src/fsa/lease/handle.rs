//! Handles that clients keep for nobody are given up before a rename or a deletion is decided (MS-FSA 2.1.4.12:
//! FileRenameInformation, FileLinkInformation and FileDispositionInformation take HANDLE).

use super::{LeaseId, LeaseState};
use crate::fsa::{Effects, Tree, WaiterId};
use crate::types::{NodeKey, OpenId};

/// What is to be renamed or deleted, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub open: OpenId,
    /// What a rename replaces.
    pub target: Option<NodeKey>,
    /// A directory is renamed: with everything beneath it.
    pub beneath: bool,
}

impl Tree {
    /// Somebody else keeps a handle that is in the way.
    pub fn is_in_the_way(&self, way: &Way) -> bool {
        let own = Some(self.who(way.open));
        self.nodes_in(way)
            .into_iter()
            .filter_map(|key| self.nodes.get(&key))
            .any(|node| node.streams.iter().any(|s| s.caching.keeps(LeaseState::HANDLE, own)))
    }

    /// Asks for the handles that are in the way. None: there are none. Else `waiter` is answered with
    /// [`crate::fsa::Effect::Open`] once one of them is decided, and asks again.
    #[must_use]
    pub fn clear_the_way(&mut self, way: &Way, waiter: WaiterId) -> Option<Effects> {
        let own = Some(self.who(way.open));
        let mut effects = Effects::new();
        let mut waits_at = None;
        for key in self.nodes_in(way) {
            let Some(node) = self.nodes.get_mut(&key) else { continue };
            for stream in node.streams.iter_mut().filter(|s| s.caching.keeps(LeaseState::HANDLE, own)) {
                stream.caching.take(LeaseState::HANDLE, own, &mut effects);
                waits_at.get_or_insert_with(|| (key, stream.name.clone()));
            }
        }
        let (key, stream) = waits_at?;
        self.wait_on(key, stream.as_deref(), Some(waiter));
        Some(effects)
    }

    /// Asks for a handle that is only kept, because the server is short of them. None: the lease keeps none, not any more.
    #[must_use]
    pub fn recall(&mut self, id: LeaseId) -> Option<Effects> {
        let (caching, at) = self.held_by(id)?;
        let held = &mut caching.held[at];
        if !held.state.contains(LeaseState::HANDLE) {
            return None;
        }
        Some(held.take(LeaseState::HANDLE).into_iter().collect())
    }

    fn nodes_in(&self, way: &Way) -> Vec<NodeKey> {
        let Some(entry) = self.opens.get(&way.open) else { return Vec::new() };
        let mut nodes = vec![entry.node];
        nodes.extend(way.target);
        if way.beneath {
            nodes.extend(self.links_beneath(&self.links[entry.link].path).map(|no| self.links[no].node));
        }
        nodes
    }
}
