//! One open file or directory: one descriptor.

use std::os::fd::OwnedFd;

use super::Result;
use crate::types::NodeKey;

/// What stands at a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    File,
    Directory,
    /// Only when it was not followed (asked for, dangling, or against the share's policy).
    Symlink,
    /// FIFO, socket, device: metadata only, never opened for data.
    Special,
}

/// What the data descriptor is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DataAccess {
    pub read: bool,
    pub write: bool,
}

/// Where an append went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Append {
    pub offset: u64,
    pub written: usize,
}

/// One descriptor, `O_PATH` at first; `Export::open_data` makes it one for data. Its identity never changes.
#[derive(Debug)]
pub struct Object {
    #[expect(dead_code)]
    fd: OwnedFd,
    key: NodeKey,
    kind: Kind,
    data: DataAccess,
}

impl Object {
    pub fn key(&self) -> NodeKey {
        self.key
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// What the descriptor allows now; nothing while it is `O_PATH`.
    pub fn data(&self) -> DataAccess {
        self.data
    }
    /// Fills `buf` from `offset`; short only at the end of the file.
    pub fn read_at(&self, _offset: u64, _buf: &mut [u8]) -> Result<usize> {
        unreachable!()
    }
    /// The same without ever waiting for a disk or a backend; `None`: not possible now, use `read_at`.
    /// The only call of `posix` that may run on the reactor.
    pub fn read_nowait(&self, _offset: u64, _buf: &mut [u8]) -> Option<usize> {
        unreachable!()
    }
    /// Writes all of `buf`. `through`: on stable storage before it returns.
    pub fn write_at(&self, _offset: u64, _buf: &[u8], _through: bool) -> Result<usize> {
        unreachable!()
    }
    /// Writes at the end of the file, wherever that is now.
    pub fn append(&self, _buf: &[u8], _through: bool) -> Result<Append> {
        unreachable!()
    }
    pub fn set_size(&self, _size: u64) -> Result<()> {
        unreachable!()
    }
    /// MS-FSA 2.1.5.15.1: reserves space; below the size it cuts the file.
    pub fn set_allocation(&self, _size: u64) -> Result<()> {
        unreachable!()
    }
    /// Data and metadata on stable storage. A failure is an error, always.
    pub fn sync(&self) -> Result<()> {
        unreachable!()
    }
    /// Copies up to `len` bytes within the kernel; short at the source's end.
    pub fn copy_to(&self, _from: u64, _to: &Object, _at: u64, _len: u64) -> Result<u64> {
        unreachable!()
    }
    /// Frees a range and leaves zeros (FSCTL_SET_ZERO_DATA); falls back to writing zeros.
    pub fn zero_range(&self, _from: u64, _len: u64) -> Result<()> {
        unreachable!()
    }
    /// The data ranges within `[from, from+len)` (FSCTL_QUERY_ALLOCATED_RANGES), at most `max`.
    pub fn allocated_ranges(&self, _from: u64, _len: u64, _max: usize) -> Result<Vec<(u64, u64)>> {
        unreachable!()
    }
}
