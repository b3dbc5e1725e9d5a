//! What the kernel is told of a file, and errors as it wants them.

use fuser::{Errno as FuseErrno, FileAttr, FileType, INodeNo};
use rustix::fs::{Statx, StatxTimestamp};
use rustix::io::Errno;
use std::time::{Duration, SystemTime};

use crate::types::NtStatus;

/// So long may the kernel believe names and attributes. What is done through smbgate ends it sooner; this bounds what is
/// changed beside it.
pub const TTL: Duration = Duration::from_secs(1);

pub fn attr(stx: &Statx, id: u64) -> FileAttr {
    FileAttr {
        ino: INodeNo(id),
        size: stx.stx_size,
        blocks: stx.stx_blocks,
        atime: time(stx.stx_atime),
        mtime: time(stx.stx_mtime),
        ctime: time(stx.stx_ctime),
        crtime: time(stx.stx_btime),
        kind: kind(stx),
        perm: stx.stx_mode & 0o7777,
        nlink: stx.stx_nlink,
        uid: stx.stx_uid,
        gid: stx.stx_gid,
        rdev: rustix::fs::makedev(stx.stx_rdev_major, stx.stx_rdev_minor) as u32,
        blksize: stx.stx_blksize,
        flags: 0,
    }
}

pub fn kind(stx: &Statx) -> FileType {
    kind_of(rustix::fs::FileType::from_raw_mode(u32::from(stx.stx_mode)))
}

pub fn kind_of(kind: rustix::fs::FileType) -> FileType {
    use rustix::fs::FileType as Raw;
    match kind {
        Raw::Directory => FileType::Directory,
        Raw::Symlink => FileType::Symlink,
        Raw::Fifo => FileType::NamedPipe,
        Raw::Socket => FileType::Socket,
        Raw::CharacterDevice => FileType::CharDevice,
        Raw::BlockDevice => FileType::BlockDevice,
        Raw::RegularFile | Raw::Unknown => FileType::RegularFile,
    }
}

fn time(t: StatxTimestamp) -> SystemTime {
    let whole = match u64::try_from(t.tv_sec) {
        Ok(seconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        Err(_) => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(t.tv_sec.unsigned_abs())),
    };
    whole
        .and_then(|whole| whole.checked_add(Duration::from_nanos(t.tv_nsec.into())))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What a local program is told when the rules say no. A share mode that denies is EBUSY, as with the kernel's own SMB
/// client; what is about to be deleted is not there.
pub fn errno_of(status: NtStatus) -> Errno {
    match status {
        NtStatus::SHARING_VIOLATION => Errno::BUSY,
        NtStatus::DELETE_PENDING => Errno::NOENT,
        NtStatus::CANCELLED => Errno::INTR,
        _ => Errno::IO,
    }
}

pub fn fuse(errno: Errno) -> FuseErrno {
    FuseErrno::from_i32(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_keep_their_fraction() {
        let mut t = made_by_the_kernel();
        (t.tv_sec, t.tv_nsec) = (-2, 500_000_000);
        assert_eq!(SystemTime::UNIX_EPOCH.duration_since(time(t)).unwrap(), Duration::from_millis(1500));
        t.tv_sec = 3;
        assert_eq!(time(t).duration_since(SystemTime::UNIX_EPOCH).unwrap(), Duration::from_millis(3500));
    }

    /// It has fields that nobody else can set.
    fn made_by_the_kernel() -> StatxTimestamp {
        crate::sys::file::stat_at(rustix::fs::CWD, "/").unwrap().stx_mtime
    }
}
