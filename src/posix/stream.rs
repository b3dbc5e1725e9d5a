//! Named streams (MS-FSCC 2.1.4), laid out on disk as Samba's `streams_xattr` has them: a stream `NAME` of a file or
//! directory is its xattr `user.DosStream.NAME:$DATA`, and the value is the data with one NUL byte behind it.
//!
//! A stream is read and written as a whole. Whoever changes one holds the lock of its node, so that writes through
//! several opens do not lose each other's bytes; programs outside take their chances, as with any xattr.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use slab::Slab;

use super::{Export, Kind, Object, Result, ea, names, of_errno};
use crate::sys;
use crate::types::{NodeKey, NtStatus};

const PREFIX: &str = "user.DosStream.";
const SUFFIX: &str = ":$DATA";
/// Bytes of one stream: the largest value on Linux, without the NUL behind the data. Most file systems hold less.
const MAX: usize = (1 << 16) - 1;
/// Bytes of an xattr's name.
const MAX_NAME: usize = 255;

/// One named stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamInfo {
    /// As on disk, without `:` and `$DATA`.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// Bytes that a stream of this size takes, as NTFS tells it of a small one.
pub fn stream_allocation(size: u64) -> u64 {
    size.next_multiple_of(8)
}

/// The nodes of an export with open streams.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Mutex<HashMap<NodeKey, Weak<Node>>>,
}

/// One of them. Its lock is held while a stream of it is changed.
#[derive(Debug, Default)]
pub(super) struct Node {
    open: Mutex<Slab<OpenStream>>,
}

/// What an open stream is called now, and by how many objects it is held.
#[derive(Debug)]
struct OpenStream {
    name: String,
    count: usize,
}

/// What makes an [`Object`] a stream.
#[derive(Debug)]
pub(super) struct Handle {
    nodes: Arc<Nodes>,
    key: NodeKey,
    node: Arc<Node>,
    slot: usize,
}

impl Nodes {
    fn of(&self, key: NodeKey) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.get(&key).and_then(Weak::upgrade) {
            return node;
        }
        // What is left of nodes whose last stream was closed while somebody looked.
        nodes.retain(|_, node| node.strong_count() > 0);
        let node = Arc::new(Node::default());
        nodes.insert(key, Arc::downgrade(&node));
        node
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        {
            let mut open = self.node.open.lock();
            let stream = &mut open[self.slot];
            stream.count -= 1;
            if stream.count == 0 {
                open.remove(self.slot);
            }
        }
        let mut nodes = self.nodes.nodes.lock();
        // This one and no other: nobody gets at it while `nodes` is locked.
        if Arc::strong_count(&self.node) == 1 {
            nodes.remove(&self.key);
        }
    }
}

impl Handle {
    pub fn name(&self) -> String {
        self.node.open.lock()[self.slot].name.clone()
    }

    pub fn size(&self, fd: BorrowedFd<'_>) -> Result<u64> {
        let open = self.node.open.lock();
        size(fd, &xattr(&open[self.slot].name)?)
    }

    pub fn read(&self, fd: BorrowedFd<'_>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let data = self.data(fd)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let len = buf.len().min(data.len() - from);
        buf[..len].copy_from_slice(&data[from..from + len]);
        Ok(len)
    }

    fn data(&self, fd: BorrowedFd<'_>) -> Result<Vec<u8>> {
        let open = self.node.open.lock();
        get(fd, &xattr(&open[self.slot].name)?)
    }

    /// Reads, changes and writes it. What `change` says is passed on.
    fn change<T>(&self, fd: BorrowedFd<'_>, change: impl FnOnce(&mut Vec<u8>) -> Result<T>) -> Result<T> {
        let open = self.node.open.lock();
        let name = xattr(&open[self.slot].name)?;
        let mut data = get(fd, &name)?;
        let said = change(&mut data)?;
        set(fd, &name, data)?;
        // The file's times tell of its streams too (MS-FSA 2.1.4.17). Not worth failing for.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: keep, last_modification: now };
        let _ = rustix::fs::utimensat(fd, c"", &times, AtFlags::EMPTY_PATH);
        Ok(said)
    }

