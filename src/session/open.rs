//! Open (MS-SMB2 3.3.1.10): what a client holds through a FileId.

use super::durability::Durability;
use super::instance::Member;
use super::lease::Lease;
use super::sequence::SharedSequence;
use super::share::{Area, Share};
use super::tree::TreeConnect;
use crate::fsa::expression::Expression;
use crate::posix;
use crate::types::{
    AccessMask, ConnId, CreateOptions, FileId, NodeKey, OpenId, OplockLevel, SessionId, TreeId,
};
use crate::watch::Token;
use crate::wire::oplock_break::LeaseBreakNotification;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

#[derive(Debug)]
pub struct Open {
    pub id: FileId,
    pub user: String,
    /// What it was made through. Share, rights and account stay these when it moves to another session.
    pub tree: Arc<TreeConnect>,
    pub since: Instant,
    pub kind: OpenKind,
    /// Of its oplock.
    pub breaks: Breaks,
    /// Open.Lease.
    pub lease: OnceLock<Arc<Lease>>,
    pub sequence: SharedSequence,
    /// Of an open that can be found again.
    pub durability: OnceLock<Box<Durability>>,
    /// Open.AppInstanceId.
    pub instance: OnceLock<Box<Member>>,
    /// Where it is reached: Session.SessionId, zero while it waits for its client, and TreeConnect.TreeId.
    session: AtomicU64,
    tree_id: AtomicU32,
    closed: AtomicBool,
}

/// That an oplock or a lease was broken, and whether an answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Break {
    pub notice: Notice,
    pub acknowledge: bool,
}

/// What the client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The level that is left.
    Oplock(OplockLevel),
    Lease(LeaseBreakNotification),
}

/// Breaks of an oplock or lease that the client does not know of yet: the answer that tells him goes first. Most are never
/// broken, so this is small while there is nothing.
#[derive(Debug, Default)]
pub struct Breaks(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Answers that tell of the oplock or lease, and are waited for.
    answers: u32,
    /// What waits for them.
    due: Vec<Break>,
    /// How many were sent.
    serial: u64,
    /// The number of the last one, until it is answered.
    waited_for: Option<u64>,
    /// The last one, and where. The client may not have heard of it if the connection is lost.
    sent: Option<Box<Sent>>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    on: ConnId,
    serial: u64,
    what: Break,
}

impl Breaks {
    /// From here on, until [`Breaks::announced`]; each time.
    pub fn hold_back(&self) {
        self.0.lock().answers += 1;
    }

    /// Some: to be told now.
    pub fn due(&self, due: Break) -> Option<Break> {
        let mut told = self.0.lock();
        if told.answers == 0 {
            return Some(due);
        }
        told.due.push(due);
        None
    }

    /// An answer is on its way. What was held back, if it was for this one.
    pub fn announced(&self) -> Vec<Break> {
        let mut told = self.0.lock();
        told.answers = told.answers.saturating_sub(1);
        if told.answers == 0 { std::mem::take(&mut told.due) } else { Vec::new() }
    }

    /// It goes out on this connection, perhaps not for the first time. The number is that of the break.
    pub fn sent(&self, on: ConnId, what: Break, before: Option<Unheard>) -> u64 {
        let mut told = self.0.lock();
        let serial = before.map_or(told.serial, |unheard| unheard.serial);
        told.serial = told.serial.max(serial + 1);
        told.waited_for = Some(serial);
        told.sent = Some(Box::new(Sent { on, serial, what }));
        serial
    }

    /// The client has heard of it.
    pub fn answered(&self) {
        let mut told = self.0.lock();
        (told.waited_for, told.sent) = (None, None);
    }

    /// Neither answered nor followed by another break. (Also while it is on its way to another connection.)
    pub fn is_waited_for(&self, serial: u64) -> bool {
        self.0.lock().waited_for == Some(serial)
    }

    /// The same, and this is where it was sent last.
    pub fn is_on(&self, conn: ConnId, serial: u64) -> bool {
        self.0.lock().sent.as_ref().is_some_and(|sent| sent.serial == serial && sent.on == conn)
    }

    /// The same: what was sent, and where last.
    pub fn told(&self, serial: u64) -> Option<(ConnId, Break)> {
        let told = self.0.lock();
        let sent =
            told.sent.as_ref().filter(|sent| sent.serial == serial && told.waited_for == Some(serial))?;
        Some((sent.on, sent.what))
    }

    /// What was sent on a connection that is lost or silent, and not answered: to be told on another.
    pub fn unheard(&self, on: ConnId) -> Option<Unheard> {
        let sent = self.0.lock().sent.take_if(|sent| sent.on == on)?;
        Some(Unheard { what: sent.what, serial: sent.serial })
    }
}

/// A break that the client may not have heard of.
#[derive(Clone, Copy, Debug)]
pub struct Unheard {
    pub what: Break,
    serial: u64,
}

#[derive(Debug)]
pub enum OpenKind {
    File(FileOpen),
    Pipe(Box<PipeOpen>),
}

