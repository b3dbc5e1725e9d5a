//! The system calls, what else needs unsafe code, and no unsafe code anywhere else. Thin: arguments in, `Errno` out, no
//! policy.
//!
//! What `rustix` covers safely is called through it, here or at the place of use; what it does not (fsuid,
//! `faccessat2` by empty path, `getxattrat`, `getdents64` into an owned buffer, file handles) is made here.
#![allow(unsafe_code)]

mod bus_error;
pub mod creds;
pub mod dir;
pub mod extents;
pub mod fanotify;
pub mod file;
pub mod gcm;
pub mod ghash;
pub mod gssapi;
pub mod handle;
pub mod lock;
pub mod process;
pub mod quota;
pub mod room;
pub mod socket;
pub mod source;
pub mod window;
pub mod wipe;
pub mod xattr;

/// Turns the result of a raw call into a `Result`.
fn check(ret: libc::c_long) -> rustix::io::Result<usize> {
    if ret < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        Err(rustix::io::Errno::from_raw_os_error(errno))
    } else {
        Ok(ret as usize)
    }
}
