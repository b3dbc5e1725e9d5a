//! Requests that are sent once more because their answers were lost (MS-SMB2 3.3.5.2.10, 3.3.5.9.10, 3.3.5.14).

use smbgate::types::{AccessMask, FileId, Guid, NtStatus, OplockLevel};
use smbgate::wire::create::{CreateAction, CreateRequest};
use smbgate::wire::flush::FlushRequest;
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::header::{Command, Header, HeaderFlags};
use smbgate::wire::ioctl::CtlCode;
use smbgate::wire::lock::{LockFlags, LockRequest};
use smbgate::wire::query_info::InfoType;
use smbgate::wire::set_info::SetInfoRequest;
use smbgate::wire::write::WriteRequest;

use crate::client::{Client, Offer, Reply, Request, fsctl};
use crate::common::{OTHER, PASSWORD, Server, USER};
use crate::durable::{back_v2, ended, keeping, returns, v2, wait_until};
use crate::leases::{NONE, RWH, directory, file, leased, state};
use crate::persistent::{asking, available, offer};
use crate::restart::{EXCLUSIVE, lock};

const GUID: Guid = Guid([7; 16]);

/// Sends it with this channel sequence, and the replay flag or not.
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

/// Open.IsReplayEligible: who only looks, or opens a directory, is served once more.
#[test]
fn what_is_not_answered_again_is_done_again() {
    let server = Server::plain();
    let mut c = server.client();
    let named = |request| CreateRequest { create_contexts: vec![v2(GUID, 0)], ..request };
    let looks = CreateRequest { desired_access: AccessMask::READ_ATTRIBUTES, ..file("file") };
    for (what, request) in [("attributes", named(looks)), ("a directory", named(directory("directory")))] {
        let first = c.create(&request).unwrap().file_id;
        let second = again(&mut c, &request, 0, true).opened().unwrap().file_id;
        let third = c.create(&request).unwrap().file_id;
        assert!(first != second && second != third, "{what}");
    }
}

/// A client that has lost all of its connections, and with them the answer, asks on the next one.
#[test]
fn a_create_whose_session_is_lost_is_answered_in_the_next_one() {
    let server = Server::plain();
    server.add_user(OTHER);
    let offer = Offer::default();
    let plain = keeping("plain", v2(GUID, 0));
    let mut with_lease = leased(file("leased"), 1, RWH, None);
    with_lease.create_contexts.push(v2(Guid([8; 16]), 0));
    let mut c = server.client_with(&offer);
    let first = c.create(&plain).unwrap();
    let first_leased = c.create(&with_lease).unwrap();
    let before = ended(&server);
    drop(c);
    wait_until(|| ended(&server) > before);

    let mut other = Client::ready(server.address, &offer, OTHER, PASSWORD, "share");
    let mut refused = None;
    // Until all of the session is gone.
    wait_until(|| {
        refused = again(&mut other, &plain, 0, true).opened().err();
        refused != Some(NtStatus::DUPLICATE_OBJECTID)
    });
    assert_eq!(refused, Some(NtStatus::ACCESS_DENIED), "another user");
    let mut c = server.client_with(&offer);
    assert_eq!(c.create(&plain).err(), Some(NtStatus::DUPLICATE_OBJECTID), "it is no replay");
    let less = CreateRequest { requested_oplock_level: OplockLevel::LEASE, ..plain.clone() };
    assert_eq!(again(&mut c, &less, 0, true).opened().err(), Some(NtStatus::ACCESS_DENIED));
    let second = again(&mut c, &plain, 0, true).opened().unwrap();
    assert_eq!((second.file_id, second.action), (first.file_id, CreateAction::CREATED));
    assert_eq!((second.oplock, second.durable), (OplockLevel::BATCH, first.durable));
    assert_eq!(c.write(second.file_id, 0, b"x"), Ok(1));
    let second_leased = again(&mut c, &with_lease, 0, true).opened().unwrap();
    assert_eq!(second_leased.file_id, first_leased.file_id);
    assert_eq!((state(&second_leased), second_leased.durable), (RWH, first_leased.durable));
    // It is watched as before. (The lease is the client's, whoever comes from there.)
    drop(other);
    std::fs::write(server.path("share").join("leased"), "by somebody else").unwrap();
    loop {
        let told = c.lease_broken().new_lease_state;
        if told == NONE {
            break;
        }
        assert_eq!(c.acknowledge(1, told), NtStatus::SUCCESS);
    }
}

/// The answer was lost with the server: what is persistent was on the disk before.
#[test]
fn a_persistent_create_is_answered_again_after_a_crash() {
    let mut server = available();
    let offer = offer();
    let request = CreateRequest { create_contexts: vec![asking(GUID)], ..file("file") };
    let first = server.client_with(&offer).create(&request).unwrap();
    assert!(first.persistent);
    server.crash();
    let mut c = server.client_with(&offer);
    assert_eq!(c.create(&request).err(), Some(NtStatus::DUPLICATE_OBJECTID), "it is no replay");
    let second = again(&mut c, &request, 1, true).opened().unwrap();
    assert_eq!(second.file_id.persistent, first.file_id.persistent);
    assert_eq!((second.action, second.persistent), (CreateAction::CREATED, true));
    // It has been used: the guid is free for another.
    assert_eq!(again(&mut c, &write(second.file_id), 1, false).status(), NtStatus::SUCCESS);
    assert_ne!(again(&mut c, &request, 1, true).opened().unwrap().file_id, second.file_id);
}

