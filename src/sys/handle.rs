//! File handles: names of inodes that outlive the process (`name_to_handle_at`).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::{Errno, Result};
use smallvec::SmallVec;

use super::check;

/// What the kernel needs to find the inode again on the same file system.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FileHandle {
    pub kind: i32,
    pub bytes: SmallVec<[u8; 16]>,
}

/// `struct file_handle` with room for the largest.
#[repr(C)]
struct Raw {
    handle_bytes: u32,
    handle_type: i32,
    handle: [u8; libc::MAX_HANDLE_SZ as usize],
}

/// The handle of a descriptor. `OPNOTSUPP` on file systems without.
pub fn of<Fd: AsFd>(fd: Fd) -> Result<FileHandle> {
    get(fd, 0)
}

/// The handle of a descriptor as fanotify names it: on some file systems one that tells inodes apart and cannot be
/// opened.
pub fn name_of<Fd: AsFd>(fd: Fd) -> Result<FileHandle> {
    /// `AT_HANDLE_FID`, Linux 6.6.
    const FID: i32 = 0x200;
    match get(&fd, 0) {
        Err(Errno::OPNOTSUPP) => get(fd, FID),
        other => other,
    }
}

fn get<Fd: AsFd>(fd: Fd, flags: i32) -> Result<FileHandle> {
    let size = libc::MAX_HANDLE_SZ as usize;
    let mut raw =
        Raw { handle_bytes: size as u32, handle_type: 0, handle: [0; libc::MAX_HANDLE_SZ as usize] };
    let mut mount = 0i32;
    // SAFETY: `raw` is laid out as `struct file_handle` with handle_bytes bytes of room; both live through the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            &raw mut raw,
            &raw mut mount,
            libc::AT_EMPTY_PATH | flags,
        )
    };
    check(ret)?;
    let used = (raw.handle_bytes as usize).min(size);
    Ok(FileHandle { kind: raw.handle_type, bytes: SmallVec::from_slice(&raw.handle[..used]) })
}

/// Opens by handle; `mount` is any descriptor on the file system. Needs CAP_DAC_READ_SEARCH.
pub fn open<Fd: AsFd>(mount: Fd, handle: &FileHandle, flags: OFlags) -> Result<OwnedFd> {
    let mut raw = Raw {
        handle_bytes: handle.bytes.len() as u32,
        handle_type: handle.kind,
        handle: [0; libc::MAX_HANDLE_SZ as usize],
    };
    let Some(room) = raw.handle.get_mut(..handle.bytes.len()) else {
        return Err(Errno::INVAL);
    };
    room.copy_from_slice(&handle.bytes);
    let flags = (flags | OFlags::CLOEXEC).bits();
    // SAFETY: `raw` is laid out as `struct file_handle`; the kernel only reads it.
    let ret = unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, mount.as_fd().as_raw_fd(), &raw const raw, flags)
    };
    let fd = check(ret)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_finds_its_file_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Ok(handle) = of(file.as_file()) else { return };
        match open(file.as_file(), &handle, OFlags::RDONLY) {
            Ok(again) => {
                let (a, b) = (rustix::fs::fstat(file.as_file()).unwrap(), rustix::fs::fstat(again).unwrap());
                assert_eq!(a.st_ino, b.st_ino);
            }
            Err(errno) => assert_eq!(errno, Errno::PERM),
        }
    }
}
