//! A small RPC client against the pipes.

use super::ndr::{NdrReader, NdrWriter};
use super::pdu::{self, Fault, Header, PacketType};
use super::pipe::Part;
use super::{Context, Pipe, ShareEntry, ShareKind, Waiter, open};
use crate::auth::accounts::{Accounts, By, UnixGroup, UnixUser};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use proptest::prelude::*;
use std::sync::Arc;

mod pipe;

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

/// Two users who can log on, and one who only has an account.
#[derive(Debug)]
struct Few;

const USERS: [(&str, u32, u32, &str); 4] = [
    ("root", 0, 0, ""),
    ("alice", 1000, 100, "Alice Liddell"),
    ("media", 1001, 1001, ""),
    ("daemon", 1, 1, ""),
];
const GROUPS: [(&str, u32); 4] = [("root", 0), ("users", 100), ("media", 1001), ("daemon", 1)];

impl Accounts for Few {
    fn user(&self, by: By<'_>) -> Option<UnixUser> {
        let is = |name: &str, uid| match by {
            By::Name(n) => n.eq_ignore_ascii_case(name),
            By::Id(id) => id == uid,
        };
        USERS.iter().find(|(name, uid, ..)| is(name, *uid)).map(|&(name, uid, gid, full_name)| UnixUser {
            name: name.into(),
            uid,
            gid,
            full_name: full_name.into(),
        })
    }

    fn group(&self, by: By<'_>) -> Option<UnixGroup> {
        let is = |name: &str, gid| match by {
            By::Name(n) => n.eq_ignore_ascii_case(name),
            By::Id(id) => id == gid,
        };
        GROUPS
            .iter()
            .find(|(name, gid)| is(name, *gid))
            .map(|&(name, gid)| UnixGroup { name: name.into(), gid })
    }

    fn groups_of(&self, user: &UnixUser) -> Vec<u32> {
        if user.uid == 1000 { vec![100, 1001] } else { vec![user.gid] }
    }

    fn users(&self) -> Vec<String> {
        ["media", "Alice", "nobody here"].map(Into::into).into()
    }

    fn is_disabled(&self, name: &str) -> bool {
        name == "media"
    }
}

pub fn context() -> Context {
    let ipc = ShareEntry { name: "IPC$".into(), kind: ShareKind::Ipc, ..ShareEntry::default() };
    let shares = vec![share("media"), ShareEntry { hidden: true, ..share("secret") }, share("Übung"), ipc];
    Context {
        server_name: "nas.example.org".into(),
        netbios_name: "NAS".into(),
        domain: "WORKGROUP".into(),
        shares,
        user: "alice".into(),
        authenticated: true,
        accounts: Arc::new(Few),
        ..Context::default()
    }
}

/// The status at the end of an answer.
pub fn status(stub: &[u8]) -> NtStatus {
    NtStatus(u32::from_le_bytes(stub[stub.len() - 4..].try_into().unwrap()))
}

/// The arguments that `write` writes behind a handle.
pub fn with(handle: &[u8], write: impl FnOnce(&mut NdrWriter)) -> Vec<u8> {
    let mut w = NdrWriter::new();
    w.handle(handle.try_into().unwrap());
    write(&mut w);
    // What is behind the arguments is not looked at.
    w.finish(0)
}

pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| b.is_ascii_hexdigit()).collect();
    digits.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// What Windows sends to srvsvc: NDR, NDR64 and feature negotiation, a context each.
const WINDOWS_BIND: &str = "
    05000b03 10000000 a0000000 02000000 b810 b810 00000000 03 000000
    0000 01 00 c84f324b7016d30112785a47bf6ee188 03000000 045d888aeb1cc9119fe808002b104860 02000000
    0100 01 00 c84f324b7016d30112785a47bf6ee188 03000000 33057171babe37498319b5dbef9ccc36 01000000
    0200 01 00 c84f324b7016d30112785a47bf6ee188 03000000 2c1cb76c129840450300000000000000 01000000";

