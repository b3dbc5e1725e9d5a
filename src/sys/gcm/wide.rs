use std::arch::x86_64::*;

use zeroize::Zeroizing;

use super::row::{self, ROW, Row};
use crate::sys::ghash::Sum;
use crate::sys::ghash::wide::{BLOCK, Ghash, PAIR, Powers, Products, fetch, load, number, reversed, vector};
use crate::sys::source::Source;
use crate::sys::wipe::wipe;

/// Rows to one reduction of the hash.
const ROWS: usize = 4;

/// A key of 128 or 256 bits.
pub struct Gcm {
    /// One for each round and one more, each twice side by side.
    keys: [__m256i; 15],
    rounds: usize,
    /// What the last byte of the counter changes in a block after the first round.
    changes: [[u8; BLOCK]; 256],
    /// What the rows of a stride are multiplied by.
    powers: [Powers; ROWS * row::PAIRS],
    ghash: Ghash,
}

impl Gcm {
    /// `key` has 16 or 32 bytes. None: the processor has no such instructions.
    pub fn new(key: &[u8]) -> Option<Gcm> {
        let there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("vpclmulqdq");
        if !there {
            return None;
        }
        // SAFETY: the processor has what these functions are compiled for.
        unsafe {
            let (keys, rounds) = schedule(key);
            let h = Zeroizing::new(block(&keys, rounds, [0; BLOCK]));
            let (changes, powers) = (changes(&keys[0]), Ghash::powers_of(&h));
            Some(Gcm { keys, rounds, changes, powers, ghash: Ghash::new(&h)? })
        }
    }

    /// Encrypts `from`, with which a text ends, into `to`, which is as long. `at` bytes of the text, which are whole blocks, stand
    /// ahead of it.
    pub fn seal_copy(&self, nonce: &[u8; 12], at: usize, from: Source<'_>, to: &mut [u8]) -> Sum {
        assert_eq!(from.len(), to.len(), "a copy is as long");
        // SAFETY: there is a `Gcm` only where `new` found the instructions. One can be read, the other is ours.
        unsafe { self.encrypt(nonce, at, from.as_ptr(), to.as_mut_ptr(), to.len()) }
    }

    /// Encrypts in place the whole blocks ahead of what gave `sum`; the tag of all.
    pub fn seal_head(&self, nonce: &[u8; 12], aad: &[u8], head: &mut [u8], sum: &Sum) -> [u8; 16] {
        assert!(head.len().is_multiple_of(BLOCK), "a part begins at the border of a block");
        // SAFETY: there is a `Gcm` only where `new` found the instructions.
        unsafe { self.finish(nonce, aad, head, sum) }
    }

    /// # Safety
    /// `len` bytes from `from` on can be read, and be written from `to` on. They are apart.
    #[target_feature(enable = "avx2,aes,vaes,pclmulqdq,vpclmulqdq")]
    unsafe fn encrypt(&self, nonce: &[u8; 12], at: usize, from: *const u8, to: *mut u8, len: usize) -> Sum {
        assert!(at.is_multiple_of(BLOCK), "a part begins at the border of a block");
        let mut counter = Counter::new(nonce, at, len);
        let whole = len - len % ROW;
        // SAFETY: as the caller says.
        let sum = unsafe {
            match self.rounds {
                10 => self.rows::<10>(&mut counter, from, to, whole),
                _ => self.rows::<14>(&mut counter, from, to, whole),
            }
        };
        let mut last = [0; ROW];
        let last = &mut last[..len - whole];
        // SAFETY: what is left of `from`.
        unsafe { Source::new(from.add(whole), last.len()) }.copy_to(last);
        self.apply(&mut counter, last);
        // SAFETY: what is left of `to`.
        unsafe { to.add(whole).copy_from_nonoverlapping(last.as_ptr(), last.len()) };
        Sum { hash: number(self.ghash.on(sum, last)), len }
    }

