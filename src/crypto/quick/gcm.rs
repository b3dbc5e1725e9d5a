//! GCM and GMAC by whatever is quickest on this processor. GB/s for a megabyte, AMD Zen 3 (no AVX-512; `tests::speed`):
//!
//! | | aws-lc | ring | our own |
//! |---|--:|--:|--:|
//! | GCM, 128 bits | 3.9 | 7.9 | |
//! | GCM, 128 bits, and copied | | | 9.3 |
//! | GCM, 256 bits | | 7.0 | |
//! | GCM, 256 bits, and copied | | | 8.3 |
//! | GMAC | 7.3 | 1.2 | 15.0 |
//! | GMAC, and copied | | | 14.7 |
//!
//! aws-lc works on 512 bits at a time where there is AVX-512, and is ahead there, else on 128. ring works on 256 (VAES), but not
//! on associated data, which is what GMAC is made of. Neither takes the end of a message before its beginning: that is for
//! [`Ghash`] and [`wide::Gcm`].

use std::sync::OnceLock;

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aws_lc_rs::aead as aws;
use ring::aead as ring;

use super::LENGTH;
use crate::sys::gcm as wide;
use crate::sys::ghash::{Ghash, Sum};
use crate::sys::source::Source;
use crate::sys::wipe::Wiped;

/// GCM refuses only lengths beyond 2^36 bytes; no frame comes near.
const FITS: &str = "a message fits GCM";

/// Whether aws-lc takes its code for AVX-512, which is ahead of all.
#[cfg(target_arch = "x86_64")]
fn has_512_bits() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

/// Whether ring takes its code for 256 bits.
#[cfg(target_arch = "x86_64")]
fn has_256_bits() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_512_bits() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_256_bits() -> bool {
    false
}

/// AES-GCM, with a key of 128 or 256 bits.
pub enum Gcm {
    Aws(Box<aws::LessSafeKey>),
    /// ring opens and seals whole messages; the other, where the processor has what it takes, those of two parts.
    Ring(Wiped<ring::LessSafeKey>, Parts),
}

/// What messages of two parts are sealed with. Made when the first one is: it takes 8 KB, and most keys never see one.
pub struct Parts {
    key: zeroize::Zeroizing<[u8; 32]>,
    len: usize,
    made: OnceLock<Option<Box<wide::Gcm>>>,
}

impl Parts {
    fn new(key: &[u8]) -> Parts {
        let mut kept = zeroize::Zeroizing::new([0; 32]);
        kept[..key.len()].copy_from_slice(key);
        Parts { key: kept, len: key.len(), made: OnceLock::new() }
    }

    /// None: not with this processor.
    fn key(&self) -> Option<&wide::Gcm> {
        self.made.get_or_init(|| wide::Gcm::new(&self.key[..self.len]).map(Box::new)).as_deref()
    }
}

impl Gcm {
    pub fn new(key: &[u8]) -> Gcm {
        if has_256_bits() && !has_512_bits() { Gcm::by_ring(key) } else { Gcm::by_aws(key) }
    }

    pub fn by_aws(key: &[u8]) -> Gcm {
        let algorithm = if key.len() == 16 { &aws::AES_128_GCM } else { &aws::AES_256_GCM };
        Gcm::Aws(Box::new(aws::LessSafeKey::new(aws::UnboundKey::new(algorithm, key).expect(LENGTH))))
    }

    pub fn by_ring(key: &[u8]) -> Gcm {
        let algorithm = if key.len() == 16 { &ring::AES_128_GCM } else { &ring::AES_256_GCM };
        let whole = Wiped::new(ring::LessSafeKey::new(ring::UnboundKey::new(algorithm, key).expect(LENGTH)));
        Gcm::Ring(whole, Parts::new(key))
    }

    /// Encrypts `data` in place; the tag.
    pub fn seal(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        let mut out = [0; 16];
        match self {
            Gcm::Aws(key) => {
                let nonce = aws::Nonce::assume_unique_for_key(*nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aws::Aad::from(aad), data);
                out.copy_from_slice(tag.expect(FITS).as_ref());
            }
            Gcm::Ring(key, _) => {
                let nonce = ring::Nonce::assume_unique_for_key(*nonce);
                let tag = key.seal_in_place_separate_tag(nonce, ring::Aad::from(aad), data);
                out.copy_from_slice(tag.expect(FITS).as_ref());
            }
        }
        out
    }

