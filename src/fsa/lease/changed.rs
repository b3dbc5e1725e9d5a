//! What a change takes from those who cache what it changed.

use crate::fsa::change::{Author, Change, Facets, Kind, StreamChange};
use crate::fsa::{Effects, Tree};

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
                if outside && facets.intersects(!Facets::LAST_ACCESS) {
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
}
