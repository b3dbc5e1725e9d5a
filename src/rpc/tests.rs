//! A small RPC client against the pipes.

use super::ndr::{NdrReader, NdrWriter};
use super::pdu::{self, Fault, Header, PacketType};
use super::{Context, Pipe, ShareEntry, ShareKind, open};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use proptest::prelude::*;
use std::sync::Arc;

fn share(name: &str) -> ShareEntry {
    ShareEntry {
        name: name.into(),
        comment: format!("{name}, shared"),
        path: format!("/srv/{name}"),
        security_descriptor: vec![1, 2, 3, 4, 5],
        flags: 0x30,
        ..ShareEntry::default()
    }
}

fn context() -> Context {
    let ipc = ShareEntry { name: "IPC$".into(), kind: ShareKind::Ipc, ..ShareEntry::default() };
    let shares = vec![share("media"), ShareEntry { hidden: true, ..share("secret") }, share("Übung"), ipc];
    Context { server_name: "nas".into(), domain: "WORKGROUP".into(), shares, ..Context::default() }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| b.is_ascii_hexdigit()).collect();
    digits.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// What Windows sends to srvsvc: NDR, NDR64 and feature negotiation, a context each.
const WINDOWS_BIND: &str = "
    05000b03 10000000 a0000000 02000000 b810 b810 00000000 03 000000
    0000 01 00 c84f324b7016d30112785a47bf6ee188 03000000 045d888aeb1cc9119fe808002b104860 02000000
    0100 01 00 c84f324b7016d30112785a47bf6ee188 03000000 33057171babe37498319b5dbef9ccc36 01000000
    0200 01 00 c84f324b7016d30112785a47bf6ee188 03000000 2c1cb76c129840450300000000000000 01000000";

fn request(call_id: u32, opnum: u16, flags: u8, stub: &[u8]) -> Vec<u8> {
    let mut out = vec![5, 0, 0, flags, 0x10, 0, 0, 0];
    out.extend((24 + stub.len() as u16).to_le_bytes());
    out.extend([0, 0]);
    out.extend(call_id.to_le_bytes());
    out.extend((stub.len() as u32).to_le_bytes());
    out.extend([0, 0]);
    out.extend(opnum.to_le_bytes());
    out.extend(stub);
    out
}

struct Client {
    pipe: Pipe,
    next_call: u32,
}

impl Client {
    fn bound(name: &str, context: Context) -> Client {
        let mut pipe = open(name, Arc::new(context)).expect("a pipe");
        let mut bind = hex(WINDOWS_BIND);
        if name == "wkssvc" {
            for at in [32, 76, 120] {
                bind[at..at + 20].copy_from_slice(&hex("98d0ff6b12a110369833 46c3f87e345a 01000000"));
            }
        }
        let (ack, more) = pipe.transceive(&bind, 4096).expect("an answer");
        assert!(!more);
        assert_eq!(ack[2], PacketType::BIND_ACK.0);
        Client { pipe, next_call: 3 }
    }

    /// The stub of the response, or the fault.
    fn call(&mut self, opnum: u16, stub: Vec<u8>) -> Result<Vec<u8>, Fault> {
        self.next_call += 1;
        self.pipe.write(&request(self.next_call, opnum, 3, &stub)).expect("taken");
        let mut out = Vec::new();
        loop {
            let (fragment, more) = self.pipe.read(65536);
            assert!(!more && fragment.len() <= 4280);
            let mut r = Reader::new(&fragment);
            let header = Header::decode(&mut r).expect("a header");
            assert_eq!(usize::from(header.frag_length), fragment.len());
            assert_eq!(header.call_id, self.next_call);
            assert_eq!(header.flags & pdu::FIRST_FRAG != 0, out.is_empty());
            if header.kind == PacketType::FAULT {
                return Err(Fault(u32::from_le_bytes(fragment[24..28].try_into().unwrap())));
            }
            assert_eq!(header.kind, PacketType::RESPONSE);
            out.extend(&fragment[24..]);
            if header.flags & pdu::LAST_FRAG != 0 {
                assert!(!self.pipe.has_output());
                return Ok(out);
            }
        }
    }

    /// Names, total and status of a NetrShareEnum.
    fn shares(&mut self, level: u32, max: u32, resume: Option<u32>) -> (Vec<String>, u32, Option<u32>, u32) {
        let mut w = NdrWriter::new();
        w.pointer(true);
        w.string("\\\\nas");
        w.u32(level);
        w.u32(level);
        w.pointer(true);
        w.u32(0);
        w.pointer(false);
        w.u32(max);
        w.unique_u32(resume);
        // What finish() adds is taken for a verification trailer.
        let stub = self.call(15, w.finish(0)).expect("no fault");
        let mut r = NdrReader::new(&stub);
        assert_eq!((r.u32(), r.u32()), (Ok(level), Ok(level)));
        let mut names = Vec::new();
        if r.pointer().unwrap() {
            let count = r.u32().unwrap();
            assert_eq!(r.pointer(), Ok(count != 0));
            if count != 0 {
                assert_eq!(r.u32(), Ok(count));
                names = entries(&mut r, level, count);
            }
        }
        let total = r.u32().unwrap();
        let resume = r.unique_u32().unwrap();
        (names, total, resume, r.u32().unwrap())
    }
}

