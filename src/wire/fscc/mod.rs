//! MS-FSCC: information classes, lists and control payloads as they stand in the buffers of
//! QUERY_INFO, SET_INFO, QUERY_DIRECTORY, CHANGE_NOTIFY and IOCTL.
//!
//! A reader or writer here begins at the buffer, not at the SMB2 header: alignment inside a buffer is
//! counted from its first byte (which SMB2 puts on a multiple of 8).

mod chain;
pub mod classes;
pub mod dir_info;
pub mod eas;
pub mod file_info;
pub mod fs_info;
pub mod fsctl;
mod layout;
pub mod links;
pub mod notify;
pub mod quota;
pub mod reparse;
pub mod set_info;
pub mod streams;
#[cfg(test)]
mod tests;

pub use classes::{FileInfoClass, FsInfoClass, InfoType};
pub use dir_info::{DirEntry, DirWriter};
pub use layout::{decode_name, encode_name};
