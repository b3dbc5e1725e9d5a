//! The state database on a disk that is full: what is asked for fails and is not there, what was there stays, and once there
//! is room it goes on. (Of handles: tests/proto/disk_full.rs.)

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};

use super::State;
use super::side::SledSide;
use crate::auth::users::UsersError;
use crate::auth::{NtHash, UserDb};
use crate::posix::{Records, SideStore};
use crate::types::{NodeKey, NtStatus};

/// A small disk of its own.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> nix::Result<Small> {
        let dir = tempfile::tempdir().expect("a directory");
        mount(Some("none"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=16m,mode=700"))?;
        Ok(Small(dir))
    }

    /// Down to the last block.
    fn fill(&self) {
        let file = File::create(self.0.path().join("filler")).expect("a file");
        let free = fstatvfs(&file).expect("a disk");
        fallocate(&file, FallocateFlags::empty(), 0, free.f_bavail * free.f_frsize)
            .expect("there is as much");
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.path().join("filler")).expect("it is there");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// Once whoever had it before has let go of it, to the last thread.
fn open(dir: &Path) -> (State, Arc<SledSide>) {
    let end = Instant::now() + Duration::from_secs(20);
    let state = loop {
        match State::open(dir, Duration::from_secs(5)) {
            Ok(state) => break state,
            Err(_) if Instant::now() < end => std::thread::yield_now(),
            Err(e) => panic!("{e:?}"),
        }
    };
    let side = SledSide::open(&state).expect("opens");
    (state, side)
}

fn hash(n: usize) -> NtHash {
    NtHash::new([n as u8; 16])
}

const NODE: NodeKey = NodeKey { dev: 7, ino: 1 };
/// As much of a stream as there is in one record.
const CHUNK: usize = 4096;
const DESCRIPTOR: usize = 60_000;

fn stream(n: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    (format!("stream {n}").into_bytes(), Some(vec![n as u8; CHUNK]))
}

fn is_full(result: &Result<(), UsersError>) -> bool {
    matches!(result, Err(UsersError::Io(e)) if e.kind() == ErrorKind::StorageFull)
}

#[test]
fn a_full_disk_takes_no_more_users_streams_and_attributes_and_loses_none() {
    let small = match Small::new() {
        Ok(small) => small,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let dir = small.0.path().join("state");
    let (state, side) = open(&dir);
    let many = 1..20_000;
    state.users.add("alice", hash(0)).expect("there is room");
    state.users.add("bob", hash(0)).expect("there is room");
    side.edit(vec![stream(0)]).expect("there is room");
    side.put(NODE, "user.one", b"one");
    let large = |n| format!("security {n}");
    (0..3).for_each(|n| side.put(NODE, &large(n), &[7; DESCRIPTOR]));
    small.fill();

    // What is left of the room that was had before does for some more.
    let refused = |n: &usize| side.edit(vec![stream(*n)]).is_err();
    let streams = many.clone().find(refused).expect("the disk is full");
    assert_eq!(side.edit(vec![stream(streams)]), Err(NtStatus::DISK_FULL));
    let name = |n: usize| format!("user{n}");
    let users =
        many.clone().find(|n| is_full(&state.users.add(&name(*n), hash(*n)))).expect("the disk is full");
    assert!(is_full(&state.users.set_hash("alice", hash(1))));
    assert!(is_full(&state.users.remove("bob")));
    side.put(NODE, "user.two", b"two");
    side.put(NODE, &large(3), &[7; DESCRIPTOR]);
    side.remove(NODE);

    let holds = |state: &State, side: &SledSide, what: &str| {
        assert_eq!(state.users.find("alice").map(|alice| alice.nt_hash), Some(hash(0)), "{what}");
        assert_eq!(state.users.list().len(), 1 + users, "{what}");
        for n in 0..streams {
            assert_eq!(side.record(&stream(n).0), Ok(stream(n).1), "{what}: {n}");
        }
        assert_eq!(side.record(&stream(streams).0), Ok(None), "{what}");
        assert_eq!(side.get(NODE, "user.one").as_deref(), Some(&b"one"[..]), "{what}");
        (0..3).for_each(|n| assert!(side.get(NODE, &large(n)).is_some(), "{what}: {n}"));
        assert!(side.get(NODE, "user.two").is_none() && side.get(NODE, &large(3)).is_none(), "{what}");
    };
    holds(&state, &side, "while it is full");
    drop((state, side));
    let (state, side) = open(&dir);
    holds(&state, &side, "opened on a full disk");
    small.empty();
    state.users.set_hash("alice", hash(2)).expect("there is room again");
    state.users.remove("bob").expect("there is room again");
    side.edit(vec![stream(streams)]).expect("there is room again");
    side.put(NODE, "user.two", b"two");
    side.put(NODE, &large(3), &[7; DESCRIPTOR]);
    state.sync().expect("it is written");
    drop((state, side));
    let (state, side) = open(&dir);
    assert_eq!(state.users.find("alice").map(|alice| alice.nt_hash), Some(hash(2)));
    assert!(state.users.find("bob").is_none());
    assert_eq!(side.record(&stream(streams).0), Ok(stream(streams).1));
    assert_eq!(side.get(NODE, "user.two").as_deref(), Some(&b"two"[..]));
    assert_eq!(side.get(NODE, &large(3)).as_deref(), Some(&[7; DESCRIPTOR][..]));
    side.remove(NODE);
    assert_eq!(side.get(NODE, "user.one"), None);
}
