//! AES-GCM (NIST SP 800-38D) with 256 bits at a time (VAES, VPCLMULQDQ), for texts that are encrypted while they are copied, and
//! from their end: the text's beginning is sealed when it is known. See [`super::ghash`] for why that can be done.
//!
//! Sixteen blocks make a row. While a row goes through the rounds of AES the row before it is hashed, pair by pair, so that the
//! processor has work for both units; left to itself the compiler puts one after the other, so rounds are assembly ([`row`]).
//! The first round is looked up: from one block to the next only the counter's last byte changes, which is no secret.

#[cfg(target_arch = "x86_64")]
mod row;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(target_arch = "x86_64")]
pub use wide::Gcm;

/// No such processor.
#[cfg(not(target_arch = "x86_64"))]
pub enum Gcm {}

#[cfg(not(target_arch = "x86_64"))]
impl Gcm {
    /// None: the processor has no such instructions.
    pub fn new(_: &[u8]) -> Option<Gcm> {
        None
    }

    /// See the other, for all of these.
    pub fn seal_copy(
        &self,
        _: &[u8; 12],
        _: usize,
        _: super::source::Source<'_>,
        _: &mut [u8],
    ) -> super::ghash::Sum {
        match *self {}
    }

    pub fn seal_head(&self, _: &[u8; 12], _: &[u8], _: &mut [u8], _: &super::ghash::Sum) -> [u8; 16] {
        match *self {}
    }
}

#[cfg(test)]
mod tests;