/// Reads SHARE_INFO structures; gives the names.
fn entries(r: &mut NdrReader<'_>, level: u32, count: u32) -> Vec<String> {
    // 's': a string; 'n': a number; 'b': sized bytes; '0': null.
    let fields = match level {
        0 => "s",
        1 => "sns",
        2 => "snsnnns0",
        501 => "snsn",
        502 => "snsnnns0b",
        503 => "snsnnns0sb",
        _ => panic!("level {level}"),
    };
    let mut waiting = String::new();
    for _ in 0..count {
        for field in fields.chars() {
            match field {
                's' => assert!(r.pointer().unwrap()),
                'n' => assert!(r.u32().is_ok()),
                '0' => assert!(!r.pointer().unwrap()),
                _ => {
                    let len = r.u32().unwrap();
                    assert_eq!(r.pointer().unwrap(), len != 0);
                    assert_eq!(len, 0, "no descriptor for who is no administrator");
                }
            }
            if field == 's' {
                waiting.push('s');
            }
        }
    }
    let strings: Vec<String> = waiting.chars().map(|_| r.string().unwrap()).collect();
    strings.into_iter().step_by(waiting.len() / count as usize).collect()
}

#[test]
fn pipes_are_found_without_case() {
    for name in ["srvsvc", "SrvSvc", "\\srvsvc", "WKSSVC"] {
        assert!(open(name, Arc::default()).is_some(), "{name}");
    }
    for name in ["", "lsarpc", "srvsvc ", "\\\\srvsvc", "pipe\\srvsvc"] {
        assert!(open(name, Arc::default()).is_none(), "{name}");
    }
}

