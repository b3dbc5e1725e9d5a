//! Extended attributes by descriptor (`O_PATH` ones too) and by name in a directory.
//!
//! `fgetxattr` refuses `O_PATH` descriptors, so they are reached through `/proc/self/fd`: by `getxattrat`
//! (Linux 6.13) relative to that directory, else by the full path.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;

use rustix::fs::XattrFlags;
use rustix::io::{Errno, Result};

use super::check;
use super::file::{FdName, proc_fds};

const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_GETXATTRAT: libc::c_long = 464;
const SYS_LISTXATTRAT: libc::c_long = 465;
const SYS_REMOVEXATTRAT: libc::c_long = 466;

/// `struct xattr_args`.
#[repr(C)]
struct Args {
    value: u64,
    size: u32,
    flags: u32,
}

/// Whether the kernel has the calls relative to a directory. (A seccomp filter may answer EPERM for them.)
fn has_at() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| raw_get(-1, c"x", 0, c"user.x", &mut []) == Err(Errno::BADF))
}

fn raw_get(dir: i32, path: &CStr, flags: i32, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    let mut args = Args { value: buf.as_mut_ptr() as u64, size: buf.len() as u32, flags: 0 };
    // SAFETY: all pointers are to live values; the kernel writes at most args.size bytes to buf.
    check(unsafe {
        libc::syscall(
            SYS_GETXATTRAT,
            dir,
            path.as_ptr(),
            flags,
            name.as_ptr(),
            &raw mut args,
            size_of::<Args>(),
        )
    })
}

fn proc_path<Fd: AsFd>(fd: Fd, name: Option<&CStr>) -> Vec<u8> {
    let mut path = b"/proc/self/fd/".to_vec();
    path.extend_from_slice(FdName::of(fd).as_bytes());
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name.to_bytes());
    }
    path
}

/// Reads an attribute of the descriptor's object, `O_PATH` or not.
pub fn get<Fd: AsFd>(fd: Fd, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    if has_at() {
        raw_get(proc_fds()?.as_raw_fd(), FdName::of(fd).as_c_str(), 0, name, buf)
    } else {
        rustix::fs::getxattr(proc_path(fd, None), name, buf)
    }
}

/// Reads an attribute through a data descriptor: the quickest.
pub fn get_data<Fd: AsFd>(fd: Fd, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    rustix::fs::fgetxattr(fd, name, buf)
}

/// Reads an attribute of a name in a directory; a symlink is not followed.
pub fn get_at<Fd: AsFd>(dir: Fd, path: &CStr, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    if has_at() {
        raw_get(dir.as_fd().as_raw_fd(), path, libc::AT_SYMLINK_NOFOLLOW, name, buf)
    } else {
        rustix::fs::lgetxattr(proc_path(dir, Some(path)), name, buf)
    }
}

/// Sets an attribute of the descriptor's object, `O_PATH` or not.
pub fn set<Fd: AsFd>(fd: Fd, name: &CStr, value: &[u8]) -> Result<()> {
    set_with(fd, name, value, XattrFlags::empty())
}

/// The same, only if it is there, or only if it is not.
pub fn set_with<Fd: AsFd>(fd: Fd, name: &CStr, value: &[u8], flags: XattrFlags) -> Result<()> {
    if !has_at() {
        return rustix::fs::setxattr(proc_path(fd, None), name, value, flags);
    }
    let path = FdName::of(fd);
    let args = Args { value: value.as_ptr() as u64, size: value.len() as u32, flags: flags.bits() };
    // SAFETY: all pointers are to live values; the kernel reads args.size bytes of value.
    let ret = unsafe {
        libc::syscall(
            SYS_SETXATTRAT,
            proc_fds()?.as_raw_fd(),
            path.as_c_str().as_ptr(),
            0,
            name.as_ptr(),
            &raw const args,
            size_of::<Args>(),
        )
    };
    check(ret).map(drop)
}

/// Removes an attribute of the descriptor's object.
pub fn remove<Fd: AsFd>(fd: Fd, name: &CStr) -> Result<()> {
    if !has_at() {
        return rustix::fs::removexattr(proc_path(fd, None), name);
    }
    let path = FdName::of(fd);
    // SAFETY: all pointers are to live NUL-terminated strings.
    let ret = unsafe {
        libc::syscall(SYS_REMOVEXATTRAT, proc_fds()?.as_raw_fd(), path.as_c_str().as_ptr(), 0, name.as_ptr())
    };
    check(ret).map(drop)
}

/// The names of all attributes, each ended by NUL. `RANGE` when `buf` is too small.
pub fn list<Fd: AsFd>(fd: Fd, buf: &mut [u8]) -> Result<usize> {
    if !has_at() {
        return rustix::fs::listxattr(proc_path(fd, None), buf);
    }
    let path = FdName::of(fd);
    // SAFETY: the kernel writes at most buf.len() bytes to buf.
    check(unsafe {
        libc::syscall(
            SYS_LISTXATTRAT,
            proc_fds()?.as_raw_fd(),
            path.as_c_str().as_ptr(),
            0,
            buf.as_mut_ptr(),
            buf.len(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};

    #[test]
    fn through_an_o_path_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "").unwrap();
        let fd = rustix::fs::open(dir.path().join("f"), OFlags::PATH, Mode::empty()).unwrap();
        match set(&fd, c"user.t", b"hello") {
            Err(Errno::OPNOTSUPP) => return,
            other => other.unwrap(),
        }
        let mut buf = [0; 16];
        assert_eq!(get(&fd, c"user.t", &mut buf), Ok(5));
        let parent = rustix::fs::open(dir.path(), OFlags::PATH, Mode::empty()).unwrap();
        assert_eq!(get_at(&parent, c"f", c"user.t", &mut buf), Ok(5));
        assert_eq!(&buf[..5], b"hello");
        let n = list(&fd, &mut buf).unwrap();
        assert!(buf[..n].split(|b| *b == 0).any(|name| name == b"user.t"));
        remove(&fd, c"user.t").unwrap();
        assert_eq!(get(&fd, c"user.t", &mut buf), Err(Errno::NODATA));
    }
}
