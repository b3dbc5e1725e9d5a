//! Named streams as a client sees them, the large ones first.

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus, ShareAccess};
use smbgate::wire::lock::{LockElement, LockFlags, LockRequest};

use crate::client::{Client, create};
use crate::common::Server;

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i >> 3) ^ ((i + seed) * 31)) as u8).collect()
}

fn write_all(c: &mut Client, file: FileId, data: &[u8]) {
    for (n, part) in data.chunks(60_000).enumerate() {
        assert_eq!(c.write(file, n as u64 * 60_000, part), Ok(part.len() as u32));
    }
}

fn read_all(c: &mut Client, file: FileId) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        match c.read(file, data.len() as u64, 60_000) {
            Ok(part) => data.extend(part),
            Err(status) => {
                assert_eq!(status, NtStatus::END_OF_FILE);
                return data;
            }
        }
    }
}

/// The names and sizes of a file's streams (FileStreamInformation).
fn streams(c: &mut Client, name: &str) -> Vec<(String, u64)> {
    let file = c.open(name).unwrap();
    let info = c.query_file(file, 22).unwrap();
    c.close(file);
    let word = |at: usize| u32::from_le_bytes(info[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut found) = (0, Vec::new());
    loop {
        let name =
            smbgate::wire::codec::decode_utf16(&info[at + 24..at + 24 + word(at + 4)], "name").unwrap();
        found.push((name, word(at + 8) as u64));
        match word(at) {
            0 => return found,
            next => at += next,
        }
    }
}

#[test]
fn ten_megabytes_survive_a_crash_of_the_server() {
    let mut server = Server::plain();
    let mut c = server.client();
    let data = pattern(10 << 20, 0);
    let s = c.make("file:large").unwrap();
    write_all(&mut c, s, &data);
    assert!(read_all(&mut c, s) == data);
    assert_eq!(streams(&mut c, "file"), [("::$DATA".into(), 0), (":large:$DATA".into(), 10 << 20)]);
    drop(c);
    server.crash();

    let mut c = server.client();
    let s = c.make("FILE:LARGE").unwrap();
    assert!(read_all(&mut c, s) == data);
    assert_eq!(c.write(s, 5_000_000, b"changed"), Ok(7));
    assert_eq!(c.read(s, 4_999_999, 9).unwrap()[1..8], *b"changed");
    c.close(s);
    // It goes with its file.
    let access = AccessMask::DELETE;
    let file = create("file", access, CreateDisposition::OPEN, CreateOptions::DELETE_ON_CLOSE);
    let file = c.create(&file).unwrap().file_id;
    assert_eq!(c.close(file), NtStatus::SUCCESS);
    let file = c.make("file").unwrap();
    c.close(file);
    assert_eq!(streams(&mut c, "file"), [("::$DATA".into(), 0)]);
    assert_eq!(c.open("file:large"), Err(NtStatus::OBJECT_NAME_NOT_FOUND));
}

#[test]
fn writers_side_by_side_lose_nothing() {
    const PART: usize = 50_000;
    let server = Server::plain();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut c = server.client();
                let s = c.make("file:shared").unwrap();
                for round in 0..5 {
                    let at = (round * 4 + n) * PART;
                    assert_eq!(c.write(s, at as u64, &pattern(PART, at)), Ok(PART as u32));
                }
            });
        }
    });
    let mut c = server.client();
    let s = c.open("file:shared").unwrap();
    let data = read_all(&mut c, s);
    let expected: Vec<u8> = (0..20).flat_map(|n| pattern(PART, n * PART)).collect();
    assert!(data == expected);
}

#[test]
fn large_streams_have_share_modes_and_locks_of_their_own() {
    let server = Server::plain();
    let mut c = server.client();
    let s = c.make("file:s").unwrap();
    write_all(&mut c, s, &pattern(200_000, 1));
    let alone = |name: &str| {
        let mut request =
            create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
        request.share_access = ShareAccess::empty();
        request
    };
    assert_eq!(c.create(&alone("file:S")).unwrap_err(), NtStatus::SHARING_VIOLATION);
    assert!(c.create(&alone("file")).is_ok());
    let lock = |file_id| LockRequest {
        file_id,
        locks: [LockElement {
            offset: 100_000,
            length: 10,
            flags: LockFlags::EXCLUSIVE_LOCK | LockFlags::FAIL_IMMEDIATELY,
        }]
        .into_iter()
        .collect(),
        ..LockRequest::default()
    };
    assert_eq!(c.call(&lock(s)).status(), NtStatus::SUCCESS);
    let other = c.make("file:s").unwrap();
    assert_eq!(c.call(&lock(other)).status(), NtStatus::LOCK_NOT_GRANTED);
    assert_eq!(c.write(other, 100_005, b"x"), Err(NtStatus::FILE_LOCK_CONFLICT));
    assert_eq!(c.write(other, 99_000, b"x"), Ok(1));
}

#[test]
fn a_file_that_is_overwritten_loses_its_large_streams() {
    let server = Server::plain();
    let mut c = server.client();
    let s = c.make("file:s").unwrap();
    write_all(&mut c, s, &pattern(200_000, 1));
    c.close(s);
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
    let over = create("file", access, CreateDisposition::OVERWRITE, CreateOptions::empty());
    let file = c.create(&over).unwrap().file_id;
    c.close(file);
    assert_eq!(streams(&mut c, "file"), [("::$DATA".into(), 0)]);
}
