//! Persistent handles (MS-SMB2 3.3.5.9.10, 3.3.5.9.12): on disk before the client hears of them.

use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileId, Guid, NtStatus, OplockLevel, ShareAccess,
};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{
    CreateContext, DurableHandleFlags, DurableHandleReconnectV2, DurableHandleRequestV2,
};
use smbgate::wire::lock::LockFlags;
use smbgate::wire::negotiate::Capabilities;
use smbgate::wire::tree_connect::{ShareCapabilities, TreeConnectRequest, TreeConnectResponse};

use crate::client::{Client, Offer, create};
use crate::common::{OTHER, PASSWORD, Server};
use crate::durable::{back, back_v2, keeping, returns, v2, wait_until};
use crate::leases::{NONE, RH, RWH, file, leased, state};
use crate::restart::{EXCLUSIVE, lock};

const GUID: Guid = Guid([7; 16]);
const GONE: Option<NtStatus> = Some(NtStatus::OBJECT_NAME_NOT_FOUND);
const WAIT: Option<NtStatus> = Some(NtStatus::FILE_NOT_AVAILABLE);

pub fn available() -> Server {
    let share = "continuous_availability = true";
    Server::start("signing = \"offered\"", &[("share", share), ("plain", "")])
}

pub fn offer() -> Offer {
    let offer = Offer::default();
    Offer { capabilities: offer.capabilities | Capabilities::PERSISTENT_HANDLES, ..offer }
}

pub fn asking(create_guid: Guid) -> CreateContext<'static> {
    let flags = DurableHandleFlags::PERSISTENT;
    DurableHandleRequestV2 { timeout: 60_000, flags, create_guid }.to_context()
}

pub fn returning(file_id: FileId, create_guid: Guid) -> CreateContext<'static> {
    let flags = DurableHandleFlags::PERSISTENT;
    DurableHandleReconnectV2 { file_id, create_guid, flags }.to_context()
}

/// Sharing with all, without oplock or lease.
fn persistent(name: &str, guid: Guid) -> CreateRequest<'static> {
    CreateRequest { create_contexts: vec![asking(guid)], ..file(name) }
}

#[test]
fn only_who_asks_and_only_where_there_is_any() {
    let server = available();
    let share = |c: &mut Client, name: &str| {
        let request =
            TreeConnectRequest { path: format!(r"\\server\{name}"), ..TreeConnectRequest::default() };
        let reply = c.call(&request);
        TreeConnectResponse::decode(&mut reply.reader()).unwrap().capabilities
    };
    let mut c = server.client_with(&offer());
    assert!(c.negotiated.capabilities.contains(Capabilities::PERSISTENT_HANDLES));
    assert!(share(&mut c, "share").contains(ShareCapabilities::CONTINUOUS_AVAILABILITY));
    assert!(!share(&mut c, "plain").contains(ShareCapabilities::CONTINUOUS_AVAILABILITY));
    let opened = c.create(&persistent("file", GUID)).unwrap();
    assert_eq!((opened.durable, opened.persistent), (Some(60_000), true), "it takes no oplock");
    let status = server.status();
    assert!(
        status.lines().any(|line| line.contains(" file ") && line.contains(" 1m, persistent ")),
        "{status}"
    );
    let opened = c.create(&keeping("other", v2(Guid([8; 16]), 0))).unwrap();
    assert_eq!((opened.durable, opened.persistent), (Some(60_000), false), "not asked for");
    // "If Open.FileAttributes includes FILE_ATTRIBUTE_DIRECTORY ... the server MUST skip the rest" (3.3.5.9.10).
    let directory = create("", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::DIRECTORY_FILE);
    let directory = CreateRequest { create_contexts: vec![asking(Guid([9; 16]))], ..directory };
    assert_eq!(c.create(&directory).unwrap().durable, None);
    c.tree_connect("plain").unwrap();
    assert_eq!(c.create(&persistent("file", Guid([10; 16]))).unwrap().durable, None, "not that share");
    let opened = c.create(&keeping("kept", asking(Guid([11; 16])))).unwrap();
    assert_eq!((opened.durable, opened.persistent), (Some(60_000), false), "durable at least");

    let mut c = server.client();
    assert!(!c.negotiated.capabilities.contains(Capabilities::PERSISTENT_HANDLES));
    assert_eq!(c.create(&persistent("another", GUID)).unwrap().durable, None, "not that client");
}