#[test]
fn windows_bind_gets_ndr_and_the_features_answered() {
    let mut pipe = open("srvsvc", Arc::new(context())).unwrap();
    let (ack, _) = pipe.transceive(&hex(WINDOWS_BIND), 4096).unwrap();
    let group = &ack[20..24];
    assert_ne!(group, [0; 4]);
    let expected = hex("
        05000c03 10000000 7400 0000 02000000 b810 b810 00000000
        0d00 5c504950455c73727673766300 00 03000000
        0000 0000 045d888aeb1cc9119fe808002b104860 02000000
        0200 0200 00000000000000000000000000000000 00000000
        0300 0000 00000000000000000000000000000000 00000000");
    let mut masked = ack.clone();
    masked[20..24].fill(0);
    let expected = {
        let mut e = expected;
        let len = e.len() as u16;
        e[8..10].copy_from_slice(&len.to_le_bytes());
        e
    };
    assert_eq!(masked, expected);
}

#[test]
fn another_interface_is_rejected_and_its_calls_fault() {
    let mut pipe = open("wkssvc", Arc::new(context())).unwrap();
    let (ack, _) = pipe.transceive(&hex(WINDOWS_BIND), 4096).unwrap();
    assert_eq!(ack[2], PacketType::BIND_ACK.0);
    let results = &ack[ack.len() - 72..];
    assert_eq!(results[..4], [2, 0, 1, 0]);
    let (fault, _) = pipe.transceive(&request(9, 0, 3, &[]), 4096).unwrap();
    assert_eq!(fault[2], PacketType::FAULT.0);
    assert_eq!(fault[24..28], Fault::UNK_IF.0.to_le_bytes());
    assert_eq!(fault[3] & pdu::DID_NOT_EXECUTE, pdu::DID_NOT_EXECUTE);
}

#[test]
fn shares_are_listed_at_every_level_without_the_hidden() {
    let mut client = Client::bound("srvsvc", context());
    for level in [0, 1, 2, 501, 502, 503] {
        let (names, total, resume, status) = client.shares(level, u32::MAX, Some(0));
        assert_eq!(names, ["media", "Übung", "IPC$"], "level {level}");
        assert_eq!((total, resume, status), (3, Some(0), 0));
    }
    assert_eq!(client.shares(7, u32::MAX, None), (vec![], 0, None, 124));
}

#[test]
fn a_small_budget_is_served_in_parts() {
    let mut client = Client::bound("srvsvc", context());
    let (mut all, mut resume, mut rounds) = (Vec::new(), Some(0), 0);
    loop {
        let (names, total, next, status) = client.shares(1, 10, resume);
        assert_eq!((names.len(), total), (1, 3 - rounds));
        all.extend(names);
        rounds += 1;
        if status == 0 {
            break;
        }
        assert_eq!(status, 234);
        resume = next;
    }
    assert_eq!(all, ["media", "Übung", "IPC$"]);
}

#[test]
fn a_long_answer_comes_in_fragments() {
    let shares = (0..2000).map(|i| share(&format!("share{i}"))).collect();
    let mut client = Client::bound("srvsvc", Context { shares, ..context() });
    let (names, total, _, status) = client.shares(1, u32::MAX, None);
    assert_eq!((names.len(), total, status), (2000, 2000, 0));
    assert_eq!(names[1999], "share1999");
}

#[test]
fn a_long_message_is_read_in_pieces() {
    let shares = (0..10).map(|i| share(&format!("share{i}"))).collect();
    let mut pipe = Client::bound("srvsvc", Context { shares, ..context() }).pipe;
    let mut w = NdrWriter::new();
    [0, 1, 1, 0].into_iter().for_each(|v| w.u32(v));
    w.u32(u32::MAX);
    let (first, more) = pipe.transceive(&request(1, 15, 3, &w.finish(0)), 100).unwrap();
    assert_eq!((first.len(), more), (100, true));
    let whole = usize::from(u16::from_le_bytes([first[8], first[9]]));
    assert_eq!(pipe.available(), (whole - 100, whole - 100, 1));
    let (second, more) = pipe.read(65536);
    assert_eq!((second.len(), more), (whole - 100, false));
    assert_eq!(pipe.read(10), (vec![], false));
}

#[test]
fn a_call_may_come_in_fragments_and_in_crumbs() {
    let mut pipe = Client::bound("srvsvc", context()).pipe;
    let mut w = NdrWriter::new();
    w.pointer(true);
    w.string("nas");
    w.string("MEDIA");
    let stub = w.finish(1);
    let mut bytes = request(5, 16, pdu::FIRST_FRAG, &stub[..16]);
    bytes.extend(request(5, 16, 0, &stub[16..24]));
    bytes.extend(request(5, 16, pdu::LAST_FRAG, &stub[24..]));
    for byte in bytes {
        assert!(!pipe.has_output());
        pipe.write(&[byte]).unwrap();
    }
    let (answer, _) = pipe.read(4096);
    assert_eq!(answer[2], PacketType::RESPONSE.0);
    let mut r = NdrReader::new(&answer[24..]);
    assert_eq!((r.u32(), r.pointer()), (Ok(1), Ok(true)));
    assert_eq!(entries(&mut r, 1, 1), ["media"]);
    assert_eq!(r.u32(), Ok(0));
}

fn share_info(name: &str, level: u32) -> Vec<u8> {
    let mut w = NdrWriter::new();
    w.pointer(false);
    w.string(name);
    w.finish(level)
}

#[test]
fn share_info_finds_hidden_shares_by_name() {
    let mut client = Client::bound("srvsvc", context());
    let stub = client.call(16, share_info("SECRET", 1)).unwrap();
    assert_eq!(stub[..4], [1, 0, 0, 0]);
    assert_eq!(stub[stub.len() - 4..], [0; 4]);
    let flags = client.call(16, share_info("secret", 1005)).unwrap();
    assert_eq!(flags, hex("ed030000 00000200 30000000 00000000"));
    let unknown = client.call(16, share_info("nope", 1)).unwrap();
    assert_eq!(unknown, hex("01000000 00000000 06090000"));
    let level = client.call(16, share_info("media", 99)).unwrap();
    assert_eq!(level, hex("63000000 00000000 7c000000"));
}

#[test]
fn paths_and_descriptors_are_for_administrators() {
    let path: Vec<u8> = "/srv/media".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (administrator, seen) in [(true, true), (false, false)] {
        let mut client = Client::bound("srvsvc", Context { administrator, ..context() });
        let stub = client.call(16, share_info("media", 502)).unwrap();
        assert_eq!(stub.windows(path.len()).any(|w| w == path), seen);
        assert_eq!(stub.windows(5).any(|w| w == [1, 2, 3, 4, 5]), seen);
    }
}

#[test]
fn server_and_workstation_tell_their_names() {
    let mut client = Client::bound("srvsvc", context());
    let stub = client.call(21, hex("00000000 65000000")).unwrap();
    assert_eq!(
        stub,
        hex("65000000 00000200 f4010000 04000200 0a000000 00000000 03900000 08000200
             04000000 00000000 04000000 6e00 6100 7300 0000
             01000000 00000000 01000000 0000 0000 00000000")
    );
    for (level, status) in [(100, 0u32), (102, 0), (103, 124)] {
        let mut args = vec![0; 4];
        args.extend(u32::to_le_bytes(level));
        let stub = client.call(21, args).unwrap();
        assert_eq!(stub[stub.len() - 4..], status.to_le_bytes(), "level {level}");
    }
    let mut client = Client::bound("wkssvc", context());
    let stub = client.call(0, hex("00000000 64000000")).unwrap();
    let mut r = NdrReader::new(&stub);
    assert_eq!([r.u32(), r.u32(), r.u32()], [Ok(100), Ok(0x20000), Ok(500)]);
    for _ in 0..4 {
        r.u32().unwrap();
    }
    assert_eq!((r.string(), r.string()), (Ok("nas".into()), Ok("WORKGROUP".into())));
    assert_eq!(r.u32(), Ok(0));
}

#[test]
fn what_is_not_served_is_refused() {
    let mut client = Client::bound("srvsvc", context());
    assert_eq!(client.call(58, vec![]), Err(Fault::OP_RNG_ERROR));
    assert_eq!(client.call(5000, vec![]), Err(Fault::OP_RNG_ERROR));
    assert_eq!(client.call(14, vec![]), Err(Fault::ACCESS_DENIED));
    assert_eq!(client.call(15, vec![1]), Err(Fault::BAD_STUB_DATA));
    // NetrSessionEnum at level 10 names nobody.
    let sessions = client.call(12, hex("00000000 00000000 00000000 0a000000 0a000000")).unwrap();
    assert_eq!(sessions, hex("0a000000 0a000000 00000000 00000000 00000000 05000000"));
    // And the association goes on.
    assert_eq!(client.shares(0, u32::MAX, None).0.len(), 3);
}

#[test]
fn a_call_before_the_bind_breaks_the_pipe() {
    let mut pipe = open("srvsvc", Arc::new(context())).unwrap();
    let (fault, _) = pipe.transceive(&request(1, 15, 3, &[]), 4096).unwrap();
    assert_eq!(fault[24..28], Fault::PROTO_ERROR.0.to_le_bytes());
    assert_eq!(pipe.write(&[5]), Err(NtStatus::PIPE_DISCONNECTED));
}

#[test]
fn security_inside_rpc_is_not_offered() {
    let mut bind = hex(WINDOWS_BIND);
    bind[10] = 8;
    let mut pipe = open("srvsvc", Arc::new(context())).unwrap();
    let (nak, _) = pipe.transceive(&bind, 4096).unwrap();
    assert_eq!((nak[2], nak[16]), (PacketType::BIND_NAK.0, 8));
    assert!(pipe.is_broken());
}

#[test]
fn an_endless_call_is_cut_off() {
    let mut pipe = Client::bound("srvsvc", context()).pipe;
    let piece = vec![0; 60_000];
    pipe.write(&request(1, 15, pdu::FIRST_FRAG, &piece)).unwrap();
    let ends = (0..40).any(|_| pipe.write(&request(1, 15, 0, &piece)).is_err());
    assert!(ends && pipe.is_broken());
    let (fault, _) = pipe.read(4096);
    assert_eq!(fault[24..28], Fault::REMOTE_NO_MEMORY.0.to_le_bytes());
}

#[test]
fn answers_nobody_reads_do_not_pile_up() {
    let shares = (0..1000).map(|i| share(&format!("share{i}"))).collect();
    let mut pipe = Client::bound("srvsvc", Context { shares, ..context() }).pipe;
    let mut w = NdrWriter::new();
    [0, 1, 1, 0].into_iter().for_each(|v| w.u32(v));
    w.u32(u32::MAX);
    let call = request(1, 15, 3, &w.finish(0));
    let error = (0..1000).find_map(|_| pipe.write(&call).err());
    assert_eq!(error, Some(NtStatus::INSUFFICIENT_RESOURCES));
    assert!(pipe.available().1 < 2 << 20);
}

fn drive(bytes: &[u8]) {
    let mut pipe = open("srvsvc", Arc::new(context())).unwrap();
    for piece in bytes.chunks(700) {
        if pipe.write(piece).is_err() {
            break;
        }
        pipe.read(50);
    }
    while pipe.has_output() {
        pipe.read(1000);
    }
    assert_eq!(pipe.available(), (0, 0, 0));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drive(&bytes);
    }

    #[test]
    fn mutated_calls_never_panic(
        opnum in 0u16..60,
        stub in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..120),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = hex(WINDOWS_BIND);
        bytes.extend(request(7, opnum, 3, &stub));
        bytes.extend(request(8, 15, 1, &stub));
        bytes.extend(request(8, 15, 2, &stub));
        for (at, value) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        drive(&bytes);
    }
}
