//! Named pipes of IPC$: what waits and how the wait ends, messages in pieces, bounds (MS-SMB2 3.3.5.12, 3.3.5.13,
//! 3.3.5.15.3, 3.3.5.15.10).

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus};
use smbgate::wire::cancel::CancelRequest;
use smbgate::wire::close::{CloseFlags, CloseRequest};
use smbgate::wire::codec::Writer;
use smbgate::wire::create::CreateRequest;
use smbgate::wire::fscc::fsctl::PipeWait;
use smbgate::wire::header::HeaderFlags;
use smbgate::wire::ioctl::{CtlCode, IoctlResponse};
use smbgate::wire::query_info::InfoType;
use smbgate::wire::read::{ReadRequest, ReadResponse};
use smbgate::wire::set_info::SetInfoRequest;
use smbgate::wire::write::WriteRequest;

use crate::client::{Client, Reply, create, fsctl};
use crate::common::Server;

/// UUID and version of an interface as they stand on the wire.
const SRVSVC: [u8; 20] = [
    0xC8, 0x4F, 0x32, 0x4B, 0x70, 0x16, 0xD3, 0x01, 0x12, 0x78, 0x5A, 0x47, 0xBF, 0x6E, 0xE1, 0x88, 3, 0, 0,
    0,
];
const LSARPC: [u8; 20] = [
    0x78, 0x57, 0x34, 0x12, 0x34, 0x12, 0xCD, 0xAB, 0xEF, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0, 0, 0,
    0,
];
const NDR: [u8; 20] = [
    0x04, 0x5D, 0x88, 0x8A, 0xEB, 0x1C, 0xC9, 0x11, 0x9F, 0xE8, 0x08, 0x00, 0x2B, 0x10, 0x48, 0x60, 2, 0, 0,
    0,
];

const BIND_ACK: u8 = 12;
const RESPONSE: u8 = 2;

/// A bind, as every client begins.
fn bind(interface: [u8; 20]) -> Vec<u8> {
    let mut pdu = vec![5, 0, 11, 3, 0x10, 0, 0, 0, 72, 0, 0, 0, 1, 0, 0, 0];
    pdu.extend([0xB8, 0x10, 0xB8, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
    pdu.extend(interface);
    pdu.extend(NDR);
    pdu
}

fn call(opnum: u16, stub: &[u8]) -> Vec<u8> {
    let mut pdu = vec![5, 0, 0, 3, 0x10, 0, 0, 0];
    pdu.extend((24 + stub.len() as u16).to_le_bytes());
    pdu.extend([0, 0, 7, 0, 0, 0]);
    pdu.extend((stub.len() as u32).to_le_bytes());
    pdu.extend([0, 0]);
    pdu.extend(opnum.to_le_bytes());
    pdu.extend(stub);
    pdu
}

/// NetrRemoteTOD without a server's name: 80 bytes of answer.
fn time_of_day() -> Vec<u8> {
    call(28, &[0; 4])
}

/// LsarLookupSids2's and LsarOpenPolicy2's stubs: the latter with object attributes that say nothing.
fn open_policy() -> Vec<u8> {
    let words = [0u32, 24, 0, 0, 0, 0, 0, 0x0200_0000];
    call(44, &words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>())
}

/// LsarLookupNames of one name.
fn look_up(policy: &[u8], name: &str) -> Vec<u8> {
    let units = name.len() as u32;
    let mut stub = policy.to_vec();
    for word in [1, 1, (units << 17) | (2 * units), 1, units, 0, units] {
        stub.extend(word.to_le_bytes());
    }
    stub.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    stub.resize(stub.len().next_multiple_of(4), 0);
    for word in [0u32, 0, 1, 0] {
        stub.extend(word.to_le_bytes());
    }
    call(14, &stub)
}

fn opening(name: &str) -> CreateRequest<'static> {
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
    create(name, access, CreateDisposition::OPEN, CreateOptions::empty())
}

fn on_ipc(server: &Server) -> Client {
    let mut c = server.client();
    c.tree_connect("IPC$").unwrap();
    c
}

fn open(c: &mut Client, name: &str) -> FileId {
    c.create(&opening(name)).expect("a pipe").file_id
}

/// A pipe to the server service, bound.
fn bound(c: &mut Client) -> FileId {
    let pipe = open(c, "srvsvc");
    let ack = c.ioctl(CtlCode::PIPE_TRANSCEIVE, pipe, &bind(SRVSVC)).expect("an answer");
    assert_eq!(ack[2], BIND_ACK);
    pipe
}

fn reading(file_id: FileId, length: u32) -> ReadRequest<'static> {
    ReadRequest { file_id, length, ..ReadRequest::default() }
}

fn read(reply: &Reply) -> &[u8] {
    ReadResponse::decode(&mut reply.reader()).expect("READ answer").data
}

