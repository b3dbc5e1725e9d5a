//! Directory leases: what ends a cached listing (MS-FSA 2.1.4.12, 2.1.5.15; MS-SMB2 3.3.1.12).

use super::{ALL, LeaseId, Who};
use crate::fsa::change::{Author, Facets};
use crate::fsa::{Effects, RelPath, Tree};
use crate::types::NodeKey;

/// What a listing shows of a file. The time of the last access is not worth a break.
const SHOWN: Facets = Facets::SIZE
    .union(Facets::ATTRIBUTES)
    .union(Facets::LAST_WRITE)
    .union(Facets::CREATION)
    .union(Facets::EA)
    .union(Facets::LISTED);

impl Tree {
    /// The directory lease that changes by this author leave alone: the one its open named as its parent's.
    pub(in crate::fsa) fn parents_lease(&self, author: Author) -> Option<LeaseId> {
        let Author::Open(open) = author else { return None };
        self.opens.get(&open)?.parents_lease()
    }

    /// An entry of the directory that `path` is in came, went or looks different now.
    pub(in crate::fsa) fn break_listing(&mut self, path: &RelPath, except: Option<LeaseId>) -> Effects {
        let mut effects = Effects::new();
        if self.directory_leases == 0 {
            return effects;
        }
        let node = path.parent().and_then(|dir| self.paths.get(&dir)).map(|&no| self.links[no].node);
        if let Some(caching) = node.and_then(|node| self.caching_of(node, None)) {
            caching.take(ALL, except.map(Who::Lease), &mut effects);
        }
        effects
    }

    /// The same of a file that has more names than `path`: of all that it is open by.
    pub(in crate::fsa) fn break_listings(
        &mut self,
        node: Option<NodeKey>,
        path: &RelPath,
        except: Option<LeaseId>,
    ) -> Effects {
        let mut effects = self.break_listing(path, except);
        let links =
            node.and_then(|node| self.nodes.get(&node)).map(|node| node.links.clone()).unwrap_or_default();
        for no in links {
            let Some(link) = self.links.get(no).filter(|link| !link.gone && link.path != *path) else {
                continue;
            };
            let other = link.path.clone();
            effects.extend(self.break_listing(&other, except));
        }
        effects
    }

    /// A file looks different now. As Windows does, what is written through an open shows in the listing when that is
    /// closed.
    pub(in crate::fsa) fn modified_in_listing(
        &mut self,
        node: Option<NodeKey>,
        path: &RelPath,
        facets: Facets,
        author: Author,
    ) -> Effects {
        if let Author::Open(open) = author
            && facets.intersects(Facets::DATA | Facets::SIZE)
            && let Some(entry) = self.opens.get_mut(&open)
        {
            entry.wrote = true;
            return Effects::new();
        }
        if self.directory_leases == 0 || !facets.intersects(SHOWN) {
            return Effects::new();
        }
        let except = self.parents_lease(author);
        self.break_listings(node, path, except)
    }
}

impl crate::fsa::tree::OpenEntry {
    pub fn parents_lease(&self) -> Option<LeaseId> {
        let lease = self.lease.as_ref()?;
        Some(LeaseId { client: lease.id.client, key: lease.parent? })
    }
}
