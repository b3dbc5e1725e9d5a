//! Preauthentication hash, key derivation, signing and sealing (MS-SMB2 3.1.4). Keys are types that wipe
//! themselves; their schedules are computed once per key and used by any number of threads.
//!
//! Messages are signed and sealed in place, without allocation. The crates `aes-gcm`, `ccm`, `cmac`, `hmac`
//! and `ghash` are the reference, always compiled; under the feature `aws-lc` the quicker back end does the
//! same work, and tests hold the two equal.

mod kdf;
mod keys;
mod lanes;
mod nonce;
mod preauth;
#[cfg(feature = "aws-lc")]
mod quick;
#[cfg_attr(feature = "aws-lc", allow(dead_code))]
mod reference;
mod sealing;
mod signing;

#[cfg(feature = "aws-lc")]
use quick as backend;
#[cfg(not(feature = "aws-lc"))]
use reference as backend;

pub use keys::{KeySet, SessionKey};
pub use nonce::NonceSource;
pub use preauth::PreauthHash;
pub use sealing::{Cipher, Forged, SealingKey};
pub use signing::{Sender, SigningAlgorithm, SigningKey};

/// What is known of the end of a message before the rest of it is there. It belongs to the key that made it,
/// and of a sealed message to the nonce and the place that it was made for.
pub struct Part(crate::sys::ghash::Sum);

impl Part {
    /// Its length.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests;