fn cancel(c: &mut Client, id: u64) {
    let mut header = c.header(&CancelRequest);
    header.message_id.0 = id;
    header.credits = 0;
    if let Some(async_id) = c.interim.get(&id) {
        header.flags |= HeaderFlags::ASYNC;
        header.async_id = *async_id;
    }
    c.send_as(&header, &CancelRequest);
}

#[test]
fn a_read_waits_for_the_answer() {
    let server = Server::plain();
    for seal in [false, true] {
        let mut c = on_ipc(&server);
        c.seal = seal;
        let pipe = bound(&mut c);
        let id = c.send(&reading(pipe, 4096));
        let interim = c.wait_interim(id);
        assert_eq!(interim.status(), NtStatus::PENDING);
        assert_eq!(c.echo(), NtStatus::SUCCESS, "the connection goes on");
        // Half a request is no reason to answer.
        let request = time_of_day();
        c.write(pipe, 0, &request[..20]).unwrap();
        assert_eq!(c.echo(), NtStatus::SUCCESS);
        c.write(pipe, 0, &request[20..]).unwrap();
        let reply = c.wait(id);
        assert_eq!(reply.status(), NtStatus::SUCCESS);
        assert_eq!(reply.header.async_id, interim.header.async_id);
        assert_eq!((read(&reply)[2], read(&reply).len()), (RESPONSE, 80));
        assert_eq!(c.close(pipe), NtStatus::SUCCESS);
    }
}

#[test]
fn a_waiting_read_can_be_cancelled_and_the_answer_is_not_lost() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let pipe = bound(&mut c);
    let id = c.send(&reading(pipe, 4096));
    c.wait_interim(id);
    cancel(&mut c, id);
    assert_eq!(c.wait(id).status(), NtStatus::CANCELLED);
    // Right behind it: the interim answer is not awaited.
    for _ in 0..20 {
        let id = c.send(&reading(pipe, 4096));
        cancel(&mut c, id);
        assert_eq!(c.wait(id).status(), NtStatus::CANCELLED);
    }
    c.write(pipe, 0, &time_of_day()).unwrap();
    assert_eq!(c.read(pipe, 0, 4096).unwrap().len(), 80);
}

#[test]
fn close_and_disconnect_end_a_waiting_read() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let pipe = bound(&mut c);
    let ids = [c.send(&reading(pipe, 4096)), c.send(&reading(pipe, 10))];
    ids.iter().for_each(|id| drop(c.wait_interim(*id)));
    assert_eq!(c.close(pipe), NtStatus::SUCCESS);
    for id in ids {
        assert_eq!(c.wait(id).status(), NtStatus::PIPE_BROKEN);
    }
    assert_eq!(c.read(pipe, 0, 10), Err(NtStatus::FILE_CLOSED));

    let pipe = bound(&mut c);
    let id = c.send(&reading(pipe, 4096));
    // In one go: the read has begun to wait when the tree goes.
    assert_eq!(c.tree_disconnect(), NtStatus::SUCCESS);
    assert_eq!(c.wait(id).status(), NtStatus::PIPE_BROKEN);
    assert_eq!(c.echo(), NtStatus::SUCCESS);
}

#[test]
fn a_message_is_read_in_pieces() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let pipe = bound(&mut c);
    c.write(pipe, 0, &time_of_day()).unwrap();
    c.write(pipe, 0, &time_of_day()).unwrap();
    let first = c.call(&reading(pipe, 30));
    assert_eq!((first.status(), read(&first).len()), (NtStatus::BUFFER_OVERFLOW, 30));
    let rest = c.call(&reading(pipe, 4096));
    assert_eq!((rest.status(), read(&rest).len()), (NtStatus::SUCCESS, 50));
    // The second message is one of its own; nothing is nothing, and waits for nothing.
    let nothing = c.call(&reading(pipe, 0));
    assert_eq!(nothing.status(), NtStatus::BUFFER_OVERFLOW);
    assert_eq!(c.read(pipe, 0, 4096).unwrap().len(), 80);
    assert_eq!(c.call(&reading(pipe, 0)).status(), NtStatus::SUCCESS);

    let mut small = fsctl(CtlCode::PIPE_TRANSCEIVE, pipe, &[]);
    let request = time_of_day();
    (small.input, small.max_output_response) = (&request, 24);
    let part = c.call(&small);
    assert_eq!(part.status(), NtStatus::BUFFER_OVERFLOW);
    assert_eq!(IoctlResponse::decode(&mut part.reader()).unwrap().output.len(), 24);
    assert_eq!(c.read(pipe, 0, 4096).unwrap().len(), 56);
}