#[test]
fn what_was_answered_is_there_after_a_crash() {
    let mut server = available();
    let offer = offer();
    let mut c = server.client_with(&offer);
    let mut request = leased(file("leased"), 1, RWH, None);
    request.create_contexts.push(asking(Guid([1; 16])));
    let with_lease = c.create(&request).unwrap();
    assert_eq!(state(&with_lease), RWH);
    let plain = c.create(&persistent("plain", Guid([2; 16]))).unwrap().file_id;
    assert_eq!(c.call(&lock(plain, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    assert_eq!(c.call(&lock(plain, 100, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    assert_eq!(c.call(&lock(plain, 100, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS);
    server.crash();

    let mut c = server.client_with(&offer);
    let gone = c.create(&back_v2(plain, Guid([2; 16]))).err();
    assert_eq!(gone, GONE, "it is persistent, and has to be asked for so");
    let mut again = leased(file("leased"), 1, RWH, None);
    again.create_contexts.push(returning(with_lease.file_id, Guid([1; 16])));
    assert_eq!(state(&c.create(&again).unwrap()), RWH);
    // Who never heard of the id has the CreateGuid.
    let unheard = FileId { persistent: 4711, volatile: 4711 };
    let back = c.create(&back(returning(unheard, Guid([2; 16])))).unwrap().file_id;
    assert_eq!(back.persistent, plain.persistent);
    let unlock = |c: &mut Client, offset| c.call(&lock(back, offset, LockFlags::UNLOCK)).status();
    assert_eq!(unlock(&mut c, 0), NtStatus::SUCCESS);
    assert_eq!(unlock(&mut c, 100), NtStatus::RANGE_NOT_LOCKED);
}

#[test]
fn a_lock_that_was_waited_for_is_there_after_a_crash() {
    let mut server = available();
    let offer = offer();
    let mut c = server.client_with(&offer);
    let kept = c.create(&persistent("file", GUID)).unwrap().file_id;
    let mut other = server.client();
    let held = other.create(&file("file")).unwrap().file_id;
    assert_eq!(other.call(&lock(held, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    let waiting = c.send(&lock(kept, 0, LockFlags::EXCLUSIVE_LOCK));
    c.wait_interim(waiting);
    assert_eq!(other.call(&lock(held, 0, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS);
    assert_eq!(c.wait(waiting).status(), NtStatus::SUCCESS);
    server.crash();
    let mut c = server.client_with(&offer);
    let back = c.create(&back(returning(kept, GUID))).unwrap().file_id;
    assert_eq!(c.call(&lock(back, 0, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS);
}

/// It is not taken from its client, as a durable one is: who wants the file comes again.
#[test]
fn while_it_waits_others_are_told_to_wait() {
    let server = available();
    let offer = offer();
    let mut c = server.client_with(&offer);
    let mut request = leased(file("file"), 1, RH, None);
    request.create_contexts.push(asking(GUID));
    request.share_access = ShareAccess::READ;
    let opened = c.create(&request).unwrap();
    let batch = c.create(&keeping("batch", asking(Guid([8; 16])))).unwrap();
    assert_eq!(batch.oplock, OplockLevel::BATCH);
    drop(c);

    let mut other = server.client();
    let wants = || create("file", AccessMask::FILE_WRITE, CreateDisposition::OPEN, CreateOptions::empty());
    // Until the server has heard that its client is lost, the lease is asked for.
    wait_until(|| server.log().contains("connection closed:"));
    wait_until(|| other.create(&wants()).err() == WAIT);
    assert_eq!(other.create(&keeping("batch", v2(Guid([9; 16]), 0))).err(), WAIT);
    // Who asks for no more than it shares gets it.
    let reads = create("file", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
    let reads = other.create(&reads).unwrap().file_id;
    assert_eq!(other.close(reads), NtStatus::SUCCESS);

    // What nobody asks about ends what it cached, and not the handle.
    std::fs::write(server.path("share").join("file"), "by somebody else").unwrap();
    let mut c = server.client_with(&offer);
    let mut again = leased(file("file"), 1, RH, None);
    again.create_contexts.push(returning(opened.file_id, GUID));
    wait_until(|| server.path("share").join("file").exists());
    let back = returns(&mut c, &again);
    assert!(state(&back) == NONE || c.lease_broken().new_lease_state == NONE);
    let back_batch = c.create(&crate::durable::back(returning(batch.file_id, Guid([8; 16])))).unwrap();
    assert_eq!(back_batch.oplock, OplockLevel::BATCH);
}

/// As after a restart: Linux sends the locks that it kept to itself when it is told of the break.
#[test]
fn what_is_broken_while_its_client_is_away_is_told_when_he_is_back() {
    let server = available();
    let offer = offer();
    let mut c = server.client_with(&offer);
    let mut request = leased(file("file"), 1, RWH, None);
    request.create_contexts.push(asking(GUID));
    let held = c.create(&request).unwrap().file_id;
    std::fs::File::open(server.path("share").join("file")).unwrap();
    assert_eq!(c.lease_broken().new_lease_state, RH);
    drop(c);
    wait_until(|| server.status().contains(" waits "));

    let mut c = server.client_with(&offer);
    let mut again = leased(file("file"), 1, RWH, None);
    again.create_contexts.push(returning(held, GUID));
    assert_eq!(state(&c.create(&again).unwrap()), RWH);
    // All of it, or the same as before if he is back in no time.
    let left = c.lease_broken().new_lease_state;
    assert!([NONE, RH].contains(&left), "{left:?}");
    assert_eq!(c.call(&lock(held, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    assert_eq!(c.acknowledge(1, left), NtStatus::SUCCESS);
    let mut other = server.client();
    let opened = other.create(&file("file")).unwrap().file_id;
    assert_eq!(other.call(&lock(opened, 0, EXCLUSIVE)).status(), NtStatus::LOCK_NOT_GRANTED);
}

#[test]
fn nobody_else_gets_it() {
    let mut server = available();
    server.add_user(OTHER);
    let offer = offer();
    let mut c = server.client_with(&offer);
    let kept = c.create(&persistent("file", GUID)).unwrap().file_id;
    server.crash();
    let mut other = Client::ready(server.address, &offer, OTHER, PASSWORD, "share");
    let denied = Some(NtStatus::ACCESS_DENIED);
    assert_eq!(other.create(&back(returning(kept, GUID))).err(), denied);
    assert_eq!(other.create(&back(returning(kept, Guid([8; 16])))).err(), GONE);
    let mut c = server.client_with(&offer);
    assert_eq!(c.create(&back(returning(kept, GUID))).unwrap().file_id.persistent, kept.persistent);
    assert_eq!(c.create(&back(returning(kept, GUID))).err(), GONE, "it is in use");
}