    pub fn write(&self, fd: BorrowedFd<'_>, offset: u64, bytes: &[u8]) -> Result<usize> {
        self.change(fd, |data| put(data, usize::try_from(offset).unwrap_or(usize::MAX), bytes))
    }

    /// Where it went.
    pub fn append(&self, fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<u64> {
        self.change(fd, |data| {
            let end = data.len();
            put(data, end, bytes).map(|_| end as u64)
        })
    }

    pub fn set_size(&self, fd: BorrowedFd<'_>, size: u64) -> Result<()> {
        let size = usize::try_from(size).ok().filter(|&size| size <= MAX).ok_or(NtStatus::DISK_FULL)?;
        self.change(fd, |data| {
            data.resize(size, 0);
            Ok(())
        })
    }
}

fn put(data: &mut Vec<u8>, offset: usize, bytes: &[u8]) -> Result<usize> {
    let end = offset.checked_add(bytes.len()).filter(|&end| end <= MAX).ok_or(NtStatus::DISK_FULL)?;
    if data.len() < end {
        data.resize(end, 0);
    }
    data[offset..end].copy_from_slice(bytes);
    Ok(bytes.len())
}

/// The xattr of a stream. OBJECT_NAME_INVALID: longer than Linux can have it.
fn xattr(name: &str) -> Result<CString> {
    let full = format!("{PREFIX}{name}{SUFFIX}");
    if full.len() > MAX_NAME {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    CString::new(full).map_err(|_| NtStatus::OBJECT_NAME_INVALID)
}

fn of_xattr_errno(errno: Errno) -> NtStatus {
    match errno {
        Errno::NODATA => NtStatus::OBJECT_NAME_NOT_FOUND,
        // Larger than the file system's xattrs can be.
        Errno::TOOBIG | Errno::RANGE => NtStatus::DISK_FULL,
        // A file system mounted beneath the export.
        Errno::OPNOTSUPP => NtStatus::OBJECT_NAME_INVALID,
        other => of_errno(other),
    }
}

fn get(fd: BorrowedFd<'_>, name: &CString) -> Result<Vec<u8>> {
    let mut data = vec![0; 4096];
    loop {
        match sys::xattr::get(fd, name, &mut data) {
            Ok(len) => {
                // Without the NUL byte.
                data.truncate(len.saturating_sub(1));
                return Ok(data);
            }
            Err(Errno::RANGE) if data.len() <= MAX => data.resize(MAX + 1, 0),
            Err(errno) => return Err(of_xattr_errno(errno)),
        }
    }
}

fn size(fd: BorrowedFd<'_>, name: &CString) -> Result<u64> {
    let len = sys::xattr::get(fd, name, &mut []).map_err(of_xattr_errno)?;
    Ok(len.saturating_sub(1) as u64)
}

fn set(fd: BorrowedFd<'_>, name: &CString, mut data: Vec<u8>) -> Result<()> {
    data.push(0);
    sys::xattr::set(fd, name, &data).map_err(of_xattr_errno)
}

/// The stream names of an object, as on disk.
fn list(fd: BorrowedFd<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    ea::each_name(fd, |full| {
        if let Some(name) = full.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX)) {
            names.push(name.to_owned());
        }
    })?;
    Ok(names)
}

fn find(fd: BorrowedFd<'_>, name: &str) -> Result<Option<String>> {
    match sys::xattr::get(fd, &xattr(name)?, &mut []) {
        Ok(_) => return Ok(Some(name.to_owned())),
        Err(Errno::NODATA) => {}
        Err(errno) => return Err(of_xattr_errno(errno)),
    }
    Ok(list(fd)?.into_iter().find(|there| names::same(there, name)))
}

impl Export {
    /// Files here can have named streams.
    pub fn has_streams(&self) -> bool {
        self.root().facts.xattrs
    }

