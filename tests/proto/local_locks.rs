//! `posix_locks`: clients and programs of the server's machine keep each other out.

use std::fs::File;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use smbgate::types::{FileId, NtStatus};
use smbgate::wire::lock::{LockElement, LockFlags, LockRequest};

use crate::client::Client;
use crate::common::Server;

const EXCLUSIVE: LockFlags = LockFlags::EXCLUSIVE_LOCK;
const SHARED: LockFlags = LockFlags::SHARED_LOCK;
const UNLOCK: LockFlags = LockFlags::UNLOCK;
const NOW: LockFlags = LockFlags::FAIL_IMMEDIATELY;

/// A program that has a file of the share open, and locks it as SQLite does (F_SETLK).
struct Program(File);

impl Program {
    fn new(server: &Server, name: &str) -> Program {
        let path = server.path("share").join(name);
        Program(File::options().read(true).write(true).open(path).expect("opens"))
    }

    fn set(&self, kind: libc::c_int, start: i64, len: i64) -> bool {
        let range = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start,
            l_len: len,
            l_pid: 0,
        };
        fcntl(&self.0, FcntlArg::F_SETLK(&range)).is_ok()
    }

    fn lock(&self, start: i64, len: i64) -> bool {
        self.set(libc::F_WRLCK, start, len)
    }

    fn unlock(&self) {
        assert!(self.set(libc::F_UNLCK, 0, 0));
    }

    /// It could lock this.
    fn finds_free(&self, start: i64, len: i64) -> bool {
        let got = self.lock(start, len);
        self.unlock();
        got
    }
}

fn request(file_id: FileId, offset: u64, length: u64, flags: LockFlags) -> LockRequest {
    LockRequest {
        file_id,
        locks: smallvec::smallvec![LockElement { offset, length, flags }],
        ..LockRequest::default()
    }
}

fn lock(c: &mut Client, file: FileId, offset: u64, length: u64, flags: LockFlags) -> NtStatus {
    c.call(&request(file, offset, length, flags)).status()
}

#[test]
fn what_a_client_locks_is_locked_for_programs_until_it_unlocks_or_closes() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    let program = Program::new(&server, "f");
    assert_eq!(lock(&mut c, file, 0, 10, SHARED | NOW), NtStatus::SUCCESS);
    assert_eq!(lock(&mut c, file, 5, 10, SHARED | NOW), NtStatus::SUCCESS);
    assert!(!program.finds_free(0, 1) && !program.finds_free(14, 1) && program.finds_free(15, 0));
    assert!(program.set(libc::F_RDLCK, 0, 0), "shared goes with shared");
    program.unlock();
    // What the other lock covers stays locked.
    assert_eq!(lock(&mut c, file, 0, 10, UNLOCK), NtStatus::SUCCESS);
    assert!(program.finds_free(0, 5) && !program.finds_free(5, 1));
    assert_eq!(lock(&mut c, file, 20, u64::MAX - 20, EXCLUSIVE | NOW), NtStatus::SUCCESS);
    assert!(!program.set(libc::F_RDLCK, i64::MAX, 1), "the last byte there is");
    assert_eq!(c.close(file), NtStatus::SUCCESS);
    assert!(program.finds_free(0, 0));
}

#[test]
fn what_a_program_locks_no_client_locks() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    let program = Program::new(&server, "f");
    assert!(program.lock(5, 1));
    assert_eq!(lock(&mut c, file, 0, 10, EXCLUSIVE | NOW), NtStatus::LOCK_NOT_GRANTED);
    // Nothing of it stays behind, here or there.
    assert_eq!(lock(&mut c, file, 0, 10, UNLOCK), NtStatus::RANGE_NOT_LOCKED);
    assert!(program.lock(0, 4));
    // A program's lock is in the way of locks, and of nothing else.
    assert_eq!(c.write(file, 0, b"0123456789"), Ok(10));
    assert_eq!(c.read(file, 5, 1), Ok(b"5".to_vec()));
    // There are no such locks of no bytes, nor beyond 2^63.
    assert_eq!(lock(&mut c, file, 5, 0, EXCLUSIVE | NOW), NtStatus::SUCCESS);
    assert_eq!(lock(&mut c, file, 1 << 63, 9, EXCLUSIVE | NOW), NtStatus::SUCCESS);
    program.unlock();
    assert_eq!(lock(&mut c, file, 6, 4, EXCLUSIVE | NOW), NtStatus::SUCCESS);
    assert!(!program.lock(6, 1));
}

