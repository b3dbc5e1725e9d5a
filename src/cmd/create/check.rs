//! What can be said of a CREATE without looking at the disk, or by one look (MS-SMB2 3.3.5.9, MS-FSA 2.1.5.1).

use crate::posix::{Kind, Stat};
use crate::types::{AccessMask, CreateDisposition, CreateOptions, FileAttributes, NtStatus, ShareAccess};
use crate::wire::create::{CreateRequest, ImpersonationLevel};

/// Attributes that a client may ask for; the rest is ignored or refused.
const SETTABLE: FileAttributes = FileAttributes::from_bits_retain(0x0000_7FB7);

/// The request by itself.
/// `privileged`: the user has the privileges of an administrator.
pub fn request(request: &CreateRequest<'_>, privileged: bool) -> Result<(), NtStatus> {
    let options = request.create_options;
    if request.name.starts_with('\\') {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if request.impersonation_level > ImpersonationLevel::DELEGATE {
        return Err(NtStatus::BAD_IMPERSONATION_LEVEL);
    }
    access(request.desired_access, privileged)?;
    if request.create_disposition > CreateDisposition::OVERWRITE_IF
        || request.share_access.bits() & !ShareAccess::from_bits_truncate(7).bits() != 0
        || !SETTABLE.contains(request.file_attributes)
        || options.bits() & 0xFF00_0000 != 0
        || options.contains(CreateOptions::DIRECTORY_FILE | CreateOptions::NON_DIRECTORY_FILE)
    {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if options.intersects(
        CreateOptions::CREATE_TREE_CONNECTION
            | CreateOptions::OPEN_BY_FILE_ID
            | CreateOptions::RESERVE_OPFILTER,
    ) {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    if options.contains(CreateOptions::DIRECTORY_FILE)
        && matches!(
            request.create_disposition,
            CreateDisposition::SUPERSEDE | CreateDisposition::OVERWRITE | CreateDisposition::OVERWRITE_IF
        )
    {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if options.contains(CreateOptions::DELETE_ON_CLOSE)
        && !request.desired_access.map_generic().intersects(AccessMask::DELETE | AccessMask::MAXIMUM_ALLOWED)
    {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(())
}

fn access(wanted: AccessMask, privileged: bool) -> Result<(), NtStatus> {
    let known = AccessMask::FILE_ALL
        | AccessMask::MAXIMUM_ALLOWED
        | AccessMask::ACCESS_SYSTEM_SECURITY
        | AccessMask::GENERIC_ALL
        | AccessMask::GENERIC_EXECUTE
        | AccessMask::GENERIC_READ
        | AccessMask::GENERIC_WRITE;
    if wanted.is_empty() || !known.contains(wanted) {
        return Err(NtStatus::ACCESS_DENIED);
    }
    if wanted.contains(AccessMask::ACCESS_SYSTEM_SECURITY) && !privileged {
        return Err(NtStatus::PRIVILEGE_NOT_HELD);
    }
    Ok(())
}

/// What stands there against what is asked for.
pub fn kind(stat: &Stat, options: CreateOptions, disposition: CreateDisposition) -> Result<(), NtStatus> {
    if disposition == CreateDisposition::CREATE {
        return Err(NtStatus::OBJECT_NAME_COLLISION);
    }
    let directory = stat.kind == Kind::Directory;
    if directory && options.contains(CreateOptions::NON_DIRECTORY_FILE) {
        return Err(NtStatus::FILE_IS_A_DIRECTORY);
    }
    if !directory && options.contains(CreateOptions::DIRECTORY_FILE) {
        return Err(NtStatus::NOT_A_DIRECTORY);
    }
    if stat.kind == Kind::Symlink && !options.contains(CreateOptions::OPEN_REPARSE_POINT) {
        // Dangling, or not to be followed on this share.
        return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
    }
    let overwrites = !matches!(disposition, CreateDisposition::OPEN | CreateDisposition::OPEN_IF);
    match (overwrites, stat.kind) {
        (true, Kind::Directory) => Err(NtStatus::OBJECT_NAME_COLLISION),
        (true, Kind::Symlink | Kind::Special) => Err(NtStatus::ACCESS_DENIED),
        _ => Ok(()),
    }
}

/// A hidden or system file is overwritten only by one that is to be so too (MS-FSA 2.1.5.1.2).
pub fn overwrite(present: FileAttributes, wanted: FileAttributes) -> Result<(), NtStatus> {
    for mark in [FileAttributes::HIDDEN, FileAttributes::SYSTEM] {
        if present.contains(mark) && !wanted.contains(mark) {
            return Err(NtStatus::ACCESS_DENIED);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_access_at_all_is_denied_and_sacl_access_is_a_privilege() {
        assert_eq!(access(AccessMask::empty(), true), Err(NtStatus::ACCESS_DENIED));
        assert_eq!(access(AccessMask::from_bits_retain(0x0080_0000), true), Err(NtStatus::ACCESS_DENIED));
        assert_eq!(access(AccessMask::ACCESS_SYSTEM_SECURITY, false), Err(NtStatus::PRIVILEGE_NOT_HELD));
        assert_eq!(access(AccessMask::ACCESS_SYSTEM_SECURITY, true), Ok(()));
        assert_eq!(access(AccessMask::GENERIC_READ, false), Ok(()));
    }

    #[test]
    fn hidden_files_are_overwritten_by_hidden_files() {
        let hidden = FileAttributes::HIDDEN | FileAttributes::ARCHIVE;
        assert_eq!(overwrite(hidden, FileAttributes::NORMAL), Err(NtStatus::ACCESS_DENIED));
        assert_eq!(overwrite(hidden, FileAttributes::HIDDEN), Ok(()));
        assert_eq!(overwrite(FileAttributes::ARCHIVE, FileAttributes::SYSTEM), Ok(()));
    }
}
