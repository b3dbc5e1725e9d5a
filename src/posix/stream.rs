//! Named streams (MS-FSCC 2.1.4), laid out on disk as Samba's `streams_xattr` has them: a stream `NAME` of a file or
//! directory is its xattr `user.DosStream.NAME:$DATA`, and the value is the data with one NUL byte behind it. What is too
//! large for that, or stands where there are no xattrs, is in the database ([`super::bulk`]).
//!
//! A stream in an xattr is read and written as a whole. Whoever changes one holds the lock of its node, so that writes
//! through several opens do not lose each other's bytes; programs outside take their chances, as with any xattr.
//!
//! Where a stream is in both places, the xattr is the stream. So it moves without a moment at which it is lost: into the
//! database, and when it is safe there, out of the xattr; back into an xattr, and when that is safe, out of the database.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use slab::Slab;

use super::bulk::{self, Bulk, Entry, File};
use super::{Export, Kind, Object, Result, ea, of_errno};
use crate::sys;
use crate::types::{NodeKey, NtStatus, same_name};

const PREFIX: &str = "user.DosStream.";
const SUFFIX: &str = ":$DATA";
/// Bytes of one stream in an xattr: the largest value on Linux, without the NUL behind the data. Most file systems hold
/// less.
const MAX: usize = (1 << 16) - 1;
/// One in the database that is cut down to so many bytes goes back into an xattr.
const SMALL: u64 = 2048;
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
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Mutex<HashMap<NodeKey, Weak<Node>>>,
    pub(super) bulk: Bulk,
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
    pub(super) fn new(bulk: Bulk) -> Nodes {
        Nodes { nodes: Mutex::default(), bulk }
    }

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
        Streams::of(&self.nodes.bulk, fd).size(&open[self.slot].name)
    }

    pub fn read(&self, fd: BorrowedFd<'_>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let open = self.node.open.lock();
        Streams::of(&self.nodes.bulk, fd).read(&open[self.slot].name, offset, buf)
    }

    /// What `change` says is passed on.
    fn change<T>(
        &self,
        fd: BorrowedFd<'_>,
        change: impl FnOnce(&Streams<'_>, &str) -> Result<T>,
    ) -> Result<T> {
        let open = self.node.open.lock();
        let said = change(&Streams::of(&self.nodes.bulk, fd), &open[self.slot].name)?;
        // The file's times tell of its streams too (MS-FSA 2.1.4.17). Not worth failing for.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: keep, last_modification: now };
        let _ = rustix::fs::utimensat(fd, c"", &times, AtFlags::EMPTY_PATH);
        Ok(said)
    }

    pub fn write(&self, fd: BorrowedFd<'_>, offset: u64, bytes: &[u8]) -> Result<usize> {
        self.change(fd, |streams, name| streams.write(name, offset, bytes).map(|()| bytes.len()))
    }

    /// Where it went.
    pub fn append(&self, fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<u64> {
        self.change(fd, |streams, name| {
            let end = streams.size(name)?;
            streams.write(name, end, bytes).map(|()| end)
        })
    }

    pub fn set_size(&self, fd: BorrowedFd<'_>, size: u64) -> Result<()> {
        self.change(fd, |streams, name| streams.set_size(name, size))
    }
}

/// Where a stream is.
enum Place {
    Xattr(CString, Vec<u8>),
    Bulk(File, Entry),
}

/// The streams of one object, whose node's lock the caller holds.
struct Streams<'a> {
    bulk: &'a Bulk,
    fd: BorrowedFd<'a>,
}

