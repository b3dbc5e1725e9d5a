//! Lease and lease table (MS-SMB2 3.3.1.11, 3.3.1.12): how the client of a lease is reached. What it may cache, the rules
//! of its share know.

use super::open::{Breaks, Open, Opens};
use super::share::Area;
use crate::fsa::LeaseId;
use crate::types::{Guid, LeaseKey, NodeKey, NtStatus, OpenId};
use crate::watch::{Interest, NoWatch, Token};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// All opens that a client made with one key.
pub struct Lease {
    pub id: LeaseId,
    /// Lease.Version is 2: decided by who makes it.
    pub version2: bool,
    /// Where its file is.
    pub area: Arc<Area>,
    pub breaks: Breaks,
    /// In seconds since the start of the server.
    used: AtomicU64,
    /// Changes of this file from outside are told, of this kind. Without that it is granted nothing. (While the last open is
    /// being closed, the client may take the key for another file.)
    watched: Mutex<Option<(NodeKey, Interest, Token)>>,
    /// Lease.LeaseOpens.
    opens: Mutex<SmallVec<[OpenId; 2]>>,
    table: Weak<Table>,
}

type Table = Mutex<HashMap<Guid, HashMap<LeaseKey, Weak<Lease>>>>;

/// The leases of all clients: each client has a table of its own.
#[derive(Debug, Default)]
pub struct Leases(Arc<Table>);

impl Leases {
    /// The lease, from now on for as long as somebody holds it. INVALID_PARAMETER: the client uses its key in another
    /// share.
    pub fn enter(&self, id: LeaseId, version2: bool, area: &Arc<Area>) -> Result<Arc<Lease>, NtStatus> {
        let mut table = self.0.lock();
        let slot = table.entry(id.client).or_default().entry(id.key).or_default();
        if let Some(lease) = slot.upgrade() {
            return if Arc::ptr_eq(&lease.area, area) { Ok(lease) } else { Err(NtStatus::INVALID_PARAMETER) };
        }
        let lease = Arc::new(Lease {
            id,
            version2,
            area: Arc::clone(area),
            breaks: Breaks::default(),
            used: AtomicU64::new(0),
            watched: Mutex::default(),
            opens: Mutex::default(),
            table: Arc::downgrade(&self.0),
        });
        *slot = Arc::downgrade(&lease);
        Ok(lease)
    }

    pub fn get(&self, id: LeaseId) -> Option<Arc<Lease>> {
        self.0.lock().get(&id.client)?.get(&id.key)?.upgrade()
    }

    /// All of one client.
    pub fn of(&self, client: Guid) -> Vec<Arc<Lease>> {
        self.0
            .lock()
            .get(&client)
            .map(|all| all.values().filter_map(Weak::upgrade).collect())
            .unwrap_or_default()
    }

    pub fn all(&self) -> Vec<Arc<Lease>> {
        self.0.lock().values().flat_map(|client| client.values().filter_map(Weak::upgrade)).collect()
    }

    pub fn len(&self) -> usize {
        self.0.lock().values().map(HashMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl Lease {
    /// One of its opens is used, `now` milliseconds after the start.
    pub fn touch(&self, now: u64) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// When it was used last, in milliseconds after the start.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Changes of something are told.
    pub fn watches(&self) -> bool {
        self.watched.lock().is_some()
    }

    /// Changes of this kind are told already.
    pub fn is_watched(&self, node: NodeKey, interest: Interest) -> bool {
        self.watched.lock().as_ref().is_some_and(|(of, kind, _)| *of == node && kind.contains(interest))
    }

    /// Sees to it that they are. Makes system calls.
    pub fn watch(
        &self,
        node: NodeKey,
        interest: Interest,
        ensure: impl FnOnce(Interest) -> Result<Token, NoWatch>,
    ) -> Result<(), NoWatch> {
        if self.is_watched(node, interest) {
            return Ok(());
        }
        // Not under the lock: the path may hang.
        let token = ensure(interest)?;
        *self.watched.lock() = Some((node, interest, token));
        Ok(())
    }

    pub fn add(&self, open: &Open) {
        self.opens.lock().push(open.open_id());
    }

    pub fn remove(&self, open: &Open) {
        self.opens.lock().retain(|id| *id != open.open_id());
    }

    /// Those beside this one.
    pub fn others(&self, opens: &Opens, open: &Open) -> Vec<Arc<Open>> {
        let ids = self.opens.lock();
        let others = ids.iter().filter(|id| **id != open.open_id());
        others.filter_map(|id| opens.by_volatile(id.0)).collect()
    }

    /// The first is the one it was made with, while that lasts.
    pub fn opens(&self, opens: &Opens) -> Vec<Arc<Open>> {
        let ids = self.opens.lock().clone();
        ids.into_iter().filter_map(|id| opens.by_volatile(id.0)).collect()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(table) = self.table.upgrade() else { return };
        let mut table = table.lock();
        let Some(client) = table.get_mut(&self.id.client) else { return };
        // Else somebody has entered it again meanwhile.
        if client.get(&self.id.key).is_some_and(|lease| lease.strong_count() == 0) {
            client.remove(&self.id.key);
        }
        if client.is_empty() {
            table.remove(&self.id.client);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).field("opens", &self.opens).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_used_again_while_its_file_is_being_closed_is_watched_anew() {
        let area = Arc::new(Area::new(
            "/nowhere".into(),
            crate::posix::Policy::default(),
            "test",
            Arc::default(),
            Box::new(|_| {}),
        ));
        let (leases, id) = (Leases::default(), LeaseId::default());
        let closing = leases.enter(id, true, &area).unwrap();
        let node = |ino| NodeKey { dev: 1, ino };
        let watched = |lease: &Lease, node, interest| {
            let mut asked = false;
            let ensure = |_| {
                asked = true;
                Ok(Token::none())
            };
            lease.watch(node, interest, ensure).unwrap();
            asked
        };
        assert!(
            watched(&closing, node(1), Interest::CONTENT) && !watched(&closing, node(1), Interest::CONTENT)
        );
        let again = leases.enter(id, true, &area).unwrap();
        assert!(watched(&again, node(2), Interest::CONTENT), "it is another file");
        assert!(watched(&again, node(2), Interest::all()) && !watched(&again, node(2), Interest::CONTENT));
        assert!(!again.is_watched(node(1), Interest::CONTENT));
    }
}
