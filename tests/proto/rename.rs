//! What renames, links and deletes whom, and who is in the way (MS-FSA 2.1.5.15.3, 2.1.5.15.6, 2.1.5.15.11).

use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileAttributes, FileId, NtStatus, ShareAccess,
};
use smbgate::wire::codec::Writer;
use smbgate::wire::create::CreateRequest;
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::fscc::set_info::{DispositionFlags, RenameFlags, RenameInfo, SetFileInfo};
use smbgate::wire::query_info::InfoType;
use smbgate::wire::set_info::SetInfoRequest;

use crate::client::{Client, create};
use crate::common::Server;

const NOTHING: RenameFlags = RenameFlags::empty();
const REPLACE: RenameFlags = RenameFlags::REPLACE_IF_EXISTS;
const POSIX: RenameFlags = RenameFlags::REPLACE_IF_EXISTS.union(RenameFlags::POSIX_SEMANTICS);
const DELETE: DispositionFlags = DispositionFlags::DELETE;

fn set(c: &mut Client, file_id: FileId, info: &SetFileInfo<'_>) -> NtStatus {
    let mut buffer = Vec::new();
    let class = info.encode(&mut Writer::new(&mut buffer));
    c.call(&SetInfoRequest {
        info_type: InfoType::FILE,
        file_info_class: class.0,
        file_id,
        buffer: &buffer,
        ..SetInfoRequest::default()
    })
    .status()
}

fn to(name: &str, flags: RenameFlags) -> RenameInfo {
    RenameInfo { flags, root_directory: 0, file_name: name.to_owned() }
}

fn rename(c: &mut Client, file: FileId, name: &str, flags: RenameFlags) -> NtStatus {
    set(c, file, &SetFileInfo::Rename(to(name, flags)))
}

fn link(c: &mut Client, file: FileId, name: &str, flags: RenameFlags) -> NtStatus {
    set(c, file, &SetFileInfo::Link(to(name, flags)))
}

pub fn dispose(c: &mut Client, file: FileId, flags: DispositionFlags) -> NtStatus {
    set(c, file, &SetFileInfo::Disposition(flags))
}

/// A file with its name for contents, open and sharing everything.
fn file(c: &mut Client, name: &str) -> FileId {
    let file = c.make(name).unwrap();
    c.write(file, 0, name.as_bytes()).unwrap();
    file
}

fn closed_file(c: &mut Client, name: &str) {
    let file = file(c, name);
    assert_eq!(c.close(file), NtStatus::SUCCESS);
}

/// What a program finds at a name.
fn there(server: &Server, name: &str) -> Option<String> {
    std::fs::read_to_string(server.path("share").join(name)).ok()
}

fn shared(name: &str, share_access: ShareAccess) -> CreateRequest<'static> {
    let options = CreateOptions::empty();
    CreateRequest { share_access, ..create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, options) }
}

const READ_WRITE: ShareAccess = ShareAccess::READ.union(ShareAccess::WRITE);

#[test]
fn an_open_file_is_replaced_with_posix_semantics_only_and_if_all_share_delete() {
    let server = Server::plain();
    let mut c = server.client();
    let new = file(&mut c, "new");
    closed_file(&mut c, "old");
    assert_eq!(rename(&mut c, new, "old", NOTHING), NtStatus::OBJECT_NAME_COLLISION);
    let keeps = c.create(&shared("old", READ_WRITE)).unwrap().file_id;
    assert_eq!(rename(&mut c, new, "old", REPLACE), NtStatus::ACCESS_DENIED);
    assert_eq!(rename(&mut c, new, "old", POSIX), NtStatus::ACCESS_DENIED);
    assert_eq!(c.close(keeps), NtStatus::SUCCESS);
    let lets = c.open("old").unwrap();
    assert_eq!(rename(&mut c, new, "old", REPLACE), NtStatus::ACCESS_DENIED);
    assert_eq!(rename(&mut c, new, "old", POSIX), NtStatus::SUCCESS);
    // Who has the replaced file open keeps it; the name is the other's.
    assert_eq!(c.read(lets, 0, 10), Ok(b"old".to_vec()));
    assert_eq!(there(&server, "old").as_deref(), Some("new"));
    assert_eq!(c.close(lets), NtStatus::SUCCESS);
    assert_eq!(c.close(new), NtStatus::SUCCESS);
    assert_eq!(there(&server, "old").as_deref(), Some("new"));
    assert_eq!(there(&server, "new"), None);
}

#[test]
fn a_read_only_file_is_replaced_if_that_is_to_be_ignored() {
    let server = Server::plain();
    let mut c = server.client();
    let new = file(&mut c, "new");
    let options = CreateOptions::empty();
    let request = create("old", AccessMask::FILE_READ, CreateDisposition::CREATE, options);
    let old = c.create(&CreateRequest { file_attributes: FileAttributes::READONLY, ..request }).unwrap();
    assert_eq!(c.close(old.file_id), NtStatus::SUCCESS);
    assert_eq!(rename(&mut c, new, "old", REPLACE), NtStatus::ACCESS_DENIED);
    let ignore = REPLACE | RenameFlags::IGNORE_READONLY_ATTRIBUTE;
    assert_eq!(rename(&mut c, new, "old", ignore), NtStatus::SUCCESS);
    assert_eq!(there(&server, "old").as_deref(), Some("new"));
}

