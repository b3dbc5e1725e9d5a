//! MS-SMB2 3.3.5.2.7: chains of requests in one message.

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus};
use smbgate::wire::close::CloseRequest;
use smbgate::wire::echo::EchoRequest;
use smbgate::wire::read::{ReadRequest, ReadResponse};
use smbgate::wire::write::WriteRequest;

use crate::client::create;
use crate::common::Server;

fn new_file(name: &str) -> smbgate::wire::create::CreateRequest<'static> {
    create(name, AccessMask::FILE_ALL, CreateDisposition::CREATE, CreateOptions::NON_DIRECTORY_FILE)
}

const CLOSE: CloseRequest =
    CloseRequest { flags: smbgate::wire::close::CloseFlags::empty(), file_id: FileId::RELATED };

#[test]
fn a_related_chain_works_on_its_file() {
    let server = Server::plain();
    for seal in [false, true] {
        let mut c = server.client();
        c.seal = seal;
        let write = WriteRequest { file_id: FileId::RELATED, data: b"in one go", ..WriteRequest::default() };
        let read = ReadRequest { file_id: FileId::RELATED, length: 100, ..ReadRequest::default() };
        let name = format!("chain {seal}");
        let ids = c.compound().add(&new_file(&name)).related(&write).related(&read).related(&CLOSE).send();
        let replies: Vec<_> = ids.iter().map(|id| c.wait(*id)).collect();
        assert!(replies.iter().all(|r| r.status() == NtStatus::SUCCESS), "{replies:?}");
        assert_eq!(ReadResponse::decode(&mut replies[2].reader()).unwrap().data, b"in one go");
        assert_eq!(std::fs::read(server.path("share").join(&name)).unwrap(), b"in one go");
        // All answers are padded to eight bytes, the last one too.
        assert!(
            replies[..3]
                .iter()
                .all(|r| r.message.len() % 8 == 0 && r.header.next_command as usize == r.message.len())
        );
        assert_eq!((replies[3].header.next_command, replies[3].message.len() % 8), (0, 0));
    }
}

#[test]
fn unrelated_requests_stand_for_themselves() {
    let server = Server::plain();
    let mut c = server.client();
    let open = create("missing", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
    let ids = c.compound().add(&EchoRequest).add(&open).add(&EchoRequest).send();
    let statuses: Vec<_> = ids.iter().map(|id| c.wait(*id).status()).collect();
    assert_eq!(statuses, [NtStatus::SUCCESS, NtStatus::OBJECT_NAME_NOT_FOUND, NtStatus::SUCCESS]);
}

#[test]
fn what_follows_a_failed_open_fails_like_it() {
    let server = Server::plain();
    let mut c = server.client();
    let open = create("missing", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
    let read = ReadRequest { file_id: FileId::RELATED, length: 100, ..ReadRequest::default() };
    let ids = c.compound().add(&open).related(&read).related(&CLOSE).send();
    for id in ids {
        assert_eq!(c.wait(id).status(), NtStatus::OBJECT_NAME_NOT_FOUND);
    }
}

#[test]
fn a_chain_cannot_begin_with_a_related_request() {
    let server = Server::plain();
    let mut c = server.client();
    let ids = c.compound().related(&CLOSE).add(&EchoRequest).send();
    assert_eq!(c.wait(ids[0]).status(), NtStatus::INVALID_PARAMETER);
    assert_eq!(c.wait(ids[1]).status(), NtStatus::SUCCESS);
}

#[test]
fn a_chain_of_many_is_answered_whole() {
    let server = Server::plain();
    let mut c = server.client();
    let ids = (0..100).fold(c.compound(), |chain, _| chain.add(&EchoRequest)).send();
    for id in ids {
        assert_eq!(c.wait(id).status(), NtStatus::SUCCESS);
    }
}

#[test]
fn pipelined_requests_are_all_answered() {
    let server = Server::plain();
    let mut c = server.client();
    let file_id = c.make("pipeline").unwrap();
    let data: Vec<u8> = (0..1 << 20).map(|i: u32| (i >> 8) as u8).collect();
    c.write(file_id, 0, &data).unwrap();
    let wanted: Vec<(u64, u64)> = (0..100)
        .map(|i| {
            let offset = i * 8191;
            (c.send(&ReadRequest { file_id, offset, length: 4096, ..ReadRequest::default() }), offset)
        })
        .collect();
    for (id, offset) in wanted.into_iter().rev() {
        let reply = c.wait(id);
        let at = offset as usize;
        assert!(ReadResponse::decode(&mut reply.reader()).unwrap().data == &data[at..at + 4096]);
    }
}

#[test]
fn large_reads_share_an_answer() {
    let server = Server::plain();
    let mut c = server.client();
    let data: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(server.path("share").join("big"), &data).unwrap();
    let file_id = c.open("big").unwrap();
    let read = |offset| ReadRequest { file_id, offset, length: 65536, ..ReadRequest::default() };
    for seal in [false, true] {
        c.seal = seal;
        let ids = c.compound().add(&read(0)).add(&read(65536)).add(&read(131_072)).send();
        for (id, from) in ids.into_iter().zip([0, 65536, 131_072]) {
            let reply = c.wait(id);
            let got = ReadResponse::decode(&mut reply.reader()).unwrap().data;
            assert!(got == &data[from..][..65536], "from {from}");
        }
    }
}

#[test]
fn what_was_sent_before_a_close_is_done() {
    let server = Server::plain();
    let mut c = server.client();
    for round in 0..20 {
        let name = format!("file{round}");
        let file_id = c.make(&name).unwrap();
        let data = [round; 4096];
        let writes: Vec<_> = (0..16)
            .map(|i| {
                c.send(&WriteRequest { file_id, offset: i * 4096, data: &data, ..WriteRequest::default() })
            })
            .collect();
        let close = c.send(&CloseRequest { file_id, ..CLOSE });
        for id in writes.into_iter().chain([close]) {
            assert_eq!(c.wait(id).status(), NtStatus::SUCCESS);
        }
        assert_eq!(std::fs::read(server.path("share").join(name)).unwrap(), [round; 65536]);
    }
}
