//! A block device that knows what a power cut would leave of it: a loop device on a FUSE file of this process, which sees
//! every write and every flush in their order.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, Session, WriteFlags,
};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::killed::random;

const NAME: &str = "disk";
const DISK: INodeNo = INodeNo(2);
const TTL: Duration = Duration::from_secs(3600);
/// What a device writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Default)]
struct Medium {
    /// As of the last flush.
    safe: Vec<u8>,
    /// With all that came after it.
    now: Vec<u8>,
    /// What came after it, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

impl Medium {
    fn write(&mut self, at: usize, data: &[u8]) -> Option<()> {
        self.now.get_mut(at..at + data.len())?.copy_from_slice(data);
        self.pending.push((at, data.to_vec()));
        Some(())
    }

    fn flush(&mut self) {
        for (at, data) in self.pending.drain(..) {
            self.safe[at..at + data.len()].copy_from_slice(&data);
        }
    }

    /// All that was flushed; of what was written after that some, some not, some in part.
    fn cut(&self) -> Vec<u8> {
        let mut image = self.safe.clone();
        // Most of it in one image, little of it in another.
        let lost = random(4);
        for (at, data) in &self.pending {
            let torn = random(4) == 0;
            let whole = random(4) >= lost;
            for (n, sector) in data.chunks(SECTOR).enumerate() {
                if if torn { random(2) == 0 } else { whole } {
                    let at = at + n * SECTOR;
                    image[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        image
    }
}

pub struct Device {
    medium: Arc<Mutex<Medium>>,
    _session: BackgroundSession,
    directory: TempDir,
}

impl Device {
    /// With this on it.
    pub fn new(image: Vec<u8>) -> Device {
        let directory =
            tempfile::Builder::new().prefix("smbgate-device-").tempdir_in("/var/tmp").expect("a directory");
        let medium = Medium { safe: image.clone(), now: image, pending: Vec::new() };
        let medium = Arc::new(Mutex::new(medium));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("smbgate-device".to_owned())];
        let file = DeviceFile(Arc::clone(&medium));
        let session = Session::new(file, directory.path(), &config).expect("a FUSE mount");
        let session = session.spawn().expect("its thread");
        Device { medium, _session: session, directory }
    }

    pub fn mount<'a>(&self, at: &'a Path) -> Mounted<'a> {
        Mounted::new(&self.directory.path().join(NAME), at)
    }

    /// What it would have if the power failed now.
    pub fn cut(&self) -> Vec<u8> {
        self.medium.lock().cut()
    }
}

/// Also when a test has failed, and a loop device has the file open still.
impl Drop for Device {
    fn drop(&mut self) {
        let done = nix::mount::umount2(self.directory.path(), nix::mount::MntFlags::MNT_DETACH);
        assert!(done.is_ok() || std::thread::panicking(), "umount: {done:?}");
    }
}

/// The file system of a device or of an image. Unmounted when dropped.
pub struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub fn new(file: &Path, at: &'a Path) -> Mounted<'a> {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop,nodiscard"]).arg(file).arg(at));
        Mounted(at)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let lazily = nix::mount::MntFlags::MNT_DETACH;
        let flags = if std::thread::panicking() { lazily } else { nix::mount::MntFlags::empty() };
        let done = nix::mount::umount2(self.0, flags);
        assert!(done.is_ok() || std::thread::panicking(), "umount: {done:?}");
    }
}

pub fn run(command: &mut Command) {
    let output = command.output().expect("a program that is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

struct DeviceFile(Arc<Mutex<Medium>>);

impl DeviceFile {
    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let (kind, size) = match ino {
            DISK => (FileType::RegularFile, self.0.lock().now.len() as u64),
            _ => (FileType::Directory, 0),
        };
        let then = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino,
            size,
            blocks: size / 512,
            atime: then,
            mtime: then,
            ctime: then,
            crtime: then,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for DeviceFile {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name == NAME {
            true => reply.entry(&TTL, &self.attributes(DISK), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let medium = self.0.lock();
        let from = medium.now.len().min(offset as usize);
        reply.data(&medium.now[from..medium.now.len().min(from + size as usize)]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.0.lock().write(offset as usize, data) {
            Some(()) => reply.written(data.len() as u32),
            None => reply.error(Errno::ENOSPC),
        }
    }

    /// Whoever was answered before this came is in.
    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.lock().flush();
        reply.ok();
    }
}
