//! Paths as SMB writes them and as the disk holds them.

use super::{Result, names};
use crate::types::NtStatus;

/// A path on the export: on-disk names joined by `/`, relative to the root. Empty: the root.
/// Bytes, since names on disk need not be UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct RelPath(Box<[u8]>);

impl RelPath {
    pub fn root() -> RelPath {
        RelPath::default()
    }

    /// `bytes` must have the form above; what the kernel makes of it stays beneath the root in any case.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> RelPath {
        RelPath(bytes.into())
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The directory that holds it; `None` for the root.
    pub fn parent(&self) -> Option<RelPath> {
        match self.split() {
            _ if self.is_root() => None,
            (dir, _) => Some(RelPath(dir.into())),
        }
    }

    /// The last component on disk; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.split().1
    }

    /// Directory and last component; both may be empty.
    pub(super) fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|&b| b == b'/') {
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (&[], &self.0),
        }
    }

    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|c| !c.is_empty())
    }

    #[must_use]
    pub fn join(&self, name: &[u8]) -> RelPath {
        let mut out = Vec::with_capacity(self.0.len() + 1 + name.len());
        out.extend_from_slice(&self.0);
        if !self.is_root() && !name.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(name);
        RelPath(out.into())
    }

    /// As SMB spells it: `\` between the components, no leading one, names mapped (`names`).
    pub fn to_smb(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for name in self.components() {
            if !out.is_empty() {
                out.push('\\');
            }
            names::push_smb(name, &mut out);
        }
        out
    }

    /// What remains below the directory `base`: empty for `base` itself.
    pub fn strip_prefix(&self, base: &RelPath) -> Option<&[u8]> {
        let rest = self.0.strip_prefix(&*base.0)?;
        match rest.first() {
            _ if base.is_root() => Some(rest),
            None => Some(rest),
            Some(b'/') => Some(&rest[1..]),
            Some(_) => None,
        }
    }
}

/// The stream behind the last component (MS-FSCC 2.1.5). The unnamed `$DATA` stream is the file itself and is
/// never given here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    pub name: String,
}

/// A path a client sent, checked. Empty: the root of the share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmbPath {
    disk: RelPath,
    stream: Option<Stream>,
    data: bool,
}

impl SmbPath {
    /// `\`-separated; `/` is let pass as one, as by some clients. `OBJECT_NAME_INVALID` for what no file can be called, `OBJECT_PATH_SYNTAX_BAD` for what leads
    /// out of the share; one `\` at the end is let pass. `..` takes the name before it away, whatever that is.
    /// A leading `\` is the caller's to refuse (INVALID_PARAMETER, MS-SMB2 3.3.5.9); here it is an empty name.
    pub fn parse(text: &str) -> Result<SmbPath> {
        let (path, suffix) = match text.find(':') {
            Some(colon) => {
                let (path, stream) = text.split_at(colon);
                let suffix = parse_suffix(&stream[1..])?;
                // Only the share's root has no name of its own.
                if path.ends_with('\\') {
                    return Err(NtStatus::OBJECT_NAME_INVALID);
                }
                (path, suffix)
            }
            None => (text.strip_suffix('\\').unwrap_or(text), Suffix::Index),
        };
        if path.is_empty() && !text.is_empty() && !text.starts_with(':') {
            return Err(NtStatus::OBJECT_NAME_INVALID);
        }
        let mut disk = Vec::with_capacity(path.len());
        for name in path.split(['\\', '/']).filter(|_| !path.is_empty()) {
            match (name, disk.is_empty()) {
                ("..", true) => return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD),
                ("..", false) => {
                    disk.truncate(disk.iter().rposition(|&b| b == b'/').unwrap_or(0));
                    continue;
                }
                (_, true) => {}
                (_, false) => disk.push(b'/'),
            }
            names::push_disk(name, &mut disk)?;
        }
        let data = suffix == Suffix::Data;
        let stream = match suffix {
            Suffix::Stream(name) => Some(Stream { name }),
            Suffix::Data | Suffix::Index => None,
        };
        Ok(SmbPath { disk: RelPath(disk.into()), stream, data })
    }

    pub fn root() -> SmbPath {
        SmbPath { disk: RelPath::root(), stream: None, data: false }
    }

    /// A path known on disk, to be looked up again.
    pub fn of_rel(path: &RelPath) -> SmbPath {
        SmbPath { disk: path.clone(), stream: None, data: false }
    }

    pub fn is_root(&self) -> bool {
        self.disk.is_root()
    }

    pub fn stream(&self) -> Option<&Stream> {
        self.stream.as_ref()
    }

    /// `::$DATA` was said: the file's own data, which a directory does not have.
    pub fn is_data(&self) -> bool {
        self.data
    }

    /// The names as they would stand on disk, in the client's case.
    pub fn as_rel(&self) -> &RelPath {
        &self.disk
    }
}

