use super::*;

#[test]
fn both_names_of_a_rename_come_in_one_answer() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    watch(&mut tree, 1, 10);
    let effects = tell(&mut tree, Change::renamed("d/x".into(), "d/y".into(), false, None));
    let pair = [(NotifyAction::RENAMED_OLD_NAME, "x"), (NotifyAction::RENAMED_NEW_NAME, "y")];
    assert_eq!(effects, [events(10, &pair)]);
}

#[test]
fn who_watches_attributes_only_hears_of_a_renamed_file_as_modified() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    let ask = NotifyAsk { filter: Filter::ATTRIBUTES, ..everything(1, 10) };
    assert_eq!(tree.notify(&ask, NOW), Notifying::Waiting);
    assert_eq!(tell(&mut tree, Change::renamed("d/a".into(), "d/b".into(), true, None)), []);
    let effects = tell(&mut tree, Change::renamed("d/x".into(), "d/y".into(), false, None));
    assert_eq!(effects, [events(10, &[(NotifyAction::MODIFIED, "y")])]);
}

#[test]
fn a_move_between_directories_is_a_removal_and_an_addition() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, ""));
    watch(&mut tree, 1, 10);
    let effects = tell(&mut tree, Change::renamed("d/x".into(), "e/x".into(), false, None));
    assert_eq!(effects, [events(10, &[(NotifyAction::REMOVED, r"d\x"), (NotifyAction::ADDED, r"e\x")])]);
}

#[test]
fn what_is_replaced_is_removed_first() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    watch(&mut tree, 1, 10);
    watch(&mut tree, 1, 11);
    let effects = tell(&mut tree, Change::renamed("d/x".into(), "d/y".into(), false, Some("d/Y".into())));
    let pair = [(NotifyAction::RENAMED_OLD_NAME, "x"), (NotifyAction::RENAMED_NEW_NAME, "y")];
    assert_eq!(effects, [events(10, &[(NotifyAction::REMOVED, "Y")]), events(11, &pair)]);
}

#[test]
fn names_are_relative_and_as_the_wire_has_them() {
    let mut tree = Tree::with_names(|name| String::from_utf8_lossy(name).replace(':', "\u{f022}"));
    opened(&mut tree, dir(1, 7, "d"));
    watch(&mut tree, 1, 10);
    let effects = tell(&mut tree, Change::created("d/e/a:b".into(), false));
    assert_eq!(effects, [events(10, &[(NotifyAction::ADDED, "e\\a\u{f022}b")])]);
}

#[test]
fn the_first_request_decides_for_good() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    let first = NotifyAsk { filter: Filter::DIR_NAME, recursive: false, ..everything(1, 10) };
    assert_eq!(tree.notify(&first, NOW), Notifying::Waiting);
    assert_eq!(tree.cancel(WaiterId(10), NOW), [status(10, NtStatus::CANCELLED)]);
    watch(&mut tree, 1, 11);
    assert_eq!(tell(&mut tree, Change::created("d/file".into(), false)), []);
    assert_eq!(tell(&mut tree, Change::created("d/e/dir".into(), true)), []);
    let effects = tell(&mut tree, Change::created("d/dir".into(), true));
    assert_eq!(effects, [events(11, &[(NotifyAction::ADDED, "dir")])]);
}

#[test]
fn events_are_kept_between_requests_until_they_outgrow_the_buffer() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    let room_for_two = NotifyAsk { buffer: 32, ..everything(1, 10) };
    assert_eq!(tree.notify(&room_for_two, NOW), Notifying::Waiting);
    assert_eq!(tell(&mut tree, Change::created("d/a".into(), false)).len(), 1);
    for name in ["d/b", "d/c"] {
        assert_eq!(tell(&mut tree, Change::created(name.into(), false)), []);
    }
    let kept = match tree.notify(&room_for_two, NOW) {
        Notifying::Answered(Notified::Events(kept)) => kept,
        other => panic!("{other:?}"),
    };
    assert_eq!(kept.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    for name in ["d/e", "d/f", "d/g"] {
        assert_eq!(tell(&mut tree, Change::created(name.into(), false)), []);
    }
    let lost = Notifying::Answered(Notified::Status(NtStatus::NOTIFY_ENUM_DIR));
    assert_eq!(tree.notify(&everything(1, 12), NOW), lost);
    watch(&mut tree, 1, 13);
}

#[test]
fn a_watch_ends_with_its_open_or_its_directory() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    opened(&mut tree, dir(2, 7, "d"));
    opened(&mut tree, dir(3, 8, "d/e"));
    watch(&mut tree, 1, 10);
    watch(&mut tree, 2, 11);
    watch(&mut tree, 3, 12);
    assert_eq!(tree.close(OpenId(1), true, NOW).effects, [status(10, NtStatus::NOTIFY_CLEANUP)]);
    // Removed from outside, with all beneath it.
    let mut effects = tell(&mut tree, Change::removed("d".into(), true));
    effects.sort_by_key(|e| format!("{e:?}"));
    assert_eq!(effects, [status(11, NtStatus::DELETE_PENDING), status(12, NtStatus::DELETE_PENDING)]);
    assert_eq!(tree.notify(&everything(2, 13), NOW), Notifying::Refused(NtStatus::DELETE_PENDING));
}

#[test]
fn only_directories_opened_to_be_listed_can_be_watched() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    opened(&mut tree, OpenAsk { access: AccessMask::READ_ATTRIBUTES, ..dir(2, 8, "d") });
    assert_eq!(tree.notify(&everything(1, 10), NOW), Notifying::Refused(NtStatus::INVALID_PARAMETER));
    assert_eq!(tree.notify(&everything(2, 10), NOW), Notifying::Refused(NtStatus::ACCESS_DENIED));
    assert_eq!(tree.notify(&everything(3, 10), NOW), Notifying::Refused(NtStatus::FILE_CLOSED));
}
