//! The local view: what programs of the machine and clients see of each other through it.
//!
//! Needs /dev/fuse; as root, or with fusermount3.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, FlockArg, fcntl};
use nix::libc;
use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileId, LeaseState, NtStatus, ShareAccess,
};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::lock::{LockElement, LockFlags, LockRequest};
use tempfile::TempDir;

use crate::client::{Client, create};
use crate::common::Server;
use crate::leases::{NONE, RH, RWH, directory, file, leased, state};

/// What clients change is seen sooner than the kernel's caches end by themselves.
const SOON: Duration = Duration::from_millis(700);

/// A server whose share has a view.
pub struct Viewed {
    server: Server,
    mount: TempDir,
}

impl Viewed {
    pub fn start() -> Viewed {
        Viewed::with("")
    }

    fn with(keys: &str) -> Viewed {
        let mount =
            tempfile::Builder::new().prefix("smbgate-view-").tempdir_in("/var/tmp").expect("a directory");
        let keys = format!("view = {:?}\n{keys}", mount.path());
        let server = Server::start("signing = \"offered\"", &[("share", &keys)]);
        let viewed = Viewed { server, mount };
        assert!(viewed.is_mounted(), "{}", viewed.server.log());
        viewed
    }

    fn client(&self) -> Client {
        self.server.client()
    }

    /// A name in the view.
    pub fn at(&self, name: &str) -> PathBuf {
        self.mount.path().join(name)
    }

    /// The same on disk.
    pub fn behind(&self, name: &str) -> PathBuf {
        self.server.path("share").join(name)
    }

    fn is_mounted(&self) -> bool {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("the table of mounts");
        table.lines().any(|line| line.split(' ').nth(4) == self.mount.path().to_str())
    }
}

impl Drop for Viewed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.stop();
            assert!(!self.is_mounted(), "the server leaves its view behind");
        } else {
            let _ = nix::mount::umount2(self.mount.path(), nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

/// What a local program does meanwhile.
fn meanwhile<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::spawn(work)
}

#[track_caller]
fn soon(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn errno<T>(result: std::io::Result<T>) -> Option<Errno> {
    result.err().and_then(|e| e.raw_os_error()).map(Errno::from_raw)
}

fn lock(c: &mut Client, file_id: FileId, offset: u64, length: u64, flags: LockFlags) -> NtStatus {
    let locks = smallvec::smallvec![LockElement { offset, length, flags }];
    c.call(&LockRequest { file_id, locks, ..LockRequest::default() }).status()
}

fn program_lock(file: &File, kind: libc::c_int, start: i64, len: i64) -> bool {
    let range = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&range)).is_ok()
}

fn read_write(viewed: &Viewed, name: &str) -> File {
    File::options().read(true).write(true).open(viewed.at(name)).expect("opens")
}

#[test]
fn a_local_open_waits_until_a_client_has_written_what_it_caches() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    let opened = c.create(&leased(file("f"), 1, RWH, None)).unwrap();
    assert_eq!(state(&opened), RWH);
    assert_eq!(c.write(opened.file_id, 0, b"old"), Ok(3));
    let path = viewed.at("f");
    let reader = meanwhile(move || fs::read(path).expect("reads"));
    let told = c.lease_broken();
    assert_eq!((told.current_lease_state, told.new_lease_state), (RWH, RH));
    std::thread::sleep(Duration::from_millis(100));
    assert!(!reader.is_finished(), "the client has not answered yet");
    assert_eq!(c.write(opened.file_id, 0, b"new!"), Ok(4));
    c.acknowledge(1, RH);
    assert_eq!(reader.join().unwrap(), b"new!");
    assert_eq!(fs::read(viewed.at("f")).unwrap(), b"new!");
    c.has_heard_nothing();
}

