use super::*;
use crate::types::FileTime;

const A: FileAttributes = FileAttributes::ARCHIVE;
const H: FileAttributes = FileAttributes::HIDDEN;
const R: FileAttributes = FileAttributes::READONLY;

#[test]
fn what_nobody_has_set() {
    let s = Share::new();
    s.write(".f", "x");
    s.mkdir("d");
    assert_eq!(s.found(".f").stat.attributes, A);
    assert_eq!(s.found("d").stat.attributes, FileAttributes::DIRECTORY);
    let stat = s.found(".f").stat;
    assert!(stat.created <= stat.written && stat.created.0 > 0);
}

#[test]
fn setting_and_clearing() {
    let s = Share::new();
    s.write("f", "x");
    s.mkdir("d");
    let (f, d) = (s.found("f"), s.found("d"));
    let created = f.stat.created;
    s.export.set_attributes(&f.object, R | H).unwrap();
    assert_eq!(s.found("f").stat.attributes, R | H);
    s.export.set_attributes(&f.object, FileAttributes::empty()).unwrap();
    assert_eq!(s.found("f").stat.attributes, R | H, "an empty mask leaves them");
    s.export.set_attributes(&f.object, FileAttributes::NORMAL).unwrap();
    assert_eq!(s.found("f").stat.attributes, FileAttributes::NORMAL);
    assert_eq!(s.found("f").stat.created, created);
    s.export.set_attributes(&d.object, H | FileAttributes::DIRECTORY).unwrap();
    assert_eq!(s.found("d").stat.attributes, H | FileAttributes::DIRECTORY);
}

#[test]
fn attributes_of_new_files() {
    let s = Share::new();
    let how = NewFile { attributes: H | R | FileAttributes::NORMAL, ..new_file() };
    let made = s.export.create(&s.missing("f"), how).unwrap();
    assert_eq!(made.stat.attributes, H | R | A);
    made.object.write_at(0, b"still open for writing", false).unwrap();
    let how = NewFile { attributes: H, ..new_dir() };
    let made = s.export.create(&s.missing("d"), how).unwrap();
    assert_eq!(made.stat.attributes, H | FileAttributes::DIRECTORY);
}

#[test]
fn times() {
    let s = Share::new();
    s.write("f", "x");
    let f = s.found("f");
    let at = |n: i64| FileTime::from_unix(1_500_000_000 + n, 123_456_700);
    let times = Times { created: Some(at(1)), accessed: Some(at(2)), written: Some(at(3)), changed: None };
    s.export.set_times(&f.object, times).unwrap();
    let stat = s.found("f").stat;
    assert_eq!((stat.created, stat.accessed, stat.written), (at(1), at(2), at(3)));
    assert_eq!(stat.attributes, A);
    s.export.set_times(&f.object, Times { written: Some(at(9)), ..Times::default() }).unwrap();
    let stat = s.export.stat(&f.object).unwrap();
    assert_eq!((stat.created, stat.accessed, stat.written), (at(1), at(2), at(9)));
}

#[test]
fn without_xattrs_the_side_store_has_them() {
    let s = Share::new();
    let export = Export::open_without_xattrs(&s.at(""), Policy::default()).unwrap();
    s.write("f", "x");
    let Ok(Lookup::Found(f)) = export.lookup(&SmbPath::parse("f").unwrap(), Last::Follow) else { panic!() };
    export.set_attributes(&f.object, H).unwrap();
    assert_eq!(export.stat(&f.object).unwrap().attributes, H);
    assert_eq!(s.found("f").stat.attributes, A, "nothing on disk");
    assert!(export.policy().side.get(f.object.key(), "user.DOSATTRIB").is_some());
    export.remove(&f.object, &f.path).unwrap();
    assert!(export.policy().side.get(f.object.key(), "user.DOSATTRIB").is_none());
}

#[test]
fn those_who_may_write_may_set_times_and_owners_attributes() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !is_root() {
        return;
    }
    let s = Share::new();
    let chmod = |mode| std::fs::set_permissions(s.at("f"), PermissionsExt::from_mode(mode)).unwrap();
    for dir in [s.at(".."), s.at("")] {
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    }
    s.write("f", "x");
    chmod(0o666);
    let times = Times { written: Some(FileTime::from_unix(1_500_000_000, 0)), ..Times::default() };
    as_user(4711, || s.export.set_times(&s.found("f").object, times)).unwrap();
    assert_eq!(s.found("f").stat.written, FileTime::from_unix(1_500_000_000, 0));
    chmod(0o644);
    assert_eq!(
        err(as_user(4711, || s.export.set_times(&s.found("f").object, times))),
        NtStatus::ACCESS_DENIED
    );
    assert_eq!(
        err(as_user(4711, || s.export.set_attributes(&s.found("f").object, H))),
        NtStatus::ACCESS_DENIED
    );
    chown(s.at("f"), Some(4711), None).unwrap();
    chmod(0o444);
    as_user(4711, || s.export.set_attributes(&s.found("f").object, H)).unwrap();
    assert_eq!(s.found("f").stat.attributes, H);
}

#[test]
fn extended_attributes() {
    let s = Share::new();
    s.write("f", "x");
    let f = s.found("f").object;
    s.export.set_attributes(&f, H).unwrap();
    assert_eq!(s.export.eas(&f).unwrap(), []);
    s.export.set_ea(&f, "Name", b"value").unwrap();
    s.export.set_ea(&f, "NAME", b"other").unwrap();
    assert_eq!(s.export.eas(&f).unwrap(), [Ea { name: "Name".into(), value: b"other".into() }]);
    assert_eq!(err(s.export.set_ea(&f, "DOSATTRIB", b"x")), NtStatus::INVALID_EA_NAME);
    s.export.set_ea(&f, "name", b"").unwrap();
    s.export.set_ea(&f, "never was", b"").unwrap();
    assert_eq!(s.export.eas(&f).unwrap(), []);
    assert_eq!(s.export.stat(&f).unwrap().attributes, H);
}

#[test]
fn times_that_the_file_system_cannot_keep_are_kept_until_it_has_others() {
    let s = Share::new();
    let made = s.create("f");
    let at = |seconds| FileTime::from_unix(seconds, 123_456_700);
    let now = || s.export.stat(&made.object).unwrap();
    let far = Times {
        created: Some(at(-9_000_000_000)),
        accessed: Some(at(20_000_000_000)),
        written: Some(at(-63_158_400)),
        changed: Some(at(1)),
    };
    s.export.set_times(&made.object, far).unwrap();
    let told = |stat: Stat| (stat.created, stat.accessed, stat.written, stat.changed);
    let asked = (at(-9_000_000_000), at(20_000_000_000), at(-63_158_400), at(1));
    assert_eq!(told(now()), asked);
    assert_ne!(now().version, at(1), "the file system has its own");
    assert_eq!(told(s.found("f").stat), asked);
    s.export.set_times(&made.object, Times { written: Some(at(7)), ..Times::default() }).unwrap();
    assert_eq!((now().written, now().accessed), (at(7), at(20_000_000_000)));
    assert_ne!(now().changed, at(1), "it was changed");
    s.export.set_times(&made.object, Times { changed: Some(at(2)), ..Times::default() }).unwrap();
    assert_eq!(now().changed, at(2));
    s.write("f", "by somebody else");
    assert_ne!(now().changed, at(2));
    assert_ne!(now().written, at(7));
}
