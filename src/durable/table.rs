//! Which opens can be found again: the durable ones by their persistent id, those made with a CreateGuid by that, and
//! those that wait for their client by when their time is up.
//!
//! What a CREATE with a CreateGuid is told (MS-SMB2 3.3.5.9.10), by what became of the one before it from this client:
//!
//! ```text
//!                                     SMB2_FLAGS_REPLAY_OPERATION    without
//!   it is under way                   FILE_NOT_AVAILABLE             DUPLICATE_OBJECTID
//!   it made an open, not used yet     that open                      DUPLICATE_OBJECTID
//!     which waits for its client      that open, back                DUPLICATE_OBJECTID
//!   it failed, or the open was used   it is done                     it is done
//! ```
//!
//! Windows differs in one of these, as smbtorture has it. Of what waits for an oplock or for W of a lease it says ACCESS_DENIED
//! (as if it found the open and took it for none that is durable), and what waits for H of a lease it does not see: the second
//! one waits as well, and ends in SHARING_VIOLATION. The specification knows opens only, and none that is under way. Windows as a
//! client comes again at FILE_NOT_AVAILABLE (3.2.5.1), and not at these two, which fail the application where in a moment
//! the file would have been open. smbtorture has each case twice, `smb2.replay.dhv2-pending*-sane` and `-windows`, which send the
//! same and want one or the other: the former are required.

use super::reconnect::{self, Ask, Handle, Lease};
use crate::posix::RelPath;
use crate::session::{Disk, Open, Share};
use crate::types::{Guid, NtStatus};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Table(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// Something waits, perhaps for less long than anything before.
    waits: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// By FileId.Persistent.
    durable: HashMap<u64, Arc<Open>>,
    made: HashMap<Key, Slot>,
    /// Those of `durable` that no session has, and until when. Who takes one out of here decides what becomes of it.
    waiting: HashMap<u64, Instant>,
    deadlines: BTreeSet<(Instant, u64)>,
}

/// ClientGuid and CreateGuid.
type Key = (Guid, Guid);

#[derive(Debug)]
enum Slot {
    /// Its CREATE is under way.
    Claimed,
    Open(Arc<Open>),
}

/// What became of a CREATE with a CreateGuid.
#[derive(Debug)]
pub enum Asked {
    New(Claim),
    /// It was done before, and this is what it led to.
    Again(Arc<Open>),
    /// FILE_NOT_AVAILABLE: it is still under way. DUPLICATE_OBJECTID: the CreateGuid is in use.
    Refused(NtStatus),
}

/// A CreateGuid whose CREATE is under way. It is free again when this is dropped.
#[derive(Debug)]
pub struct Claim {
    table: Arc<Shared>,
    key: Key,
}

impl Claim {
    pub fn create_guid(&self) -> Guid {
        self.key.1
    }

    /// It led to this open.
    pub fn settle(self, open: &Arc<Open>) {
        let mut inner = self.table.inner.lock();
        // Else it is closed already, and was forgotten.
        if !open.is_closed() {
            inner.made.insert(self.key, Slot::Open(Arc::clone(open)));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut inner = self.table.inner.lock();
        if matches!(inner.made.get(&self.key), Some(Slot::Claimed)) {
            inner.made.remove(&self.key);
        }
    }
}

/// A share by its name, and by where it is: it may come to lie elsewhere under the same name.
pub fn place_of(share: &Share) -> String {
    match share.disk() {
        Some(disk) => format!("{}={}", share.name, disk.area.path().display()),
        None => share.name.clone(),
    }
}

/// Open.Lease, with the name that its file has now.
fn lease_of(open: &Open) -> Option<Lease> {
    let lease = open.lease.get()?;
    let path = lease.area.rules.lock().path_of(open.open_id());
    let name = path.map(|path| {
        let mut name = RelPath::root().join(path.as_bytes()).to_smb();
        if let Some(stream) = open.file().and_then(|file| file.object.stream()) {
            name.push(':');
            name.push_str(&stream);
        }
        name
    });
    Some(Lease { key: lease.id.key, v2: lease.version2, name })
}

/// See [`Handle::kept`].
fn is_kept(open: &Open) -> bool {
    let keeps = |disk: &Disk| disk.area.rules.lock().keeps_handle(open.open_id());
    open.yields_to_nobody() || open.is_outdated() || open.share().disk().is_none_or(keeps)
}

impl Inner {
    fn stop_waiting(&mut self, id: u64) -> bool {
        match self.waiting.remove(&id) {
            Some(until) => self.deadlines.remove(&(until, id)),
            None => false,
        }
    }

