//! Whose rights a thread uses for file access: fsuid, fsgid and supplementary groups, per thread.

use std::io;
use std::sync::Arc;

/// Who the kernel shall take this thread for when it touches files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Creds {
    pub uid: u32,
    pub gid: u32,
    pub groups: Arc<[u32]>,
}

/// Proof that the thread acts as somebody. Nothing is undone when it goes: the thread keeps the identity
/// until the next `assume`, so that a run of requests by one user costs no system call.
#[must_use = "the thread acts as this user while the guard lives"]
#[derive(Debug)]
pub struct Guard(());

/// Makes this thread act as `creds`; no system call when it does already. Does nothing when the process is
/// not root. On error the thread has no usable identity and the caller must give the request up.
pub fn assume(_creds: &Creds) -> io::Result<Guard> {
    unreachable!()
}

/// Makes this thread act as the process itself until the guard's next `assume`.
pub fn assume_process() -> io::Result<Guard> {
    unreachable!()
}
