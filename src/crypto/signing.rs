//! Signing (MS-SMB2 3.1.4.1, 3.1.5.1).

/// MS-SMB2 2.2.3.1.7 SigningAlgorithmId.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SigningAlgorithm {
    HmacSha256,
    AesCmac,
    AesGmac,
}

impl SigningAlgorithm {
    pub const fn from_wire(id: u16) -> Option<SigningAlgorithm> {
        match id {
            0 => Some(SigningAlgorithm::HmacSha256),
            1 => Some(SigningAlgorithm::AesCmac),
            2 => Some(SigningAlgorithm::AesGmac),
            _ => None,
        }
    }

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

/// A key that signs messages both ways.
pub struct SigningKey {}

impl SigningKey {
    pub fn new(_algorithm: SigningAlgorithm, _key: &[u8; 16]) -> SigningKey {
        unreachable!()
    }

    pub fn algorithm(&self) -> SigningAlgorithm {
        unreachable!()
    }

    /// Writes the Signature field (48..64) of `message`, which begins with its SMB2 header (64 bytes or
    /// more) and ends where its signature's cover ends (padding to the next compounded message
    /// included). The caller has set SMB2_FLAGS_SIGNED.
    pub fn sign(&self, _message: &mut [u8], _sender: Sender) {
        unreachable!()
    }

    /// Whether the signature holds; compared in constant time. A message shorter than a header does not verify.
    /// The Signature field is zero afterwards.
    pub fn verify(&self, _message: &mut [u8], _sender: Sender) -> bool {
        unreachable!()
    }
}
