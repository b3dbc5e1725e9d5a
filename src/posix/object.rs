//! One open file or directory: one descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, FileType, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};

use super::cached::Cached;
use super::stream::Handle;
use super::{Result, of_errno};
use crate::sys;
use crate::sys::source::Source;
use crate::types::{NodeKey, NtStatus};

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

impl Kind {
    pub(super) fn of(file_type: FileType) -> Kind {
        match file_type {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Special,
        }
    }
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
    pub(super) fd: OwnedFd,
    pub(super) key: NodeKey,
    pub(super) kind: Kind,
    /// The mount it was reached on: the root's, or one within the exported path.
    pub(super) mount: u64,
    pub(super) data: DataAccess,
    /// A stored descriptor granted what it was opened for: see [`Object::trust`].
    pub(super) trusted: bool,
    /// It is one of the object's named streams: what reads, writes and measures data means that.
    pub(super) stream: Option<Box<Handle>>,
    /// To be dropped with the descriptor, whose file it keeps open.
    pub(super) cached: Option<Cached>,
}

/// Largest single system call; the kernel's own limit is a page below 2 GiB.
const CHUNK: usize = 1 << 30;

impl Object {
    pub fn key(&self) -> NodeKey {
        self.key
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name of the stream, if it is one, without `:` and `$DATA`.
    pub fn stream(&self) -> Option<String> {
        self.stream.as_ref().map(|stream| stream.name())
    }

    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// What is asked of it from now on was granted by a stored security descriptor: where the kernel keeps a right for
    /// the owner, or has none like it (changing attributes, times, permissions, taking ownership; extended attributes
    /// without the data), the process does it. The callers check
    /// that the right was granted.
    pub fn trust(&mut self) {
        self.trusted = true;
    }

    /// What the descriptor allows now; nothing while it is `O_PATH`.
    pub fn data(&self) -> DataAccess {
        self.data
    }

    /// Whether the descriptor is one for data and not `O_PATH`.
    pub(super) fn has_data(&self) -> bool {
        self.data != DataAccess::default()
    }

    /// For the system calls of other layers that take a descriptor (leases, watches).
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Fills `buf` from `offset`; short only at the end of the file.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if let Some(stream) = &self.stream {
            return stream.read(self.as_fd(), offset, buf);
        }
        let mut done = 0;
        while done < buf.len() {
            let end = buf.len().min(done + CHUNK);
            match rustix::io::pread(&self.fd, &mut buf[done..end], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(of_errno(errno)),
            }
        }
        Ok(done)
    }

    /// The same without ever waiting for a disk or a backend; `None`: not possible now, use `read_at`.
    /// It and `with_cached` are the only calls of `posix` for data that may run on the reactor.
    pub fn read_nowait(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        if self.is_stream() {
            return None;
        }
        let mut done = 0;
        while done < buf.len() {
            match sys::file::read_nowait(&self.fd, &mut buf[done..], offset + done as u64) {
                // The page cache knows the end of the file.
                Ok(0) => break,
                Ok(n) => done += n,
                Err(_) => return None,
            }
        }
        Some(done)
    }

