//! MS-SMB2 3.3.5.2.4, and what is signed in return.

use smbgate::auth::client::NtlmClient;
use smbgate::crypto::SigningAlgorithm;
use smbgate::types::{Dialect, NtStatus};
use smbgate::wire::echo::EchoRequest;
use smbgate::wire::header::{HeaderFlags, offset};
use smbgate::wire::negotiate::SecurityMode;
use smbgate::wire::session_setup::SessionSetupRequest;

use crate::client::{Client, Offer};
use crate::common::{PASSWORD, Server, USER};

/// Each way to sign: HMAC-SHA256 in 2.x, CMAC in 3.0, all three in 3.1.1.
fn offers() -> Vec<Offer> {
    let chosen = |algorithm| Offer { dialects: vec![Dialect::SMB3_11], ..Offer::signing(algorithm) };
    vec![
        Offer::dialect(Dialect::SMB2_02),
        Offer::dialect(Dialect::SMB2_10),
        Offer::dialect(Dialect::SMB3_00),
        Offer::dialect(Dialect::SMB3_02),
        chosen(SigningAlgorithm::HmacSha256),
        chosen(SigningAlgorithm::AesCmac),
        chosen(SigningAlgorithm::AesGmac),
    ]
}

fn signed(c: &mut Client) -> Vec<u8> {
    let mut message = c.build(&EchoRequest);
    c.current().expect("a session").sign_anyway(&mut message);
    message
}

#[test]
fn signed_requests_get_signed_answers() {
    let server = Server::start("", &[("share", "")]);
    for offer in offers() {
        let mut c = server.client_with(&offer);
        // `Client` checks each answer's signature.
        let message = signed(&mut c);
        c.send_message(&message);
        let reply = c.receive();
        assert_eq!(reply.status(), NtStatus::SUCCESS, "{:?}", c.negotiated);
        assert!(reply.header.flags.contains(HeaderFlags::SIGNED));
    }
}

#[test]
fn a_changed_message_is_refused() {
    let server = Server::start("", &[("share", "")]);
    for offer in offers() {
        for at in [offset::SIGNATURE.start, offset::SIGNATURE.end - 1, offset::CREDITS, 66] {
            let mut c = server.client_with(&offer);
            let mut message = signed(&mut c);
            message[at] ^= 1;
            c.send_message(&message);
            match c.try_receive() {
                Ok(reply) => {
                    assert_eq!(reply.status(), NtStatus::ACCESS_DENIED, "{:?} at {at}", c.negotiated)
                }
                // To end the connection is as good (MS-SMB2 3.3.5.2.4).
                Err(e) => assert_ne!(e.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    }
}

#[test]
fn an_unsigned_request_is_refused_where_signing_is_required() {
    let server = Server::start("", &[("share", "")]);
    for offer in offers() {
        let mut c = server.client_with(&offer);
        c.current_mut().unwrap().signs = false;
        assert_eq!(c.echo(), NtStatus::ACCESS_DENIED, "{:?}", c.negotiated);
    }
}

#[test]
fn a_client_can_require_signing_itself() {
    let server = Server::plain();
    let mut c = server.connect();
    let required = SecurityMode::SIGNING_ENABLED | SecurityMode::SIGNING_REQUIRED;
    c.negotiate(&Offer { security_mode: required, ..Offer::default() });
    let base = SessionSetupRequest { security_mode: required, ..SessionSetupRequest::default() };
    c.logon_as(NtlmClient::new("", USER, PASSWORD), base).unwrap();
    assert_eq!(c.echo(), NtStatus::SUCCESS);
    c.current_mut().unwrap().signs = false;
    assert_eq!(c.echo(), NtStatus::ACCESS_DENIED);
}

#[test]
fn without_need_an_unsigned_request_is_answered_unsigned() {
    let server = Server::plain();
    // 3.1.1 sessions of users sign their tree connects, whatever was negotiated.
    let mut c = server.client_with(&Offer::dialect(Dialect::SMB3_00));
    c.current_mut().unwrap().signs = false;
    let reply = c.call(&EchoRequest);
    assert_eq!(reply.status(), NtStatus::SUCCESS);
    assert!(!reply.header.flags.contains(HeaderFlags::SIGNED));
}
