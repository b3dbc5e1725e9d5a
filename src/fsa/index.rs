//! The ordered index of open paths: descendants by range, and paths that follow renames.

use std::ops::Bound;

use super::tree::LinkNo;
use super::{Effects, OpenAsk, RelPath, Tree};

impl Tree {
    /// The link that is being opened, if it is known: by its path, or, if the object has one name only and is known
    /// by another, by that: it was renamed and nobody told us.
    pub(super) fn known_link(&self, ask: &OpenAsk) -> Option<LinkNo> {
        if let Some(&no) = self.paths.get(&ask.path)
            && self.links[no].node == ask.node
        {
            return Some(no);
        }
        let node = self.nodes.get(&ask.node).filter(|_| ask.directory || ask.links == 1)?;
        node.links.iter().copied().find(|&no| !self.links[no].gone)
    }

    /// Brings the index in line with what the caller found on disk: changes that nobody told us of.
    pub(super) fn reconcile(&mut self, ask: &OpenAsk) -> Effects {
        match (self.known_link(ask), self.paths.get(&ask.path)) {
            (Some(known), Some(&there)) if known == there => Effects::new(),
            (Some(known), _) => {
                let from = self.links[known].path.clone();
                // Who knows it by its old name, or has that in a listing, does not hear of it otherwise: what is told later
                // finds nothing there.
                let mut effects = self.break_all_from(&from);
                effects.extend(self.break_listing(&from, None));
                effects.extend(self.break_listing(&ask.path, None));
                effects.extend(self.move_paths(&from, &ask.path));
                effects
            }
            (None, Some(&stale)) => {
                let mut effects = self.break_all_from(&ask.path);
                effects.extend(self.break_listing(&ask.path, None));
                effects.extend(self.detach(stale));
                effects
            }
            (None, None) => Effects::new(),
        }
    }

    /// The link has left the namespace. Its watches end.
    pub(super) fn detach(&mut self, no: LinkNo) -> Effects {
        let link = &mut self.links[no];
        if !link.gone {
            link.gone = true;
            self.paths.remove(&link.path);
        }
        self.end_watches(no)
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
    pub(super) fn move_paths(&mut self, from: &RelPath, to: &RelPath) -> Effects {
        if from == to {
            return Effects::new();
        }
        let moving = self.links_from(from);
        let moves: Vec<(LinkNo, RelPath)> = moving
            .into_iter()
            .filter_map(|no| self.links[no].path.moved(from, to).map(|path| (no, path)))
            .collect();
        for (no, _) in &moves {
            self.paths.remove(&self.links[*no].path);
        }
        let mut effects = Effects::new();
        for no in self.links_from(to) {
            effects.extend(self.detach(no));
        }
        for (no, path) in moves {
            self.links[no].path = path.clone();
            self.paths.insert(path, no);
        }
        effects
    }
}
