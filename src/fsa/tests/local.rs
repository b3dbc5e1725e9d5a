//! Opens of local programs, announcements, mirrors.

use std::sync::{Arc, Mutex};

use super::*;
use crate::fsa::change::{Facets, Kind};
use crate::types::{LeaseKey, LeaseState, OplockLevel};

const R: LeaseState = LeaseState::READ;
const RH: LeaseState = R.union(LeaseState::HANDLE);
const RWH: LeaseState = RH.union(LeaseState::WRITE);

fn local(open: u64, ino: u64, path: &str) -> OpenAsk {
    OpenAsk { local: true, access: AccessMask::READ_DATA, ..ask(open, ino, path) }
}

fn local_writer(open: u64, ino: u64, path: &str) -> OpenAsk {
    OpenAsk { access: AccessMask::READ_DATA | AccessMask::WRITE_DATA, ..local(open, ino, path) }
}

fn id(key: u8) -> LeaseId {
    LeaseId { key: LeaseKey([key; 16]), ..LeaseId::default() }
}

/// Opens with a lease; what it gets.
fn lease(tree: &mut Tree, ask: OpenAsk, key: u8, state: LeaseState) -> LeaseState {
    let open = ask.open;
    let lease = Some(LeaseAsk { id: id(key), ..LeaseAsk::default() });
    opened(tree, OpenAsk { lease, ..ask });
    tree.request_lease(open, state, NOW).expect("it asked for one").state
}

fn broken(key: u8, from: LeaseState, to: LeaseState) -> Effect {
    let acknowledge = from != R;
    Effect::BreakLease { id: id(key), from, to, acknowledge, epoch: 0 }
}

#[test]
fn while_a_program_may_write_nobody_caches() {
    let mut tree = Tree::new();
    assert_eq!(lease(&mut tree, ask(1, 7, "f"), 1, RH), RH);
    assert_eq!(opened(&mut tree, local_writer(2, 7, "f")), [broken(1, RH, LeaseState::empty())]);
    tree.acknowledge_lease(id(1), LeaseState::empty(), NOW).unwrap();
    assert_eq!(lease(&mut tree, ask(3, 7, "f"), 2, RWH), LeaseState::empty());
    opened(&mut tree, ask(4, 7, "f"));
    assert_eq!(tree.request_oplock(OpenId(4), OplockLevel::LEVEL_II, NOW), OplockLevel::NONE);
    assert!(tree.close(OpenId(2), false, NOW).effects.is_empty());
    assert_eq!(tree.request_lease(OpenId(3), RH, NOW).unwrap().state, RH);
}

#[test]
fn a_program_waits_for_writes_and_leaves_readers_alone() {
    let mut tree = Tree::new();
    assert_eq!(lease(&mut tree, ask(1, 7, "f"), 1, RWH), RWH);
    for asked in [local(2, 7, "f"), local_writer(2, 7, "f")] {
        assert!(tree.must_wait(&asked));
    }
    let waits = OpenAsk { waiter: Some(WaiterId(9)), ..local(2, 7, "f") };
    assert_eq!(tree.open(waits, NOW), Opening::Wait(vec![broken(1, RWH, RH)]));
    let woken = tree.acknowledge_lease(id(1), RH, NOW).unwrap();
    assert_eq!(woken, [Effect::Open { waiter: WaiterId(9), status: NtStatus::SUCCESS }]);
    assert!(opened(&mut tree, local(2, 7, "f")).is_empty());
    assert_eq!(tree.lease_of(OpenId(1)).unwrap().state, RH);
    // A reader keeps others from being alone.
    assert_eq!(lease(&mut tree, ask(3, 7, "f"), 2, RWH), RH);
}

#[test]
fn a_programs_open_holds_up_no_deletion_and_no_rename() {
    let mut tree = Tree::new();
    opened(&mut tree, local(1, 8, "d/f"));
    opened(&mut tree, dir(2, 7, "d"));
    let ask_rename = |open, to: &str, target| RenameAsk {
        open: OpenId(open),
        to: to.into(),
        replace: true,
        posix: false,
        ignore_readonly: false,
        target,
    };
    let renaming = tree.rename(&ask_rename(2, "e", None)).expect("nothing of a client's is beneath it");
    tell(&mut tree, renaming.change());
    assert_eq!(tree.path_of(OpenId(1)), Some("e/f".into()));
    let _ = tree.close(OpenId(2), false, NOW);
    opened(&mut tree, ask(3, 9, "g"));
    let target = Target { path: "e/f".into(), node: key(8), directory: false, readonly: false };
    assert!(tree.rename(&ask_rename(3, "e/f", Some(target))).is_ok(), "it may be replaced");

    opened(&mut tree, OpenAsk { delete_on_close: true, ..ask(4, 8, "e/f") });
    let closed = tree.close(OpenId(4), false, NOW);
    let deletion = closed.deletion.expect("at once");
    assert_eq!(deletion.path(), &RelPath::from("e/f"));
    assert_eq!(refused(&mut tree, local(5, 8, "e/f")), NtStatus::DELETE_PENDING);
    let _ = tree.deleted(deletion, true, NOW);
    assert!(tree.is_gone(OpenId(1)));
    // Another file of that name is another file.
    opened(&mut tree, local(6, 10, "e/f"));
    assert_eq!(tree.path_of(OpenId(6)), Some("e/f".into()));
    for open in [1, 3, 6] {
        assert!(tree.close(OpenId(open), false, NOW).deletion.is_none());
    }
    assert!(tree.is_empty());
}