/// And once it has closed it, the client may cache it again.
#[test]
fn nobody_caches_what_a_program_may_write() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    let opened = c.create(&leased(file("f"), 1, RH, None)).unwrap();
    assert_eq!(state(&opened), RH);
    let path = viewed.at("f");
    let writer = meanwhile(move || File::options().write(true).open(path).expect("opens"));
    assert_eq!(c.lease_broken().new_lease_state, NONE);
    c.acknowledge(1, NONE);
    let mut writer = writer.join().unwrap();
    assert_eq!(state(&c.create(&leased(file("f"), 2, RWH, None)).unwrap()), NONE);
    writer.write_all(b"local").expect("writes");
    assert_eq!(c.read(opened.file_id, 0, 10).unwrap(), b"local");
    drop(writer);
    let end = Instant::now() + Duration::from_secs(5);
    for key in 3.. {
        let again = c.create(&leased(file("f"), key, RH, None)).unwrap();
        if state(&again) == RH {
            break;
        }
        assert!(Instant::now() < end, "still nothing can be cached");
        c.close(again.file_id);
    }
}

#[test]
fn listings_are_given_up_before_a_local_change_of_names() {
    let viewed = Viewed::start();
    for name in ["old", "moves", "d2/x"] {
        fs::create_dir_all(viewed.behind(name).parent().unwrap()).unwrap();
        fs::write(viewed.behind(name), "").unwrap();
    }
    let mut c = viewed.client();
    let at = |name: &str| viewed.at(name);
    type Change = Box<dyn FnOnce() -> std::io::Result<()> + Send>;
    let changes: Vec<(&str, &str, Change)> = vec![
        (
            "new",
            "",
            Box::new({
                let p = at("new");
                move || File::create(p).map(drop)
            }),
        ),
        (
            "dir",
            "",
            Box::new({
                let p = at("dir");
                move || fs::create_dir(p)
            }),
        ),
        (
            "link",
            "",
            Box::new({
                let (a, b) = (at("old"), at("link"));
                move || fs::hard_link(a, b)
            }),
        ),
        (
            "sym",
            "",
            Box::new({
                let p = at("sym");
                move || std::os::unix::fs::symlink("old", p)
            }),
        ),
        (
            "moved",
            "moves",
            Box::new({
                let (a, b) = (at("moves"), at("moved"));
                move || fs::rename(a, b)
            }),
        ),
        (
            "",
            "old",
            Box::new({
                let p = at("old");
                move || fs::remove_file(p)
            }),
        ),
        (
            "",
            "dir",
            Box::new({
                let p = at("dir");
                move || fs::remove_dir(p)
            }),
        ),
    ];
    for (n, (comes, goes, change)) in changes.into_iter().enumerate() {
        let key = 10 + n as u8;
        let root = c.create(&leased(directory(""), key, RH, None)).unwrap();
        assert_eq!(state(&root), RH);
        let there = |name: &str| viewed.behind(name).symlink_metadata().is_ok();
        let local = meanwhile(change);
        let told = c.lease_broken();
        assert_eq!((told.lease_key.0[0], told.new_lease_state), (key, NONE));
        assert!(comes.is_empty() || !there(comes), "{comes} is there before the client has heard of it");
        assert!(goes.is_empty() || there(goes), "{goes} is gone before the client has heard of it");
        c.acknowledge(key, NONE);
        local.join().unwrap().expect("the change");
        assert!(comes.is_empty() || there(comes), "{comes}");
        assert!(goes.is_empty() || !there(goes), "{goes}");
        c.close(root.file_id);
    }
}

/// A client that does not answer holds a listing for a second, and no longer.
#[test]
fn a_silent_client_does_not_hold_up_local_names() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    c.create(&leased(directory(""), 1, RH, None)).unwrap();
    let start = Instant::now();
    fs::write(viewed.at("f"), "x").expect("writes");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(c.lease_broken().new_lease_state, NONE);
}

