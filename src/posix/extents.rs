//! Shared blocks and compression of single files, where the file system can (`Facts::shares_extents`, `compresses`).

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Export, Kind, Object, Result, attr, of_errno};
use crate::sys;
use crate::types::NtStatus;

impl Object {
    /// Makes a range of `to` the same blocks as one of this file. `to` grows if it is shorter; offsets and length
    /// are whole blocks, but for a range that ends with both files. INVALID_PARAMETER: they are not, or the files
    /// are on two file systems.
    pub fn share_extents(&self, from: u64, to: &Object, at: u64, len: u64) -> Result<()> {
        if self.is_stream() || to.is_stream() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        match sys::extents::share(&self.fd, from, &to.fd, at, len) {
            Err(Errno::XDEV | Errno::INVAL | Errno::TXTBSY) => Err(NtStatus::INVALID_PARAMETER),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY) => Err(NtStatus::INVALID_DEVICE_REQUEST),
            other => other.map_err(of_errno),
        }
    }
}

impl Export {
    /// What is written from now on is compressed, or is not; what is made in the directory inherits it. NOT_SUPPORTED:
    /// not on this file system.
    pub fn set_compressed(&self, object: &Object, compressed: bool) -> Result<()> {
        if !self.facts().compresses || !matches!(object.kind, Kind::File | Kind::Directory) {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let again;
        let fd = if object.has_data() {
            &object.fd
        } else {
            again = sys::file::reopen(&object.fd, OFlags::RDONLY | OFlags::NONBLOCK).map_err(of_errno)?;
            &again
        };
        let set = || sys::extents::set_compressed(fd, compressed);
        match set() {
            // The kernel keeps this for the owner; SMB grants it to whoever may write.
            Err(Errno::ACCESS | Errno::PERM) => attr::with_process_rights(set),
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTTY) => Err(NtStatus::NOT_SUPPORTED),
            other => other.map_err(of_errno),
        }
    }
}