#[test]
fn a_transceive_of_half_a_request_waits_for_the_rest() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let pipe = bound(&mut c);
    let request = time_of_day();
    let id = c.send(&fsctl(CtlCode::PIPE_TRANSCEIVE, pipe, &request[..20]));
    c.wait_interim(id);
    let busy = c.ioctl(CtlCode::PIPE_TRANSCEIVE, pipe, &request);
    assert_eq!(busy, Err(NtStatus::PIPE_BUSY), "somebody waits");
    c.write(pipe, 0, &request[20..]).unwrap();
    let reply = c.wait(id);
    assert_eq!(reply.status(), NtStatus::SUCCESS);
    let answer = IoctlResponse::decode(&mut reply.reader()).unwrap();
    assert_eq!((answer.ctl_code, answer.file_id), (CtlCode::PIPE_TRANSCEIVE, pipe));
    assert_eq!(answer.output.len(), 80);

    c.write(pipe, 0, &request).unwrap();
    let busy = c.ioctl(CtlCode::PIPE_TRANSCEIVE, pipe, &request);
    assert_eq!(busy, Err(NtStatus::PIPE_BUSY), "an answer is unread");

    // Taken back.
    c.read(pipe, 0, 4096).unwrap();
    let id = c.send(&fsctl(CtlCode::PIPE_TRANSCEIVE, pipe, &request[..20]));
    c.wait_interim(id);
    cancel(&mut c, id);
    assert_eq!(c.wait(id).status(), NtStatus::CANCELLED);
}

#[test]
fn names_are_looked_up_whatever_way_they_are_asked_for() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let found = |answer: &[u8]| {
        let end = answer.len();
        (
            answer[2],
            u32::from_le_bytes(answer[end - 8..end - 4].try_into().unwrap()),
            answer[end - 4..].to_vec(),
        )
    };
    for pipelined in [false, true] {
        let pipe = open(&mut c, "lsarpc");
        let ask = |c: &mut Client, pdu: &[u8]| {
            if !pipelined {
                return c.ioctl(CtlCode::PIPE_TRANSCEIVE, pipe, pdu).expect("an answer");
            }
            // The read is there before the look-up is over; two writes, in order.
            let (first, second) = pdu.split_at(pdu.len() / 2);
            let write = |data| WriteRequest { file_id: pipe, data, ..WriteRequest::default() };
            let ids = [c.send(&write(first)), c.send(&write(second))];
            let id = c.send(&reading(pipe, 65536));
            ids.iter().for_each(|id| assert_eq!(c.wait(*id).status(), NtStatus::SUCCESS));
            read(&c.wait(id)).to_vec()
        };
        assert_eq!(ask(&mut c, &bind(LSARPC))[2], BIND_ACK);
        let policy = ask(&mut c, &open_policy())[24..44].to_vec();
        let answer = ask(&mut c, &look_up(&policy, "root"));
        assert_eq!(found(&answer), (RESPONSE, 1, vec![0; 4]));
        let answer = ask(&mut c, &look_up(&policy, "no such account"));
        assert_eq!(found(&answer), (RESPONSE, 0, NtStatus::NONE_MAPPED.0.to_le_bytes().to_vec()));
        assert_eq!(c.close(pipe), NtStatus::SUCCESS);
    }
}

#[test]
fn a_whole_exchange_goes_in_one_message() {
    let server = Server::plain();
    for (name, interface) in [("srvsvc", SRVSVC), ("lsarpc", LSARPC)] {
        let mut c = on_ipc(&server);
        let data = bind(interface);
        let write = WriteRequest { file_id: FileId::RELATED, data: &data, ..WriteRequest::default() };
        let close = CloseRequest { flags: CloseFlags::empty(), file_id: FileId::RELATED };
        let compound =
            c.compound().add(&opening(name)).related(&write).related(&reading(FileId::RELATED, 4096));
        let ids = compound.related(&close).send();
        let replies: Vec<_> = ids.iter().map(|id| c.wait(*id)).collect();
        assert!(replies.iter().all(|r| r.status() == NtStatus::SUCCESS), "{name}: {replies:?}");
        assert_eq!(read(&replies[2])[2], BIND_ACK);
    }
}

#[test]
fn bad_bytes_cost_the_pipe_and_nothing_else() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let (pipe, other) = (bound(&mut c), bound(&mut c));
    let id = c.send(&reading(pipe, 4096));
    c.wait_interim(id);
    assert_eq!(c.write(pipe, 0, &[0xFF; 100]), Err(NtStatus::PIPE_DISCONNECTED));
    assert_eq!(c.wait(id).status(), NtStatus::PIPE_DISCONNECTED);
    assert_eq!(c.read(pipe, 0, 4096), Err(NtStatus::PIPE_DISCONNECTED));
    assert_eq!(c.ioctl(CtlCode::PIPE_TRANSCEIVE, pipe, &time_of_day()), Err(NtStatus::PIPE_DISCONNECTED));
    // An opnum that is none, and arguments that are none: faults, and the pipe goes on.
    for (opnum, fault) in [(999, 0x1C01_0002u32), (15, 0x6F7)] {
        let answer = c.ioctl(CtlCode::PIPE_TRANSCEIVE, other, &call(opnum, &[1])).unwrap();
        assert_eq!((answer[2], &answer[24..28]), (3, &fault.to_le_bytes()[..]));
    }
    assert_eq!(c.ioctl(CtlCode::PIPE_TRANSCEIVE, other, &time_of_day()).unwrap().len(), 80);
}