/// An open file or directory.
#[derive(Debug)]
pub struct FileOpen {
    pub object: Held,
    pub key: NodeKey,
    pub directory: bool,
    /// GrantedAccess.
    pub access: AccessMask,
    pub options: CreateOptions,
    /// Where QUERY_DIRECTORY goes on.
    pub listing: Mutex<Option<Box<Listing>>>,
    /// CurrentByteOffset: what FilePositionInformation tells.
    pub position: AtomicU64,
    /// The first user whose quota a query that goes on begins with.
    pub quotas_told: AtomicU64,
    /// FileModeInformation as set; see [`FileOpen::mode`].
    pub mode: AtomicU64,
    /// Held while its locks change that local programs see: whether there may be any. Across system calls, so on workers
    /// only. The rules' lock is taken within, never around it.
    pub local_locks: Mutex<bool>,
    /// Why changes of it that others make are heard of.
    pub watched: Mutex<Vec<Token>>,
    /// Of what is read, where others may change it unseen.
    pub fresh: posix::Freshness,
}

/// Marks a mode that has been set.
const MODE_IS_SET: u64 = 1 << 32;

impl FileOpen {
    pub fn new(object: Held, stat: &posix::Stat, access: AccessMask, options: CreateOptions) -> FileOpen {
        FileOpen {
            object,
            key: stat.key,
            directory: stat.kind == posix::Kind::Directory,
            access,
            options,
            listing: Mutex::new(None),
            position: AtomicU64::new(0),
            quotas_told: AtomicU64::new(0),
            mode: AtomicU64::new(0),
            local_locks: Mutex::new(false),
            watched: Mutex::default(),
            fresh: posix::Freshness::default(),
        }
    }

    /// It may hold locks that local programs see. Never blocks.
    pub fn may_hold_local_locks(&self) -> bool {
        self.local_locks.try_lock().is_none_or(|any| *any)
    }

    /// The options that FileModeInformation speaks of (MS-FSCC 2.4.31), as set, else as opened. Others may be in.
    pub fn mode(&self) -> CreateOptions {
        let mode = self.mode.load(Ordering::Relaxed);
        if mode & MODE_IS_SET == 0 { self.options } else { CreateOptions::from_bits_retain(mode as u32) }
    }

    pub fn set_mode(&self, mode: CreateOptions) {
        self.mode.store(MODE_IS_SET | u64::from(mode.bits()), Ordering::Relaxed);
    }
}

/// An object on disk. Closing its descriptor may block (FUSE flushes then), so wherever the last reference
/// goes, the descriptor is closed by one of the export's workers.
#[derive(Debug)]
pub struct Held {
    object: Option<posix::Object>,
    area: Arc<Area>,
    quick: bool,
    remote: bool,
}

impl Held {
    pub fn new(object: posix::Object, area: Arc<Area>) -> Held {
        let local = area.export_if_open().map(|export| export.is_quick_at(&object));
        let quick = !object.is_stream() && !object.data().write && local == Some(true);
        Held { object: Some(object), area, quick, remote: local == Some(false) }
    }

    /// Others may change it where the kernel of this machine does not see it.
    pub fn is_remote(&self) -> bool {
        self.remote
    }

    /// The kernel can look at it and close it without waiting.
    pub fn is_quick(&self) -> bool {
        self.quick
    }
}

impl std::ops::Deref for Held {
    type Target = posix::Object;
    fn deref(&self) -> &posix::Object {
        self.object.as_ref().expect("only drop takes it")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let object = self.object.take();
        let quick = self.quick && !object.as_ref().is_some_and(posix::Object::has_window);
        if !quick && !self.area.workers.is_here() {
            // A full queue gives the job back, and with it the descriptor: better to block than to leak it.
            let _ = self.area.workers.submit(Box::new(move || drop(object)));
        }
    }
}

/// A directory enumeration under way (MS-SMB2 3.3.5.18).
#[derive(Debug)]
pub struct Listing {
    pub expression: Expression,
    /// The one name that the expression matches, as the client spelled it: looked up, not searched for.
    pub name: Option<String>,
    /// That name has been told.
    pub done: bool,
    pub scan: posix::DirScan,
}

/// An open named pipe.
pub struct PipeOpen {
    pub name: String,
    pub pipe: crate::rpc::Pipe,
    /// One of those that its session may have.
    pub counted: Arc<()>,
}

