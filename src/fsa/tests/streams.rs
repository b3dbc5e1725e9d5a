use super::*;

fn rename(tree: &Tree, open: u64, to: &str) -> Result<Renaming, NtStatus> {
    tree.rename(&RenameAsk {
        open: OpenId(open),
        to: RelPath::new(to),
        replace: false,
        posix: false,
        ignore_readonly: false,
        target: None,
    })
}

#[test]
fn a_file_with_an_open_stream_keeps_its_name() {
    let mut tree = Tree::new();
    opened(&mut tree, ask(1, 7, "a"));
    opened(&mut tree, stream(2, 7, "a", "s"));
    assert_eq!(rename(&tree, 1, "b"), Err(NtStatus::ACCESS_DENIED));
    let _ = tree.close(OpenId(2), true, NOW);
    assert!(rename(&tree, 1, "b").is_ok());
}

#[test]
fn a_renamed_stream_is_renamed_for_all_its_opens() {
    let mut tree = Tree::new();
    opened(&mut tree, dir(9, 1, ""));
    opened(&mut tree, stream(1, 7, "a", "old"));
    opened(&mut tree, stream(2, 7, "a", "OLD"));
    opened(&mut tree, stream(3, 7, "a", "third"));
    opened(&mut tree, ask(4, 7, "a"));
    assert_eq!(tree.rename_stream(OpenId(1), "THIRD"), Err(NtStatus::INVALID_PARAMETER));
    assert_eq!(tree.rename_stream(OpenId(4), "new"), Err(NtStatus::INVALID_PARAMETER));
    assert_eq!(tree.rename_stream(OpenId(1), "Old"), Ok("old".into()));
    assert_eq!(tree.rename_stream(OpenId(1), "new"), Ok("old".into()));
    watch(&mut tree, 9, 1);
    let told = [(NotifyAction::REMOVED_STREAM, "a:old"), (NotifyAction::ADDED_STREAM, "a:new")];
    let effects = tree.renamed_stream(OpenId(1), "new", NOW);
    assert_eq!(effects, [events(1, &told[..1])]);
    let exclusive = OpenAsk { share: ShareAccess::empty(), ..stream(5, 7, "a", "New") };
    assert_eq!(refused(&mut tree, exclusive), NtStatus::SHARING_VIOLATION);
    for open in 1..=4 {
        let _ = tree.close(OpenId(open), true, NOW);
    }
    assert_eq!(tree.len(), 1);
}

#[test]
fn streams_of_an_overwritten_file_go_with_their_last_open() {
    let mut tree = Tree::new();
    opened(&mut tree, stream(1, 7, "a", "s"));
    opened(&mut tree, ask(2, 7, "a"));
    assert_eq!(tree.drop_streams(OpenId(2)), ["s"]);
    assert_eq!(refused(&mut tree, stream(3, 7, "a", "S")), NtStatus::DELETE_PENDING);
    let deletion = tree.close(OpenId(1), true, NOW).deletion.expect("its last open");
    assert_eq!(deletion.stream(), Some("s"));
    assert_eq!(tree.deleted(deletion, true, NOW), []);
    assert!(!tree.is_delete_pending(OpenId(2)));
    assert_eq!(tree.drop_streams(OpenId(2)), [""; 0]);
}
