//! The kernel's requests, one by one: arguments in, one operation, the answer out.
//!
//! An operation that has to wait for a client is done again on a thread of its own, so that the others go on.

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno as FuseErrno, FileHandle, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::Core;
use super::attr::{self, TTL};
use super::attributes::Set;
use super::caller::Caller;
use super::door::{Patience, Stop};
use super::files::{OpenFile, mode_of};
use super::locks::{Owner, Range};
use super::names::Name;
use crate::sys::{creds, file, xattr};

/// Operations that may wait at a time; further ones are EBUSY.
const MOST_WAITING: usize = 256;
/// How often the kernel is asked to let go of names.
const SPARING: Duration = Duration::from_secs(1);
/// Requests that the kernel sends ahead.
const BACKGROUND: u16 = 64;

pub struct System(pub Arc<Core>);

/// Runs an operation, as the process until it says otherwise: the thread may have acted for somebody else before. A bug in
/// it costs the request.
fn guarded<T>(operation: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    let _as_process = creds::assume_process().map_err(|_| Errno::PERM)?;
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|_| {
        log::error!("a request to a view panicked");
        Err(Errno::IO.into())
    })
}

fn final_of<T>(result: Result<T, Stop>) -> Result<T, FuseErrno> {
    result.map_err(|stop| match stop {
        Stop::Errno(errno) => attr::fuse(errno),
        Stop::Wait => FuseErrno::EBUSY,
    })
}

impl System {
    /// An operation that may wait. It is given its core and how patient it may be.
    fn run<T: 'static>(
        &self,
        operation: impl Fn(&Core, Patience) -> Result<T, Stop> + Send + 'static,
        answer: impl FnOnce(Result<T, FuseErrno>) + Send + 'static,
    ) {
        let first = guarded(|| operation(&self.0, Patience::None));
        if !matches!(first, Err(Stop::Wait)) {
            return answer(final_of(first));
        }
        if self.0.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            return answer(Err(FuseErrno::EBUSY));
        }
        let core = Arc::clone(&self.0);
        let started =
            std::thread::Builder::new().name("view-wait".to_owned()).stack_size(256 << 10).spawn(move || {
                let done = guarded(|| operation(&core, Patience::Full));
                core.waiting.fetch_sub(1, Ordering::Relaxed);
                answer(final_of(done));
            });
        // The answer went with the closure: the kernel is told EIO.
        if let Err(e) = started {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            log::error!("view {}: no thread to wait on: {e}", self.0.name);
        }
    }

    /// One that does not.
    fn now<T>(&self, operation: impl FnOnce(&Core) -> Result<T, Errno>) -> Result<T, FuseErrno> {
        final_of(guarded(|| Ok(operation(&self.0)?)))
    }

    fn name(&self, directory: INodeNo, name: &OsStr) -> Result<Name, FuseErrno> {
        let directory = self.0.inodes.get(directory).map_err(attr::fuse)?;
        Ok(Name { directory, name: name.to_owned() })
    }

    fn caller(&self, request: &Request) -> Caller {
        self.0.callers.of(request)
    }

    /// Makes something at a name.
    fn make(
        &self,
        request: &Request,
        (directory, name): (INodeNo, &OsStr),
        is_directory: bool,
        make: impl Fn(&std::os::fd::OwnedFd, &OsStr) -> rustix::io::Result<()> + Send + 'static,
        reply: ReplyEntry,
    ) {
        let at = match self.name(directory, name) {
            Ok(at) => at,
            Err(errno) => return reply.error(errno),
        };
        let caller = self.caller(request);
        self.run(
            move |core, patience| core.make(&at, is_directory, patience, &caller, &make),
            move |made| entry(made, reply),
        );
    }

    fn remove(&self, request: &Request, (directory, name): (INodeNo, &OsStr), dir: bool, reply: ReplyEmpty) {
        let at = match self.name(directory, name) {
            Ok(at) => at,
            Err(errno) => return reply.error(errno),
        };
        let caller = self.caller(request);
        self.run(
            move |core, patience| core.remove(&at, dir, patience, &caller),
            move |done| empty(done, reply),
        );
    }

    fn change_xattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: Option<(Vec<u8>, i32)>,
        reply: ReplyEmpty,
    ) {
        let found = self.0.inodes.get(ino).and_then(|inode| Ok((inode, c_string(name)?)));
        let (inode, name) = match found {
            Ok(found) => found,
            Err(errno) => return reply.error(attr::fuse(errno)),
        };
        let caller = self.caller(request);
        self.run(
            move |core, patience| {
                let value = value.as_ref().map(|(value, flags)| (value.as_slice(), *flags));
                core.set_xattr(&inode, &name, value, patience, &caller)
            },
            move |done| empty(done, reply),
        );
    }
}

