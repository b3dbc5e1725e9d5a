//! What a sick backend does to its own requests, and to nobody else's. Rule 8 of the house: the reactor never blocks.

mod backend;
#[path = "../proto/client/mod.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod far;

use std::time::{Duration, Instant};

use backend::Backend;
use client::{Client, Offer};
use common::{PASSWORD, Server, USER};
use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus};
use smbgate::wire::cancel::CancelRequest;
use smbgate::wire::header::HeaderFlags;
use smbgate::wire::query_directory::QueryDirectoryFlags;
use smbgate::wire::read::{ReadRequest, ReadResponse};

/// A share on the synthetic file system and one on a healthy disk. The backend is to be dropped first: a server that
/// waits for it cannot end before.
fn start() -> (Server, Backend) {
    let backend = Backend::mount();
    let path = format!("path = {:?}", backend.path());
    let server = Server::start("signing = \"offered\"", &[("sick", path.as_str()), ("well", "")]);
    (server, backend)
}

fn client(server: &Server, share: &str) -> Client {
    Client::ready(server.address, &Offer::default(), USER, PASSWORD, share)
}

fn read(c: &mut Client, file_id: FileId) -> u64 {
    c.send(&ReadRequest { file_id, length: 100, ..ReadRequest::default() })
}

fn cancel(c: &mut Client, id: u64) {
    let mut header = c.header(&CancelRequest);
    (header.message_id.0, header.async_id, header.credits) = (id, c.interim[&id], 0);
    header.flags |= HeaderFlags::ASYNC;
    c.send_as(&header, &CancelRequest);
}

/// What everyone else does is not held up.
fn at_full_speed(what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    assert!(start.elapsed() < Duration::from_secs(2), "{what} took {:?}", start.elapsed());
}

fn work_on(c: &mut Client, name: &str) {
    let file = c.make(name).unwrap();
    assert_eq!(c.write(file, 0, name.as_bytes()), Ok(name.len() as u32));
    assert_eq!(c.read(file, 0, 100).unwrap(), name.as_bytes());
    assert_eq!(c.close(file), NtStatus::SUCCESS);
}

/// The share's root, which is not the user's: he may list it.
fn root(c: &mut Client) -> FileId {
    let options = CreateOptions::DIRECTORY_FILE;
    c.create(&client::create("", AccessMask::FILE_READ, CreateDisposition::OPEN, options)).unwrap().file_id
}

fn list(c: &mut Client, directory: FileId) -> Result<Vec<String>, NtStatus> {
    // FileNamesInformation: length at 8, name at 12.
    let buffer = c.query_directory(directory, 12, "*", QueryDirectoryFlags::RESTART_SCANS, 65536)?;
    Ok(client::listed(&buffer, 8, 12))
}

#[test]
fn a_file_system_without_extended_attributes_serves() {
    let (server, _backend) = start();
    let mut c = client(&server, "sick");
    work_on(&mut c, "new file");
    let hello = c.open("HELLO").unwrap();
    assert_eq!(c.read(hello, 0, 100).unwrap(), b"hello, world");
    let root = root(&mut c);
    let names = list(&mut c, root).unwrap();
    for name in ["hello", "other", "new file"] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
}

/// Streams and attributes are in the server's database.
#[test]
fn a_file_system_without_extended_attributes_has_streams() {
    let (mut server, backend) = start();
    let mut c = client(&server, "sick");
    let data: Vec<u8> = (0..300_000).map(|i| (i * 7 % 253) as u8).collect();
    let stream = c.make("new:stream").unwrap();
    for (n, part) in data.chunks(60_000).enumerate() {
        assert_eq!(c.write(stream, n as u64 * 60_000, part), Ok(part.len() as u32));
    }
    work_on(&mut c, "hello:small");
    drop(c);
    server.crash();
    let mut c = client(&server, "sick");
    for (name, expected) in [("new:stream", &data[200_000..260_000]), ("hello:small", &b"hello:small"[..])] {
        let stream = c.open(name).unwrap();
        let at = if expected.len() > 100 { 200_000 } else { 0 };
        assert_eq!(c.read(stream, at, 60_000).unwrap(), expected, "{name}");
        c.close(stream);
    }
    let hello = c.open("hello").unwrap();
    assert_eq!(c.read(hello, 0, 100).unwrap(), b"hello, world");
    let options = CreateOptions::DELETE_ON_CLOSE;
    let gone =
        c.create(&client::create("new", AccessMask::DELETE, CreateDisposition::OPEN, options)).unwrap();
    assert_eq!(c.close(gone.file_id), NtStatus::SUCCESS);
    c.make("new").unwrap();
    assert_eq!(c.open("new:stream"), Err(NtStatus::OBJECT_NAME_NOT_FOUND));
    drop(backend);
}

