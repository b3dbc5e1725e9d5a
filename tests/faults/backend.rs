//! A synthetic FUSE file system in a process of its own, so that it can stall, fail and be killed like the real ones.
//! It has no extended attributes, and one flat directory of files in memory.
//!
//! The process is this test binary again, running the test `backend::process`. It takes commands on its standard
//! input, one a line, and answers each with a line on its standard error: `stall OP`, `fail OP` (with EIO), `go` (what
//! was held back goes on, nothing is stalled or fails any more), `far create NAME`, `far remove NAME`, `far append NAME`,
//! `far rename NAME TO` (changes that the kernel of this machine does not see). OP: lookup, getattr, open, read, write, readdir.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, Session, SessionACL, TimeOrNow,
    WriteFlags,
};
use tempfile::TempDir;

const MOUNT: &str = "SMBGATE_FAULT_MOUNT";
/// Nothing is cached: every request reaches the backend.
const TTL: Duration = Duration::ZERO;

/// The running file system, from the tests' side. Unmounts when dropped.
pub struct Backend {
    pub directory: TempDir,
    child: Child,
    answers: BufReader<ChildStderr>,
}

impl Backend {
    /// A file system with the files `hello` ("hello, world") and `other`.
    pub fn mount() -> Backend {
        Backend::mount_in(Path::new("/var/tmp"))
    }

    /// The same at a new directory in `parent`.
    pub fn mount_in(parent: &Path) -> Backend {
        let directory =
            tempfile::Builder::new().prefix("smbgate-fuse-").tempdir_in(parent).expect("a directory");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "backend::process", "--nocapture"])
            .env(MOUNT, directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the backend");
        let answers = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut backend = Backend { directory, child, answers };
        backend.acknowledged("mounted");
        backend
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn tell(&mut self, command: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(format!("{command}\n").as_bytes()).expect("the backend lives");
        self.acknowledged(command);
    }

    /// Waits until the backend holds back as many requests.
    pub fn holds(&mut self, count: usize) {
        self.tell(&format!("await {count}"));
    }

    /// `kill -9`: what remains answers "Transport endpoint is not connected".
    pub fn kill(&mut self) {
        self.child.kill().expect("the backend lives");
        self.child.wait().expect("the backend ends");
    }

    fn acknowledged(&mut self, what: &str) {
        let mut line = String::new();
        while line.trim() != what {
            line.clear();
            let n = self.answers.read_line(&mut line).expect("the backend's answer");
            assert!(n > 0, "the backend ended before {what:?}");
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // The order matters: a dead connection can be unmounted whoever waits on it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let path = self.directory.path();
        if nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).is_err() {
            let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(path).status();
        }
    }
}

/// Not a test: the backend's process. Without its variable it has nothing to do.
#[test]
fn process() {
    let Ok(path) = std::env::var(MOUNT) else { return };
    let state = Arc::new(Mutex::new(State::default()));
    for name in ["hello", "other"] {
        state.lock().unwrap().add(name, b"hello, world".to_vec());
    }
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("smbgate-test".to_owned())];
    config.acl = if nix::unistd::geteuid().is_root() { SessionACL::All } else { SessionACL::Owner };
    let session = Session::new(Files(state.clone()), Path::new(&path), &config).expect("mount");
    let _background = session.spawn().expect("the session");
    eprintln!("mounted");
    // Ends with its standard input, which is when the test has ended.
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("stall", op)) => drop(state.lock().unwrap().stalled.insert(op.to_owned())),
            Some(("fail", op)) => drop(state.lock().unwrap().failing.insert(op.to_owned())),
            Some(("far", what)) => state.lock().unwrap().far(what),
            Some(("await", count)) => {
                let count: usize = count.parse().unwrap();
                while state.lock().unwrap().held.len() < count {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            _ => {
                let held = {
                    let mut state = state.lock().unwrap();
                    state.stalled.clear();
                    state.failing.clear();
                    std::mem::take(&mut state.held)
                };
                held.into_iter().for_each(|answer| answer());
            }
        }
        eprintln!("{line}");
    }
    std::process::exit(0);
}

#[derive(Default)]
struct State {
    /// By inode number, which is 2 and up.
    files: BTreeMap<u64, (String, Vec<u8>)>,
    stalled: HashSet<String>,
    failing: HashSet<String>,
    held: Vec<Box<dyn FnOnce() + Send>>,
}

impl State {
    fn add(&mut self, name: &str, data: Vec<u8>) -> u64 {
        let ino = self.files.keys().last().map_or(2, |last| last + 1);
        self.files.insert(ino, (name.to_owned(), data));
        ino
    }

