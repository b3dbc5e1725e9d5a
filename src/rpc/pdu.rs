//! Connection-oriented PDUs (C706 12.6, MS-RPCE 2.2.2).

use crate::types::{Guid, open_enum};
use crate::wire::codec::{DecodeError, Reader, Result, Writer};

open_enum! {
    /// C706 12.6.4.
    pub struct PacketType(u8) {
        REQUEST = 0,
        RESPONSE = 2,
        FAULT = 3,
        BIND = 11,
        BIND_ACK = 12,
        BIND_NAK = 13,
        ALTER_CONTEXT = 14,
        ALTER_CONTEXT_RESP = 15,
        CO_CANCEL = 18,
        ORPHANED = 19,
    }
}

open_enum! {
    /// Status of a FAULT (C706 appendix E, MS-ERREF).
    pub struct Fault(u32) {
        ACCESS_DENIED = 5,
        BAD_STUB_DATA = 0x0000_06F7,
        OP_RNG_ERROR = 0x1C01_0002,
        UNK_IF = 0x1C01_0003,
        PROTO_ERROR = 0x1C01_000B,
        CONTEXT_MISMATCH = 0x1C00_001A,
        REMOTE_NO_MEMORY = 0x1C00_001B,
    }
}

impl From<DecodeError> for Fault {
    fn from(_: DecodeError) -> Fault {
        Fault::BAD_STUB_DATA
    }
}

pub const FIRST_FRAG: u8 = 0x01;
pub const LAST_FRAG: u8 = 0x02;
pub const DID_NOT_EXECUTE: u8 = 0x20;
pub const MAYBE: u8 = 0x40;
pub const OBJECT_UUID: u8 = 0x80;

/// Bytes of the common header.
pub const HEADER: usize = 16;
/// Bytes before the stub of a RESPONSE.
pub const RESPONSE_HEADER: usize = 24;

/// The common header of every PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub kind: PacketType,
    pub flags: u8,
    pub frag_length: u16,
    pub auth_length: u16,
    pub call_id: u32,
}

impl Header {
    /// Version 5.0 or 5.1, little-endian, ASCII.
    pub fn decode(r: &mut Reader<'_>) -> Result<Header> {
        if r.u8("rpc_vers")? != 5 || r.u8("rpc_vers_minor")? > 1 {
            return Err(DecodeError::new("rpc_vers"));
        }
        let kind = PacketType(r.u8("PTYPE")?);
        let flags = r.u8("pfc_flags")?;
        if r.u8("packed_drep")? != 0x10 {
            return Err(DecodeError::new("packed_drep"));
        }
        r.skip(3, "packed_drep")?;
        let frag_length = r.u16("frag_length")?;
        if usize::from(frag_length) < HEADER {
            return Err(DecodeError::new("frag_length"));
        }
        Ok(Header {
            kind,
            flags,
            frag_length,
            auth_length: r.u16("auth_length")?,
            call_id: r.u32("call_id")?,
        })
    }

    /// `frag_length` is set by [`finish`].
    fn encode(kind: PacketType, flags: u8, call_id: u32, w: &mut Writer<'_>) {
        w.bytes(&[5, 0, kind.0, flags, 0x10, 0, 0, 0]);
        w.u32(0);
        w.u32(call_id);
    }
}

fn finish(mut pdu: Vec<u8>) -> Vec<u8> {
    let len = pdu.len() as u16;
    pdu[8..10].copy_from_slice(&len.to_le_bytes());
    pdu
}

/// An interface or a transfer syntax with its version (major in the low half).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Syntax {
    pub uuid: Guid,
    pub version: u32,
}

impl Syntax {
    /// From the parts of a UUID as it is written.
    pub const fn new(a: u32, b: u16, c: u16, d: [u8; 8], version: u32) -> Syntax {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        let uuid =
            [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]];
        Syntax { uuid: Guid(uuid), version }
    }

    /// NDR 2.0 (C706 appendix I).
    pub const NDR: Syntax =
        Syntax::new(0x8A88_5D04, 0x1CEB, 0x11C9, [0x9F, 0xE8, 0x08, 0x00, 0x2B, 0x10, 0x48, 0x60], 2);

    /// Not a syntax but a list of features the client has (MS-RPCE 3.3.1.5.3): the first 8 bytes of the
    /// UUID are fixed.
    pub fn is_feature_negotiation(&self) -> bool {
        self.uuid.0[..8] == [0x2C, 0x1C, 0xB7, 0x6C, 0x12, 0x98, 0x40, 0x45] && self.version == 1
    }

    fn decode(r: &mut Reader<'_>) -> Result<Syntax> {
        Ok(Syntax { uuid: Guid(r.array("syntax")?), version: r.u32("syntax version")? })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.uuid.0);
        w.u32(self.version);
    }
}

/// One presentation context that a BIND or ALTER_CONTEXT proposes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    pub context_id: u16,
    pub interface: Syntax,
    pub transfer: Vec<Syntax>,
}

