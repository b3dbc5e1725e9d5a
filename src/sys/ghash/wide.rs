use std::arch::asm;
use std::arch::x86_64::*;

use super::Sum;
use crate::sys::source::Source;

pub const BLOCK: usize = 16;
pub const PAIR: usize = 2 * BLOCK;
/// Pairs of blocks to one reduction.
const PAIRS: usize = 8;
const STRIDE: usize = PAIRS * PAIR;
/// The same for what is copied meanwhile, where more are quicker.
const COPIED: usize = 2 * PAIRS;
/// How far ahead of a copy its source is fetched.
const AHEAD: usize = 2048;
const LINE: usize = 64;
/// Swaps the 64-bit halves of each block.
const SWAP: i32 = 0x4E;

/// What a pair of blocks is multiplied by: two neighbouring powers of the key, the higher one first.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Powers {
    whole: __m256i,
    /// Low and high half of each added up: Karatsuba's third product takes them.
    halves: __m256i,
}

/// A key. The powers of a copy's stride, the highest first: enough for a stride and one pair more (a rest of 16 blocks, and the
/// lengths).
pub struct Ghash([Powers; COPIED]);

impl Ghash {
    /// `h` is the zero block, encrypted. None: the processor has no such instructions.
    pub fn new(h: &[u8; 16]) -> Option<Ghash> {
        let there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("vpclmulqdq");
        // SAFETY: the processor has what the function is compiled for.
        there.then(|| Ghash(unsafe { Ghash::powers_of(h) }))
    }

    /// The hash of associated data and an empty text: `data`, zeros up to a whole block, both lengths in bits.
    pub fn of(&self, data: &[u8]) -> [u8; 16] {
        // SAFETY: there is a `Ghash` only where `new` found the instructions.
        unsafe { self.hash(data) }
    }

    /// Copies `from` to `to`, which is as long, and hashes what it copied.
    pub fn copy(&self, from: Source<'_>, to: &mut [u8]) -> Sum {
        // SAFETY: as in `of`.
        unsafe { self.hash_copy(from, to) }
    }

    /// The hash of whole blocks, the part that follows them, and both lengths: of the associated data and the text in
    /// bytes.
    pub fn join(&self, head: &[u8], sum: &Sum, lengths: [u64; 2]) -> [u8; 16] {
        // SAFETY: as in `of`.
        unsafe { self.hash_join(head, sum, lengths) }
    }

    /// The powers of the key down to the first, which `N` pairs of blocks are multiplied by; `h` as for `new`.
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(in crate::sys) fn powers_of<const N: usize>(h: &[u8; 16]) -> [Powers; N] {
        let h = u128::from_be_bytes(*h);
        let h = (h << 1) ^ ((h >> 127) * 0xC200_0000_0000_0000_0000_0000_0000_0001);
        let first = vector(h);
        let zero = _mm256_setzero_si256();
        let mut powers = [Powers { whole: zero, halves: zero }; N];
        let mut odd = first;
        for power in powers.iter_mut().rev() {
            let even = times(odd, first);
            let whole = _mm256_set_m128i(odd, even);
            *power = Powers { whole, halves: halves(whole) };
            odd = times(even, first);
        }
        powers
    }

    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    fn hash(&self, data: &[u8]) -> [u8; 16] {
        let mut strides = data.chunks_exact(STRIDE);
        let sum = (&mut strides).fold(_mm_setzero_si128(), |sum, stride| self.stride(sum, stride));
        let rest = strides.remainder();
        let mut last = [0; STRIDE + PAIR];
        let blocks = rest.len().div_ceil(BLOCK) + 1;
        let end = last.len();
        last[end - blocks * BLOCK..][..rest.len()].copy_from_slice(rest);
        last[end - BLOCK..][..8].copy_from_slice(&(data.len() as u64 * 8).to_be_bytes());
        number(self.rest(sum, blocks, &last)).to_be_bytes()
    }

    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    fn hash_copy(&self, from: Source<'_>, to: &mut [u8]) -> Sum {
        assert_eq!(from.len(), to.len(), "a copy is as long");
        let mut sum = _mm_setzero_si128();
        let mut at = 0;
        let mut strides = to.chunks_exact_mut(COPIED * PAIR);
        for stride in &mut strides {
            // SAFETY: source and destination are of one length.
            let from = unsafe { from.as_ptr().add(at) };
            fetch::<{ COPIED * PAIR }>(from);
            let to = stride.as_mut_ptr();
            sum = absorb(&self.0, _mm256_set_m128i(_mm_setzero_si128(), sum), |pair| {
                // SAFETY: `pair` is below `COPIED`: a stride from `from` on can be read, one from `to` on written.
                unsafe {
                    let blocks = load_once(from.add(pair * PAIR));
                    _mm256_storeu_si256(to.add(pair * PAIR).cast(), blocks);
                    blocks
                }
            });
            at += COPIED * PAIR;
        }
        let rest = strides.into_remainder();
        from.after(at).copy_to(rest);
        Sum { hash: number(self.on(sum, rest)), len: to.len() }
    }

    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    fn hash_join(&self, head: &[u8], sum: &Sum, lengths: [u64; 2]) -> [u8; 16] {
        assert!(head.len().is_multiple_of(BLOCK), "a part begins at the border of a block");
        self.joined(self.on(_mm_setzero_si128(), head), sum, lengths)
    }

