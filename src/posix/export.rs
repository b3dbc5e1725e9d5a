//! The root of one share and what is known of its file system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Result, SideStore};
use crate::types::FileTime;

/// What a symlink on disk means to clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Symlinks {
    /// Followed while the target stays inside the export.
    #[default]
    Inside,
    Never,
    /// Followed wherever it goes.
    Outside,
}

/// The share's settings that matter here. (Who owns new files is the identity the caller assumes.)
#[derive(Clone)]
pub struct Policy {
    pub symlinks: Symlinks,
    /// For new files, exactly; `None`: 0666 without `umask`.
    pub file_mode: Option<u32>,
    /// For new directories, exactly; `None`: 0777 without `umask`.
    pub dir_mode: Option<u32>,
    /// What the process had before the daemon set it to 0.
    pub umask: u32,
    /// Where DOS attributes live when the file system has no xattrs.
    pub side: Arc<dyn SideStore>,
}

impl Default for Policy {
    fn default() -> Policy {
        unreachable!()
    }
}

/// How far a file system's changes can be seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locality {
    Local,
    Fuse,
    Remote,
}

/// Whether the file system itself tells `a` from `A`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaseRule {
    Sensitive,
    Insensitive,
}

/// Found out once, when the export opens.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As in mountinfo: `ext4`, `fuse.rclone`.
    pub fs_type: String,
    /// As in mountinfo: `/dev/sda1`, `remote:`.
    pub source: String,
    pub magic: u64,
    pub locality: Locality,
    pub xattrs: bool,
    pub read_only: bool,
    pub case: CaseRule,
    pub device: u64,
    /// The volume's serial number: the same every time this path is exported.
    pub serial: u32,
}

/// MS-FSCC 2.5: what the volume classes are made of.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Bytes; `free` counts what is kept for root, `available` does not.
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub sector_size: u32,
    pub cluster_size: u32,
    pub serial: u32,
    pub label: String,
    /// Told to clients: `NTFS`.
    pub fs_name: &'static str,
    /// MS-FSCC 2.5.1 FileSystemAttributes.
    pub flags: u32,
    /// Characters.
    pub max_name: u32,
    pub created: FileTime,
}

/// One exported path.
pub struct Export {}

impl Export {
    /// Opens the root directory as the process (not as a user) and finds out the facts. Blocks.
    pub fn open(_path: &Path, _policy: Policy) -> std::io::Result<Export> {
        unreachable!()
    }
    pub fn path(&self) -> &PathBuf {
        unreachable!()
    }
    pub fn policy(&self) -> &Policy {
        unreachable!()
    }
    pub fn facts(&self) -> Arc<Facts> {
        unreachable!()
    }
    /// Still the file system that was exported? An error when the mount has vanished; reopens the root when it
    /// has come back. Called by `lookup` about once a second, and by tree connect.
    pub fn check(&self) -> Result<()> {
        unreachable!()
    }
    pub fn volume(&self) -> Result<Volume> {
        unreachable!()
    }
    /// How often a directory was read to build a name index.
    pub fn scans(&self) -> u64 {
        unreachable!()
    }
}
