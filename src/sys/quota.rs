//! Disk quotas of users (`quotactl_fd`, Linux 5.14).

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Result;

use super::check;

const USRQUOTA: libc::c_int = 0;
const Q_GETQUOTA: libc::c_int = 0x80_0007;
const Q_GETNEXTQUOTA: libc::c_int = 0x80_0009;

/// `struct if_nextdqblk`, which begins as `struct if_dqblk` does.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    hard: u64,
    soft: u64,
    used: u64,
    inodes: [u64; 3],
    times: [u64; 2],
    valid: u32,
    id: u32,
}

/// Bytes; a limit of 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UserQuota {
    pub uid: u32,
    pub used: u64,
    pub soft: u64,
    pub hard: u64,
}

/// Of this user, on the file system of the descriptor (`O_PATH` will do). `SRCH`: no quotas are on; `NOSYS`: it has none.
pub fn of<Fd: AsFd>(fd: Fd, uid: u32) -> Result<UserQuota> {
    get(fd, Q_GETQUOTA, uid).map(|quota| UserQuota { uid, ..quota })
}

/// Of the first user from this one on who has one. `NOENT`: nobody.
pub fn next<Fd: AsFd>(fd: Fd, uid: u32) -> Result<UserQuota> {
    get(fd, Q_GETNEXTQUOTA, uid)
}

fn get<Fd: AsFd>(fd: Fd, command: libc::c_int, uid: u32) -> Result<UserQuota> {
    let mut block = Block::default();
    let command = command << 8 | USRQUOTA;
    // SAFETY: the kernel writes at most a `struct if_nextdqblk`, which `Block` is; it lives through the call.
    check(unsafe {
        libc::syscall(libc::SYS_quotactl_fd, fd.as_fd().as_raw_fd(), command, uid, &raw mut block)
    })?;
    // Limits are counted in blocks of 1024 bytes, what is used in bytes.
    let bytes = |blocks: u64| blocks.saturating_mul(1024);
    Ok(UserQuota { uid: block.id, used: block.used, soft: bytes(block.soft), hard: bytes(block.hard) })
}
