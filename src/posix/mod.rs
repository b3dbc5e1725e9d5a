//! The exported path: everything that touches it. All of it blocks; it runs on an export's workers, under the
//! identity that the caller assumed (`sys::creds`).
//!
//! Resolution is always by descriptor beneath the export's root. A name is looked up exactly first, with one
//! `openat2` for the whole path; only a miss consults the per-directory name index.

mod acl;
mod attr;
mod bulk;
mod cached;
mod descriptor;
mod dosattrib;
mod ea;
mod export;
mod extents;
mod facts;
mod fresh;
mod index;
mod lasting;
mod locks;
mod lookup;
mod names;
mod ntacl;
mod object;
mod ops;
mod ours;
mod path;
mod quota;
mod records;
mod rename;
mod reparse;
mod resolve;
mod rights;
mod scan;
mod security;
mod short;
mod side;
mod stat;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod times;
mod tunnel;
mod unstored;
mod watcher;

pub use crate::sys::handle::FileHandle;
pub use cached::{any as any_cached, tidy as tidy_cached};
pub use descriptor::Heritage;
pub use ea::Ea;
pub use export::{Export, Policy, Symlinks};
pub use facts::{CaseRule, Facts, Locality, Volume};
pub use fresh::Freshness;
pub use lasting::Lasting;
pub use lookup::{Found, Last, Lookup, Missing, Target};
pub use names::{push_disk, to_smb as name_to_smb};
pub use object::{Append, DataAccess, Kind, Object};
pub use ops::{Created, NewFile};
pub use ours::OwnView;
pub use path::{RelPath, SmbPath, Stream, parse_stream};
pub use quota::Quota;
pub use records::{Edit as RecordEdit, Records};
pub use reparse::{Node, SpecialKind};
pub use rights::Rights;
pub use scan::{DirScan, Entry};
pub use side::{MemorySide, SideStore};
pub use stat::{Stat, key, key_of};
pub use status::of_errno;
pub use stream::{StreamInfo, stream_allocation};
pub use times::Times;
pub use watcher::Watcher;

/// What every function here answers: the errno has been through the one table (`status`).
pub type Result<T> = std::result::Result<T, crate::types::NtStatus>;
