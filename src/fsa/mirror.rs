//! Who shows the tree to somebody else (the view, to the kernel) hears of every change that goes through the door.

use std::sync::Arc;

use super::Tree;
use super::change::Change;

/// Hears of changes. Called under the lock of the rules: it takes note, and does nothing else.
pub trait Mirror: Send + Sync + std::fmt::Debug {
    fn changed(&self, change: &Change);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MirrorId(u64);

#[derive(Default, Debug)]
pub(super) struct Mirrors {
    all: Vec<(MirrorId, Arc<dyn Mirror>)>,
    next: u64,
    /// What is told now was done through this one.
    pub blind: Option<MirrorId>,
}

impl Tree {
    pub fn add_mirror(&mut self, mirror: Arc<dyn Mirror>) -> MirrorId {
        let id = MirrorId(self.mirrors.next);
        self.mirrors.next += 1;
        self.mirrors.all.push((id, mirror));
        id
    }

    pub fn remove_mirror(&mut self, id: MirrorId) {
        self.mirrors.all.retain(|(other, _)| *other != id);
    }

    pub(super) fn reflect(&self, change: &Change) {
        for (id, mirror) in &self.mirrors.all {
            if self.mirrors.blind != Some(*id) {
                mirror.changed(change);
            }
        }
    }
}
