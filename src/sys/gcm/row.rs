//! A row: sixteen blocks of the counter on their way to the text, two to a register, in eight registers.

use std::arch::asm;
use std::arch::x86_64::*;

use crate::sys::ghash::wide::{PAIR, Powers, Products};

/// Pairs of blocks.
pub const PAIRS: usize = 8;
/// In bytes.
pub const ROW: usize = PAIRS * PAIR;

pub type Row = [__m256i; PAIRS];

/// Round `$round`, and meanwhile pair `$pair` of what is hashed; `$sum` is what is added to it, if anything.
macro_rules! round_and_hash {
    ($round:literal, $pair:literal $(, $sum:literal)?) => {
        concat!(
            "vmovdqu {block}, ymmword ptr [{hashed} + 32 * ", $pair, "]\n",
            "vmovdqu {key}, ymmword ptr [{keys} + 32 * ", $round, "]\n",
            "vpshufb {block}, {block}, {reversed}\n",
            $($sum,)?
            "vaesenc {a}, {a}, {key}\n",
            "vpshufd {product}, {block}, 0x4E\n",
            "vaesenc {b}, {b}, {key}\n",
            "vpxor {product}, {product}, {block}\n",
            "vaesenc {c}, {c}, {key}\n",
            "vpclmulqdq {product}, {product}, ymmword ptr [{powers} + 64 * ", $pair, " + 32], 0x00\n",
            "vaesenc {d}, {d}, {key}\n",
            "vpxor {middle}, {middle}, {product}\n",
            "vaesenc {e}, {e}, {key}\n",
            "vpclmulqdq {product}, {block}, ymmword ptr [{powers} + 64 * ", $pair, "], 0x00\n",
            "vaesenc {f}, {f}, {key}\n",
            "vpclmulqdq {block}, {block}, ymmword ptr [{powers} + 64 * ", $pair, "], 0x11\n",
            "vaesenc {g}, {g}, {key}\n",
            "vpxor {low}, {low}, {product}\n",
            "vaesenc {h}, {h}, {key}\n",
            "vpxor {high}, {high}, {block}\n",
        )
    };
}

/// The last round of pair `$pair`, in which the text is added: loaded once, encrypted, stored.
macro_rules! last_round {
    ($pair:literal, $register:literal) => {
        concat!(
            "vpxor {text}, {key}, ymmword ptr [{from} + 32 * ",
            $pair,
            "]\n",
            "vaesenclast {",
            $register,
            "}, {",
            $register,
            "}, {text}\n",
            "vmovdqu ymmword ptr [{to} + 32 * ",
            $pair,
            "], {",
            $register,
            "}\n",
        )
    };
}

/// The rounds 2 to 9, while the row that is `hashed` is absorbed, its first pair last of all: `sum`, which is added to that, is
/// calculated meanwhile.
///
/// # Safety
/// A row can be read from `hashed` on.
#[inline]
#[target_feature(enable = "avx2,vaes,vpclmulqdq")]
pub unsafe fn rounds_and_hash(
    row: &mut Row,
    keys: &[__m256i; 15],
    hashed: *const u8,
    powers: &[Powers; PAIRS],
    products: &mut Products,
    sum: &__m256i,
    reversed: __m256i,
) {
    // SAFETY: the keys, all of the powers, `sum` and a row from `hashed` on are read, nothing is written.
    unsafe {
        asm!(
            round_and_hash!(2, 1),
            round_and_hash!(3, 2),
            round_and_hash!(4, 3),
            round_and_hash!(5, 4),
            round_and_hash!(6, 5),
            round_and_hash!(7, 6),
            round_and_hash!(8, 7),
            round_and_hash!(9, 0, "vpxor {block}, {block}, ymmword ptr [{sum}]\n"),
            a = inout(ymm_reg) row[0], b = inout(ymm_reg) row[1],
            c = inout(ymm_reg) row[2], d = inout(ymm_reg) row[3],
            e = inout(ymm_reg) row[4], f = inout(ymm_reg) row[5],
            g = inout(ymm_reg) row[6], h = inout(ymm_reg) row[7],
            low = inout(ymm_reg) products.low,
            middle = inout(ymm_reg) products.middle,
            high = inout(ymm_reg) products.high,
            reversed = in(ymm_reg) reversed,
            key = out(ymm_reg) _, block = out(ymm_reg) _, product = out(ymm_reg) _,
            keys = in(reg) keys, powers = in(reg) powers, hashed = in(reg) hashed, sum = in(reg) sum,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// A round of AES that is not the last.
#[inline]
#[target_feature(enable = "avx2,vaes")]
pub fn round(row: &mut Row, key: &__m256i) {
    for pair in row {
        *pair = _mm256_aesenc_epi128(*pair, *key);
    }
}

/// The last round: the row that stands at `from`, encrypted, goes to `to`.
///
/// # Safety
/// A row can be read from `from` on and written from `to` on. They are apart.
#[inline]
#[target_feature(enable = "avx2,vaes")]
pub unsafe fn last_round(row: Row, key: __m256i, from: *const u8, to: *mut u8) {
    let [a, b, c, d, e, f, g, h] = row;
    // SAFETY: a row is read, once, and one is written. Assembly that is not `pure` is neither repeated nor left out.
    unsafe {
        asm!(
            last_round!(0, "a"),
            last_round!(1, "b"),
            last_round!(2, "c"),
            last_round!(3, "d"),
            last_round!(4, "e"),
            last_round!(5, "f"),
            last_round!(6, "g"),
            last_round!(7, "h"),
            a = inout(ymm_reg) a => _, b = inout(ymm_reg) b => _,
            c = inout(ymm_reg) c => _, d = inout(ymm_reg) d => _,
            e = inout(ymm_reg) e => _, f = inout(ymm_reg) f => _,
            g = inout(ymm_reg) g => _, h = inout(ymm_reg) h => _,
            key = in(ymm_reg) key, text = out(ymm_reg) _,
            from = in(reg) from, to = in(reg) to,
            options(nostack, preserves_flags),
        );
    }
}
