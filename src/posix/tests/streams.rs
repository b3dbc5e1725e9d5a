//! Named streams on a real file system; nothing to test where it has no xattrs.

use super::*;
use crate::sys::xattr;

/// A stream of a file, opened. None: no xattrs here.
fn stream(share: &Share, path: &str, name: &str) -> Option<Object> {
    if !share.export.facts().xattrs {
        return None;
    }
    let mut object = share.found(path).object;
    match share.export.find_stream(&object, name).unwrap() {
        Some(there) => share.export.open_stream(&mut object, &there),
        None => {
            share.export.create_stream(&object, name).unwrap();
            share.export.open_stream(&mut object, name);
        }
    }
    Some(object)
}

fn text(object: &Object) -> Vec<u8> {
    let mut buf = vec![0; 100];
    let len = object.read_at(0, &mut buf).unwrap();
    buf.truncate(len);
    buf
}

fn names(share: &Share, path: &str) -> Vec<String> {
    let mut names: Vec<_> = share
        .export
        .streams(&share.found(path).object)
        .unwrap()
        .into_iter()
        .map(|stream| format!("{} {}", stream.name, stream.size))
        .collect();
    names.sort();
    names
}

/// As `getfattr` shows what Samba 4.17 wrote.
#[test]
fn they_lie_as_samba_lays_them() {
    let share = Share::new();
    share.write("f", "file");
    let Some(s) = stream(&share, "f", "Stream One") else { return };
    let object = share.found("f").object;
    let on_disk = || {
        let mut buf = [0; 100];
        let len = xattr::get(object.as_fd(), c"user.DosStream.Stream One:$DATA", &mut buf).unwrap();
        buf[..len].to_vec()
    };
    assert_eq!(on_disk(), b"\0");
    s.write_at(0, b"hello world\n", false).unwrap();
    assert_eq!(on_disk(), b"hello world\n\0");
    xattr::set(object.as_fd(), c"user.DosStream.Stream One:$DATA", b"theirs\0").unwrap();
    assert_eq!(text(&s), b"theirs");
    assert_eq!(std::fs::read(share.at("f")).unwrap(), b"file");
}

#[test]
fn they_are_read_and_written_as_files_are() {
    let share = Share::new();
    share.write("f", "");
    let Some(s) = stream(&share, "f", "s") else { return };
    s.write_at(4, b"there", false).unwrap();
    assert_eq!(text(&s), b"\0\0\0\0there");
    let mut two = [0; 2];
    assert_eq!(s.read_at(5, &mut two), Ok(2));
    assert_eq!(&two, b"he");
    assert_eq!(s.read_at(9, &mut two), Ok(0));
    assert_eq!(s.read_at(u64::MAX, &mut two), Ok(0));
    assert_eq!(s.append(b"!", true).unwrap().offset, 9);
    s.set_size(6).unwrap();
    s.zero_range(4, 1).unwrap();
    assert_eq!(text(&s), b"\0\0\0\0\0h");
    assert_eq!(s.allocated_ranges(1, 100, 9), Ok(vec![(1, 5)]));
    let stat = share.export.stat(&s).unwrap();
    assert_eq!((stat.kind, stat.size), (Kind::File, 6));
    assert!(s.read_nowait(0, &mut two).is_none());
}

#[test]
fn a_stream_has_a_limit() {
    let share = Share::new();
    share.write("f", "");
    let Some(s) = stream(&share, "f", "s") else { return };
    for end in [256 << 20, u64::MAX] {
        assert_eq!(s.write_at(end, b"x", false), Err(NtStatus::DISK_FULL));
        assert_eq!(s.set_size(end.saturating_add(1)), Err(NtStatus::DISK_FULL));
    }
    assert_eq!(text(&s), b"");
}

#[test]
fn names_keep_their_case_and_match_in_any() {
    let share = Share::new();
    share.mkdir("d");
    let Some(s) = stream(&share, "d", "Grün") else { return };
    let object = share.found("d").object;
    assert_eq!(share.export.find_stream(&object, "gRÜN"), Ok(Some("Grün".into())));
    assert_eq!(share.export.create_stream(&object, "GRÜN"), Err(NtStatus::OBJECT_NAME_COLLISION));
    let long = "x".repeat(250);
    assert_eq!(share.export.create_stream(&object, &long), Err(NtStatus::OBJECT_NAME_INVALID));
    assert_eq!(names(&share, "d"), ["Grün 0"]);
    // A directory's stream is no directory.
    let stat = share.export.stat(&s).unwrap();
    assert_eq!((stat.kind, stat.attributes), (Kind::File, FileAttributes::NORMAL));
    assert_eq!(share.export.eas(&object), Ok(Vec::new()));
}

#[test]
fn a_rename_is_seen_by_all_opens() {
    let share = Share::new();
    share.write("f", "");
    let Some(s) = stream(&share, "f", "old") else { return };
    let other = stream(&share, "f", "OLD").unwrap();
    s.write_at(0, b"data", false).unwrap();
    share.export.rename_stream(&s, "New", false).unwrap();
    assert_eq!(other.stream().as_deref(), Some("New"));
    other.write_at(4, b"!", false).unwrap();
    assert_eq!(names(&share, "f"), ["New 5"]);
    share.export.rename_stream(&s, "NEW", false).unwrap();
    assert_eq!(names(&share, "f"), ["NEW 5"]);

    let third = stream(&share, "f", "third").unwrap();
    assert_eq!(share.export.rename_stream(&s, "Third", false), Err(NtStatus::OBJECT_NAME_COLLISION));
    third.write_at(0, b"x", false).unwrap();
    assert_eq!(share.export.rename_stream(&s, "Third", true), Err(NtStatus::INVALID_PARAMETER));
    third.set_size(0).unwrap();
    share.export.rename_stream(&s, "Third", true).unwrap();
    assert_eq!(names(&share, "f"), ["Third 5"]);
    drop(third);
    assert_eq!(text(&other), b"data!");
}

#[test]
fn one_that_was_removed_is_gone_for_its_opens() {
    let share = Share::new();
    share.write("f", "");
    let Some(s) = stream(&share, "f", "s") else { return };
    share.export.remove_stream(&share.found("f").object, "s").unwrap();
    assert_eq!(s.write_at(0, b"x", false), Err(NtStatus::OBJECT_NAME_NOT_FOUND));
    assert_eq!(names(&share, "f"), [""; 0]);
}

#[test]
fn writes_through_many_opens_are_all_there() {
    let share = Share::new();
    share.write("f", "");
    if stream(&share, "f", "s").is_none() {
        return;
    }
    std::thread::scope(|scope| {
        for n in 0..8 {
            let s = stream(&share, "f", "s").unwrap();
            scope.spawn(move || {
                for i in 0..20 {
                    s.write_at(i * 8 + n, &[b'a' + n as u8], false).unwrap();
                }
            });
        }
    });
    let s = stream(&share, "f", "s").unwrap();
    let mut buf = [0; 160];
    assert_eq!(s.read_at(0, &mut buf), Ok(160));
    assert_eq!(buf.to_vec(), b"abcdefgh".repeat(20));
}
