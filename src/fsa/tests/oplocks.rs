use super::*;
use crate::types::OplockLevel;

const NONE: OplockLevel = OplockLevel::NONE;
const TWO: OplockLevel = OplockLevel::LEVEL_II;
const EXCLUSIVE: OplockLevel = OplockLevel::EXCLUSIVE;
const BATCH: OplockLevel = OplockLevel::BATCH;

fn holder(tree: &mut Tree, ask: OpenAsk, level: OplockLevel) -> OplockLevel {
    let open = ask.open;
    opened(tree, ask);
    tree.request_oplock(open, level, NOW)
}

fn waits(tree: &mut Tree, ask: OpenAsk) -> Effects {
    assert!(tree.must_wait(&ask));
    match tree.open(ask, NOW) {
        Opening::Wait(effects) => effects,
        other => panic!("{other:?}"),
    }
}

fn waiting(open: u64, waiter: u64) -> OpenAsk {
    OpenAsk { waiter: Some(WaiterId(waiter)), ..ask(open, 7, "a") }
}

fn overwriting(open: u64) -> OpenAsk {
    OpenAsk { implied: AccessMask::WRITE_DATA, ..ask(open, 7, "a") }
}

fn broken(open: u64, to: OplockLevel, acknowledge: bool) -> Effect {
    Effect::Break { open: OpenId(open), to, acknowledge }
}

fn woken(waiter: u64) -> Effect {
    Effect::Open { waiter: WaiterId(waiter), status: NtStatus::SUCCESS }
}

#[test]
fn the_second_open_waits_until_the_first_has_gone_down() {
    let mut tree = Tree::new();
    assert_eq!(holder(&mut tree, ask(1, 7, "a"), BATCH), BATCH);
    assert_eq!(waits(&mut tree, waiting(2, 10)), [broken(1, TWO, true)]);
    // Told once, however many wait.
    assert_eq!(waits(&mut tree, waiting(3, 11)), []);
    assert_eq!(tree.oplock_of(OpenId(1)), BATCH);
    let (kept, effects) = tree.acknowledge_break(OpenId(1), TWO, NOW);
    assert_eq!((kept, effects), (Ok(TWO), vec![woken(10), woken(11)]));
    assert_eq!(holder(&mut tree, ask(2, 7, "a"), BATCH), TWO);
    assert_eq!(tree.oplock_of(OpenId(1)), TWO);
}

#[test]
fn a_close_and_a_time_out_end_the_break_too() {
    for unanswered in [false, true] {
        let mut tree = Tree::new();
        assert_eq!(holder(&mut tree, ask(1, 7, "a"), EXCLUSIVE), EXCLUSIVE);
        assert_eq!(waits(&mut tree, waiting(2, 10)), [broken(1, TWO, true)]);
        let effects = if unanswered {
            tree.break_unanswered(OpenId(1), NOW)
        } else {
            tree.close(OpenId(1), true, NOW).effects
        };
        assert_eq!(effects, [woken(10)]);
        let left = if unanswered { TWO } else { BATCH };
        assert_eq!(holder(&mut tree, ask(2, 7, "a"), BATCH), left);
        assert_eq!(tree.break_unanswered(OpenId(2), NOW), []);
    }
}

#[test]
fn what_changed_unheard_ends_what_this_client_caches_only() {
    let mut tree = Tree::new();
    for open in [1, 2] {
        assert_eq!(holder(&mut tree, ask(open, 7, "a"), TWO), TWO);
    }
    assert_eq!(tree.outdate(OpenId(1)), [broken(1, NONE, false)]);
    assert_eq!((tree.oplock_of(OpenId(1)), tree.oplock_of(OpenId(2))), (NONE, TWO));
    assert_eq!(tree.outdate(OpenId(1)), []);
    assert_eq!(holder(&mut tree, ask(3, 8, "b"), BATCH), BATCH);
    assert_eq!(tree.outdate(OpenId(3)), [broken(3, NONE, true)]);
    assert_eq!(tree.acknowledge_break(OpenId(3), NONE, NOW), (Ok(NONE), vec![]));
    assert_eq!(tree.outdate(OpenId(9)), [], "nobody knows of it");
}

#[test]
fn a_sharing_violation_waits_for_a_batch_oplock_only() {
    let closed = |open| OpenAsk { share: ShareAccess::empty(), ..ask(open, 7, "a") };
    let mut tree = Tree::new();
    assert_eq!(holder(&mut tree, closed(1), EXCLUSIVE), EXCLUSIVE);
    assert!(!tree.must_wait(&closed(2)));
    assert_eq!(refused(&mut tree, closed(2)), NtStatus::SHARING_VIOLATION);
    assert!(tree.close(OpenId(1), true, NOW).effects.is_empty());
    assert_eq!(holder(&mut tree, closed(1), BATCH), BATCH);
    assert_eq!(waits(&mut tree, closed(2)), [broken(1, TWO, true)]);
    let (kept, effects) = tree.acknowledge_break(OpenId(1), NONE, NOW);
    assert_eq!((kept, effects), (Ok(NONE), vec![]));
    assert_eq!(refused(&mut tree, closed(2)), NtStatus::SHARING_VIOLATION);
}

