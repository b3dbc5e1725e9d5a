//! Room on the disk for a file that is about to grow: had before, or not at all.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FallocateFlags, fallocate, fstat, fstatvfs};
use rustix::io::Errno;

/// What a write of the state database takes besides twice its own size: sled writes whole segments, and pages anew.
pub const ROOM: u64 = 2 << 20;
/// Longer values are kept in pieces. sled writes a page that outgrows an eighth of a MiB to a file of its own, for which no room is
/// kept; and where there is none, nothing of any tree reaches the disk any more. A page has sixteen records, and a few more for a moment.
pub const PIECE: usize = 4096;
/// What is asked for at once.
const STEP: u64 = 4 << 20;

/// So many bytes more are not beyond all that is free on the file system. Where they are, reserving them would take what there is
/// from everybody before it failed: ext4 and XFS take it piece by piece.
pub fn is_there(file: impl AsFd, bytes: u64) -> io::Result<bool> {
    let free = fstatvfs(file)?;
    // Some that have no disk tell nothing.
    Ok(free.f_blocks == 0 || free.f_bfree.saturating_mul(free.f_frsize) >= bytes)
}

/// `file` may grow by so many bytes: the blocks for that are its own from now on, beyond its end. ENOSPC: there is no
/// room.
pub fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let stat = fstat(file)?;
    let (size, blocks) = (stat.st_size as u64, stat.st_blocks as u64 * 512);
    if blocks >= size + bytes {
        return Ok(());
    }
    let ahead = |len| loop {
        if !is_there(file, len).unwrap_or(true) {
            return Err(Errno::NOSPC);
        }
        match fallocate(file, FallocateFlags::KEEP_SIZE, size, len) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    };
    match ahead(bytes.max(STEP)) {
        // Less will do.
        Err(Errno::NOSPC) => ahead(bytes)?,
        // No reservations on this file system: there is room now, whoever else wants it.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let free = fstatvfs(file)?;
            if free.f_bavail * free.f_frsize < bytes {
                return Err(Errno::NOSPC.into());
            }
        }
        other => other?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_not_in_the_file_yet() {
        let file = tempfile::tempfile_in("/var/tmp").expect("a file");
        reserve(&file, 1 << 20).expect("there is room");
        let stat = fstat(&file).expect("it is there");
        assert_eq!(stat.st_size, 0);
        // A file system without reservations has none to show.
        let had = stat.st_blocks;
        reserve(&file, 1 << 20).expect("there still is");
        assert_eq!(fstat(&file).expect("it is there").st_blocks, had);
        assert_eq!(
            reserve(&file, 1 << 43).expect_err("more than there is").kind(),
            io::ErrorKind::StorageFull
        );
        assert_eq!(fstat(&file).expect("it is there").st_blocks, had, "nor is any of it taken from others");
    }
}
