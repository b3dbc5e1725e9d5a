//! Reading a directory, resumable.

use super::{Export, Kind, Object, Result, Stat};

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// As SMB spells it.
    pub name: String,
    /// As it stands on disk.
    pub disk: Box<[u8]>,
    /// Where the file system tells it with the name.
    pub kind: Option<Kind>,
    pub ino: u64,
}

/// A place in a directory listing. It moves the position of the directory's own descriptor: one scan at a time
/// per `Object`. `.` and `..` come first.
#[derive(Debug, Default)]
pub struct DirScan {}

impl DirScan {
    pub fn new() -> DirScan {
        unreachable!()
    }
    /// Starts again from the beginning.
    pub fn rewind(&mut self) {
        unreachable!()
    }
    /// The next name without looking at it; `None` at the end. `directory` must be open for reading data.
    pub fn next(&mut self, _export: &Export, _directory: &Object) -> Result<Option<Entry>> {
        unreachable!()
    }
    /// Puts the last entry back (it did not fit into the answer): `next` gives it again.
    pub fn unread(&mut self, _entry: Entry) {
        unreachable!()
    }
}

impl Export {
    /// The facts of one entry; `None` when it has vanished since. Symlinks are followed as the policy says.
    pub fn stat_entry(&self, _directory: &Object, _entry: &Entry) -> Result<Option<Stat>> {
        unreachable!()
    }
}
