//! aws-lc: GCM and GMAC at several times the speed of the reference (in [`gcm`]); CMAC and CCM built on its CBC
//! and CTR, since it shows no CMAC that does not allocate per message, and no CCM.

pub mod gcm;

use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use subtle::ConstantTimeEq;

use super::Cipher;
use crate::sys::ghash::Sum;
use crate::sys::source::Source;
use gcm::Gcm;
pub use gcm::Gmac;

const BLOCK: usize = 16;
/// What the chaining works through at a time; small enough to stay in the first cache.
const CHUNK: usize = 2048;

const LENGTH: &str = "a key of the cipher's length";
/// Block modes fail only on lengths that are no multiple of the block; here all are.
const WHOLE: &str = "whole blocks";

/// CBC-MAC: the last block of a CBC encryption from a zero vector.
struct CbcMac(EncryptingKey);

impl CbcMac {
    fn new(key: &[u8]) -> CbcMac {
        let algorithm = if key.len() == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
        let key = UnboundCipherKey::new(algorithm, key).expect(LENGTH);
        CbcMac(EncryptingKey::cbc(key).expect(LENGTH))
    }

    /// Takes whole blocks into the chain.
    fn absorb(&self, chain: &mut [u8; BLOCK], data: &[u8]) {
        // Clearing the larger scratch would cost a short message more than the cipher.
        if data.len() <= 128 {
            self.absorb_by::<128>(chain, data)
        } else {
            self.absorb_by::<CHUNK>(chain, data)
        }
    }

    fn absorb_by<const N: usize>(&self, chain: &mut [u8; BLOCK], data: &[u8]) {
        debug_assert_eq!(data.len() % BLOCK, 0);
        let mut scratch = [0; N];
        for part in data.chunks(N) {
            let scratch = &mut scratch[..part.len()];
            scratch.copy_from_slice(part);
            self.0.less_safe_encrypt(scratch, EncryptionContext::Iv128((&*chain).into())).expect(WHOLE);
            chain.copy_from_slice(&scratch[part.len() - BLOCK..]);
        }
    }

    /// Like `absorb`, the end padded with zeros.
    fn absorb_padded(&self, chain: &mut [u8; BLOCK], data: &[u8]) {
        let (whole, rest) = data.split_at(data.len() - data.len() % BLOCK);
        self.absorb(chain, whole);
        if !rest.is_empty() {
            let mut last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            self.absorb(chain, &last);
        }
    }
}

/// AES-CMAC with a 128-bit key (RFC 4493).
pub struct Cmac {
    mac: CbcMac,
    /// K1 and K2.
    subkeys: zeroize::Zeroizing<[[u8; BLOCK]; 2]>,
}

impl Cmac {
    pub fn new(key: &[u8; 16]) -> Cmac {
        let mac = CbcMac::new(key);
        let mut l = zeroize::Zeroizing::new([0; BLOCK]);
        mac.absorb(&mut l, &[0; BLOCK]);
        let k1 = double(&l);
        Cmac { mac, subkeys: zeroize::Zeroizing::new([k1, double(&k1)]) }
    }

    pub fn tag(&self, message: &[u8]) -> [u8; 16] {
        let whole = message.len().saturating_sub(1) / BLOCK * BLOCK;
        let (head, rest) = message.split_at(whole);
        let mut chain = [0; BLOCK];
        self.mac.absorb(&mut chain, head);
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let subkey = if rest.len() == BLOCK {
            &self.subkeys[0]
        } else {
            last[rest.len()] = 0x80;
            &self.subkeys[1]
        };
        last.iter_mut().zip(subkey).for_each(|(a, b)| *a ^= b);
        self.mac.absorb(&mut chain, &last);
        chain
    }
}

/// Multiplies by x in GF(2^128).
fn double(block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let n = u128::from_be_bytes(*block);
    let carry = (n >> 127) * 0x87;
    ((n << 1) ^ carry).to_be_bytes()
}

/// AES-CCM with an 11-byte nonce and a 16-byte tag (RFC 3610: M = 16, L = 4).
pub struct Ccm {
    mac: CbcMac,
    ctr: EncryptingKey,
}

impl Ccm {
    fn new(key: &[u8]) -> Ccm {
        let algorithm = if key.len() == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
        let ctr = UnboundCipherKey::new(algorithm, key).expect(LENGTH);
        Ccm { mac: CbcMac::new(key), ctr: EncryptingKey::ctr(ctr).expect(LENGTH) }
    }