#[test]
fn who_announces_waits_until_what_he_takes_is_given_up() {
    let mut tree = Tree::new();
    assert_eq!(lease(&mut tree, dir(1, 2, ""), 1, RH), RH);
    assert_eq!(lease(&mut tree, ask(2, 7, "f"), 2, R), R);
    let change = Change::created("new".into(), false);
    let told = vec![broken(1, RH, LeaseState::empty())];
    assert_eq!(change::announce(&mut tree, &change, Some(WaiterId(5))), (told, true));
    assert_eq!(change::announce(&mut tree, &change, None), (vec![], true));
    let woken = tree.acknowledge_lease(id(1), LeaseState::empty(), NOW).unwrap();
    assert_eq!(woken, [Effect::Open { waiter: WaiterId(5), status: NtStatus::SUCCESS }]);
    assert_eq!(change::announce(&mut tree, &change, Some(WaiterId(6))), (vec![], false));
    // Reading alone needs no answer.
    let change = Change::removed("f".into(), false).of(key(7));
    assert_eq!(
        change::announce(&mut tree, &change, Some(WaiterId(7))),
        (vec![broken(2, R, LeaseState::empty())], false)
    );
    assert_eq!(tree.path_of(OpenId(2)), Some("f".into()), "nothing has happened yet");
    assert!(!tree.is_gone(OpenId(2)));
}

#[derive(Default, Debug)]
struct Heard(Mutex<Vec<Kind>>);

impl Mirror for Heard {
    fn changed(&self, change: &Change) {
        self.0.lock().unwrap().push(change.kind.clone());
    }
}

#[test]
fn a_mirror_hears_of_what_others_do() {
    let mut tree = Tree::new();
    let heard = Arc::new(Heard::default());
    let mirror = tree.add_mirror(heard.clone());
    opened(&mut tree, OpenAsk { delete_on_close: true, ..ask(1, 7, "f") });
    tell(&mut tree, Change::created("f".into(), false).by(OpenId(1)));
    let written = Change::modified("f".into(), false, Facets::WRITTEN);
    assert!(change::apply_unreflected(&mut tree, mirror, &written, NOW).is_empty());
    let deletion = tree.close(OpenId(1), false, NOW).deletion.expect("delete on close");
    let _ = tree.deleted(deletion, true, NOW);
    assert_eq!(*heard.0.lock().unwrap(), [Kind::Created, Kind::Removed]);
    tree.remove_mirror(mirror);
    tell(&mut tree, Change::created("g".into(), false));
    assert_eq!(heard.0.lock().unwrap().len(), 2);
}

/// A file is opened right after it was renamed, before the rules hear of that.
#[test]
fn what_is_told_late_takes_the_lease_and_leaves_the_file_its_name() {
    for node in [None, Some(key(7))] {
        let mut tree = Tree::new();
        let asks = OpenAsk { lease: Some(LeaseAsk { id: id(1), ..LeaseAsk::default() }), ..ask(1, 7, "new") };
        opened(&mut tree, asks);
        let renamed = Change { node, ..Change::renamed("old".into(), "new".into(), false, None) };
        assert!(tell(&mut tree, renamed).is_empty());
        // It is not known that it is the same name that was asked for.
        assert!(tree.request_lease(OpenId(1), RH, NOW).unwrap().state.is_empty(), "{node:?}");
        assert_eq!(tree.request_oplock(OpenId(1), OplockLevel::LEVEL_II, NOW), OplockLevel::NONE);
        assert_eq!(tree.node_at(&"new".into()), Some(key(7)), "{node:?}");
        assert!(!tree.is_gone(OpenId(1)));
        // The next one has seen it.
        assert_eq!(lease(&mut tree, ask(2, 7, "new"), 1, RH), RH);
        let renamed = Change::renamed("new".into(), "newer".into(), false, None);
        assert_eq!(tell(&mut tree, renamed), [broken(1, RH, LeaseState::empty())]);
    }
}

#[test]
fn what_is_renamed_over_a_file_displaces_it_once_that_is_known() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "f"));
    let over = Change::renamed("g".into(), "f".into(), false, None);
    assert!(tell(&mut tree, over.clone()).is_empty() && !tree.is_gone(OpenId(1)));
    assert!(change::displaced(&mut tree, &"f".into(), key(8)).is_empty() && !tree.is_gone(OpenId(1)));
    assert!(change::displaced(&mut tree, &"f".into(), key(7)).is_empty() && tree.is_gone(OpenId(1)));
    opened(&mut tree, ask(2, 8, "f"));
    assert!(tell(&mut tree, over.of(key(9))).is_empty() && tree.is_gone(OpenId(2)));
}

/// What is told of the rename later finds the file under its new name.
#[test]
fn a_file_that_is_found_under_another_name_is_missing_in_the_listing_of_its_directory() {
    for links in [1, 2] {
        let mut tree = Tree::new();
        assert_eq!(lease(&mut tree, dir(1, 3, "a"), 1, RH), RH);
        assert_eq!(lease(&mut tree, dir(2, 4, "b"), 2, RH), RH);
        assert_eq!(lease(&mut tree, ask(3, 7, "a/f"), 3, R), R);
        // Another file has its name, or it has another name.
        let (ino, path) = if links == 1 { (7, "b/g") } else { (8, "a/f") };
        let told = opened(&mut tree, OpenAsk { links, ..ask(4, ino, path) });
        let mut all = vec![broken(3, R, LeaseState::empty()), broken(1, RH, LeaseState::empty())];
        all.extend((links == 1).then(|| broken(2, RH, LeaseState::empty())));
        assert_eq!(told, all);
    }
}
