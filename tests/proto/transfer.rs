//! READ, WRITE and FLUSH as a client sees them.

use std::os::unix::fs::FileExt;

use smbgate::crypto::{Cipher, SigningAlgorithm};
use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, Dialect, NtStatus};

use crate::client::{Offer, create};
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

/// Bytes that are nowhere the same.
fn noise(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect()
}

/// What the kernel has in its cache of a file that is read in a row is signed or sealed while it is copied (on file systems
/// where that pays): whatever the lengths, and whatever happens to the file meanwhile.
#[test]
fn a_file_that_is_read_in_a_row_is_what_it_is_now() {
    let server = Server::plain();
    let path = server.path("share").join("row");
    let signing = [SigningAlgorithm::HmacSha256, SigningAlgorithm::AesCmac, SigningAlgorithm::AesGmac];
    let sealing = [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm];
    let signing = signing.map(|algorithm| (Offer::signing(algorithm), false));
    let sealing = sealing.map(|cipher| (Offer::cipher(cipher), true));
    for (offer, seal) in signing.into_iter().chain(sealing) {
        let offer = Offer { dialects: vec![Dialect::SMB3_11], ..offer };
        let mut data = noise(0, (5 << 20) + 12_345);
        std::fs::write(&path, &data).unwrap();
        // What is still to be written to the disk is not waited for, and read in another way.
        std::fs::File::open(&path).unwrap().sync_all().unwrap();
        let mut c = server.client_with(&offer);
        c.seal = seal;
        c.target_credits = 64;
        c.echo();
        let file = c.open("row").unwrap();
        let mut read_all = |data: &[u8]| {
            let (mut at, mut lengths) = (0, [65_536, 100_000, 300_001, 1 << 18].into_iter().cycle());
            while at < data.len() {
                let len = lengths.next().unwrap();
                let expected = &data[at..data.len().min(at + len)];
                assert!(c.read(file, at as u64, len as u32).unwrap() == expected, "{len} bytes from {at} on");
                at += len;
            }
            assert_eq!(c.read(file, at as u64, 65_536).unwrap_err(), NtStatus::END_OF_FILE);
        };
        read_all(&data);
        let local = std::fs::File::options().write(true).open(&path).unwrap();
        let new = noise(77, 500_000);
        local.write_all_at(&new, 1_000_001).unwrap();
        data[1_000_001..][..new.len()].copy_from_slice(&new);
        read_all(&data);
        local.set_len((3 << 20) + 77).unwrap();
        data.truncate((3 << 20) + 77);
        read_all(&data);
        local.set_len(4 << 20).unwrap();
        data.resize(4 << 20, 0);
        read_all(&data);
    }
}