#[test]
fn what_a_client_does_is_seen_at_once() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    let id = c.make("f").unwrap();
    assert_eq!(c.write(id, 0, &[b'a'; 5000]), Ok(5000));
    let local = File::open(viewed.at("f")).expect("opens");
    let mut byte = [0];
    local.read_exact_at(&mut byte, 4999).unwrap();
    assert_eq!((byte[0], fs::metadata(viewed.at("f")).unwrap().len()), (b'a', 5000));
    assert_eq!(c.write(id, 0, &[b'b'; 6000]), Ok(6000));
    soon("the pages", || {
        let mut byte = [0];
        local.read_exact_at(&mut byte, 5999).is_ok() && byte[0] == b'b'
    });
    soon("the size", || fs::metadata(viewed.at("f")).unwrap().len() == 6000);
    soon("a name", || c_makes(&viewed, "g"));
    let inode = fs::metadata(viewed.at("f")).unwrap().ino();
    let reply = c.rename(id, "h");
    assert_eq!(c.wait(reply).status(), NtStatus::SUCCESS);
    soon("the old name", || !viewed.at("f").exists());
    assert_eq!(fs::metadata(viewed.at("h")).unwrap().ino(), inode);
    c.close(id);
    let request = create("h", AccessMask::DELETE, CreateDisposition::OPEN, CreateOptions::DELETE_ON_CLOSE);
    let opened = c.create(&request).unwrap();
    c.close(opened.file_id);
    soon("the name of what a client deleted", || !viewed.at("h").exists());
    // Who had it open still has it.
    local.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!(byte[0], b'b');
    assert_eq!(local.metadata().unwrap().nlink(), 0);
}

fn c_makes(viewed: &Viewed, name: &str) -> bool {
    if viewed.behind(name).exists() {
        return viewed.at(name).exists();
    }
    assert!(!viewed.at(name).exists());
    let mut c = viewed.client();
    let id = c.make(name).unwrap();
    c.close(id);
    false
}

#[test]
fn share_modes_that_deny_are_ebusy() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    let deny = |share| CreateRequest { share_access: share, ..file("f") };
    let id = c.create(&deny(ShareAccess::READ)).unwrap().file_id;
    assert_eq!(c.write(id, 0, b"text"), Ok(4));
    assert_eq!(fs::read(viewed.at("f")).unwrap(), b"text", "reading is shared");
    assert_eq!(errno(File::options().append(true).open(viewed.at("f"))), Some(Errno::EBUSY));
    assert_eq!(errno(fs::remove_file(viewed.at("f"))), Some(Errno::EBUSY));
    assert_eq!(errno(fs::rename(viewed.at("f"), viewed.at("g"))), Some(Errno::EBUSY));
    fs::write(viewed.at("other"), "").unwrap();
    assert_eq!(errno(fs::rename(viewed.at("other"), viewed.at("f"))), Some(Errno::EBUSY));
    assert_eq!(errno(File::options().write(true).truncate(true).open(viewed.at("f"))), Some(Errno::EBUSY));
    assert_eq!(fs::read(viewed.behind("f")).unwrap(), b"text");
    c.close(id);
    let id = c.create(&deny(ShareAccess::empty())).unwrap().file_id;
    assert_eq!(errno(File::open(viewed.at("f"))), Some(Errno::EBUSY));
    assert!(fs::metadata(viewed.at("f")).is_ok(), "attributes can be had");
    c.close(id);
    assert_eq!(fs::read(viewed.at("f")).unwrap(), b"text");
    // The other way round: a program shares everything.
    let _local = read_write(&viewed, "f");
    assert!(c.make("f").is_ok());
    assert_eq!(c.create(&deny(ShareAccess::READ)).err(), Some(NtStatus::SHARING_VIOLATION));
}

/// It asked to keep it open for nobody.
#[test]
fn handles_that_are_only_kept_are_given_up_for_a_local_rename_or_unlink() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    for (key, unlink) in [(1, true), (2, false)] {
        let deny = CreateRequest { share_access: ShareAccess::READ, ..file("f") };
        let kept = c.create(&leased(deny, key, RH, None)).unwrap();
        assert_eq!(state(&kept), RH);
        let (from, to) = (viewed.at("f"), viewed.at("g"));
        let local = meanwhile(move || if unlink { fs::remove_file(from) } else { fs::rename(from, to) });
        assert!(!c.lease_broken().new_lease_state.contains(LeaseState::HANDLE));
        assert!(viewed.behind("f").exists());
        c.close(kept.file_id);
        local.join().unwrap().expect("nobody is in the way");
        assert!(!viewed.behind("f").exists());
    }
    assert!(viewed.behind("g").exists());
}

