use super::*;

#[test]
fn a_stream_goes_with_its_last_open_and_the_file_stays() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    opened(&mut tree, stream(2, 7, "a", "Info"));
    opened(&mut tree, stream(3, 7, "a", "INFO"));
    disposition(&mut tree, 2, Disposition::DELETE).unwrap();
    assert!(tree.is_delete_pending(OpenId(3)) && !tree.is_delete_pending(OpenId(1)));
    assert_eq!(refused(&mut tree, stream(4, 7, "a", "info")), NtStatus::DELETE_PENDING);
    assert!(tree.close(OpenId(2), true, NOW).deletion.is_none());
    let closed = tree.close(OpenId(3), true, NOW);
    let deletion = closed.deletion.expect("its last open");
    assert_eq!((deletion.path(), deletion.stream()), (&"a".into(), Some("INFO")));
    // Meanwhile the file itself is deleted.
    disposition(&mut tree, 1, Disposition::DELETE).unwrap();
    let file = tree.close(OpenId(1), true, NOW).deletion.expect("the file's last open");
    assert_eq!(tree.deleted(file, true, NOW), []);
    assert_eq!(tree.deleted(deletion, true, NOW), []);
    assert!(tree.is_empty());
}

#[test]
fn open_streams_hold_the_file_and_want_to_be_asked() {
    let mut tree = Tree::new();
    opened(&mut tree, OpenAsk { share: ShareAccess::READ, ..stream(1, 7, "a", "s") });
    assert_eq!(refused(&mut tree, ask(2, 7, "a")), NtStatus::SHARING_VIOLATION);
    let _ = tree.close(OpenId(1), true, NOW);
    opened(&mut tree, stream(1, 7, "a", "s"));
    opened(&mut tree, OpenAsk { delete_on_close: true, ..ask(2, 7, "a") });
    assert!(tree.close(OpenId(2), true, NOW).deletion.is_none());
    assert_eq!(refused(&mut tree, stream(3, 7, "a", "t")), NtStatus::DELETE_PENDING);
    assert!(tree.close(OpenId(1), true, NOW).deletion.is_some_and(|d| d.stream().is_none()));
}

#[test]
fn posix_deletion_frees_the_name_while_others_have_it_open() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    opened(&mut tree, ask(2, 7, "a"));
    disposition(&mut tree, 1, Disposition::DELETE | Disposition::POSIX_SEMANTICS).unwrap();
    assert_eq!(refused(&mut tree, ask(3, 7, "a")), NtStatus::DELETE_PENDING);
    let deletion = tree.close(OpenId(1), true, NOW).deletion.expect("at its own close");
    assert_eq!(tree.deleted(deletion, true, NOW), []);
    // A new file of that name has nothing to do with the old one.
    opened(&mut tree, ask(3, 8, "a"));
    assert!(tree.is_gone(OpenId(2)) && tree.is_delete_pending(OpenId(2)) && tree.may_read(OpenId(2), 0, 1));
    assert!(tree.close(OpenId(2), true, NOW).deletion.is_none());
}

#[test]
fn one_of_two_links_goes() {
    let mut tree = Tree::new();
    opened(&mut tree, OpenAsk { links: 2, ..ask(1, 7, "a") });
    opened(&mut tree, OpenAsk { links: 2, ..ask(2, 7, "b") });
    disposition(&mut tree, 1, Disposition::DELETE).unwrap();
    assert_eq!(refused(&mut tree, OpenAsk { links: 2, ..ask(3, 7, "a") }), NtStatus::DELETE_PENDING);
    opened(&mut tree, OpenAsk { links: 2, ..ask(3, 7, "b") });
    let closed = tree.close(OpenId(1), true, NOW);
    assert!(!closed.last_of_node);
    assert_eq!(closed.deletion.expect("last open of that link").path(), &"a".into());
}

#[test]
fn the_root_is_not_deleted() {
    let mut tree = Tree::new();
    opened(&mut tree, OpenAsk { delete_on_close: true, ..dir(1, 7, "") });
    assert_eq!(disposition(&mut tree, 1, Disposition::DELETE), Err(NtStatus::CANNOT_DELETE));
    assert!(tree.close(OpenId(1), true, NOW).deletion.is_none());
}