#[test]
fn a_directory_stays_while_something_is_open_beneath_it() {
    let server = Server::plain();
    let mut c = server.client();
    let above = c.make_directory("d").unwrap();
    let deep = c.make_directory("d\\e").unwrap();
    let inside = file(&mut c, "d\\e\\f");
    let beside = file(&mut c, "d0");
    assert_eq!(c.close(deep), NtStatus::SUCCESS);
    assert_eq!(rename(&mut c, above, "moved", NOTHING), NtStatus::ACCESS_DENIED);
    assert_eq!(rename(&mut c, above, "d\\e\\d", NOTHING), NtStatus::INVALID_PARAMETER);
    assert_eq!(c.close(inside), NtStatus::SUCCESS);
    assert_eq!(rename(&mut c, above, "moved", NOTHING), NtStatus::SUCCESS);
    assert_eq!(there(&server, "moved/e/f").as_deref(), Some("d\\e\\f"));
    // An open follows its directory, and a directory never replaces.
    assert_eq!(rename(&mut c, above, "d0", POSIX), NtStatus::ACCESS_DENIED);
    assert_eq!(c.close(beside), NtStatus::SUCCESS);
}

#[test]
fn an_open_follows_its_file() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let moved = file(&mut a, "before");
    let other = b.open("before").unwrap();
    assert_eq!(rename(&mut a, moved, "after", NOTHING), NtStatus::SUCCESS);
    let name = b.query_file(other, FileInfoClass::NORMALIZED_NAME.0).unwrap();
    assert_eq!(smbgate::wire::codec::decode_utf16(&name[4..], "name").unwrap(), "after");
    // What is called so now is another's.
    let new = file(&mut b, "before");
    assert_eq!(dispose(&mut a, moved, DELETE), NtStatus::SUCCESS);
    assert_eq!((a.close(moved), b.close(other)), (NtStatus::SUCCESS, NtStatus::SUCCESS));
    assert_eq!((there(&server, "after"), there(&server, "before").as_deref()), (None, Some("before")));
    assert_eq!(b.close(new), NtStatus::SUCCESS);
}

#[test]
fn the_directory_it_goes_to_may_be_held() {
    let server = Server::plain();
    let mut c = server.client();
    let held = c.make_directory("to").unwrap();
    let (moved, directory) = (file(&mut c, "f"), c.make_directory("d").unwrap());
    // Held with DELETE access: no file goes in, a directory does.
    assert_eq!(rename(&mut c, moved, "to\\f", NOTHING), NtStatus::SHARING_VIOLATION);
    assert_eq!(rename(&mut c, directory, "to\\d", NOTHING), NtStatus::SUCCESS);
    assert_eq!(c.close(held), NtStatus::SUCCESS);
    let held = c.create(&shared("to", ShareAccess::READ)).unwrap().file_id;
    assert_eq!(rename(&mut c, moved, "to\\f", NOTHING), NtStatus::SHARING_VIOLATION);
    assert_eq!(c.close(held), NtStatus::SUCCESS);
    let held = c.create(&shared("to", READ_WRITE)).unwrap().file_id;
    assert_eq!(rename(&mut c, moved, "to\\f", NOTHING), NtStatus::SUCCESS);
    assert_eq!(c.close(held), NtStatus::SUCCESS);
}

/// Opened as a program does that writes it and lets others read.
fn to_edit(name: &str, disposition: CreateDisposition) -> CreateRequest<'static> {
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
    let request = create(name, access, disposition, CreateOptions::NON_DIRECTORY_FILE);
    CreateRequest { share_access: ShareAccess::READ, ..request }
}

/// Opened to be moved or deleted, as MoveFile and DeleteFile do.
fn to_move(name: &str, options: CreateOptions) -> CreateRequest<'static> {
    let access = AccessMask::DELETE | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE;
    create(name, access, CreateDisposition::OPEN, options)
}

