//! Several connections for one session (MS-SMB2 3.3.5.5 with SMB2_SESSION_FLAG_BINDING, 3.3.4.6).

use smbgate::crypto::{Cipher, SigningAlgorithm};
use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, Dialect, FileId, Guid, NtStatus, OplockLevel,
};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::header::Command;
use smbgate::wire::ioctl::{CtlCode, NetworkInterfaceInfo};
use smbgate::wire::logoff::LogoffRequest;
use smbgate::wire::oplock_break::OplockBreak;
use smbgate::wire::session_setup::SessionSetupFlags;

use crate::client::{Client, Offer, Reply, create};
use crate::common::{OTHER, PASSWORD, Server, USER};

/// Connections of one client.
fn offer() -> Offer {
    Offer { signing: vec![SigningAlgorithm::AesCmac], ..Offer::default() }
}

/// Another connection, bound to the session of the first.
fn channel(server: &Server, to: &Client, offer: &Offer) -> Client {
    let mut c = negotiated(server, offer);
    c.bind(to, USER, PASSWORD).expect("bound");
    c
}

fn negotiated(server: &Server, offer: &Offer) -> Client {
    let mut c = server.connect();
    c.negotiate(offer);
    c
}

fn batch(name: &str) -> CreateRequest<'static> {
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
    let request = create(name, access, CreateDisposition::OPEN_IF, CreateOptions::NON_DIRECTORY_FILE);
    CreateRequest { requested_oplock_level: OplockLevel::BATCH, ..request }
}

/// The break that comes next.
pub fn oplock_broken(c: &mut Client) -> OplockBreak {
    let reply = c.wait_for(|r| r.header.command == Command::OPLOCK_BREAK);
    OplockBreak::decode(&mut reply.reader()).expect("a break")
}

#[test]
fn every_channel_reaches_what_the_session_has() {
    let server = Server::plain();
    for (what, offer, seal) in [
        ("3.0, CMAC", Offer::dialect(Dialect::SMB3_00), false),
        ("3.1.1, CMAC", offer(), false),
        ("3.1.1, GMAC", Offer::default(), false),
        ("3.1.1, sealed", Offer::default(), true),
    ] {
        let mut a = server.client_with(&offer);
        let mut b = channel(&server, &a, &offer);
        (a.seal, b.seal) = (seal, seal);
        let file = a.make("file").unwrap();
        assert_eq!(b.write(file, 0, b"through the other"), Ok(17), "{what}");
        assert_eq!(a.read(file, 0, 17).unwrap(), b"through the other", "{what}");
        drop(a);
        assert_eq!(b.read(file, 0, 7).unwrap(), b"through", "{what}: it lives by what is left");
        assert_eq!(b.close(file), NtStatus::SUCCESS, "{what}");
    }
}

#[test]
fn the_end_of_the_session_is_the_end_on_all_channels() {
    let server = Server::plain();
    let offer = offer();
    let mut a = server.client_with(&offer);
    let mut b = channel(&server, &a, &offer);
    let file = a.make("file").unwrap();
    assert_eq!(b.call(&LogoffRequest).status(), NtStatus::SUCCESS);
    assert_eq!(a.close(file), NtStatus::USER_SESSION_DELETED);
}

/// The first connection goes on as if nothing had been.
#[track_caller]
fn unharmed(a: &mut Client, file: FileId) {
    assert_eq!(a.write(file, 0, b"still here"), Ok(10));
}

