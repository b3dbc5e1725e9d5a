//! Who is watched for whom, and what it is called.

use std::time::{Duration, Instant};

use super::super::source::Name;
use super::super::table::{Hold, Table};
use super::super::{Interest, Via};
use crate::fsa::RelPath;
use crate::types::NodeKey;

fn key(ino: u64) -> NodeKey {
    NodeKey { dev: 1, ino }
}

fn at(dir: u64, name: &str) -> (NodeKey, Name) {
    (key(dir), Name::from(name.as_bytes()))
}

fn hold(interest: Interest, deep: bool) -> Hold {
    Hold { interest, pins: true, deep }
}

fn unknown(_: NodeKey) -> Option<RelPath> {
    None
}

/// 1 = `top`, with 2 = `top/a`, 3 = `top/a/b`.
fn tree(now: Instant) -> Table {
    let mut table = Table::default();
    let names = Interest::NAMES;
    table.hold(key(1), true, (names, Via::FANOTIFY), Some(&RelPath::from("top")), hold(names, true), now);
    table.cover(key(2), at(1, "a"), (names, Via::FANOTIFY), now);
    table.cover(key(3), at(2, "b"), (names, Via::FANOTIFY), now);
    table
}

#[test]
fn a_subtree_is_wanted_as_long_as_its_top_is() {
    let now = Instant::now();
    let mut table = tree(now);
    assert_eq!((table.len(), table.idle()), (3, 0));
    table.release(key(1), hold(Interest::NAMES, true), now);
    assert_eq!(table.idle(), 3);
    assert_eq!(table.idle_since(now).len(), 3);
    assert!(now.checked_sub(Duration::from_secs(1)).is_none_or(|then| table.idle_since(then).is_empty()));
    // Another one in it.
    table.hold(key(2), true, (Interest::NAMES, Via::FANOTIFY), None, hold(Interest::NAMES, true), now);
    assert_eq!(table.idle_since(now), [key(1)]);
}

#[test]
fn interests_add_up() {
    let now = Instant::now();
    let mut table = tree(now);
    assert_eq!(table.deep_interest(key(3)), Interest::NAMES);
    table.hold(key(2), true, (Interest::CONTENT, Via::FANOTIFY), None, hold(Interest::CONTENT, true), now);
    assert_eq!(table.deep_interest(key(3)), Interest::NAMES | Interest::CONTENT);
    assert_eq!(table.get(key(2)).unwrap().marked, Interest::NAMES | Interest::CONTENT);
    table.release(key(2), hold(Interest::CONTENT, true), now);
    assert_eq!(table.deep_interest(key(3)), Interest::NAMES);
    assert!(table.get(key(2)).unwrap().wanted().is_empty() && table.is_covered(key(2)));
}

#[test]
fn paths_follow_renames_and_the_rules() {
    let now = Instant::now();
    let mut table = tree(now);
    assert_eq!(table.path_of(key(3), &unknown), Some(RelPath::from("top/a/b")));
    table.renamed(&at(1, "a"), &at(1, "z"), now);
    assert_eq!(table.path_of(key(3), &unknown), Some(RelPath::from("top/z/b")));
    assert_eq!(table.child(key(1), b"z"), Some(key(2)));
    assert_eq!(table.child(key(1), b"a"), None);
    // What is open is where the rules have it.
    let rules = |node| (node == key(1)).then(|| RelPath::from("elsewhere"));
    assert_eq!(table.path_of(key(3), &rules), Some(RelPath::from("elsewhere/z/b")));
    assert_eq!(table.path_of(key(9), &unknown), None);
}

#[test]
fn what_is_moved_out_is_not_wanted_any_more() {
    let now = Instant::now();
    let mut table = tree(now);
    assert_eq!(table.removed(&at(1, "a"), now), Some(key(2)));
    assert_eq!(table.idle(), 2, "a and b");
    assert!(!table.is_covered(key(3)) && table.is_covered(key(1)));
    // And back.
    table.cover(key(2), at(1, "again"), (Interest::NAMES, Via::FANOTIFY), now);
    assert_eq!(table.idle(), 0);
    assert_eq!(table.path_of(key(3), &unknown), Some(RelPath::from("top/again/b")));
}

#[test]
fn a_directory_that_takes_anothers_name_takes_its_place() {
    let now = Instant::now();
    let mut table = tree(now);
    table.cover(key(4), at(1, "c"), (Interest::NAMES, Via::FANOTIFY), now);
    table.renamed(&at(1, "a"), &at(1, "c"), now);
    assert_eq!(table.child(key(1), b"c"), Some(key(2)));
    assert!(!table.is_covered(key(4)));
    table.cover(key(5), at(1, "c"), (Interest::NAMES, Via::FANOTIFY), now);
    assert!(!table.is_covered(key(2)) && table.is_covered(key(5)));
    assert_eq!(table.idle(), 3, "2, 3 and 4");
}

#[test]
fn what_is_forgotten_leaves_nothing() {
    let now = Instant::now();
    let mut table = tree(now);
    for ino in [2, 3, 1, 7] {
        table.forget(key(ino), now);
    }
    assert_eq!((table.len(), table.idle()), (0, 0));
    assert!(table.subtree(key(1)).is_empty());
}

#[test]
fn who_wanted_what_is_gone_does_not_take_from_what_has_its_number_now() {
    let now = Instant::now();
    let mut table = Table::default();
    let (names, hold) = (Interest::NAMES, hold(Interest::NAMES, false));
    table.hold(key(1), true, (names, Via::FANOTIFY), None, hold, now);
    table.unmark(key(1), now);
    assert!(table.get(key(1)).unwrap().marked.is_empty(), "the next is marked anew");
    table.hold(key(1), true, (names, Via::FANOTIFY), None, hold, now);
    table.release(key(1), hold, now);
    assert_eq!(table.idle(), 0);
    table.release(key(1), hold, now);
    assert_eq!(table.idle(), 1);
}
