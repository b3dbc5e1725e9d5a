//! Open files and directories of the view, and where their data goes: by the kernel straight to the file behind
//! (passthrough), or through here.

use fuser::BackingId;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, Statx};
use rustix::io::{Errno, Result};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Core;
use super::caller::Caller;
use super::door::{Door, Patience, Registered, Stop, Subject};
use super::inodes::{Inode, Inodes};
use crate::fsa::change::{Change, Facets};
use crate::sys::creds;
use crate::sys::dir::DirBuf;
use crate::sys::file;
use crate::types::AccessMask;

/// How the opens of one file get at its data. The kernel wants all of them to do it in one way, and by one
/// [`BackingId`].
#[derive(Default, Debug)]
pub struct Sharing {
    opens: u32,
    backing: Option<Arc<BackingId>>,
}

impl Sharing {
    /// One more open. `back` makes the id where the first one decides.
    pub fn add(&mut self, back: impl FnOnce() -> Option<BackingId>) -> Option<Arc<BackingId>> {
        if self.opens == 0 {
            self.backing = back().map(Arc::new);
        }
        self.opens += 1;
        self.backing.clone()
    }

    fn remove(&mut self) -> Option<Arc<BackingId>> {
        self.opens -= 1;
        if self.opens == 0 { self.backing.take() } else { None }
    }
}

/// What a write moves.
type Version = (u64, i64, u32);

fn version(stx: &Statx) -> Version {
    (stx.stx_size, stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec)
}

pub struct OpenFile {
    pub inode: Arc<Inode>,
    /// With the rights of who opened it.
    pub fd: OwnedFd,
    pub writes: bool,
    /// None: it had no name any more.
    registered: Option<Registered>,
    /// What everybody was told of.
    told: Mutex<Version>,
}

impl OpenFile {
    /// Says what has been written through it since it was asked last.
    pub fn settle(&self, door: &Door, inodes: &Inodes) {
        let Some(registered) = self.registered.as_ref().filter(|_| self.writes) else { return };
        let Ok(now) = file::stat_fd(&self.fd).map(|stx| version(&stx)) else { return };
        if std::mem::replace(&mut *self.told.lock(), now) == now {
            return;
        }
        let path = registered.path().or_else(|| inodes.path(&self.inode).ok().flatten());
        if let Some(path) = path {
            door.tell(&Change::modified(path, false, Facets::WRITTEN).of(self.inode.node));
        }
    }

    /// Nobody else caches the file while it is open so.
    pub fn excludes_caches(&self) -> bool {
        self.writes && self.registered.is_some()
    }
}

/// A directory being listed.
pub struct OpenDirectory {
    pub fd: OwnedFd,
    pub stream: Mutex<Stream>,
}

pub struct Stream {
    pub buf: DirBuf,
    /// Where it goes on.
    pub at: u64,
}

pub type Handles<T> = Mutex<HashMap<u64, Arc<T>>>;

/// By the number the kernel gives back.
#[derive(Default)]
pub struct Open {
    files: Handles<OpenFile>,
    directories: Handles<OpenDirectory>,
    next: AtomicU64,
}

