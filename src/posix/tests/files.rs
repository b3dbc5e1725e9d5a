use super::*;

#[test]
fn reading_and_writing() {
    let s = Share::new();
    let made = s.create("f");
    let f = &made.object;
    assert_eq!(f.data(), DataAccess { read: true, write: true });
    assert_eq!(f.write_at(0, b"hello", false), Ok(5));
    assert_eq!(f.write_at(5, b" world", true), Ok(6));
    assert_eq!(f.append(b"!", false), Ok(Append { offset: 11, written: 1 }));
    assert_eq!(f.append(b"!", true), Ok(Append { offset: 12, written: 1 }));
    let mut buf = [0; 32];
    assert_eq!(f.read_at(6, &mut buf), Ok(7));
    assert_eq!(&buf[..7], b"world!!");
    assert_eq!(f.read_at(100, &mut buf), Ok(0));
    f.sync().unwrap();
    f.set_size(4).unwrap();
    assert_eq!(s.export.stat(f).unwrap().size, 4);
    assert_eq!(std::fs::read(s.at("f")).unwrap(), b"hell");
    // Beyond what the file system can hold (tmpfs holds anything).
    assert!(matches!(f.set_size(u64::MAX / 2), Ok(()) | Err(NtStatus::DISK_FULL)));
}

#[test]
fn the_page_cache_is_read_without_waiting() {
    let s = Share::new();
    let made = s.create("f");
    made.object.write_at(0, &[7; 10_000], false).unwrap();
    let mut buf = [0; 16_000];
    // tmpfs and old file systems cannot, and say so.
    if let Some(n) = made.object.read_nowait(0, &mut buf) {
        assert_eq!(n, 10_000, "up to the end of the file");
        assert_eq!(made.object.read_nowait(9_999, &mut buf[..5]), Some(1));
    }
}

#[test]
fn data_descriptors_allow_what_was_asked() {
    let s = Share::new();
    s.write("f", "x");
    let mut object = s.found("f").object;
    assert_eq!(err(object.read_at(0, &mut [0])), NtStatus::ACCESS_DENIED);
    s.export.open_data(&mut object, DataAccess { read: true, write: false }).unwrap();
    assert_eq!(object.read_at(0, &mut [0]), Ok(1));
    assert_eq!(err(object.write_at(0, b"y", false)), NtStatus::ACCESS_DENIED);
    s.found("f").object.sync().unwrap();
    s.found("").object.sync().unwrap();
}

#[test]
fn reserving_space() {
    let s = Share::new();
    let f = s.create("f").object;
    f.write_at(0, &[1; 100], false).unwrap();
    f.set_allocation(1 << 20).unwrap();
    let stat = s.export.stat(&f).unwrap();
    assert_eq!(stat.size, 100);
    assert!(stat.allocation >= 1 << 20);
    f.set_allocation(10).unwrap();
    assert_eq!(s.export.stat(&f).unwrap().size, 10, "allocation below the size cuts");
    assert_eq!(f.set_allocation(1 << 60), Err(NtStatus::DISK_FULL));
    // What the file system could hold, and has no room for: it does not take what room there is.
    let had = s.export.stat(&f).unwrap().allocation;
    assert_eq!(f.set_allocation(1 << 43), Err(NtStatus::DISK_FULL));
    assert_eq!(s.export.stat(&f).unwrap().allocation, had);
}

#[test]
fn copying_within_the_kernel() {
    let s = Share::new();
    let (a, b) = (s.create("a").object, s.create("b").object);
    a.write_at(0, &[5; 100_000], false).unwrap();
    assert_eq!(a.copy_to(10, &b, 5, 50_000), Ok(50_000));
    assert_eq!(b.size(), Ok(50_005));
    assert_eq!(a.copy_to(99_000, &b, 0, 50_000), Ok(1_000), "short at the end");
    // Overlapping within one file: copied through memory.
    assert_eq!(a.copy_to(0, &a, 10, 1_000), Ok(1_000));
}

#[test]
fn holes() {
    let s = Share::new();
    let f = s.create("f").object;
    f.write_at(0, &[1; 65536 * 3], false).unwrap();
    f.zero_range(65536, 65536).unwrap();
    let mut buf = [9; 10];
    f.read_at(65536, &mut buf).unwrap();
    assert_eq!(buf, [0; 10]);
    assert_eq!(f.size(), Ok(65536 * 3));
    let ranges = f.allocated_ranges(0, u64::MAX, 10).unwrap();
    assert_eq!(ranges, [(0, 65536), (131_072, 65536)]);
    assert_eq!(f.allocated_ranges(0, u64::MAX, 1).unwrap().len(), 1);
    assert_eq!(f.allocated_ranges(1 << 30, 10, 10).unwrap(), []);
}

#[test]
fn modes_of_new_files() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |s: &Share, p: &str| std::fs::metadata(s.at(p)).unwrap().permissions().mode() & 0o7777;
    let s = Share::with(Policy { file_mode: Some(0o666), dir_mode: Some(0o775), ..Policy::default() });
    s.create("f");
    s.export.create(&s.missing("d"), new_dir()).unwrap();
    assert_eq!((mode(&s, "f"), mode(&s, "d")), (0o666, 0o775));
    let s = Share::with(Policy { umask: 0o077, ..Policy::default() });
    s.create("f");
    s.export.create(&s.missing("d"), new_dir()).unwrap();
    assert_eq!((mode(&s, "f"), mode(&s, "d")), (0o600, 0o700));
}

#[test]
fn a_name_that_somebody_took_first() {
    let s = Share::new();
    let missing = s.missing("f");
    s.write("f", "theirs");
    assert_eq!(err(s.export.create(&missing, new_file())), NtStatus::OBJECT_NAME_COLLISION);
    assert_eq!(err(s.export.create(&missing, new_dir())), NtStatus::OBJECT_NAME_COLLISION);
    assert_eq!(std::fs::read_to_string(s.at("f")).unwrap(), "theirs");
}

#[test]
fn overwriting() {
    let s = Share::new();
    s.write("f", "content");
    let f = s.open("f");
    s.export
        .set_times(&f, Times { created: Some(crate::types::FileTime(1 << 56)), ..Times::default() })
        .unwrap();
    let how = NewFile { attributes: FileAttributes::HIDDEN, ..new_file() };
    let stat = s.export.overwrite(&f, how, false).unwrap();
    assert_eq!(stat.size, 0);
    assert_eq!(stat.attributes, FileAttributes::HIDDEN | FileAttributes::ARCHIVE);
    assert_eq!(stat.created.0, 1 << 56);
    assert_ne!(s.export.overwrite(&f, how, true).unwrap().created.0, 1 << 56);
}

#[test]
fn removing_directories() {
    let s = Share::new();
    s.mkdir("d");
    s.write("d/.hidden", "x");
    let d = s.found("D");
    assert_eq!(s.export.is_empty(&d.object), Ok(false));
    assert_eq!(err(s.export.remove(&d.object, &d.path)), NtStatus::DIRECTORY_NOT_EMPTY);
    std::fs::remove_file(s.at("d/.hidden")).unwrap();
    assert_eq!(s.export.is_empty(&d.object), Ok(true));
    s.export.remove(&d.object, &d.path).unwrap();
    assert!(!s.at("d").exists());
    let root = s.found("");
    assert_eq!(err(s.export.remove(&root.object, &root.path)), NtStatus::CANNOT_DELETE);
}
