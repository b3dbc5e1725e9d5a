//! Handles that survive a cut of the network (MS-SMB2 3.3.5.9.6, 3.3.5.9.7, 3.3.5.9.10, 3.3.5.9.12, 3.3.7.1).

use std::borrow::Cow;
use std::time::{Duration, Instant};

use smallvec::smallvec;
use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, Dialect, FileId, Guid, NtStatus, OplockLevel, ShareAccess,
};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{
    CreateContext, DurableHandleFlags, DurableHandleReconnect, DurableHandleReconnectV2,
    DurableHandleRequest, DurableHandleRequestV2,
};
use smbgate::wire::header::Command;
use smbgate::wire::lock::{LockElement, LockFlags, LockRequest};
use smbgate::wire::logoff::LogoffRequest;

use crate::client::{Client, Offer, Opened, create};
use crate::common::{OTHER, PASSWORD, Server, USER};
use crate::leases::{RWH, file, leased};

const GUID: Guid = Guid([7; 16]);
const MINUTE: u32 = 60_000;

/// An exclusive open with a batch oplock and this context.
pub fn keeping(name: &str, context: CreateContext<'static>) -> CreateRequest<'static> {
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE | AccessMask::DELETE;
    let request = create(name, access, CreateDisposition::OPEN_IF, CreateOptions::NON_DIRECTORY_FILE);
    CreateRequest {
        requested_oplock_level: OplockLevel::BATCH,
        share_access: ShareAccess::empty(),
        create_contexts: vec![context],
        ..request
    }
}

pub fn v2(create_guid: Guid, timeout: u32) -> CreateContext<'static> {
    DurableHandleRequestV2 { timeout, create_guid, ..DurableHandleRequestV2::default() }.to_context()
}

/// The client is back. All but the context is nonsense, and ignored.
pub fn back(context: CreateContext<'static>) -> CreateRequest<'static> {
    CreateRequest { name: "no such name".into(), create_contexts: vec![context], ..CreateRequest::default() }
}

pub fn back_v1(file_id: FileId) -> CreateRequest<'static> {
    back(DurableHandleReconnect { file_id }.to_context())
}

pub fn back_v2(file_id: FileId, create_guid: Guid) -> CreateRequest<'static> {
    back(
        DurableHandleReconnectV2 { file_id, create_guid, ..DurableHandleReconnectV2::default() }.to_context(),
    )
}

/// Asks until the server has noticed that the old connection is lost.
#[track_caller]
pub fn returns(c: &mut Client, request: &CreateRequest<'_>) -> Opened {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match c.create(request) {
            Ok(opened) => return opened,
            Err(NtStatus::OBJECT_NAME_NOT_FOUND) if Instant::now() < end => {}
            Err(status) => panic!("{status}"),
        }
    }
}

/// A durable handle, its client lost, and the server aware of it.
fn lost(server: &Server, name: &str, context: CreateContext<'static>) -> FileId {
    let mut c = server.client();
    let opened = c.create(&keeping(name, context)).unwrap();
    assert!(opened.durable.is_some());
    let before = ended(server);
    drop(c);
    wait_until(|| ended(server) > before);
    opened.file_id
}

pub fn ended(server: &Server) -> usize {
    server.log().matches("connection closed:").count()
}

/// The log has it a moment before the tables have.
pub fn wait_until(mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "it never came");
        std::thread::yield_now();
    }
}

pub fn lock(file_id: FileId, flags: LockFlags) -> LockRequest {
    let element = LockElement { offset: 0, length: 8, flags };
    LockRequest { file_id, locks: smallvec![element], ..LockRequest::default() }
}

