//! AES-CMAC of several messages side by side. Within one message each block waits for the one before it, so a
//! processor that could work on eight blocks at a time works on one; eight messages keep it busy.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};

/// Messages that are worked on at a time.
pub const LANES: usize = 8;
const BLOCK: usize = 16;

/// An AES-CMAC key (RFC 4493) for several messages at a time.
pub struct Lanes {
    cipher: Aes128Enc,
    k1: Block,
    k2: Block,
}

impl Lanes {
    pub fn new(key: &[u8; 16]) -> Lanes {
        let cipher = Aes128Enc::new(key.into());
        let mut l = Block::default();
        cipher.encrypt_block(&mut l);
        let k1 = double(&l);
        Lanes { cipher, k1, k2: double(&k1) }
    }

    /// The tags of up to [`LANES`] messages, none of them empty.
    pub fn tags(&self, messages: &[&[u8]]) -> [[u8; BLOCK]; LANES] {
        let messages = &messages[..messages.len().min(LANES)];
        let mut state = [Block::default(); LANES];
        let state = &mut state[..messages.len()];
        // All but the last block, which is treated differently.
        let whole = |message: &[u8]| message.len().saturating_sub(1) / BLOCK;
        let together = messages.iter().map(|m| whole(m)).min().unwrap_or(0);
        for i in (0..together * BLOCK).step_by(BLOCK) {
            for (lane, message) in state.iter_mut().zip(messages) {
                xor(lane, &message[i..i + BLOCK]);
            }
            self.cipher.encrypt_blocks(state);
        }
        let mut out = [[0; BLOCK]; LANES];
        for ((lane, message), out) in state.iter_mut().zip(messages).zip(&mut out) {
            let (head, rest) = message.split_at(whole(message) * BLOCK);
            for block in head[together * BLOCK..].chunks_exact(BLOCK) {
                xor(lane, block);
                self.cipher.encrypt_block(lane);
            }
            let mut last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            let subkey = if rest.len() == BLOCK {
                &self.k1
            } else {
                last[rest.len()] = 0x80;
                &self.k2
            };
            xor(lane, &last);
            xor(lane, subkey);
            self.cipher.encrypt_block(lane);
            *out = (*lane).into();
        }
        out
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.k1.as_mut_slice().zeroize();
        self.k2.as_mut_slice().zeroize();
    }
}

fn xor(lane: &mut Block, bytes: &[u8]) {
    lane.iter_mut().zip(bytes).for_each(|(a, b)| *a ^= b);
}

/// Multiplies by x in GF(2^128).
fn double(block: &Block) -> Block {
    let n = u128::from_be_bytes((*block).into());
    let carry = (n >> 127) * 0x87;
    ((n << 1) ^ carry).to_be_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::super::{Sender, SigningAlgorithm, SigningKey};

    #[test]
    fn side_by_side_is_one_by_one() {
        let key = SigningKey::new(SigningAlgorithm::AesCmac, b"0123456789abcdef");
        let lengths = [64, 65, 79, 80, 81, 96, 1000, 64, 4096, 70];
        for count in 0..lengths.len() {
            let message = |n: usize| (0..lengths[n]).map(|i| (i * 7 + n) as u8).collect::<Vec<u8>>();
            let mut many: Vec<Vec<u8>> = (0..count).map(message).collect();
            let mut alone = many.clone();
            alone.iter_mut().for_each(|m| key.sign(m, Sender::Server));
            let mut all: Vec<&mut [u8]> = many.iter_mut().map(Vec::as_mut_slice).collect();
            key.sign_all(&mut all, Sender::Server);
            assert_eq!(many, alone, "{count} messages");
        }
    }
}