    /// `len` bytes, whole rows; the hash.
    ///
    /// # Safety
    /// As for `encrypt`.
    #[target_feature(enable = "avx2,aes,vaes,pclmulqdq,vpclmulqdq")]
    unsafe fn rows<const ROUNDS: usize>(
        &self,
        counter: &mut Counter,
        from: *const u8,
        to: *mut u8,
        len: usize,
    ) -> __m128i {
        if len == 0 {
            return _mm_setzero_si128();
        }
        // The last row's hash ends with the first power, so the first stride may be a shorter one.
        let rows = len / ROW;
        let part = |row: usize| (row + ROWS - rows % ROWS) % ROWS;
        let (powers, _) = self.powers.as_chunks::<{ row::PAIRS }>();
        let reversed = reversed();
        let mut sum = _mm256_setzero_si256();
        let mut products = Products::none();
        // SAFETY: `row` is below `rows` where a row is read or written, and one less where one is hashed.
        unsafe {
            let mut first = counter.row(self);
            self.keys[2..ROUNDS].iter().for_each(|key| row::round(&mut first, key));
            row::last_round(first, self.keys[ROUNDS], from, to);
            for row in 1..rows {
                let from = from.add(row * ROW);
                fetch::<ROW>(from);
                let mut blocks = counter.row(self);
                let (hashed, part) = (to.add((row - 1) * ROW), part(row - 1));
                row::rounds_and_hash(
                    &mut blocks,
                    &self.keys,
                    hashed,
                    &powers[part],
                    &mut products,
                    &sum,
                    reversed,
                );
                self.keys[10..ROUNDS].iter().for_each(|key| row::round(&mut blocks, key));
                row::last_round(blocks, self.keys[ROUNDS], from, to.add(row * ROW));
                sum = _mm256_setzero_si256();
                if part == ROWS - 1 {
                    sum = _mm256_zextsi128_si256(products.reduce());
                    products = Products::none();
                }
            }
            let last = std::slice::from_raw_parts(to.add(len - ROW), ROW);
            for (pair, power) in last.chunks_exact(PAIR).zip(&powers[ROWS - 1]) {
                products.add(_mm256_xor_si256(_mm256_shuffle_epi8(load(pair), reversed), sum), power);
                sum = _mm256_setzero_si256();
            }
        }
        products.reduce()
    }

    /// Adds the next blocks of the counter, in place.
    #[target_feature(enable = "avx2,aes,vaes")]
    fn apply(&self, counter: &mut Counter, data: &mut [u8]) {
        for part in data.chunks_mut(PAIR) {
            let mut pair = [0; PAIR];
            pair[..part.len()].copy_from_slice(part);
            let text = load(&pair);
            let mut blocks = _mm256_xor_si256(counter.pair(), self.keys[0]);
            for key in &self.keys[1..self.rounds] {
                blocks = _mm256_aesenc_epi128(blocks, *key);
            }
            let text = _mm256_aesenclast_epi128(blocks, _mm256_xor_si256(self.keys[self.rounds], text));
            // SAFETY: `pair` has 32 bytes; no alignment is asked for.
            unsafe { _mm256_storeu_si256(pair.as_mut_ptr().cast(), text) };
            part.copy_from_slice(&pair[..part.len()]);
        }
    }

    #[target_feature(enable = "avx2,aes,vaes,pclmulqdq,vpclmulqdq")]
    fn finish(&self, nonce: &[u8; 12], aad: &[u8], head: &mut [u8], sum: &Sum) -> [u8; 16] {
        self.apply(&mut Counter::new(nonce, 0, head.len()), head);
        let ahead = self.ghash.on(self.ghash.on(_mm_setzero_si128(), aad), head);
        let lengths = [aad.len() as u64, (head.len() + sum.len) as u64];
        // The first block of the counter, 1, hides the hash (NIST SP 800-38D 7.1).
        let mut tag = [0; BLOCK];
        tag[..12].copy_from_slice(nonce);
        tag[15] = 1;
        let hidden = block(&self.keys, self.rounds, tag);
        tag = self.ghash.joined(ahead, sum, lengths);
        tag.iter_mut().zip(hidden).for_each(|(a, b)| *a ^= b);
        tag
    }
}

impl Drop for Gcm {
    fn drop(&mut self) {
        wipe(&mut self.keys);
        wipe(&mut self.changes);
        wipe(&mut self.powers);
    }
}

/// One block, encrypted.
#[target_feature(enable = "avx2,aes")]
fn block(keys: &[__m256i; 15], rounds: usize, mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    let key = |round: usize| _mm256_castsi256_si128(keys[round]);
    // SAFETY: 16 bytes; no alignment is asked for.
    let mut state = _mm_xor_si128(unsafe { _mm_loadu_si128(block.as_ptr().cast()) }, key(0));
    for round in 1..rounds {
        state = _mm_aesenc_si128(state, key(round));
    }
    let state = _mm_aesenclast_si128(state, key(rounds));
    // SAFETY: as above.
    unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), state) };
    block
}

