//! Whose rights a thread uses for file access: fsuid, fsgid and supplementary groups, per thread.
//!
//! The raw system calls change one thread only (the C library's wrappers change all of them).

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, OnceLock};

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
pub struct Guard(std::marker::PhantomData<*const ()>);

impl Guard {
    const fn new() -> Guard {
        Guard(std::marker::PhantomData)
    }
}

/// What is known of this thread's identity.
enum State {
    /// A new thread has what its creator had, or a switch failed half way.
    Unknown,
    Is(Creds),
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State::Unknown) };
}

/// What the process had before any thread switched.
fn process() -> &'static (bool, Creds) {
    static PROCESS: OnceLock<(bool, Creds)> = OnceLock::new();
    PROCESS.get_or_init(|| {
        let groups = nix::unistd::getgroups().unwrap_or_default();
        let uid = nix::unistd::geteuid().as_raw();
        let gid = nix::unistd::getegid().as_raw();
        (uid == 0, Creds { uid, gid, groups: groups.iter().map(|g| g.as_raw()).collect() })
    })
}

/// Whether identities can be switched at all: the process is root.
pub fn can_switch() -> bool {
    process().0
}

/// Makes this thread act as `creds`; no system call when it does already. Does nothing when the process is
/// not root. On error the thread has no usable identity and the caller must give the request up.
pub fn assume(creds: &Creds) -> io::Result<Guard> {
    if !process().0 {
        return Ok(Guard::new());
    }
    STATE.with_borrow_mut(|state| {
        if let State::Is(now) = &*state
            && (now.uid, now.gid) == (creds.uid, creds.gid)
            && (Arc::ptr_eq(&now.groups, &creds.groups) || now.groups == creds.groups)
        {
            return Ok(Guard::new());
        }
        *state = State::Unknown;
        switch(creds)?;
        *state = State::Is(creds.clone());
        Ok(Guard::new())
    })
}

/// Makes this thread act as the process itself until the next `assume`.
pub fn assume_process() -> io::Result<Guard> {
    assume(&process().1)
}

/// Runs `work` as the process itself, then goes back to whom the thread acted for. For the few things that
/// SMB lets a user do and the kernel keeps for the owner; the caller has checked that the user may.
pub fn as_process<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let before = current();
    let _process = assume_process()?;
    let out = work();
    let _back = assume(&before)?;
    Ok(out)
}

/// Whom this thread acts for.
pub fn current() -> Creds {
    STATE.with_borrow(|state| match state {
        State::Is(creds) => creds.clone(),
        State::Unknown => process().1.clone(),
    })
}

/// The user this thread acts for.
pub fn current_uid() -> u32 {
    STATE.with_borrow(|state| match state {
        State::Is(creds) => creds.uid,
        State::Unknown => process().1.uid,
    })
}

fn switch(creds: &Creds) -> io::Result<()> {
    // Groups first: under a user's fsuid the thread keeps CAP_SETGID (only the file capabilities go).
    let groups: Vec<rustix::process::Gid> =
        creds.groups.iter().map(|&gid| rustix::process::Gid::from_raw(gid)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    // SAFETY: plain system calls without pointers; setfsgid and setfsuid act on the calling thread only.
    let (gid, uid) = unsafe {
        libc::syscall(libc::SYS_setfsgid, creds.gid);
        libc::syscall(libc::SYS_setfsuid, creds.uid);
        // They answer the value before, never an error; -1 changes nothing and so tells what is there.
        (libc::syscall(libc::SYS_setfsgid, u32::MAX), libc::syscall(libc::SYS_setfsuid, u32::MAX))
    };
    if (gid as u32, uid as u32) != (creds.gid, creds.uid) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "cannot take the user's identity"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_switches_and_comes_back() {
        if !can_switch() {
            return;
        }
        std::thread::spawn(|| {
            let dir = tempfile::tempdir().unwrap();
            let user = Creds { uid: 4711, gid: 4712, groups: [4713].into() };
            std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .unwrap();
            let _as_user = assume(&user).unwrap();
            std::fs::write(dir.path().join("f"), "x").unwrap();
            let meta = std::fs::metadata(dir.path().join("f")).unwrap();
            use std::os::unix::fs::MetadataExt;
            assert_eq!((meta.uid(), meta.gid()), (4711, 4712));
            as_process(|| std::fs::write(dir.path().join("g"), "x").unwrap()).unwrap();
            assert_eq!(std::fs::metadata(dir.path().join("g")).unwrap().uid(), 0);
            assert_eq!(current(), user);
            let _back = assume_process().unwrap();
            std::fs::write(dir.path().join("h"), "x").unwrap();
            assert_eq!(std::fs::metadata(dir.path().join("h")).unwrap().uid(), 0);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn other_threads_are_not_touched() {
        if !can_switch() {
            return;
        }
        let user = Creds { uid: 4711, gid: 4712, groups: [].into() };
        std::thread::spawn(move || drop(assume(&user).unwrap())).join().unwrap();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.lines().any(|l| l.starts_with("Uid:") && l.ends_with("\t0")), "{status}");
    }
}
