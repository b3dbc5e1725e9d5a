//! Leases as a client sees them (MS-SMB2 3.3.5.9.8, 3.3.5.9.11, 3.3.4.7, 3.3.5.22.2).

use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileId, LeaseKey, LeaseState, NtStatus, OplockLevel,
};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{Lease, LeaseFlags};
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::header::Command;
use smbgate::wire::oplock_break::{
    LeaseBreakAck, LeaseBreakFlags, LeaseBreakNotification, OplockBreak, OplockBreakMessage,
};
use smbgate::wire::set_info::SetInfoRequest;

use crate::channels::oplock_broken;
use crate::client::{Client, Offer, Opened, Reply, create};
use crate::common::Server;

pub const R: LeaseState = LeaseState::READ;
pub const RH: LeaseState = R.union(LeaseState::HANDLE);
pub const RWH: LeaseState = RH.union(LeaseState::WRITE);
pub const NONE: LeaseState = LeaseState::empty();

/// The request, with a lease of version 2.
pub fn leased<'a>(
    request: CreateRequest<'a>,
    key: u8,
    state: LeaseState,
    parent: Option<u8>,
) -> CreateRequest<'a> {
    let flags = if parent.is_some() { LeaseFlags::PARENT_LEASE_KEY_SET } else { LeaseFlags::empty() };
    let lease = Lease::V2 {
        lease_key: LeaseKey([key; 16]),
        lease_state: state,
        flags,
        parent_lease_key: LeaseKey([parent.unwrap_or_default(); 16]),
        epoch: 0,
    };
    CreateRequest {
        requested_oplock_level: OplockLevel::LEASE,
        create_contexts: vec![lease.to_context()],
        ..request
    }
}

pub fn file(name: &str) -> CreateRequest<'static> {
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE | AccessMask::DELETE;
    create(name, access, CreateDisposition::OPEN_IF, CreateOptions::NON_DIRECTORY_FILE)
}

pub fn directory(name: &str) -> CreateRequest<'static> {
    create(name, AccessMask::FILE_READ, CreateDisposition::OPEN_IF, CreateOptions::DIRECTORY_FILE)
}

pub fn state(opened: &Opened) -> LeaseState {
    opened.lease.map_or(NONE, |lease| lease.lease_state())
}

/// A break of a lease, if the message is one.
pub fn broken(reply: &Reply) -> Option<LeaseBreakNotification> {
    let unasked = reply.header.command == Command::OPLOCK_BREAK && reply.header.message_id.0 == u64::MAX;
    match OplockBreakMessage::decode(&mut reply.reader()) {
        Ok(OplockBreakMessage::LeaseNotification(told)) if unasked => Some(told),
        _ => None,
    }
}

impl Client {
    pub fn lease_broken(&mut self) -> LeaseBreakNotification {
        let reply = self.wait_for(|reply| broken(reply).is_some());
        broken(&reply).expect("it is one")
    }

    pub fn acknowledge(&mut self, key: u8, lease_state: LeaseState) -> NtStatus {
        self.call(&LeaseBreakAck { lease_key: LeaseKey([key; 16]), lease_state }).status()
    }

    /// Whatever the server had to say came before the answer to this.
    pub fn has_heard_nothing(&mut self) {
        assert_eq!(self.echo(), NtStatus::SUCCESS);
        let echo = self.send(&smbgate::wire::echo::EchoRequest);
        let reply = self.receive();
        assert_eq!(reply.header.message_id.0, echo, "a break that was not due: {:?}", broken(&reply));
    }

    pub fn rename(&mut self, file_id: FileId, to: &str) -> u64 {
        let mut buffer = vec![1, 0, 0, 0, 0, 0, 0, 0];
        buffer.extend([0; 8]);
        let name: Vec<u8> = to.encode_utf16().flat_map(u16::to_le_bytes).collect();
        buffer.extend((name.len() as u32).to_le_bytes());
        buffer.extend(name);
        self.send(&SetInfoRequest {
            info_type: smbgate::wire::query_info::InfoType::FILE,
            file_info_class: FileInfoClass::RENAME.0,
            file_id,
            buffer: &buffer,
            ..SetInfoRequest::default()
        })
    }
}

