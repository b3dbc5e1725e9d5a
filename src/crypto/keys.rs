//! The keys of a session (MS-SMB2 3.3.5.5.3) and of a channel.

use zeroize::Zeroizing;

use super::{Cipher, PreauthHash, SealingKey, SigningAlgorithm, SigningKey, kdf};
use crate::types::Dialect;

/// The key that the GSS mechanism established. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<Vec<u8>>);

impl SessionKey {
    /// Takes the key as the mechanism gave it (16 bytes from NTLM, 16 or 32 from Kerberos).
    pub fn new(full: &[u8]) -> SessionKey {
        SessionKey(Zeroizing::new(full.to_vec()))
    }

    /// Session.FullSessionKey: all bytes.
    pub fn full(&self) -> &[u8] {
        &self.0
    }

    /// Session.SessionKey: the first 16 bytes, padded with zeros on the right if there are fewer.
    pub fn first16(&self) -> Zeroizing<[u8; 16]> {
        let mut out = Zeroizing::new([0; 16]);
        let n = self.0.len().min(16);
        out[..n].copy_from_slice(&self.0[..n]);
        out
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// What is derived from a session key. Both sides derive the same set: the server seals with `server_out`
/// and opens with `server_in`, a client the other way round.
pub struct KeySet {
    /// Session.SigningKey, or Channel.SigningKey when derived for a channel.
    pub signing: SigningKey,
    /// Server to client (the server's EncryptionKey). None where no cipher was negotiated.
    pub server_out: Option<SealingKey>,
    /// Client to server (the server's DecryptionKey).
    pub server_in: Option<SealingKey>,
    /// Session.ApplicationKey.
    pub application: Zeroizing<[u8; 16]>,
}

impl KeySet {
    /// `preauth` is Session.PreauthIntegrityHashValue, needed by 3.1.1 and ignored by all others. Dialects
    /// 2.x have no sealing and sign with the session key itself.
    pub fn derive(
        dialect: Dialect,
        cipher: Option<Cipher>,
        signing: SigningAlgorithm,
        key: &SessionKey,
        preauth: Option<&PreauthHash>,
    ) -> KeySet {
        let base = key.first16();
        if !dialect.is_smb3() {
            let signing = SigningKey::new(signing, &base);
            return KeySet { signing, server_out: None, server_in: None, application: base };
        }
        let purposes = Purposes::of(dialect);
        let hash = preauth.map_or(&[0; 64], PreauthHash::as_bytes);
        let context = |own: &'static [u8]| if own.is_empty() { &hash[..] } else { own };
        let sealing = |(label, own)| {
            let context = context(own);
            cipher.map(|cipher| match cipher.key_len() {
                32 => SealingKey::new(cipher, &*kdf::derive::<32>(&key.0, label, context)),
                _ => SealingKey::new(cipher, &*kdf::derive::<16>(&*base, label, context)),
            })
        };
        let derive16 = |(label, own)| kdf::derive::<16>(&*base, label, context(own));
        KeySet {
            signing: SigningKey::new(signing, &derive16(purposes.signing)),
            server_out: sealing(purposes.server_out),
            server_in: sealing(purposes.server_in),
            application: derive16(purposes.application),
        }
    }
}

/// Label and context; an empty context stands for the preauthentication hash.
type Purpose = (&'static [u8], &'static [u8]);

/// MS-SMB2 3.3.5.5.3, 3.2.5.3.1: what the derived keys are named, terminating zeros included.
struct Purposes {
    signing: Purpose,
    server_out: Purpose,
    server_in: Purpose,
    application: Purpose,
}

impl Purposes {
    fn of(dialect: Dialect) -> &'static Purposes {
        const SMB3_0: Purposes = Purposes {
            signing: (b"SMB2AESCMAC\0", b"SmbSign\0"),
            server_out: (b"SMB2AESCCM\0", b"ServerOut\0"),
            // The space is part of the name.
            server_in: (b"SMB2AESCCM\0", b"ServerIn \0"),
            application: (b"SMB2APP\0", b"SmbRpc\0"),
        };
        const SMB3_1_1: Purposes = Purposes {
            signing: (b"SMBSigningKey\0", b""),
            server_out: (b"SMBS2CCipherKey\0", b""),
            server_in: (b"SMBC2SCipherKey\0", b""),
            application: (b"SMBAppKey\0", b""),
        };
        if dialect >= Dialect::SMB3_11 { &SMB3_1_1 } else { &SMB3_0 }
    }
}
