//! Files that become symlinks, FIFOs and sockets.

use std::os::unix::fs::FileTypeExt;

use super::*;

fn turn(share: &Share, path: &str, node: Node<'_>) -> Result<(Object, Stat)> {
    let found = share.export.lookup(&SmbPath::parse(path).unwrap(), Last::Keep).unwrap();
    let Lookup::Found(found) = found else { panic!("{path}") };
    share.export.turn_into(&found.object, &found.path, node)
}

fn entries(share: &Share) -> usize {
    std::fs::read_dir(share.at("")).unwrap().count()
}

#[test]
fn the_real_thing_takes_the_place_of_the_file() {
    let share = Share::new();
    share.write("link", "");
    share.write("fifo", "");
    share.write("socket", "");
    share.mkdir("dir");
    let (object, stat) = turn(&share, "link", Node::Symlink(b"target/x")).unwrap();
    assert_eq!((object.kind(), stat.kind), (Kind::Symlink, Kind::Symlink));
    assert_eq!(std::fs::read_link(share.at("link")).unwrap(), Path::new("target/x"));
    // Another text for the same.
    turn(&share, "link", Node::Symlink(b"dir")).unwrap();
    assert_eq!(std::fs::read_link(share.at("link")).unwrap(), Path::new("dir"));
    turn(&share, "dir", Node::Symlink(b"link2")).unwrap();
    assert_eq!(std::fs::read_link(share.at("dir")).unwrap(), Path::new("link2"));
    let (_, stat) = turn(&share, "fifo", Node::Fifo).unwrap();
    assert_eq!((stat.kind, stat.special()), (Kind::Special, Some(SpecialKind::Fifo)));
    assert!(std::fs::symlink_metadata(share.at("fifo")).unwrap().file_type().is_fifo());
    turn(&share, "socket", Node::Socket).unwrap();
    assert!(std::fs::symlink_metadata(share.at("socket")).unwrap().file_type().is_socket());
    let (object, _) = turn(&share, "link", Node::Plain).unwrap();
    assert_eq!(object.kind(), Kind::File);
    assert_eq!(std::fs::read(share.at("link")).unwrap(), b"");
    assert_eq!(entries(&share), 4);
}

#[test]
fn nothing_is_lost_for_it() {
    let share = Share::new();
    share.write("data", "data");
    share.mkdir("full/x");
    share.write("two", "");
    std::fs::hard_link(share.at("two"), share.at("names")).unwrap();
    let link = Node::Symlink(b"x");
    assert_eq!(turn(&share, "data", link).unwrap_err(), NtStatus::NOT_SUPPORTED);
    assert_eq!(turn(&share, "full", link).unwrap_err(), NtStatus::DIRECTORY_NOT_EMPTY);
    assert_eq!(turn(&share, "two", link).unwrap_err(), NtStatus::NOT_SUPPORTED);
    share.write("f", "");
    let found = share.found("f");
    share.export.create_stream(&found.object, "s").unwrap();
    assert_eq!(turn(&share, "f", link).unwrap_err(), NtStatus::NOT_SUPPORTED);
    share.export.remove_stream(&found.object, "s").unwrap();
    // Somebody else's file by now.
    std::fs::rename(share.at("f"), share.outside().join("f")).unwrap();
    share.write("f", "theirs");
    let late = share.export.turn_into(&found.object, &found.path, link);
    assert_eq!(late.unwrap_err(), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(std::fs::read(share.at("f")).unwrap(), b"theirs");
    assert_eq!(entries(&share), 5);
}

#[test]
fn the_policy_decides_where_links_may_lead() {
    let make = |symlinks, text: &[u8]| {
        let share = Share::with(Policy { symlinks, ..Policy::default() });
        share.write("f", "");
        turn(&share, "f", Node::Symlink(text)).map(drop)
    };
    assert_eq!(make(Symlinks::Never, b"x"), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(make(Symlinks::Inside, b"../outside/secret"), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(make(Symlinks::Inside, b"/etc/passwd"), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(make(Symlinks::Inside, b"a/../x"), Ok(()));
    assert_eq!(make(Symlinks::Outside, b"/etc/passwd"), Ok(()));
    assert_eq!(make(Symlinks::Outside, b""), Err(NtStatus::IO_REPARSE_DATA_INVALID));
}
