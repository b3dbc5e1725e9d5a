use super::codec::{self, Bad};
use super::*;
use crate::fsa::{FrozenTimes, FrozenWritten, LeaseId, LockRange};
use crate::posix::{FileHandle, Lasting};
use crate::session::instance::Instance;
use crate::types::{
    AccessMask, CreateOptions, FileId, FileTime, Guid, LeaseKey, LeaseState, NodeKey, OplockLevel,
    ShareAccess,
};
use crate::wire::create::CreateAction;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

fn record(persistent: u64) -> Record {
    Record {
        id: FileId { persistent, volatile: 7 },
        client: Guid([1; 16]),
        create_guid: Guid([2; 16]),
        action: CreateAction::CREATED,
        timeout: Some(Duration::from_secs(60)),
        resilience: None,
        persistent: true,
        user: "alice".into(),
        place: "media=/srv/media".into(),
        path: b"dir/\xFF".to_vec(),
        stream: None,
        object: Lasting {
            handle: Some(FileHandle { kind: -1, bytes: vec![1, 2, 3].into() }),
            key: NodeKey { dev: 5, ino: 6 },
            born: FileTime(8),
        },
        version: FileTime(9),
        access: AccessMask::FILE_ALL,
        share: ShareAccess::READ,
        options: CreateOptions::NON_DIRECTORY_FILE,
        mode: None,
        delete_on_close: false,
        deleted: false,
        oplock: OplockLevel::BATCH,
        lease: None,
        locks: Vec::new(),
        sequences: None,
        instance: None,
        times: FrozenTimes::default(),
    }
}

/// With everything that can be there.
fn full(persistent: u64) -> Record {
    let lock = |offset, exclusive| LockRange { offset, length: 10, exclusive };
    Record {
        stream: Some("notes".into()),
        mode: Some(CreateOptions::WRITE_THROUGH),
        delete_on_close: true,
        deleted: true,
        oplock: OplockLevel::LEASE,
        lease: Some(LeaseRecord {
            id: LeaseId { client: Guid([1; 16]), key: LeaseKey([3; 16]) },
            state: LeaseState::READ | LeaseState::HANDLE,
            version2: true,
            epoch: 77,
            parent: Some(LeaseKey([4; 16])),
        }),
        locks: vec![lock(0, true), lock(100, false)],
        sequences: Some([9; 64]),
        resilience: Some(Duration::from_millis(1500)),
        instance: Some(Instance { id: Guid([8; 16]), version: Some((1, 2)) }),
        times: FrozenTimes {
            written: Some(FrozenWritten { told: FileTime(10), disk: FileTime(11), last: Some(FileTime(12)) }),
            accessed: Some(FileTime(13)),
            changed: Some(FileTime(14)),
        },
        ..record(persistent)
    }
}

#[test]
fn records_survive_as_bytes() {
    for record in [record(1), full(2)] {
        let bytes = encode(&record);
        assert_eq!(decode(&codec::key(record.id.persistent), &bytes), Ok(record.clone()));
        assert_eq!(decode(&codec::key(99), &bytes), Err(Bad::Damaged), "of another handle");
    }
}

#[test]
fn what_is_damaged_or_cut_is_not_read() {
    let record = full(3);
    let bytes = encode(&record);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(decode(&codec::key(3), &damaged), Err(Bad::Damaged), "byte {at}");
        assert_eq!(decode(&codec::key(3), &bytes[..at]), Err(Bad::Damaged), "{at} bytes");
    }
}

/// Where the checksum holds, the length of a list may still be anything.
#[test]
fn a_wrong_count_reads_nothing_beyond_the_end() {
    let bytes = encode(&full(4));
    for at in 1..bytes.len() - 8 {
        let mut body = bytes[..bytes.len() - 4].to_vec();
        body[at..at + 4].fill(0xFF);
        let _ = decode(&codec::key(4), &sealed(&codec::key(4), &body));
    }
}

/// What version 1 wrote of [`full`], byte for byte by its checksum: all but what version 2 has more.
const VERSION_1_LEN: usize = 382;
const VERSION_1_SUM: u32 = 866_579_668;

fn version_1(persistent: u64) -> Vec<u8> {
    let without = Record { times: FrozenTimes::default(), ..full(persistent) };
    let mut body = encode(&without);
    // Three times that are not there, and the checksum.
    body.truncate(body.len() - 3 - 4);
    body[0] = 1;
    sealed(&codec::key(persistent), &body)
}

#[test]
fn version_1_is_read_for_ever() {
    let bytes = version_1(5);
    let sum = crc32fast::hash(&bytes);
    assert_eq!((bytes.len(), sum), (VERSION_1_LEN, VERSION_1_SUM), "the layout of version 1 has changed");
    let read = decode(&codec::key(5), &bytes);
    assert_eq!(read, Ok(Record { times: FrozenTimes::default(), ..full(5) }));
}

/// The same of version 2.
#[test]
fn version_2_is_read_for_ever() {
    let bytes = encode(&full(5));
    assert_eq!(bytes[0], 2);
    let sum = crc32fast::hash(&bytes);
    assert_eq!((bytes.len(), sum), (VERSION_2_LEN, VERSION_2_SUM), "the layout of version 2 has changed");
}