fn told(n: &LeaseBreakNotification) -> (u8, LeaseState, LeaseState, bool) {
    let acknowledge = n.flags.contains(LeaseBreakFlags::ACK_REQUIRED);
    (n.lease_key.0[0], n.current_lease_state, n.new_lease_state, acknowledge)
}

#[test]
fn an_open_waits_until_writes_are_given_up() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let opened = a.create(&leased(file("f"), 1, RWH, None)).unwrap();
    assert_eq!((opened.oplock, state(&opened)), (OplockLevel::LEASE, RWH));
    let waits = b.send(&leased(file("f"), 2, RWH, None));
    b.wait_interim(waits);
    assert_eq!(told(&a.lease_broken()), (1, RWH, RH, true));
    assert_eq!(a.write(opened.file_id, 0, b"from the cache"), Ok(14));
    assert_eq!(a.acknowledge(1, RWH), NtStatus::REQUEST_NOT_ACCEPTED);
    assert_eq!(told(&a.lease_broken()), (1, RWH, RH, true));
    assert_eq!(a.acknowledge(1, RH), NtStatus::SUCCESS);
    assert_eq!(a.acknowledge(1, RH), NtStatus::UNSUCCESSFUL);
    assert_eq!(a.acknowledge(9, RH), NtStatus::OBJECT_NAME_NOT_FOUND);
    let second = b.wait(waits).opened().unwrap();
    assert_eq!((state(&second), second.end_of_file), (RH, 14));

    // What one writes, the other has cached no longer; not so the writer.
    assert_eq!(b.write(second.file_id, 0, b"F"), Ok(1));
    assert_eq!(told(&a.lease_broken()), (1, RH, NONE, true));
    b.has_heard_nothing();
}

#[test]
fn a_client_that_is_gone_keeps_nobody_waiting() {
    let server = Server::plain();
    let mut a = server.client();
    a.create(&leased(file("f"), 1, RWH, None)).unwrap();
    let mut b = server.client();
    let waits = b.send(&leased(file("f"), 2, RWH, None));
    b.wait_interim(waits);
    drop(a);
    assert_eq!(state(&b.wait(waits).opened().unwrap()), RWH);
}

#[test]
fn a_break_that_is_lost_with_its_connection_is_told_on_another() {
    let server = Server::plain();
    let offer = Offer::default();
    let (mut first, mut second) = (server.client_with(&offer), server.client_with(&offer));
    let held = second.create(&leased(file("file"), 1, RWH, None)).unwrap();
    assert_eq!(state(&held), RWH);
    let mut other = server.client();
    let waits = other.send(&file("file"));
    assert_eq!(first.lease_broken().new_lease_state, RH);
    drop(first);
    assert_eq!(second.lease_broken().new_lease_state, RH);
    assert_eq!(second.acknowledge(1, RH), NtStatus::SUCCESS);
    assert!(other.wait(waits).opened().is_ok());
}

#[test]
fn a_listing_is_cached_until_an_entry_changes_but_not_for_its_own_author() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let listing = || leased(directory("d"), 1, RWH, None);
    assert_eq!(state(&a.create(&listing()).unwrap()), RH, "nobody writes to a listing");
    // The same client, and its file names the directory's lease as its parent's.
    let own = a.create(&leased(file("d\\own"), 2, RWH, Some(1))).unwrap();
    assert_eq!(a.write(own.file_id, 0, b"x"), Ok(1));
    assert_eq!(a.close(own.file_id), NtStatus::SUCCESS);
    a.has_heard_nothing();

    let other = b.create(&leased(file("d\\other"), 3, RWH, Some(1))).unwrap();
    assert_eq!(told(&a.lease_broken()), (1, RH, NONE, true));
    assert_eq!(a.acknowledge(1, NONE), NtStatus::SUCCESS);
    assert_eq!(state(&a.create(&listing()).unwrap()), RH);
    // A write shows when the file is closed.
    assert_eq!(b.write(other.file_id, 0, b"x"), Ok(1));
    a.has_heard_nothing();
    assert_eq!(b.close(other.file_id), NtStatus::SUCCESS);
    assert_eq!(told(&a.lease_broken()), (1, RH, NONE, true));
}

