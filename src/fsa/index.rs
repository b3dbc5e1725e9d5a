//! The ordered index of open paths: descendants by range, and paths that follow renames.

use std::ops::Bound;

use super::tree::LinkNo;
use super::{OpenAsk, RelPath, Tree};

impl Tree {
    /// Brings the index in line with what the caller found on disk: changes that nobody told us of.
    pub(super) fn reconcile(&mut self, ask: &OpenAsk) {
        match self.paths.get(&ask.path) {
            Some(&no) if self.links[no].node == ask.node => return,
            Some(&no) => self.detach(no),
            None => {}
        }
        let Some(node) = self.nodes.get(&ask.node) else { return };
        if ask.directory || ask.links == 1 {
            // One name only: if it is known by another, it was renamed.
            let here =
                node.links.iter().copied().find(|&no| !self.links[no].gone && !self.links[no].deleting);
            if let Some(no) = here {
                let from = self.links[no].path.clone();
                self.move_paths(&from, &ask.path);
            }
        }
    }

    /// The link has left the namespace.
    pub(super) fn detach(&mut self, no: LinkNo) {
        let link = &mut self.links[no];
        if !link.gone {
            link.gone = true;
            self.paths.remove(&link.path);
        }
    }

    /// Links at `path` and beneath it.
    pub(super) fn links_from(&self, path: &RelPath) -> Vec<LinkNo> {
        let here = self.paths.get(path).copied();
        here.into_iter().chain(self.links_beneath(path)).collect()
    }

    /// Links strictly beneath a directory, by a range of the index.
    pub(super) fn links_beneath(&self, dir: &RelPath) -> impl Iterator<Item = LinkNo> {
        let (from, to) = if dir.is_root() {
            (Bound::Excluded(RelPath::root()), Bound::Unbounded)
        } else {
            let bound = |end: u8| {
                let mut bytes = dir.as_bytes().to_vec();
                bytes.push(end);
                RelPath::bound(bytes)
            };
            (Bound::Included(bound(b'/')), Bound::Excluded(bound(b'/' + 1)))
        };
        self.paths.range((from, to)).map(|(_, &no)| no)
    }

    /// Everything at or beneath `from` is now called `to`; what was open at `to` is gone from the namespace.
    pub(super) fn move_paths(&mut self, from: &RelPath, to: &RelPath) {
        if from == to {
            return;
        }
        let moving = self.links_from(from);
        let moves: Vec<(LinkNo, RelPath)> = moving
            .into_iter()
            .filter_map(|no| self.links[no].path.moved(from, to).map(|path| (no, path)))
            .collect();
        for (no, _) in &moves {
            self.paths.remove(&self.links[*no].path);
        }
        for no in self.links_from(to) {
            self.detach(no);
        }
        for (no, path) in moves {
            self.links[no].path = path.clone();
            self.paths.insert(path, no);
        }
    }
}