#[test]
fn connections_of_another_kind_are_refused() {
    let server = Server::plain();
    let own = offer();
    let mut a = server.client_with(&own);
    let file = a.make("file").unwrap();
    let with = |change: fn(&mut Offer)| {
        let mut offer = own.clone();
        change(&mut offer);
        offer
    };
    for (what, offer, status) in [
        ("2.1", with(|o| o.dialects = vec![Dialect::SMB2_10]), NtStatus::REQUEST_NOT_ACCEPTED),
        ("3.0.2", with(|o| o.dialects = vec![Dialect::SMB3_02]), NtStatus::INVALID_PARAMETER),
        ("another cipher", with(|o| o.ciphers = vec![Cipher::Aes256Ccm]), NtStatus::INVALID_PARAMETER),
        ("another client", with(|o| o.client_guid = Guid([9; 16])), NtStatus::USER_SESSION_DELETED),
        ("GMAC", with(|o| o.signing = vec![SigningAlgorithm::AesGmac]), NtStatus::NOT_SUPPORTED),
    ] {
        let mut b = negotiated(&server, &offer);
        assert_eq!(b.bind(&a, USER, PASSWORD), Err(status), "{what}");
        unharmed(&mut a, file);
    }
    let gmac = Offer::default();
    let parent = server.client_with(&gmac);
    let mut b = negotiated(&server, &Offer { client_guid: gmac.client_guid, ..own.clone() });
    assert_eq!(b.bind(&parent, USER, PASSWORD), Err(NtStatus::REQUEST_OUT_OF_SEQUENCE));
}

#[test]
fn who_does_not_know_the_sessions_key_is_refused() {
    let server = Server::plain();
    let offer = offer();
    let mut a = server.client_with(&offer);
    let file = a.make("file").unwrap();
    let parent = a.current().expect("logged on");
    let binding = SessionSetupFlags::BINDING;
    let mut b = negotiated(&server, &offer);
    let unsigned = b.bind_by(parent, binding, |_, _| {}, USER, PASSWORD);
    assert_eq!(unsigned, Err(NtStatus::INVALID_PARAMETER));
    let forged = b.bind_by(
        parent,
        binding,
        |key, message| {
            key.sign_anyway(message);
            message[50] ^= 1;
        },
        USER,
        PASSWORD,
    );
    assert_eq!(forged, Err(NtStatus::ACCESS_DENIED));
    let sign = |key: &crate::client::Session, message: &mut [u8]| key.sign_anyway(message);
    let plain = b.bind_by(parent, SessionSetupFlags::empty(), sign, USER, PASSWORD);
    assert_eq!(plain, Err(NtStatus::USER_SESSION_DELETED), "a session of another connection");
    unharmed(&mut a, file);
}

#[test]
fn only_the_sessions_own_user_gets_in() {
    let server = Server::plain();
    server.add_user(OTHER);
    let offer = offer();
    let mut a = server.client_with(&offer);
    let file = a.make("file").unwrap();
    let mut b = negotiated(&server, &offer);
    assert_eq!(b.bind(&a, USER, "wrong"), Err(NtStatus::LOGON_FAILURE));
    unharmed(&mut a, file);
    assert_eq!(b.bind(&a, OTHER, PASSWORD), Err(NtStatus::ACCESS_DENIED));
    unharmed(&mut a, file);
    // The same connection may still be what it should be.
    assert_eq!(b.bind(&a, USER, PASSWORD), Ok(()));
    assert_eq!(b.write(file, 0, b"now"), Ok(3));
}

#[test]
fn guests_have_one_connection() {
    let server = Server::start("signing = \"offered\"", &[("share", "guest = \"rw\"")]);
    let offer = offer();
    let guest = Client::ready(server.address, &offer, "nobody-known", "", "share");
    let parent = guest.current().expect("logged on");
    let mut b = negotiated(&server, &offer);
    let sign = |key: &crate::client::Session, message: &mut [u8]| key.sign_anyway(message);
    let refused = b.bind_by(parent, SessionSetupFlags::BINDING, sign, "nobody-known", "");
    assert_eq!(refused, Err(NtStatus::NOT_SUPPORTED));
}

