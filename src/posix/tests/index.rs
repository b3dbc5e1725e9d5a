use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};

use super::super::index::{Clockwork, Edit, Indexes};
use super::*;

fn key(fd: &OwnedFd) -> crate::types::NodeKey {
    super::super::stat::key(&crate::sys::file::stat_fd(fd).unwrap())
}

fn find(indexes: &Indexes, fd: &OwnedFd, name: &str, anew: bool) -> rustix::io::Result<Option<Vec<u8>>> {
    let seen = crate::sys::file::stat_fd(fd).unwrap();
    indexes.find(fd.as_fd(), key(fd), &seen, name, anew)
}

/// Creating many files reads the directory once, and again only now and then to prove what it knows (at most once
/// a second, and a twentieth of the time).
#[test]
fn twenty_thousand_creates_read_the_directory_once() {
    let s = Share::new();
    let start = Instant::now();
    for i in 0..20_000 {
        drop(s.create(&format!("File{i}.txt")));
    }
    let seconds = start.elapsed().as_secs();
    assert!(s.export.scans() <= seconds + 1, "{} reads in {seconds} s", s.export.scans());
    assert_eq!(s.found("fILE19999.TXT").path.as_bytes(), b"File19999.txt");
}

#[test]
fn our_own_changes_keep_the_index_true() {
    let s = Share::new();
    s.mkdir("d");
    assert!(s.is_missing("d\\x"));
    let made = s.create("d\\New");
    assert_eq!(s.found("d\\nEW").path.as_bytes(), b"d/New");
    let path = s.export.rename(&made.object, &made.path, &s.target("d\\Renamed"), false).unwrap();
    assert!(s.is_missing("d\\nEW"));
    assert_eq!(s.found("d\\rENAMED").path, path);
    let path = s.export.rename(&made.object, &path, &s.target("d\\RENAMED"), false).unwrap();
    assert_eq!(path.as_bytes(), b"d/RENAMED");
    assert_eq!(s.found("d\\renamed").path, path);
    let linked = s.export.link(&made.object, &s.target("d\\Second"), false).unwrap();
    assert_eq!(s.found("d\\sECOND").path, linked);
    s.export.remove(&made.object, &path).unwrap();
    assert!(s.is_missing("d\\renamed"));
    s.export.create(&s.missing("d\\Sub"), new_dir()).unwrap();
    assert_eq!(s.found("d\\sUB").path.as_bytes(), b"d/Sub");
    assert_eq!(s.export.scans(), 1, "only when it was first asked");
}

#[test]
fn outside_changes_are_seen_at_once() {
    let s = Share::new();
    s.mkdir("d");
    for i in 0..300 {
        let (name, other) = (format!("d/File{i}"), format!("d\\fILE{i}"));
        assert!(s.is_missing(&other));
        s.write(&name, "x");
        assert_eq!(s.found(&other).path.as_bytes(), name.as_bytes());
        match i % 3 {
            0 => std::fs::remove_file(s.at(&name)).unwrap(),
            1 => std::fs::rename(s.at(&name), s.at(&format!("d/gone{i}"))).unwrap(),
            _ => continue,
        }
        assert!(s.is_missing(&other));
    }
}

/// Between our creates somebody else's file appears; it must be found before long whatever the order.
#[test]
fn outside_changes_among_our_own() {
    let s = Share::new();
    s.mkdir("d");
    assert!(s.is_missing("d\\first"));
    for i in 0..200 {
        drop(s.create(&format!("d\\Ours{i}")));
        s.write(&format!("d/Theirs{i}"), "x");
        drop(s.create(&format!("d\\Again{i}")));
        assert_eq!(s.found(&format!("d\\tHEIRS{i}")).path.as_bytes(), format!("d/Theirs{i}").as_bytes());
    }
}

/// The same where change times move in ticks: an outside change in the tick of the scan shows after the tick.
#[test]
fn ticks_are_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let indexes = Indexes::new(Clockwork::Ticks, false, None);
    std::fs::write(dir.path().join("a"), "").unwrap();
    assert!(find(&indexes, &fd, "A", false).unwrap().is_some());
    // Nothing changed, but the index is too young to know.
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert!(find(&indexes, &fd, "B", false).unwrap().is_none());
    assert_eq!(indexes.scans(), 2);
    // Proven by now.
    assert!(find(&indexes, &fd, "C", false).unwrap().is_none());
    assert_eq!(indexes.scans(), 2);
}

#[test]
fn remote_file_systems_are_read_again_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let indexes = Indexes::new(Clockwork::Foreign, false, None);
    assert!(find(&indexes, &fd, "A", false).unwrap().is_none());
    assert!(find(&indexes, &fd, "A", false).unwrap().is_none());
    assert_eq!(indexes.scans(), 1);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert!(find(&indexes, &fd, "A", false).unwrap().is_none());
    assert_eq!(indexes.scans(), 2);
}

#[test]
fn a_failed_change_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let indexes = Indexes::new(Clockwork::Fine, false, None);
    assert!(find(&indexes, &fd, "A", false).unwrap().is_none());
    let failed: rustix::io::Result<()> =
        indexes.change(&[(fd.as_fd(), key(&fd), &[Edit::Added(b"a")])], || Err(rustix::io::Errno::NOSPC));
    assert!(failed.is_err());
    assert!(find(&indexes, &fd, "A", false).unwrap().is_none());
}

/// Several workers create in one directory: all names are known afterwards.
#[test]
fn creates_by_several_threads() {
    let s = Share::new();
    s.mkdir("d");
    std::thread::scope(|scope| {
        for t in 0..4 {
            let s = &s;
            scope.spawn(move || {
                for i in 0..500 {
                    drop(s.create(&format!("d\\T{t}-{i}")));
                    if i % 5 == 0 {
                        let found = s.found(&format!("d\\t{t}-{i}"));
                        s.export.remove(&found.object, &found.path).unwrap();
                    }
                }
            });
        }
    });
    for t in 0..4 {
        for i in 0..500 {
            assert_eq!(s.is_missing(&format!("d\\t{t}-{i}")), i % 5 == 0);
        }
    }
}
