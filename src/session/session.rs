//! Session (MS-SMB2 3.3.1.8) and its channels.
//!
//! ```text
//!   InProgress --authenticated--> Valid --ticket ran out--> Expired --re-authenticated--> Valid
//!        |                          |
//!        '--- failed: removed       '--- LOGOFF, last channel lost, previous-session id: removed
//! ```

use super::open::Open;
use super::tree::TreeConnect;
use crate::auth::Identity;
use crate::crypto::{Cipher, NonceSource, PreauthHash, SealingKey, SigningKey};
use crate::types::{ConnId, Dialect, FileId, Guid, NtStatus, SessionId, TreeId};
use crate::wire::dtyp::Sid;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use zeroize::Zeroizing;

/// Who logged on.
#[derive(Debug)]
pub struct Who {
    pub user: String,
    pub domain: String,
    pub guest: bool,
    pub anonymous: bool,
    /// By whose ticket he is here.
    pub principal: Option<String>,
    /// Who he is in his domain, by his ticket. Sorted.
    pub sids: Arc<[Sid]>,
    /// When his ticket ends.
    pub expires: Option<Instant>,
    /// The Unix account of the same name, if there is one.
    pub account: Option<Arc<Identity>>,
}

/// What the first authentication settled for the life of the session.
pub struct Security {
    /// Requests must be signed (or sealed).
    pub signing_required: bool,
    /// Everything must be sealed.
    pub encrypt: bool,
    pub server_out: Option<SealingKey>,
    pub server_in: Option<SealingKey>,
    pub nonces: NonceSource,
    pub application: Zeroizing<[u8; 16]>,
}

/// Of a session that ends with no ticket.
const NEVER: u64 = u64::MAX;

/// The connections that one session may be reached through (MS-SMB2 appendix A, 3.3.5.5).
pub const MAX_CHANNELS: usize = 32;

/// A connection that the session is reached through, and the key that signs there.
#[derive(Clone)]
pub struct Channel {
    pub conn: ConnId,
    /// None for anonymous and guest sessions, which are not signed.
    pub signing: Option<Arc<SigningKey>>,
}

/// What the connection that makes a session gives to it: others that are bound to it must be of the same kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    pub dialect: Dialect,
    pub client: Guid,
    pub cipher: Option<Cipher>,
}

/// An authentication under way on one connection (Connection.PreauthSessionTable for 3.1.1).
pub struct Setup {
    pub acceptor: crate::auth::Acceptor,
    pub preauth: Option<PreauthHash>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Setup")
    }
}

pub struct Session {
    pub id: SessionId,
    pub since: Instant,
    pub origin: Origin,
    /// The connection that made it.
    pub conn: ConnId,
    pub peer: std::net::SocketAddr,
    /// Between the legs of an authentication, on the connection where it takes place.
    pub setups: Mutex<SmallVec<[(ConnId, Setup); 1]>>,
    /// Session.SigningKey: that of the first channel.
    signing: OnceLock<Arc<SigningKey>>,
    who: RwLock<Option<Arc<Who>>>,
    security: OnceLock<Security>,
    channels: RwLock<Vec<Channel>>,
    trees: RwLock<HashMap<TreeId, Arc<TreeConnect>>>,
    opens: Mutex<HashSet<FileId>>,
    /// As many as there are pipes open, and this one.
    pub pipes: Arc<()>,
    next_tree: AtomicU32,
    /// Session.ExpirationTime: milliseconds after `since`, or [`NEVER`].
    expires: AtomicU64,
    gone: AtomicBool,
}

impl Session {
    pub fn new(id: SessionId, origin: Origin, conn: ConnId, peer: std::net::SocketAddr) -> Session {
        Session {
            id,
            since: Instant::now(),
            origin,
            conn,
            peer,
            setups: Mutex::default(),
            signing: OnceLock::new(),
            who: RwLock::new(None),
            security: OnceLock::new(),
            channels: RwLock::default(),
            trees: RwLock::default(),
            opens: Mutex::default(),
            pipes: Arc::default(),
            next_tree: AtomicU32::new(1),
            expires: AtomicU64::new(NEVER),
            gone: AtomicBool::new(false),
        }
    }

    /// Authenticated for the first time. False: somebody was first.
    pub fn establish(&self, security: Security, channel: Channel) -> bool {
        let first = self.security.set(security).is_ok();
        if first {
            channel.signing.iter().for_each(|key| drop(self.signing.set(Arc::clone(key))));
            self.channels.write().push(channel);
        }
        first
    }

