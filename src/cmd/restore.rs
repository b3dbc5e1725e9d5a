//! Handles of a process that was before this one: opened again before anybody can connect, they wait for their clients as
//! if the connection had been cut (MS-SMB2 3.3.5.9.7, 3.3.5.9.12).
//!
//! Each is opened as what it is in the store, by name or by file handle, if it is the same object still. Then all of them
//! get back what they cached; where others may have changed the file meanwhile, for as long as it takes to tell their clients.
//! Then their locks, and the times that they froze.

use super::create::{disk_path, fsa_path};
use super::lock::local::Local;
use super::{Gate, effects};
use crate::auth::Identity;
use crate::durable::place_of;
use crate::durable::store::{Edit, LeaseRecord, Record};
use crate::fsa::{LeaseAsk, OpenAsk, Opening, Owner, RelPath};
use crate::posix::{DataAccess, Kind};
use crate::session::open::Held;
use crate::session::{
    ActsAs, Area, Disk, Durability, FileOpen, Grant, Open, OpenKind, Share, TreeConnect, Workers,
};
use crate::types::{AccessMask, NtStatus, OpenId, OplockLevel, SessionId, TreeId};
use crate::watch::{Interest, NoWatch};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// A share that hangs does not keep the others from being served: its handles come when it answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// What may have been granted of a lease after its record was written: its client is to take what it is told now for
/// newer than all of that.
const EPOCHS: u16 = 16;

/// One that is open again, with what it is to get back.
struct Restored {
    open: Arc<Open>,
    record: Record,
}

/// All that the store has. Blocks for a bounded time.
pub fn all(gate: &Arc<Gate>) {
    let records = gate.keeper.store().load();
    if records.is_empty() {
        return;
    }
    let kept = records.len();
    let (tell, hear) = mpsc::channel();
    for (workers, records) in by_area(gate, records) {
        let (gate, tell) = (Arc::clone(gate), tell.clone());
        let job = move || {
            let _ = tell.send(restore(&gate, records));
        };
        if workers.submit(Box::new(job)).is_err() {
            log::error!("overloaded: handles of a share are not restored");
        }
    }
    drop(tell);
    let until = Instant::now() + PATIENCE;
    let mut restored = 0;
    loop {
        match hear.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(count) => restored += count,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                log::warn!("a share hangs; its handles are restored when it answers");
                break;
            }
        }
    }
    log::info!("{restored} of {kept} handles of the last time wait for their clients");
}

type Placed = (Arc<Share>, Record);

/// What lies on one export belongs together. What has no share any more is dropped.
fn by_area(gate: &Gate, records: Vec<Record>) -> Vec<(Workers, Vec<Placed>)> {
    let shares = gate.live().shares.clone();
    let mut groups: HashMap<*const Area, (Workers, Vec<Placed>)> = HashMap::new();
    for record in records {
        let share = shares.values().find(|share| place_of(share).eq_ignore_ascii_case(&record.place));
        let Some((share, disk)) = share.and_then(|share| Some((share, share.disk()?))) else {
            drop_record(gate, &record, "its share is gone");
            continue;
        };
        let group =
            groups.entry(Arc::as_ptr(&disk.area)).or_insert_with(|| (disk.area.workers.clone(), Vec::new()));
        group.1.push((Arc::clone(share), record));
    }
    groups.into_values().collect()
}

fn drop_record(gate: &Gate, record: &Record, why: impl std::fmt::Display) {
    let path = RelPath::new(&*record.path);
    log::info!("{}: {}'s handle of {path} is not restored: {why}", record.place, record.user);
    gate.keeper.store().write(vec![Edit::Remove(record.id.persistent)], None);
}

/// How many of them are restored.
fn restore(gate: &Arc<Gate>, records: Vec<Placed>) -> usize {
    let mut trees = HashMap::new();
    let mut restored = Vec::new();
    for (share, record) in records {
        let tree = trees
            .entry((share.name.clone(), record.user.to_lowercase()))
            .or_insert_with(|| tree(gate, &share, &record.user))
            .clone();
        match tree.map_err(|why| why.to_owned()).and_then(|tree| reopen(gate, &tree, &record)) {
            Ok(open) => restored.push(Restored { open, record }),
            Err(why) => drop_record(gate, &record, why),
        }
    }
    restored.iter().for_each(cache_again);
    restored.retain(|one| {
        let holds = lock_again(one);
        if !holds {
            drop_record(gate, &one.record, "somebody else has locked what it had");
            forget(gate, &one.open);
        }
        holds
    });
    for Restored { open, record } in &restored {
        if let Some(disk) = open.share().disk() {
            let mut rules = disk.area.rules.lock();
            rules.restore_times(open.open_id(), record.times);
            if record.deleted {
                rules.restore_deletion(open.open_id());
            }
        }
        gate.keeper.changed(open);
    }
    restored.len()
}