/// The key schedule (FIPS 197 5.2), and the number of rounds.
#[target_feature(enable = "avx2,aes")]
fn schedule(key: &[u8]) -> ([__m256i; 15], usize) {
    let rounds = match key.len() {
        16 => 10,
        32 => 14,
        other => panic!("{other} bytes are no key"),
    };
    // In a block of four equal columns the rows are shifted to where they were: what is left of a round is SubWord.
    let substituted = |word: u32| {
        let block = _mm_aesenclast_si128(_mm_set1_epi32(word as i32), _mm_setzero_si128());
        _mm_cvtsi128_si32(block) as u32
    };
    let mut words = Zeroizing::new([0_u32; 60]);
    for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let (given, mut constant) = (key.len() / 4, 1_u32);
    for at in given..4 * (rounds + 1) {
        let mut word = words[at - 1];
        if at % given == 0 {
            word = substituted(word.rotate_right(8)) ^ constant;
            constant = (constant << 1) ^ ((constant >> 7) * 0x11B);
        } else if given == 8 && at % given == 4 {
            word = substituted(word);
        }
        words[at] = words[at - given] ^ word;
    }
    let mut keys = [_mm256_setzero_si256(); 15];
    for (key, words) in keys.iter_mut().zip(words.as_chunks::<4>().0) {
        let [a, b, c, d] = words.map(|word| word as i32);
        *key = _mm256_set_epi32(d, c, b, a, d, c, b, a);
    }
    (keys, rounds)
}

/// See [`Gcm::changes`]. In the first round the last byte goes to one column, and nothing else does that a number changes but once
/// in 256.
#[target_feature(enable = "avx2,aes")]
fn changes(key: &__m256i) -> [[u8; BLOCK]; 256] {
    let first = |byte: usize| {
        let block = _mm_xor_si128(_mm256_castsi256_si128(*key), _mm_set_epi32((byte << 24) as i32, 0, 0, 0));
        number(_mm_aesenc_si128(block, _mm_setzero_si128()))
    };
    std::array::from_fn(|byte| (first(byte) ^ first(0)).to_le_bytes())
}

/// The blocks of the counter (NIST SP 800-38D 6.5), two by two.
struct Counter {
    /// The next two, their bytes reversed.
    next: __m256i,
    /// The number of the first.
    number: u32,
    /// A number without its last byte, and its block after the first round as if that were 0.
    others: (u32, __m256i),
}

impl Counter {
    /// For `len` bytes of a text after `at` bytes of it.
    #[target_feature(enable = "avx2")]
    fn new(nonce: &[u8; 12], at: usize, len: usize) -> Counter {
        assert!(at + len <= u32::MAX as usize, "a message is shorter than the counter is long");
        // 1 hides the hash.
        let number = (at / BLOCK) as u32 + 2;
        let mut block = [0; BLOCK];
        block[..12].copy_from_slice(nonce);
        block[12..].copy_from_slice(&number.to_be_bytes());
        let next = vector(u128::from_be_bytes(block));
        let next =
            _mm256_add_epi32(_mm256_broadcastsi128_si256(next), _mm256_set_epi32(0, 0, 0, 1, 0, 0, 0, 0));
        Counter { next, number, others: (u32::MAX, _mm256_setzero_si256()) }
    }

    #[target_feature(enable = "avx2")]
    fn pair(&mut self) -> __m256i {
        let pair = _mm256_shuffle_epi8(self.next, reversed());
        self.skip(2);
        pair
    }

    /// A row, after the first round.
    #[inline]
    #[target_feature(enable = "avx2,aes,vaes")]
    fn row(&mut self, gcm: &Gcm) -> Row {
        const BLOCKS: usize = 2 * row::PAIRS;
        let [first, second, ..] = &gcm.keys;
        let mut row = [_mm256_setzero_si256(); row::PAIRS];
        let byte = self.number as usize % 256;
        if let Some(changes) = gcm.changes.get(byte..byte + BLOCKS) {
            if self.number >> 8 != self.others.0 {
                let zero = _mm256_andnot_si256(_mm256_set_epi32(0, 0, 0, 255, 0, 0, 0, 255), self.next);
                let zero = _mm256_permute2x128_si256::<0x00>(zero, zero);
                let zero = _mm256_xor_si256(_mm256_shuffle_epi8(zero, reversed()), *first);
                self.others = (self.number >> 8, _mm256_aesenc_epi128(zero, *second));
            }
            for (pair, blocks) in row.iter_mut().enumerate() {
                *blocks = _mm256_xor_si256(self.others.1, load(&changes.as_flattened()[pair * PAIR..]));
            }
            self.skip(BLOCKS);
        } else {
            // The byte runs over on the way.
            row.fill_with(|| _mm256_xor_si256(self.pair(), *first));
            row::round(&mut row, second);
        }
        row
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn skip(&mut self, blocks: usize) {
        let add = blocks as i32;
        self.next = _mm256_add_epi32(self.next, _mm256_set_epi32(0, 0, 0, add, 0, 0, 0, add));
        self.number += blocks as u32;
    }
}