    /// Another connection reaches it (MS-SMB2 3.3.5.5.3). REQUEST_NOT_ACCEPTED: it does already;
    /// INSUFFICIENT_RESOURCES: there are as many as there may be.
    pub fn add_channel(&self, channel: Channel) -> Result<(), NtStatus> {
        let mut channels = self.channels.write();
        if self.is_gone() || channels.is_empty() {
            return Err(NtStatus::USER_SESSION_DELETED);
        }
        if channels.iter().any(|c| c.conn == channel.conn) {
            return Err(NtStatus::REQUEST_NOT_ACCEPTED);
        }
        if channels.len() >= MAX_CHANNELS {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        channels.push(channel);
        Ok(())
    }

    /// An authentication on this connection is over, or will never be.
    pub fn end_setup(&self, conn: ConnId) -> Option<Setup> {
        let mut setups = self.setups.lock();
        let at = setups.iter().position(|(on, _)| *on == conn)?;
        Some(setups.swap_remove(at).1)
    }

    /// It is reached from there, or an authentication there has begun.
    fn knows(&self, conn: ConnId) -> bool {
        self.conn == conn || self.has_channel(conn) || self.setups.lock().iter().any(|(on, _)| *on == conn)
    }

    /// Session.SigningKey, which signs while a connection is being bound. None: it is not signed at all.
    pub fn own_signing_key(&self) -> Option<&Arc<SigningKey>> {
        self.signing.get()
    }

    pub fn security(&self) -> Option<&Security> {
        self.security.get()
    }

    /// Authenticated at least once, and not gone.
    pub fn is_valid(&self) -> bool {
        self.security.get().is_some() && self.who.read().is_some() && !self.is_gone()
    }

    pub fn who(&self) -> Option<Arc<Who>> {
        self.who.read().clone()
    }

    /// Authenticated, for the first time or once more.
    pub fn set_who(&self, who: Who) {
        let left = |at: Instant| at.saturating_duration_since(self.since).as_millis() as u64;
        self.expires.store(who.expires.map_or(NEVER, left), Ordering::Release);
        *self.who.write() = Some(Arc::new(who));
    }

    /// The key that signs on this connection; None if the session is not signed there.
    pub fn signing_key(&self, conn: ConnId) -> Option<Arc<SigningKey>> {
        self.channels.read().iter().find(|c| c.conn == conn).and_then(|c| c.signing.clone())
    }

    pub fn has_channel(&self, conn: ConnId) -> bool {
        self.channels.read().iter().any(|c| c.conn == conn)
    }

    /// The connections that reach it, oldest first.
    pub fn conns(&self) -> Vec<ConnId> {
        self.channels.read().iter().map(|c| c.conn).collect()
    }

    /// Takes a lost connection off. True: it was the last one.
    pub fn drop_channel(&self, conn: ConnId) -> bool {
        let mut channels = self.channels.write();
        channels.retain(|c| c.conn != conn);
        channels.is_empty()
    }

    pub fn is_expired(&self) -> bool {
        match self.expires.load(Ordering::Acquire) {
            NEVER => false,
            at => self.since.elapsed().as_millis() as u64 >= at,
        }
    }

    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// True for the first caller only: who tears it down.
    pub fn claim_end(&self) -> bool {
        !self.gone.swap(true, Ordering::AcqRel)
    }

    pub fn new_tree_id(&self) -> TreeId {
        TreeId(self.next_tree.fetch_add(1, Ordering::Relaxed))
    }

    pub fn add_tree(&self, tree: Arc<TreeConnect>) {
        self.trees.write().insert(tree.id, tree);
    }

    pub fn tree(&self, id: TreeId) -> Option<Arc<TreeConnect>> {
        self.trees.read().get(&id).cloned()
    }

    pub fn remove_tree(&self, id: TreeId) -> Option<Arc<TreeConnect>> {
        let tree = self.trees.write().remove(&id)?;
        tree.set_gone();
        Some(tree)
    }

    pub fn trees(&self) -> Vec<Arc<TreeConnect>> {
        self.trees.read().values().cloned().collect()
    }

    /// False if the session or the tree went away meanwhile: the open must be closed again.
    pub fn add_open(&self, open: &Open) -> bool {
        self.adopt(open, &open.tree)
    }

    /// The same for an open that was made through another tree.
    pub fn adopt(&self, open: &Open, tree: &TreeConnect) -> bool {
        let mut opens = self.opens.lock();
        if self.is_gone() || tree.is_gone() {
            return false;
        }
        opens.insert(open.id);
        true
    }

    pub fn remove_open(&self, id: FileId) {
        let mut opens = self.opens.lock();
        opens.remove(&id);
        if opens.is_empty() && opens.capacity() > 64 {
            opens.shrink_to(0);
        }
    }

    pub fn opens(&self) -> Vec<FileId> {
        self.opens.lock().iter().copied().collect()
    }

    pub fn open_count(&self) -> usize {
        self.opens.lock().len()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.id).finish()
    }
}

/// Every session of the server (GlobalSessionTable).
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: RwLock<HashMap<SessionId, Arc<Session>>>,
}

impl Sessions {
    /// A session with a new id, which cannot be guessed from others. As with Windows it fits 32 bits: some clients
    /// keep no more of it.
    pub fn start(
        &self,
        origin: Origin,
        conn: ConnId,
        peer: std::net::SocketAddr,
    ) -> Result<Arc<Session>, NtStatus> {
        let mut map = self.by_id.write();
        loop {
            let raw = getrandom::u32().map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
            let id = SessionId(raw.into());
            if raw == 0 || raw == u32::MAX || map.contains_key(&id) {
                continue;
            }
            let session = Arc::new(Session::new(id, origin, conn, peer));
            map.insert(id, Arc::clone(&session));
            return Ok(session);
        }
    }

    pub fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        self.by_id.read().get(&id).cloned()
    }

    pub fn remove(&self, id: SessionId) -> Option<Arc<Session>> {
        self.by_id.write().remove(&id)
    }

    pub fn all(&self) -> Vec<Arc<Session>> {
        self.by_id.read().values().cloned().collect()
    }

    /// Those that this connection reaches, or has begun.
    pub fn of_connection(&self, conn: ConnId) -> Vec<Arc<Session>> {
        self.by_id.read().values().filter(|s| s.knows(conn)).cloned().collect()
    }
}
