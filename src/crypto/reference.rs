//! The named crates: the reference, and the back end that needs nothing but Rust.

use aes::{Aes128, Aes128Enc, Aes256};
use aes_gcm::aead::{AeadInOut, KeyInit, consts};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use cmac::Mac as _;

use super::Cipher;
use crate::sys::ghash::Sum;
use crate::sys::source::Source;

/// AES-CMAC with a 128-bit key (RFC 4493).
pub struct Cmac(cmac::Cmac<Aes128Enc>);

impl Cmac {
    pub fn new(key: &[u8; 16]) -> Cmac {
        Cmac(cmac::Cmac::new(key.into()))
    }

    pub fn tag(&self, message: &[u8]) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

/// AES-GMAC with a 128-bit key: GCM of nothing, with the message as associated data (RFC 4543).
pub struct Gmac(Box<Aes128Gcm>);

impl Gmac {
    pub fn new(key: &[u8; 16]) -> Gmac {
        Gmac(Box::new(Aes128Gcm::new(key.into())))
    }

    pub fn tag(&self, nonce: &[u8; 12], message: &[u8]) -> [u8; 16] {
        // GCM refuses only lengths beyond 2^36 bytes; no frame comes near.
        let tag = self.0.encrypt_inout_detached(nonce.into(), message, (&mut [][..]).into());
        tag.expect("a message fits GCM").into()
    }

    /// The crate makes no part of a tag.
    pub fn takes_part(&self) -> bool {
        false
    }

    /// See `takes_part`.
    pub fn copy(&self, _: Source<'_>, _: &mut [u8]) -> Option<Sum> {
        None
    }

    /// See `takes_part`.
    pub fn tag_joined(&self, _: &[u8; 12], _: &[u8], _: &Sum) -> [u8; 16] {
        unreachable!("the crate makes no part of a tag")
    }
}

type Ccm128 = Ccm<Aes128, consts::U16, consts::U11>;
type Ccm256 = Ccm<Aes256, consts::U16, consts::U11>;

/// The four ciphers. Nonces are those of the transform header: 11 bytes count for CCM, 12 for GCM.
pub enum Aead {
    Ccm128(Box<Ccm128>),
    Ccm256(Box<Ccm256>),
    Gcm128(Box<Aes128Gcm>),
    Gcm256(Box<Aes256Gcm>),
}

impl Aead {
    /// `key` has the length of the cipher's keys.
    pub fn new(cipher: Cipher, key: &[u8]) -> Aead {
        const LENGTH: &str = "a key of the cipher's length";
        match cipher {
            Cipher::Aes128Ccm => Aead::Ccm128(Box::new(Ccm128::new_from_slice(key).expect(LENGTH))),
            Cipher::Aes256Ccm => Aead::Ccm256(Box::new(Ccm256::new_from_slice(key).expect(LENGTH))),
            Cipher::Aes128Gcm => Aead::Gcm128(Box::new(Aes128Gcm::new_from_slice(key).expect(LENGTH))),
            Cipher::Aes256Gcm => Aead::Gcm256(Box::new(Aes256Gcm::new_from_slice(key).expect(LENGTH))),
        }
    }

    pub fn seal(&self, nonce: &[u8; 16], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        let (n11, n12) = nonces(nonce);
        let tag = match self {
            Aead::Ccm128(c) => c.encrypt_inout_detached(n11.into(), aad, data.into()),
            Aead::Ccm256(c) => c.encrypt_inout_detached(n11.into(), aad, data.into()),
            Aead::Gcm128(c) => c.encrypt_inout_detached(n12.into(), aad, data.into()),
            Aead::Gcm256(c) => c.encrypt_inout_detached(n12.into(), aad, data.into()),
        };
        // CCM with an 11-byte nonce takes 2^32 bytes, GCM more; a frame has 24 bits of length.
        tag.expect("a message fits the cipher").into()
    }

    /// The crates make no part of a tag.
    pub fn takes_part(&self) -> bool {
        false
    }

    /// See `takes_part`.
    pub fn seal_copy(&self, _: &[u8; 16], _: usize, _: Source<'_>, _: &mut [u8]) -> Option<Sum> {
        None
    }

    /// See `takes_part`.
    pub fn seal_joined(&self, _: &[u8; 16], _: &[u8], _: &mut [u8], _: &Sum) -> [u8; 16] {
        unreachable!("the crates make no part of a tag")
    }

    /// False: `data` is of no use.
    pub fn open(&self, nonce: &[u8; 16], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> bool {
        let (n11, n12) = nonces(nonce);
        match self {
            Aead::Ccm128(c) => c.decrypt_inout_detached(n11.into(), aad, data.into(), tag.into()),
            Aead::Ccm256(c) => c.decrypt_inout_detached(n11.into(), aad, data.into(), tag.into()),
            Aead::Gcm128(c) => c.decrypt_inout_detached(n12.into(), aad, data.into(), tag.into()),
            Aead::Gcm256(c) => c.decrypt_inout_detached(n12.into(), aad, data.into(), tag.into()),
        }
        .is_ok()
    }
}

fn nonces(nonce: &[u8; 16]) -> (&[u8; 11], &[u8; 12]) {
    (nonce.first_chunk().expect("16 > 11"), nonce.first_chunk().expect("16 > 12"))
}