#[test]
fn a_stalled_read_holds_up_nobody_else() {
    let (server, mut backend) = start();
    let mut c = client(&server, "sick");
    let files: Vec<FileId> = (0..40).map(|_| c.open("hello").unwrap()).collect();
    backend.tell("stall read");
    // More than any number of workers a share may have.
    let stuck: Vec<u64> = files.iter().map(|file| read(&mut c, *file)).collect();
    for id in &stuck {
        at_full_speed("STATUS_PENDING", || drop(c.wait_interim(*id)));
    }
    backend.holds(1);
    at_full_speed("ECHO on the same connection", || assert_eq!(c.echo(), NtStatus::SUCCESS));
    at_full_speed("another share on the same connection", || {
        let sick = c.tree;
        c.tree_connect("well").unwrap();
        work_on(&mut c, "same connection");
        c.tree = sick;
    });
    at_full_speed("a new logon", || work_on(&mut client(&server, "well"), "new logon"));
    at_full_speed("a tree connect to the sick share", || drop(client(&server, "sick")));
    backend.tell("go");
    for id in stuck {
        let reply = c.wait(id);
        assert_eq!(ReadResponse::decode(&mut reply.reader()).unwrap().data, b"hello, world");
    }
    work_on(&mut c, "well again");
}

#[test]
fn a_stalled_request_can_be_cancelled() {
    let (server, mut backend) = start();
    let mut c = client(&server, "sick");
    let file = c.open("hello").unwrap();
    backend.tell("stall read");
    let id = read(&mut c, file);
    c.wait_interim(id);
    backend.holds(1);
    cancel(&mut c, id);
    at_full_speed("the answer to CANCEL", || assert_eq!(c.wait(id).status(), NtStatus::CANCELLED));
    backend.tell("go");
    assert_eq!(c.read(file, 0, 100).unwrap(), b"hello, world");
}

#[test]
fn a_stalled_open_is_pending_too() {
    let (server, mut backend) = start();
    let mut c = client(&server, "sick");
    backend.tell("stall lookup");
    let request =
        client::create("hello", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
    let id = c.send(&request);
    at_full_speed("STATUS_PENDING", || drop(c.wait_interim(id)));
    at_full_speed("ECHO", || assert_eq!(c.echo(), NtStatus::SUCCESS));
    backend.tell("go");
    let file = c.wait(id).opened().unwrap().file_id;
    assert_eq!(c.read(file, 0, 5).unwrap(), b"hello");
}

#[test]
fn a_stalled_request_ends_with_an_error_when_the_backend_dies() {
    let (server, mut backend) = start();
    let mut c = client(&server, "sick");
    let file = c.open("hello").unwrap();
    backend.tell("stall read");
    let ids = [read(&mut c, file), read(&mut c, file)];
    for id in ids {
        c.wait_interim(id);
    }
    backend.holds(1);
    backend.kill();
    for id in ids {
        let status = c.wait(id).status();
        assert!(status.is_error(), "{status}");
    }
    at_full_speed("the other share", || work_on(&mut client(&server, "well"), "after"));
}

#[test]
fn a_vanished_mount_is_an_error_never_an_empty_directory() {
    let (server, mut backend) = start();
    let mut c = client(&server, "sick");
    let root = root(&mut c);
    assert!(list(&mut c, root).unwrap().len() >= 4);
    backend.kill();
    let status = list(&mut c, root).expect_err("a listing of a dead mount");
    assert!(status.is_error() && status != NtStatus::NO_SUCH_FILE, "{status}");
    for name in ["hello", "missing", ""] {
        let status = c.open(name).expect_err("an open on a dead mount");
        // Not "there is no such file": a client would believe it and delete its copy.
        assert!(status.is_error(), "{status}");
        assert!(
            ![NtStatus::OBJECT_NAME_NOT_FOUND, NtStatus::NO_SUCH_FILE].contains(&status),
            "{name:?}: {status}"
        );
    }
    assert!(c.make("new").is_err());
    at_full_speed("the other share", || work_on(&mut client(&server, "well"), "after"));
}

#[test]
fn errors_of_the_backend_reach_the_client() {
    let (server, mut backend) = start();
    let mut c = client(&server, "sick");
    let file = c.make("hello").unwrap();
    backend.tell("fail read");
    backend.tell("fail write");
    for status in [c.read(file, 0, 10).unwrap_err(), c.write(file, 0, b"x").unwrap_err()] {
        assert!([NtStatus::IO_DEVICE_ERROR, NtStatus::UNEXPECTED_IO_ERROR].contains(&status), "{status}");
    }
    backend.tell("fail readdir");
    let root = root(&mut c);
    assert!(list(&mut c, root).is_err());
    backend.tell("go");
    assert_eq!(c.read(file, 0, 5).unwrap(), b"hello");
}

#[test]
fn a_hung_backend_does_not_keep_the_address_from_the_next_server() {
    let (mut server, mut backend) = start();
    let mut c = client(&server, "sick");
    let file = c.open("hello").unwrap();
    backend.tell("stall read");
    let id = read(&mut c, file);
    c.wait_interim(id);
    backend.holds(1);
    server.terminate();
    assert!(c.is_dropped(), "the connection");
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(e) = std::net::TcpListener::bind(server.address) {
        assert!(Instant::now() < end, "the address is still in use: {e}");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The kernel lets nobody go whose request is with a FUSE process: that has to answer or to die.
    backend.kill();
    assert!(server.ends(Duration::from_secs(20)), "{}", server.log());
}
