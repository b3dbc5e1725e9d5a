//! Any bytes before logon cost only their sender (rule 12 of the house).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use smbgate::types::{NtStatus, SessionId};
use smbgate::wire::echo::EchoRequest;
use smbgate::wire::header::{Header, LEN};
use smbgate::wire::tree_connect::TreeConnectRequest;

use crate::client::Offer;
use crate::common::Server;

/// Sends bytes and reads until the server closes. What it answered.
fn until_closed(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The server may close before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("the connection stays open: {e}"),
    }
    answer
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

#[test]
fn what_is_not_smb_is_closed() {
    let server = Server::plain();
    let header = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut c = server.connect();
        let mut message = c.build(&Offer::default().request());
        change(&mut message);
        frame(&message)
    };
    for (what, bytes) in [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20)),
        ("NetBIOS session request", [&[0x81, 0, 0, 68][..], &[0x20; 68]].concat()),
        ("sixteen megabytes announced", b"\x00\xff\xff\xff\xfeSMB".to_vec()),
        ("a frame longer than anything before logon", [&(1u32 << 20).to_be_bytes()[..], b"\xfeSMB"].concat()),
        ("less than a header", frame(b"\xfeSMB@\0")),
        ("another protocol id", header(&|m| m[0] = 0xF0)),
        ("another structure size of the header", header(&|m| m[4] = 63)),
        ("a compound offset outside", header(&|m| m[20] = 0xF8)),
        ("a compressed message", header(&|m| m[0] = 0xFC)),
        ("a sealed message of no session", header(&|m| m[0] = 0xFD)),
        ("an answer", header(&|m| m[16] |= 1)),
    ] {
        let answer = until_closed(&server, &bytes);
        assert!(answer.is_empty(), "{what}: {answer:?}");
    }
    // The server is none the worse for it.
    assert_eq!(server.client().echo(), NtStatus::SUCCESS);
}

#[test]
fn commands_before_negotiate_end_the_connection() {
    let server = Server::plain();
    let mut c = server.connect();
    c.send(&EchoRequest);
    assert!(c.is_dropped());
}

#[test]
fn commands_before_logon_are_refused() {
    let server = Server::plain();
    let mut c = server.connect();
    c.negotiate(&Offer::default());
    let request = TreeConnectRequest { path: r"\\x\share".to_owned(), ..TreeConnectRequest::default() };
    assert_eq!(c.call(&request).status(), NtStatus::USER_SESSION_DELETED);
    c.session = SessionId(0x1234_5678);
    assert_eq!(c.call(&request).status(), NtStatus::USER_SESSION_DELETED);
}

/// Deterministic noise.
fn noise(seed: &mut u64) -> u8 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 24) as u8
}

#[test]
fn damaged_messages_harm_nobody() {
    let server = Server::plain();
    let mut seed = 0x5EED;
    let mut well = server.connect();
    well.negotiate(&Offer::default());
    let before = server.memory();
    for round in 0..300 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let mut message = server_less_negotiate();
        // The header stays, mostly: damage behind it reaches further.
        let from = if round % 3 == 0 { 0 } else { LEN };
        for _ in 0..1 + round % 7 {
            let at = from + usize::from(noise(&mut seed)) % (message.len() - from);
            message[at] = noise(&mut seed);
        }
        message.truncate(message.len() - usize::from(noise(&mut seed)) % 40);
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&frame(&message)).unwrap();
        // Behind it, half a frame: whatever the server made of the first, it does not hang on the second.
        let _ = stream.write_all(&[0, 0, 1, 0, 0xFE]);
    }
    assert_eq!(server.client().echo(), NtStatus::SUCCESS);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "300 bad connections left {grown} bytes");
}

fn server_less_negotiate() -> Vec<u8> {
    let header = Header { credits: 1, ..Header::default() };
    crate::client::encode(&header, &Offer::default().request())
}

#[test]
fn silent_connections_hold_little_and_not_forever() {
    let server = Server::plain();
    server.client();
    let before = server.memory();
    // The largest frame that may come before logon, begun and never ended.
    let mut streams: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(&frame(&vec![0xFE; 60_000])[..50_000]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.client().echo(), NtStatus::SUCCESS);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 400 * (72 << 10), "400 connections hold {grown} bytes");
    // A byte now and then does not keep one alive.
    let first = &mut streams[0];
    first.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let start = Instant::now();
    let mut byte = [0];
    loop {
        match first.read(&mut byte) {
            Ok(0) => break,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                let _ = first.write_all(&[0]);
            }
            Err(_) => break,
            Ok(_) => panic!("an answer to half a frame"),
        }
        assert!(start.elapsed() < Duration::from_secs(90), "no time limit before logon");
    }
}
