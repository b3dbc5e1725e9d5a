use super::*;

#[test]
fn a_rename_nobody_told_us_of_is_noticed_at_the_next_open() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "old"));
    opened(&mut tree, ask(2, 7, "dir/new"));
    assert_eq!(tree.path_of(OpenId(1)), Some("dir/new".into()));
    // With two links it may as well be the other one.
    opened(&mut tree, OpenAsk { links: 2, ..ask(3, 7, "second") });
    assert_eq!(tree.path_of(OpenId(1)), Some("dir/new".into()));
    assert_eq!(tree.path_of(OpenId(3)), Some("second".into()));
}

#[test]
fn a_directory_that_moved_takes_what_is_open_beneath_along() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    opened(&mut tree, ask(2, 8, "d/x"));
    opened(&mut tree, ask(3, 9, "d0"));
    opened(&mut tree, dir(4, 7, "e/f"));
    assert_eq!(tree.path_of(OpenId(2)), Some("e/f/x".into()));
    assert_eq!(tree.path_of(OpenId(3)), Some("d0".into()));
}

#[test]
fn another_object_at_a_known_path_means_that_the_old_one_is_gone() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    watch(&mut tree, 1, 10);
    assert_eq!(opened(&mut tree, dir(2, 8, "d")), [status(10, NtStatus::DELETE_PENDING)]);
    assert!(tree.is_gone(OpenId(1)) && !tree.is_gone(OpenId(2)));
    // Its deletion is not the new one's.
    disposition(&mut tree, 1, Disposition::DELETE).unwrap();
    assert!(tree.close(OpenId(1), true, NOW).deletion.is_none());
    assert!(!tree.is_delete_pending(OpenId(2)));
}

#[test]
fn what_overwrites_needs_leave_to_write() {
    let mut tree = Tree::new();
    opened(&mut tree, OpenAsk { share: ShareAccess::READ, access: AccessMask::READ_DATA, ..ask(1, 7, "a") });
    let attributes = OpenAsk { access: AccessMask::READ_ATTRIBUTES, ..ask(2, 7, "a") };
    let overwrite = OpenAsk { implied: AccessMask::WRITE_DATA, ..attributes.clone() };
    assert_eq!(refused(&mut tree, overwrite), NtStatus::SHARING_VIOLATION);
    opened(&mut tree, attributes);
}

#[test]
fn nothing_is_created_in_a_directory_that_goes() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(1, 7, "d"));
    assert_eq!(tree.may_create(&"d/x".into()), Ok(()));
    disposition(&mut tree, 1, Disposition::DELETE).unwrap();
    assert_eq!(tree.may_create(&"d/x".into()), Err(NtStatus::DELETE_PENDING));
    assert_eq!(tree.may_create(&"d".into()), Err(NtStatus::DELETE_PENDING));
    assert_eq!(tree.may_create(&"e".into()), Ok(()));
}

#[test]
fn an_abandoned_open_deletes_nothing() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    opened(&mut tree, OpenAsk { delete_on_close: true, ..ask(2, 7, "a") });
    assert!(tree.abandon(OpenId(2), NOW).deletion.is_none());
    assert!(!tree.is_delete_pending(OpenId(1)));
    assert!(tree.abandon(OpenId(1), NOW).last_of_node && tree.is_empty());
}

#[test]
fn rename_needs_room_in_the_targets_directory() {
    let to = |to: &str| RenameAsk {
        open: OpenId(1),
        to: to.into(),
        replace: false,
        posix: false,
        ignore_readonly: false,
        target: None,
    };
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "d/a"));
    let reads = OpenAsk { access: AccessMask::READ_DATA, ..dir(2, 8, "d") };
    opened(&mut tree, reads.clone());
    assert!(tree.rename(&to("d/b")).is_ok());
    let _ = tree.close(OpenId(2), true, NOW);
    opened(&mut tree, OpenAsk { share: ShareAccess::READ, ..reads });
    assert_eq!(tree.rename(&to("d/b")), Err(NtStatus::SHARING_VIOLATION), "does not share write");
    let _ = tree.close(OpenId(2), true, NOW);
    opened(&mut tree, dir(2, 8, "d"));
    assert_eq!(tree.rename(&to("d/b")), Err(NtStatus::SHARING_VIOLATION), "may delete");
    assert!(tree.rename(&to("b")).is_ok(), "another directory");
}
