//! errno to NtStatus: the one table.

use crate::types::NtStatus;
use rustix::io::Errno;

/// The status a client gets for an errno, whatever the operation was.
pub fn of_errno(_errno: Errno) -> NtStatus {
    unreachable!()
}
