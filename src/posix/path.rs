//! Paths as SMB writes them and as the disk holds them.

use super::Result;

/// A path on the export: on-disk names joined by `/`, relative to the root, true case. Empty: the root.
/// Bytes, since names on disk need not be UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct RelPath(Box<[u8]>);

impl RelPath {
    pub fn root() -> RelPath {
        unreachable!()
    }
    pub fn is_root(&self) -> bool {
        unreachable!()
    }
    pub fn as_bytes(&self) -> &[u8] {
        unreachable!()
    }
    /// The directory that holds it; `None` for the root.
    pub fn parent(&self) -> Option<RelPath> {
        unreachable!()
    }
    /// The last component on disk; empty for the root.
    pub fn name(&self) -> &[u8] {
        unreachable!()
    }
    pub fn join(&self, _name: &[u8]) -> RelPath {
        unreachable!()
    }
    /// As SMB spells it: `\` between the components, no leading one, names mapped (`names`).
    pub fn to_smb(&self) -> String {
        unreachable!()
    }
    /// What remains after the directory `base`: `Some("")` for itself.
    pub fn strip_prefix(&self, _base: &RelPath) -> Option<&[u8]> {
        unreachable!()
    }
}

/// `name:stream:type` behind the last component (MS-FSCC 2.1.5). An empty stream name of type `$DATA` is the
/// file itself and is never given here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    pub name: String,
}

/// A path a client sent, checked. Empty: the root of the share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmbPath {
    disk: RelPath,
    stream: Option<Stream>,
}

impl SmbPath {
    /// `\`-separated. `OBJECT_NAME_INVALID` for what no file can be called.
    pub fn parse(_text: &str) -> Result<SmbPath> {
        unreachable!()
    }
    pub fn root() -> SmbPath {
        unreachable!()
    }
    pub fn is_root(&self) -> bool {
        unreachable!()
    }
    pub fn stream(&self) -> Option<&Stream> {
        unreachable!()
    }
    /// The names as they would stand on disk, in the client's case.
    pub fn as_rel(&self) -> &RelPath {
        unreachable!()
    }
}