#[test]
fn a_handle_comes_back_with_all_that_it_had() {
    let server = Server::plain();
    for (what, offer, context) in [
        ("2.1, v1", Offer::dialect(Dialect::SMB2_10), DurableHandleRequest.to_context()),
        ("3.1.1, v1", Offer::default(), DurableHandleRequest.to_context()),
        ("3.1.1, v2", Offer::default(), v2(GUID, 0)),
    ] {
        let second = what.ends_with("v2");
        let mut c = server.client_with(&offer);
        let opened = c.create(&keeping("file", context)).unwrap();
        let file = opened.file_id;
        assert_eq!(opened.durable, Some(if second { MINUTE } else { 0 }), "{what}");
        assert_eq!(c.write(file, 0, b"before the cut"), Ok(14));
        let exclusive = LockFlags::EXCLUSIVE_LOCK | LockFlags::FAIL_IMMEDIATELY;
        assert_eq!(c.call(&lock(file, exclusive)).status(), NtStatus::SUCCESS);
        drop(c);

        let mut c = server.client_with(&offer);
        let returned = returns(&mut c, &if second { back_v2(file, GUID) } else { back_v1(file) });
        assert_eq!((returned.oplock, returned.end_of_file), (OplockLevel::BATCH, 14), "{what}");
        assert_eq!(returned.durable, None, "{what}: nothing is said of that again");
        let file = returned.file_id;
        assert_eq!(c.read(file, 0, 14).unwrap(), b"before the cut", "{what}");
        assert_eq!(c.call(&lock(file, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS, "{what}");
        assert_eq!(c.close(file), NtStatus::SUCCESS, "{what}");
        assert_eq!(c.create(&back_v1(file)).err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND), "{what}: closed");
    }
}

#[test]
fn what_is_not_asked_for_rightly_is_not_durable() {
    let server =
        Server::start("signing = \"offered\"", &[("share", ""), ("never", "durable_timeout = \"0s\"")]);
    let mut c = server.client();
    for level in [OplockLevel::NONE, OplockLevel::LEVEL_II, OplockLevel::EXCLUSIVE] {
        let request =
            CreateRequest { requested_oplock_level: level, ..keeping("file", v2(Guid([level.0; 16]), 0)) };
        let opened = c.create(&request).unwrap();
        assert_eq!(opened.durable, None, "{level:?}");
        assert_eq!(c.close(opened.file_id), NtStatus::SUCCESS);
    }
    c.tree_connect("never").unwrap();
    assert_eq!(c.create(&keeping("file", v2(GUID, MINUTE))).unwrap().durable, None);
}

#[test]
fn contexts_that_do_not_go_together() {
    let server = Server::plain();
    let mut c = server.client();
    let file_id = FileId { persistent: 1, volatile: 1 };
    let again = DurableHandleReconnectV2 { file_id, create_guid: GUID, ..Default::default() }.to_context();
    for pair in [
        [DurableHandleRequest.to_context(), v2(GUID, 0)],
        [DurableHandleReconnect { file_id }.to_context(), again.clone()],
        [v2(GUID, 0), again],
    ] {
        let request = CreateRequest { create_contexts: pair.to_vec(), ..keeping("file", v2(GUID, 0)) };
        assert_eq!(c.create(&request).err(), Some(NtStatus::INVALID_PARAMETER));
    }
    let short = CreateContext { name: b"DH2Q", data: Cow::Borrowed(&[0; 31]) };
    assert_eq!(c.create(&keeping("file", short)).err(), Some(NtStatus::INVALID_PARAMETER));
}

/// Each check on the wire; and after each the handle is where it was.
#[test]
fn a_handle_is_not_given_to_anybody_else() {
    let server = Server::start("signing = \"offered\"", &[("share", ""), ("second", "")]);
    server.add_user(OTHER);
    let mut owner = server.client();
    let file = owner.create(&keeping("file", v2(GUID, MINUTE))).unwrap().file_id;
    let mut c = server.client();
    let gone = Some(NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(c.create(&back_v2(file, GUID)).err(), gone, "it is in use");
    let before = ended(&server);
    drop(owner);
    wait_until(|| ended(&server) > before);

    let unknown = FileId { persistent: file.persistent ^ 0x55, ..file };
    assert_eq!(c.create(&back_v2(unknown, GUID)).err(), gone, "file id");
    assert_eq!(c.create(&back_v2(file, Guid([8; 16]))).err(), gone, "create guid");
    assert_eq!(c.create(&back_v2(file, Guid::default())).err(), gone, "no create guid");
    let flags = DurableHandleFlags::PERSISTENT;
    let persistent = DurableHandleReconnectV2 { file_id: file, create_guid: GUID, flags }.to_context();
    assert_eq!(c.create(&back(persistent)).err(), Some(NtStatus::INVALID_PARAMETER), "persistent");
    let lease = smbgate::wire::create_context::Lease::V1 {
        lease_key: smbgate::types::LeaseKey([1; 16]),
        lease_state: smbgate::types::LeaseState::empty(),
        lease_flags: smbgate::wire::create_context::LeaseFlags::empty(),
    };
    let mut leased = back_v2(file, GUID);
    leased.create_contexts.push(lease.to_context());
    assert_eq!(c.create(&leased).err(), gone, "a lease that it does not have");
    let share = c.tree;
    c.tree_connect("second").unwrap();
    assert_eq!(c.create(&back_v2(file, GUID)).err(), gone, "another share");
    c.tree = share;

    // Only once all else is right the user is looked at: the connection has surely been cleaned up behind by now.
    let mut other = Client::ready(server.address, &Offer::default(), OTHER, PASSWORD, "share");
    let mut denied = gone;
    wait_until(|| {
        denied = other.create(&back_v2(file, GUID)).err();
        denied != gone
    });
    assert_eq!(denied, Some(NtStatus::ACCESS_DENIED));

    let returned = returns(&mut c, &back_v2(file, GUID));
    assert_eq!(returned.oplock, OplockLevel::BATCH);
    assert_eq!(c.write(returned.file_id, 0, b"mine"), Ok(4));
}

#[test]
fn a_handle_that_waits_yields_to_who_wants_the_file() {
    let server = Server::plain();
    let file = lost(&server, "file", v2(GUID, MINUTE));
    let mut other = server.client();
    let opened = other.create(&keeping("file", v2(Guid([8; 16]), 0))).unwrap();
    assert_eq!(opened.oplock, OplockLevel::BATCH, "nobody else has it open");
    let mut c = server.client();
    assert_eq!(c.create(&back_v2(file, GUID)).err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
}

#[test]
fn a_handle_that_was_asked_for_does_not_stay() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.create(&keeping("file", v2(GUID, MINUTE))).unwrap().file_id;
    let mut other = server.client();
    let waiting = other.send(&keeping("file", v2(Guid([8; 16]), 0)));
    c.wait_for(|r| r.header.command == Command::OPLOCK_BREAK);
    // It goes before it has answered.
    drop(c);
    assert_eq!(other.wait(waiting).opened().unwrap().oplock, OplockLevel::BATCH);
    let mut c = server.client();
    assert_eq!(c.create(&back_v2(file, GUID)).err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
}

/// What keeps a durable handle is a batch oplock, or a lease on it: who has given that up has no handle to come back for
/// (MS-SMB2 3.3.7.1, 3.3.5.9.7, 3.3.5.9.12).
#[test]
fn a_handle_that_nothing_keeps_any_more_does_not_stay() {
    let server = Server::plain();
    let shared = |request: CreateRequest<'static>| CreateRequest {
        share_access: ShareAccess::READ | ShareAccess::WRITE | ShareAccess::DELETE,
        ..request
    };
    let gone = Some(NtStatus::OBJECT_NAME_NOT_FOUND);
    for (name, context) in [("v1", DurableHandleRequest.to_context()), ("v2", v2(GUID, MINUTE))] {
        let mut c = server.client();
        let opened = c.create(&shared(keeping(name, context))).unwrap();
        assert!(opened.durable.is_some());
        let file = opened.file_id;
        let mut other = server.client();
        let waiting = other.send(&crate::leases::file(name));
        let told = crate::channels::oplock_broken(&mut c);
        assert_eq!(c.call(&told).status(), NtStatus::SUCCESS);
        let opened = other.wait(waiting).opened().unwrap().file_id;
        assert_eq!(other.close(opened), NtStatus::SUCCESS);
        let before = ended(&server);
        drop(c);
        wait_until(|| ended(&server) > before);
        let mut c = server.client();
        let again = if name == "v1" { back_v1(file) } else { back_v2(file, GUID) };
        assert_eq!(c.create(&again).err(), gone, "{name}");
        // It is closed, and keeps nobody from anything.
        wait_until(|| c.create(&keeping(name, v2(Guid([8; 16]), 0))).is_ok());
    }
}

#[test]
fn who_does_not_come_in_time_comes_too_late() {
    let server = Server::plain();
    let mut c = server.client();
    let mut request = keeping("file", v2(GUID, 1));
    request.create_options |= CreateOptions::DELETE_ON_CLOSE;
    let file = c.create(&request).unwrap().file_id;
    drop(c);
    wait_until(|| server.log().contains("was not claimed in time"));
    // What was to be done when it closes has been done.
    wait_until(|| !server.path("share").join("file").exists());
    let mut c = server.client();
    assert_eq!(c.create(&back_v2(file, GUID)).err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
}

#[test]
fn a_logoff_leaves_it_and_a_tree_disconnect_does_not() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.create(&keeping("file", v2(GUID, MINUTE))).unwrap().file_id;
    assert_eq!(c.call(&LogoffRequest).status(), NtStatus::SUCCESS);
    c.logon(USER, PASSWORD).unwrap();
    c.tree_connect("share").unwrap();
    let returned = c.create(&back_v2(file, GUID)).unwrap();
    assert_eq!(returned.oplock, OplockLevel::BATCH);
    assert_eq!(c.tree_disconnect(), NtStatus::SUCCESS);
    c.tree_connect("share").unwrap();
    assert_eq!(c.create(&back_v2(file, GUID)).err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
}

#[test]
fn a_thousand_come_back() {
    let server = Server::plain();
    let mut c = server.client();
    let guid = |n: u16| Guid([(n % 251) as u8, (n / 251) as u8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    let open =
        |c: &mut Client, n| c.create(&keeping(&format!("file{n}"), v2(guid(n), MINUTE))).unwrap().file_id;
    let files: Vec<FileId> = (0..1000).map(|n| open(&mut c, n)).collect();
    drop(c);
    let mut c = server.client();
    for (n, file) in (0..).zip(files) {
        let returned = returns(&mut c, &back_v2(file, guid(n)));
        assert_eq!(returned.oplock, OplockLevel::BATCH);
        assert_eq!(c.close(returned.file_id), NtStatus::SUCCESS);
    }
}

/// The client opens the file anew, by the lease that it had, rather than come back for its handle; and deletes it.
#[test]
fn a_deleted_file_is_not_kept_by_a_handle_that_waits() {
    let server = Server::plain();
    let open = || {
        let mut request = crate::leases::leased(crate::leases::file("file"), 5, crate::leases::RH, None);
        request.create_contexts.push(v2(GUID, 0));
        request
    };
    let mut c = server.client();
    assert!(c.create(&open()).unwrap().durable.is_some());
    let before = ended(&server);
    drop(c);
    wait_until(|| ended(&server) > before);

    let mut c = server.client();
    let again =
        c.create(&crate::leases::leased(crate::leases::file("file"), 5, crate::leases::RH, None)).unwrap();
    assert_eq!(
        crate::rename::dispose(&mut c, again.file_id, smbgate::fsa::Disposition::DELETE),
        NtStatus::SUCCESS
    );
    assert_eq!(c.close(again.file_id), NtStatus::SUCCESS);
    assert!(!server.path("share").join("file").exists());
}

/// Nor does it come back with a lease that is broken already, and of which nobody tells its client any more.
#[test]
fn a_handle_whose_lease_is_being_broken_yields_when_its_client_is_lost() {
    let server = Server::plain();
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let mut request = leased(file("file"), 1, RWH, None);
    request.create_contexts.push(v2(GUID, MINUTE));
    let held = c.create(&request).unwrap().file_id;
    let mut other = server.client();
    let waits = other.send(&file("file"));
    c.lease_broken();
    drop(c);
    assert!(other.wait(waits).opened().is_ok());
    let mut c = server.client_with(&offer);
    let mut again = leased(file("file"), 1, RWH, None);
    again.create_contexts = [again.create_contexts, back_v2(held, GUID).create_contexts].concat();
    assert_eq!(c.create(&again).err(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
}