/// Whose it is: what he may do in the share now.
fn tree(gate: &Gate, share: &Arc<Share>, user: &str) -> Result<Arc<TreeConnect>, &'static str> {
    let disk = share.disk().ok_or("its share is gone")?;
    gate.users.find(user).filter(|user| !user.disabled).ok_or("there is no such user any more")?;
    let access = super::tree_connect::of_user(disk, user).ok_or("its user may not use the share any more")?;
    let identity = match &disk.acts_as {
        ActsAs::Owner(owner) => Arc::clone(owner),
        ActsAs::Nobody => return Err("the share's owner is no account"),
        ActsAs::User if !Identity::may_change() => Arc::new(Identity::process()),
        ActsAs::User => {
            let account = Identity::of_account(user).map_err(|_| "its user's account cannot be looked up")?;
            Arc::new(account.ok_or("its user has no account any more")?)
        }
    };
    let encrypt = gate.live().settings.encryption_of(&disk.settings) == crate::config::Encryption::Required;
    Ok(Arc::new(TreeConnect::new(TreeId(0), Arc::clone(share), identity, access, encrypt, true)))
}

/// The object again, and the open in the tables. Err: why not.
fn reopen(gate: &Arc<Gate>, tree: &Arc<TreeConnect>, record: &Record) -> Result<Arc<Open>, String> {
    let failed = |status: NtStatus| status.to_string();
    let disk = tree.disk().map_err(failed)?;
    if disk.settings.durable_timeout.is_zero() {
        return Err("the share keeps none any more".into());
    }
    let export = disk.area.export().map_err(failed)?;
    let path = disk_path(&RelPath::new(&*record.path));
    let found = export.find_again(&record.object, &path).map_err(failed)?;
    let (mut object, stat, path) = (found.object, found.stat, found.path);
    let writes = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
    let directory = stat.kind == Kind::Directory;
    let data = DataAccess {
        read: record.access.intersects(AccessMask::READ_DATA | AccessMask::EXECUTE),
        write: !directory && record.access.intersects(writes),
    };
    if matches!(stat.kind, Kind::File | Kind::Directory) && (data.read || data.write) {
        // What it may do was decided when it was opened first, whatever its mode is by now.
        export.open_data(&mut object, data).map_err(failed)?;
    }
    if let Some(stream) = &record.stream {
        let name = export.find_stream(&object, stream).map_err(failed)?;
        export.open_stream(&mut object, &name.ok_or("the stream is gone")?);
    }
    let id = gate.opens.id_again(record.id);
    let volatile = id.volatile;
    let ask = OpenAsk {
        directory,
        links: stat.nlink,
        access: record.access,
        share: record.share,
        delete_on_close: record.delete_on_close,
        written: stat.written,
        stream: record.stream.clone(),
        owner: Owner { client: record.client, session: SessionId(0) },
        lease: record.lease.as_ref().map(ask_of),
        ..OpenAsk::new(OpenId(volatile), stat.key, fsa_path(&path))
    };
    let lease = match &record.lease {
        Some(lease) => Some(
            gate.leases
                .enter(lease.id, lease.version2, &disk.area)
                .map_err(|_| "its lease is of another share".to_owned())?,
        ),
        None => None,
    };
    match disk.area.rules.lock().open(ask, disk.area.now()) {
        Opening::Granted(_) => {}
        Opening::Refused(status) => return Err(status.to_string()),
        Opening::Wait(_) => return Err(NtStatus::SHARING_VIOLATION.to_string()),
    }
    let file = FileOpen::new(Held::new(object, Arc::clone(&disk.area)), &stat, record.access, record.options);
    record.mode.inspect(|mode| file.set_mode(*mode));
    let open = Open::new(id, SessionId(0), record.user.clone(), Arc::clone(tree), OpenKind::File(file), 0);
    let grant = record.timeout.map(|timeout| Grant { timeout });
    let durability = Durability {
        persistent: record.persistent.into(),
        ..Durability::new(record.client, record.create_guid, record.action, grant)
    };
    record.resilience.inspect(|timeout| durability.make_resilient(*timeout));
    durability.keeping.stored.store(true, Ordering::SeqCst);
    let _ = open.durability.set(Box::new(durability));
    if let Some(instance) = record.instance {
        let _ = open.instance.set(Box::new(gate.instances.enter(instance, record.client, volatile)));
    }
    let open = Arc::new(open);
    if let Some(lease) = lease {
        lease.add(&open);
        let _ = open.lease.set(lease);
    }
    tree.share.opens.fetch_add(1, Ordering::Relaxed);
    gate.opens.add(Arc::clone(&open));
    if !gate.durable.restore(&open, Instant::now()) {
        forget(gate, &open);
        return Err("there is another of its kind".into());
    }
    Ok(open)
}

