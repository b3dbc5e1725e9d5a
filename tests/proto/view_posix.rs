//! A program sees and does through the view what it would on the directory itself: the same random operations are done on
//! both, by root and by another user, and every answer and all that is there afterwards is compared.
//!
//! `VIEW_STEPS=n` sets the number of operations, `VIEW_SEED=n` the seed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use smbgate::sys::creds::{self, Creds};

use crate::view::Viewed;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n.max(1) as u64) as usize
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// One tree, and what a program has open in it.
struct Side {
    root: PathBuf,
    files: Vec<File>,
}

/// One operation, by names relative to the root.
#[derive(Clone, Debug)]
enum Step {
    Open(String, OFlags, u32),
    Close(usize),
    Write(usize, u64, usize),
    Read(usize, u64, usize),
    Resize(usize, u64),
    Fstat(usize),
    Allocate(usize, u64, u64),
    MakeDirectory(String, u32),
    MakeFifo(String, u32),
    Unlink(String, bool),
    Rename(String, String, RenameFlags),
    Link(String, String),
    Symlink(String, String),
    ReadLink(String),
    Chmod(String, u32),
    Chown(String, Option<u32>, Option<u32>),
    Truncate(String, u64),
    Times(String, Option<i64>),
    SetXattr(String, usize),
    GetXattr(String),
    Stat(String),
    List(String),
}

const NAMES: [&str; 7] = ["a", "b", "c", "d", "d/a", "d/b", "e/x"];

fn step(rng: &mut Rng) -> Step {
    let name = |rng: &mut Rng| rng.of(&NAMES).to_owned();
    let mode = |rng: &mut Rng| rng.of(&[0o644, 0o600, 0o666, 0o755, 0o444, 0o000, 0o2775, 0o4755, 0o1777]);
    let handle = |rng: &mut Rng| rng.below(6);
    match rng.below(30) {
        0..=4 => {
            let access = rng.of(&[OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR]);
            let more = rng.of(&[
                OFlags::empty(),
                OFlags::CREATE,
                OFlags::CREATE,
                OFlags::CREATE | OFlags::EXCL,
                OFlags::TRUNC,
                OFlags::CREATE | OFlags::TRUNC,
                OFlags::APPEND,
                OFlags::NOFOLLOW,
                OFlags::DIRECTORY,
            ]);
            Step::Open(name(rng), access | more | OFlags::NONBLOCK, mode(rng))
        }
        5 | 6 => Step::Close(handle(rng)),
        7 | 8 => Step::Write(handle(rng), rng.below(9000) as u64, rng.below(5000)),
        9 | 10 => Step::Read(handle(rng), rng.below(9000) as u64, rng.below(5000)),
        11 => Step::Resize(handle(rng), rng.below(9000) as u64),
        12 => Step::Fstat(handle(rng)),
        13 => Step::Allocate(handle(rng), rng.below(9000) as u64, 1 + rng.below(9000) as u64),
        14 | 15 => Step::MakeDirectory(rng.of(&["d", "e", "a", "d/b"]).to_owned(), mode(rng)),
        16 => Step::MakeFifo(name(rng), mode(rng)),
        17 => Step::Unlink(name(rng), false),
        18 => Step::Unlink(name(rng), true),
        19 | 20 => {
            let flags = rng.of(&[
                RenameFlags::empty(),
                RenameFlags::empty(),
                RenameFlags::NOREPLACE,
                RenameFlags::EXCHANGE,
            ]);
            Step::Rename(name(rng), name(rng), flags)
        }
        21 => Step::Link(name(rng), name(rng)),
        22 => match rng.below(2) {
            0 => Step::Symlink(rng.of(&["a", "d", "nowhere", "../d/a"]).to_owned(), name(rng)),
            _ => Step::ReadLink(name(rng)),
        },
        23 => Step::Chmod(name(rng), mode(rng)),
        24 => {
            let who = |rng: &mut Rng| rng.of(&[None, Some(0), Some(65534), Some(1)]);
            Step::Chown(name(rng), who(rng), who(rng))
        }
        25 => Step::Truncate(name(rng), rng.below(9000) as u64),
        26 => Step::Times(name(rng), rng.of(&[None, Some(-5), Some(1_000_000_000)])),
        27 => match rng.below(2) {
            0 => Step::SetXattr(name(rng), rng.below(200)),
            _ => Step::GetXattr(name(rng)),
        },
        28 => Step::Stat(name(rng)),
        _ => Step::List(rng.of(&["", "d", "e", "a"]).to_owned()),
    }
}

