//! MS-SMB2 3.3.5.3 and 3.3.5.4.

use smbgate::crypto::{Cipher, SigningAlgorithm};
use smbgate::types::{Dialect, NtStatus};
use smbgate::wire::codec::Writer;
use smbgate::wire::negotiate::{Capabilities, NegotiateResponse, SecurityMode};
use smbgate::wire::negotiate_context::{ContextType, HashAlgorithm, NegotiateContext};
use smbgate::wire::smb1::MultiProtocolNegotiate;

use crate::client::Offer;
use crate::common::{PASSWORD, Server, USER};

#[test]
fn every_dialect_alone_is_taken_and_works() {
    let server = Server::plain();
    for dialect in Dialect::ALL {
        let mut c = server.client_with(&Offer::dialect(dialect));
        assert_eq!(c.negotiated.dialect, dialect);
        let large = c.negotiated.capabilities.contains(Capabilities::LARGE_MTU);
        assert_eq!(large, dialect != Dialect::SMB2_02, "{dialect:?}");
        // Leases are not granted, but must be asked for instead of oplocks.
        assert_eq!(c.negotiated.capabilities.contains(Capabilities::LEASING), large, "{dialect:?}");
        let expected = if large { 8 << 20 } else { 65536 };
        assert_eq!(
            [c.negotiated.max_read_size, c.negotiated.max_write_size, c.negotiated.max_transact_size],
            [expected; 3]
        );
        let name = format!("file of {}", dialect.dotted());
        let file = c.make(&name).unwrap();
        assert_eq!(c.write(file, 0, b"hello"), Ok(5));
        assert_eq!(c.read(file, 0, 100).unwrap(), b"hello");
        assert_eq!(c.close(file), NtStatus::SUCCESS);
    }
}

#[test]
fn the_newest_common_dialect_is_chosen() {
    let server = Server::start(
        "signing = \"offered\"\nmin_dialect = \"2.1\"\nmax_dialect = \"3.0.2\"",
        &[("share", "")],
    );
    let mut c = server.connect();
    assert_eq!(c.negotiate(&Offer::default()).dialect, Dialect::SMB3_02);
    for refused in [Dialect::SMB2_02, Dialect::SMB3_11, Dialect(0x0399)] {
        let mut c = server.connect();
        assert_eq!(c.try_negotiate(&Offer::dialect(refused)), Err(NtStatus::NOT_SUPPORTED), "{refused:?}");
    }
}

#[test]
fn no_dialects_are_an_invalid_parameter() {
    let server = Server::plain();
    let mut c = server.connect();
    assert_eq!(
        c.try_negotiate(&Offer { dialects: vec![], ..Offer::default() }),
        Err(NtStatus::INVALID_PARAMETER)
    );
}

#[test]
fn the_server_states_whether_it_requires_signing() {
    let server = Server::plain();
    assert_eq!(server.connect().negotiate(&Offer::default()).security_mode, SecurityMode::SIGNING_ENABLED);
    let server = Server::start("", &[("share", "")]);
    let mode = SecurityMode::SIGNING_ENABLED | SecurityMode::SIGNING_REQUIRED;
    assert_eq!(server.connect().negotiate(&Offer::default()).security_mode, mode);
}

#[test]
fn signing_and_cipher_are_chosen_from_what_both_have() {
    let server = Server::plain();
    let mut c = server.connect();
    let n = c.negotiate(&Offer::default());
    assert_eq!((n.signing, n.cipher), (SigningAlgorithm::AesGmac, Some(Cipher::Aes128Gcm)));
    for cipher in [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm] {
        assert_eq!(server.connect().negotiate(&Offer::cipher(cipher)).cipher, Some(cipher));
    }
    for algorithm in [SigningAlgorithm::HmacSha256, SigningAlgorithm::AesCmac, SigningAlgorithm::AesGmac] {
        assert_eq!(server.connect().negotiate(&Offer::signing(algorithm)).signing, algorithm);
    }
    // Without the contexts: no encryption, and CMAC.
    let bare = Offer { ciphers: vec![], signing: vec![], ..Offer::default() };
    let mut c = server.client_with(&bare);
    assert_eq!((c.negotiated.signing, c.negotiated.cipher), (SigningAlgorithm::AesCmac, None));
    assert_eq!(c.echo(), NtStatus::SUCCESS);
}

