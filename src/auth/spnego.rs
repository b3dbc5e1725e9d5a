//! The tokens of SPNEGO (RFC 4178 4.2, MS-SPNG 2.2).

use super::der::{self, context};
use crate::wire::codec::{DecodeError, Reader, Result};

/// Object identifiers, the contents of their DER.
pub mod oid {
    /// 1.3.6.1.5.5.2
    pub const SPNEGO: &[u8] = &[0x2B, 6, 1, 5, 5, 2];
    /// 1.3.6.1.4.1.311.2.2.10
    pub const NTLM: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];
    /// 1.2.840.113554.1.2.2
    pub const KERBEROS: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2];
    /// 1.2.840.48018.1.2.2: Kerberos with a slip of Windows 2000, still named first by Windows.
    pub const MS_KERBEROS: &[u8] = &[0x2A, 0x86, 0x48, 0x82, 0xF7, 0x12, 1, 2, 2];
}

/// NegState (RFC 4178 4.2.2).
pub mod state {
    pub const ACCEPT_COMPLETED: u8 = 0;
    pub const ACCEPT_INCOMPLETE: u8 = 1;
    pub const REJECT: u8 = 2;
    pub const REQUEST_MIC: u8 = 3;
}

/// More than any client offers.
const MAX_MECHS: usize = 32;

/// NegTokenInit; NegTokenInit2 has hints where this has the MIC, and they carry nothing we need.
#[derive(Debug)]
pub struct Init<'a> {
    /// In the client's order of preference.
    pub mechs: Vec<&'a [u8]>,
    /// The whole MechTypeList, tag and length included: what mechListMIC covers.
    pub mech_list: &'a [u8],
    /// Meant for the first mechanism.
    pub token: Option<&'a [u8]>,
}

/// NegTokenResp.
#[derive(Debug, Default)]
pub struct Resp<'a> {
    pub state: Option<u8>,
    pub mech: Option<&'a [u8]>,
    pub token: Option<&'a [u8]>,
    pub mic: Option<&'a [u8]>,
}

/// What a security buffer holds.
#[derive(Debug)]
pub enum Token<'a> {
    Init(Init<'a>),
    Resp(Resp<'a>),
    /// NTLMSSP without SPNEGO.
    Ntlm(&'a [u8]),
    /// A GSS token of another mechanism (this OID) without SPNEGO.
    Other(&'a [u8]),
}

impl<'a> Token<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Token<'a>> {
        const WHAT: &str = "SPNEGO token";
        if bytes.starts_with(b"NTLMSSP\0") {
            return Ok(Token::Ntlm(bytes));
        }
        match bytes.first() {
            Some(&der::APPLICATION) => {
                let mut r = Reader::new(der::only(bytes, der::APPLICATION, WHAT)?);
                let mech = der::element(&mut r, der::OID, WHAT)?;
                if mech == oid::SPNEGO {
                    Init::decode(r.rest()).map(Token::Init)
                } else {
                    Ok(Token::Other(mech))
                }
            }
            Some(&0xA0) => Init::decode(bytes).map(Token::Init),
            Some(&0xA1) => Resp::decode(bytes).map(Token::Resp),
            _ => Err(DecodeError::new(WHAT)),
        }
    }
}

impl<'a> Init<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Init<'a>> {
        const WHAT: &str = "NegTokenInit";
        let inner = der::only(der::only(bytes, context(0), WHAT)?, der::SEQUENCE, WHAT)?;
        let mut r = Reader::new(inner);
        let mut out = Init { mechs: Vec::new(), mech_list: &[], token: None };
        while !r.is_empty() {
            match der::any(&mut r, WHAT)? {
                (0xA0, list) => {
                    out.mech_list = list;
                    let mut mechs = Reader::new(der::only(list, der::SEQUENCE, WHAT)?);
                    out.mechs.clear();
                    while !mechs.is_empty() {
                        if out.mechs.len() == MAX_MECHS {
                            return Err(DecodeError::new("MechTypeList"));
                        }
                        out.mechs.push(der::element(&mut mechs, der::OID, "MechTypeList")?);
                    }
                }
                (0xA2, token) => out.token = Some(der::only(token, der::OCTET_STRING, "mechToken")?),
                _ => {}
            }
        }
        if out.mechs.is_empty() { Err(DecodeError::new("MechTypeList")) } else { Ok(out) }
    }

    /// An initiator's first token.
    pub fn encode(mechs: &[&[u8]], token: Option<&[u8]>) -> Vec<u8> {
        let list = mech_list(mechs);
        let token = token.map(|t| der::tlv(context(2), &[&der::tlv(der::OCTET_STRING, &[t])]));
        frame(&[&der::tlv(context(0), &[&list]), token.as_deref().unwrap_or(&[])])
    }

    /// An acceptor's hint (MS-SPNG 2.2.1 NegTokenInit2). The hint name is what every server sends.
    pub fn encode_hint(mechs: &[&[u8]]) -> Vec<u8> {
        const NAME: &[u8] = b"not_defined_in_RFC4178@please_ignore";
        let name = der::tlv(context(0), &[&der::tlv(der::GENERAL_STRING, &[NAME])]);
        let hints = der::tlv(context(3), &[&der::tlv(der::SEQUENCE, &[&name])]);
        frame(&[&der::tlv(context(0), &[&mech_list(mechs)]), &hints])
    }
}

/// MechTypeList.
pub fn mech_list(mechs: &[&[u8]]) -> Vec<u8> {
    let oids: Vec<_> = mechs.iter().map(|oid| der::tlv(der::OID, &[oid])).collect();
    der::tlv(der::SEQUENCE, &[&oids.concat()])
}

/// A NegTokenInit in the frame of a first GSS token.
fn frame(fields: &[&[u8]]) -> Vec<u8> {
    let init = der::tlv(context(0), &[&der::tlv(der::SEQUENCE, fields)]);
    der::tlv(der::APPLICATION, &[&der::tlv(der::OID, &[oid::SPNEGO]), &init])
}

impl<'a> Resp<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Resp<'a>> {
        const WHAT: &str = "NegTokenResp";
        let mut r = Reader::new(der::only(der::only(bytes, context(1), WHAT)?, der::SEQUENCE, WHAT)?);
        let mut out = Resp::default();
        while !r.is_empty() {
            match der::any(&mut r, WHAT)? {
                (0xA0, v) => match der::only(v, der::ENUMERATED, "negState")? {
                    &[state] => out.state = Some(state),
                    _ => return Err(DecodeError::new("negState")),
                },
                (0xA1, v) => out.mech = Some(der::only(v, der::OID, "supportedMech")?),
                (0xA2, v) => out.token = Some(der::only(v, der::OCTET_STRING, "responseToken")?),
                (0xA3, v) => out.mic = Some(der::only(v, der::OCTET_STRING, "mechListMIC")?),
                _ => {}
            }
        }
        Ok(out)
    }

    pub fn encode(&self) -> Vec<u8> {
        let field = |n, tag, value: Option<&[u8]>| {
            value.map_or(Vec::new(), |v| der::tlv(context(n), &[&der::tlv(tag, &[v])]))
        };
        let state = self.state.map(|s| [s]);
        let fields = [
            field(0, der::ENUMERATED, state.as_ref().map(|s| &s[..])),
            field(1, der::OID, self.mech),
            field(2, der::OCTET_STRING, self.token),
            field(3, der::OCTET_STRING, self.mic),
        ];
        der::tlv(context(1), &[&der::tlv(der::SEQUENCE, &[&fields.concat()])])
    }
}