#[test]
fn what_a_program_has_open_a_client_may_delete_and_rename() {
    let viewed = Viewed::start();
    fs::create_dir(viewed.at("d")).unwrap();
    fs::write(viewed.at("d/f"), "text").unwrap();
    let mut c = viewed.client();
    let mut local = File::open(viewed.at("d/f")).unwrap();
    fs::set_permissions(viewed.at("d"), fs::Permissions::from_mode(0o777)).unwrap();
    let access = AccessMask::FILE_READ | AccessMask::DELETE;
    let request = create("d", access, CreateDisposition::OPEN, CreateOptions::DIRECTORY_FILE);
    let d = c.create(&request).unwrap().file_id;
    let renamed = c.rename(d, "e");
    assert_eq!(c.wait(renamed).status(), NtStatus::SUCCESS, "beneath it, a program has a file open");
    c.close(d);
    let request = create("e\\f", AccessMask::DELETE, CreateDisposition::OPEN, CreateOptions::DELETE_ON_CLOSE);
    let gone = c.create(&request).unwrap();
    c.close(gone.file_id);
    assert!(!viewed.behind("e/f").exists(), "it goes at once");
    let mut text = String::new();
    local.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
}

#[test]
fn locks_of_programs_and_of_clients_exclude_each_other() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    let id = c.make("f").unwrap();
    let program = read_write(&viewed, "f");
    let exclusive = LockFlags::EXCLUSIVE_LOCK | LockFlags::FAIL_IMMEDIATELY;
    assert_eq!(lock(&mut c, id, 0, 10, exclusive), NtStatus::SUCCESS);
    assert!(!program_lock(&program, libc::F_WRLCK, 5, 1) && program_lock(&program, libc::F_WRLCK, 10, 5));
    assert_eq!(lock(&mut c, id, 12, 1, exclusive), NtStatus::LOCK_NOT_GRANTED);
    // As F_SETLKW: it waits until the client is done.
    let waiting = read_write(&viewed, "f");
    let waits = meanwhile(move || {
        let range = libc::flock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: 0,
            l_start: 0,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&waiting, FcntlArg::F_OFD_SETLKW(&range)).expect("locks");
        waiting
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waits.is_finished());
    assert_eq!(lock(&mut c, id, 0, 10, LockFlags::UNLOCK), NtStatus::SUCCESS);
    let waited = waits.join().unwrap();
    assert_eq!(lock(&mut c, id, 0, 1, exclusive), NtStatus::LOCK_NOT_GRANTED);
    // Closed, and so unlocked.
    drop((program, waited));
    let end = Instant::now() + Duration::from_secs(5);
    while lock(&mut c, id, 0, 20, exclusive) != NtStatus::SUCCESS {
        assert!(Instant::now() < end, "locks outlive their files");
    }
    let flocks = read_write(&viewed, "f");
    let Err((flocks, e)) = Flock::lock(flocks, FlockArg::LockExclusiveNonblock) else { panic!("locked") };
    assert_eq!(e, Errno::EWOULDBLOCK);
    assert_eq!(lock(&mut c, id, 0, 20, LockFlags::UNLOCK), NtStatus::SUCCESS);
    let held = Flock::lock(flocks, FlockArg::LockExclusiveNonblock).expect("free");
    assert_eq!(lock(&mut c, id, 100, 1, exclusive), NtStatus::LOCK_NOT_GRANTED);
    drop(held);
}

/// Who is killed while he waits for a client is not kept.
#[test]
fn a_program_that_is_killed_stops_waiting() {
    let viewed = Viewed::start();
    let mut c = viewed.client();
    let opened = c.create(&leased(file("f"), 1, RWH, None)).unwrap();
    let mut cat = Command::new("cat").arg(viewed.at("f")).spawn().expect("cat");
    c.lease_broken();
    cat.kill().expect("it runs");
    let start = Instant::now();
    cat.wait().expect("it ends");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    c.acknowledge(1, RH);
    c.close(opened.file_id);
}