/// BIND and ALTER_CONTEXT (C706 12.6.4.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bind {
    pub max_xmit_frag: u16,
    pub max_recv_frag: u16,
    pub assoc_group_id: u32,
    pub proposals: Vec<Proposal>,
}

impl Bind {
    /// The reader stands after the header.
    pub fn decode(r: &mut Reader<'_>) -> Result<Bind> {
        let max_xmit_frag = r.u16("max_xmit_frag")?;
        let max_recv_frag = r.u16("max_recv_frag")?;
        let assoc_group_id = r.u32("assoc_group_id")?;
        let count = r.u8("n_context_elem")?;
        r.skip(3, "reserved")?;
        let mut proposals = Vec::new();
        for _ in 0..count {
            let context_id = r.u16("p_cont_id")?;
            let syntaxes = r.u8("n_transfer_syn")?;
            r.skip(1, "reserved")?;
            let interface = Syntax::decode(r)?;
            let transfer = (0..syntaxes).map(|_| Syntax::decode(r)).collect::<Result<_>>()?;
            proposals.push(Proposal { context_id, interface, transfer });
        }
        Ok(Bind { max_xmit_frag, max_recv_frag, assoc_group_id, proposals })
    }
}

/// What became of a proposal (C706 12.6.3.1, MS-RPCE 2.2.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Accepted,
    NoSuchInterface,
    NoSuchTransferSyntax,
    TooMany,
    /// Answer to feature negotiation: the features the server has too.
    Features(u16),
}

impl Outcome {
    const fn wire(self) -> (u16, u16) {
        match self {
            Outcome::Accepted => (0, 0),
            Outcome::NoSuchInterface => (2, 1),
            Outcome::NoSuchTransferSyntax => (2, 2),
            Outcome::TooMany => (2, 3),
            Outcome::Features(bits) => (3, bits),
        }
    }
}

/// BIND_ACK and ALTER_CONTEXT_RESP. `address`: the pipe's name; empty in the latter.
pub fn bind_ack(
    kind: PacketType,
    call_id: u32,
    frag: u16,
    group: u32,
    address: &str,
    outcomes: &[Outcome],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    Header::encode(kind, FIRST_FRAG | LAST_FRAG, call_id, &mut w);
    w.u16(frag);
    w.u16(frag);
    w.u32(group);
    if address.is_empty() {
        w.u16(0);
    } else {
        w.u16(address.len() as u16 + 1);
        w.bytes(address.as_bytes());
        w.u8(0);
    }
    w.align(4);
    w.u32(outcomes.len() as u32);
    for outcome in outcomes {
        let (result, reason) = outcome.wire();
        w.u16(result);
        w.u16(reason);
        if *outcome == Outcome::Accepted { Syntax::NDR } else { Syntax::default() }.encode(&mut w);
    }
    finish(out)
}

/// BIND_NAK reasons (C706 12.6.3.1, MS-RPCE 2.2.2.5).
pub const NAK_NOT_SPECIFIED: u16 = 0;
pub const NAK_AUTHENTICATION: u16 = 8;

/// BIND_NAK: names 5.0 as the version we speak.
pub fn bind_nak(call_id: u32, reason: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    Header::encode(PacketType::BIND_NAK, FIRST_FRAG | LAST_FRAG, call_id, &mut w);
    w.u16(reason);
    w.bytes(&[1, 5, 0]);
    w.align(4);
    finish(out)
}

/// FAULT.
pub fn fault(call_id: u32, context_id: u16, fault: Fault) -> Vec<u8> {
    let mut flags = FIRST_FRAG | LAST_FRAG;
    if matches!(fault, Fault::OP_RNG_ERROR | Fault::UNK_IF) {
        flags |= DID_NOT_EXECUTE;
    }
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    Header::encode(PacketType::FAULT, flags, call_id, &mut w);
    w.u32(32);
    w.u16(context_id);
    w.u16(0);
    w.u32(fault.0);
    w.u32(0);
    finish(out)
}

/// The fragments of a RESPONSE, each of at most `frag` bytes.
pub fn response(call_id: u32, context_id: u16, stub: &[u8], frag: u16) -> Vec<Vec<u8>> {
    // Fragments but the last carry a multiple of 8 bytes of the stub.
    let room = (usize::from(frag) - RESPONSE_HEADER) & !7;
    let count = stub.len().div_ceil(room).max(1);
    let fragment = |i: usize| {
        let rest = &stub[i * room..];
        let mut flags = if i == 0 { FIRST_FRAG } else { 0 };
        if i + 1 == count {
            flags |= LAST_FRAG;
        }
        let mut out = Vec::with_capacity(RESPONSE_HEADER + rest.len().min(room));
        let mut w = Writer::new(&mut out);
        Header::encode(PacketType::RESPONSE, flags, call_id, &mut w);
        w.u32(rest.len() as u32);
        w.u16(context_id);
        w.u16(0);
        w.bytes(&rest[..rest.len().min(room)]);
        finish(out)
    };
    (0..count).map(fragment).collect()
}