    /// By its id; a persistent one also by its CreateGuid, for who never heard of the id.
    fn find(&self, id: u64, ask: &Ask) -> Option<Arc<Open>> {
        let guid = ask.v2.filter(|(_, persistent)| *persistent && ask.available).map(|(guid, _)| guid);
        let made = || match guid.and_then(|guid| self.made.get(&(ask.client, guid))) {
            Some(Slot::Open(open)) => Some(open),
            _ => None,
        };
        self.durable.get(&id).or_else(made).cloned()
    }

    fn handle(&self, open: &Open, (lease, kept): (Option<Lease>, bool), now: Instant) -> Handle {
        let durability = open.durability.get();
        let until = self.waiting.get(&open.id.persistent);
        Handle {
            durable: durability.is_some_and(|d| d.timeout().is_some()),
            persistent: open.is_persistent(),
            connected: until.is_none(),
            expired: until.is_some_and(|until| *until <= now),
            kept,
            client: durability.map(|d| d.client).unwrap_or_default(),
            create_guid: durability.map(|d| d.create_guid).unwrap_or_default(),
            owner: open.user.clone(),
            share: place_of(open.share()),
            lease,
        }
    }
}

impl Table {
    /// A CREATE with a CreateGuid (MS-SMB2 3.3.5.9.10). `replay`: SMB2_FLAGS_REPLAY_OPERATION is set.
    pub fn ask(&self, client: Guid, create_guid: Guid, replay: bool) -> Asked {
        let key = (client, create_guid);
        let mut inner = self.0.inner.lock();
        match inner.made.get(&key) {
            Some(Slot::Open(open)) if open.sequence.is_untouched() => match replay {
                true => Asked::Again(Arc::clone(open)),
                false => Asked::Refused(NtStatus::DUPLICATE_OBJECTID),
            },
            Some(Slot::Claimed) => Asked::Refused(match replay {
                true => NtStatus::FILE_NOT_AVAILABLE,
                false => NtStatus::DUPLICATE_OBJECTID,
            }),
            _ => {
                inner.made.insert(key, Slot::Claimed);
                Asked::New(Claim { table: Arc::clone(&self.0), key })
            }
        }
    }

    /// The open is durable from here on, unless it was closed meanwhile.
    pub fn add(&self, open: &Arc<Open>) {
        self.0.inner.lock().durable.insert(open.id.persistent, Arc::clone(open));
        if open.is_closed() {
            self.forget(open);
        }
    }

    /// A handle of a process that was before this one: it waits for its client from now on. False: there is one with its
    /// id or CreateGuid.
    pub fn restore(&self, open: &Arc<Open>, now: Instant) -> bool {
        let Some(durability) = open.durability.get() else { return false };
        let Some(timeout) = durability.timeout() else { return false };
        let (id, key) = (open.id.persistent, (durability.client, durability.create_guid));
        let mut inner = self.0.inner.lock();
        let known = durability.create_guid != Guid::default();
        if inner.durable.contains_key(&id) || (known && inner.made.contains_key(&key)) {
            return false;
        }
        if known {
            inner.made.insert(key, Slot::Open(Arc::clone(open)));
        }
        inner.durable.insert(id, Arc::clone(open));
        inner.waiting.insert(id, now + timeout);
        inner.deadlines.insert((now + timeout, id));
        drop(inner);
        self.0.waits.notify_one();
        true
    }

    /// All that are durable.
    pub fn all(&self) -> Vec<Arc<Open>> {
        self.0.inner.lock().durable.values().cloned().collect()
    }

    /// How many wait for their client.
    pub fn waiting(&self) -> usize {
        self.0.inner.lock().waiting.len()
    }

    /// It is being closed.
    pub fn forget(&self, open: &Open) {
        let Some(durability) = open.durability.get() else { return };
        let mut inner = self.0.inner.lock();
        inner.stop_waiting(open.id.persistent);
        inner.durable.remove(&open.id.persistent);
        let key = (durability.client, durability.create_guid);
        if matches!(inner.made.get(&key), Some(Slot::Open(made)) if made.id == open.id) {
            inner.made.remove(&key);
        }
    }

