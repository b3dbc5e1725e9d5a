//! The process as a whole.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// As many files as it may have open.
pub fn open_files_limit() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|limit| limit.try_into().ok()).unwrap_or(usize::MAX)
}

/// The first descriptor that is handed over (sd_listen_fds(3)).
const FIRST: RawFd = 3;

/// The descriptors that the process was given when it started (LISTEN_PID, LISTEN_FDS), closed on exec. To be called once,
/// before anything else is opened.
pub fn given_descriptors() -> io::Result<Vec<OwnedFd>> {
    let given = sd_notify::listen_fds()?;
    // SAFETY: whoever started the process says that these are open, and nobody else here knows of them.
    Ok(given.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

/// Puts descriptors where the program that this process becomes looks for them. What was there is closed, whoever it
/// belongs to: nothing may be done after this but exec or exit.
pub fn place_given(descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let end = FIRST + descriptors.len() as RawFd;
    // Out of the way first, so that none lands on another.
    let aside = descriptors.iter().map(|fd| fcntl_dupfd_cloexec(fd, end));
    let aside: Vec<OwnedFd> = aside.collect::<Result<_, _>>()?;
    for (fd, target) in aside.iter().zip(FIRST..) {
        // SAFETY: plain numbers; see above for whose the target may be.
        if unsafe { libc::dup2(fd.as_raw_fd(), target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Hands free memory of the allocator back to the kernel. Takes milliseconds.
pub fn give_memory_back() {
    // SAFETY: takes no pointer; the allocator does its own locking.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