impl<'a> Streams<'a> {
    fn of(bulk: &'a Bulk, fd: BorrowedFd<'a>) -> Streams<'a> {
        Streams { bulk, fd }
    }

    fn place(&self, name: &str) -> Result<Place> {
        if self.bulk.has_xattrs() {
            let full = xattr(name)?;
            match get(self.fd, &full) {
                Ok(data) => return Ok(Place::Xattr(full, data)),
                Err(NtStatus::OBJECT_NAME_NOT_FOUND) => {}
                Err(status) => return Err(status),
            }
        }
        let entry = self.in_bulk(name)?.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        Ok(Place::Bulk(self.bulk.file(self.fd)?, entry))
    }

    fn in_bulk(&self, name: &str) -> Result<Option<Entry>> {
        if self.bulk.is_empty() { Ok(None) } else { self.bulk.find(self.bulk.file(self.fd)?, name) }
    }

    fn size(&self, name: &str) -> Result<u64> {
        if self.bulk.has_xattrs() {
            match size(self.fd, &xattr(name)?) {
                Err(NtStatus::OBJECT_NAME_NOT_FOUND) => {}
                other => return other,
            }
        }
        Ok(self.in_bulk(name)?.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?.size)
    }

    fn read(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<usize> {
        match self.place(name)? {
            Place::Xattr(_, data) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
                let len = buf.len().min(data.len() - from);
                buf[..len].copy_from_slice(&data[from..from + len]);
                Ok(len)
            }
            Place::Bulk(file, entry) => self.bulk.read(file, entry, offset, buf),
        }
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= bulk::MAX);
        let end = end.ok_or(NtStatus::DISK_FULL)?;
        match self.place(name)? {
            Place::Xattr(full, mut data) => {
                let old = data.len();
                if end <= MAX as u64 {
                    let (from, end) = (offset as usize, end as usize);
                    if data.len() < end {
                        data.resize(end, 0);
                    }
                    let before = data[from..end.min(old.max(from))].to_vec();
                    data[from..end].copy_from_slice(bytes);
                    if set(self.fd, &full, &mut data)? {
                        return Ok(());
                    }
                    data[from..from + before.len()].copy_from_slice(&before);
                    data.truncate(old);
                }
                self.move_out(name, &full, &[(0, &data), (offset, bytes)], end.max(old as u64))
            }
            Place::Bulk(file, entry) => self.bulk.put(file, name, &[(offset, bytes)], entry.size.max(end)),
        }
    }

    fn set_size(&self, name: &str, size: u64) -> Result<()> {
        if size > bulk::MAX {
            return Err(NtStatus::DISK_FULL);
        }
        match self.place(name)? {
            Place::Xattr(full, mut data) => {
                let old = data.len();
                if size <= MAX as u64 {
                    let mut resized = data.clone();
                    resized.resize(size as usize, 0);
                    if set(self.fd, &full, &mut resized)? {
                        return Ok(());
                    }
                }
                data.truncate(old.min(size as usize));
                self.move_out(name, &full, &[(0, &data)], size)
            }
            Place::Bulk(file, entry) => {
                let shrinks = size < entry.size;
                self.bulk.put(file, name, &[], size)?;
                if shrinks && size <= SMALL && self.bulk.has_xattrs() {
                    self.move_back(name, file)?;
                }
                Ok(())
            }
        }
    }

    /// Out of the xattr, which can hold no more. The rest of an earlier move goes first: it has other data.
    fn move_out(&self, name: &str, full: &CString, pieces: &[(u64, &[u8])], size: u64) -> Result<()> {
        let file = self.bulk.file(self.fd)?;
        self.bulk.remove(file, name)?;
        self.bulk.put(file, name, pieces, size)?;
        sys::xattr::remove(self.fd, full).map_err(of_xattr_errno)?;
        sync(self.fd)
    }

    /// Into an xattr, if it fits there.
    fn move_back(&self, name: &str, file: File) -> Result<()> {
        let Some(entry) = self.bulk.find(file, name)? else { return Ok(()) };
        let mut data = vec![0; entry.size as usize];
        self.bulk.read(file, entry, 0, &mut data)?;
        if set(self.fd, &xattr(name)?, &mut data)? {
            sync(self.fd)?;
            self.bulk.remove(file, name)?;
        }
        Ok(())
    }

    /// A new one.
    fn create(&self, name: &str) -> Result<()> {
        let full = xattr(name)?;
        if self.bulk.has_xattrs() && set(self.fd, &full, &mut Vec::new())? {
            return Ok(());
        }
        self.bulk.put(self.bulk.file(self.fd)?, name, &[], 0)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let in_xattr = self.bulk.has_xattrs()
            && match sys::xattr::remove(self.fd, &xattr(name)?) {
                Ok(()) => true,
                Err(Errno::NODATA) => false,
                Err(errno) => return Err(of_xattr_errno(errno)),
            };
        let in_bulk = !self.bulk.is_empty() && self.bulk.remove(self.bulk.file(self.fd)?, name)?;
        if in_xattr || in_bulk { Ok(()) } else { Err(NtStatus::OBJECT_NAME_NOT_FOUND) }
    }

    /// Nothing else has the new name.
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let new = xattr(to)?;
        match self.place(from)? {
            Place::Xattr(old, mut data) => {
                if set(self.fd, &new, &mut data)? {
                    // With what a move that was cut short may have left.
                    return self.remove(from);
                }
                // There is no room for both.
                let size = data.len() as u64;
                self.move_out(to, &old, &[(0, &data)], size)
            }
            Place::Bulk(file, _) => self.bulk.rename(file, from, to),
        }
    }

    fn list(&self) -> Result<Vec<StreamInfo>> {
        let mut streams = Vec::new();
        if self.bulk.has_xattrs() {
            for name in list(self.fd)? {
                match xattr(&name).and_then(|full| size(self.fd, &full)) {
                    Ok(size) => streams.push(StreamInfo { name, size }),
                    // Removed meanwhile.
                    Err(NtStatus::OBJECT_NAME_NOT_FOUND) => {}
                    Err(status) => return Err(status),
                }
            }
        }
        if !self.bulk.is_empty() {
            for (name, entry) in self.bulk.list(self.bulk.file(self.fd)?)? {
                if !streams.iter().any(|there| there.name == name) {
                    streams.push(StreamInfo { name, size: entry.size });
                }
            }
        }
        Ok(streams)
    }

    fn find(&self, name: &str) -> Result<Option<String>> {
        let full = xattr(name)?;
        if self.bulk.has_xattrs() {
            match sys::xattr::get(self.fd, &full, &mut []) {
                Ok(_) => return Ok(Some(name.to_owned())),
                Err(Errno::NODATA) => {}
                Err(errno) => return Err(of_xattr_errno(errno)),
            }
            let there = list(self.fd)?.into_iter().find(|there| same_name(there, name));
            if there.is_some() {
                return Ok(there);
            }
        }
        if self.bulk.is_empty() {
            return Ok(None);
        }
        let there = self.bulk.list(self.bulk.file(self.fd)?)?;
        Ok(there.into_iter().map(|(there, _)| there).find(|there| same_name(there, name)))
    }
}