/// What stands behind the first `:` of a path.
#[derive(PartialEq, Eq)]
enum Suffix {
    Stream(String),
    /// The unnamed stream.
    Data,
    /// What a directory has for one.
    Index,
}

/// A stream's name, as it comes in the destination of a rename: without the first `:`. None: the unnamed one.
pub fn parse_stream(text: &str) -> Result<Option<Stream>> {
    match parse_suffix(text)? {
        Suffix::Stream(name) => Ok(Some(Stream { name })),
        Suffix::Data => Ok(None),
        Suffix::Index => Err(NtStatus::OBJECT_NAME_INVALID),
    }
}

/// `name`, `name:$DATA`, `:$DATA`, or a directory's own `$I30:$INDEX_ALLOCATION`.
fn parse_suffix(text: &str) -> Result<Suffix> {
    let (name, kind) = match text.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (text, None),
    };
    let bad = |c: char| matches!(c, '\0' | '/' | '\\' | ':');
    if name.contains(bad) || name.encode_utf16().count() > names::MAX_UNITS {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    match kind {
        None if name.is_empty() => Err(NtStatus::OBJECT_NAME_INVALID),
        Some(kind) if kind.eq_ignore_ascii_case("$INDEX_ALLOCATION") => {
            match name.is_empty() || name.eq_ignore_ascii_case("$I30") {
                true => Ok(Suffix::Index),
                false => Err(NtStatus::OBJECT_NAME_INVALID),
            }
        }
        Some(kind) if !kind.eq_ignore_ascii_case("$DATA") => Err(NtStatus::OBJECT_NAME_INVALID),
        _ if name.is_empty() => Ok(Suffix::Data),
        _ => Ok(Suffix::Stream(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> Result<Vec<u8>> {
        SmbPath::parse(text).map(|p| p.as_rel().as_bytes().to_vec())
    }

    #[test]
    fn components() {
        assert_eq!(disk("").unwrap(), b"");
        assert_eq!(disk("a\\b c\\d").unwrap(), b"a/b c/d");
        assert_eq!(disk("a\\").unwrap(), b"a");
        assert_eq!(disk("x\u{F022}y\\z").unwrap(), b"x:y/z");
        assert_eq!(disk("a\\..\\b").unwrap(), b"b");
        assert_eq!(disk("a\\b\\..").unwrap(), b"a");
        assert_eq!(disk("a/b\\c").unwrap(), b"a/b/c");
        assert_eq!(disk("a\\..").unwrap(), b"");
        for out in ["..", "..\\a", "..\\..\\..", "a\\..\\..\\b"] {
            assert_eq!(SmbPath::parse(out), Err(NtStatus::OBJECT_PATH_SYNTAX_BAD), "{out:?}");
        }
        for bad in ["\\", "\\a", "a\\\\b", ".", "a\\.", "/a", "a//b", "a\\*", "a:b\\c", "a\\:s"] {
            assert_eq!(disk(bad), Err(NtStatus::OBJECT_NAME_INVALID), "{bad}");
        }
    }

    #[test]
    fn streams() {
        let stream = |t: &str| SmbPath::parse(t).map(|p| p.stream().map(|s| s.name.clone()));
        assert_eq!(stream("f:s"), Ok(Some("s".into())));
        assert_eq!(stream("f:s:$data"), Ok(Some("s".into())));
        assert_eq!(stream("f::$DATA"), Ok(None));
        assert_eq!(stream("d:$I30:$INDEX_ALLOCATION"), Ok(None));
        assert_eq!(stream(":s"), Ok(Some("s".into())));
        for bad in ["f:", "f:s:", "f:s:$X", "f:a\\b", "f:s:$DATA:x"] {
            assert_eq!(stream(bad), Err(NtStatus::OBJECT_NAME_INVALID), "{bad}");
        }
    }

    #[test]
    fn relative_paths() {
        let p = RelPath::from_bytes(*b"a/b/c");
        assert_eq!(p.name(), b"c");
        assert_eq!(p.parent().unwrap().as_bytes(), b"a/b");
        assert_eq!(p.strip_prefix(&RelPath::from_bytes(*b"a")), Some(&b"b/c"[..]));
        assert_eq!(p.strip_prefix(&RelPath::from_bytes(*b"a/b/")), None);
        assert_eq!(RelPath::from_bytes(*b"ab").strip_prefix(&RelPath::from_bytes(*b"a")), None);
        assert_eq!(RelPath::root().join(b"x").as_bytes(), b"x");
        assert_eq!(p.to_smb(), "a\\b\\c");
        assert_eq!(RelPath::root().parent(), None);
    }
}
