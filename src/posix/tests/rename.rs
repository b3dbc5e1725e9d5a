use super::*;

#[test]
fn to_a_free_name() {
    let s = Share::new();
    s.mkdir("a/sub");
    s.mkdir("b");
    s.write("a/f", "x");
    let f = s.found("a\\f");
    let path = s.export.rename(&f.object, &f.path, &s.target("B\\g"), false).unwrap();
    assert_eq!(path.as_bytes(), b"b/g");
    assert_eq!(std::fs::read_to_string(s.at("b/g")).unwrap(), "x");
    let d = s.found("a\\sub");
    let path = s.export.rename(&d.object, &d.path, &s.target("b\\sub2"), false).unwrap();
    assert_eq!(path.to_smb(), "b\\sub2");
    assert!(s.at("b/sub2").is_dir());
}

#[test]
fn onto_another() {
    let s = Share::new();
    s.write("a", "a");
    s.write("B", "b");
    s.mkdir("dir");
    let a = s.found("a");
    assert_eq!(
        err(s.export.rename(&a.object, &a.path, &s.target("b"), false)),
        NtStatus::OBJECT_NAME_COLLISION
    );
    assert_eq!(err(s.export.rename(&a.object, &a.path, &s.target("DIR"), true)), NtStatus::ACCESS_DENIED);
    let path = s.export.rename(&a.object, &a.path, &s.target("b"), true).unwrap();
    assert_eq!(path.as_bytes(), b"b", "as the client spelled it");
    assert_eq!(std::fs::read_to_string(s.at("b")).unwrap(), "a");
    assert!(!s.at("a").exists() && !s.at("B").exists());
}

#[test]
fn only_the_case() {
    let s = Share::new();
    s.write("name", "x");
    s.mkdir("dir");
    for (from, to) in [("name", "Name"), ("dir", "DIR")] {
        let f = s.found(from);
        let path = s.export.rename(&f.object, &f.path, &s.target(to), false).unwrap();
        assert_eq!(path.as_bytes(), to.as_bytes());
        let names: Vec<_> = std::fs::read_dir(s.at("")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(names.contains(&to.into()) && !names.contains(&from.into()));
        // To itself: nothing to do.
        s.export.rename(&f.object, &path, &s.target(to), false).unwrap();
    }
}

#[test]
fn the_target_changed_since_it_was_looked_at() {
    let s = Share::new();
    s.write("a", "a");
    s.write("b", "b");
    let a = s.found("a");
    let (taken, free) = (s.target("b"), s.target("c"));
    std::fs::remove_file(s.at("b")).unwrap();
    s.write("b", "another");
    s.write("c", "new");
    assert_eq!(err(s.export.rename(&a.object, &a.path, &taken, true)), NtStatus::OBJECT_NAME_COLLISION);
    assert_eq!(err(s.export.rename(&a.object, &a.path, &free, true)), NtStatus::OBJECT_NAME_COLLISION);
    assert_eq!(std::fs::read_to_string(s.at("c")).unwrap(), "new");
}

#[test]
fn somebody_moved_it_meanwhile() {
    let s = Share::new();
    s.mkdir("d");
    s.write("f", "x");
    let f = s.found("f");
    std::fs::rename(s.at("f"), s.at("d/moved")).unwrap();
    assert_eq!(s.export.path_now(&f.object).unwrap().as_bytes(), b"d/moved");
    let path = s.export.rename(&f.object, &f.path, &s.target("g"), false).unwrap();
    std::fs::rename(s.at("g"), s.at("d/again")).unwrap();
    s.export.remove(&f.object, &path).unwrap();
    assert!(!s.at("d/again").exists());
    assert_eq!(s.export.path_now(&f.object).map(|p| s.at(&p.to_smb()).exists()), Some(false));
}

#[test]
fn a_directory_into_itself() {
    let s = Share::new();
    s.mkdir("d/sub");
    let d = s.found("d");
    let target = s.target("d\\sub\\d");
    assert_eq!(err(s.export.rename(&d.object, &d.path, &target, false)), NtStatus::ACCESS_DENIED);
}

#[test]
fn links() {
    let s = Share::new();
    s.write("a", "a");
    s.write("b", "b");
    let a = s.found("a");
    let path = s.export.link(&a.object, &s.target("second"), false).unwrap();
    assert_eq!(ino(s.at("second")), a.stat.key.ino);
    assert_eq!(s.export.stat(&a.object).unwrap().nlink, 2);
    assert_eq!(err(s.export.link(&a.object, &s.target("B"), false)), NtStatus::OBJECT_NAME_COLLISION);
    s.export.link(&a.object, &s.target("B"), true).unwrap();
    assert_eq!(ino(s.at("B")), a.stat.key.ino);
    // A rename onto another name of the same file leaves one of them.
    let second = s.found("second");
    s.export.rename(&second.object, &path, &s.target("B"), true).unwrap();
    assert!(!s.at("second").exists() && s.at("B").exists() && s.at("a").exists());
}
