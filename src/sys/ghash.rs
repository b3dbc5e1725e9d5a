//! GHASH (NIST SP 800-38D 6.4) with carry-less multiplications of 256 bits (VPCLMULQDQ): two blocks of a message at
//! a time, and one reduction for thirty-two. Twice the speed of 128 bits on processors that have it and no AVX-512.
//!
//! Blocks are taken with their bytes reversed and the key doubled: then the hash is POLYVAL's (RFC 8452 appendix A), whose
//! product of a and b is a * b * x^-128.
//!
//! The hash is linear: of a message in two parts it is the first part's, multiplied by the key once for each block of the
//! second, and the second part's added. So a part can be hashed before what stands ahead of it is known.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::source::Source;
#[cfg(target_arch = "x86_64")]
pub use wide::Ghash;

/// The hash of a part of a message, from the border of a block to the message's end, as if nothing stood ahead of it. It is
/// cleared with the key: who has it and the part can find the key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Sum {
    /// As a number, in the form in which it is calculated with.
    hash: u128,
    /// In bytes.
    len: usize,
}

impl Sum {
    /// The length of the part in bytes.
    pub fn bytes(&self) -> usize {
        self.len
    }
}

/// No such processor.
#[cfg(not(target_arch = "x86_64"))]
pub enum Ghash {}

#[cfg(not(target_arch = "x86_64"))]
impl Ghash {
    /// None: the processor has no such instructions.
    pub fn new(_: &[u8; 16]) -> Option<Ghash> {
        None
    }

    /// See the other, for all of these.
    pub fn of(&self, _: &[u8]) -> [u8; 16] {
        match *self {}
    }

    pub fn copy(&self, _: Source<'_>, _: &mut [u8]) -> Sum {
        match *self {}
    }