#[test]
fn the_servers_order_of_ciphers_counts() {
    let server = Server::start("ciphers = [\"aes-256-gcm\", \"aes-128-gcm\"]", &[("share", "")]);
    assert_eq!(server.connect().negotiate(&Offer::default()).cipher, Some(Cipher::Aes256Gcm));
    assert_eq!(server.connect().negotiate(&Offer::cipher(Cipher::Aes128Ccm)).cipher, None);
}

#[test]
fn unknown_contexts_are_ignored() {
    let server = Server::plain();
    let unknown = NegotiateContext::Unknown { context_type: ContextType(0x7777), data: b"whatever" };
    let netname = NegotiateContext::Netname { net_name: "testserver".to_owned() };
    let mut c = server.client_with(&Offer { more: vec![unknown, netname], ..Offer::default() });
    assert_eq!(c.negotiated.dialect, Dialect::SMB3_11);
    assert_eq!(c.echo(), NtStatus::SUCCESS);
}

#[test]
fn preauth_integrity_is_not_optional_in_311() {
    let server = Server::plain();
    let refused = |contexts: &dyn Fn(&mut Vec<NegotiateContext<'static>>)| {
        let mut c = server.connect();
        let mut request = Offer::dialect(Dialect::SMB3_11).request();
        contexts(&mut request.negotiate_contexts);
        c.call(&request).status()
    };
    assert_eq!(refused(&|all| drop(all.remove(0))), NtStatus::INVALID_PARAMETER, "none");
    assert_eq!(refused(&|all| all.push(all[0].clone())), NtStatus::INVALID_PARAMETER, "two");
    let unknown = NegotiateContext::PreauthIntegrity {
        hash_algorithms: [HashAlgorithm(0x99)].into_iter().collect(),
        salt: b"salt",
    };
    assert_eq!(refused(&|all| all[0] = unknown.clone()), NtStatus::SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP);
}

#[test]
fn a_second_negotiate_ends_the_connection() {
    let server = Server::plain();
    let mut c = server.client();
    let request = Offer::default().request();
    c.send(&request);
    assert!(c.is_dropped());
}

fn smb1(smb_2_002: bool, smb_2_wildcard: bool) -> Vec<u8> {
    let mut message = Vec::new();
    MultiProtocolNegotiate { smb_2_002, smb_2_wildcard }.encode(&mut Writer::new(&mut message));
    message
}

#[test]
fn an_smb1_negotiate_leads_into_smb2() {
    let server = Server::plain();
    let mut c = server.connect();
    c.send_message(&smb1(true, true));
    let reply = c.receive();
    let answer = NegotiateResponse::decode(&mut reply.reader()).unwrap();
    assert_eq!((reply.status(), answer.dialect_revision), (NtStatus::SUCCESS, Dialect::WILDCARD));
    // The first message took MessageId 0.
    c.next_id = 1;
    assert_eq!(c.negotiate(&Offer::default()).dialect, Dialect::SMB3_11);
    c.logon(USER, PASSWORD).unwrap();
    c.tree_connect("share").unwrap();
    assert_eq!(c.open("no such file").unwrap_err(), NtStatus::OBJECT_NAME_NOT_FOUND);
}

#[test]
fn an_smb1_negotiate_can_settle_on_202() {
    let server = Server::plain();
    let mut c = server.connect();
    c.send_message(&smb1(true, false));
    let reply = c.receive();
    c.take_negotiated(&reply);
    assert_eq!(c.negotiated.dialect, Dialect::SMB2_02);
    c.next_id = 1;
    c.logon(USER, PASSWORD).unwrap();
    c.tree_connect("share").unwrap();
    assert_eq!(c.echo(), NtStatus::SUCCESS);
}

#[test]
fn smb1_alone_is_refused() {
    let server = Server::plain();
    let mut c = server.connect();
    c.send_message(&smb1(false, false));
    assert!(c.is_dropped());
}

#[test]
fn a_dialect_without_encryption_gets_no_sealed_share() {
    let server =
        Server::start("signing = \"offered\"", &[("share", ""), ("sealed", "encryption = \"required\"")]);
    for dialect in [Dialect::SMB2_02, Dialect::SMB2_10] {
        let mut c = server.client_with(&Offer::dialect(dialect));
        assert_eq!(c.tree_connect("sealed"), Err(NtStatus::ACCESS_DENIED), "{dialect:?}");
        assert_eq!(c.echo(), NtStatus::SUCCESS);
    }
    let mut c = server.client_with(&Offer::dialect(Dialect::SMB3_00));
    assert!(c.tree_connect("sealed").is_ok() && c.seal);
}
