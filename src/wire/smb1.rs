//! The SMB1 NEGOTIATE by which a client asks for SMB2 (MS-SMB2 3.3.5.3.1, 3.3.5.3.2; MS-CIFS 2.2.4.52.1).

use super::codec::{DecodeError, Reader, Result, Writer};

/// `FF 'S' 'M' 'B'`.
pub const PROTOCOL_ID: [u8; 4] = [0xFF, b'S', b'M', b'B'];

const COM_NEGOTIATE: u8 = 0x72;
const SMB_2_002: &[u8] = b"SMB 2.002";
const SMB_2_WILDCARD: &[u8] = b"SMB 2.???";

/// Which SMB2 dialects stand among the dialect strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MultiProtocolNegotiate {
    /// `SMB 2.002`: the answer may settle on 2.0.2.
    pub smb_2_002: bool,
    /// `SMB 2.???`: the answer is 0x02FF and the client negotiates again in SMB2.
    pub smb_2_wildcard: bool,
}

impl MultiProtocolNegotiate {
    /// Of a whole SMB1 message. Any other SMB1 command is an error.
    pub fn decode(message: &[u8]) -> Result<MultiProtocolNegotiate> {
        const WHAT: &str = "SMB1 NEGOTIATE";
        let mut r = Reader::new(message);
        if r.array(WHAT)? != PROTOCOL_ID || r.u8(WHAT)? != COM_NEGOTIATE {
            return Err(DecodeError::new(WHAT));
        }
        r.skip(27, WHAT)?;
        let words = r.u8(WHAT)?;
        r.skip(usize::from(words) * 2, WHAT)?;
        let count = r.u16(WHAT)?;
        let mut found = MultiProtocolNegotiate::default();
        // Each dialect is 0x02, a string, 0x00.
        for dialect in r.bytes(usize::from(count), WHAT)?.split(|&b| b == 0) {
            match dialect.strip_prefix(&[2]) {
                Some(SMB_2_002) => found.smb_2_002 = true,
                Some(SMB_2_WILDCARD) => found.smb_2_wildcard = true,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The whole message, SMB1 header included.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&PROTOCOL_ID);
        w.u8(COM_NEGOTIATE);
        w.zeros(4);
        w.u8(0x18); // Flags: canonicalised paths, case-insensitive
        w.u16(0xC853); // Flags2: Unicode, NT status, extended security, long names
        w.zeros(12);
        w.u16(0xFFFF);
        w.u16(0xFEFF);
        w.zeros(4);
        w.u8(0);
        let at = w.pos();
        w.u16(0);
        let dialects =
            [(true, &b"NT LM 0.12"[..]), (self.smb_2_002, SMB_2_002), (self.smb_2_wildcard, SMB_2_WILDCARD)];
        for (_, dialect) in dialects.into_iter().filter(|d| d.0) {
            w.u8(2);
            w.bytes(dialect);
            w.u8(0);
        }
        let count = w.pos() - at - 2;
        w.patch_u16(at, count as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_survive_a_round_trip() {
        for (smb_2_002, smb_2_wildcard) in [(false, false), (true, false), (false, true), (true, true)] {
            let asked = MultiProtocolNegotiate { smb_2_002, smb_2_wildcard };
            let mut buf = Vec::new();
            asked.encode(&mut Writer::new(&mut buf));
            assert_eq!(MultiProtocolNegotiate::decode(&buf), Ok(asked));
            for end in 0..buf.len() {
                assert!(MultiProtocolNegotiate::decode(&buf[..end]).is_err());
            }
        }
    }

    #[test]
    fn another_smb1_command_is_an_error() {
        let mut buf = Vec::new();
        MultiProtocolNegotiate::default().encode(&mut Writer::new(&mut buf));
        buf[4] = 0x73;
        assert!(MultiProtocolNegotiate::decode(&buf).is_err());
    }
}
