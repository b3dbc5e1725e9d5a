//! Signing (MS-SMB2 3.1.4.1, 3.1.5.1).

use super::lanes::{LANES, Lanes};
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use super::{Part, backend};
use crate::sys::source::Source;

/// MS-SMB2 2.2.3.1.7 SigningAlgorithmId.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SigningAlgorithm {
    HmacSha256,
    AesCmac,
    AesGmac,
}

impl SigningAlgorithm {
    /// None: unknown.
    pub const fn from_wire(id: u16) -> Option<SigningAlgorithm> {
        match id {
            0 => Some(SigningAlgorithm::HmacSha256),
            1 => Some(SigningAlgorithm::AesCmac),
            2 => Some(SigningAlgorithm::AesGmac),
            _ => None,
        }
    }

    /// SigningAlgorithmId.
    pub const fn to_wire(self) -> u16 {
        match self {
            SigningAlgorithm::HmacSha256 => 0,
            SigningAlgorithm::AesCmac => 1,
            SigningAlgorithm::AesGmac => 2,
        }
    }
}

/// Who made a message: the GMAC nonce tells the two directions apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    Client,
    Server,
}

/// A key that signs messages both ways. Used by any number of threads at once.
pub struct SigningKey {
    mac: Mac,
}

enum Mac {
    /// Primed with the key.
    Hmac(Box<Hmac<Sha256>>),
    Cmac(Box<(backend::Cmac, Lanes)>),
    Gmac(Box<backend::Gmac>),
}

/// Where the Signature field stands in an SMB2 header.
const SIGNATURE: std::ops::Range<usize> = 48..64;

impl SigningKey {
    /// Computes the key schedule.
    pub fn new(algorithm: SigningAlgorithm, key: &[u8; 16]) -> SigningKey {
        let mac = match algorithm {
            SigningAlgorithm::HmacSha256 => {
                Mac::Hmac(Box::new(Hmac::new_from_slice(key).expect("HMAC takes any key")))
            }
            SigningAlgorithm::AesCmac => Mac::Cmac(Box::new((backend::Cmac::new(key), Lanes::new(key)))),
            SigningAlgorithm::AesGmac => Mac::Gmac(Box::new(backend::Gmac::new(key))),
        };
        SigningKey { mac }
    }

    /// The algorithm it is for.
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.mac {
            Mac::Hmac(_) => SigningAlgorithm::HmacSha256,
            Mac::Cmac(_) => SigningAlgorithm::AesCmac,
            Mac::Gmac(_) => SigningAlgorithm::AesGmac,
        }
    }

    /// Writes the Signature field (48..64) of `message`, which begins with its SMB2 header (64 bytes or
    /// more) and ends where its signature's cover ends (padding to the next compounded message
    /// included). The caller has set SMB2_FLAGS_SIGNED.
    pub fn sign(&self, message: &mut [u8], sender: Sender) {
        message[SIGNATURE].fill(0);
        let tag = self.tag(message, sender);
        message[SIGNATURE].copy_from_slice(&tag);
    }

    /// The same for several messages, which costs much less than one by one where one message leaves most of the
    /// processor idle ([`SigningKey::gains_by_many`]).
    pub fn sign_all(&self, messages: &mut [&mut [u8]], sender: Sender) {
        let Mac::Cmac(cmac) = &self.mac else {
            messages.iter_mut().for_each(|message| self.sign(message, sender));
            return;
        };
        for group in messages.chunks_mut(LANES) {
            if let [one] = group {
                self.sign(one, sender);
                continue;
            }
            group.iter_mut().for_each(|message| message[SIGNATURE].fill(0));
            let tags = {
                let views: SmallVec<[&[u8]; LANES]> = group.iter().map(|message| &**message).collect();
                cmac.1.tags(&views)
            };
            group.iter_mut().zip(tags).for_each(|(message, tag)| message[SIGNATURE].copy_from_slice(&tag));
        }
    }

    /// Whether it pays to collect messages for [`SigningKey::sign_all`].
    pub fn gains_by_many(&self) -> bool {
        matches!(self.mac, Mac::Cmac(_))
    }

    /// Whether the end of a message can be copied and signed in one pass ([`SigningKey::copy`]).
    pub fn takes_part(&self) -> bool {
        matches!(&self.mac, Mac::Gmac(gmac) if gmac.takes_part())
    }

    /// Copies `from`, with which a message ends, to `to`, which is as long, and takes it into the signature. What stands ahead of
    /// it is whole blocks of 16 bytes, for [`SigningKey::sign_joined`]. None: not with this key.
    pub fn copy(&self, from: Source<'_>, to: &mut [u8]) -> Option<Part> {
        match &self.mac {
            Mac::Gmac(gmac) => gmac.copy(from, to).map(Part),
            Mac::Hmac(_) | Mac::Cmac(_) => None,
        }
    }

    /// [`SigningKey::sign`] for a message that ends with what this key copied; `head` is what stands ahead of that.
    pub fn sign_joined(&self, head: &mut [u8], part: &Part, sender: Sender) {
        let Mac::Gmac(gmac) = &self.mac else { unreachable!("a part is of the key that copied it") };
        head[SIGNATURE].fill(0);
        let tag = gmac.tag_joined(&gmac_nonce(head, sender), head, &part.0);
        head[SIGNATURE].copy_from_slice(&tag);
    }

    /// Whether the signature holds; compared in constant time. A message shorter than a header does not verify.
    /// The Signature field is as it came afterwards.
    pub fn verify(&self, message: &mut [u8], sender: Sender) -> bool {
        let Some(field) = message.get_mut(SIGNATURE) else { return false };
        let mut given = [0; 16];
        given.copy_from_slice(field);
        field.fill(0);
        let tag = self.tag(message, sender);
        message[SIGNATURE].copy_from_slice(&given);
        tag.ct_eq(&given).into()
    }

    /// The tag of a message whose Signature field is zero.
    fn tag(&self, message: &[u8], sender: Sender) -> [u8; 16] {
        match &self.mac {
            Mac::Hmac(primed) => {
                let mut mac = (**primed).clone();
                mac.update(message);
                let mut out = [0; 16];
                out.copy_from_slice(&mac.finalize().into_bytes()[..16]);
                out
            }
            Mac::Cmac(cmac) => cmac.0.tag(message),
            Mac::Gmac(gmac) => gmac.tag(&gmac_nonce(message, sender), message),
        }
    }
}

/// MS-SMB2 3.1.4.1: MessageId, then 32 bits: the sender is the server; the command is CANCEL.
fn gmac_nonce(message: &[u8], sender: Sender) -> [u8; 12] {
    const CANCEL: [u8; 2] = [0x0C, 0];
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&message[24..32]);
    nonce[8] = u8::from(sender == Sender::Server) | u8::from(message[12..14] == CANCEL) << 1;
    nonce
}
