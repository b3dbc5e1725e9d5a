//! Byte-range locks that belong to an open file description (F_OFD_SETLK): what other programs of the machine see.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::{Errno, Result};

/// What is asked for a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// Needs a descriptor that reads.
    Shared,
    /// Needs a descriptor that writes.
    Exclusive,
    Unlocked,
}

/// The last byte that a lock can speak of; a range that ends there has no end.
pub const LAST: u64 = i64::MAX as u64;

fn range(lock: Lock, first: u64, last: u64) -> libc::flock {
    debug_assert!(first <= last && last <= LAST);
    let kind = match lock {
        Lock::Shared => libc::F_RDLCK,
        Lock::Exclusive => libc::F_WRLCK,
        Lock::Unlocked => libc::F_UNLCK,
    };
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: first as libc::off_t,
        // No end, or a count that fits.
        l_len: if last == LAST { 0 } else { (last - first + 1) as libc::off_t },
        l_pid: 0,
    }
}

/// Makes the bytes `first` to `last` of the descriptor's description locked so, whatever they were before. Never waits:
/// `AGAIN` if somebody else's lock is in the way (then nothing has changed).
pub fn set<Fd: AsFd>(fd: Fd, lock: Lock, first: u64, last: u64) -> Result<()> {
    let range = range(lock, first, last);
    loop {
        // SAFETY: the descriptor is open for as long as it is borrowed; the kernel reads one `flock`.
        let ret = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
        match super::check(ret.into()) {
            Err(Errno::INTR) => {}
            Err(Errno::ACCESS) => return Err(Errno::AGAIN),
            other => return other.map(drop),
        }
    }
}

/// Somebody else's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conflict {
    pub exclusive: bool,
    pub first: u64,
    pub last: u64,
    /// None: of a description, not of a process.
    pub pid: Option<u32>,
}

/// A lock that is in the way of this one, if there is any.
pub fn test<Fd: AsFd>(fd: Fd, lock: Lock, first: u64, last: u64) -> Result<Option<Conflict>> {
    let mut range = range(lock, first, last);
    // SAFETY: the descriptor is open for as long as it is borrowed; the kernel reads and writes one `flock`.
    super::check(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &raw mut range) }.into())?;
    if range.l_type == libc::F_UNLCK as libc::c_short {
        return Ok(None);
    }
    let first = range.l_start as u64;
    Ok(Some(Conflict {
        exclusive: range.l_type == libc::F_WRLCK as libc::c_short,
        first,
        last: if range.l_len == 0 { LAST } else { first + (range.l_len as u64 - 1) },
        pid: u32::try_from(range.l_pid).ok().filter(|pid| *pid > 0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn descriptions_keep_each_other_out_up_to_the_last_byte() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        let a = File::create_new(&path).expect("made");
        let b = File::options().read(true).write(true).open(&path).expect("opens");
        set(&a, Lock::Exclusive, 5, 9).expect("free");
        assert_eq!(set(&b, Lock::Shared, 9, LAST), Err(Errno::AGAIN));
        let conflict = Conflict { exclusive: true, first: 5, last: 9, pid: None };
        assert_eq!(test(&b, Lock::Shared, 0, LAST), Ok(Some(conflict)));
        assert_eq!(test(&b, Lock::Shared, 10, LAST), Ok(None));
        set(&b, Lock::Shared, 10, LAST).expect("free");
        assert_eq!(set(&a, Lock::Exclusive, LAST, LAST), Err(Errno::AGAIN));
        set(&a, Lock::Unlocked, 0, LAST).expect("never refused");
        set(&b, Lock::Exclusive, 0, LAST).expect("free");
        set(&b, Lock::Unlocked, 0, LAST).expect("never refused");
        let reads = File::open(&path).expect("opens");
        assert_eq!(set(&reads, Lock::Exclusive, 0, 0), Err(Errno::BADF), "it cannot write");
    }
}
