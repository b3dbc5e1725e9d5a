use std::os::unix::fs::symlink;

use super::*;

#[test]
fn an_exact_hit_reads_no_directory() {
    let s = Share::new();
    s.mkdir("Dir/Sub");
    s.write("Dir/Sub/File.txt", "x");
    let found = s.found("Dir\\Sub\\File.txt");
    assert_eq!(found.path.as_bytes(), b"Dir/Sub/File.txt");
    assert_eq!(found.stat.key.ino, ino(s.at("Dir/Sub/File.txt")));
    assert_eq!(found.stat.size, 1);
    assert_eq!(s.export.scans(), 0);
}

#[test]
fn the_root() {
    let s = Share::new();
    let found = s.found("");
    assert!(found.path.is_root());
    assert_eq!(found.object.kind(), Kind::Directory);
    assert_eq!(found.stat.key, s.export.root_key());
}

#[test]
fn any_case_finds_the_name_on_disk() {
    let s = Share::new();
    s.mkdir("Dir/Ünter");
    s.write("Dir/Ünter/File.txt", "x");
    for path in ["dir\\ünter\\file.TXT", "DIR\\ÜNTER\\File.txt", "Dir\\Ünter\\FILE.txt"] {
        assert_eq!(s.found(path).path.to_smb(), "Dir\\Ünter\\File.txt");
    }
    assert_eq!(s.export.scans(), 3, "once for each directory");
    let missing = s.missing("dir\\ÜNTER\\New.txt");
    assert_eq!(missing.path.to_smb(), "Dir\\Ünter\\New.txt");
    assert_eq!(missing.parent.key().ino, ino(s.at("Dir/Ünter")));
    assert_eq!(s.export.scans(), 3);
}

#[test]
fn names_that_differ_in_case_only_are_told_apart_by_exact_spelling() {
    let s = Share::new();
    s.write("readme", "1");
    s.write("README", "22");
    assert_eq!(s.found("readme").stat.size, 1);
    assert_eq!(s.found("README").stat.size, 2);
    assert_eq!(s.found("ReadMe").path.as_bytes(), b"README", "always the same one");
}