    fn far(&mut self, what: &str) {
        let words: Vec<&str> = what.split(' ').collect();
        let ino = self.find(OsStr::new(words[1]));
        match (words[0], ino) {
            ("create", None) => drop(self.add(words[1], Vec::new())),
            ("remove", Some(ino)) => drop(self.files.remove(&ino)),
            ("append", Some(ino)) => self.files.get_mut(&ino).unwrap().1.push(b'x'),
            ("rename", Some(ino)) => self.files.get_mut(&ino).unwrap().0 = words[2].to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn find(&self, name: &OsStr) -> Option<u64> {
        self.files.iter().find(|(_, (n, _))| n.as_str() == name).map(|(ino, _)| *ino)
    }

    fn attributes(&self, ino: u64) -> Option<FileAttr> {
        let size = match ino {
            1 => 0,
            _ => self.files.get(&ino)?.1.len() as u64,
        };
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Some(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: then,
            mtime: then,
            ctime: then,
            crtime: then,
            kind: if ino == 1 { FileType::Directory } else { FileType::RegularFile },
            perm: if ino == 1 { 0o777 } else { 0o666 },
            nlink: 1,
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

struct Files(Arc<Mutex<State>>);

impl Files {
    /// Answers now, or later if `op` is stalled. The flag says whether it has to fail.
    fn answer(&self, op: &str, answer: impl FnOnce(&mut State, bool) + Send + 'static) {
        let state = self.0.clone();
        let mut now = self.0.lock().unwrap();
        let fails = now.failing.contains(op);
        if now.stalled.contains(op) {
            now.held.push(Box::new(move || answer(&mut state.lock().unwrap(), fails)));
        } else {
            answer(&mut now, fails);
        }
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        self.answer("lookup", move |state, fails| {
            match state.find(&name).and_then(|ino| state.attributes(ino)) {
                _ if fails => reply.error(Errno::EIO),
                Some(attr) => reply.entry(&TTL, &attr, Generation(0)),
                None => reply.error(Errno::ENOENT),
            }
        });
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.answer("getattr", move |state, _| match state.attributes(ino.0) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
        });
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.answer("setattr", move |state, _| {
            if let (Some(size), Some((_, data))) = (size, state.files.get_mut(&ino.0)) {
                data.resize(size as usize, 0);
            }
            match state.attributes(ino.0) {
                Some(attr) => reply.attr(&TTL, &attr),
                None => reply.error(Errno::ENOENT),
            }
        });
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.answer("open", move |_, fails| match fails {
            true => reply.error(Errno::EIO),
            false => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
        });
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let name = name.to_string_lossy().into_owned();
        self.answer("create", move |state, _| {
            let ino = state.add(&name, Vec::new());
            let attr = state.attributes(ino).expect("the new file");
            reply.created(&TTL, &attr, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
        });
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.answer("unlink", move |state, _| {
            match state.find(&name).and_then(|ino| state.files.remove(&ino)) {
                Some(_) => reply.ok(),
                None => reply.error(Errno::ENOENT),
            }
        });
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.answer("read", move |state, fails| match state.files.get(&ino.0) {
            Some((_, data)) if !fails => {
                let from = data.len().min(offset as usize);
                reply.data(&data[from..data.len().min(from + size as usize)]);
            }
            _ => reply.error(Errno::EIO),
        });
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let bytes = bytes.to_vec();
        self.answer("write", move |state, fails| match state.files.get_mut(&ino.0) {
            Some((_, data)) if !fails => {
                let end = offset as usize + bytes.len();
                data.resize(data.len().max(end), 0);
                data[offset as usize..end].copy_from_slice(&bytes);
                reply.written(bytes.len() as u32);
            }
            _ => reply.error(Errno::EIO),
        });
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.answer("readdir", move |state, fails| {
            if fails {
                return reply.error(Errno::EIO);
            }
            let dots = [(1, FileType::Directory, "."), (1, FileType::Directory, "..")];
            let files =
                state.files.iter().map(|(ino, (name, _))| (*ino, FileType::RegularFile, name.as_str()));
            for (at, (ino, kind, name)) in dots.into_iter().chain(files).enumerate().skip(offset as usize) {
                if reply.add(INodeNo(ino), at as u64 + 1, kind, name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.answer("statfs", move |_, _| {
            reply.statfs(1 << 20, 1 << 19, 1 << 19, 1000, 900, 4096, 255, 4096)
        });
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOTSUP);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(Errno::ENOTSUP);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOTSUP);
    }
}