    /// Its session is lost: it waits for its client. False: it is not durable, and closes.
    pub fn wait(&self, open: &Open, now: Instant) -> bool {
        let Some(timeout) = open.durability.get().and_then(|d| d.timeout()) else { return false };
        let id = open.id.persistent;
        let mut inner = self.0.inner.lock();
        if !inner.durable.contains_key(&id) || inner.waiting.contains_key(&id) {
            return false;
        }
        let until = now + timeout;
        open.leave_session();
        inner.waiting.insert(id, until);
        inner.deadlines.insert((until, id));
        drop(inner);
        self.0.waits.notify_one();
        true
    }

    /// It waits for its client no more. True: by this caller, who has to close it.
    pub fn give_up(&self, open: &Open) -> bool {
        self.0.inner.lock().stop_waiting(open.id.persistent)
    }

    /// The same for somebody who wants the file. A persistent or resilient one waits all the same.
    pub fn give_way(&self, open: &Open) -> bool {
        !open.yields_to_nobody() && self.give_up(open)
    }

    /// The client is back: the open belongs to the caller, who moves it to its session, or has it wait again. Its
    /// breaks are held back until the client has the answer.
    pub fn reconnect(
        &self,
        persistent: u64,
        ask: &Ask,
        now: Instant,
    ) -> Result<Arc<Open>, (&'static str, NtStatus)> {
        let none = ("file id", NtStatus::OBJECT_NAME_NOT_FOUND);
        let open = self.0.inner.lock().find(persistent, ask).ok_or(none)?;
        let persistent = open.id.persistent;
        let held = (lease_of(&open), is_kept(&open));
        let mut inner = self.0.inner.lock();
        if !inner.durable.contains_key(&persistent) {
            return Err(none);
        }
        reconnect::check(&inner.handle(&open, held, now), ask)?;
        open.breaks.hold_back();
        open.lease.get().inspect(|lease| lease.breaks.hold_back());
        inner.stop_waiting(persistent);
        Ok(open)
    }

    /// Those whose time is up.
    pub fn expired(&self, now: Instant) -> Vec<Arc<Open>> {
        let inner = self.0.inner.lock();
        let due = inner.deadlines.iter().take_while(|(until, _)| *until <= now);
        due.filter_map(|(_, id)| inner.durable.get(id).cloned()).collect()
    }

    /// Until the first of those that wait is due; for ever while none waits.
    pub async fn due(&self) {
        loop {
            let changed = self.0.waits.notified();
            let first = self.0.inner.lock().deadlines.first().map(|(until, _)| *until);
            let Some(first) = first else {
                changed.await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(first.into()) => return,
                () = changed => {}
            }
        }
    }