#[test]
fn what_is_missing_on_the_way() {
    let s = Share::new();
    s.write("file", "x");
    s.mkdir("d");
    assert_eq!(err(s.look("no\\file")), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(err(s.look("no\\a\\b\\c")), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(err(s.look("D\\a\\b\\c")), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(err(s.look("file\\x")), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(err(s.look("FILE\\x")), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(err(s.look("FILE\\x\\y")), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert!(s.is_missing("D\\x"));
}

#[test]
fn deep_paths() {
    let s = Share::new();
    let deep = ["Abc"; 200].join("/");
    s.mkdir(&deep);
    assert_eq!(s.found(&["abc"; 200].join("\\")).path.as_bytes(), deep.as_bytes());
    assert_eq!(err(s.look(&["abc"; 2000].join("\\"))), NtStatus::NAME_TOO_LONG);
}

#[test]
fn names_that_smb_cannot_carry() {
    use std::os::unix::ffi::OsStrExt;
    let s = Share::new();
    for name in
        [&b"a:b*c?"[..], b"dot.", b"space ", b"\xff\xfe", "\u{F022}".as_bytes(), b"back\\slash", b"tab\t"]
    {
        std::fs::write(s.at("").join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        let found = s.found(&name_to_smb(name));
        assert_eq!(found.path.as_bytes(), name);
    }
    assert_eq!(s.found("A\u{F022}B\u{F021}C\u{F025}").path.as_bytes(), b"a:b*c?");
    let made = s.create("new\u{F022}name\u{F029}");
    assert_eq!(made.path.as_bytes(), b"new:name.");
    assert!(s.at("new:name.").exists());
}

#[test]
fn symlinks_inside_are_followed() {
    let s = Share::new();
    s.mkdir("real/sub");
    s.write("real/sub/f", "x");
    symlink("real", s.at("rel")).unwrap();
    symlink("../../real/sub/f", s.at("real/sub/up")).unwrap();
    symlink(s.at("real/sub"), s.at("abs")).unwrap();
    symlink(s.at("rel/sub/../sub"), s.at("absrel")).unwrap();
    let want = ino(s.at("real/sub/f"));
    for path in ["rel\\sub\\f", "real\\sub\\up", "abs\\f", "ABS\\F", "absrel\\f", "abs\\up"] {
        assert_eq!(s.found(path).stat.key.ino, want, "{path}");
    }
    // A new file in a linked directory.
    let made = s.create("abs\\new");
    assert!(s.at("real/sub/new").exists());
    s.export.remove(&made.object, &made.path).unwrap();
    assert!(!s.at("real/sub/new").exists());
}

#[test]
fn symlinks_that_lead_out_or_nowhere() {
    let s = Share::new();
    symlink(s.outside(), s.at("abs")).unwrap();
    symlink("../outside/secret", s.at("rel")).unwrap();
    symlink("nowhere", s.at("dangling")).unwrap();
    symlink("loop", s.at("loop")).unwrap();
    let sibling = format!("{}-not", s.at("").to_str().unwrap().trim_end_matches('/'));
    symlink(sibling, s.at("prefix")).unwrap();
    for path in ["abs", "abs\\secret", "ABS\\secret", "rel", "REL", "loop", "prefix"] {
        assert_eq!(err(s.look(path)), NtStatus::ACCESS_DENIED, "{path}");
    }
    assert_eq!(err(s.look("dangling")), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(err(s.look("DANGLING")), NtStatus::OBJECT_NAME_NOT_FOUND);
    // Each can be opened as what it is, and removed.
    for path in ["abs", "rel", "Dangling", "loop"] {
        let kept = s.export.lookup(&SmbPath::parse(path).unwrap(), Last::Keep).unwrap();
        let Lookup::Found(found) = kept else { panic!("{path}") };
        assert_eq!(found.object.kind(), Kind::Symlink);
        assert!(found.stat.attributes.contains(FileAttributes::REPARSE_POINT));
        s.export.remove(&found.object, &found.path).unwrap();
        assert!(s.at(path).symlink_metadata().is_err());
    }
    assert!(s.outside().join("secret").exists());
}

#[test]
fn the_policy_never() {
    let s = Share::with(Policy { symlinks: Symlinks::Never, ..Policy::default() });
    s.mkdir("real");
    s.write("real/f", "x");
    symlink("real", s.at("link")).unwrap();
    assert_eq!(err(s.look("link\\f")), NtStatus::ACCESS_DENIED);
    assert_eq!(err(s.look("link")), NtStatus::ACCESS_DENIED);
    assert_eq!(s.found("REAL\\F").stat.size, 1);
}

#[test]
fn the_policy_outside() {
    let s = Share::with(Policy { symlinks: Symlinks::Outside, ..Policy::default() });
    symlink(s.outside(), s.at("link")).unwrap();
    assert_eq!(s.found("link\\SECRET").stat.size, 6);
}

#[test]
fn removing_what_was_opened_through_a_symlink_removes_the_link() {
    let s = Share::new();
    s.write("real", "x");
    s.mkdir("dir/inner");
    for target in ["real", "dir"] {
        symlink(target, s.at("link")).unwrap();
        let found = s.found("link");
        s.export.remove(&found.object, &found.path).unwrap();
        assert!(s.at(target).exists());
        assert!(s.at("link").symlink_metadata().is_err());
    }
}

#[test]
fn fifos_are_shown_and_not_opened() {
    let s = Share::new();
    nix::unistd::mkfifo(&s.at("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    let mut found = s.found("FIFO");
    assert_eq!(found.object.kind(), Kind::Special);
    let access = DataAccess { read: true, write: false };
    assert_eq!(err(s.export.open_data(&mut found.object, access)), NtStatus::ACCESS_DENIED);
}
