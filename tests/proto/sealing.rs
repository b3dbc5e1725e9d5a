//! MS-SMB2 3.3.5.2.1.1 and 3.3.5.2.9: sealed messages, and who has to send them.

use smbgate::crypto::Cipher;
use smbgate::types::{Dialect, NtStatus};
use smbgate::wire::echo::EchoRequest;
use smbgate::wire::header::TransformHeader;

use crate::client::Offer;
use crate::common::{PASSWORD, Server, USER};

const CIPHERS: [Cipher; 4] = [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm];

fn server() -> Server {
    Server::start("signing = \"offered\"", &[("share", ""), ("sealed", "encryption = \"required\"")])
}

fn offers() -> Vec<Offer> {
    let mut all: Vec<Offer> = CIPHERS.map(Offer::cipher).to_vec();
    all.extend([Dialect::SMB3_00, Dialect::SMB3_02].map(Offer::dialect));
    all
}

#[test]
fn sealed_requests_get_sealed_answers() {
    let server = server();
    for offer in offers() {
        let mut c = server.client_with(&offer);
        c.seal = true;
        let file = c.make("sealed file").unwrap();
        let data = vec![7; 1_000_003];
        assert_eq!(c.write(file, 0, &data), Ok(1_000_003));
        assert!(c.read(file, 0, 1_000_003).unwrap() == data, "{:?}", c.negotiated);
        assert!(c.came_sealed);
        // Unsealed requests are fine beside them: nothing requires sealing here.
        c.seal = false;
        assert_eq!(c.echo(), NtStatus::SUCCESS);
        assert!(!c.came_sealed);
    }
}

#[test]
fn a_changed_sealed_message_ends_the_connection() {
    let server = server();
    for offer in offers() {
        for at in [4, 20, 44, TransformHeader::LEN, TransformHeader::LEN + 64] {
            let mut c = server.client_with(&offer);
            let mut message = c.build(&EchoRequest);
            let header = c.current().unwrap().seal(&mut message);
            let mut whole = [&header[..], &message].concat();
            whole[at] ^= 1;
            c.send_message(&whole);
            assert!(c.is_dropped(), "{:?} at {at}", c.negotiated);
        }
    }
}

#[test]
fn a_sealed_share_answers_nothing_unsealed() {
    let server = server();
    let mut c = server.client();
    c.tree_connect("sealed").unwrap();
    assert!(c.seal, "the share says that it wants encryption");
    let file = c.make("secret").unwrap();
    c.seal = false;
    assert_eq!(c.open("secret").unwrap_err(), NtStatus::ACCESS_DENIED);
    assert_eq!(c.read(file, 0, 10).unwrap_err(), NtStatus::ACCESS_DENIED);
    // Not tied to the share.
    assert_eq!(c.echo(), NtStatus::SUCCESS);
    c.seal = true;
    assert_eq!(c.close(file), NtStatus::SUCCESS);
}

#[test]
fn a_server_that_requires_encryption_answers_nothing_unsealed() {
    let server = Server::start("encryption = \"required\"", &[("share", "")]);
    let mut c = server.client();
    assert!(c.seal, "the session says that it wants encryption");
    assert_eq!(c.echo(), NtStatus::SUCCESS);
    c.seal = false;
    assert_eq!(c.tree_connect("share"), Err(NtStatus::ACCESS_DENIED));
    // Who cannot seal does not get in.
    let mut c = server.connect();
    c.negotiate(&Offer::dialect(Dialect::SMB2_10));
    assert_eq!(c.logon(USER, PASSWORD), Err(NtStatus::ACCESS_DENIED));
}

#[test]
fn with_encryption_off_there_is_no_cipher() {
    let server = Server::start("encryption = \"off\"", &[("share", "")]);
    let mut c = server.client();
    assert_eq!(c.negotiated.cipher, None);
    assert_eq!(c.echo(), NtStatus::SUCCESS);
}

#[test]
fn a_nonce_never_repeats() {
    let server = server();
    let mut c = server.client();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let mut message = c.build(&EchoRequest);
        let header = c.current().unwrap().seal(&mut message);
        c.send_message(&[&header[..], &message].concat());
        let answer = c.receive_message().unwrap();
        assert_eq!(answer[..4], TransformHeader::PROTOCOL_ID);
        assert!(seen.insert(answer[20..32].to_vec()), "the server used a nonce twice");
    }
}
