use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use super::*;

fn names(s: &Share, path: &str) -> Vec<String> {
    let dir = s.open(path);
    let mut scan = DirScan::new();
    std::iter::from_fn(|| scan.next(&dir).unwrap()).map(|e| e.name).collect()
}

#[test]
fn every_entry_once_dots_first() {
    let s = Share::new();
    s.mkdir("d");
    for i in 0..3000 {
        s.write(&format!("d/a rather long name, to fill the buffer {i}"), "");
    }
    let all = names(&s, "d");
    assert_eq!(&all[..2], [".", ".."]);
    assert_eq!(all.len(), 3002);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 3002);
    let dir = s.open("d");
    let mut scan = DirScan::new();
    for _ in 0..100 {
        scan.next(&dir).unwrap();
    }
    let entry = scan.next(&dir).unwrap().unwrap();
    scan.unread(entry.clone());
    assert_eq!(scan.next(&dir).unwrap(), Some(entry));
    scan.rewind();
    assert_eq!(std::iter::from_fn(|| scan.next(&dir).unwrap()).count(), 3002);
    assert_eq!(scan.next(&dir).unwrap(), None);
}

#[test]
fn facts_of_entries() {
    let s = Share::new();
    s.mkdir("d/sub");
    s.write("d/f", "12345");
    s.write("d/gone", "");
    let hidden = s.found("d\\f");
    s.export.set_attributes(&hidden.object, FileAttributes::HIDDEN).unwrap();
    symlink("f", s.at("d/link")).unwrap();
    symlink(s.at("d/f"), s.at("d/abs")).unwrap();
    symlink(s.outside(), s.at("d/out")).unwrap();
    symlink("nowhere", s.at("d/dangling")).unwrap();
    let dir = s.open("d");
    let mut scan = DirScan::new();
    let mut seen = 0;
    while let Some(entry) = scan.next(&dir).unwrap() {
        if entry.name == "gone" {
            std::fs::remove_file(s.at("d/gone")).unwrap();
        }
        let Some(stat) = s.export.stat_entry(&dir, &entry).unwrap() else {
            assert_eq!(entry.name, "gone");
            continue;
        };
        seen += 1;
        match &*entry.name {
            "." => assert_eq!(stat.key, dir.key()),
            ".." => assert_eq!(stat.key, s.export.root_key()),
            "f" | "link" | "abs" => {
                assert_eq!((stat.size, stat.key), (5, hidden.stat.key));
                assert_eq!(stat.attributes, FileAttributes::HIDDEN);
                assert_eq!(stat, s.found(&format!("d\\{}", entry.name)).stat);
            }
            "sub" => assert_eq!(stat.kind, Kind::Directory),
            "out" | "dangling" => {
                assert_eq!(stat.kind, Kind::Symlink);
                assert!(stat.attributes.contains(FileAttributes::REPARSE_POINT));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(seen, 8);
}

#[test]
fn the_root_has_nothing_above() {
    let s = Share::new();
    let root = s.open("");
    let mut scan = DirScan::new();
    scan.next(&root).unwrap();
    let parent = scan.next(&root).unwrap().unwrap();
    assert_eq!(parent.name, "..");
    assert_eq!(s.export.stat_entry(&root, &parent).unwrap().unwrap().key, s.export.root_key());
}

#[test]
fn a_directory_that_was_removed_has_no_entries() {
    let s = Share::new();
    s.mkdir("d");
    let dir = s.open("d");
    std::fs::remove_dir(s.at("d")).unwrap();
    let mut scan = DirScan::new();
    assert_eq!(std::iter::from_fn(|| scan.next(&dir).unwrap()).count(), 2);
}