fn ask_of(lease: &LeaseRecord) -> LeaseAsk {
    let LeaseRecord { id, version2, epoch, parent, .. } = *lease;
    LeaseAsk { id, version2, epoch: epoch.wrapping_add(EPOCHS), parent }
}

/// Out of the tables again, as if it had never been there.
fn forget(gate: &Arc<Gate>, open: &Arc<Open>) {
    gate.durable.give_up(open);
    if let Some(disk) = open.share().disk() {
        let closed = disk.area.rules.lock().abandon(open.open_id(), disk.area.now());
        effects::carry_out(gate, closed.effects);
        if let Some(deletion) = closed.deletion {
            let effects = disk.area.rules.lock().deleted(deletion, false, disk.area.now());
            effects::carry_out(gate, effects);
        }
    }
    super::close::close_waiting(gate, open);
}

/// What it cached, as far as changes from here on are heard of, and it goes together with what others have.
fn cache_again(one: &Restored) {
    let Restored { open, record } = one;
    let Some((disk, file)) = open.share().disk().zip(open.file()) else { return };
    match &record.lease {
        _ if !disk.settings.leases => {}
        Some(lease) if !lease.state.is_empty() => lease_again(disk, open, file, record, lease),
        None if record.oplock != OplockLevel::NONE => oplock_again(disk, open, file, record),
        _ => {}
    }
    // Its client may not know that it has no right any more to keep the handle.
    if let Some(durability) = open.durability.get()
        && !disk.area.rules.lock().keeps_handle(open.open_id())
    {
        durability.outdated.store(true, Ordering::SeqCst);
    }
}

fn lease_again(disk: &Disk, open: &Open, file: &FileOpen, record: &Record, had: &LeaseRecord) {
    let (Some(lease), Some(path)) = (open.lease.get(), path_of(disk, open)) else { return };
    let interest = super::create::interest(had.state);
    let ensure = |interest| disk.area.watch.ensure_named(&file.object, &path, interest);
    let seen = match lease.watch(file.key, interest, ensure) {
        Ok(()) => true,
        Err(NoWatch::Off) => !file.directory,
        Err(_) => false,
    };
    if seen {
        compare(disk, open, file, record);
        let _ = disk.area.rules.lock().request_lease(open.open_id(), had.state, disk.area.now());
    }
}

fn oplock_again(disk: &Disk, open: &Open, file: &FileOpen, record: &Record) {
    let Some(path) = path_of(disk, open) else { return };
    let writes = if record.oplock == OplockLevel::LEVEL_II { Interest::empty() } else { Interest::OPENS };
    match disk.area.watch.ensure(&file.object, &path, Interest::NAMES | Interest::CONTENT | writes) {
        Ok(token) => file.watched.lock().push(token),
        Err(NoWatch::Off) => {}
        Err(_) => return,
    }
    compare(disk, open, file, record);
    let _ = disk.area.rules.lock().request_oplock(open.open_id(), record.oplock, disk.area.now());
}

/// Has somebody changed the file between its record and now? (It may have been its own client, a moment before the server was
/// killed.) Asked once changes are heard of. A client that only finds its lease gone when it is back does less than at a
/// break: Linux 6.1 keeps to itself the locks that it has not sent yet.
fn compare(disk: &Disk, open: &Open, file: &FileOpen, record: &Record) {
    let now = disk.area.export().and_then(|export| export.lasting(&file.object));
    if let Some(durability) = open.durability.get() {
        durability.outdated.store(!now.is_ok_and(|(_, version)| version == record.version), Ordering::SeqCst);
    }
}

/// Its locks, for local programs too. False: somebody has taken one meanwhile.
fn lock_again(one: &Restored) -> bool {
    let Some(disk) = one.open.share().disk() else { return false };
    let Record { locks, sequences, .. } = &one.record;
    if !disk.area.rules.lock().restore_locks(one.open.open_id(), locks, *sequences) {
        return false;
    }
    let mut local = Local::of(&one.open).filter(|_| !locks.is_empty());
    local.as_mut().is_none_or(|local| local.change(&[], locks))
}

fn path_of(disk: &Disk, open: &Open) -> Option<RelPath> {
    disk.area.rules.lock().path_of(open.open_id())
}