const VERSION_2_LEN: usize = 426;
const VERSION_2_SUM: u32 = 3_342_149_047;

#[test]
fn a_store_of_version_1_is_read_and_written_anew_in_the_latest() {
    let dir = tempfile::tempdir().expect("a directory");
    let (db, store) = open(dir.path());
    let tree = db.open_tree("handles").expect("a tree");
    for id in [1, 2] {
        tree.insert(codec::key(id), version_1(id)).expect("inserts");
    }
    drop((tree, store));
    drop(db);
    let (db, store) = open(dir.path());
    let old = |id| Record { times: FrozenTimes::default(), ..full(id) };
    assert_eq!(store.load(), [old(1), old(2)]);
    written(&store, vec![Edit::Put(Box::new(full(2)))]);
    let version =
        |id| db.open_tree("handles").expect("a tree").get(codec::key(id)).expect("reads").expect("it")[0];
    assert_eq!((version(1), version(2)), (1, 2));
    drop(store);
    drop(db);
    let (_db, store) = open(dir.path());
    assert_eq!(store.load(), [old(1), full(2)]);
}

#[test]
fn what_a_newer_server_wrote_is_told_from_damage() {
    let mut body = encode(&record(6));
    body.truncate(body.len() - 4);
    body[0] = 3;
    assert_eq!(decode(&codec::key(6), &sealed(&codec::key(6), &body)), Err(Bad::Newer(3)));
}

fn open(dir: &Path) -> (::sled::Db, SledHandles) {
    let dir = dir.join("db");
    let db = ::sled::Config::new().path(&dir).flush_every_ms(None).open().expect("a database");
    let store = SledHandles::open(&db, &dir).expect("a store");
    (db, store)
}

fn written(store: &SledHandles, edits: Vec<Edit>) {
    let (tell, hear) = mpsc::channel();
    store.write(edits, Some(Box::new(move |result| tell.send(result).expect("somebody listens"))));
    assert_eq!(hear.recv(), Ok(Ok(())));
}

#[test]
fn the_store_has_what_was_put_and_not_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (db, store) = open(dir.path());
    assert!(store.load().is_empty());
    let put = |record| Edit::Put(Box::new(record));
    store.write(vec![put(record(2)), put(record(1)), put(record(3))], None);
    store.write(vec![Edit::Remove(3), put(full(2))], None);
    written(&store, vec![Edit::Remove(9)]);
    // One that is damaged goes, and the others stay.
    let tree = db.open_tree("handles").expect("a tree");
    tree.insert(codec::key(8), encode(&record(7))).expect("inserts");
    drop((tree, store));
    drop(db);
    let (_db, store) = open(dir.path());
    assert_eq!(store.load(), [record(1), full(2)]);
    assert!(store.load().is_empty(), "once");
}

/// No page of the database is to be large.
#[test]
fn a_handle_with_many_locks_is_kept_in_pieces() {
    let dir = tempfile::tempdir().expect("a directory");
    let locked = |persistent, count: u64| {
        let lock = |n| LockRange { offset: n, length: 1, exclusive: true };
        Record { locks: (0..count).map(lock).collect(), ..full(persistent) }
    };
    let put = |record| Edit::Put(Box::new(record));
    let (mut db, mut store) = open(dir.path());
    for (count, stored) in [(10_000, 42), (3, 1), (1_000, 5), (200, 1), (300, 2)] {
        written(&store, vec![put(locked(1, 5)), put(locked(2, count)), put(locked(3, 5))]);
        let tree = db.open_tree("handles").expect("a tree");
        let of = |id| tree.scan_prefix(codec::key(id)).values().map(|value| value.expect("reads").len());
        assert_eq!((of(1).count(), of(2).count(), of(3).count()), (1, stored, 1), "{count}");
        assert!(of(2).all(|len| len <= 4096));
        drop((tree, store));
        drop(db);
        (db, store) = open(dir.path());
        assert_eq!(store.load(), [locked(1, 5), locked(2, count), locked(3, 5)], "{count}");
    }
    written(&store, vec![Edit::Remove(2)]);
    let tree = db.open_tree("handles").expect("a tree");
    assert_eq!(tree.scan_prefix(codec::key(2)).count(), 0);
    // Whole, as it was before there were pieces; and one of which a piece is lost.
    tree.insert(codec::key(4), encode(&locked(4, 1000))).expect("inserts");
    written(&store, vec![put(locked(1, 1000))]);
    tree.remove([&codec::key(1)[..], &[0, 1]].concat()).expect("removes");
    drop((tree, store));
    drop(db);
    let (db, store) = open(dir.path());
    assert_eq!(store.load(), [locked(3, 5), locked(4, 1000)]);
    let tree = db.open_tree("handles").expect("a tree");
    assert_eq!(tree.scan_prefix(codec::key(1)).count(), 0, "nothing of it is left over");
}

#[test]
fn all_who_wait_are_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_db, store) = open(dir.path());
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..50 {
                    written(store, vec![Edit::Put(Box::new(record(writer * 100 + n)))]);
                }
            });
        }
    });
}