    /// How much longer it waits. None: it does not.
    pub fn waits_until(&self, open: &Open) -> Option<Instant> {
        self.0.inner.lock().waiting.get(&open.id.persistent).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Identity;
    use crate::session::{Durability, Grant, OpenKind, PipeOpen, ShareKind, TreeConnect};
    use crate::types::{AccessMask, FileId, SessionId, TreeId};
    use crate::wire::create::CreateAction;
    use std::time::Duration;

    const CLIENT: Guid = Guid([1; 16]);
    const GUID: Guid = Guid([2; 16]);
    const MINUTE: Duration = Duration::from_secs(60);

    /// What it is an open of does not matter here: a pipe.
    fn open(id: u64, grant: Option<Grant>) -> Arc<Open> {
        let share = Arc::new(Share {
            name: "media".into(),
            kind: ShareKind::Pipes,
            opens: std::sync::atomic::AtomicUsize::new(0),
        });
        let identity = Arc::new(Identity::process());
        let tree = Arc::new(TreeConnect::new(TreeId(1), share, identity, AccessMask::FILE_ALL, false, true));
        let context = crate::rpc::Context::default();
        let pipe = crate::rpc::open("srvsvc", Arc::new(context)).expect("a pipe");
        let kind =
            OpenKind::Pipe(Box::new(PipeOpen { name: "srvsvc".into(), pipe, counted: Arc::default() }));
        let file_id = FileId { persistent: id, volatile: id };
        let open = Open::new(file_id, SessionId(7), "alice".into(), tree, kind, 0);
        let durability = Durability::new(CLIENT, GUID, CreateAction::CREATED, grant);
        open.durability.set(Box::new(durability)).expect("once");
        Arc::new(open)
    }

    fn ask() -> Ask {
        Ask {
            v2: Some((GUID, false)),
            available: false,
            client: CLIENT,
            user: Some("alice".into()),
            share: "media".into(),
            name: String::new(),
            lease: None,
            leases: true,
        }
    }

    fn claimed(table: &Table) -> Claim {
        match table.ask(CLIENT, GUID, false) {
            Asked::New(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    fn refused(asked: &Asked) -> NtStatus {
        match asked {
            Asked::Refused(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_create_that_is_sent_again_while_it_is_under_way_waits() {
        let table = Table::default();
        let claim = claimed(&table);
        assert_eq!(refused(&table.ask(CLIENT, GUID, true)), NtStatus::FILE_NOT_AVAILABLE);
        assert_eq!(refused(&table.ask(CLIENT, GUID, false)), NtStatus::DUPLICATE_OBJECTID);
        assert!(matches!(table.ask(Guid([9; 16]), GUID, true), Asked::New(_)), "another client's");
        drop(claim);
        assert!(matches!(table.ask(CLIENT, GUID, true), Asked::New(_)), "it came to nothing");
    }

    #[test]
    fn a_create_that_is_done_is_answered_again_until_its_open_is_used() {
        let table = Table::default();
        let made = open(1, None);
        claimed(&table).settle(&made);
        assert!(matches!(table.ask(CLIENT, GUID, true), Asked::Again(open) if open.id == made.id));
        assert_eq!(refused(&table.ask(CLIENT, GUID, false)), NtStatus::DUPLICATE_OBJECTID);
        let read = crate::session::Sequenced { number: 0, replay: false, changes: false };
        assert_eq!(made.sequence.begin(read), Ok(true));
        let second = open(2, None);
        match table.ask(CLIENT, GUID, true) {
            Asked::New(claim) => claim.settle(&second),
            other => panic!("{other:?}"),
        }
        // Closing the first one leaves the second one's place alone.
        table.forget(&made);
        assert!(matches!(table.ask(CLIENT, GUID, true), Asked::Again(open) if open.id == second.id));
        table.forget(&second);
        assert!(matches!(table.ask(CLIENT, GUID, true), Asked::New(_)));
    }

    #[test]
    fn only_what_was_granted_waits() {
        let table = Table::default();
        let now = Instant::now();
        let plain = open(1, None);
        assert!(!table.wait(&plain, now));
        let durable = open(2, Some(Grant { timeout: MINUTE }));
        assert!(!table.wait(&durable, now), "closed, or not known yet");
        table.add(&durable);
        assert!(table.wait(&durable, now) && !table.wait(&durable, now));
        assert_eq!(durable.session(), SessionId(0));
    }

    #[test]
    fn one_that_is_closed_already_is_not_kept() {
        let table = Table::default();
        let durable = open(2, Some(Grant { timeout: MINUTE }));
        assert!(durable.claim_close());
        table.add(&durable);
        assert!(!table.wait(&durable, Instant::now()));
    }

    #[test]
    fn a_refused_reconnect_leaves_the_handle_as_it_was() {
        let table = Table::default();
        let now = Instant::now();
        let durable = open(2, Some(Grant { timeout: MINUTE }));
        table.add(&durable);
        let refuse = |ask: &Ask, at| table.reconnect(2, ask, at).expect_err("refused");
        assert_eq!(refuse(&ask(), now).0, "connection state");
        assert!(table.wait(&durable, now));
        let bob = Ask { user: Some("bob".into()), ..ask() };
        assert_eq!(refuse(&bob, now), ("security context", NtStatus::ACCESS_DENIED));
        assert_eq!(refuse(&ask(), now + MINUTE).0, "expiry");
        assert_eq!(table.reconnect(3, &ask(), now).expect_err("unknown").0, "file id");
        assert_eq!(table.waits_until(&durable), Some(now + MINUTE));
        let back = table.reconnect(2, &ask(), now).expect("it is the right one");
        assert_eq!(back.id, durable.id);
        assert_eq!(refuse(&ask(), now).0, "connection state", "one of two gets it");
        assert!(!table.give_up(&durable));
    }

    #[test]
    fn when_the_time_is_up_it_is_given_up_once() {
        let table = Table::default();
        let now = Instant::now();
        let (short, long) =
            (open(1, Some(Grant { timeout: MINUTE })), open(2, Some(Grant { timeout: MINUTE * 2 })));
        for open in [&short, &long] {
            table.add(open);
            assert!(table.wait(open, now));
        }
        assert!(table.expired(now).is_empty());
        let due = table.expired(now + MINUTE);
        assert_eq!(due.iter().map(|open| open.id.volatile).collect::<Vec<_>>(), [1]);
        assert!(table.give_up(&short) && !table.give_up(&short));
        assert!(table.expired(now + MINUTE).is_empty());
    }
}