/// Word's: the new text in a file of its own, the old file aside, the new one in its place, the old one away. It keeps the
/// document open while it is edited, and says who does in a file that goes with it; an indexer looks on.
#[test]
fn an_office_program_saves() {
    let server = Server::plain();
    let (mut word, mut other, mut indexer) = (server.client(), server.client(), server.client());
    closed_file(&mut word, "Report.docx");
    let options = CreateOptions::DELETE_ON_CLOSE;
    let access = AccessMask::FILE_WRITE | AccessMask::DELETE;
    let owner = create("~$Report.docx", access, CreateDisposition::CREATE, options);
    let owner = word.create(&owner).unwrap().file_id;
    let mut document = word.create(&to_edit("Report.docx", CreateDisposition::OPEN)).unwrap().file_id;
    for (n, text) in ["first", "second", "third"].into_iter().enumerate() {
        let (new, old) = (format!("~WRD000{n}.tmp"), format!("~WRL000{n}.tmp"));
        let violation = Err(NtStatus::SHARING_VIOLATION);
        assert_eq!(other.create(&to_edit("Report.docx", CreateDisposition::OPEN)).map(drop), violation);
        assert_eq!(other.create(&to_move("Report.docx", CreateOptions::empty())).map(drop), violation);
        let looking = indexer.open("Report.docx").unwrap();
        let before = indexer.read(looking, 0, 100).unwrap();

        let written = word.create(&to_edit(&new, CreateDisposition::CREATE)).unwrap().file_id;
        word.write(written, 0, text.as_bytes()).unwrap();
        assert_eq!((word.flush(written), word.close(written)), (NtStatus::SUCCESS, NtStatus::SUCCESS));
        assert_eq!(word.close(document), NtStatus::SUCCESS);
        for (from, name) in [("Report.docx", &old[..]), (&new[..], "Report.docx")] {
            let moved = word.create(&to_move(from, CreateOptions::empty())).unwrap().file_id;
            assert_eq!(rename(&mut word, moved, name, NOTHING), NtStatus::SUCCESS);
            assert_eq!(word.close(moved), NtStatus::SUCCESS);
        }
        document = word.create(&to_edit("Report.docx", CreateDisposition::OPEN)).unwrap().file_id;
        let away = word.create(&to_move(&old, CreateOptions::DELETE_ON_CLOSE)).unwrap().file_id;
        assert_eq!(word.close(away), NtStatus::SUCCESS);

        // The old text stays for who has it open, and is gone with him.
        assert_eq!(indexer.read(looking, 0, 100), Ok(before));
        assert_eq!(indexer.open(&old), Err(NtStatus::DELETE_PENDING));
        assert_eq!(indexer.close(looking), NtStatus::SUCCESS);
        assert_eq!(there(&server, &old), None);
        assert_eq!(there(&server, "Report.docx").as_deref(), Some(text));
    }
    assert_eq!((word.close(document), word.close(owner)), (NtStatus::SUCCESS, NtStatus::SUCCESS));
    let left: Vec<_> =
        std::fs::read_dir(server.path("share")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["Report.docx"]);
}

#[test]
fn a_posix_delete_frees_the_name_at_once() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let gone = file(&mut a, "f");
    let keeps = b.open("f").unwrap();
    assert_eq!(dispose(&mut a, gone, DELETE | DispositionFlags::POSIX_SEMANTICS), NtStatus::SUCCESS);
    assert_eq!(b.open("f"), Err(NtStatus::DELETE_PENDING));
    assert_eq!(a.close(gone), NtStatus::SUCCESS);
    assert_eq!(there(&server, "f"), None);
    let new = a.make("f").unwrap();
    a.write(new, 0, b"new").unwrap();
    assert_eq!(b.read(keeps, 0, 10), Ok(b"f".to_vec()));
    assert_eq!((b.close(keeps), a.close(new)), (NtStatus::SUCCESS, NtStatus::SUCCESS));
    assert_eq!(there(&server, "f").as_deref(), Some("new"));
    // Without, it goes with the last who has it open.
    let (gone, keeps) = (a.make("f").unwrap(), b.open("f").unwrap());
    assert_eq!(dispose(&mut a, gone, DELETE), NtStatus::SUCCESS);
    assert_eq!(a.close(gone), NtStatus::SUCCESS);
    assert!(there(&server, "f").is_some());
    assert_eq!(b.close(keeps), NtStatus::SUCCESS);
    assert_eq!(there(&server, "f"), None);
}

#[test]
fn a_hard_link_is_the_same_file() {
    let server = Server::plain();
    let mut c = server.client();
    let one = file(&mut c, "one");
    closed_file(&mut c, "two");
    assert_eq!(link(&mut c, one, "two", NOTHING), NtStatus::OBJECT_NAME_COLLISION);
    let open = c.open("two").unwrap();
    assert_eq!(link(&mut c, one, "two", REPLACE), NtStatus::ACCESS_DENIED);
    assert_eq!(link(&mut c, one, "two", POSIX), NtStatus::SUCCESS);
    assert_eq!(c.read(open, 0, 10), Ok(b"two".to_vec()));
    c.write(one, 0, b"both").unwrap();
    assert_eq!(there(&server, "two").as_deref(), Some("both"));
    // One name goes, the other stays.
    assert_eq!(dispose(&mut c, one, DELETE), NtStatus::SUCCESS);
    assert_eq!(c.close(one), NtStatus::SUCCESS);
    assert_eq!((there(&server, "one"), there(&server, "two").as_deref()), (None, Some("both")));
    let directory = c.make_directory("d").unwrap();
    assert_eq!(link(&mut c, directory, "e", NOTHING), NtStatus::FILE_IS_A_DIRECTORY);
}
