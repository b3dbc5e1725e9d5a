//! From a client's path to an object.

use super::{Export, Object, RelPath, Result, SmbPath, Stat};
use crate::types::NodeKey;

/// Whether a symlink as the last component is followed (it is not under FILE_OPEN_REPARSE_POINT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    Follow,
    Keep,
}

/// Something stands at the path.
#[derive(Debug)]
pub struct Found {
    /// An `O_PATH` descriptor.
    pub object: Object,
    pub stat: Stat,
    /// With the case that is on disk.
    pub path: RelPath,
}

/// Nothing stands at the path, but its directory does.
#[derive(Debug)]
pub struct Missing {
    /// An `O_PATH` descriptor of the directory.
    pub parent: Object,
    /// The path a file made there will have: the directory in its true case, the name as the client spelled it.
    pub path: RelPath,
}

/// The answer of `Export::lookup`.
#[derive(Debug)]
pub enum Lookup {
    Found(Found),
    Missing(Missing),
}

/// Where a rename or a link goes to.
#[derive(Debug)]
pub struct Target {
    /// An `O_PATH` descriptor of the directory.
    pub parent: Object,
    /// The name as the client spelled it.
    pub path: RelPath,
    /// What stands there now, if anything does, in its true case (it may be the renamed file itself, when only
    /// the case changes).
    pub existing: Option<(NodeKey, RelPath)>,
}

impl Export {
    /// `OBJECT_PATH_NOT_FOUND` when a directory on the way is missing or is none.
    pub fn lookup(&self, _path: &SmbPath, _last: Last) -> Result<Lookup> {
        unreachable!()
    }
    /// Opens by on-disk path, exact case, last component not followed.
    pub fn open_rel(&self, _path: &RelPath) -> Result<Found> {
        unreachable!()
    }
    /// Resolves the directory of a rename's or link's destination.
    pub fn target(&self, _path: &SmbPath) -> Result<Target> {
        unreachable!()
    }
}