#[test]
fn changes_are_the_callers() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let viewed = Viewed::start();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.current_dir(viewed.mount.path()).args(["-c", script]).uid(65534).gid(65534);
        command.status().expect("sh").success()
    };
    assert!(shell("umask 027; echo text > f && mkdir d && ln -s f l && mkfifo p"));
    for (name, mode) in [("f", 0o100_640), ("d", 0o040_750), ("p", 0o010_640)] {
        let meta = fs::symlink_metadata(viewed.behind(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode()), (65534, 65534, mode), "{name}");
    }
    assert_eq!(fs::symlink_metadata(viewed.behind("l")).unwrap().uid(), 65534);
    fs::write(viewed.at("roots"), "secret").unwrap();
    fs::set_permissions(viewed.at("roots"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(viewed.at("closed")).unwrap();
    fs::set_permissions(viewed.at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    for script in [
        "cat roots",
        "echo x >> roots",
        "ls closed",
        "touch closed/x",
        "chmod 666 roots",
        "chown 65534 roots",
    ] {
        assert!(!shell(script), "{script}");
    }
    // The set-id bits go when somebody else writes.
    fs::set_permissions(viewed.at("roots"), fs::Permissions::from_mode(0o6777)).unwrap();
    assert!(shell("echo x >> roots"));
    assert_eq!(fs::metadata(viewed.behind("roots")).unwrap().mode() & 0o7777, 0o777);
}

#[test]
fn what_a_crashed_server_left_is_replaced() {
    let mut viewed = Viewed::start();
    fs::write(viewed.at("f"), "text").unwrap();
    let _open = File::open(viewed.at("f")).unwrap();
    viewed.server.crash();
    assert_eq!(fs::read(viewed.at("f")).unwrap(), b"text");
    let mut c = viewed.client();
    assert!(c.open("f").is_ok());
    // A file that a program still has open does not keep the next server from stopping: Drop sees to that.
    let _open = File::open(viewed.at("f")).unwrap();
    drop(c);
    viewed.server.stop();
    assert!(!viewed.is_mounted());
    viewed.server.crash();
    assert!(viewed.is_mounted());
}

#[test]
fn a_view_that_cannot_be_mounted_does_not_keep_the_share_from_being_served() {
    let mount = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(mount.path().join("x"), "").unwrap();
    let keys = format!("view = {:?}", mount.path());
    let server = Server::start("signing = \"offered\"", &[("share", &keys)]);
    assert!(server.client().make("f").is_ok());
    assert!(server.log().contains("the directory is not empty; name an empty one"), "{}", server.log());
}

/// What is asked there would be asked of the server that asks.
#[test]
fn symlinks_that_lead_into_a_view_are_not_followed() {
    let viewed = Viewed::with("symlinks = \"outside\"");
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(elsewhere.path().join("f"), "there").unwrap();
    fs::write(viewed.behind("f"), "here").unwrap();
    for (name, target) in [
        ("view", viewed.mount.path().to_owned()),
        ("file", viewed.at("f")),
        ("again", viewed.at("again")),
        ("elsewhere", elsewhere.path().to_owned()),
    ] {
        symlink(target, viewed.behind(name)).unwrap();
    }
    let open = |name: &str, how| {
        let request = create(name, AccessMask::FILE_READ, how, CreateOptions::empty());
        let mut c = viewed.client();
        c.create(&request).map(|opened| c.read(opened.file_id, 0, 10).unwrap_or_default())
    };
    assert_eq!(open("elsewhere\\f", CreateDisposition::OPEN), Ok(b"there".to_vec()));
    for name in ["view\\f", "view\\new", "view\\view\\f", "view\\sub\\x"] {
        assert_eq!(open(name, CreateDisposition::OPEN_IF), Err(NtStatus::ACCESS_DENIED), "{name}");
    }
    for name in ["view", "file", "again"] {
        assert_eq!(open(name, CreateDisposition::OPEN), Err(NtStatus::STOPPED_ON_SYMLINK), "{name}");
    }
    assert!(!viewed.behind("new").exists());
}
