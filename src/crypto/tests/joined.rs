//! Messages whose end was copied and signed before their head was known.

use proptest::prelude::*;

use super::*;
use crate::sys::source::Source;

/// SMB2 header and the fixed part of a READ response.
const HEAD: usize = 80;

/// Signs a message both ways; whether its end could be copied.
fn signed_joined_is_signed(key: &SigningKey, message: &[u8], head: usize) -> bool {
    let mut expected = message.to_vec();
    key.sign(&mut expected, Sender::Server);
    // Neither end of the copy stands at the border of anything.
    let (mut got, start) = (vec![0; 1 + message.len()], 1);
    let got = &mut got[start..];
    let Some(part) = key.copy(Source::from(&message[head..]), &mut got[head..]) else { return false };
    got[..head].copy_from_slice(&message[..head]);
    key.sign_joined(&mut got[..head], &part, Sender::Server);
    assert_eq!(got, expected, "{} after {head}", message.len() - head);
    true
}

#[test]
fn a_signature_of_two_parts_is_the_signature() {
    for algorithm in [SigningAlgorithm::HmacSha256, SigningAlgorithm::AesCmac, SigningAlgorithm::AesGmac] {
        let key = SigningKey::new(algorithm, &array("2b7e151628aed2a6abf7158809cf4f3c"));
        assert!(algorithm == SigningAlgorithm::AesGmac || !key.takes_part());
        for len in lengths() {
            assert_eq!(signed_joined_is_signed(&key, &random(HEAD + len), HEAD), key.takes_part());
        }
    }
}

#[test]
fn a_head_is_any_number_of_blocks() {
    let key = SigningKey::new(SigningAlgorithm::AesGmac, &[3; 16]);
    for (blocks, len) in (4..80).flat_map(|blocks| [(blocks, 0), (blocks, 33)]) {
        assert_eq!(signed_joined_is_signed(&key, &random(16 * blocks + len), 16 * blocks), key.takes_part());
    }
}

proptest! {
    #[test]
    fn any_signature_of_two_parts(
        key: [u8; 16],
        head: [[u8; 16]; HEAD / 16],
        data in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let key = SigningKey::new(SigningAlgorithm::AesGmac, &key);
        let message = [head.as_flattened(), &data].concat();
        assert_eq!(signed_joined_is_signed(&key, &message, HEAD), key.takes_part());
    }
}
