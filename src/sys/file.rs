//! Opening, looking at and moving data of files.

use std::ffi::CStr;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags, Result};
use rustix::path::Arg;

use super::check;

/// `openat2` without creation; retried while renames elsewhere disturb a `..` (EAGAIN) or a signal comes.
pub fn open_beneath<Fd: AsFd>(dir: Fd, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd> {
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(&dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if tries < 64 => tries += 1,
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// The same without ever waiting: fails with `AGAIN` unless every name on the way is in the kernel's cache.
pub fn open_cached<Fd: AsFd>(dir: Fd, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd> {
    rustix::fs::openat2(&dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve | ResolveFlags::CACHED)
}

/// `statx` of the descriptor itself, `O_PATH` or not.
pub fn stat_fd<Fd: AsFd>(fd: Fd) -> Result<Statx> {
    rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, STAT)
}

/// `statx` of a name in a directory; a symlink is not followed, an automount not triggered.
pub fn stat_at<Fd: AsFd, P: Arg>(dir: Fd, name: P) -> Result<Statx> {
    rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, STAT)
}

const STAT: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME).union(StatxFlags::MNT_ID);

/// What to ask `access` for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    Write,
    Execute,
}

/// Whether this thread's identity (its fsuid, that is) has the right. By descriptor.
pub fn access<Fd: AsFd>(fd: Fd, what: Access) -> Result<bool> {
    let mode = match what {
        Access::Read => libc::R_OK,
        Access::Write => libc::W_OK,
        Access::Execute => libc::X_OK,
    };
    let flags = libc::AT_EACCESS | libc::AT_EMPTY_PATH;
    // SAFETY: the path is a NUL-terminated constant.
    let ret =
        unsafe { libc::syscall(libc::SYS_faccessat2, fd.as_fd().as_raw_fd(), c"".as_ptr(), mode, flags) };
    match check(ret) {
        Ok(_) => Ok(true),
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A descriptor's number as a path below `/proc/self/fd`.
pub struct FdName {
    bytes: [u8; 12],
}

impl FdName {
    pub fn of<Fd: AsFd>(fd: Fd) -> FdName {
        let mut number = fd.as_fd().as_raw_fd() as u32;
        let mut digits = [0u8; 10];
        let mut count = 0;
        loop {
            digits[count] = b'0' + (number % 10) as u8;
            number /= 10;
            count += 1;
            if number == 0 {
                break;
            }
        }
        let mut bytes = [0; 12];
        for (out, digit) in bytes.iter_mut().zip(digits[..count].iter().rev()) {
            *out = *digit;
        }
        FdName { bytes }
    }

    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.as_c_str().to_bytes()
    }
}

/// `/proc/self/fd`, opened once. The process never forks after it starts to serve.
pub fn proc_fds() -> Result<&'static OwnedFd> {
    static FDS: OnceLock<Result<OwnedFd>> = OnceLock::new();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    FDS.get_or_init(|| rustix::fs::open("/proc/self/fd", flags, Mode::empty())).as_ref().map_err(|e| *e)
}

/// A new descriptor of the same object with other flags; the kernel checks the rights again.
pub fn reopen<Fd: AsFd>(fd: Fd, flags: OFlags) -> Result<OwnedFd> {
    let name = FdName::of(fd);
    loop {
        match rustix::fs::openat(proc_fds()?, name.as_c_str(), flags | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Where the descriptor's object stands now, as an absolute path of this mount namespace. The kernel adds
/// ` (deleted)` when its name is gone.
pub fn path_of<Fd: AsFd>(fd: Fd) -> Result<Vec<u8>> {
    let name = FdName::of(fd);
    Ok(rustix::fs::readlinkat(proc_fds()?, name.as_c_str(), Vec::new())?.into_bytes())
}

/// What the file system says of it now; and what the kernel goes by when it is read. Those may differ for once: of two
/// answers that are on their way at a time FUSE believes the one that comes first, which may be the older one.
pub fn stat_anew<Fd: AsFd>(fd: Fd) -> Result<Statx> {
    let stat = |sync| rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH | sync, StatxFlags::BASIC_STATS);
    let mut tries = 0;
    loop {
        let (now, known) = (stat(AtFlags::STATX_FORCE_SYNC)?, stat(AtFlags::STATX_DONT_SYNC)?);
        let time = |stx: &Statx| (stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec);
        if (now.stx_size, time(&now)) == (known.stx_size, time(&known)) || tries == 8 {
            return Ok(now);
        }
        tries += 1;
    }
}

/// Has the file system asked who has this name, whatever the kernel remembers (FUSE: for as long as it was told to).
/// Nothing is changed: where the name is free, what cannot be linked to is not.
pub fn look_up_again<Fd: AsFd>(dir: Fd, name: &[u8]) {
    // EEXIST or EXDEV, and no matter: the lookup comes before either.
    let _ = rustix::fs::linkat(rustix::fs::CWD, c"/", dir, name, AtFlags::empty());
}

/// Reads what is in the page cache; `AGAIN` when that would mean to wait.
pub fn read_nowait<Fd: AsFd>(fd: Fd, buf: &mut [u8], offset: u64) -> Result<usize> {
    rustix::io::preadv2(fd, &mut [IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT)
}

/// A second name for the object of a descriptor, however that was opened.
pub fn link<Fd: AsFd, D: AsFd>(fd: Fd, dir: D, name: &[u8]) -> Result<()> {
    let from = FdName::of(fd);
    rustix::fs::linkat(proc_fds()?, from.as_c_str(), dir, name, AtFlags::SYMLINK_FOLLOW)
}

/// `chmod` of any descriptor (`fchmod` refuses `O_PATH`).
pub fn chmod<Fd: AsFd>(fd: Fd, mode: u32) -> Result<()> {
    let name = FdName::of(fd);
    rustix::fs::chmodat(proc_fds()?, name.as_c_str(), Mode::from_raw_mode(mode), AtFlags::empty())
}

/// `chown` of any descriptor; `None` leaves one as it is.
pub fn chown<Fd: AsFd>(fd: Fd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let uid = uid.map(rustix::fs::Uid::from_raw);
    rustix::fs::chownat(fd, c"", uid, gid.map(rustix::fs::Gid::from_raw), AtFlags::EMPTY_PATH)
}