    /// What gave `ahead`, the part that follows it, and both lengths.
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    pub(in crate::sys) fn joined(&self, ahead: __m128i, sum: &Sum, lengths: [u64; 2]) -> [u8; 16] {
        let ahead = match sum.len.div_ceil(BLOCK) {
            0 => ahead,
            blocks => times(ahead, self.power(blocks)),
        };
        let mut last = [0; BLOCK];
        last[..8].copy_from_slice(&(lengths[0] * 8).to_be_bytes());
        last[8..].copy_from_slice(&(lengths[1] * 8).to_be_bytes());
        number(self.on(_mm_xor_si128(ahead, vector(sum.hash)), &last)).to_be_bytes()
    }

    /// Data that begins at the border of a block, its last block filled with zeros, after what gave `sum`.
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    pub(in crate::sys) fn on(&self, sum: __m128i, data: &[u8]) -> __m128i {
        let mut strides = data.chunks_exact(STRIDE);
        let sum = (&mut strides).fold(sum, |sum, stride| self.stride(sum, stride));
        let rest = strides.remainder();
        let blocks = rest.len().div_ceil(BLOCK);
        let mut last = [0; STRIDE + PAIR];
        let end = last.len();
        last[end - blocks * BLOCK..][..rest.len()].copy_from_slice(rest);
        self.rest(sum, blocks, &last)
    }

    /// The key to the power of `n`, which is not 0.
    #[target_feature(enable = "avx2,pclmulqdq")]
    fn power(&self, n: usize) -> __m128i {
        let first = _mm256_extracti128_si256::<1>(self.0[COPIED - 1].whole);
        (0..n.ilog2()).rev().fold(first, |power, bit| {
            let square = times(power, power);
            if n >> bit & 1 == 1 { times(square, first) } else { square }
        })
    }

    /// A stride, after what gave `sum`.
    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    fn stride(&self, sum: __m128i, data: &[u8]) -> __m128i {
        absorb(&self.0[COPIED - PAIRS..], _mm256_set_m128i(_mm_setzero_si128(), sum), |pair| {
            load(&data[pair * PAIR..])
        })
    }

    /// The last `blocks` blocks of `last`, after what gave `sum`, which goes to the first block of them.
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    fn rest(&self, sum: __m128i, blocks: usize, last: &[u8; STRIDE + PAIR]) -> __m128i {
        if blocks == 0 {
            return sum;
        }
        let sum = match blocks % 2 {
            0 => _mm256_set_m128i(_mm_setzero_si128(), sum),
            _ => _mm256_set_m128i(sum, _mm_setzero_si128()),
        };
        let pairs = blocks.div_ceil(2);
        let last = &last[(PAIRS + 1 - pairs) * PAIR..];
        absorb(&self.0[COPIED - pairs..], sum, |pair| load(&last[pair * PAIR..]))
    }
}

impl Drop for Ghash {
    fn drop(&mut self) {
        crate::sys::wipe::wipe(self);
    }
}

/// Products that are added up before they are reduced, in Karatsuba's three parts.
pub struct Products {
    pub low: __m256i,
    pub middle: __m256i,
    pub high: __m256i,
}

impl Products {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn none() -> Products {
        let zero = _mm256_setzero_si256();
        Products { low: zero, middle: zero, high: zero }
    }

