//! The exported path: everything that touches it. All of it blocks; it runs on an export's workers, under the
//! identity that the caller assumed (`sys::creds`).
//!
//! Resolution is always by descriptor beneath the export's root. A name is looked up exactly first, with one
//! `openat2` for the whole path; only a miss consults the per-directory name index.

mod export;
mod lookup;
mod names;
mod object;
mod ops;
mod path;
mod scan;
mod security;
mod side;
mod stat;
mod status;

pub use export::{CaseRule, Export, Facts, Locality, Policy, Symlinks, Volume};
pub use lookup::{Found, Last, Lookup, Missing, Target};
pub use object::{Append, DataAccess, Kind, Object};
pub use ops::{Created, NewFile, Times};
pub use path::{RelPath, SmbPath, Stream};
pub use scan::{DirScan, Entry};
pub use side::{MemorySide, SideStore};
pub use stat::Stat;
pub use status::of_errno;

/// What every function here answers: the errno has been through the one table (`status`).
pub type Result<T> = std::result::Result<T, crate::types::NtStatus>;