#[test]
fn a_lock_that_may_wait_waits_for_a_program() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let (of_a, of_b) = (a.make("f").unwrap(), b.make("f").unwrap());
    let program = Program::new(&server, "f");
    assert!(program.lock(0, 1));
    let waits = a.send(&request(of_a, 0, 1, EXCLUSIVE));
    a.wait_interim(waits);
    // Nobody else is held up meanwhile, and nothing is taken yet.
    assert_eq!(lock(&mut b, of_b, 1, 1, EXCLUSIVE | NOW), NtStatus::SUCCESS);
    assert_eq!(lock(&mut b, of_b, 0, 1, EXCLUSIVE | NOW), NtStatus::LOCK_NOT_GRANTED);
    std::thread::sleep(Duration::from_millis(100));
    program.unlock();
    let since = Instant::now();
    assert_eq!(a.wait(waits).status(), NtStatus::SUCCESS);
    assert!(since.elapsed() < Duration::from_secs(2), "took {:?}", since.elapsed());
    assert!(!program.lock(0, 1));
    // From one client to the next, with no program in between.
    let waits = b.send(&request(of_b, 0, 1, EXCLUSIVE));
    b.wait_interim(waits);
    assert_eq!(lock(&mut a, of_a, 0, 1, UNLOCK), NtStatus::SUCCESS);
    assert_eq!(b.wait(waits).status(), NtStatus::SUCCESS);
    assert!(!program.lock(0, 1));
}

#[test]
fn a_wait_for_a_program_ends_with_a_cancel_or_the_close_of_its_file() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    let program = Program::new(&server, "f");
    assert!(program.lock(0, 1));
    for cancelled in [true, false] {
        let waits = c.send(&request(file, 0, 1, SHARED));
        c.wait_interim(waits);
        std::thread::sleep(Duration::from_millis(50));
        if cancelled {
            crate::cancel::cancel(&mut c, waits, true);
            assert_eq!(c.wait(waits).status(), NtStatus::CANCELLED);
        } else {
            assert_eq!(c.close(file), NtStatus::SUCCESS);
            assert_eq!(c.wait(waits).status(), NtStatus::RANGE_NOT_LOCKED);
        }
    }
    program.unlock();
    std::thread::sleep(Duration::from_millis(300));
    assert!(program.finds_free(0, 0), "who gave up got it all the same");
}

#[test]
fn a_lost_connection_frees_what_it_had_locked() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    let program = Program::new(&server, "f");
    assert_eq!(lock(&mut c, file, 0, 10, EXCLUSIVE | NOW), NtStatus::SUCCESS);
    assert!(!program.finds_free(0, 1));
    drop(c);
    let end = Instant::now() + Duration::from_secs(10);
    while !program.finds_free(0, 0) {
        assert!(Instant::now() < end, "still locked");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_wait_ends_with_its_tree_whichever_of_its_opens_is_closed_first() {
    let server = Server::plain();
    for _ in 0..100 {
        let mut c = server.client();
        let (holder, waiter) = (c.make("f").unwrap(), c.make("f").unwrap());
        assert_eq!(lock(&mut c, holder, 0, 1, EXCLUSIVE | NOW), NtStatus::SUCCESS);
        let waits = c.send(&request(waiter, 0, 1, EXCLUSIVE));
        c.wait_interim(waits);
        assert_eq!(c.tree_disconnect(), NtStatus::SUCCESS);
        let status = c.wait(waits).status();
        assert!([NtStatus::SUCCESS, NtStatus::RANGE_NOT_LOCKED].contains(&status), "{status}");
    }
}

#[test]
fn without_posix_locks_neither_side_hears_of_the_other() {
    let server = Server::start("signing = \"offered\"", &[("share", "posix_locks = false")]);
    let mut c = server.client();
    let file = c.make("f").unwrap();
    let program = Program::new(&server, "f");
    assert!(program.lock(0, 5));
    assert_eq!(lock(&mut c, file, 0, 10, EXCLUSIVE | NOW), NtStatus::SUCCESS);
    assert!(program.lock(5, 5));
}
