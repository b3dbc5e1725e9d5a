use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use rustix::fs::{Advice, fadvise};

use super::*;

const PAGE: usize = 4096;

/// A file with these bytes, on the disk and in the cache. None: this kernel does not tell what is.
fn file(bytes: &[u8]) -> Option<File> {
    let file = tempfile::tempfile_in("/var/tmp").unwrap();
    put(&file, bytes);
    match cache_stat(file.as_fd(), 0, 0) {
        Err(Errno::NOSYS) => None,
        told => told.map(|_| file).map_err(|e| panic!("cachestat: {e}")).ok(),
    }
}

fn put(file: &File, bytes: &[u8]) {
    file.write_all_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    read(file, 0, bytes.len());
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 + 1).collect()
}

fn read(file: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut read = vec![0; len];
    file.read_exact_at(&mut read, offset).unwrap();
    read
}

fn seen(window: &mut Window, file: &File, offset: u64, len: usize) -> Option<Vec<u8>> {
    window.with(file.as_fd(), offset, len, copy)
}

fn copy(source: Source<'_>) -> Vec<u8> {
    let mut copy = vec![0; source.len()];
    source.copy_to(&mut copy);
    copy
}

/// Drops what is in the cache. False: the file system keeps it.
fn forget(file: &File) -> bool {
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
    let left = cache_stat(file.as_fd(), 0, u64::MAX >> 1).unwrap();
    left.cached == 0
}

#[test]
fn what_is_seen_is_what_is_read() {
    let Some(file) = file(b"start") else { return };
    let pane = PANE as u64;
    let some = bytes(150_001);
    // The rest are holes.
    file.set_len(6 * pane + 77).unwrap();
    for n in 1..6 {
        file.write_all_at(&some, n * pane - 70_001).unwrap();
    }
    file.sync_all().unwrap();
    let mut window = Window::default();
    for _ in 0..2 {
        for n in 1..6 {
            for (offset, len) in [
                (n * pane - 100_000, 200_000),
                (n * pane, 1 << 20),
                (n * pane - 1, 1),
                (n * pane + 4095, 2),
                (n * pane - 65_536, 65_536),
                (n * pane - 5_000_001, 8 << 20),
                (n * pane + 30_000_000, 65_537),
            ] {
                let expected = read(&file, offset, len);
                assert!(seen(&mut window, &file, offset, len) == Some(expected), "{len} bytes at {offset}");
                assert!(window.shows(offset, len));
            }
        }
        assert_eq!(window.panes.len(), PANES);
    }
    let expected = read(&file, 6 * pane - 1, 78);
    assert_eq!(seen(&mut window, &file, 6 * pane - 1, 78), Some(expected));
    assert_eq!(seen(&mut window, &file, 6 * pane - 1, 79), None);
    assert_eq!(seen(&mut window, &file, 0, PANE + 1), None);
    assert_eq!(seen(&mut window, &file, u64::MAX, 2), None);
}

#[test]
fn a_file_that_grows_is_seen_up_to_where_it_ends_now() {
    let Some(file) = file(&[]) else { return };
    let mut window = Window::default();
    assert_eq!(seen(&mut window, &file, 0, 0), None);
    assert_eq!(seen(&mut window, &file, 0, 1), None);
    for len in [1, 5_000, 5_001, 70_000] {
        let now = bytes(len);
        put(&file, &now);
        assert_eq!(seen(&mut window, &file, 0, len + 1), None);
        assert_eq!(seen(&mut window, &file, 0, len), Some(now));
    }
}

#[test]
fn a_file_that_is_cut_short_is_not_seen_beyond() {
    let Some(file) = file(&bytes(20_000)) else { return };
    let mut window = Window::default();
    assert!(seen(&mut window, &file, 0, 20_000).is_some());
    file.set_len(9_000).unwrap();
    assert_eq!(seen(&mut window, &file, 0, 20_000), None);
    // The last page is there, with zeros.
    assert_eq!(seen(&mut window, &file, 0, 9_001), None);
    file.sync_all().unwrap();
    assert_eq!(seen(&mut window, &file, 0, 9_000), Some(bytes(9_000)));
}

#[test]
fn a_file_may_be_cut_short_while_it_is_looked_at() {
    let all = bytes(300_000);
    let Some(file) = file(&all) else { return };
    let mut window = Window::default();
    // Not to a page, within the last page, within the first, to nothing.
    for len in [100_000, 299_999, 1, 0] {
        assert!(seen(&mut window, &file, 0, all.len()).as_ref() == Some(&all));
        let mut looked = false;
        let told = window.with(file.as_fd(), 10, all.len() - 10, |source| {
            file.set_len(len).unwrap();
            looked = !copy(source).is_empty();
        });
        assert!(looked && told.is_none(), "cut to {len}");
        put(&file, &all);
    }
    // Cut and grown again meanwhile: the zeros are there.
    let told = window.with(file.as_fd(), 0, all.len(), |source| {
        file.set_len(10).unwrap();
        file.set_len(all.len() as u64).unwrap();
        copy(source)
    });
    assert!(told.is_none_or(|seen| seen[..10] == all[..10] && seen[10..].iter().all(|byte| *byte == 0)));
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let all = bytes(3 * PAGE);
    let Some(file) = file(&all) else { return };
    let mut window = Window::default();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        window.with(file.as_fd(), 0, all.len(), |source| {
            file.set_len(0).unwrap();
            copy(source);
            panic!("after zeros");
        })
    }));
    assert!(panicked.is_err());
    put(&file, &all);
    assert!(seen(&mut window, &file, 0, all.len()) == Some(all));
}

