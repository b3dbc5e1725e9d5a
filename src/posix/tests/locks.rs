//! Locks as other programs of the machine see them.

use super::*;
use crate::fsa::LockRange;
use crate::sys::lock::{self, Lock};
use std::fs::File;

fn exclusive(offset: u64, length: u64) -> LockRange {
    LockRange { offset, length, exclusive: true }
}

fn shared(offset: u64, length: u64) -> LockRange {
    LockRange { exclusive: false, ..exclusive(offset, length) }
}

/// Another program could take this lock.
fn free(program: &File, kind: Lock, first: u64, last: u64) -> bool {
    let got = lock::set(program, kind, first, last).is_ok();
    lock::set(program, Lock::Unlocked, first, last).expect("never refused");
    got
}

fn opened(share: &Share, access: DataAccess) -> (Object, File) {
    share.write("f", "data");
    let mut object = share.found("f").object;
    share.export.open_data(&mut object, access).expect("opens");
    let program = File::options().read(true).write(true).open(share.at("f")).expect("opens");
    (object, program)
}

const BOTH: DataAccess = DataAccess { read: true, write: true };

#[test]
fn programs_are_kept_out_and_let_in_again() {
    let share = Share::new();
    let (object, program) = opened(&share, BOTH);
    let held = [shared(0, 10), exclusive(20, u64::MAX - 19)];
    assert!(object.relock(&[], &held));
    assert!(free(&program, Lock::Shared, 0, 9) && !free(&program, Lock::Exclusive, 9, 9));
    assert!(free(&program, Lock::Exclusive, 10, 19) && !free(&program, Lock::Shared, lock::LAST, lock::LAST));
    assert!(object.relock(&held, &held[..1]));
    assert!(free(&program, Lock::Exclusive, 10, lock::LAST) && !free(&program, Lock::Exclusive, 0, 0));
    object.unlock_all();
    assert!(free(&program, Lock::Exclusive, 0, lock::LAST));
}

#[test]
fn what_a_program_refuses_changes_nothing() {
    let share = Share::new();
    let (object, program) = opened(&share, BOTH);
    lock::set(&program, Lock::Shared, 50, 59).expect("free");
    let held = [shared(0, 10)];
    assert!(object.relock(&[], &held));
    assert!(!object.relock(&held, &[held[0], exclusive(20, 5), exclusive(55, 1)]));
    assert!(free(&program, Lock::Exclusive, 10, 49) && !free(&program, Lock::Exclusive, 9, 9));
    assert!(object.relock(&held, &[held[0], shared(55, 1)]), "both may be shared");
}

#[test]
fn what_the_kernel_has_no_lock_for_is_granted_without() {
    let share = Share::new();
    let (object, program) = opened(&share, DataAccess { read: true, write: false });
    lock::set(&program, Lock::Exclusive, 0, lock::LAST).expect("free");
    assert!(object.relock(&[], &[exclusive(0, 5), shared(5, 0), shared(1 << 63, 5), shared(u64::MAX, 1)]));
    assert!(!object.relock(&[], &[shared((1 << 63) - 1, 5)]), "its first byte can be locked");
}