/// Linux 6.1 takes no notice of a break that comes right behind the answer which grants the lease.
#[test]
fn who_does_not_give_up_a_listing_is_asked_again() {
    let server = Server::plain();
    let mut a = server.client();
    let opened = a.create(&leased(directory("d"), 1, RH, None)).unwrap();
    std::fs::write(server.path("share").join("d/new"), "").unwrap();
    let first = a.lease_broken();
    assert_eq!(told(&first), (1, RH, NONE, true));
    assert_eq!(a.lease_broken(), first);
    assert_eq!(a.lease_broken(), first);
    // As Linux does then; there is nothing more to be told.
    assert_eq!(a.close(opened.file_id), NtStatus::SUCCESS);
    assert_eq!(state(&a.create(&leased(directory("d"), 1, RH, None)).unwrap()), RH);
}

#[test]
fn a_directory_is_renamed_once_the_handles_beneath_it_are_given_up() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    b.make_directory("d").map(|d| b.close(d)).unwrap();
    let kept = a.create(&leased(file("d\\f"), 1, RH, None)).unwrap();
    let access = AccessMask::FILE_READ | AccessMask::DELETE;
    let d = b.create(&create("d", access, CreateDisposition::OPEN, CreateOptions::DIRECTORY_FILE)).unwrap();
    let renames = b.rename(d.file_id, "e");
    assert_eq!(told(&a.lease_broken()), (1, RH, R, true));
    b.wait_interim(renames);
    // Nobody used it: the client closes it, which is an answer too.
    assert_eq!(a.close(kept.file_id), NtStatus::SUCCESS);
    assert_eq!(b.wait(renames).status(), NtStatus::SUCCESS);
    assert!(server.path("share").join("e/f").exists());
}

/// Linux takes a break for old news that has the epoch of an answer to CREATE which crosses it.
#[test]
fn who_says_that_it_keeps_more_than_it_may_is_told_once_more() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let opened = a.create(&leased(file("f"), 1, RWH, None)).unwrap();
    assert_eq!(state(&opened), RWH);
    let waits = b.send(&file("f"));
    let first = a.lease_broken();
    assert_eq!(told(&first), (1, RWH, RH, true));
    assert_eq!(a.acknowledge(1, RWH), NtStatus::REQUEST_NOT_ACCEPTED);
    let second = a.lease_broken();
    assert_eq!((told(&second), second.new_epoch), ((1, RWH, RH, true), first.new_epoch + 1));
    // But not for ever.
    assert_eq!(a.acknowledge(1, RWH), NtStatus::REQUEST_NOT_ACCEPTED);
    a.has_heard_nothing();
    assert_eq!(a.acknowledge(1, RH), NtStatus::SUCCESS);
    assert!(b.wait(waits).opened().is_ok());
}

/// Handles that are kept by an oplock are asked for as well, but nobody is asked for his own.
#[test]
fn a_rename_waits_for_the_batch_oplocks_in_its_way() {
    let batch = |name| CreateRequest { requested_oplock_level: OplockLevel::BATCH, ..file(name) };
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    b.make_directory("d").map(|d| b.close(d)).unwrap();
    let access = AccessMask::FILE_READ | AccessMask::DELETE;
    let d = b.create(&create("d", access, CreateDisposition::OPEN, CreateOptions::DIRECTORY_FILE)).unwrap();
    let own = b.create(&batch("own")).unwrap();
    assert_eq!(own.oplock, OplockLevel::BATCH);
    for (kept, renamed, to, left) in [("d\\f", &d, "e", "e/f"), ("old", &own, "old", "old")] {
        let kept = a.create(&batch(kept)).unwrap();
        assert_eq!(kept.oplock, OplockLevel::BATCH);
        let renames = b.rename(renamed.file_id, to);
        let told = oplock_broken(&mut a);
        assert_eq!(told, OplockBreak { oplock_level: OplockLevel::LEVEL_II, file_id: kept.file_id }, "{to}");
        b.wait_interim(renames);
        assert_eq!(a.close(kept.file_id), NtStatus::SUCCESS);
        assert_eq!(b.wait(renames).status(), NtStatus::SUCCESS, "{to}");
        assert!(server.path("share").join(left).exists());
    }
    b.has_heard_nothing();
}

