//! Handles that survive their server: killed, or stopped and started again.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileId, Guid, NtStatus, OplockLevel, ShareAccess,
};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{CreateContext, DurableHandleRequest, Lease};
use smbgate::wire::lock::{LockElement, LockFlags, LockRequest};

use crate::channels::oplock_broken;
use crate::client::{Client, Offer, create};
use crate::common::{OTHER, PASSWORD, Server, USER};
use crate::durable::{back_v1, back_v2, keeping, v2, wait_until};
use crate::leases::{NONE, RH, RWH, file, leased, state};

const GUID: Guid = Guid([7; 16]);
const MINUTE: u32 = 60_000;
const GONE: Option<NtStatus> = Some(NtStatus::OBJECT_NAME_NOT_FOUND);

pub fn lock(file_id: FileId, offset: u64, flags: LockFlags) -> LockRequest {
    let element = LockElement { offset, length: 8, flags };
    LockRequest { file_id, locks: smallvec::smallvec![element], ..LockRequest::default() }
}

pub const EXCLUSIVE: LockFlags = LockFlags::EXCLUSIVE_LOCK.union(LockFlags::FAIL_IMMEDIATELY);

/// With a lease of version 2, durable.
fn leased_durable(name: &str, key: u8, guid: Guid) -> CreateRequest<'static> {
    let mut request = leased(file(name), key, RWH, None);
    request.create_contexts.push(v2(guid, MINUTE));
    request
}