#[test]
fn what_is_not_in_the_cache_is_not_looked_at() {
    let all = bytes(1 << 20);
    let Some(file) = file(&all) else { return };
    let mut window = Window::default();
    for _ in 0..2 {
        assert!(seen(&mut window, &file, 0, all.len()).as_ref() == Some(&all));
        // What is mapped stays.
        window.close();
        if !forget(&file) {
            return;
        }
        assert_eq!(seen(&mut window, &file, 0, all.len()), None);
        // A page is not enough; and what is seen of it has brought nothing in.
        read(&file, 0, 1);
        if !cache_stat(file.as_fd(), 0, 1 << 20).is_ok_and(|stat| stat.cached == 256) {
            assert_eq!(seen(&mut window, &file, 0, all.len()), None);
        }
        read(&file, 0, all.len());
    }
}

#[test]
fn what_has_to_be_written_to_the_disk_is_looked_at_when_it_was_before() {
    let all = bytes(200_000);
    let Some(file) = file(&[]) else { return };
    let is_dirty = || cache_stat(file.as_fd(), 0, 200_000).unwrap().dirty > 0;
    let mut window = Window::default();
    file.write_all_at(&all, 0).unwrap();
    // A file system without a disk, or one that was quick.
    if is_dirty() {
        let told = seen(&mut window, &file, 0, all.len());
        assert!(told.is_none() || !is_dirty());
    }
    file.sync_all().unwrap();
    assert!(seen(&mut window, &file, 0, all.len()).as_ref() == Some(&all));
    file.write_all_at(b"other", 100_000).unwrap();
    assert_eq!(
        seen(&mut window, &file, 99_999, 7),
        Some(vec![all[99_999], b'o', b't', b'h', b'e', b'r', all[100_005]])
    );
}

#[test]
fn who_is_not_told_what_is_in_the_cache_asks_as_the_process() {
    let all = bytes(100_000);
    let Some(file) = file(&all) else { return };
    if !creds::can_switch() {
        return;
    }
    file.set_permissions(PermissionsExt::from_mode(0o644)).unwrap();
    let file = &file;
    let user = creds::Creds { uid: 4711, gid: 4712, groups: [].into() };
    let as_user = std::thread::spawn({
        let file = file.try_clone().unwrap();
        move || {
            let _as_user = creds::assume(&user).unwrap();
            let mut window = Window::default();
            assert!(seen(&mut window, &file, 0, all.len()) == Some(all));
            assert_eq!(creds::current(), user);
            let pane = &mut window.panes[0];
            assert_eq!(pane.is_there(0, PAGE), None, "mincore says that everything is there");
            window.close();
            if forget_as_process(&file) {
                assert_eq!(seen(&mut window, &file, 0, 100_000), None);
            }
        }
    });
    as_user.join().unwrap();
}

fn forget_as_process(file: &File) -> bool {
    creds::as_process(|| forget(file)).unwrap()
}

#[test]
fn there_are_only_so_many() {
    static TWO: Room = Room::new(2);
    let all = bytes(PAGE);
    let Some(file) = file(&all) else { return };
    let mut windows = [const { Window::within(&TWO) }; 3];
    let [one, two, three] = &mut windows;
    assert!(seen(one, &file, 0, PAGE).is_some() && seen(two, &file, 0, PAGE).is_some());
    assert_eq!(seen(three, &file, 0, PAGE), None);
    assert!(!three.is_open() && seen(one, &file, 0, PAGE).is_some());
    one.close();
    assert!(seen(three, &file, 0, PAGE) == Some(all));
    drop(windows);
    assert_eq!(TWO.taken.load(Ordering::Relaxed), 0);
    // None is lost where nothing can be mapped.
    let unreadable = File::options().write(true).open("/dev/null").unwrap();
    let mut window = Window::within(&TWO);
    assert_eq!(seen(&mut window, &unreadable, 0, 1), None);
    assert_eq!(TWO.taken.load(Ordering::Relaxed), 0);
}

const CHILD: &str = "SMBGATE_TEST_BUS_ERROR";

/// The other half of the next one.
#[test]
fn bus_error_elsewhere() {
    let Some(what) = std::env::var_os(CHILD) else { return };
    let all = bytes(2 * PAGE);
    let file = file(&all).unwrap();
    let mut window = Window::default();
    assert!(seen(&mut window, &file, 0, all.len()) == Some(all));
    if what == "sent" {
        // The runtime's own handler takes the first for a mistake.
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGBUS).unwrap();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGBUS).unwrap();
        return;
    }
    let other = Map::new(file.as_fd(), 0, PAGE).unwrap();
    window.with(file.as_fd(), 0, PAGE, |_| {
        file.set_len(0).unwrap();
        // SAFETY: mapped. The process ends here.
        unsafe { other.at(0).cast::<u8>().read_volatile() }
    });
}

#[test]
fn a_bus_error_elsewhere_ends_the_process() {
    if file(&[]).is_none() {
        return;
    }
    for what in ["touched", "sent"] {
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sys::window::tests::bus_error_elsewhere"])
            .env(CHILD, what)
            .output()
            .unwrap();
        assert_eq!(ended.status.signal(), Some(libc::SIGBUS), "{what}: {ended:?}");
    }
}
