//! The three messages (MS-NLMP 2.2.1) and AV pairs (2.2.2.1).

use crate::wire::codec::{DecodeError, Reader, Result, decode_utf16};

pub const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
/// Where the MIC stands in an AUTHENTICATE_MESSAGE.
pub const MIC: std::ops::Range<usize> = 72..88;

bitflags::bitflags! {
    /// NegotiateFlags (MS-NLMP 2.2.2.5).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags: u32 {
        const UNICODE = 0x0000_0001;
        const REQUEST_TARGET = 0x0000_0004;
        const SIGN = 0x0000_0010;
        const SEAL = 0x0000_0020;
        const NTLM = 0x0000_0200;
        const ANONYMOUS = 0x0000_0800;
        const ALWAYS_SIGN = 0x0000_8000;
        const TARGET_TYPE_SERVER = 0x0002_0000;
        const EXTENDED_SESSIONSECURITY = 0x0008_0000;
        const TARGET_INFO = 0x0080_0000;
        const VERSION = 0x0200_0000;
        const KEY_128 = 0x2000_0000;
        const KEY_EXCH = 0x4000_0000;
        const KEY_56 = 0x8000_0000;
        const _ = !0;
    }
}

/// AvId.
pub mod av {
    pub const EOL: u16 = 0;
    pub const NB_COMPUTER_NAME: u16 = 1;
    pub const NB_DOMAIN_NAME: u16 = 2;
    pub const DNS_COMPUTER_NAME: u16 = 3;
    pub const DNS_DOMAIN_NAME: u16 = 4;
    pub const FLAGS: u16 = 6;
    pub const TIMESTAMP: u16 = 7;
    /// In the value of `FLAGS`: the message carries a MIC.
    pub const FLAG_MIC: u32 = 2;
}

/// Which message this is.
pub fn message_type(bytes: &[u8]) -> Result<u32> {
    let mut r = Reader::new(bytes);
    if r.bytes(8, "NTLMSSP signature")? != SIGNATURE {
        return Err(DecodeError::new("NTLMSSP signature"));
    }
    r.u32("NTLMSSP message type")
}

fn expect(bytes: &[u8], kind: u32) -> Result<()> {
    if message_type(bytes)? == kind { Ok(()) } else { Err(DecodeError::new("NTLMSSP message type")) }
}

fn flags(bytes: &[u8], pos: usize) -> Result<Flags> {
    Reader::at(bytes, pos).u32("NegotiateFlags").map(Flags::from_bits_retain)
}

/// The payload that the field at `pos` points to.
fn field<'a>(bytes: &'a [u8], pos: usize, what: &'static str) -> Result<&'a [u8]> {
    let mut r = Reader::at(bytes, pos);
    let len = r.u16(what)?;
    r.skip(2, what)?;
    let offset = r.u32(what)?;
    r.slice_at(offset as usize, len.into(), what)
}

/// NEGOTIATE_MESSAGE (2.2.1.1). The names in it mean nothing to us.
#[derive(Clone, Copy, Debug)]
pub struct Negotiate {
    pub flags: Flags,
}

impl Negotiate {
    pub fn decode(bytes: &[u8]) -> Result<Negotiate> {
        expect(bytes, 1)?;
        Ok(Negotiate { flags: flags(bytes, 12)? })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from(SIGNATURE);
        out.extend(1u32.to_le_bytes());
        out.extend(self.flags.bits().to_le_bytes());
        out.extend([0; 16]);
        out.extend(version(self.flags));
        out
    }
}

/// Windows 10, NTLMSSP revision 15, where a version is spoken of; only looked at by people.
fn version(flags: Flags) -> [u8; 8] {
    if flags.contains(Flags::VERSION) { [10, 0, 0x61, 0x4A, 0, 0, 0, 15] } else { [0; 8] }
}

