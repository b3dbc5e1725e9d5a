//! Objects that are found again by another process: by name if they are still there, else by file handle.

use rustix::fs::{Statx, StatxFlags};

use super::{Export, Found, Object, RelPath, Result, of_errno, stat};
use crate::sys;
use crate::sys::handle::FileHandle;
use crate::types::{FileTime, NodeKey, NtStatus};
use std::time::{Duration, SystemTime};

/// By then a file system has written by itself what was changed.
const SETTLED: Duration = Duration::from_secs(300);

/// What tells an object from all others, also from one that gets its inode after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lasting {
    /// Where the file system has them.
    pub handle: Option<FileHandle>,
    pub key: NodeKey,
    /// Its birth time, whatever clients are told. Zero: the file system knows none.
    pub born: FileTime,
}

impl Lasting {
    fn of(stx: &Statx, handle: Option<FileHandle>) -> Lasting {
        let known = stx.stx_mask & StatxFlags::BTIME.bits() != 0;
        let born = if known {
            FileTime::from_unix(stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec)
        } else {
            FileTime::ZERO
        };
        Lasting { handle, key: stat::key(stx), born }
    }

    /// The number of a device may be another after a mount; where there are handles, they are of the file system.
    fn is(&self, other: &Lasting) -> bool {
        let same_place = match (&self.handle, &other.handle) {
            (Some(a), Some(b)) => a == b,
            _ => self.key.dev == other.key.dev,
        };
        same_place && self.key.ino == other.key.ino && self.born == other.born
    }
}

fn look(fd: impl std::os::fd::AsFd + Copy) -> Result<(Lasting, Statx)> {
    let stx = sys::file::stat_fd(fd).map_err(of_errno)?;
    Ok((Lasting::of(&stx, sys::handle::of(fd).ok()), stx))
}

impl Export {
    /// By what it can be found again, and its change time. Makes system calls on it.
    pub fn lasting(&self, object: &Object) -> Result<(Lasting, FileTime)> {
        let (lasting, stx) = look(object.as_fd())?;
        Ok((lasting, FileTime::from_unix(stx.stx_ctime.tv_sec, stx.stx_ctime.tv_nsec)))
    }

    /// The object, which was last known at `path`. OBJECT_NAME_NOT_FOUND: it is gone, or cannot be told from another. Acts
    /// as the process; blocks.
    pub fn find_again(&self, lasting: &Lasting, path: &RelPath) -> Result<Found> {
        match self.open_rel(path) {
            Ok(found) if look(found.object.as_fd()).is_ok_and(|(there, _)| there.is(lasting)) => Ok(found),
            _ => self.find_moved(lasting),
        }
    }

    /// The object and its name are there after a power cut, too. What was not changed for long is there by itself. Acts as
    /// the process; blocks.
    pub fn settle(&self, object: &Object, path: &RelPath) -> Result<()> {
        let (seconds, _) = self.lasting(object)?.1.to_unix();
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64);
        // What seems to come, a clock that was set back has made: changed just now, for all that is known.
        if SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED) {
            return Ok(());
        }
        object.sync()?;
        match path.parent() {
            Some(parent) => self.open_rel(&parent)?.object.sync(),
            None => Ok(()),
        }
    }

    /// Somebody else has moved it.
    fn find_moved(&self, lasting: &Lasting) -> Result<Found> {
        const GONE: NtStatus = NtStatus::OBJECT_NAME_NOT_FOUND;
        let handle = lasting.handle.as_ref().ok_or(GONE)?;
        let fd = self.open_handle(handle).map_err(|_| GONE)?;
        let path = self.path_beneath(std::os::fd::AsFd::as_fd(&fd)).ok_or(GONE)?;
        // Of what has no name any more, or one that the kernel does not know yet, the path leads elsewhere.
        let found = self.open_rel(&path).map_err(|_| GONE)?;
        if look(found.object.as_fd())?.0.is(lasting) { Ok(found) } else { Err(GONE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posix::Policy;

    fn export(dir: &std::path::Path) -> Export {
        Export::open(dir, Policy::default()).expect("an export")
    }

    #[test]
    fn what_was_moved_is_found_and_what_took_its_name_is_not_taken_for_it() {
        let dir = tempfile::tempdir_in("/var/tmp").expect("a directory");
        std::fs::write(dir.path().join("file"), "one").expect("writes");
        let path = RelPath::from_bytes(*b"file");
        let first = export(dir.path());
        let found = first.open_rel(&path).expect("it is there");
        let (lasting, version) = first.lasting(&found.object).expect("it can be found again");
        assert_eq!(found.stat.version, version);
        drop((found, first));

        let again = export(dir.path());
        assert_eq!(again.find_again(&lasting, &path).expect("by its name").path, path);
        std::fs::rename(dir.path().join("file"), dir.path().join("moved")).expect("renames");
        std::fs::write(dir.path().join("file"), "two").expect("writes");
        match again.find_again(&lasting, &path) {
            Ok(found) => assert_eq!(found.path.as_bytes(), b"moved"),
            // Handles are for who may read everything.
            Err(status) => assert!(!nix::unistd::geteuid().is_root(), "{status}"),
        }
        std::fs::remove_file(dir.path().join("moved")).expect("removes");
        assert_eq!(again.find_again(&lasting, &path).err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
    }
}