impl std::fmt::Debug for PipeOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeOpen").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Open {
    /// `sequence`: the ChannelSequence of its CREATE.
    pub fn new(
        id: FileId,
        session: SessionId,
        user: String,
        tree: Arc<TreeConnect>,
        kind: OpenKind,
        sequence: u16,
    ) -> Open {
        Open {
            id,
            user,
            since: Instant::now(),
            kind,
            breaks: Breaks::default(),
            lease: OnceLock::new(),
            sequence: SharedSequence::new(sequence),
            durability: OnceLock::new(),
            instance: OnceLock::new(),
            session: AtomicU64::new(session.0),
            tree_id: AtomicU32::new(tree.id.0),
            tree,
            closed: AtomicBool::new(false),
        }
    }

    /// The session that reaches it. Zero: none, it waits for its client.
    pub fn session(&self) -> SessionId {
        SessionId(self.session.load(Ordering::Acquire))
    }

    /// It is reached through this tree of this session.
    pub fn is_of(&self, session: SessionId, tree: TreeId) -> bool {
        self.session() == session && self.tree_id.load(Ordering::Acquire) == tree.0
    }

    /// Open.IsPersistent.
    pub fn is_persistent(&self) -> bool {
        self.durability.get().is_some_and(|durability| durability.persistent.load(Ordering::Acquire))
    }

    /// Its client does not know yet that the file was changed.
    pub fn is_outdated(&self) -> bool {
        self.durability.get().is_some_and(|durability| durability.outdated.load(Ordering::SeqCst))
    }

    /// While it waits for its client nobody else who wants the file gets it: it is persistent or resilient.
    pub fn yields_to_nobody(&self) -> bool {
        let resilient = |durability: &Durability| durability.resilience().is_some();
        self.is_persistent() || self.durability.get().is_some_and(|durability| resilient(durability))
    }

    /// Its session is lost, and it stays.
    pub fn leave_session(&self) {
        self.session.store(0, Ordering::Release);
    }

    /// Its client is back.
    pub fn move_to(&self, session: SessionId, tree: TreeId) {
        self.tree_id.store(tree.0, Ordering::Release);
        self.session.store(session.0, Ordering::Release);
    }

    pub fn open_id(&self) -> OpenId {
        OpenId(self.id.volatile)
    }

    pub fn share(&self) -> &Arc<Share> {
        &self.tree.share
    }

    pub fn file(&self) -> Option<&FileOpen> {
        match &self.kind {
            OpenKind::File(file) => Some(file),
            OpenKind::Pipe(_) => None,
        }
    }

    /// True for the first caller only: who closes it.
    pub fn claim_close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel);
        // Who makes it durable meanwhile sees that it is closed, or else its durability is seen from here on.
        fence(Ordering::SeqCst);
        first
    }

    pub fn is_closed(&self) -> bool {
        fence(Ordering::SeqCst);
        self.closed.load(Ordering::Acquire)
    }
}

/// Every open of the server.
#[derive(Debug)]
pub struct Opens {
    count: AtomicUsize,
    shards: [RwLock<std::collections::HashMap<u64, Arc<Open>>>; 16],
    next: AtomicU64,
    /// Between the two halves of a FileId: another one each time the server starts, so that a handle of the last time
    /// names nothing of this one, unless it was restored.
    distance: u64,
}

impl Opens {
    /// `distance`: any number, best a random one.
    pub fn new(distance: u64) -> Opens {
        Opens {
            count: AtomicUsize::new(0),
            shards: Default::default(),
            next: AtomicU64::new(1),
            distance: distance >> 1,
        }
    }

    pub fn new_id(&self) -> FileId {
        let volatile = self.next.fetch_add(1, Ordering::Relaxed);
        FileId { persistent: self.distance.wrapping_add(volatile), volatile }
    }

    /// The id that an open of the last time had, for it to go on with: its client may be about to use it (Linux sends the
    /// locks it kept to itself so, when the answer to its CREATE and a break come together). Another volatile half where
    /// that one is taken.
    pub fn id_again(&self, id: FileId) -> FileId {
        const LAST: u64 = 1 << 62;
        if id.volatile == 0 || id.volatile > LAST || self.by_volatile(id.volatile).is_some() {
            return FileId { volatile: self.new_id().volatile, ..id };
        }
        self.next.fetch_max(id.volatile + 1, Ordering::Relaxed);
        id
    }

    fn shard(&self, volatile: u64) -> &RwLock<std::collections::HashMap<u64, Arc<Open>>> {
        &self.shards[(volatile % 16) as usize]
    }

    pub fn add(&self, open: Arc<Open>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.shard(open.id.volatile).write().insert(open.id.volatile, open);
    }

    pub fn get(&self, id: FileId) -> Option<Arc<Open>> {
        let open = self.shard(id.volatile).read().get(&id.volatile).cloned()?;
        (open.id == id).then_some(open)
    }

    pub fn by_volatile(&self, volatile: u64) -> Option<Arc<Open>> {
        self.shard(volatile).read().get(&volatile).cloned()
    }

    pub fn remove(&self, id: FileId) -> Option<Arc<Open>> {
        let gone = self.shard(id.volatile).write().remove(&id.volatile);
        self.count.fetch_sub(usize::from(gone.is_some()), Ordering::Relaxed);
        gone
    }

    pub fn all(&self) -> Vec<Arc<Open>> {
        self.shards.iter().flat_map(|s| s.read().values().cloned().collect::<Vec<_>>()).collect()
    }

    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
