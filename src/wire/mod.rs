//! Bytes to values and back: MS-SMB2 2.2, MS-FSCC, MS-DTYP. One file per command. No I/O, no state.
//!
//! Conventions: a message type is named as in MS-SMB2 2.2, its fields are the specification's names in
//! snake case, without offsets, lengths, counts, structure sizes and reserved fields. Requests borrow
//! from the message. Every type decodes and encodes, since the tests' and the benches' client speaks
//! with the same code.
//!
//! `decode` takes a reader that spans the message from its SMB2 header to its end (or NextCommand) and
//! stands behind the header. `encode` takes a writer whose base is the header and that stands behind it.

#[macro_use]
mod macros;

pub mod cancel;
pub mod change_notify;
pub mod close;
pub mod codec;
pub mod compound;
pub mod compression;
pub mod create;
pub mod create_context;
pub mod dtyp;
pub mod echo;
pub mod error;
#[cfg(any(test, feature = "internals"))]
pub mod every;
pub mod flush;
pub mod frame;
pub mod fscc;
pub mod header;
pub mod ioctl;
pub mod lock;
pub mod logoff;
pub mod negotiate;
pub mod negotiate_context;
pub mod oplock_break;
pub mod query_directory;
pub mod query_info;
pub mod rdma;
pub mod read;
pub mod session_setup;
pub mod set_info;
pub mod smb1;
pub mod tree_connect;
pub mod tree_disconnect;
pub mod write;

#[cfg(test)]
mod tests;
