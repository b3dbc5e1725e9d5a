//! The names of a file: accents in one character or two, names of 8.3 form, and shares that leave something out.

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus};
use smbgate::wire::change_notify::{ChangeNotifyRequest, CompletionFilter};
use smbgate::wire::codec::decode_utf16;
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::query_directory::QueryDirectoryFlags;
use smbgate::wire::query_info::{InfoType, QueryInfoRequest, QueryInfoResponse};

use crate::client::{Client, Offer, create};
use crate::common::{PASSWORD, Server, USER};

/// FileAlternateNameInformation.
fn short_name(c: &mut Client, name: &str) -> String {
    let file = c.open(name).unwrap();
    let info = c.query_file(file, FileInfoClass::ALTERNATE_NAME.0).unwrap();
    c.close(file);
    decode_utf16(&info[4..], "name").unwrap()
}

fn open_root(c: &mut Client) -> FileId {
    let access = AccessMask::FILE_READ;
    let root = create("", access, CreateDisposition::OPEN, CreateOptions::DIRECTORY_FILE);
    c.create(&root).unwrap().file_id
}

/// (FileName, ShortName) of every entry of the root.
fn listing(c: &mut Client) -> Vec<(String, String)> {
    let root = open_root(c);
    let class = FileInfoClass::ID_BOTH_DIRECTORY.0;
    let buffer = c.query_directory(root, class, "*", QueryDirectoryFlags::empty(), 65536).unwrap();
    c.close(root);
    let (mut rest, mut found) = (&buffer[..], Vec::new());
    loop {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let text = |at: usize, len: usize| decode_utf16(&rest[at..at + len], "name").unwrap();
        found.push((text(104, word(60)), text(70, rest[68].into())));
        match word(0) {
            0 => return found,
            next => rest = &rest[next..],
        }
    }
}

#[test]
fn a_short_name_is_told_and_opens_the_file() {
    let server = Server::plain();
    let mut c = server.client();
    let long = "A long name with spaces.html";
    for (name, text) in [(long, &b"long"[..]), ("README.TXT", b"short")] {
        let file = c.make(name).unwrap();
        c.write(file, 0, text).unwrap();
        c.close(file);
    }
    let short = short_name(&mut c, long);
    assert!(short.len() <= 12 && short.ends_with(".HTM"), "{short}");
    assert_eq!(short_name(&mut c, "readme.txt"), "README.TXT");
    let told = listing(&mut c);
    assert!(told.contains(&(long.to_owned(), short.clone())), "{told:?}");
    assert!(told.contains(&("README.TXT".to_owned(), String::new())), "{told:?}");
    let file = c.open(&short).unwrap();
    assert_eq!(c.read(file, 0, 10), Ok(b"long".to_vec()));
    let info = c.query_file(file, FileInfoClass::NAME.0).unwrap();
    assert_eq!(decode_utf16(&info[4..], "name").unwrap(), format!("\\{long}"));
}

#[test]
fn a_share_may_have_no_short_names() {
    let server = Server::start("signing = \"offered\"", &[("share", "short_names = false")]);
    let mut c = server.client();
    let long = "A long name with spaces.html";
    let file = c.make(long).unwrap();
    c.close(file);
    assert_eq!(short_name(&mut c, long), "");
    assert!(listing(&mut c).contains(&(long.to_owned(), String::new())));
}

#[test]
fn what_macos_makes_opens_from_windows_and_the_other_way_round() {
    let server = Server::plain();
    let mut c = server.client();
    for (made, asked) in [("Re\u{301}sume\u{301}", "R\u{E9}sum\u{E9}"), ("Über", "U\u{308}ber")] {
        let file = c.make(made).unwrap();
        c.write(file, 0, made.as_bytes()).unwrap();
        c.close(file);
        let file = c.open(asked).unwrap();
        assert_eq!(c.read(file, 0, 100), Ok(made.as_bytes().to_vec()));
        c.close(file);
        assert!(server.path("share").join(made).exists() && !server.path("share").join(asked).exists());
    }
}

#[test]
fn a_file_that_is_to_be_new_may_differ_in_its_accents_only() {
    let server = Server::plain();
    let mut c = server.client();
    let make = |c: &mut Client, name: &str, text: &[u8]| {
        let new = create(name, AccessMask::FILE_ALL, CreateDisposition::CREATE, CreateOptions::empty());
        let file = c.create(&new)?.file_id;
        c.write(file, 0, text)?;
        c.close(file);
        Ok(())
    };
    let (composed, decomposed) = ("\u{E4}", "a\u{308}");
    assert_eq!(make(&mut c, decomposed, b"two"), Ok(()));
    assert_eq!(make(&mut c, composed, b"one"), Ok(()));
    assert_eq!(make(&mut c, "\u{C4}", b"case"), Err(NtStatus::OBJECT_NAME_COLLISION));
    for (name, text) in [(composed, b"one"), (decomposed, b"two"), ("\u{C4}", b"one"), ("A\u{308}", b"two")] {
        let file = c.open(name).unwrap();
        assert_eq!(c.read(file, 0, 10), Ok(text.to_vec()), "{name}");
        c.close(file);
    }
}

#[test]
fn a_share_may_have_no_streams() {
    let server = Server::start("signing = \"offered\"", &[("share", "streams = false"), ("with", "")]);
    let flags = |c: &mut Client, file: FileId| {
        let request = QueryInfoRequest {
            info_type: InfoType::FILESYSTEM,
            file_info_class: 5,
            output_buffer_length: 1024,
            file_id: file,
            ..QueryInfoRequest::default()
        };
        let reply = c.call(&request).ok().unwrap();
        let answer = QueryInfoResponse::decode(&mut reply.reader()).unwrap();
        u32::from_le_bytes(answer.buffer[..4].try_into().unwrap())
    };
    const NAMED_STREAMS: u32 = 0x4_0000;
    for (share, has) in [("share", false), ("with", true)] {
        let mut c = Client::ready(server.address, &Offer::default(), USER, PASSWORD, share);
        let file = c.make("file").unwrap();
        assert_eq!(flags(&mut c, file) & NAMED_STREAMS != 0, has);
        for name in ["file:stream", "file::$DATA"] {
            let opened = c.make(name).map(drop);
            assert_eq!(opened, if has { Ok(()) } else { Err(NtStatus::OBJECT_NAME_INVALID) }, "{name}");
        }
    }
}

#[test]
fn a_share_may_tell_of_no_changes() {
    let server = Server::start("signing = \"offered\"", &[("share", "change_notify = false")]);
    let mut c = server.client();
    let root = open_root(&mut c);
    let request = ChangeNotifyRequest {
        file_id: root,
        output_buffer_length: 1024,
        completion_filter: CompletionFilter::FILE_NAME,
        ..ChangeNotifyRequest::default()
    };
    assert_eq!(c.call(&request).status(), NtStatus::NOT_IMPLEMENTED);
}
