//! A symlink at the end of the path that is not followed here: the client is told where it leads
//! (MS-SMB2 2.2.2.2.1), so it can show, follow or remove it by itself.

use crate::cmd::{Fail, ioctl};
use crate::posix::{Export, Kind, Last, Lookup, SmbPath};
use crate::types::NtStatus;
use crate::wire::error::SymlinkErrorResponse;
use crate::wire::fscc::reparse::Reparse;

/// What to say when looking up `path` failed with `status`, symlinks being followed.
pub fn or_stopped(export: &Export, path: &SmbPath, status: NtStatus) -> Fail {
    if !matches!(status, NtStatus::ACCESS_DENIED | NtStatus::OBJECT_NAME_NOT_FOUND) {
        return status.into();
    }
    match export.lookup(path, Last::Keep) {
        Ok(Lookup::Found(found)) if found.stat.kind == Kind::Symlink => match found.object.read_link() {
            Ok(text) => Fail::With(NtStatus::STOPPED_ON_SYMLINK, data(&text)),
            Err(_) => status.into(),
        },
        _ => status.into(),
    }
}

/// Nothing of the path stands behind the link.
fn data(text: &[u8]) -> Vec<u8> {
    let Reparse::Symlink { substitute_name, print_name, relative } = ioctl::link_of(text) else {
        return Vec::new();
    };
    SymlinkErrorResponse { unparsed_path_length: 0, relative, substitute_name, print_name }.to_bytes()
}