    /// A block of nonce and counter, with `flags` before them.
    fn block(flags: u8, nonce: &[u8; 16], counter: u32) -> [u8; BLOCK] {
        let mut out = [0; BLOCK];
        out[0] = flags;
        out[1..12].copy_from_slice(&nonce[..11]);
        out[12..].copy_from_slice(&counter.to_be_bytes());
        out
    }

    fn apply(&self, nonce: &[u8; 16], counter: u32, data: &mut [u8]) {
        let start = Ccm::block(3, nonce, counter);
        self.ctr
            .less_safe_encrypt(data, EncryptionContext::Iv128(start.into()))
            .expect("CTR takes any length");
    }

    /// The tag of plain data, already encrypted.
    fn tag(&self, nonce: &[u8; 16], aad: &[u8], data: &[u8]) -> [u8; 16] {
        // First block, length of the associated data, these, zeros. A transform header's are 32 bytes.
        let mut head = [0; 4 * BLOCK];
        assert!((1..=head.len() - BLOCK - 2).contains(&aad.len()));
        let len = u32::try_from(data.len()).expect("a message fits CCM");
        // Flags: associated data, (16 - 2) / 2 << 3 for the tag, 4 - 1 for the length field.
        head[..BLOCK].copy_from_slice(&Ccm::block(0x40 | 7 << 3 | 3, nonce, len));
        head[BLOCK..BLOCK + 2].copy_from_slice(&(aad.len() as u16).to_be_bytes());
        head[BLOCK + 2..][..aad.len()].copy_from_slice(aad);
        let mut chain = [0; BLOCK];
        self.mac.absorb(&mut chain, &head[..(BLOCK + 2 + aad.len()).next_multiple_of(BLOCK)]);
        self.mac.absorb_padded(&mut chain, data);
        self.apply(nonce, 0, &mut chain);
        chain
    }
}

/// The four ciphers. Nonces are those of the transform header: 11 bytes count for CCM, 12 for GCM.
pub enum Aead {
    Ccm(Box<Ccm>),
    Gcm(Gcm),
}

impl Aead {
    /// `key` has the length of the cipher's keys.
    pub fn new(cipher: Cipher, key: &[u8]) -> Aead {
        assert_eq!(key.len(), cipher.key_len(), "{LENGTH}");
        match cipher {
            Cipher::Aes128Ccm | Cipher::Aes256Ccm => Aead::Ccm(Box::new(Ccm::new(key))),
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => Aead::Gcm(Gcm::new(key)),
        }
    }

    pub fn seal(&self, nonce: &[u8; 16], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        match self {
            Aead::Ccm(ccm) => {
                let tag = ccm.tag(nonce, aad, data);
                ccm.apply(nonce, 1, data);
                tag
            }
            Aead::Gcm(gcm) => gcm.seal(nonce.first_chunk().expect("16 > 12"), aad, data),
        }
    }

    /// Whether `seal_copy` does it.
    pub fn takes_part(&self) -> bool {
        matches!(self, Aead::Gcm(gcm) if gcm.takes_part())
    }

    /// See [`Gcm::seal_copy`]. None for CCM: its tag begins with the length of the whole.
    pub fn seal_copy(&self, nonce: &[u8; 16], at: usize, from: Source<'_>, to: &mut [u8]) -> Option<Sum> {
        match self {
            Aead::Ccm(_) => None,
            Aead::Gcm(gcm) => gcm.seal_copy(nonce.first_chunk().expect("16 > 12"), at, from, to),
        }
    }

    /// See [`Gcm::seal_joined`].
    pub fn seal_joined(&self, nonce: &[u8; 16], aad: &[u8], head: &mut [u8], part: &Sum) -> [u8; 16] {
        match self {
            Aead::Ccm(_) => unreachable!("CCM makes no part of a tag"),
            Aead::Gcm(gcm) => gcm.seal_joined(nonce.first_chunk().expect("16 > 12"), aad, head, part),
        }
    }

    /// False: `data` is of no use.
    pub fn open(&self, nonce: &[u8; 16], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> bool {
        match self {
            Aead::Ccm(ccm) => {
                ccm.apply(nonce, 1, data);
                ccm.tag(nonce, aad, data).ct_eq(tag).into()
            }
            Aead::Gcm(gcm) => gcm.open(nonce.first_chunk().expect("16 > 12"), aad, data, tag),
        }
    }
}