    /// The named streams, in the file system's order.
    pub fn streams(&self, object: &Object) -> Result<Vec<StreamInfo>> {
        if !self.can_have(object) {
            return Ok(Vec::new());
        }
        let mut streams = Vec::new();
        for name in list(object.as_fd())? {
            match xattr(&name).and_then(|full| size(object.as_fd(), &full)) {
                Ok(size) => streams.push(StreamInfo { name, size }),
                // Removed meanwhile.
                Err(NtStatus::OBJECT_NAME_NOT_FOUND) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(streams)
    }

    /// A stream by its name in any case: as it is spelled on disk.
    pub fn find_stream(&self, object: &Object, name: &str) -> Result<Option<String>> {
        if self.can_have(object) { find(object.as_fd(), name) } else { Ok(None) }
    }

    /// Makes the object one for the data of this stream, spelled as on disk. What is asked of the file itself
    /// (times, attributes, its place) is answered as before.
    pub fn open_stream(&self, object: &mut Object, name: &str) {
        let nodes = Arc::clone(self.stream_nodes());
        let node = nodes.of(object.key);
        let slot = {
            let mut open = node.open.lock();
            let there = open.iter_mut().find(|(_, stream)| stream.name == name);
            match there {
                Some((slot, stream)) => {
                    stream.count += 1;
                    slot
                }
                None => open.insert(OpenStream { name: name.to_owned(), count: 1 }),
            }
        };
        object.stream = Some(Box::new(Handle { nodes, key: object.key, node, slot }));
    }

    /// A new, empty stream. OBJECT_NAME_COLLISION: there is one; OBJECT_NAME_INVALID: none can be.
    pub fn create_stream(&self, object: &Object, name: &str) -> Result<()> {
        if !self.can_have(object) {
            return Err(NtStatus::OBJECT_NAME_INVALID);
        }
        let node = self.stream_nodes().of(object.key);
        let _open = node.open.lock();
        if find(object.as_fd(), name)?.is_some() {
            return Err(NtStatus::OBJECT_NAME_COLLISION);
        }
        set(object.as_fd(), &xattr(name)?, Vec::new())
    }

    /// Removes a stream, spelled as on disk.
    pub fn remove_stream(&self, object: &Object, name: &str) -> Result<()> {
        let node = self.stream_nodes().of(object.key);
        let _open = node.open.lock();
        sys::xattr::remove(&object.fd, &xattr(name)?).map_err(of_xattr_errno)
    }

    /// Renames a stream that is open, for all its opens (MS-FSA 2.1.5.15.11.1). What has the new name goes if
    /// `replace` says so and it is empty, else INVALID_PARAMETER.
    pub fn rename_stream(&self, object: &Object, to: &str, replace: bool) -> Result<()> {
        let Some(handle) = &object.stream else { return Err(NtStatus::INVALID_PARAMETER) };
        let (fd, new) = (object.as_fd(), xattr(to)?);
        let mut open = handle.node.open.lock();
        let old_name = open[handle.slot].name.clone();
        if old_name == to {
            return Ok(());
        }
        let old = xattr(&old_name)?;
        let data = get(fd, &old)?;
        let replaced = find(fd, to)?.filter(|there| *there != old_name);
        if let Some(there) = &replaced {
            if !replace {
                return Err(NtStatus::OBJECT_NAME_COLLISION);
            }
            if size(fd, &xattr(there)?)? > 0 {
                return Err(NtStatus::INVALID_PARAMETER);
            }
        }
        set(fd, &new, data)?;
        if let Some(there) = replaced.filter(|there| there != to) {
            sys::xattr::remove(fd, &xattr(&there)?).map_err(of_xattr_errno)?;
        }
        sys::xattr::remove(fd, &old).map_err(of_xattr_errno)?;
        to.clone_into(&mut open[handle.slot].name);
        Ok(())
    }

    fn can_have(&self, object: &Object) -> bool {
        self.has_streams() && matches!(object.kind, Kind::File | Kind::Directory)
    }
}
