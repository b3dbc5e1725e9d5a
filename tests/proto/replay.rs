//! Requests that are sent once more because their answers were lost (MS-SMB2 3.3.5.2.10, 3.3.5.9.10).

use smbgate::types::{FileId, Guid, NtStatus, OplockLevel};
use smbgate::wire::create::{CreateAction, CreateRequest};
use smbgate::wire::header::{Command, Header, HeaderFlags};
use smbgate::wire::write::WriteRequest;

use crate::client::{Client, Offer, Reply, Request};
use crate::common::{PASSWORD, Server, USER};
use crate::durable::{keeping, v2};

const GUID: Guid = Guid([7; 16]);

/// Sends it with the replay flag, and this channel sequence.
fn again<R: Request>(c: &mut Client, request: &R, sequence: u16, replay: bool) -> Reply {
    let mut header: Header = c.header(request);
    header.status = sequence.into();
    header.flags.set(HeaderFlags::REPLAY, replay);
    c.send_as(&header, request);
    c.wait(header.message_id.0)
}

fn write(file_id: FileId) -> WriteRequest<'static> {
    WriteRequest { file_id, data: b"data", ..WriteRequest::default() }
}

#[test]
fn a_create_that_was_done_is_answered_again() {
    let server = Server::plain();
    let mut c = server.client();
    let request = keeping("file", v2(GUID, 0));
    let first = c.create(&request).unwrap();
    let second = again(&mut c, &request, 0, true).opened().unwrap();
    assert_eq!((second.file_id, second.action), (first.file_id, CreateAction::CREATED));
    assert_eq!((second.oplock, second.durable), (first.oplock, first.durable));
    // Who asks for less is told of less.
    let less = CreateRequest { requested_oplock_level: OplockLevel::NONE, ..request.clone() };
    let third = again(&mut c, &less, 0, true).opened().unwrap();
    assert_eq!((third.file_id, third.oplock, third.durable), (first.file_id, OplockLevel::NONE, None));
    // With a lease it is another request.
    let leased = CreateRequest { requested_oplock_level: OplockLevel::LEASE, ..request.clone() };
    assert_eq!(again(&mut c, &leased, 0, true).opened().err(), Some(NtStatus::ACCESS_DENIED));
    // Without the flag it is another request, and its guid is taken.
    assert_eq!(c.create(&request).err(), Some(NtStatus::DUPLICATE_OBJECTID));
    // Once the file was used its client knows that it was opened.
    assert_eq!(c.write(first.file_id, 0, b"x"), Ok(1));
    assert_eq!(c.close(first.file_id), NtStatus::SUCCESS);
    assert_ne!(c.create(&request).unwrap().file_id, first.file_id);
}

#[test]
fn the_guid_of_another_client_is_another_guid() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let first = a.create(&keeping("a", v2(GUID, 0))).unwrap();
    let second = again(&mut b, &keeping("b", v2(GUID, 0)), 0, true).opened().unwrap();
    assert_ne!(first.file_id, second.file_id);
}

#[test]
fn what_comes_late_from_a_lost_channel_changes_nothing() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("file").unwrap();
    assert_eq!(again(&mut c, &write(file), 1, false).status(), NtStatus::SUCCESS);
    assert_eq!(again(&mut c, &write(file), 0, false).status(), NtStatus::FILE_NOT_AVAILABLE);
    assert_eq!(again(&mut c, &write(file), 0, true).status(), NtStatus::FILE_NOT_AVAILABLE);
    assert_eq!(again(&mut c, &write(file), 1, true).status(), NtStatus::SUCCESS);
    assert_eq!(c.read(file, 0, 4).unwrap(), b"data", "to read is harmless");
}

#[test]
fn the_sequence_of_a_file_is_none_of_anybody_elses() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let file = a.make("file").unwrap();
    assert_eq!(again(&mut b, &write(file), 9, false).status(), NtStatus::FILE_CLOSED);
    assert_eq!(again(&mut a, &write(file), 0, false).status(), NtStatus::SUCCESS);
}

/// It waits for somebody's oplock, and its connection is lost. On another channel the client finds it: waiting first,
/// then done.
#[test]
fn a_create_goes_on_when_its_channel_is_lost() {
    let server = Server::plain();
    let mut holder = server.client();
    let held = holder.create(&keeping("file", v2(Guid([1; 16]), 0))).unwrap();
    let offer = Offer::default();
    let mut a = server.client_with(&offer);
    let mut b = Client::connect(server.address);
    b.negotiate(&offer);
    b.bind(&a, USER, PASSWORD).unwrap();

    let request = keeping("file", v2(GUID, 0));
    let id = a.send(&request);
    a.wait_interim(id);
    holder.wait_for(|r| r.header.command == Command::OPLOCK_BREAK);
    drop(a);
    assert_eq!(again(&mut b, &request, 1, true).status(), NtStatus::FILE_NOT_AVAILABLE);
    assert_eq!(holder.close(held.file_id), NtStatus::SUCCESS);
    let opened = loop {
        match again(&mut b, &request, 1, true).opened() {
            Ok(opened) => break opened,
            Err(status) => assert_eq!(status, NtStatus::FILE_NOT_AVAILABLE),
        }
    };
    assert_eq!((opened.oplock, opened.action), (OplockLevel::BATCH, CreateAction::OPENED));
    assert_eq!(b.write(opened.file_id, 0, b"x"), Ok(1));
}
