//! What a change takes from those who cache what it changed.

use crate::fsa::change::{Author, Change, Facets, Kind, StreamChange};
use crate::fsa::{Effects, RelPath, Tree, WaiterId};
use crate::types::NodeKey;

impl Tree {
    /// To be asked before the index follows the change. Who made it through an open keeps his own lease, and that of the
    /// parent directory which the open named. Changes from outside spare nobody, and take all: what is cached under a name
    /// that is gone, a handle too, would be found by that name.
    pub(in crate::fsa) fn break_for_change(&mut self, change: &Change) -> Effects {
        let (path, author) = (&change.path, change.author);
        let outside = author == Author::Outside;
        let parents = self.parents_lease(author);
        let mut effects = Effects::new();
        match &change.kind {
            Kind::Created => effects.extend(self.break_listing(path, parents)),
            Kind::Removed => {
                if outside {
                    effects.extend(self.break_all_from(path));
                }
                effects.extend(self.break_listing(path, parents));
            }
            Kind::Renamed { to, replaced } => {
                if outside {
                    effects.extend(self.break_all_from(path));
                    effects.extend(self.break_all_from(replaced.as_ref().unwrap_or(to)));
                }
                effects.extend(self.break_listing(path, parents));
                if path.parent() != to.parent() {
                    effects.extend(self.break_listing(to, parents));
                }
            }
            Kind::Modified(facets) => {
                if outside && facets.intersects(!(Facets::LAST_ACCESS | Facets::LISTED)) {
                    // Whatever it was: attributes are cached with a lease, and the streams are attributes to others.
                    effects.extend(self.break_node(change.node, path));
                } else if facets.intersects(Facets::DATA | Facets::SIZE) {
                    effects.extend(self.break_read(change.node, path, None, author));
                }
                effects.extend(self.modified_in_listing(change.node, path, *facets, author));
            }
            Kind::Stream { name, what: StreamChange::Written | StreamChange::Resized } => {
                effects.extend(self.break_read(change.node, path, Some(name), author));
            }
            Kind::Stream { .. } => {}
            Kind::Opened => {
                effects.extend(self.break_for_outside_open(change.node, path));
            }
            Kind::Lost => {
                effects.extend(self.break_all_from(path));
                effects.extend(self.break_listing(path, None));
            }
        }
        effects
    }

    /// Something that the change takes has not been given up yet. `waiter` waits for it.
    pub(in crate::fsa) fn wait_for_breaks(&mut self, change: &Change, waiter: Option<WaiterId>) -> bool {
        for key in self.concerned(change) {
            let Some(node) = self.nodes.get(&key) else { continue };
            let breaking = node.streams.iter().find(|s| s.caching.is_breaking());
            if let Some(stream) = breaking.map(|s| s.name.clone()) {
                self.wait_on(key, stream.as_deref(), waiter);
                return true;
            }
        }
        false
    }

    /// Whose caches a change made outside looks into.
    fn concerned(&self, change: &Change) -> Vec<NodeKey> {
        let at = |path: &RelPath| self.paths.get(path).map(|&no| self.links[no].node);
        let mut nodes: Vec<NodeKey> = change.node.into_iter().collect();
        let mut paths = vec![&change.path];
        if let Kind::Renamed { to, replaced } = &change.kind {
            paths.push(to);
            paths.extend(replaced);
        }
        for path in paths {
            nodes.extend(path.parent().and_then(|dir| at(&dir)));
            match change.kind {
                Kind::Removed | Kind::Renamed { .. } => {
                    nodes.extend(self.links_from(path).into_iter().map(|no| self.links[no].node));
                }
                _ => nodes.extend(at(path)),
            }
        }
        nodes
    }
}