#[test]
fn a_session_that_is_gone_or_joined_already() {
    let server = Server::plain();
    let offer = offer();
    let mut a = server.client_with(&offer);
    let mut b = channel(&server, &a, &offer);
    // It is the channel's key that signs here from now on.
    assert_eq!(b.bind(&a, USER, PASSWORD), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(b.echo(), NtStatus::SUCCESS);
    let mut c = negotiated(&server, &offer);
    assert_eq!(a.call(&LogoffRequest).status(), NtStatus::SUCCESS);
    assert_eq!(c.bind(&a, USER, PASSWORD), Err(NtStatus::USER_SESSION_DELETED));
}

#[test]
fn thirty_two_are_enough() {
    let server = Server::plain();
    let offer = offer();
    let a = server.client_with(&offer);
    let mut more: Vec<Client> = (1..32).map(|_| channel(&server, &a, &offer)).collect();
    let mut last = negotiated(&server, &offer);
    assert_eq!(last.bind(&a, USER, PASSWORD), Err(NtStatus::INSUFFICIENT_RESOURCES));
    // Where one was lost there is room again. That it is lost shows when it has been cleaned up behind.
    drop(more.pop());
    loop {
        let mut again = negotiated(&server, &offer);
        match again.bind(&a, USER, PASSWORD) {
            Ok(()) => break,
            Err(status) => assert_eq!(status, NtStatus::INSUFFICIENT_RESOURCES),
        }
    }
}

#[test]
fn a_break_goes_to_a_channel_that_lives() {
    let server = Server::plain();
    let offer = offer();
    let mut a = server.client_with(&offer);
    let mut b = channel(&server, &a, &offer);
    let held = a.create(&batch("file")).unwrap();
    assert_eq!(held.oplock, OplockLevel::BATCH);
    drop(a);
    let mut other = server.client();
    let waiting = other.send(&batch("file"));
    let told = oplock_broken(&mut b);
    assert_eq!(told, OplockBreak { oplock_level: OplockLevel::LEVEL_II, file_id: held.file_id });
    assert_eq!(b.call(&told).status(), NtStatus::SUCCESS);
    assert_eq!(granted(other.wait(waiting)), OplockLevel::LEVEL_II);
}

#[test]
fn a_break_moves_to_another_channel_when_its_own_is_lost() {
    let server = Server::plain();
    let offer = offer();
    let mut a = server.client_with(&offer);
    let mut b = channel(&server, &a, &offer);
    let held = a.create(&batch("file")).unwrap();
    let mut other = server.client();
    let waiting = other.send(&batch("file"));
    let told = oplock_broken(&mut a);
    // The client got it, but its answer never comes.
    drop(a);
    assert_eq!(oplock_broken(&mut b), told);
    assert_eq!(b.call(&told).status(), NtStatus::SUCCESS);
    assert_eq!(granted(other.wait(waiting)), OplockLevel::LEVEL_II);
    assert_eq!(b.close(held.file_id), NtStatus::SUCCESS);
}

fn granted(reply: Reply) -> OplockLevel {
    reply.opened().expect("opened").oplock
}

#[test]
fn the_client_is_told_where_else_to_connect() {
    let server = Server::plain();
    let mut c = server.client();
    let answer = c.ioctl(CtlCode::QUERY_NETWORK_INTERFACE_INFO, FileId::RELATED, &[]).expect("a list");
    let list = NetworkInterfaceInfo::decode_list(&answer).expect("a list");
    // It listens on one address of loopback only, which the interface may not even list as its own.
    assert!(list.iter().all(|i| i.address == server.address.ip() && i.link_speed > 0), "{list:?}");
    c.tree_connect("IPC$").unwrap();
    let on_ipc = c.ioctl(CtlCode::QUERY_NETWORK_INTERFACE_INFO, FileId::RELATED, &[]);
    assert_eq!(on_ipc.as_deref(), Ok(answer.as_slice()));
    let mut old = server.client_with(&Offer::dialect(Dialect::SMB2_10));
    let refused = old.ioctl(CtlCode::QUERY_NETWORK_INTERFACE_INFO, FileId::RELATED, &[]);
    assert_eq!(refused, Err(NtStatus::NOT_SUPPORTED));
}
