//! The keys of a session (MS-SMB2 3.3.5.5.3) and of a channel.

use zeroize::Zeroizing;

use super::{Cipher, PreauthHash, SealingKey, SigningAlgorithm, SigningKey};
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
        _dialect: Dialect,
        _cipher: Option<Cipher>,
        _signing: SigningAlgorithm,
        _key: &SessionKey,
        _preauth: Option<&PreauthHash>,
    ) -> KeySet {
        unreachable!()
    }
}
