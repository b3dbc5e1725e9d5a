use super::*;

const NFC: &str = "Caf\u{E9}.txt";
const NFD: &str = "Cafe\u{301}.txt";

#[test]
fn an_accent_may_be_one_character_or_two() {
    for (there, asked) in [(NFC, NFD), (NFD, NFC)] {
        let s = Share::new();
        s.write(there, "x");
        assert_eq!(s.found(asked).path.as_bytes(), there.as_bytes());
        assert_eq!(s.found(&asked.to_uppercase()).path.as_bytes(), there.as_bytes());
        assert_eq!(s.export.scans(), 1);
        assert_eq!(s.found(there).path.as_bytes(), there.as_bytes());
        assert_eq!(s.export.scans(), 1, "an exact hit asks no index");
        let entries: Vec<_> = std::fs::read_dir(s.at("")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(entries, [there], "nothing is renamed");
    }
}

#[test]
fn names_that_differ_in_accents_only_are_told_apart_by_exact_spelling() {
    let s = Share::new();
    s.write(NFC, "1");
    s.write(NFD, "22");
    assert_eq!(s.found(NFC).stat.size, 1);
    assert_eq!(s.found(NFD).stat.size, 2);
    assert_eq!(s.found(&NFC.to_uppercase()).stat.size, 1);
    assert_eq!(s.found(&NFD.to_lowercase()).stat.size, 2);
}

#[test]
fn a_file_is_found_by_its_short_name() {
    let s = Share::new();
    s.mkdir("d");
    let long = "A rather long name.html";
    s.write(&format!("d/{long}"), "x");
    s.write("d/short.txt", "x");
    let name = s.export.short_name(long).unwrap();
    assert_eq!(s.export.short_name("short.txt").as_deref(), Some("short.txt"));
    assert_eq!(s.export.other_short_name("short.txt"), None);
    for asked in [name.clone(), name.to_lowercase()] {
        assert_eq!(s.found(&format!("D\\{asked}")).path.to_smb(), format!("d\\{long}"));
    }
    assert_eq!(s.export.scans(), 2, "of the root and of the directory, once");
    let new = "Another long name";
    let made = s.create(&format!("d\\{new}"));
    let short = s.export.short_name(new).unwrap();
    assert_eq!(s.found(&format!("d\\{short}")).path, made.path);
    s.export.remove(&made.object, &made.path).unwrap();
    assert!(s.is_missing(&format!("d\\{short}")));
    // What is really called so comes first.
    s.write(&format!("d/{name}"), "its own");
    assert_eq!(s.found(&format!("d\\{name}")).stat.size, 7);
    let other = Share::with(Policy { short_names: false, ..Policy::default() });
    other.write(long, "x");
    assert!(other.is_missing(&name) && other.export.short_name(long).is_none());
}

#[test]
fn a_name_comes_back_when_its_short_one_is_used_at_once() {
    let s = Share::new();
    let long = "A rather long name.html";
    let short = s.export.short_name(long).unwrap();
    let made = s.create(long);
    s.export.remove(&made.object, &made.path).unwrap();
    assert_eq!(s.missing(&short).path.to_smb(), long);
    assert_eq!(s.create(&short).path.to_smb(), long);
    let moved = s.export.rename(&s.found(long).object, &s.found(long).path, &s.target("other"), false);
    assert_eq!(moved.unwrap().to_smb(), "other");
    assert_eq!(s.target(&short).path.to_smb(), long, "the way to save safely");
    s.mkdir("d");
    assert_eq!(s.missing(&format!("d\\{short}")).path.to_smb(), format!("d\\{short}"), "nothing was here");
}
