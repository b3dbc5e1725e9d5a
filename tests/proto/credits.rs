//! MS-SMB2 3.3.5.2.3 and 3.3.5.2.5: message ids, credits, and what a large request has to pay.

use smbgate::types::{Dialect, MessageId, NtStatus};
use smbgate::wire::echo::EchoRequest;
use smbgate::wire::read::ReadRequest;

use crate::client::Offer;
use crate::common::Server;

#[test]
fn credits_are_granted_as_asked_and_never_run_out() {
    let server = Server::plain();
    let mut c = server.client();
    c.target_credits = 512;
    for _ in 0..20 {
        c.echo();
    }
    assert!((256..=8192).contains(&c.credits), "{} credits", c.credits);
    // Who asks for none keeps at least one.
    c.target_credits = 0;
    for _ in 0..700 {
        assert_eq!(c.echo(), NtStatus::SUCCESS);
        assert!(c.credits >= 1);
    }
}

#[test]
fn message_ids_may_come_in_any_order_but_once() {
    let server = Server::plain();
    let mut c = server.client();
    c.echo();
    let first = c.next_id;
    for id in [first + 5, first + 3, first, first + 1] {
        c.next_id = id;
        assert_eq!(c.echo(), NtStatus::SUCCESS, "{id}");
    }
    c.next_id = first + 3;
    c.send(&EchoRequest);
    assert!(c.is_dropped(), "a message id used twice");
}

#[test]
fn message_ids_outside_the_window_end_the_connection() {
    let server = Server::plain();
    for id in [100_000, u64::MAX - 1, u64::MAX / 2] {
        let mut c = server.client();
        let mut header = c.header(&EchoRequest);
        header.message_id = MessageId(id);
        c.send_as(&header, &EchoRequest);
        assert!(c.is_dropped(), "{id:#x}");
    }
}

#[test]
fn a_large_request_has_to_pay_for_its_size() {
    let server = Server::plain();
    let mut c = server.client();
    let file_id = c.make("large").unwrap();
    c.write(file_id, 0, &vec![1; 1 << 20]).unwrap();
    let request = ReadRequest { file_id, length: 1 << 20, ..ReadRequest::default() };
    let mut header = c.header(&request);
    assert_eq!(header.credit_charge, 16);
    header.credit_charge = 15;
    let id = header.message_id.0;
    c.send_as(&header, &request);
    assert_eq!(c.wait(id).status(), NtStatus::INVALID_PARAMETER);
    c.next_id = id + 15;
    assert_eq!(c.read(file_id, 0, 1 << 20).unwrap().len(), 1 << 20);
}

#[test]
fn a_charge_spans_its_message_ids() {
    let server = Server::plain();
    let mut c = server.client();
    let file_id = c.make("file").unwrap();
    let start = c.next_id;
    assert_eq!(c.read(file_id, 0, 1 << 20).unwrap_err(), NtStatus::END_OF_FILE);
    assert_eq!(c.next_id, start + 16);
    // One of those is used up.
    c.next_id = start + 7;
    c.send(&EchoRequest);
    assert!(c.is_dropped());
}

#[test]
fn before_21_there_is_no_charge() {
    let server = Server::plain();
    let mut c = server.client_with(&Offer::dialect(Dialect::SMB2_02));
    let file_id = c.make("file").unwrap();
    c.write(file_id, 0, &vec![1; 65536]).unwrap();
    let start = c.next_id;
    assert_eq!(c.read(file_id, 0, 65536).unwrap().len(), 65536);
    assert_eq!(c.next_id, start + 1);
    assert_eq!(c.read(file_id, 0, 65537).unwrap_err(), NtStatus::INVALID_PARAMETER);
}

#[test]
fn what_is_larger_than_agreed_is_refused() {
    let server = Server::plain();
    let mut c = server.client();
    let file_id = c.make("file").unwrap();
    let max = c.negotiated.max_read_size;
    assert_eq!(c.read(file_id, 0, max).unwrap_err(), NtStatus::END_OF_FILE);
    assert_eq!(c.read(file_id, 0, max + 1).unwrap_err(), NtStatus::INVALID_PARAMETER);
}