/// The client is back for a handle with a lease.
fn leased_back(name: &str, key: u8, context: CreateContext<'static>) -> CreateRequest<'static> {
    let mut request = leased(file(name), key, RWH, None);
    request.create_contexts.push(context);
    request
}

fn context(request: CreateRequest<'static>) -> CreateContext<'static> {
    request.create_contexts.into_iter().next().expect("one context")
}

/// So many changes of the store have reached the disk.
fn stored(server: &Server, wanted: usize) {
    wait_until(|| {
        let log = server.log();
        let lines = log.lines().filter_map(|line| line.split_once("handles: ")?.1.split_once(" changes"));
        lines.filter_map(|(count, _)| count.parse::<usize>().ok()).sum::<usize>() >= wanted
    });
}

#[test]
fn a_handle_survives_its_server_with_all_that_it_had() {
    for (v1, crash) in [(true, false), (true, true), (false, false), (false, true)] {
        let what = format!("v1: {v1}, crash: {crash}");
        let mut server = Server::plain();
        let offer = Offer::default();
        let mut c = server.client_with(&offer);
        let request = if v1 { DurableHandleRequest.to_context() } else { v2(GUID, MINUTE) };
        // Not the first id there is: it is kept, and not given anew.
        let first = c.create(&file("first")).unwrap().file_id;
        let file = c.create(&keeping("file", request)).unwrap().file_id;
        assert_eq!(c.close(first), NtStatus::SUCCESS);
        assert_eq!(c.write(file, 0, b"before the cut"), Ok(14));
        stored(&server, 1);
        assert_eq!(c.call(&lock(file, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
        if crash {
            stored(&server, 2);
            server.crash();
        } else {
            server.restart();
        }
        assert!(server.log().contains("1 of 1 handles"), "{what}: {}", server.log());

        let mut c = server.client_with(&offer);
        let again = if v1 { back_v1(file) } else { back_v2(file, GUID) };
        let back = c.create(&again).unwrap();
        assert_eq!((back.file_id, back.end_of_file), (file, 14), "{what}");
        let another = c.create(&crate::leases::file("first")).unwrap().file_id;
        assert!(another.volatile > file.volatile, "{what}: no id is given twice");
        assert_eq!(c.close(another), NtStatus::SUCCESS);
        assert_eq!(back.oplock, OplockLevel::BATCH, "{what}");
        let file = back.file_id;
        assert_eq!(c.read(file, 0, 14).unwrap(), b"before the cut", "{what}");
        assert_eq!(c.call(&lock(file, 0, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS, "{what}");
        assert_eq!(c.close(file), NtStatus::SUCCESS, "{what}");
        assert_eq!(c.create(&back_v1(file)).err(), GONE, "{what}: closed");
        // What was closed is not found again.
        server.restart();
        assert!(!server.log().contains("handles of the last time"), "{what}: {}", server.log());
    }
}

#[test]
fn a_server_that_is_replaced_keeps_its_handles_and_refuses_nobody() {
    let mut server = Server::plain();
    let (offer, pid) = (Offer::default(), server.pid());
    let mut c = server.client_with(&offer);
    let file = c.create(&keeping("file", v2(GUID, MINUTE))).unwrap().file_id;
    assert_eq!(c.write(file, 0, b"before"), Ok(6));
    let (address, over) = (server.address, Arc::new(AtomicBool::new(false)));
    let connecting = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                TcpStream::connect(address).expect("it waits, and is not refused");
            }
        })
    };
    for _ in 0..3 {
        server.replace();
    }
    over.store(true, Ordering::Relaxed);
    connecting.join().expect("never refused");
    assert!(
        server.log().contains("1 of 1 handles") && server.log().contains(" takes over"),
        "{}",
        server.log()
    );
    let back = server.client_with(&offer).create(&back_v2(file, GUID)).unwrap();
    assert_eq!((back.file_id.persistent, back.end_of_file), (file.persistent, 6));
    assert_eq!(server.pid(), pid);
}

#[test]
fn a_lease_comes_back_and_is_broken_if_the_file_was_changed_meanwhile() {
    let mut server = Server::plain();
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let epoch = |lease: Option<Lease>| match lease {
        Some(Lease::V2 { epoch, .. }) => epoch,
        other => panic!("{other:?}"),
    };
    let names = ["same", "written", "touched"];
    let opened: Vec<_> = (1..)
        .zip(names)
        .map(|(n, name)| c.create(&leased_durable(name, n, Guid([n; 16]))).unwrap())
        .collect();
    assert!(opened.iter().all(|opened| state(opened) == RWH && opened.durable.is_some()));
    server.stop();
    let share = server.path("share");
    fs::write(share.join("written"), "by somebody else").unwrap();
    let now = std::time::SystemTime::now();
    fs::File::open(share.join("touched")).and_then(|file| file.set_modified(now)).unwrap();
    server.start_again();

    let mut c = server.client_with(&offer);
    for ((n, name), opened) in (1..).zip(names).zip(&opened) {
        let request = leased_back(name, n, context(back_v2(opened.file_id, Guid([n; 16]))));
        let back = c.create(&request).unwrap();
        assert_eq!(state(&back), RWH, "{name}");
        let newer = epoch(back.lease).wrapping_sub(epoch(opened.lease));
        assert!(newer > 0, "{name}: the client takes it for the latest");
        if name == "same" {
            c.has_heard_nothing();
        } else {
            let told = c.lease_broken();
            assert_eq!((told.lease_key.0, told.new_lease_state), ([n; 16], NONE), "{name}");
            assert_eq!(told.new_epoch, epoch(back.lease).wrapping_add(1), "{name}");
            assert_eq!(c.acknowledge(n, NONE), NtStatus::SUCCESS, "{name}");
        }
    }
    // It is watched again: what others do from here on breaks it.
    fs::write(share.join("same"), "by somebody else").unwrap();
    loop {
        let told = c.lease_broken();
        assert_eq!(told.lease_key.0, [1; 16]);
        if told.new_lease_state == NONE {
            break;
        }
        assert_eq!(c.acknowledge(1, told.new_lease_state), NtStatus::SUCCESS);
    }
}

/// Linux sends the locks that it kept to itself when it is told of a break, and before it answers: if it could not, it can now.
#[test]
fn a_lease_that_was_being_broken_comes_back_whole_and_is_broken_again() {
    let mut server = Server::plain();
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let held = c.create(&leased_durable("file", 1, GUID)).unwrap();
    stored(&server, 1);
    let mut other = server.client();
    other.send(&file("file"));
    assert_eq!(c.lease_broken().new_lease_state, RH);
    stored(&server, 2);
    server.crash();

    let mut c = server.client_with(&offer);
    let back = c.create(&leased_back("file", 1, context(back_v2(held.file_id, GUID)))).unwrap();
    assert_eq!(state(&back), RWH);
    assert_eq!(c.lease_broken().new_lease_state, NONE);
    let mut other = server.client();
    let waits = other.send(&file("file"));
    other.wait_interim(waits);
    assert_eq!(c.call(&lock(back.file_id, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    assert_eq!(c.acknowledge(1, NONE), NtStatus::SUCCESS);
    let opened = other.wait(waits).opened().unwrap().file_id;
    assert_eq!(other.call(&lock(opened, 0, EXCLUSIVE)).status(), NtStatus::LOCK_NOT_GRANTED);
}

/// What was changed is remembered until the client knows, though the server is gone once more; and the break of one handle
/// does not end another that waits under the same lease.
#[test]
fn who_comes_late_is_told_of_the_change_all_the_same() {
    let mut server = Server::plain();
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let guids = [Guid([1; 16]), Guid([2; 16])];
    let held = guids.map(|guid| c.create(&leased_durable("file", 1, guid)).unwrap().file_id);
    server.stop();
    fs::write(server.path("share").join("file"), "by somebody else").unwrap();
    server.start_again();
    server.restart();
    let mut c = server.client_with(&offer);
    let back = |c: &mut Client, n: usize| {
        c.create(&leased_back("file", 1, context(back_v2(held[n], guids[n])))).unwrap()
    };
    assert_eq!(state(&back(&mut c, 0)), RWH);
    assert_eq!(c.lease_broken().new_lease_state, NONE);
    assert_eq!(c.acknowledge(1, NONE), NtStatus::SUCCESS);
    assert_eq!(state(&back(&mut c, 1)), NONE);
    c.has_heard_nothing();
}

#[test]
fn nobody_else_gets_a_handle_of_the_last_server() {
    let mut server = Server::plain();
    server.add_user(OTHER);
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let plain = c.create(&keeping("plain", v2(GUID, MINUTE))).unwrap().file_id;
    let held = c.create(&leased_durable("leased", 1, Guid([8; 16]))).unwrap().file_id;
    server.restart();

    let back = || leased_back("leased", 1, context(back_v2(held, Guid([8; 16]))));
    let mut other = Client::ready(server.address, &offer, OTHER, PASSWORD, "share");
    let denied = Some(NtStatus::ACCESS_DENIED);
    assert_eq!(other.create(&back_v2(plain, GUID)).err(), denied, "another user");
    assert_eq!(other.create(&back()).err(), denied, "another user");
    let mut stranger = server.client();
    assert_eq!(stranger.create(&back()).err(), GONE, "another client");
    assert_eq!(stranger.create(&back_v2(plain, Guid([9; 16]))).err(), GONE, "another create guid");

    let mut c = server.client_with(&offer);
    assert_eq!(state(&c.create(&back()).unwrap()), RWH);
    assert_eq!(c.create(&back_v2(plain, GUID)).unwrap().oplock, OplockLevel::BATCH);
}

#[test]
fn what_it_keeps_from_others_it_keeps_while_it_waits() {
    let mut server = Server::plain();
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let mut request = leased(file("file"), 1, RH, None);
    request.create_contexts.push(v2(GUID, MINUTE));
    request.share_access = ShareAccess::READ | ShareAccess::WRITE;
    let held = c.create(&request).unwrap();
    assert_eq!(state(&held), RH);
    assert_eq!(c.write(held.file_id, 0, &[b'x'; 200]), Ok(200));
    assert_eq!(c.call(&lock(held.file_id, 100, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    server.restart();

    let mut other = server.client();
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
    let request = create("file", access, CreateDisposition::OPEN, CreateOptions::NON_DIRECTORY_FILE);
    let opened = other.create(&request).unwrap();
    // (To lock or to write would end the lease, and with it the handle that waits.)
    assert_eq!(other.read(opened.file_id, 104, 1).err(), Some(NtStatus::FILE_LOCK_CONFLICT));
    assert_eq!(other.read(opened.file_id, 10, 1).unwrap(), b"x");
    let mut c = server.client_with(&offer);
    let back = c.create(&leased_back("file", 1, context(back_v2(held.file_id, GUID)))).unwrap();
    assert_eq!(state(&back), RH);
    let free = c.call(&lock(back.file_id, 100, LockFlags::UNLOCK)).status();
    assert_eq!(free, NtStatus::SUCCESS);
    assert_eq!(other.read(opened.file_id, 104, 1).unwrap(), b"x");
}

/// Not even if its lease, by which others could ask for it, is lost.
#[test]
fn a_handle_of_the_last_server_is_in_nobodys_way() {
    let mut server = Server::plain();
    let mut c = server.client();
    let held = c.create(&keeping("file", v2(GUID, MINUTE))).unwrap().file_id;
    server.stop();
    fs::write(server.path("share").join("file"), "by somebody else").unwrap();
    server.start_again();
    assert!(server.log().contains("1 of 1 handles"), "{}", server.log());
    let mut other = server.client();
    let opened = other.create(&keeping("file", v2(Guid([8; 16]), MINUTE))).unwrap();
    assert_eq!(opened.oplock, OplockLevel::BATCH);
    assert_eq!(other.create(&back_v2(held, GUID)).err(), GONE);
}

#[test]
fn what_was_to_be_deleted_on_close_goes_when_nobody_comes() {
    let mut server = Server::plain();
    let mut c = server.client();
    let mut request = keeping("file", v2(GUID, 1));
    request.create_options |= CreateOptions::DELETE_ON_CLOSE;
    let opened = c.create(&request).unwrap();
    // So that it is not closed before the server is gone.
    server.kill();
    assert!(server.path("share").join("file").exists());
    drop(c);
    server.start_again();
    if server.log().contains("1 of 1 handles") {
        wait_until(|| !server.path("share").join("file").exists());
    }
    let mut c = server.client();
    assert_eq!(c.create(&back_v2(opened.file_id, GUID)).err(), GONE);
}

#[test]
fn objects_are_found_and_not_names() {
    let mut server = Server::plain();
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let opens: Vec<FileId> = (1..)
        .zip(["moved", "replaced", "deleted"])
        .map(|(n, name)| c.create(&keeping(name, v2(Guid([n; 16]), MINUTE))).unwrap().file_id)
        .collect();
    assert_eq!(c.write(opens[0], 0, b"mine"), Ok(4));
    server.stop();
    let share = server.path("share");
    fs::rename(share.join("moved"), share.join("elsewhere")).unwrap();
    fs::remove_file(share.join("replaced")).unwrap();
    fs::write(share.join("replaced"), "not mine").unwrap();
    fs::remove_file(share.join("deleted")).unwrap();
    server.start_again();
    assert_eq!(server.log().matches("is not restored: ").count(), if root() { 2 } else { 3 });

    let mut c = server.client_with(&offer);
    assert_eq!(c.create(&back_v2(opens[1], Guid([2; 16]))).err(), GONE, "replaced");
    assert_eq!(c.create(&back_v2(opens[2], Guid([3; 16]))).err(), GONE, "deleted");
    // By handle, which only root may use.
    if root() {
        let back = c.create(&back_v2(opens[0], Guid([1; 16]))).unwrap();
        assert_eq!(c.read(back.file_id, 0, 4).unwrap(), b"mine");
        assert_eq!(back.oplock, OplockLevel::BATCH);
        assert_eq!(oplock_broken(&mut c).oplock_level, OplockLevel::NONE, "a rename is a change");
    }
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn whose_user_is_gone_is_gone() {
    let mut server = Server::plain();
    server.add_user(OTHER);
    let mut c = Client::ready(server.address, &Offer::default(), OTHER, PASSWORD, "share");
    assert!(c.create(&keeping("file", v2(GUID, MINUTE))).unwrap().durable.is_some());
    server.stop();
    server.remove_user(OTHER);
    server.start_again();
    assert!(server.log().contains("there is no such user any more"), "{}", server.log());
    let mut c = Client::ready(server.address, &Offer::default(), USER, PASSWORD, "share");
    assert_eq!(c.create(&keeping("another", v2(GUID, 0))).unwrap().oplock, OplockLevel::BATCH);
}