pub fn request(call_id: u32, opnum: u16, flags: u8, stub: &[u8]) -> Vec<u8> {
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

/// Writes where nobody waits.
pub fn write(pipe: &Pipe, bytes: &[u8]) -> Result<(), NtStatus> {
    let mut served = Vec::new();
    let result = pipe.write(bytes, &mut served);
    assert_eq!(served, []);
    result
}

pub fn waiter(id: u64, max: usize) -> Waiter {
    Waiter { id, max, transceives: false }
}

/// Writes and reads what comes at once.
fn transceive(pipe: &Pipe, bytes: &[u8], max: usize) -> Part {
    let mut served = Vec::new();
    pipe.transceive(bytes, max, || Ok(waiter(0, max)), &mut served).expect("no waiting").expect("an answer")
}

pub struct Client {
    pub pipe: Pipe,
    next_call: u32,
}

impl Client {
    pub fn bound(name: &str, context: Context) -> Client {
        let (srvsvc, wkssvc) =
            ("c84f324b7016d30112785a47bf6ee188 03000000", "98d0ff6b12a11036983346c3f87e345a 01000000");
        Client::bound_to(name, if name == "srvsvc" { srvsvc } else { wkssvc }, context)
    }

    /// Bound to an interface as it stands on the wire.
    pub fn bound_to(name: &str, interface: &str, context: Context) -> Client {
        let pipe = open(name, Arc::new(context)).expect("a pipe");
        let mut bind = hex(WINDOWS_BIND);
        for at in [32, 76, 120] {
            bind[at..at + 20].copy_from_slice(&hex(interface));
        }
        let (ack, more) = transceive(&pipe, &bind, 4096);
        assert!(!more);
        assert_eq!(ack[2], PacketType::BIND_ACK.0);
        assert_eq!(ack[ack.len() - 72..][..4], [0; 4], "accepted");
        Client { pipe, next_call: 3 }
    }

    /// The stub of the response, or the fault.
    pub fn call(&mut self, opnum: u16, stub: Vec<u8>) -> Result<Vec<u8>, Fault> {
        self.next_call += 1;
        write(&self.pipe, &request(self.next_call, opnum, 3, &stub)).expect("taken");
        let mut out = Vec::new();
        loop {
            let (fragment, more) = self.pipe.read(65536).expect("an answer");
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
                assert_eq!(self.pipe.available(), (0, 0, 0));
                return Ok(out);
            }
        }
    }

    /// Names, total and status of a NetrShareEnum.
    fn shares(&mut self, level: u32, max: u32, resume: Option<u32>) -> (Vec<String>, u32, Option<u32>, u32) {
        self.shares_by(15, level, max, resume)
    }

    fn shares_by(
        &mut self,
        opnum: u16,
        level: u32,
        max: u32,
        resume: Option<u32>,
    ) -> (Vec<String>, u32, Option<u32>, u32) {
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
        let stub = self.call(opnum, w.finish(0)).expect("no fault");
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
    for name in ["srvsvc", "SrvSvc", "\\srvsvc", "WKSSVC", "lsarpc", "samr"] {
        assert!(open(name, Arc::default()).is_some(), "{name}");
    }
    for name in ["", "netlogon", "srvsvc ", "\\\\srvsvc", "pipe\\srvsvc"] {
        assert!(open(name, Arc::default()).is_none(), "{name}");
    }
}

#[test]
fn windows_bind_gets_ndr_and_the_features_answered() {
    let pipe = open("srvsvc", Arc::new(context())).unwrap();
    let (ack, _) = transceive(&pipe, &hex(WINDOWS_BIND), 4096);
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
    let pipe = open("wkssvc", Arc::new(context())).unwrap();
    let (ack, _) = transceive(&pipe, &hex(WINDOWS_BIND), 4096);
    assert_eq!(ack[2], PacketType::BIND_ACK.0);
    let results = &ack[ack.len() - 72..];
    assert_eq!(results[..4], [2, 0, 1, 0]);
    let (fault, _) = transceive(&pipe, &request(9, 0, 3, &[]), 4096);
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
    // NetrShareEnumSticky: what was shared by somebody.
    for level in [0, 1, 2, 502, 503] {
        assert_eq!(client.shares_by(36, level, u32::MAX, None).0, ["media", "Übung"], "level {level}");
    }
    assert_eq!(client.shares_by(36, 501, u32::MAX, None).3, 124);
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
    let pipe = Client::bound("srvsvc", Context { shares, ..context() }).pipe;
    let mut w = NdrWriter::new();
    [0, 1, 1, 0].into_iter().for_each(|v| w.u32(v));
    w.u32(u32::MAX);
    let (first, more) = transceive(&pipe, &request(1, 15, 3, &w.finish(0)), 100);
    assert_eq!((first.len(), more), (100, true));
    let whole = usize::from(u16::from_le_bytes([first[8], first[9]]));
    assert_eq!(pipe.available(), (whole - 100, whole - 100, 1));
    let (second, more) = pipe.read(65536).unwrap();
    assert_eq!((second.len(), more), (whole - 100, false));
    assert_eq!(pipe.read(10), Ok((vec![], false)));
}

#[test]
fn a_call_may_come_in_fragments_and_in_crumbs() {
    let pipe = Client::bound("srvsvc", context()).pipe;
    let mut w = NdrWriter::new();
    w.pointer(true);
    w.string("nas");
    w.string("MEDIA");
    let stub = w.finish(1);
    let mut bytes = request(5, 16, pdu::FIRST_FRAG, &stub[..16]);
    bytes.extend(request(5, 16, 0, &stub[16..24]));
    bytes.extend(request(5, 16, pdu::LAST_FRAG, &stub[24..]));
    for byte in bytes {
        assert_eq!(pipe.available(), (0, 0, 0));
        write(&pipe, &[byte]).unwrap();
    }
    let (answer, _) = pipe.read(4096).unwrap();
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
    let mut client = Client::bound("srvsvc", Context { server_name: "nas".into(), ..context() });
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
    assert_eq!((r.string(), r.string()), (Ok("nas.example.org".into()), Ok("WORKGROUP".into())));
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

fn drive(pipe: &Pipe, bytes: &[u8]) {
    for piece in bytes.chunks(700) {
        if write(pipe, piece).is_err() {
            break;
        }
        let _ = pipe.read(50);
    }
    while pipe.read(1000).is_ok_and(|(data, _)| !data.is_empty()) {}
    assert_eq!(pipe.available(), (0, 0, 0));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drive(&open("lsarpc", Arc::new(context())).unwrap(), &bytes);
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
        drive(&open("srvsvc", Arc::new(context())).unwrap(), &bytes);
    }
}
