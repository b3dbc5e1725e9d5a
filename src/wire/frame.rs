//! The direct TCP transport (MS-SMB2 2.1): four bytes before each message, and what a message is by
//! its first four.

use super::codec::{DecodeError, Result};

/// Bytes before each message.
pub const LEN: usize = 4;

/// The longest message that the three length bytes can state.
pub const MAX: usize = 0x00FF_FFFF;

/// The length of the message that follows. The first byte is zero; anything else is NetBIOS session
/// service, which port 445 does not speak.
#[inline]
pub fn decode(bytes: [u8; LEN]) -> Result<usize> {
    if bytes[0] != 0 {
        return Err(DecodeError::new("transport header"));
    }
    Ok(u32::from_be_bytes(bytes) as usize)
}

/// The transport header of a message of `len` bytes, at most `MAX`.
#[inline]
pub fn encode(len: usize) -> [u8; LEN] {
    debug_assert!(len <= MAX);
    (len as u32).to_be_bytes()
}

/// What a message is, by its ProtocolId.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// `FF 'S' 'M' 'B'`.
    Smb1,
    /// `FE 'S' 'M' 'B'`: a plain or signed message.
    Smb2,
    /// `FD 'S' 'M' 'B'`: sealed, behind a TRANSFORM_HEADER.
    Sealed,
    /// `FC 'S' 'M' 'B'`: behind a COMPRESSION_TRANSFORM_HEADER.
    Compressed,
}

impl Kind {
    #[inline]
    pub fn of(message: &[u8]) -> Option<Kind> {
        match message.get(..4)? {
            [0xFF, b'S', b'M', b'B'] => Some(Kind::Smb1),
            [0xFE, b'S', b'M', b'B'] => Some(Kind::Smb2),
            [0xFD, b'S', b'M', b'B'] => Some(Kind::Sealed),
            [0xFC, b'S', b'M', b'B'] => Some(Kind::Compressed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_three_bytes_big_endian() {
        assert_eq!(decode([0, 1, 2, 3]), Ok(0x01_0203));
        assert_eq!(encode(0x01_0203), [0, 1, 2, 3]);
        assert_eq!(decode(encode(MAX)), Ok(MAX));
    }

    #[test]
    fn netbios_messages_are_refused() {
        assert!(decode([0x81, 0, 0, 0x44]).is_err());
        assert!(decode([0x85, 0, 0, 0]).is_err());
    }

    #[test]
    fn kinds() {
        assert_eq!(Kind::of(b"\xFESMB..."), Some(Kind::Smb2));
        assert_eq!(Kind::of(b"\xFDSMB"), Some(Kind::Sealed));
        assert_eq!(Kind::of(b"GET / HTTP"), None);
        assert_eq!(Kind::of(b"\xFES"), None);
    }
}
