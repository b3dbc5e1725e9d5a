//! The preauthentication integrity hash (MS-SMB2 3.3.5.4, 3.3.5.5).

use sha2::{Digest, Sha512};

/// A chain of SHA-512 over whole messages, each from its SMB2 header as it stood on the wire. Starts as zeros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreauthHash([u8; 64]);

impl Default for PreauthHash {
    fn default() -> Self {
        PreauthHash::new()
    }
}

impl PreauthHash {
    /// 64 zeros.
    pub const fn new() -> PreauthHash {
        PreauthHash([0; 64])
    }

    /// Takes up a hash where it was left.
    pub const fn from_bytes(hash: [u8; 64]) -> PreauthHash {
        PreauthHash(hash)
    }

    /// Adds a message: H = SHA-512(H, message).
    pub fn update(&mut self, message: &[u8]) {
        let mut hash = Sha512::new();
        hash.update(self.0);
        hash.update(message);
        self.0.copy_from_slice(&hash.finalize());
    }

    /// The hash so far.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}