    /// Whether `seal_copy` does it: where ring is taken, the processor has what it takes.
    pub fn takes_part(&self) -> bool {
        matches!(self, Gcm::Ring(..))
    }

    /// Encrypts `from`, with which a text ends, into `to`, which is as long; `at` bytes stand ahead of it, in whole blocks. None:
    /// not with this processor.
    pub fn seal_copy(&self, nonce: &[u8; 12], at: usize, from: Source<'_>, to: &mut [u8]) -> Option<Sum> {
        match self {
            Gcm::Ring(_, parts) => parts.key().map(|key| key.seal_copy(nonce, at, from, to)),
            Gcm::Aws(_) => None,
        }
    }

    /// Encrypts in place what stands ahead of what this key encrypted under the same nonce; the tag.
    pub fn seal_joined(&self, nonce: &[u8; 12], aad: &[u8], head: &mut [u8], part: &Sum) -> [u8; 16] {
        let key = match self {
            Gcm::Ring(_, parts) => parts.key(),
            Gcm::Aws(_) => None,
        };
        key.expect("a part is of the key that sealed it").seal_head(nonce, aad, head, part)
    }

    /// Decrypts `data` in place. False: it is of no use.
    pub fn open(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> bool {
        match self {
            Gcm::Aws(key) => {
                let nonce = aws::Nonce::assume_unique_for_key(*nonce);
                key.open_in_place_separate_tag(nonce, aws::Aad::from(aad), tag, data).is_ok()
            }
            Gcm::Ring(key, _) => {
                let nonce = ring::Nonce::assume_unique_for_key(*nonce);
                key.open_in_place_separate_tag(nonce, ring::Aad::from(aad), (*tag).into(), data, 0..).is_ok()
            }
        }
    }
}

/// AES-GMAC with a 128-bit key: GCM of nothing, with the message as associated data (RFC 4543).
pub enum Gmac {
    Aws(Gcm),
    Wide(Box<(Aes128Enc, Ghash)>),
}

impl Gmac {
    pub fn new(key: &[u8; 16]) -> Gmac {
        let wide = if has_512_bits() { None } else { Gmac::by_ghash(key) };
        wide.unwrap_or_else(|| Gmac::Aws(Gcm::by_aws(key)))
    }

    /// None: not with this processor.
    pub fn by_ghash(key: &[u8; 16]) -> Option<Gmac> {
        let cipher = Aes128Enc::new(key.into());
        let mut h = zeroize::Zeroizing::new([0; 16]);
        cipher.encrypt_block((&mut *h).into());
        let ghash = Ghash::new(&h)?;
        Some(Gmac::Wide(Box::new((cipher, ghash))))
    }

    pub fn tag(&self, nonce: &[u8; 12], message: &[u8]) -> [u8; 16] {
        match self {
            Gmac::Aws(gcm) => gcm.seal(nonce, message, &mut []),
            Gmac::Wide(key) => hide(key, nonce, key.1.of(message)),
        }
    }

    /// Whether `copy` does it.
    pub fn takes_part(&self) -> bool {
        matches!(self, Gmac::Wide(_))
    }

    /// Copies `from`, with which a message ends, to `to`, which is as long, and takes its part of the tag. None: not with this
    /// processor.
    pub fn copy(&self, from: Source<'_>, to: &mut [u8]) -> Option<Sum> {
        match self {
            Gmac::Aws(_) => None,
            Gmac::Wide(key) => Some(key.1.copy(from, to)),
        }
    }

    /// The tag of a message of two parts: whole blocks, and what this key copied.
    pub fn tag_joined(&self, nonce: &[u8; 12], head: &[u8], part: &Sum) -> [u8; 16] {
        match self {
            Gmac::Aws(_) => unreachable!("aws-lc makes no part of a tag"),
            Gmac::Wide(key) => {
                hide(key, nonce, key.1.join(head, part, [(head.len() + part.bytes()) as u64, 0]))
            }
        }
    }
}

/// The tag that shows a hash: the first block of the counter is added, which is 1 (NIST SP 800-38D 7.1).
fn hide(key: &(Aes128Enc, Ghash), nonce: &[u8; 12], hash: [u8; 16]) -> [u8; 16] {
    let mut tag = [0; 16];
    tag[..12].copy_from_slice(nonce);
    tag[15] = 1;
    key.0.encrypt_block((&mut tag).into());
    tag.iter_mut().zip(hash).for_each(|(a, b)| *a ^= b);
    tag
}