#[test]
fn who_looks_only_at_attributes_breaks_nothing_unless_he_overwrites() {
    let mut tree = Tree::new();
    holder(&mut tree, ask(1, 7, "a"), BATCH);
    opened(&mut tree, OpenAsk { access: AccessMask::READ_ATTRIBUTES, ..ask(2, 7, "a") });
    assert_eq!(waits(&mut tree, overwriting(3)), [broken(1, NONE, true)]);
    // A wrong answer ends it as well.
    let (kept, _) = tree.acknowledge_break(OpenId(1), TWO, NOW);
    assert_eq!(kept, Err(NtStatus::INVALID_OPLOCK_PROTOCOL));
    assert_eq!(tree.oplock_of(OpenId(1)), NONE);
    opened(&mut tree, overwriting(3));
}

#[test]
fn what_is_written_locked_or_overwritten_ends_level_two_at_once() {
    let mut tree = Tree::new();
    assert_eq!(holder(&mut tree, ask(1, 7, "a"), TWO), TWO);
    assert_eq!(holder(&mut tree, ask(2, 7, "a"), EXCLUSIVE), TWO);
    let change = || Change::modified("a".into(), false, change::Facets::WRITTEN).by(OpenId(1)).of(key(7));
    // Its author's, too.
    assert_eq!(tell(&mut tree, change()), [broken(1, NONE, false), broken(2, NONE, false)]);
    assert_eq!(tell(&mut tree, change()), []);
    let (kept, _) = tree.acknowledge_break(OpenId(1), NONE, NOW);
    assert_eq!(kept, Err(NtStatus::INVALID_OPLOCK_PROTOCOL));
    assert_eq!(tree.request_oplock(OpenId(2), TWO, NOW), TWO);
    assert_eq!(tree.break_for_lock(OpenId(1)), [broken(2, NONE, false)]);
    assert_eq!(tree.request_oplock(OpenId(2), TWO, NOW), TWO);
    assert_eq!(opened(&mut tree, overwriting(3)), [broken(2, NONE, false)]);
}

#[test]
fn the_holder_of_an_exclusive_oplock_writes_and_locks_in_peace() {
    let mut tree = Tree::new();
    holder(&mut tree, ask(1, 7, "a"), EXCLUSIVE);
    let change = Change::modified("a".into(), false, change::Facets::WRITTEN);
    assert_eq!(tell(&mut tree, change.by(OpenId(1))), []);
    assert_eq!(tree.break_for_lock(OpenId(1)), []);
}

#[test]
fn no_read_caching_beside_byte_range_locks_and_none_of_directories() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    let ranges = [LockRange { offset: 0, length: 1, exclusive: true }];
    let lock = LockAsk { open: OpenId(1), ranges: &ranges, wait: None, sequence: None, outside: false };
    assert_eq!(tree.lock(&lock, NOW), Locking::Granted);
    assert_eq!(holder(&mut tree, ask(2, 7, "a"), BATCH), NONE);
    assert_eq!(holder(&mut tree, dir(3, 8, "d"), BATCH), NONE);
}

#[test]
fn a_waiting_open_can_be_withdrawn() {
    let mut tree = Tree::new();
    holder(&mut tree, ask(1, 7, "a"), BATCH);
    waits(&mut tree, waiting(2, 10));
    let cancelled = Effect::Open { waiter: WaiterId(10), status: NtStatus::CANCELLED };
    assert_eq!(tree.cancel(WaiterId(10), NOW), [cancelled]);
    assert_eq!(tree.close(OpenId(1), true, NOW).effects, []);
    assert!(tree.is_empty());
}

#[test]
fn a_file_that_is_being_deleted_is_not_waited_for() {
    let mut tree = Tree::new();
    holder(&mut tree, ask(1, 7, "a"), BATCH);
    disposition(&mut tree, 1, Disposition::DELETE).unwrap();
    assert_eq!(refused(&mut tree, ask(2, 7, "a")), NtStatus::DELETE_PENDING);
}

/// By its old name it is cached by somebody who does not hear of it otherwise.
#[test]
fn a_file_that_is_found_elsewhere_is_cached_no_longer() {
    let mut tree = Tree::new();
    let moved = OpenAsk { links: 1, ..ask(2, 7, "b") };
    assert_eq!(holder(&mut tree, ask(1, 7, "a"), TWO), TWO);
    assert_eq!(opened(&mut tree, moved), [broken(1, NONE, false)]);
    assert_eq!(tree.path_of(OpenId(1)), Some(RelPath::new("b")));
    // Another stands in its place.
    assert_eq!(holder(&mut tree, ask(3, 8, "c"), TWO), TWO);
    assert_eq!(opened(&mut tree, ask(4, 9, "c")), [broken(3, NONE, false)]);
}
