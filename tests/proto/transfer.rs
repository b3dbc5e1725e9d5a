//! READ, WRITE and FLUSH as a client sees them.

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, NtStatus};

use crate::client::create;
use crate::common::Server;

#[test]
fn eight_megabytes_go_in_one_message() {
    let server = Server::plain();
    for seal in [false, true] {
        let mut c = server.client();
        c.seal = seal;
        c.target_credits = 400;
        // Credits come with the answers: enough for 128 at once.
        while c.credits < 300 {
            c.echo();
        }
        let data: Vec<u8> = (0..8u32 << 20).map(|i| (i ^ (i >> 11)) as u8).collect();
        let file = c.make("eight").unwrap();
        assert_eq!(c.write(file, 0, &data), Ok(8 << 20));
        assert_eq!(c.flush(file), NtStatus::SUCCESS);
        assert!(c.read(file, 0, 8 << 20).unwrap() == data);
        assert!(std::fs::read(server.path("share").join("eight")).unwrap() == data);
    }
}

#[test]
fn the_end_of_a_file() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("ten").unwrap();
    assert_eq!(c.read(file, 0, 10).unwrap_err(), NtStatus::END_OF_FILE);
    assert_eq!(c.write(file, 0, b"0123456789"), Ok(10));
    assert_eq!(c.read(file, 0, 100).unwrap(), b"0123456789");
    assert_eq!(c.read(file, 9, 100).unwrap(), b"9");
    assert_eq!(c.read(file, 10, 1).unwrap_err(), NtStatus::END_OF_FILE);
    assert_eq!(c.read(file, u64::MAX, 1).unwrap_err(), NtStatus::INVALID_PARAMETER);
    assert_eq!(c.write(file, 1 << 20, b"far"), Ok(3));
    assert_eq!(c.read(file, 10, 5).unwrap(), [0; 5]);
}

#[test]
fn access_decides() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("file").unwrap();
    c.write(file, 0, b"data").unwrap();
    let mut open = |access| {
        c.create(&create("file", access, CreateDisposition::OPEN, CreateOptions::empty())).unwrap().file_id
    };
    let (reader, writer) = (open(AccessMask::FILE_READ), open(AccessMask::FILE_WRITE));
    assert_eq!(c.read(reader, 0, 4).unwrap(), b"data");
    assert_eq!(c.write(reader, 0, b"x"), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(c.write(writer, 0, b"D"), Ok(1));
    assert_eq!(c.read(writer, 0, 4).unwrap_err(), NtStatus::ACCESS_DENIED);
}

#[test]
fn what_is_written_is_there_for_everyone_else() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("file").unwrap();
    let path = server.path("share").join("file");
    for round in 0..50u8 {
        c.write(file, 0, &[round; 1000]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [round; 1000]);
        std::fs::write(&path, [!round; 1000]).unwrap();
        assert_eq!(c.read(file, 0, 1000).unwrap(), [!round; 1000]);
    }
}
