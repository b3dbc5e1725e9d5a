//! The process as a whole.

use rustix::process::{Resource, getrlimit};

/// As many files as it may have open.
pub fn open_files_limit() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|limit| limit.try_into().ok()).unwrap_or(usize::MAX)
}

/// Hands free memory of the allocator back to the kernel. Takes milliseconds.
pub fn give_memory_back() {
    // SAFETY: takes no pointer; the allocator does its own locking.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