    pub fn join(&self, _: &[u8], _: &Sum, _: [u64; 2]) -> [u8; 16] {
        match *self {}
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::asm;
    use std::arch::x86_64::*;

    use super::{Source, Sum};

    const BLOCK: usize = 16;
    const PAIR: usize = 2 * BLOCK;
    /// Pairs of blocks to one reduction.
    const PAIRS: usize = 16;
    const STRIDE: usize = PAIRS * PAIR;
    /// How far ahead of the copy its source is fetched.
    const AHEAD: usize = 2048;
    const LINE: usize = 64;
    /// Swaps the 64-bit halves of each block.
    const SWAP: i32 = 0x4E;

    /// What a pair of blocks is multiplied by: two neighbouring powers of the key, the higher one first.
    #[derive(Clone, Copy)]
    struct Powers {
        whole: __m256i,
        /// Low and high half of each added up: Karatsuba's third product takes them.
        halves: __m256i,
    }

    /// A key. The powers of a stride and one pair more (for a rest of 32 blocks, and the lengths), the highest first.
    pub struct Ghash([Powers; PAIRS + 1]);

    impl Ghash {
        /// `h` is the zero block, encrypted. None: the processor has no such instructions.
        pub fn new(h: &[u8; 16]) -> Option<Ghash> {
            let there = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("pclmulqdq")
                && is_x86_feature_detected!("vpclmulqdq");
            // SAFETY: the processor has what the function is compiled for.
            there.then(|| unsafe { Ghash::powers_of(h) })
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

        #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
        fn powers_of(h: &[u8; 16]) -> Ghash {
            let h = u128::from_be_bytes(*h);
            let h = (h << 1) ^ ((h >> 127) * 0xC200_0000_0000_0000_0000_0000_0000_0001);
            let first = vector(h);
            let zero = _mm256_setzero_si256();
            let mut powers = [Powers { whole: zero, halves: zero }; PAIRS + 1];
            let mut odd = first;
            for power in powers.iter_mut().rev() {
                let even = times(odd, first);
                let whole = _mm256_set_m128i(odd, even);
                *power = Powers { whole, halves: halves(whole) };
                odd = times(even, first);
            }
            Ghash(powers)
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
            let mut strides = to.chunks_exact_mut(STRIDE);
            for stride in &mut strides {
                // SAFETY: source and destination are of one length.
                let from = unsafe { from.as_ptr().add(at) };
                for line in (0..STRIDE).step_by(LINE) {
                    _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD + line).cast());
                }
                let to = stride.as_mut_ptr();
                sum = absorb(&self.0[1..], _mm256_set_m128i(_mm_setzero_si128(), sum), |pair| {
                    // SAFETY: `pair` is below `PAIRS`: a stride from `from` on can be read, one from `to` on written.
                    unsafe {
                        let blocks = load_once(from.add(pair * PAIR));
                        _mm256_storeu_si256(to.add(pair * PAIR).cast(), blocks);
                        blocks
                    }
                });
                at += STRIDE;
            }
            let rest = strides.into_remainder();
            let mut last = [0; STRIDE + PAIR];
            let blocks = rest.len().div_ceil(BLOCK);
            let end = last.len();
            from.after(at).copy_to(rest);
            last[end - blocks * BLOCK..][..rest.len()].copy_from_slice(rest);
            Sum { hash: number(self.rest(sum, blocks, &last)), len: to.len() }
        }

        #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
        fn hash_join(&self, head: &[u8], sum: &Sum, lengths: [u64; 2]) -> [u8; 16] {
            assert!(head.len().is_multiple_of(BLOCK), "a part begins at the border of a block");
            let mut strides = head.chunks_exact(STRIDE);
            let ahead = (&mut strides).fold(_mm_setzero_si128(), |sum, stride| self.stride(sum, stride));
            let rest = strides.remainder();
            let mut last = [0; STRIDE + PAIR];
            let end = last.len();
            last[end - rest.len()..].copy_from_slice(rest);
            let mut ahead = self.rest(ahead, rest.len() / BLOCK, &last);
            let blocks = sum.len.div_ceil(BLOCK);
            if blocks > 0 {
                ahead = times(ahead, self.power(blocks));
            }
            let mut last = [0; STRIDE + PAIR];
            last[end - BLOCK..][..8].copy_from_slice(&(lengths[0] * 8).to_be_bytes());
            last[end - BLOCK / 2..].copy_from_slice(&(lengths[1] * 8).to_be_bytes());
            number(self.rest(_mm_xor_si128(ahead, vector(sum.hash)), 1, &last)).to_be_bytes()
        }

        /// The key to the power of `n`, which is not 0.
        #[target_feature(enable = "avx2,pclmulqdq")]
        fn power(&self, n: usize) -> __m128i {
            let first = _mm256_extracti128_si256::<1>(self.0[PAIRS].whole);
            (0..n.ilog2()).rev().fold(first, |power, bit| {
                let square = times(power, power);
                if n >> bit & 1 == 1 { times(square, first) } else { square }
            })
        }

        /// A stride, after what gave `sum`.
        #[inline]
        #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
        fn stride(&self, sum: __m128i, data: &[u8]) -> __m128i {
            absorb(&self.0[1..], _mm256_set_m128i(_mm_setzero_si128(), sum), |pair| {
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
            let first = PAIRS + 1 - blocks.div_ceil(2);
            absorb(&self.0[first..], sum, |pair| load(&last[(first + pair) * PAIR..]))
        }
    }

    impl Drop for Ghash {
        fn drop(&mut self) {
            super::super::wipe::wipe(self);
        }
    }

    /// `sum` is added to the first pair of blocks; each pair is multiplied by its powers, and the products added up.
    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    fn absorb(powers: &[Powers], mut sum: __m256i, mut blocks: impl FnMut(usize) -> __m256i) -> __m128i {
        let reversed = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let reversed = _mm256_broadcastsi128_si256(reversed);
        let zero = _mm256_setzero_si256();
        let (mut low, mut middle, mut high) = (zero, zero, zero);
        for (pair, power) in powers.iter().enumerate() {
            let blocks = _mm256_xor_si256(_mm256_shuffle_epi8(blocks(pair), reversed), sum);
            sum = zero;
            low = _mm256_xor_si256(low, _mm256_clmulepi64_epi128::<0x00>(blocks, power.whole));
            high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128::<0x11>(blocks, power.whole));
            middle = _mm256_xor_si256(middle, _mm256_clmulepi64_epi128::<0x00>(halves(blocks), power.halves));
        }
        let middle = _mm256_xor_si256(middle, _mm256_xor_si256(low, high));
        let low = _mm256_xor_si256(low, _mm256_slli_si256::<8>(middle));
        let high = _mm256_xor_si256(high, _mm256_srli_si256::<8>(middle));
        reduce(both(low), both(high))
    }

    /// The first pair of blocks of `data`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(data: &[u8]) -> __m256i {
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

    #[target_feature(enable = "sse2")]
    fn number(block: __m128i) -> u128 {
        let half = |block| u128::from(_mm_cvtsi128_si64(block) as u64);
        half(_mm_unpackhi_epi64(block, block)) << 64 | half(block)
    }

    #[target_feature(enable = "sse2")]
    fn vector(number: u128) -> __m128i {
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
        reduce(
            _mm_xor_si128(low, _mm_slli_si128::<8>(middle)),
            _mm_xor_si128(high, _mm_srli_si128::<8>(middle)),
        )
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
}