/// What two trees have in common of a file: everything but numbers and the times that the clock gives.
fn facts(meta: &fs::Metadata) -> String {
    let (mode, size) = (meta.mode(), if meta.is_dir() { 0 } else { meta.size() });
    let links = if meta.is_dir() { 0 } else { meta.nlink() };
    let old = Some(meta.mtime()).filter(|t| *t <= 1_000_000_000);
    format!("{mode:o} {}:{} {size} {links} {old:?}", meta.uid(), meta.gid())
}

impl Side {
    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn file(&self, n: usize) -> Result<&File, Errno> {
        self.files.get(n).ok_or(Errno::BADF)
    }

    fn run(&mut self, step: &Step, data: u8) -> Result<String, Errno> {
        let none = |()| String::new();
        match step {
            Step::Open(name, flags, mode) => {
                let fd = rustix::fs::open(self.at(name), *flags, Mode::from_raw_mode(*mode))?;
                self.files.push(File::from(fd));
                Ok(String::new())
            }
            Step::Close(n) => {
                self.file(*n)?;
                drop(self.files.remove(*n));
                Ok(String::new())
            }
            Step::Write(n, at, len) => {
                let data: Vec<u8> = (0..*len).map(|i| data.wrapping_add(i as u8)).collect();
                rustix::io::pwrite(self.file(*n)?.as_fd(), &data, *at).map(|n| n.to_string())
            }
            Step::Read(n, at, len) => {
                let mut data = vec![0; *len];
                let got = rustix::io::pread(self.file(*n)?.as_fd(), &mut data, *at)?;
                Ok(format!("{:?}", &data[..got]))
            }
            Step::Resize(n, size) => rustix::fs::ftruncate(self.file(*n)?.as_fd(), *size).map(none),
            Step::Fstat(n) => Ok(facts(&self.file(*n)?.metadata().expect("fstat"))),
            Step::Allocate(n, at, len) => {
                let mode = rustix::fs::FallocateFlags::empty();
                rustix::fs::fallocate(self.file(*n)?.as_fd(), mode, *at, *len).map(none)
            }
            Step::MakeDirectory(name, mode) => {
                rustix::fs::mkdir(self.at(name), Mode::from_raw_mode(*mode)).map(none)
            }
            Step::MakeFifo(name, mode) => {
                rustix::fs::mknodat(CWD, self.at(name), FileType::Fifo, Mode::from_raw_mode(*mode), 0)
                    .map(none)
            }
            Step::Unlink(name, directory) => {
                let flags = if *directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                rustix::fs::unlinkat(CWD, self.at(name), flags).map(none)
            }
            Step::Rename(from, to, flags) => {
                rustix::fs::renameat_with(CWD, self.at(from), CWD, self.at(to), *flags).map(none)
            }
            Step::Link(from, to) => rustix::fs::link(self.at(from), self.at(to)).map(none),
            Step::Symlink(target, name) => rustix::fs::symlink(target, self.at(name)).map(none),
            Step::ReadLink(name) => {
                rustix::fs::readlink(self.at(name), Vec::new()).map(|target| format!("{target:?}"))
            }
            Step::Chmod(name, mode) => rustix::fs::chmod(self.at(name), Mode::from_raw_mode(*mode)).map(none),
            Step::Chown(name, uid, gid) => {
                let (uid, gid) = (uid.map(rustix::fs::Uid::from_raw), gid.map(rustix::fs::Gid::from_raw));
                rustix::fs::chown(self.at(name), uid, gid).map(none)
            }
            Step::Truncate(name, size) => {
                let path = self.at(name);
                nix::unistd::truncate(&path, *size as i64)
                    .map_err(|e| Errno::from_raw_os_error(e as i32))
                    .map(none)
            }
            Step::Times(name, seconds) => {
                let at = match seconds {
                    Some(tv_sec) => Timespec { tv_sec: *tv_sec, tv_nsec: 250_000_000 },
                    None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW as _ },
                };
                let times = Timestamps { last_access: at, last_modification: at };
                rustix::fs::utimensat(CWD, self.at(name), &times, AtFlags::SYMLINK_NOFOLLOW).map(none)
            }
            Step::SetXattr(name, size) => {
                let value = vec![data; *size];
                rustix::fs::setxattr(self.at(name), c"user.test", &value, XattrFlags::empty()).map(none)
            }
            Step::GetXattr(name) => {
                let mut value = [0; 300];
                let n = rustix::fs::getxattr(self.at(name), c"user.test", &mut value)?;
                Ok(format!("{:?}", &value[..n]))
            }
            Step::Stat(name) => match fs::symlink_metadata(self.at(name)) {
                Ok(meta) => Ok(facts(&meta)),
                Err(e) => Err(Errno::from_io_error(&e).expect("an errno")),
            },
            Step::List(name) => match fs::read_dir(self.at(name)) {
                Ok(entries) => {
                    let mut names: Vec<_> = entries
                        .map(|e| e.expect("an entry"))
                        .map(|e| format!("{:?} {:?}", e.file_name(), e.file_type().expect("a type")))
                        .collect();
                    names.sort();
                    Ok(names.join(" "))
                }
                Err(e) => Err(Errno::from_io_error(&e).expect("an errno")),
            },
        }
    }
}

