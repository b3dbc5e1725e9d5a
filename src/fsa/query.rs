//! Questions to the tree.

use super::{Owner, RelPath, Tree};
use crate::types::{AccessMask, NodeKey, OpenId, ShareAccess};

/// One open, for `smbgate status` and for the curious.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenView {
    pub open: OpenId,
    pub node: NodeKey,
    pub directory: bool,
    pub path: RelPath,
    pub stream: Option<String>,
    pub access: AccessMask,
    pub share: ShareAccess,
    pub owner: Owner,
    pub delete_on_close: bool,
    /// FileStandardInformation.DeletePending
    pub delete_pending: bool,
    /// Byte-range locks held.
    pub locks: usize,
    pub watches: bool,
}

impl Tree {
    /// Where it is now, renames followed; where it was last, if it is gone.
    pub fn path_of(&self, open: OpenId) -> Option<RelPath> {
        self.opens.get(&open).map(|e| self.links[e.link].path.clone())
    }

    /// What a node is called through which something is open; of several names, one.
    pub fn path_of_node(&self, node: NodeKey) -> Option<RelPath> {
        let links = &self.nodes.get(&node)?.links;
        links.iter().map(|&no| &self.links[no]).find(|link| !link.gone).map(|link| link.path.clone())
    }

    /// All names under which it is open.
    pub fn paths_of_node(&self, node: NodeKey) -> Vec<RelPath> {
        let links = self.nodes.get(&node).map(|node| &node.links).into_iter().flatten();
        links.map(|&no| &self.links[no]).filter(|link| !link.gone).map(|link| link.path.clone()).collect()
    }

    /// What is open under that name.
    pub fn node_at(&self, path: &RelPath) -> Option<NodeKey> {
        self.paths.get(path).map(|&no| self.links[no].node)
    }

    /// All that is open of what this is open of, through whatever name and stream; itself not.
    pub fn others_of(&self, open: OpenId) -> Vec<OpenId> {
        let node = self.opens.get(&open).and_then(|entry| self.nodes.get(&entry.node));
        node.map(|node| node.opens.iter().copied().filter(|other| *other != open).collect())
            .unwrap_or_default()
    }

    /// It has a watch (CHANGE_NOTIFY).
    pub fn watches(&self, open: OpenId) -> bool {
        self.opens.get(&open).is_some_and(|e| e.watch.is_some())
    }

    pub fn node_of(&self, open: OpenId) -> Option<NodeKey> {
        self.opens.get(&open).map(|e| e.node)
    }

    /// The name it was opened by has left the namespace.
    pub fn is_gone(&self, open: OpenId) -> bool {
        self.opens.get(&open).is_some_and(|e| self.links[e.link].gone)
    }

    /// FileStandardInformation.DeletePending: it is marked, or its name is gone already.
    pub fn is_delete_pending(&self, open: OpenId) -> bool {
        let Some(entry) = self.opens.get(&open) else { return false };
        let link = &self.links[entry.link];
        link.gone || link.is_delete_pending() || self.stream_of(open).is_some_and(|s| s.deleted || s.deleting)
    }

    /// Closing this open would mark it for deletion.
    pub fn deletes_on_close(&self, open: OpenId) -> bool {
        self.opens.get(&open).is_some_and(|e| e.delete_on_close)
    }

    /// Opens of a node, oldest first.
    pub fn opens_of(&self, node: NodeKey) -> &[OpenId] {
        self.nodes.get(&node).map_or(&[], |n| &n.opens)
    }

    /// Somebody else, or the same by another open, has the same node open.
    pub fn has_other_opens(&self, open: OpenId) -> bool {
        self.node_of(open).is_some_and(|node| self.opens_of(node).iter().any(|o| *o != open))
    }

    /// Something is open strictly beneath this directory.
    pub fn has_open_descendants(&self, dir: &RelPath) -> bool {
        self.links_beneath(dir).any(|no| self.links[no].opens > 0)
    }

    pub fn view(&self, open: OpenId) -> Option<OpenView> {
        let e = self.opens.get(&open)?;
        Some(OpenView {
            open,
            node: e.node,
            directory: e.directory,
            path: self.links[e.link].path.clone(),
            stream: e.stream.as_deref().map(str::to_owned),
            access: e.access,
            share: e.share,
            owner: e.owner,
            delete_on_close: e.delete_on_close,
            delete_pending: self.is_delete_pending(open),
            locks: self.stream_of(open).map_or(0, |s| s.locks.held_by(open)),
            watches: e.watch.is_some(),
        })
    }

    /// Every open, in no order.
    pub fn views(&self) -> impl Iterator<Item = OpenView> + '_ {
        self.opens.keys().filter_map(|open| self.view(*open))
    }

    /// Number of opens.
    pub fn len(&self) -> usize {
        self.opens.len()
    }

    /// Nothing is open and nothing is being deleted.
    pub fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.nodes.is_empty() && self.links.is_empty() && self.times.is_empty()
    }
}