/// CHALLENGE_MESSAGE (2.2.1.2).
#[derive(Clone, Debug)]
pub struct Challenge<'a> {
    pub flags: Flags,
    pub challenge: [u8; 8],
    /// In UTF-16.
    pub target_name: &'a [u8],
    pub target_info: &'a [u8],
}

impl<'a> Challenge<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Challenge<'a>> {
        expect(bytes, 2)?;
        Ok(Challenge {
            flags: flags(bytes, 20)?,
            challenge: Reader::at(bytes, 24).array("ServerChallenge")?,
            target_name: field(bytes, 12, "TargetName")?,
            target_info: field(bytes, 40, "TargetInfo")?,
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        const PAYLOAD: usize = 56;
        let mut out = Vec::from(SIGNATURE);
        out.extend(2u32.to_le_bytes());
        push_field(&mut out, self.target_name.len(), PAYLOAD);
        out.extend(self.flags.bits().to_le_bytes());
        out.extend(self.challenge);
        out.extend([0; 8]);
        push_field(&mut out, self.target_info.len(), PAYLOAD + self.target_name.len());
        out.extend(version(self.flags));
        out.extend(self.target_name);
        out.extend(self.target_info);
        out
    }
}

fn push_field(out: &mut Vec<u8>, len: usize, offset: usize) {
    out.extend((len as u16).to_le_bytes());
    out.extend((len as u16).to_le_bytes());
    out.extend((offset as u32).to_le_bytes());
}

/// AUTHENTICATE_MESSAGE (2.2.1.3).
#[derive(Clone, Debug, Default)]
pub struct Authenticate<'a> {
    pub lm_response: &'a [u8],
    pub nt_response: &'a [u8],
    pub domain: String,
    pub user: String,
    pub workstation: String,
    /// EncryptedRandomSessionKey.
    pub session_key: &'a [u8],
    pub flags: Flags,
}

impl<'a> Authenticate<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Authenticate<'a>> {
        expect(bytes, 3)?;
        let name = |pos, what| decode_utf16(field(bytes, pos, what)?, what);
        Ok(Authenticate {
            lm_response: field(bytes, 12, "LmChallengeResponse")?,
            nt_response: field(bytes, 20, "NtChallengeResponse")?,
            domain: name(28, "DomainName")?,
            user: name(36, "UserName")?,
            workstation: name(44, "Workstation")?,
            session_key: field(bytes, 52, "EncryptedRandomSessionKey")?,
            flags: flags(bytes, 60)?,
        })
    }

    /// The MIC is zero.
    pub fn encode(&self) -> Vec<u8> {
        let utf16 = |s: &str| s.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let (domain, user, workstation) = (utf16(&self.domain), utf16(&self.user), utf16(&self.workstation));
        let mut out = Vec::from(SIGNATURE);
        out.extend(3u32.to_le_bytes());
        let mut payload: Vec<u8> = Vec::new();
        for part in [self.lm_response, self.nt_response, &domain, &user, &workstation, self.session_key] {
            push_field(&mut out, part.len(), MIC.end + payload.len());
            payload.extend(part);
        }
        out.extend(self.flags.bits().to_le_bytes());
        out.extend(version(self.flags));
        out.extend([0; 16]);
        out.extend(payload);
        out
    }
}

/// Walks AV pairs up to the end mark. Bytes after it are padding.
pub fn av_pairs(bytes: &[u8]) -> Result<Vec<(u16, &[u8])>> {
    const WHAT: &str = "AV_PAIR";
    let mut r = Reader::new(bytes);
    let mut out = Vec::new();
    loop {
        let id = r.u16(WHAT)?;
        let len = r.u16(WHAT)?;
        if id == av::EOL {
            return Ok(out);
        }
        out.push((id, r.bytes(len.into(), WHAT)?));
        if out.len() > 64 {
            return Err(DecodeError::new(WHAT));
        }
    }
}

pub fn push_av(out: &mut Vec<u8>, id: u16, value: &[u8]) {
    out.extend(id.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(value);
}
