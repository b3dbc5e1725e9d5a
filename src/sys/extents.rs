//! Shared extents and compression: what file systems like btrfs can do with the blocks of a file.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::IFlags;
use rustix::io::{Errno, Result};

use super::check;

/// FS_NOCOMP_FL.
const NOCOMP: IFlags = IFlags::from_bits_retain(0x400);

/// Makes `len` bytes of `to` at `at` the same blocks as those of `from` at `offset`; 0: up to the end.
/// `OPNOTSUPP` on file systems that cannot, `XDEV` between two of them, `INVAL` off their blocks' boundaries.
pub fn share<F: AsFd, T: AsFd>(from: F, offset: u64, to: T, at: u64, len: u64) -> Result<()> {
    let range = libc::file_clone_range {
        src_fd: from.as_fd().as_raw_fd().into(),
        src_offset: offset,
        src_length: len,
        dest_offset: at,
    };
    loop {
        // SAFETY: the kernel reads one `file_clone_range`, which lives through the call.
        let ret = unsafe { libc::ioctl(to.as_fd().as_raw_fd(), libc::FICLONERANGE, &raw const range) };
        match check(ret.into()) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Whether what is written to the file is compressed. Needs a descriptor for data.
pub fn is_compressed<Fd: AsFd>(fd: Fd) -> Result<bool> {
    Ok(rustix::fs::ioctl_getflags(fd)?.contains(IFlags::COMPRESSED))
}

pub fn set_compressed<Fd: AsFd>(fd: Fd, compressed: bool) -> Result<()> {
    let mut flags = rustix::fs::ioctl_getflags(&fd)?;
    flags.set(IFlags::COMPRESSED, compressed);
    // "Never compress" excludes it.
    flags.remove(NOCOMP);
    rustix::fs::ioctl_setflags(fd, flags)
}
