//! Values that every layer speaks of: ids, status codes, masks, times. No I/O, no state.

mod access;
mod dialect;
mod ids;
mod lease;
mod macros;
mod status;
mod time;
mod upcase;

pub use access::{AccessMask, CreateDisposition, CreateOptions, FileAttributes, ShareAccess};
pub use dialect::Dialect;
pub use ids::{AsyncId, ConnId, FileId, Guid, LeaseKey, MessageId, NodeKey, OpenId, SessionId, TreeId};
pub use lease::{LeaseState, OplockLevel};
pub(crate) use macros::open_enum;
pub use status::NtStatus;
pub use time::FileTime;
pub use upcase::{same_name, upcase};