#[test]
fn a_pipe_may_be_told_not_to_wait() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let pipe = bound(&mut c);
    let modes = |read: u32, completion: u32| [read.to_le_bytes(), completion.to_le_bytes()].concat();
    let set = |c: &mut Client, modes: &[u8]| {
        let request = SetInfoRequest {
            info_type: InfoType::FILE,
            file_info_class: 23,
            file_id: pipe,
            buffer: modes,
            ..SetInfoRequest::default()
        };
        c.call(&request).status()
    };
    assert_eq!(c.query_file(pipe, 23).unwrap(), modes(1, 0));
    assert_eq!(set(&mut c, &modes(0, 1)), NtStatus::SUCCESS);
    assert_eq!(c.query_file(pipe, 23).unwrap(), modes(0, 1));
    assert_eq!(c.read(pipe, 0, 10), Err(NtStatus::PIPE_EMPTY));
    c.write(pipe, 0, &time_of_day()).unwrap();
    assert_eq!(c.call(&reading(pipe, 10)).status(), NtStatus::SUCCESS, "bytes, not messages");
    assert_eq!(set(&mut c, &modes(2, 0)), NtStatus::INVALID_PARAMETER);
    assert_eq!(set(&mut c, &modes(0, 2)), NtStatus::INVALID_PARAMETER);
}

#[test]
fn a_session_has_so_many_pipes() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let pipes: Vec<_> = (0..300).map_while(|_| c.create(&opening("srvsvc")).ok()).collect();
    assert_eq!(pipes.len(), 256);
    assert_eq!(c.create(&opening("srvsvc")).unwrap_err(), NtStatus::INSUFFICIENT_RESOURCES);
    let mut other = on_ipc(&server);
    bound(&mut other);
    assert_eq!(c.close(pipes[7].file_id), NtStatus::SUCCESS);
    assert!(c.create(&opening("srvsvc")).is_ok());
}

#[test]
fn pipes_are_talked_through_and_peeked_into() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let pipe = open(&mut c, "srvsvc");
    let peek = |c: &mut Client| {
        let got = c.call(&fsctl(CtlCode::PIPE_PEEK, pipe, &[]));
        let output = IoctlResponse::decode(&mut got.reader()).expect("IOCTL answer").output.to_vec();
        // State, bytes to read, messages, bytes of the first.
        let word = |n: usize| u32::from_le_bytes(output[4 * n..4 * n + 4].try_into().unwrap());
        (got.status(), [word(0), word(1), word(2), word(3)])
    };
    assert_eq!(peek(&mut c), (NtStatus::SUCCESS, [3, 0, 0, 0]));
    let other = open(&mut c, "srvsvc");
    let answer = c.ioctl(CtlCode::PIPE_TRANSCEIVE, other, &bind(SRVSVC)).unwrap();
    assert_eq!(answer[2], BIND_ACK);
    // Written and not read yet.
    c.write(pipe, 0, &bind(SRVSVC)).unwrap();
    let len = answer.len() as u32;
    assert_eq!(peek(&mut c), (NtStatus::BUFFER_OVERFLOW, [3, len, 1, len]));
    assert_eq!(c.read(pipe, 0, 4096).unwrap().len(), answer.len());
    assert_eq!(peek(&mut c).1[1], 0);
    assert!(c.ioctl(CtlCode::SET_SPARSE, pipe, &[]).is_err());
}

#[test]
fn every_pipe_there_is_can_be_waited_for() {
    let server = Server::plain();
    let mut c = on_ipc(&server);
    let mut wait = |name: &str| {
        let mut bytes = Vec::new();
        PipeWait { timeout: None, name: name.into() }.encode(&mut Writer::new(&mut bytes));
        c.ioctl(CtlCode::PIPE_WAIT, FileId::RELATED, &bytes).map(drop)
    };
    for name in ["srvsvc", "wkssvc", "lsarpc", "samr", "LSARPC"] {
        assert_eq!(wait(name), Ok(()), "{name}");
    }
    for name in ["netlogon", "", "epmapper"] {
        assert_eq!(wait(name), Err(NtStatus::OBJECT_NAME_NOT_FOUND), "{name}");
    }
}
