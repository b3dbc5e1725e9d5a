//! What changes the tree: create, rename, link, remove; times and attributes.

use super::{DataAccess, Export, Missing, Object, RelPath, Result, Stat, Target};
use crate::types::{FileAttributes, FileTime};

/// How a new file or directory shall be.
#[derive(Clone, Copy, Debug)]
pub struct NewFile {
    pub directory: bool,
    /// READONLY, HIDDEN, SYSTEM, ... ; ARCHIVE is added to files.
    pub attributes: FileAttributes,
}

/// What was made. `object` of a file is open for data, read and write; of a directory, for reading.
#[derive(Debug)]
pub struct Created {
    pub object: Object,
    pub stat: Stat,
    pub path: RelPath,
}

/// Times to set; `None` leaves one as it is. (The change time cannot be set on Linux.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    pub created: Option<FileTime>,
    pub accessed: Option<FileTime>,
    pub written: Option<FileTime>,
}

impl Export {
    pub fn stat(&self, _object: &Object) -> Result<Stat> {
        unreachable!()
    }
    /// Replaces the `O_PATH` descriptor by one for data, checked by the kernel. `ACCESS_DENIED` for specials.
    pub fn open_data(&self, _object: &mut Object, _access: DataAccess) -> Result<()> {
        unreachable!()
    }
    /// `OBJECT_NAME_COLLISION` if somebody was first: look up again.
    pub fn create(&self, _at: &Missing, _how: NewFile) -> Result<Created> {
        unreachable!()
    }
    /// `how` as in `create`: what SUPERSEDE and OVERWRITE do to an existing file: size 0 and new attributes.
    pub fn overwrite(&self, _object: &Object, _how: NewFile, _supersede: bool) -> Result<Stat> {
        unreachable!()
    }
    /// Moves `object`, which stood at `from`. With `replace`, what stands at the target goes away; without,
    /// `OBJECT_NAME_COLLISION` (but not when that is `object` itself: a change of case). Returns the new path.
    pub fn rename(&self, _object: &Object, _from: &RelPath, _to: &Target, _replace: bool) -> Result<RelPath> {
        unreachable!()
    }
    pub fn link(&self, _object: &Object, _to: &Target, _replace: bool) -> Result<RelPath> {
        unreachable!()
    }
    /// Removes the name `path` of `object`; `OBJECT_NAME_NOT_FOUND` if something else stands there by now.
    pub fn remove(&self, _object: &Object, _path: &RelPath) -> Result<()> {
        unreachable!()
    }
    /// Whether a directory has no entries (before delete pending is set on it).
    pub fn is_empty(&self, _directory: &Object) -> Result<bool> {
        unreachable!()
    }
    pub fn set_times(&self, _object: &Object, _times: Times) -> Result<()> {
        unreachable!()
    }
    pub fn set_attributes(&self, _object: &Object, _attributes: FileAttributes) -> Result<()> {
        unreachable!()
    }
}
