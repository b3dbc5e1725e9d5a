//! The computations of MS-NLMP 3.3.2 and 3.4. All values that are keys wipe themselves.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use rc4::{Rc4, StreamCipher};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::NtHash;
use super::message::Flags;

pub type Key = Zeroizing<[u8; 16]>;

/// HMAC_MD5 over parts.
pub fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("HMAC takes any key");
    parts.iter().for_each(|p| mac.update(p));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// RC4K: in place.
pub fn rc4k(key: &[u8; 16], data: &mut [u8]) {
    Rc4::new_from_slice(key).expect("RC4 takes 16 bytes").apply_keystream(data);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// NTOWFv2: the response key. The user's name is upper-cased, the domain is as given.
pub fn ntowf_v2(hash: &NtHash, user: &str, domain: &str) -> Key {
    hmac_md5(hash.as_bytes(), &[&utf16(&upper(user)), &utf16(domain)])
}

/// Upper case as Windows knows it: one character for one, so that `ß` stays.
fn upper(text: &str) -> String {
    text.chars()
        .map(|c| {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(u), None) => u,
                _ => c,
            }
        })
        .collect()
}

/// NTProofStr over the server's challenge and the client's (`temp`).
pub fn nt_proof(response_key: &Key, challenge: &[u8; 8], temp: &[u8]) -> Key {
    hmac_md5(&response_key[..], &[challenge, temp])
}

/// SessionBaseKey, with NTLMv2 the same as KeyExchangeKey.
pub fn session_base_key(response_key: &Key, proof: &[u8]) -> Key {
    hmac_md5(&response_key[..], &[proof])
}

/// Compares in constant time.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// One direction's SIGNKEY and SEALKEY (extended session security), for the few messages that SPNEGO signs.
pub struct Signer {
    sign: Key,
    seal: Key,
    key_exchange: bool,
}

/// Which side's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Client,
    Server,
}

impl Signer {
    /// MS-NLMP 3.4.5.2, 3.4.5.3.
    pub fn new(exported: &Key, flags: Flags, side: Side) -> Signer {
        let magic = |use_: &str| match side {
            Side::Client => format!("session key to client-to-server {use_} key magic constant\0"),
            Side::Server => format!("session key to server-to-client {use_} key magic constant\0"),
        };
        let md5 = |key: &[u8], magic: String| {
            let hash = Md5::new().chain_update(key).chain_update(magic);
            Zeroizing::new(<[u8; 16]>::from(hash.finalize()))
        };
        let strength = match flags {
            f if f.contains(Flags::KEY_128) => 16,
            f if f.contains(Flags::KEY_56) => 7,
            _ => 5,
        };
        Signer {
            sign: md5(&exported[..], magic("signing")),
            seal: md5(&exported[..strength], magic("sealing")),
            key_exchange: flags.contains(Flags::KEY_EXCH),
        }
    }

    /// NTLMSSP_MESSAGE_SIGNATURE of the first message in this direction (MS-NLMP 3.4.4.2, sequence number 0).
    pub fn sign(&self, message: &[u8]) -> [u8; 16] {
        let mut out = [0; 16];
        out[0] = 1;
        out[4..12].copy_from_slice(&hmac_md5(&self.sign[..], &[&[0; 4], message])[..8]);
        if self.key_exchange {
            rc4k(&self.seal, &mut out[4..12]);
        }
        out
    }

    #[cfg(test)]
    pub fn keys(&self) -> (&[u8; 16], &[u8; 16]) {
        (&self.sign, &self.seal)
    }
}
