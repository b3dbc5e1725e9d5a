//! What the daemon sets once for the whole process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to the most allowed; answers the new limit.
pub fn raise_nofile() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Sets the umask to 0 and answers what it was: modes of new files are computed in `posix`, by share.
pub fn clear_umask() -> u32 {
    rustix::process::umask(rustix::fs::Mode::empty()).bits()
}

/// Hands free memory of the allocator back to the kernel. Takes milliseconds.
pub fn give_memory_back() {
    // SAFETY: takes no pointer; the allocator does its own locking.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