impl Open {
    fn number(&self) -> fuser::FileHandle {
        fuser::FileHandle(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub fn add(&self, file: OpenFile) -> fuser::FileHandle {
        let number = self.number();
        self.files.lock().insert(number.0, Arc::new(file));
        number
    }

    pub fn file(&self, handle: fuser::FileHandle) -> Result<Arc<OpenFile>> {
        self.files.lock().get(&handle.0).cloned().ok_or(Errno::BADF)
    }

    pub fn take(&self, handle: fuser::FileHandle) -> Option<Arc<OpenFile>> {
        self.files.lock().remove(&handle.0)
    }

    pub fn directory(&self, handle: fuser::FileHandle) -> Result<Arc<OpenDirectory>> {
        self.directories.lock().get(&handle.0).cloned().ok_or(Errno::BADF)
    }

    pub fn take_directory(&self, handle: fuser::FileHandle) -> Option<Arc<OpenDirectory>> {
        self.directories.lock().remove(&handle.0)
    }
}

/// What of a program's flags the descriptor here has. (What is created or truncated is so elsewhere; alignment is the
/// program's affair.)
pub fn flags_of(flags: i32) -> OFlags {
    let kept = OFlags::ACCMODE | OFlags::APPEND | OFlags::SYNC | OFlags::DSYNC | OFlags::NONBLOCK;
    OFlags::from_bits_retain(flags as u32) & kept
}

fn writes(flags: OFlags) -> bool {
    let mode = flags & OFlags::ACCMODE;
    mode == OFlags::WRONLY || mode == OFlags::RDWR
}

pub fn access_of(flags: OFlags) -> AccessMask {
    let write = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
    match (flags & OFlags::ACCMODE == OFlags::WRONLY, writes(flags)) {
        (true, _) => write,
        (false, true) => write | AccessMask::READ_DATA,
        (false, false) => AccessMask::READ_DATA,
    }
}

impl Core {
    /// Opens what is there, as the caller, and registers that.
    pub fn open_file(
        &self,
        inode: &Arc<Inode>,
        flags: i32,
        patience: Patience,
        caller: &Caller,
    ) -> std::result::Result<OpenFile, Stop> {
        let flags = flags_of(flags);
        let fd = {
            let _as_caller = caller.assume()?;
            file::reopen(inode.fd(), flags)?
        };
        self.register_file(inode, fd, flags, patience, caller)
    }

    pub fn register_file(
        &self,
        inode: &Arc<Inode>,
        fd: OwnedFd,
        flags: OFlags,
        patience: Patience,
        caller: &Caller,
    ) -> std::result::Result<OpenFile, Stop> {
        let registered = match self.inodes.path(inode)? {
            Some(path) => {
                let subject = Subject::new(&file::stat_fd(&fd)?, path);
                Some(self.door.open(&subject, access_of(flags), patience, caller)?)
            }
            None => None,
        };
        // What was flushed to let this one in is not its own.
        let told = version(&file::stat_fd(&fd)?);
        Ok(OpenFile {
            inode: Arc::clone(inode),
            fd,
            writes: writes(flags),
            registered,
            told: Mutex::new(told),
        })
    }

    /// The id by which the kernel reaches the file itself. `register` makes it of a descriptor. None: it cannot.
    pub fn back(
        &self,
        inode: &Inode,
        register: impl FnOnce(&OwnedFd) -> std::io::Result<BackingId>,
    ) -> Option<BackingId> {
        if !self.passthrough.load(Ordering::Relaxed) {
            return None;
        }
        let registered = creds::as_process(|| register(&file::reopen(inode.fd(), OFlags::RDONLY)?));
        match registered.and_then(|registered| registered) {
            Ok(id) => Some(id),
            Err(e) => {
                let never = matches!(e.raw_os_error(), Some(libc::EPERM | libc::EOPNOTSUPP | libc::ENOTTY));
                if never && self.passthrough.swap(false, Ordering::Relaxed) {
                    log::info!("view {}: data goes through smbgate, not by the kernel: {e}", self.name);
                }
                None
            }
        }
    }

    pub fn close_file(&self, file: &OpenFile) {
        file.settle(&self.door, &self.inodes);
        drop(file.inode.sharing.lock().remove());
    }

    pub fn open_directory(&self, inode: &Inode, caller: &Caller) -> Result<fuser::FileHandle> {
        let _as_caller = caller.assume()?;
        let fd = file::reopen(inode.fd(), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let stream = Mutex::new(Stream { buf: DirBuf::new(32 * 1024), at: 0 });
        let number = self.open.number();
        self.open.directories.lock().insert(number.0, Arc::new(OpenDirectory { fd, stream }));
        Ok(number)
    }

    /// Sets the length of a file through a descriptor that may write.
    pub fn truncate(&self, inode: &Inode, size: u64, by: Option<&OpenFile>, caller: &Caller) -> Result<()> {
        let _as_caller = caller.assume()?;
        match by.filter(|file| file.writes) {
            Some(file) => rustix::fs::ftruncate(&file.fd, size),
            None => rustix::fs::ftruncate(file::reopen(inode.fd(), OFlags::WRONLY)?, size),
        }
    }
}

/// The mode of something new. Where the directory has a default ACL, that takes the place of the umask.
pub fn mode_of(directory: &OwnedFd, mode: u32, umask: u32) -> Mode {
    let acl = crate::sys::xattr::get(directory, c"system.posix_acl_default", &mut []);
    let has_acl = matches!(acl, Ok(1..) | Err(Errno::RANGE));
    Mode::from_raw_mode(if has_acl { mode } else { mode & !umask } & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_an_open_can_do() {
        let write = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
        assert_eq!(access_of(flags_of(libc::O_RDONLY | libc::O_NOFOLLOW)), AccessMask::READ_DATA);
        assert_eq!(access_of(flags_of(libc::O_WRONLY | libc::O_APPEND)), write);
        assert_eq!(access_of(flags_of(libc::O_RDWR | libc::O_DIRECT)), write | AccessMask::READ_DATA);
        assert_eq!(flags_of(libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_DIRECT), OFlags::RDWR);
    }

    #[test]
    fn an_umask_counts_where_there_is_no_default_acl() {
        let dir = tempfile::tempdir().expect("a directory");
        let fd = OwnedFd::from(std::fs::File::open(dir.path()).expect("opens"));
        assert_eq!(mode_of(&fd, 0o100_666, 0o022), Mode::from_raw_mode(0o644));
        // Version 2; owner, group and others: rwx each.
        let acl: Vec<u8> = [
            &2u32.to_le_bytes()[..],
            &[1, 0, 7, 0, 255, 255, 255, 255],
            &[4, 0, 7, 0, 255, 255, 255, 255],
            &[32, 0, 7, 0, 255, 255, 255, 255],
        ]
        .concat();
        if crate::sys::xattr::set(&fd, c"system.posix_acl_default", &acl).is_ok() {
            assert_eq!(mode_of(&fd, 0o666, 0o022), Mode::from_raw_mode(0o666));
        }
    }
}
