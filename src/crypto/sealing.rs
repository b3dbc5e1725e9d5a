//! Encryption (MS-SMB2 3.1.4.3, 3.3.5.2.1.1).

use super::{Part, backend};
use crate::sys::source::Source;

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

    /// CipherId.
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

/// A key for one direction of a session. Used by any number of threads at once.
pub struct SealingKey {
    cipher: Cipher,
    aead: backend::Aead,
}

impl SealingKey {
    /// `key` has `cipher.key_len()` bytes.
    pub fn new(cipher: Cipher, key: &[u8]) -> SealingKey {
        SealingKey { cipher, aead: backend::Aead::new(cipher, key) }
    }

    /// The cipher it is for.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Seals `payload` in place. `header` is the SMB2 TRANSFORM_HEADER (MS-SMB2 2.2.41) with
    /// OriginalMessageSize, Flags and SessionId filled in; Nonce (20..36) and Signature (4..20) are written here.
    /// `nonce` comes from the `NonceSource` of this key.
    pub fn seal(&self, header: &mut [u8; 52], payload: &mut [u8], nonce: [u8; 16]) {
        header[20..36].copy_from_slice(&nonce);
        let tag = self.aead.seal(&nonce, &header[20..], payload);
        header[4..20].copy_from_slice(&tag);
    }

    /// Whether the end of a message can be copied and sealed in one pass ([`SealingKey::seal_copy`]).
    pub fn takes_part(&self) -> bool {
        self.aead.takes_part()
    }

    /// Seals `from`, with which a message ends, into `to`, which is as long; `at` bytes of the message stand ahead of it, in whole
    /// blocks of 16 bytes, for [`SealingKey::seal_joined`] with the same nonce. None: not with this key.
    pub fn seal_copy(&self, nonce: [u8; 16], at: usize, from: Source<'_>, to: &mut [u8]) -> Option<Part> {
        self.aead.seal_copy(&nonce, at, from, to).map(Part)
    }

    /// [`SealingKey::seal`] for a payload that ends with what this key sealed with this nonce; `head`, the `at` bytes ahead of that,
    /// is sealed in place.
    pub fn seal_joined(&self, header: &mut [u8; 52], head: &mut [u8], nonce: [u8; 16], part: &Part) {
        header[20..36].copy_from_slice(&nonce);
        let tag = self.aead.seal_joined(&nonce, &header[20..], head, &part.0);
        header[4..20].copy_from_slice(&tag);
    }

    /// Opens `payload` in place. On error it holds zeros.
    pub fn open(&self, header: &[u8; 52], payload: &mut [u8]) -> Result<(), Forged> {
        let (mut tag, mut nonce) = ([0; 16], [0; 16]);
        tag.copy_from_slice(&header[4..20]);
        nonce.copy_from_slice(&header[20..36]);
        if self.aead.open(&nonce, &header[20..], payload, &tag) {
            Ok(())
        } else {
            payload.fill(0);
            Err(Forged)
        }
    }
}
