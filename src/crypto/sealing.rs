//! Encryption (MS-SMB2 3.1.4.3, 3.1.5.1).

/// A cipher that can be negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cipher {
    Aes128Ccm,
    Aes128Gcm,
    Aes256Ccm,
    Aes256Gcm,
}

impl Cipher {
    /// From MS-SMB2 2.2.3.1.2 CipherId; None: unknown, or 0 ("no common cipher").
    pub const fn from_wire(id: u16) -> Option<Cipher> {
        match id {
            1 => Some(Cipher::Aes128Ccm),
            2 => Some(Cipher::Aes128Gcm),
            3 => Some(Cipher::Aes256Ccm),
            4 => Some(Cipher::Aes256Gcm),
            _ => None,
        }
    }

    pub const fn to_wire(self) -> u16 {
        match self {
            Cipher::Aes128Ccm => 1,
            Cipher::Aes128Gcm => 2,
            Cipher::Aes256Ccm => 3,
            Cipher::Aes256Gcm => 4,
        }
    }

    /// The length of its keys in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Cipher::Aes128Ccm | Cipher::Aes128Gcm => 16,
            Cipher::Aes256Ccm | Cipher::Aes256Gcm => 32,
        }
    }
}

/// The message was not sealed with this key, or was changed on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the sealed message does not verify")]
pub struct Forged;

/// A key for one direction of a session.
pub struct SealingKey {}

impl SealingKey {
    /// `key` has `cipher.key_len()` bytes.
    pub fn new(_cipher: Cipher, _key: &[u8]) -> SealingKey {
        unreachable!()
    }

    pub fn cipher(&self) -> Cipher {
        unreachable!()
    }

    /// Seals `payload` in place. `header` is the SMB2 TRANSFORM_HEADER (MS-SMB2 2.2.41) with
    /// OriginalMessageSize, Flags and SessionId filled in; Nonce (20..36) and Signature (4..20) are written here.
    /// `nonce` comes from the `NonceSource` of this key.
    pub fn seal(&self, _header: &mut [u8; 52], _payload: &mut [u8], _nonce: [u8; 16]) {
        unreachable!()
    }

    /// Opens `payload` in place. On error it holds zeros.
    pub fn open(&self, _header: &[u8; 52], _payload: &mut [u8]) -> Result<(), Forged> {
        unreachable!()
    }
}