    /// Runs `take` over the data where the kernel has it in its cache, without waiting; `None`: not possible now, and what
    /// `take` may have made of it is of no use. Only for large reads; only files that are read from front to back get that far
    /// (see `cached`). It waits for nothing and may run on the reactor, and costs least where the thread acts as the process.
    pub fn with_cached<R>(&self, offset: u64, len: usize, take: impl FnOnce(Source<'_>) -> R) -> Option<R> {
        let cached = self.cached.as_ref().filter(|_| !self.is_stream())?;
        cached.with(self.as_fd(), offset, len, take)
    }

    /// Dropping it takes milliseconds: what was seen by `with_cached` is unmapped.
    pub fn has_window(&self) -> bool {
        self.cached.as_ref().is_some_and(Cached::has_window)
    }

    /// Writes all of `buf`. `through`: on stable storage before it returns.
    pub fn write_at(&self, offset: u64, buf: &[u8], through: bool) -> Result<usize> {
        if let Some(stream) = &self.stream {
            let written = stream.write(self.as_fd(), offset, buf)?;
            return self.sync_if(through).map(|()| written);
        }
        let flags = if through { ReadWriteFlags::DSYNC } else { ReadWriteFlags::empty() };
        self.write(offset, buf, flags)
    }

    fn write(&self, offset: u64, buf: &[u8], flags: ReadWriteFlags) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            let end = buf.len().min(done + CHUNK);
            let part = &buf[done..end];
            let wrote = if flags.is_empty() {
                rustix::io::pwrite(&self.fd, part, offset + done as u64)
            } else {
                let at = if flags.contains(ReadWriteFlags::APPEND) { 0 } else { offset + done as u64 };
                rustix::io::pwritev2(&self.fd, &[std::io::IoSlice::new(part)], at, flags)
            };
            match wrote {
                Ok(0) => return Err(NtStatus::DISK_FULL),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(of_errno(errno)),
            }
        }
        Ok(done)
    }

    /// Writes at the end of the file, wherever that is now.
    pub fn append(&self, buf: &[u8], through: bool) -> Result<Append> {
        if let Some(stream) = &self.stream {
            let offset = stream.append(self.as_fd(), buf)?;
            return self.sync_if(through).map(|()| Append { offset, written: buf.len() });
        }
        let mut flags = ReadWriteFlags::APPEND;
        flags.set(ReadWriteFlags::DSYNC, through);
        let offset = self.size()?;
        match self.write(0, buf, flags) {
            // File systems without RWF_APPEND.
            Err(NtStatus::NOT_SUPPORTED) => self.write_at(offset, buf, through),
            other => other,
        }
        .map(|written| Append { offset, written })
    }

    fn sync_if(&self, through: bool) -> Result<()> {
        if through { self.sync() } else { Ok(()) }
    }

    /// The size at this moment.
    pub fn size(&self) -> Result<u64> {
        if let Some(stream) = &self.stream {
            return stream.size(self.as_fd());
        }
        Ok(sys::file::stat_fd(&self.fd).map_err(of_errno)?.stx_size)
    }

    pub fn set_size(&self, size: u64) -> Result<()> {
        if let Some(stream) = &self.stream {
            return stream.set_size(self.as_fd(), size);
        }
        loop {
            match rustix::fs::ftruncate(&self.fd, size) {
                Err(Errno::INTR) => {}
                // Beyond what the file system can hold.
                Err(Errno::INVAL) => return Err(NtStatus::DISK_FULL),
                other => return other.map_err(of_errno),
            }
        }
    }

    /// MS-FSA 2.1.5.15.1 FileAllocationInformation: reserves space; below the size it cuts the file.
    pub fn set_allocation(&self, size: u64) -> Result<()> {
        let now = self.size()?;
        if size < now {
            return self.set_size(size);
        }
        if size == 0 || self.is_stream() {
            return Ok(());
        }
        let had = sys::file::stat_fd(&self.fd).map_err(of_errno)?.stx_blocks * 512;
        if !sys::room::is_there(&self.fd, size.saturating_sub(had)).unwrap_or(true) {
            return Err(NtStatus::DISK_FULL);
        }
        loop {
            match rustix::fs::fallocate(&self.fd, FallocateFlags::KEEP_SIZE, 0, size) {
                Err(Errno::INTR) => {}
                // No reservations on this file system: space is found when it is written.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(Errno::INVAL) => return Err(NtStatus::DISK_FULL),
                other => return other.map_err(of_errno),
            }
        }
    }

    /// The text of a symlink.
    pub fn read_link(&self) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, c"", Vec::new()).map_err(of_errno)?.into_bytes())
    }

    /// Data and metadata on stable storage. A failure is an error, always.
    pub fn sync(&self) -> Result<()> {
        let done = if self.has_data() {
            rustix::fs::fsync(&self.fd)
        } else {
            // FLUSH came on a handle that was opened without data access.
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
            sys::file::reopen(&self.fd, flags).and_then(rustix::fs::fsync)
        };
        match done {
            // Directories of file systems that cannot.
            Err(Errno::INVAL) if self.kind == Kind::Directory => Ok(()),
            other => other.map_err(of_errno),
        }
    }

    /// Copies up to `len` bytes within the kernel; short at the source's end.
    pub fn copy_to(&self, from: u64, to: &Object, at: u64, len: u64) -> Result<u64> {
        if self.is_stream() || to.is_stream() {
            return self.copy_by_hand(from, to, at, len);
        }
        let (mut source, mut target) = (from, at);
        let end = from.saturating_add(len);
        while source < end {
            let want = usize::try_from(end - source).unwrap_or(CHUNK).min(CHUNK);
            let (mut off_in, mut off_out) = (source, target);
            match rustix::fs::copy_file_range(&self.fd, Some(&mut off_in), &to.fd, Some(&mut off_out), want) {
                Ok(0) => break,
                Ok(n) => {
                    source += n as u64;
                    target += n as u64;
                }
                Err(Errno::INTR) => {}
                // Across file systems, overlapping ranges, or a file system that cannot.
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    return Ok(source - from + self.copy_by_hand(source, to, target, end - source)?);
                }
                Err(errno) => return Err(of_errno(errno)),
            }
        }
        Ok(source - from)
    }

    fn copy_by_hand(&self, from: u64, to: &Object, at: u64, len: u64) -> Result<u64> {
        let mut buf = vec![0; len.min(1 << 20) as usize];
        let mut done = 0;
        while done < len {
            let want = (len - done).min(buf.len() as u64) as usize;
            let n = self.read_at(from + done, &mut buf[..want])?;
            if n == 0 {
                break;
            }
            to.write_at(at + done, &buf[..n], false)?;
            done += n as u64;
        }
        Ok(done)
    }

    /// Frees a range and leaves zeros, the size as it is (FSCTL_SET_ZERO_DATA); writes them where the file
    /// system cannot.
    pub fn zero_range(&self, from: u64, len: u64) -> Result<()> {
        let len = len.min(self.size()?.saturating_sub(from));
        if len == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let punched = match self.is_stream() {
            true => Err(Errno::OPNOTSUPP),
            false => rustix::fs::fallocate(&self.fd, flags, from, len),
        };
        match punched {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let zeros = vec![0; len.min(1 << 20) as usize];
                let mut done = 0;
                while done < len {
                    let part = (len - done).min(zeros.len() as u64) as usize;
                    done += self.write_at(from + done, &zeros[..part], false)? as u64;
                }
                Ok(())
            }
            other => other.map_err(of_errno),
        }
    }

    /// The data ranges (offset, length) within `[from, from+len)` (FSCTL_QUERY_ALLOCATED_RANGES), at most `max`.
    /// It moves the descriptor's position, which nothing else of a file uses.
    pub fn allocated_ranges(&self, from: u64, len: u64, max: usize) -> Result<Vec<(u64, u64)>> {
        let end = from.saturating_add(len).min(self.size()?);
        if self.is_stream() {
            return Ok((from < end && max > 0).then(|| (from, end - from)).into_iter().collect());
        }
        let mut out = Vec::new();
        let mut at = from;
        while at < end && out.len() < max {
            let data = match rustix::fs::seek(&self.fd, SeekFrom::Data(at)) {
                Ok(data) => data,
                // Only a hole up to the end.
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
                Err(errno) => return Err(of_errno(errno)),
            };
            if data >= end {
                break;
            }
            let hole = rustix::fs::seek(&self.fd, SeekFrom::Hole(data)).unwrap_or(end).min(end);
            out.push((data, hole - data));
            at = hole.max(data + 1);
        }
        Ok(out)
    }
}