/// Only what changes something is refused (3.3.5.2.10).
#[test]
fn of_what_comes_late_writes_set_infos_and_ioctls_are_refused() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("file").unwrap();
    assert_eq!(again(&mut c, &write(file), 5, false).status(), NtStatus::SUCCESS);
    let rename = SetInfoRequest {
        info_type: InfoType::FILE,
        file_info_class: FileInfoClass::POSITION.0,
        buffer: &[0; 8],
        file_id: file,
        ..SetInfoRequest::default()
    };
    let resume_key = fsctl(CtlCode::SRV_REQUEST_RESUME_KEY, file, b"");
    for replay in [false, true] {
        let late = NtStatus::FILE_NOT_AVAILABLE;
        assert_eq!(again(&mut c, &write(file), 4, replay).status(), late);
        assert_eq!(again(&mut c, &rename, 4, replay).status(), late);
        assert_eq!(again(&mut c, &resume_key, 4, replay).status(), late);
        for flags in [EXCLUSIVE, LockFlags::UNLOCK] {
            assert_eq!(again(&mut c, &lock(file, 0, flags), 4, replay).status(), NtStatus::SUCCESS);
        }
        let flush = FlushRequest { file_id: file };
        assert_eq!(again(&mut c, &flush, 4, replay).status(), NtStatus::SUCCESS);
        // (Half of all numbers are late: 5 + 0x7FFF is the last that is not.)
        assert_eq!(again(&mut c, &write(file), 0x8005, replay).status(), late);
        assert_eq!(again(&mut c, &rename, 5, replay).status(), NtStatus::SUCCESS);
        assert_eq!(again(&mut c, &resume_key, 5, replay).status(), NtStatus::SUCCESS);
    }
    assert_eq!(again(&mut c, &write(file), 0x8004, false).status(), NtStatus::SUCCESS);
}

/// What was sent before on a channel that is lost, and is not over, may be carried out after a write that is new.
#[test]
fn a_replay_waits_for_what_was_under_way_before() {
    let server = Server::plain();
    let (mut c, mut holder) = (server.client(), server.client());
    let (file, held) = (c.make("file").unwrap(), holder.make("file").unwrap());
    assert_eq!(holder.call(&lock(held, 100, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    let waiting = c.send(&lock(file, 100, LockFlags::EXCLUSIVE_LOCK));
    c.wait_interim(waiting);
    assert_eq!(again(&mut c, &write(file), 1, true).status(), NtStatus::FILE_NOT_AVAILABLE);
    assert_eq!(again(&mut c, &write(file), 1, false).status(), NtStatus::SUCCESS, "it is no replay");
    assert_eq!(holder.call(&lock(held, 100, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS);
    assert_eq!(c.wait(waiting).status(), NtStatus::SUCCESS);
    assert_eq!(again(&mut c, &write(file), 1, true).status(), NtStatus::SUCCESS);
}

/// LockSequenceNumber and LockSequenceIndex: with the same, a lock is the one that was taken (3.3.5.14), over a cut too.
#[test]
fn a_lock_that_was_taken_is_answered_again() {
    let server = Server::plain();
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let file = c.create(&keeping("file", v2(GUID, 0))).unwrap().file_id;
    let numbered = |file, number, index, flags| LockRequest {
        lock_sequence_number: number,
        lock_sequence_index: index,
        ..lock(file, 0, flags)
    };
    let taken =
        |c: &mut Client, file, number, index| c.call(&numbered(file, number, index, EXCLUSIVE)).status();
    let gone = |c: &mut Client, file, number, index| {
        c.call(&numbered(file, number, index, LockFlags::UNLOCK)).status()
    };
    assert_eq!(taken(&mut c, file, 3, 64), NtStatus::SUCCESS);
    assert_eq!(taken(&mut c, file, 3, 64), NtStatus::SUCCESS);
    assert_eq!(taken(&mut c, file, 3, 63), NtStatus::LOCK_NOT_GRANTED, "another entry");
    assert_eq!(taken(&mut c, file, 3, 65), NtStatus::LOCK_NOT_GRANTED, "there are 64");
    drop(c);
    let mut c = server.client_with(&offer);
    let file = returns(&mut c, &back_v2(file, GUID)).file_id;
    assert_eq!(taken(&mut c, file, 3, 64), NtStatus::SUCCESS, "it came back with the handle");
    assert_eq!(taken(&mut c, file, 4, 64), NtStatus::LOCK_NOT_GRANTED, "another number");
    assert_eq!(taken(&mut c, file, 3, 64), NtStatus::LOCK_NOT_GRANTED, "whose refusal left none");
    assert_eq!(gone(&mut c, file, 5, 64), NtStatus::SUCCESS);
    assert_eq!(gone(&mut c, file, 5, 64), NtStatus::SUCCESS);
    assert_eq!(gone(&mut c, file, 6, 64), NtStatus::RANGE_NOT_LOCKED);
}