/// All that is there, as root sees it.
fn all(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").map(|e| e.expect("an entry")) {
            let (path, meta) = (entry.path(), entry.metadata().expect("metadata"));
            let name = path.strip_prefix(root).expect("beneath").as_os_str().as_bytes().to_vec();
            let mut what = facts(&meta);
            if meta.is_dir() {
                left.push(path);
            } else if meta.is_file() {
                let mut data = vec![0; meta.size() as usize];
                File::open(&path).expect("root may").read_exact_at(&mut data, 0).expect("its bytes");
                what += &format!(" {:x}", data.iter().fold(7u64, |h, b| h.wrapping_mul(31) + u64::from(*b)));
            }
            found.insert(name, what);
        }
    }
    found
}

#[test]
fn a_program_finds_what_it_would_find_on_the_directory_itself() {
    if !creds::can_switch() {
        return;
    }
    let env = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let (steps, seed) = (env("VIEW_STEPS").unwrap_or(6000), env("VIEW_SEED").unwrap_or(1));
    let viewed = Viewed::start();
    let plain = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let open_to_all = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    fs::set_permissions(plain.path(), open_to_all).expect("permissions");
    // The file system of the two is the same, so what it answers is.
    assert_eq!(
        fs::metadata(plain.path()).expect("there").dev(),
        fs::metadata(viewed.behind("")).expect("there").dev()
    );
    let mut view = Side { root: viewed.at(""), files: Vec::new() };
    let mut real = Side { root: plain.path().to_owned(), files: Vec::new() };
    let root = Creds { uid: 0, gid: 0, groups: [].into() };
    let other = Creds { uid: 65534, gid: 65534, groups: [1].into() };
    let mut rng = Rng(seed);
    for n in 0..steps {
        let step = step(&mut rng);
        let who = if rng.below(3) == 0 { &root } else { &other };
        let (got, wanted) = {
            let _as = creds::assume(who).expect("root can");
            (view.run(&step, n as u8), real.run(&step, n as u8))
        };
        assert_eq!(got, wanted, "seed {seed}, step {n}, user {}: {step:?}", who.uid);
        if n % 50 == 0 {
            let _as_root = creds::assume(&root).expect("root can");
            let there = all(&viewed.behind(""));
            assert_eq!(there, all(plain.path()), "seed {seed}, after step {n}");
            assert_eq!(
                there,
                all(&viewed.at("")),
                "seed {seed}, after step {n}: the view, and what is behind it"
            );
        }
        if n % 500 == 0 {
            (view.files, real.files) = (Vec::new(), Vec::new());
        }
    }
    let _as_root = creds::assume(&root).expect("root can");
}
