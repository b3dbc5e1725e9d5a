//! errno to NtStatus: the one table.

use crate::types::NtStatus;
use rustix::io::Errno;

/// The status a client gets for an errno, whatever the operation was.
pub fn of_errno(errno: Errno) -> NtStatus {
    match errno {
        Errno::ACCESS | Errno::PERM => NtStatus::ACCESS_DENIED,
        Errno::NOENT => NtStatus::OBJECT_NAME_NOT_FOUND,
        Errno::NOTDIR => NtStatus::NOT_A_DIRECTORY,
        Errno::ISDIR => NtStatus::FILE_IS_A_DIRECTORY,
        Errno::EXIST => NtStatus::OBJECT_NAME_COLLISION,
        Errno::NOTEMPTY => NtStatus::DIRECTORY_NOT_EMPTY,
        Errno::XDEV => NtStatus::NOT_SAME_DEVICE,
        Errno::NAMETOOLONG => NtStatus::NAME_TOO_LONG,
        Errno::LOOP => NtStatus::OBJECT_PATH_NOT_FOUND,
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => NtStatus::DISK_FULL,
        Errno::ROFS => NtStatus::MEDIA_WRITE_PROTECTED,
        Errno::MFILE | Errno::NFILE => NtStatus::TOO_MANY_OPENED_FILES,
        Errno::NOMEM | Errno::NOBUFS => NtStatus::INSUFFICIENT_RESOURCES,
        Errno::INVAL | Errno::OVERFLOW => NtStatus::INVALID_PARAMETER,
        Errno::TXTBSY | Errno::BUSY | Errno::AGAIN => NtStatus::SHARING_VIOLATION,
        Errno::MLINK => NtStatus::TOO_MANY_LINKS,
        Errno::OPNOTSUPP | Errno::NOSYS => NtStatus::NOT_SUPPORTED,
        Errno::NODATA => NtStatus::NONEXISTENT_EA_ENTRY,
        Errno::TOOBIG => NtStatus::EA_TOO_LARGE,
        Errno::RANGE => NtStatus::BUFFER_TOO_SMALL,
        Errno::BADF => NtStatus::ACCESS_DENIED,
        Errno::INTR | Errno::CANCELED => NtStatus::CANCELLED,
        Errno::IO | Errno::REMOTEIO | Errno::BADMSG | Errno::UCLEAN => NtStatus::IO_DEVICE_ERROR,
        // The backend of a mount died, or the file system was taken away.
        Errno::NOTCONN
        | Errno::SHUTDOWN
        | Errno::CONNABORTED
        | Errno::CONNRESET
        | Errno::CONNREFUSED
        | Errno::STALE
        | Errno::NODEV
        | Errno::NXIO
        | Errno::NOMEDIUM => NtStatus::DEVICE_DOES_NOT_EXIST,
        Errno::TIMEDOUT | Errno::HOSTDOWN | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::NETUNREACH => {
            NtStatus::IO_TIMEOUT
        }
        _ => NtStatus::UNSUCCESSFUL,
    }
}

/// For `std::io` errors of the few calls that make them.
pub(super) fn of_io(error: &std::io::Error) -> NtStatus {
    Errno::from_io_error(error).map_or(NtStatus::UNSUCCESSFUL, of_errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vanished_mount_is_no_missing_name() {
        for errno in [Errno::NOTCONN, Errno::STALE, Errno::IO] {
            let status = of_errno(errno);
            assert!(status.is_error());
            assert_ne!(status, NtStatus::OBJECT_NAME_NOT_FOUND);
        }
        assert_eq!(of_errno(Errno::NOSPC), NtStatus::DISK_FULL);
    }
}