    /// A pair of reversed blocks, multiplied by its powers.
    #[inline]
    #[target_feature(enable = "avx2,vpclmulqdq")]
    pub fn add(&mut self, blocks: __m256i, power: &Powers) {
        let middle = _mm256_clmulepi64_epi128::<0x00>(halves(blocks), power.halves);
        self.low = _mm256_xor_si256(self.low, _mm256_clmulepi64_epi128::<0x00>(blocks, power.whole));
        self.high = _mm256_xor_si256(self.high, _mm256_clmulepi64_epi128::<0x11>(blocks, power.whole));
        self.middle = _mm256_xor_si256(self.middle, middle);
    }

    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub fn reduce(self) -> __m128i {
        let middle = _mm256_xor_si256(self.middle, _mm256_xor_si256(self.low, self.high));
        let low = _mm256_xor_si256(self.low, _mm256_slli_si256::<8>(middle));
        let high = _mm256_xor_si256(self.high, _mm256_srli_si256::<8>(middle));
        reduce(both(low), both(high))
    }
}

/// `sum` is added to the first pair of blocks; each pair is multiplied by its powers, and the products added up.
#[inline]
#[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
fn absorb(powers: &[Powers], mut sum: __m256i, mut blocks: impl FnMut(usize) -> __m256i) -> __m128i {
    let mut products = Products::none();
    for (pair, power) in powers.iter().enumerate() {
        products.add(_mm256_xor_si256(_mm256_shuffle_epi8(blocks(pair), reversed()), sum), power);
        sum = _mm256_setzero_si256();
    }
    products.reduce()
}

/// Shuffles the bytes of each block into the opposite order.
#[inline]
#[target_feature(enable = "avx2")]
pub fn reversed() -> __m256i {
    _mm256_broadcastsi128_si256(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
}

/// Fetches as much as `N` bytes, some way ahead of where a copy is.
#[inline]
pub fn fetch<const N: usize>(from: *const u8) {
    for line in (0..N).step_by(LINE) {
        // SAFETY: nothing is read that the program would see; there need be nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD + line).cast()) };
    }
}

/// The first pair of blocks of `data`.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load(data: &[u8]) -> __m256i {
    let pair: &[u8; PAIR] = data.first_chunk().expect("a whole pair");
    // SAFETY: 32 bytes; no alignment is asked for.
    unsafe { _mm256_loadu_si256(pair.as_ptr().cast()) }
}

/// The same where others may write meanwhile: what is used twice is not looked at again.
///
/// # Safety
/// 32 bytes from `from` on can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_once(from: *const u8) -> __m256i {
    let blocks;
    // SAFETY: one load. Assembly that is not `pure` is neither repeated nor left out.
    unsafe {
        asm!("vmovdqu {}, ymmword ptr [{}]", out(ymm_reg) blocks, in(reg) from,
            options(readonly, nostack, preserves_flags));
    }
    blocks
}

/// In the form of a [`Sum`].
#[target_feature(enable = "sse2")]
pub fn number(block: __m128i) -> u128 {
    let half = |block| u128::from(_mm_cvtsi128_si64(block) as u64);
    half(_mm_unpackhi_epi64(block, block)) << 64 | half(block)
}

/// The other way.
#[target_feature(enable = "sse2")]
pub fn vector(number: u128) -> __m128i {
    _mm_set_epi64x((number >> 64) as i64, number as i64)
}

/// Low and high half of each block added up, in the low half (and the high one).
#[target_feature(enable = "avx2")]
fn halves(blocks: __m256i) -> __m256i {
    _mm256_xor_si256(blocks, _mm256_shuffle_epi32::<SWAP>(blocks))
}

/// The two blocks of a pair added up.
#[target_feature(enable = "avx2")]
fn both(pair: __m256i) -> __m128i {
    _mm_xor_si128(_mm256_castsi256_si128(pair), _mm256_extracti128_si256::<1>(pair))
}

/// One product, for the powers.
#[target_feature(enable = "pclmulqdq")]
fn times(a: __m128i, b: __m128i) -> __m128i {
    let (low, high) = (_mm_clmulepi64_si128::<0x00>(a, b), _mm_clmulepi64_si128::<0x11>(a, b));
    let middle = _mm_xor_si128(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
    reduce(_mm_xor_si128(low, _mm_slli_si128::<8>(middle)), _mm_xor_si128(high, _mm_srli_si128::<8>(middle)))
}

/// 256 bits to 128, by Montgomery's way, 64 bits at a time: modulo x^128 + x^127 + x^126 + x^121 + 1.
#[target_feature(enable = "pclmulqdq")]
fn reduce(low: __m128i, high: __m128i) -> __m128i {
    let polynomial = _mm_set_epi64x(0xC200_0000_0000_0000_u64 as i64, 1);
    let step = |low: __m128i| {
        _mm_xor_si128(_mm_clmulepi64_si128::<0x10>(low, polynomial), _mm_shuffle_epi32::<SWAP>(low))
    };
    _mm_xor_si128(high, step(step(low)))
}
