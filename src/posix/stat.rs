//! What is known of one file or directory.

use super::Kind;
use crate::types::{FileAttributes, FileTime, NodeKey};

/// Facts of one object at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub key: NodeKey,
    pub kind: Kind,
    /// Bytes; 0 for directories.
    pub size: u64,
    /// Bytes taken on disk (blocks of 512); 0 for directories.
    pub allocation: u64,
    /// From `user.DOSATTRIB`, else the birth time, else the oldest of the others.
    pub created: FileTime,
    pub accessed: FileTime,
    pub written: FileTime,
    pub changed: FileTime,
    /// As the wire has them: never empty (`NORMAL`), `DIRECTORY` set for directories.
    pub attributes: FileAttributes,
    pub nlink: u32,
    /// Unix mode with type bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}