#[test]
fn one_key_is_one_file() {
    let server = Server::start("", &[("share", ""), ("elsewhere", "")]);
    let mut a = server.client();
    let first = a.create(&leased(file("f"), 1, RH, None)).unwrap();
    for other in [file("g"), directory("d")] {
        let status = a.create(&leased(other, 1, RH, None)).unwrap_err();
        assert_eq!(status, NtStatus::INVALID_PARAMETER);
    }
    assert!(!server.path("share").join("g").exists());
    let share = a.tree;
    a.tree_connect("elsewhere").unwrap();
    let status = a.create(&leased(file("f"), 1, RH, None)).unwrap_err();
    assert_eq!(status, NtStatus::INVALID_PARAMETER, "in another share neither");
    a.tree = share;
    let mut b = server.client();
    assert_eq!(state(&b.create(&leased(file("g"), 1, RH, None)).unwrap()), RH, "keys are a client's own");
    assert_eq!(a.close(first.file_id), NtStatus::SUCCESS);
}

#[test]
fn who_does_not_lease_gets_none() {
    let server = Server::start("", &[("share", "leases = false")]);
    let opened = server.client().create(&leased(file("f"), 1, RWH, None)).unwrap();
    assert_eq!((opened.oplock, opened.lease.is_none()), (OplockLevel::NONE, true));
}

/// A client that keeps every handle it may, and closes those that it is asked for.
fn numbered(n: u16) -> CreateRequest<'static> {
    let [high, low] = n.to_be_bytes();
    let mut key = [low; 16];
    key[1] = high;
    let lease = Lease::V2 {
        lease_key: LeaseKey(key),
        lease_state: RH,
        flags: LeaseFlags::empty(),
        parent_lease_key: LeaseKey::default(),
        epoch: 0,
    };
    CreateRequest {
        requested_oplock_level: OplockLevel::LEASE,
        create_contexts: vec![lease.to_context()],
        ..file(&format!("f{n}"))
    }
}

fn limit_files(server: &Server, most: u64) {
    let pid = rustix::process::Pid::from_raw(server.pid() as i32);
    let few = rustix::process::Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, few).expect("a limit");
}

/// What is polled costs a descriptor besides that of who holds the lease.
#[test]
fn polling_takes_a_quarter_of_the_open_files_at_most() {
    let server = Server::start("signing = \"offered\"", &[("share", "watch = \"poll\"")]);
    limit_files(&server, 400);
    let mut c = server.client();
    let opened: Vec<Opened> = (0..150).map(|n| c.create(&numbered(n)).expect("room")).collect();
    let leased: Vec<bool> = opened.iter().map(|opened| state(opened) == RH).collect();
    let granted = leased.iter().filter(|granted| **granted).count();
    assert!(granted > 80 && granted <= 100, "{granted} of 150");
    assert!(leased[..granted].iter().all(|granted| *granted), "the first ones");
}

#[test]
fn who_cached_well_runs_out_of_no_handles() {
    let server = Server::plain();
    let mut c = server.client();
    limit_files(&server, 160);
    let mut kept: std::collections::BTreeMap<u16, FileId> = Default::default();
    let mut asked = Vec::new();
    for n in 0..400u16 {
        let id = c.send(&numbered(n));
        loop {
            let reply = c.receive();
            if let Some(told) = broken(&reply) {
                let n = u16::from_be_bytes([told.lease_key.0[1], told.lease_key.0[0]]);
                asked.push(n);
                let file_id = kept.remove(&n).expect("a handle that is kept");
                c.send(&smbgate::wire::close::CloseRequest { file_id, ..Default::default() });
            } else if reply.header.message_id.0 == id && !reply.is_interim() {
                kept.insert(n, reply.opened().expect("there is always room").file_id);
                break;
            }
        }
    }
    assert!(!asked.is_empty() && kept.len() > 50, "{} are kept", kept.len());
    assert!(kept.contains_key(&399) && !kept.contains_key(&0), "the oldest are given back: {asked:?}");
}