fn c_string(name: &OsStr) -> Result<CString, Errno> {
    CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)
}

fn entry(made: Result<fuser::FileAttr, FuseErrno>, reply: ReplyEntry) {
    match made {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn attributes(got: Result<fuser::FileAttr, FuseErrno>, reply: ReplyAttr) {
    match got {
        Ok(attr) => reply.attr(&TTL, &attr),
        Err(errno) => reply.error(errno),
    }
}

fn empty(done: Result<(), FuseErrno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

/// The length of an attribute, or its bytes, as was asked for.
fn sized(size: u32, read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>, reply: ReplyXattr) {
    let mut buf = vec![0; size as usize];
    match read(&mut buf) {
        Ok(n) if size == 0 => reply.size(n as u32),
        Ok(n) => reply.data(&buf[..n]),
        Err(errno) => reply.error(attr::fuse(errno)),
    }
}

impl Filesystem for System {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        for wanted in [
            InitFlags::FUSE_POSIX_LOCKS,
            InitFlags::FUSE_FLOCK_LOCKS,
            InitFlags::FUSE_POSIX_ACL,
            InitFlags::FUSE_DONT_MASK,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_ASYNC_DIO,
        ] {
            if config.add_capabilities(wanted).is_err() {
                log::debug!("view {}: the kernel does not know {wanted:?}", self.0.name);
            }
        }
        let _ = config.set_max_background(BACKGROUND);
        if nix::unistd::geteuid().is_root() && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok() {
            let _ = config.set_max_stack_depth(2);
            self.0.passthrough.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.name(parent, name).and_then(|at| self.now(|core| core.lookup(&at)));
        entry(found, reply);
    }

    fn forget(&self, _: &Request, ino: INodeNo, nlookup: u64) {
        self.0.inodes.forget(ino.0, nlookup);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attributes(self.now(|core| core.stat(&*core.inodes.get(ino)?)), reply);
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        written: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let inode = match self.0.inodes.get(ino) {
            Ok(inode) => inode,
            Err(errno) => return reply.error(attr::fuse(errno)),
        };
        let by = handle.and_then(|handle| self.0.open.file(handle).ok());
        let caller = self.caller(request);
        let set = Set { mode, uid, gid, size, accessed, written };
        self.run(
            move |core, patience| core.set(&inode, &set, by.as_ref(), patience, &caller),
            move |done| attributes(done, reply),
        );
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.now(|core| rustix::fs::readlinkat(core.inodes.get(ino)?.fd(), c"", Vec::new()));
        match target {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let kind = rustix::fs::FileType::from_raw_mode(mode);
        let make = move |dir: &std::os::fd::OwnedFd, name: &OsStr| {
            rustix::fs::mknodat(dir, name, kind, mode_of(dir, mode, umask), rdev.into())
        };
        self.make(request, (parent, name), false, make, reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let make = move |dir: &std::os::fd::OwnedFd, name: &OsStr| {
            rustix::fs::mkdirat(dir, name, mode_of(dir, mode, umask))
        };
        self.make(request, (parent, name), true, make, reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(request, (parent, name), false, reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(request, (parent, name), true, reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = target.to_owned();
        let make = move |dir: &std::os::fd::OwnedFd, name: &OsStr| rustix::fs::symlinkat(&target, dir, name);
        self.make(request, (parent, name), false, make, reply);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = match (self.name(parent, name), self.name(newparent, newname)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(errno), _) | (_, Err(errno)) => return reply.error(errno),
        };
        let caller = self.caller(request);
        self.run(
            move |core, patience| core.rename(&from, &to, flags, patience, &caller),
            move |done| empty(done, reply),
        );
    }

    fn link(&self, request: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let inode = match self.0.inodes.get(ino) {
            Ok(inode) => inode,
            Err(errno) => return reply.error(attr::fuse(errno)),
        };
        let make =
            move |dir: &std::os::fd::OwnedFd, name: &OsStr| file::link(inode.fd(), dir, name.as_bytes());
        self.make(request, (newparent, newname), false, make, reply);
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let inode = match self.0.inodes.get(ino) {
            Ok(inode) => inode,
            Err(errno) => return reply.error(attr::fuse(errno)),
        };
        let (caller, core) = (self.caller(request), Arc::clone(&self.0));
        self.run(
            move |core, patience| core.open_file(&inode, flags.0, patience, &caller),
            move |opened| match opened {
                Ok(file) => opened_file(&core, file, reply),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let at = match self.name(parent, name) {
            Ok(at) => at,
            Err(errno) => return reply.error(errno),
        };
        let (caller, core) = (self.caller(request), Arc::clone(&self.0));
        self.run(
            move |core, patience| core.create(&at, (mode, umask), flags, patience, &caller),
            move |created| match created {
                Ok((attr, file)) => created_file(&core, &attr, file, reply),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.now(|core| {
            let file = core.open.file(handle)?;
            let mut buf = vec![0; size as usize];
            let mut filled = 0;
            while filled < buf.len() {
                match rustix::io::pread(&file.fd, &mut buf[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            buf.truncate(filled);
            Ok(buf)
        });
        match read {
            Ok(buf) => reply.data(&buf),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.now(|core| {
            let file = core.open.file(handle)?;
            loop {
                match rustix::io::pwrite(&file.fd, data, offset) {
                    Err(Errno::INTR) => {}
                    other => return other,
                }
            }
        });
        match written {
            Ok(n) => reply.written(n as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, ino: INodeNo, handle: FileHandle, owner: LockOwner, reply: ReplyEmpty) {
        let done = self.now(|core| {
            if let Ok(inode) = core.inodes.get(ino) {
                core.locks.release(&inode, owner.0);
            }
            core.open.file(handle)?.settle(&core.door, &core.inodes);
            Ok(())
        });
        empty(done, reply);
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let done = self.now(|core| {
            if let Ok(inode) = core.inodes.get(ino) {
                core.locks.end(&inode, handle.0);
            }
            if let Some(file) = core.open.take(handle) {
                core.close_file(&file);
            }
            Ok(())
        });
        empty(done, reply);
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, datasync: bool, reply: ReplyEmpty) {
        let done = self.now(|core| {
            let file = core.open.file(handle)?;
            file.settle(&core.door, &core.inodes);
            if datasync { rustix::fs::fdatasync(&file.fd) } else { rustix::fs::fsync(&file.fd) }
        });
        empty(done, reply);
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let caller = self.caller(request);
        match self.now(|core| core.open_directory(&*core.inodes.get(ino)?, &caller)) {
            Ok(handle) => reply.opened(handle, FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let done = self.now(|core| {
            let directory = core.open.directory(handle)?;
            let mut stream = directory.stream.lock();
            if stream.at != offset {
                stream.buf.seek(&directory.fd, offset)?;
                stream.at = offset;
            }
            while let Some(entry) = stream.buf.next(&directory.fd)? {
                let kind = attr::kind_of(entry.file_type);
                let next = entry.next;
                if reply.add(INodeNo(entry.ino), next, kind, OsStr::from_bytes(entry.name)) {
                    // Full: this one comes again.
                    stream.at = u64::MAX;
                    break;
                }
                stream.at = next;
            }
            Ok(())
        });
        match done {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        drop(self.0.open.take_directory(handle));
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.now(|core| rustix::fs::fsync(&core.open.directory(handle)?.fd)), reply);
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        let got = self.now(|core| {
            let fd = core.inodes.get(ino)?.fd();
            Ok((rustix::fs::fstatvfs(&fd)?, rustix::fs::fstatfs(&fd)?))
        });
        match got {
            Ok((vfs, fs)) => reply.statfs(
                vfs.f_blocks,
                vfs.f_bfree,
                vfs.f_bavail,
                vfs.f_files,
                vfs.f_ffree,
                fs.f_bsize as u32,
                vfs.f_namemax as u32,
                vfs.f_frsize as u32,
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn setxattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        self.change_xattr(request, ino, name, Some((value.to_vec(), flags)), reply);
    }

    fn removexattr(&self, request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change_xattr(request, ino, name, None, reply);
    }

    fn getxattr(&self, request: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let caller = self.caller(request);
        let ready = self.now(|core| {
            // The kernel asks for its own kinds itself.
            let own = [&b"system."[..], b"security."].iter().any(|kind| name.as_bytes().starts_with(kind));
            if !own {
                let _as_caller = caller.assume()?;
            }
            Ok((core.inodes.get(ino)?.fd(), c_string(name)?))
        });
        match ready {
            Ok((fd, name)) => sized(size, |buf| xattr::get(&fd, &name, buf), reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let ready = self.now(|core| Ok(core.inodes.get(ino)?.fd()));
        match ready {
            Ok(fd) => sized(size, |buf| xattr::list(&fd, buf), reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn getlk(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        owner: LockOwner,
        first: u64,
        last: u64,
        kind: i32,
        _pid: u32,
        reply: ReplyLock,
    ) {
        let range = Range { kind, first, last };
        match self.now(|core| core.locks.test(&*core.inodes.get(ino)?, owner.0, &range)) {
            Ok(None) => reply.locked(first, last, libc::F_UNLCK, 0),
            Ok(Some(found)) => {
                let kind = if found.exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
                reply.locked(found.first, found.last, kind, found.pid.unwrap_or(0));
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn setlk(
        &self,
        request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        owner: LockOwner,
        first: u64,
        last: u64,
        kind: i32,
        _pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let inode = match self.0.inodes.get(ino) {
            Ok(inode) => inode,
            Err(errno) => return reply.error(attr::fuse(errno)),
        };
        let (caller, range) = (self.caller(request), Range { kind, first, last });
        let owner = Owner { id: owner.0, handle: handle.0 };
        self.run(
            move |core, patience| core.locks.set(&inode, owner, &range, sleep, patience, &caller),
            move |done| empty(done, reply),
        );
    }

    fn fallocate(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let caller = self.caller(request);
        let done = self.now(|core| {
            let file = core.open.file(handle)?;
            let _as_caller = caller.assume()?;
            let mode = FallocateFlags::from_bits_retain(mode as u32);
            rustix::fs::fallocate(&file.fd, mode, offset, length)
        });
        empty(done, reply);
    }

    fn lseek(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let sought = self.now(|core| {
            let file = core.open.file(handle)?;
            let offset = u64::try_from(offset).map_err(|_| Errno::NXIO)?;
            let to = match whence {
                libc::SEEK_DATA => SeekFrom::Data(offset),
                libc::SEEK_HOLE => SeekFrom::Hole(offset),
                _ => return Err(Errno::INVAL),
            };
            rustix::fs::seek(&file.fd, to)
        });
        match sought {
            Ok(at) => reply.offset(at as i64),
            Err(errno) => reply.error(errno),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        from: FileHandle,
        mut from_at: u64,
        _: INodeNo,
        to: FileHandle,
        mut to_at: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let copied = self.now(|core| {
            let (from, to) = (core.open.file(from)?, core.open.file(to)?);
            let len = usize::try_from(len.min(1 << 30)).unwrap_or(1 << 30);
            rustix::fs::copy_file_range(&from.fd, Some(&mut from_at), &to.fd, Some(&mut to_at), len)
        });
        match copied {
            Ok(n) => reply.written(n as u32),
            Err(errno) => reply.error(errno),
        }
    }
}

fn opened_file(core: &Core, file: OpenFile, reply: ReplyOpen) {
    let inode = Arc::clone(&file.inode);
    let backing = inode.sharing.lock().add(|| core.back(&inode, |fd| reply.open_backing(fd)));
    let handle = core.open.add(file);
    match backing {
        Some(id) => reply.opened_passthrough(handle, FopenFlags::empty(), &id),
        None => reply.opened(handle, FopenFlags::empty()),
    }
}

fn created_file(core: &Core, attr: &fuser::FileAttr, file: OpenFile, reply: ReplyCreate) {
    let inode = Arc::clone(&file.inode);
    let backing = inode.sharing.lock().add(|| core.back(&inode, |fd| reply.open_backing(fd)));
    let handle = core.open.add(file);
    match backing {
        Some(id) => {
            reply.created_passthrough(&TTL, attr, Generation(0), handle, FopenFlags::empty(), &id);
        }
        None => reply.created(&TTL, attr, Generation(0), handle, FopenFlags::empty()),
    }
}

impl Core {
    /// Each name that the kernel knows costs a descriptor. When they take half of what there may be, the kernel is asked to
    /// let go of those it does not use.
    pub(super) fn spare_descriptors(&self) {
        let most = self.door.gate.open_files / 2;
        if self.inodes.len() < most {
            return;
        }
        let mut spared = self.spared.lock();
        if spared.is_some_and(|at| at.elapsed() < SPARING) {
            return;
        }
        *spared = Some(Instant::now());
        drop(spared);
        let mut places = self.inodes.places();
        places.retain(|(_, _, name)| !name.is_empty());
        places.truncate(most / 2);
        self.mirror.forget(places.into_iter().map(|(_, parent, name)| (parent, name)).collect());
    }
}
