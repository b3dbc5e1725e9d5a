//! Paths of the exported tree, as they are on disk.

use std::borrow::Borrow;
use std::sync::Arc;

/// A path beneath the export's root: on-disk bytes, components divided by `/`, no leading, trailing or double
/// `/`, no `.` and `..`. Empty: the root itself. Must be canonical: one object reached by one link has one
/// `RelPath`, in the case the disk has. Cheap to clone.
///
/// The order is by bytes, so everything beneath `p` lies between `p/` and `p0` (`0` follows `/`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Arc<[u8]>);

impl RelPath {
    /// The export's root.
    pub fn root() -> RelPath {
        RelPath(Arc::from(&b""[..]))
    }

    pub fn new(bytes: impl AsRef<[u8]>) -> RelPath {
        let bytes = bytes.as_ref();
        debug_assert!(!bytes.starts_with(b"/") && !bytes.ends_with(b"/"), "not canonical: {bytes:?}");
        RelPath(Arc::from(bytes))
    }

    /// A bound of a range of paths; need not be a path.
    pub(super) fn bound(bytes: Vec<u8>) -> RelPath {
        RelPath(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of an entry of this directory.
    #[must_use]
    pub fn child(&self, name: impl AsRef<[u8]>) -> RelPath {
        let name = name.as_ref();
        if self.is_root() {
            return RelPath::new(name);
        }
        let mut out = Vec::with_capacity(self.0.len() + 1 + name.len());
        out.extend_from_slice(&self.0);
        out.push(b'/');
        out.extend_from_slice(name);
        RelPath(out.into())
    }

    /// The directory it stands in. None for the root.
    #[must_use]
    pub fn parent(&self) -> Option<RelPath> {
        parent(&self.0).map(|p| RelPath(Arc::from(p)))
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        match self.0.iter().rposition(|&b| b == b'/') {
            Some(at) => &self.0[at + 1..],
            None => &self.0,
        }
    }

    /// Stands strictly below `dir`.
    pub fn is_beneath(&self, dir: &RelPath) -> bool {
        beneath(&self.0, &dir.0).is_some()
    }

    /// What it is called once `from`, which it is or stands beneath, is called `to`.
    #[must_use]
    pub fn moved(&self, from: &RelPath, to: &RelPath) -> Option<RelPath> {
        if self == from {
            return Some(to.clone());
        }
        beneath(&self.0, &from.0).map(|rest| to.child(rest))
    }
}

/// The parent of a path. None for the root.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(path.iter().rposition(|&b| b == b'/').map_or(&b""[..], |at| &path[..at]))
}

/// `path` relative to `dir`, if it stands strictly below it.
pub(super) fn beneath<'a>(path: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    if dir.is_empty() {
        return (!path.is_empty()).then_some(path);
    }
    path.strip_prefix(dir)?.strip_prefix(b"/")
}

impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for RelPath {
    fn from(text: &str) -> RelPath {
        RelPath::new(text)
    }
}

impl std::fmt::Debug for RelPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl std::fmt::Display for RelPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family() {
        let p = RelPath::from("a/b/c");
        assert_eq!(p.parent().unwrap(), RelPath::from("a/b"));
        assert_eq!(RelPath::from("a").parent().unwrap(), RelPath::root());
        assert_eq!(RelPath::root().parent(), None);
        assert_eq!(p.name(), b"c");
        assert_eq!(RelPath::root().child("x"), RelPath::from("x"));
        assert!(p.is_beneath(&RelPath::from("a")) && p.is_beneath(&RelPath::root()));
        assert!(!p.is_beneath(&p) && !RelPath::from("ab").is_beneath(&RelPath::from("a")));
    }

    #[test]
    fn follows_a_rename_of_an_ancestor() {
        let (from, to) = (RelPath::from("a/b"), RelPath::from("z"));
        assert_eq!(RelPath::from("a/b/c").moved(&from, &to), Some(RelPath::from("z/c")));
        assert_eq!(from.moved(&from, &to), Some(to.clone()));
        assert_eq!(RelPath::from("a/bc").moved(&from, &to), None);
    }
}