/// What an xattr says is on stable storage.
fn sync(fd: BorrowedFd<'_>) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    match sys::file::reopen(fd, flags).and_then(rustix::fs::fsync) {
        // Who may not read it, or a directory of a file system that cannot.
        Err(Errno::ACCESS | Errno::INVAL) => Ok(()),
        other => other.map_err(of_errno),
    }
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
        // The second: of a file system without, mounted beneath the export.
        Errno::NODATA | Errno::OPNOTSUPP => NtStatus::OBJECT_NAME_NOT_FOUND,
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

/// False: more than the file system's xattrs can hold, or it is full.
fn set(fd: BorrowedFd<'_>, name: &CString, data: &mut Vec<u8>) -> Result<bool> {
    data.push(0);
    let done = sys::xattr::set(fd, name, data);
    data.pop();
    match done {
        Ok(()) => Ok(true),
        Err(Errno::TOOBIG | Errno::RANGE | Errno::NOSPC | Errno::DQUOT | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(of_xattr_errno(errno)),
    }
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

impl Export {
    /// The named streams, in the file system's order.
    pub fn streams(&self, object: &Object) -> Result<Vec<StreamInfo>> {
        if !self.can_have(object) {
            return Ok(Vec::new());
        }
        self.of_object(object).list()
    }

    /// A stream by its name in any case: as it is spelled on disk.
    pub fn find_stream(&self, object: &Object, name: &str) -> Result<Option<String>> {
        if self.can_have(object) { self.of_object(object).find(name) } else { Ok(None) }
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
        let streams = self.of_object(object);
        if streams.find(name)?.is_some() {
            return Err(NtStatus::OBJECT_NAME_COLLISION);
        }
        streams.create(name)
    }

    /// Removes a stream, spelled as on disk.
    pub fn remove_stream(&self, object: &Object, name: &str) -> Result<()> {
        let node = self.stream_nodes().of(object.key);
        let _open = node.open.lock();
        self.of_object(object).remove(name)
    }

    /// Renames a stream that is open, for all its opens (MS-FSA 2.1.5.15.11.1). What has the new name goes if
    /// `replace` says so and it is empty, else INVALID_PARAMETER.
    pub fn rename_stream(&self, object: &Object, to: &str, replace: bool) -> Result<()> {
        let Some(handle) = &object.stream else { return Err(NtStatus::INVALID_PARAMETER) };
        let mut open = handle.node.open.lock();
        let streams = self.of_object(object);
        let old_name = open[handle.slot].name.clone();
        if old_name == to {
            return Ok(());
        }
        streams.size(&old_name)?;
        if let Some(there) = streams.find(to)?.filter(|there| *there != old_name) {
            if !replace {
                return Err(NtStatus::OBJECT_NAME_COLLISION);
            }
            if streams.size(&there)? > 0 {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            streams.remove(&there)?;
        }
        streams.rename(&old_name, to)?;
        to.clone_into(&mut open[handle.slot].name);
        Ok(())
    }

    fn of_object<'a>(&'a self, object: &'a Object) -> Streams<'a> {
        Streams::of(&self.stream_nodes().bulk, object.as_fd())
    }

    fn can_have(&self, object: &Object) -> bool {
        matches!(object.kind, Kind::File | Kind::Directory)
    }
}
