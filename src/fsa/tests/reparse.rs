use super::*;

#[test]
fn what_others_have_open_is_not_replaced() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    assert_eq!(tree.may_be_replaced(OpenId(1)), Ok(()));
    opened(&mut tree, stream(2, 7, "a", "s"));
    assert_eq!(tree.may_be_replaced(OpenId(1)), Err(NtStatus::SHARING_VIOLATION));
    let _ = tree.close(OpenId(2), true, NOW);
    disposition(&mut tree, 1, Disposition::DELETE).unwrap();
    assert_eq!(tree.may_be_replaced(OpenId(1)), Err(NtStatus::DELETE_PENDING));
    assert_eq!(tree.may_be_replaced(OpenId(9)), Err(NtStatus::FILE_CLOSED));
}

#[test]
fn the_open_goes_on_with_the_new_object() {
    let mut tree = Tree::new();
    let exclusive = OpenAsk { share: ShareAccess::READ, delete_on_close: true, ..ask(1, 7, "a") };
    opened(&mut tree, exclusive);
    assert_eq!(tree.replaced(OpenId(1), key(8), false, NOW), []);
    // Its share mode holds for the new one, and for nothing else.
    assert_eq!(refused(&mut tree, ask(2, 8, "a")), NtStatus::SHARING_VIOLATION);
    opened(&mut tree, ask(3, 7, "elsewhere"));
    assert_eq!(tree.path_of(OpenId(1)), Some(RelPath::new("a")));
    // It was opened to be deleted on close, and is.
    assert!(tree.close(OpenId(1), true, NOW).deletion.is_some());
}

#[test]
fn who_came_in_between_keeps_what_is_gone() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    opened(&mut tree, ask(2, 7, "a"));
    let _ = tree.replaced(OpenId(1), key(8), false, NOW);
    opened(&mut tree, ask(3, 8, "a"));
    for open in 1..=3 {
        assert!(tree.close(OpenId(open), true, NOW).deletion.is_none());
    }
    assert!(tree.is_empty());
}
