//! What an open stands for is replaced on disk by another object of the same name: a reparse point was set or deleted.

use super::{Effects, Moment, OpenAsk, Tree};
use crate::types::{NodeKey, NtStatus, OpenId};

impl Tree {
    /// SHARING_VIOLATION: others have it open, and would be left with something that is nowhere. DELETE_PENDING.
    pub fn may_be_replaced(&self, open: OpenId) -> Result<(), NtStatus> {
        let entry = self.opens.get(&open).ok_or(NtStatus::FILE_CLOSED)?;
        let node = self.nodes.get(&entry.node).ok_or(NtStatus::FILE_CLOSED)?;
        if self.links[entry.link].is_delete_pending() {
            return Err(NtStatus::DELETE_PENDING);
        }
        if node.opens.len() > 1 { Err(NtStatus::SHARING_VIOLATION) } else { Ok(()) }
    }

    /// It was: the open is one of `node` from now on. Opens that came meanwhile keep what is gone.
    #[must_use]
    pub fn replaced(&mut self, open: OpenId, node: NodeKey, directory: bool, now: Moment) -> Effects {
        let Some(entry) = self.opens.get_mut(&open) else { return Effects::new() };
        let (delete_on_close, born) = (entry.delete_on_close, entry.born_to_delete);
        let ask = OpenAsk {
            directory,
            access: entry.access,
            share: entry.share,
            owner: entry.owner,
            ..OpenAsk::new(open, node, self.links[entry.link].path.clone())
        };
        entry.delete_on_close = false;
        let closed = self.close(open, false, now);
        let mut effects = closed.effects;
        if let Some(deletion) = closed.deletion {
            effects.extend(self.deleted(deletion, false, now));
        }
        effects.extend(self.reconcile(&ask));
        self.register(ask);
        if let Some(entry) = self.opens.get_mut(&open) {
            entry.delete_on_close = delete_on_close;
            entry.born_to_delete = born;
        }
        effects
    }
}
