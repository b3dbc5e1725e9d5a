//! What `posix` does, on real directories. The machine's kernel and `/tmp` have the last word.

mod attributes;
mod bulk;
mod cached;
mod descriptor;
mod escape;
mod files;
mod index;
mod locks;
mod lookup;
mod mounts;
mod names;
mod rename;
mod reparse;
mod scan;
mod security;
mod streams;

use std::path::{Path, PathBuf};

use super::*;
use crate::types::{FileAttributes, NtStatus};

/// An exported temporary directory.
pub struct Share {
    dir: tempfile::TempDir,
    pub export: Export,
}

impl Share {
    pub fn new() -> Share {
        Share::with(Policy::default())
    }

    pub fn with(policy: Policy) -> Share {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        let export = Export::open(&root, policy).unwrap();
        Share { dir, export }
    }

    /// The path of something beneath the root, for the world outside SMB.
    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    pub fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.at(path), text).unwrap();
    }

    pub fn mkdir(&self, path: &str) {
        std::fs::create_dir_all(self.at(path)).unwrap();
    }

    pub fn look(&self, path: &str) -> Result<Lookup> {
        self.export.lookup(&SmbPath::parse(path)?, Last::Follow)
    }

    pub fn found(&self, path: &str) -> Found {
        match self.look(path).unwrap() {
            Lookup::Found(found) => found,
            Lookup::Missing(_) => panic!("{path} is missing"),
        }
    }

    pub fn missing(&self, path: &str) -> Missing {
        match self.look(path).unwrap() {
            Lookup::Found(found) => panic!("{path} is there as {:?}", found.path),
            Lookup::Missing(missing) => missing,
        }
    }

    pub fn is_missing(&self, path: &str) -> bool {
        matches!(self.look(path).unwrap(), Lookup::Missing(_))
    }

    pub fn create(&self, path: &str) -> Created {
        self.export.create(&self.missing(path), new_file()).unwrap()
    }

    /// Opened for everything.
    pub fn open(&self, path: &str) -> Object {
        let mut object = self.found(path).object;
        self.export.open_data(&mut object, DataAccess { read: true, write: true }).unwrap();
        object
    }

    pub fn target(&self, path: &str) -> Target {
        self.export.target(&SmbPath::parse(path).unwrap()).unwrap()
    }
}

pub fn new_file() -> NewFile {
    NewFile { directory: false, ..NewFile::default() }
}

pub fn new_dir() -> NewFile {
    NewFile { directory: true, ..NewFile::default() }
}

pub fn ino(path: impl AsRef<Path>) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
}

pub fn err<T>(result: Result<T>) -> NtStatus {
    result.err().expect("an error")
}

/// Tests that act as users or mount something need root.
pub fn is_root() -> bool {
    crate::sys::creds::can_switch()
}

/// Runs `work` on a thread of its own that acts as a user.
pub fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    let creds = crate::sys::creds::Creds { uid, gid: uid, groups: [].into() };
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let _guard = crate::sys::creds::assume(&creds).unwrap();
                work()
            })
            .join()
            .unwrap()
    })
}
