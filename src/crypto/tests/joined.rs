//! Messages whose end was copied and signed, or sealed, before their head was known.

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

/// Seals a message both ways; whether its end could be copied.
fn sealed_joined_is_sealed(key: &SealingKey, payload: &[u8], head: usize, nonce: [u8; 16]) -> bool {
    let mut expected = (std::array::from_fn(|at| at as u8), payload.to_vec());
    let (mut header, mut got) = (expected.0, vec![0; 1 + payload.len()]);
    key.seal(&mut expected.0, &mut expected.1, nonce);
    let got = &mut got[1..];
    let part = key.seal_copy(nonce, head, Source::from(&payload[head..]), &mut got[head..]);
    let Some(part) = part else { return false };
    got[..head].copy_from_slice(&payload[..head]);
    key.seal_joined(&mut header, &mut got[..head], nonce, &part);
    assert!(got == expected.1, "{} after {head}", payload.len() - head);
    assert_eq!(header, expected.0, "{} after {head}", payload.len() - head);
    true
}

#[test]
fn a_message_sealed_in_two_parts_is_the_sealed_message() {
    for cipher in [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm] {
        let key = SealingKey::new(cipher, &random(cipher.key_len()));
        assert!(matches!(cipher, Cipher::Aes128Gcm | Cipher::Aes256Gcm) || !key.takes_part());
        for len in lengths() {
            let (payload, nonce) = (random(HEAD + len), random(16).try_into().unwrap());
            assert_eq!(sealed_joined_is_sealed(&key, &payload, HEAD, nonce), key.takes_part());
        }
    }
}

/// The counter's last byte runs over in every place of a row.
#[test]
fn a_part_stands_anywhere() {
    let key = SealingKey::new(Cipher::Aes128Gcm, &[3; 16]);
    for blocks in 0..300 {
        let payload = random(16 * blocks + 700);
        assert_eq!(sealed_joined_is_sealed(&key, &payload, 16 * blocks, [7; 16]), key.takes_part());
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

    #[test]
    fn any_message_sealed_in_two_parts(
        key: [u8; 32],
        nonce: [u8; 16],
        head: [[u8; 16]; HEAD / 16],
        data in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let payload = [head.as_flattened(), &data].concat();
        for cipher in [Cipher::Aes128Gcm, Cipher::Aes256Gcm] {
            let key = SealingKey::new(cipher, &key[..cipher.key_len()]);
            assert_eq!(sealed_joined_is_sealed(&key, &payload, HEAD, nonce), key.takes_part());
        }
    }
}
