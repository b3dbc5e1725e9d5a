//! The record of an open, as it is now.

use super::record::{LeaseRecord, Record};
use crate::durable::place_of;
use crate::session::Open;
use crate::types::FileTime;
use std::sync::atomic::Ordering;

/// None: it is closed, is not durable, or can never be found again. Makes system calls on it: for workers. `known`: the
/// change time up to which what others did has been told, and has broken what it breaks.
pub fn of(open: &Open, known: &mut Option<FileTime>) -> Option<Record> {
    let durability = open.durability.get()?;
    durability.timeout()?;
    let (file, disk) = (open.file()?, open.share().disk()?);
    // As long as its client has not been told that it was changed, no version is the one that he knows.
    let outdated = durability.outdated.load(Ordering::SeqCst);
    // Before it is looked up what may be cached of it: what others change after this has moved the time.
    let export = disk.area.export_if_open()?;
    let (object, version) = export.lasting(&file.object).ok()?;
    // Who changed it before this may not have been told of yet. Until he is, the record has a time that is not the file's any
    // more: what is cached is broken when its client is back.
    if *known != Some(version) && disk.area.watch.catches_up() {
        *known = Some(version);
    }
    let version = known.unwrap_or(FileTime::ZERO);
    let kept = disk.area.rules.lock().kept(open.open_id())?;
    // Nor as long as it has not answered a break: Linux 6.1 sends the locks that it kept to itself before it does, and never
    // if it finds its lease gone when it is back. It gets what it had, and is told again.
    let outdated = outdated || kept.breaking;
    Some(Record {
        id: open.id,
        client: durability.client,
        create_guid: durability.create_guid,
        action: durability.action,
        timeout: durability.grant.map(|grant| grant.timeout),
        resilience: durability.resilience(),
        persistent: open.is_persistent(),
        user: open.user.clone(),
        place: place_of(open.share()),
        path: kept.path.as_bytes().to_vec(),
        stream: file.object.stream(),
        object,
        version: if outdated { FileTime::default() } else { version },
        access: file.access,
        share: kept.share,
        options: file.options,
        mode: (file.mode() != file.options).then(|| file.mode()),
        delete_on_close: kept.delete_on_close,
        deleted: kept.deleted,
        oplock: kept.oplock,
        lease: kept.lease.map(|lease| LeaseRecord {
            id: lease.id,
            state: lease.state | durability.taken(),
            version2: lease.version2,
            epoch: lease.epoch,
            parent: lease.parent,
        }),
        locks: kept.locks,
        sequences: kept.sequences,
        instance: open.instance.get().map(|member| member.instance),
        times: kept.times,
    })
}

/// It has a record, or will have in a moment.
pub fn is_stored(open: &Open) -> bool {
    open.durability.get().is_some_and(|durability| durability.keeping.stored.load(Ordering::SeqCst))
}
