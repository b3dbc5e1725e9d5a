use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};

use super::Gcm;
use crate::sys::source::Source;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn random(n: usize) -> Vec<u8> {
    let mut out = vec![0; n];
    getrandom::fill(&mut out).unwrap();
    out
}

/// A whole text, in one part; the tag.
fn seal(gcm: &Gcm, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
    let plain = data.to_vec();
    let sum = gcm.seal_copy(nonce, 0, Source::from(&plain[..]), data);
    gcm.seal_head(nonce, aad, &mut [], &sum)
}

/// The GCM specification's test cases 1, 2, 3, 4, 13, 14, 15 and 16.
#[test]
fn the_specification() {
    let key = hex("feffe9928665731c6d6a8f9467308308");
    let plain = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255");
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let nonce = hex("cafebabefacedbaddecaf888");
    let sealed = hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
                      21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985");
    let sealed_256 = hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                          8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad");
    let (zero, long) = (vec![0; 32], [&key[..], &key[..]].concat());
    for (key, nonce, aad, plain, sealed, tag) in [
        (&zero[..16], &zero[..12], &[][..], &[][..], &[][..], "58e2fccefa7e3061367f1d57a4e7455a"),
        (
            &zero[..16],
            &zero[..12],
            &[],
            &zero[..16],
            &hex("0388dace60b6a392f328c2b971b2fe78"),
            "ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (&key, &nonce, &[], &plain, &sealed, "4d5c2af327cd64a62cf35abd2ba6fab4"),
        (&key, &nonce, &aad, &plain[..60], &sealed[..60], "5bc94fbc3221a5db94fae95ae7121a47"),
        (&zero, &zero[..12], &[], &[], &[], "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            &zero,
            &zero[..12],
            &[],
            &zero[..16],
            &hex("cea7403d4d606b6e074ec5d3baf39d18"),
            "d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (&long, &nonce, &[], &plain, &sealed_256, "b094dac5d93471bdec1a502270e3cc6c"),
        (&long, &nonce, &aad, &plain[..60], &sealed_256[..60], "76fc6ece0f4e1768cddf8853bb2d551b"),
    ] {
        let Some(gcm) = Gcm::new(key) else { return };
        let mut data = plain.to_vec();
        assert_eq!(seal(&gcm, nonce.try_into().unwrap(), aad, &mut data)[..], hex(tag));
        assert_eq!(data, sealed);
    }
}

/// Every length around those of blocks and rows, and some long ones, with associated data of every length around a block's; in
/// two parts, none of which begins where it would suit the processor.
#[test]
fn the_crate_gets_the_same() {
    let (short, long) = (random(16), random(32));
    let of_the_crate =
        (Aes128Gcm::new_from_slice(&short).unwrap(), Aes256Gcm::new_from_slice(&long).unwrap());
    let (Some(short), Some(long)) = (Gcm::new(&short), Gcm::new(&long)) else { return };
    for len in (0..600).chain([1_023, 1_024, 1_280, 2_049, 4_097, 65_553, 1_048_599]) {
        let (plain, aad) = (random(len), random(len % 50));
        let nonce: [u8; 12] = random(12).try_into().unwrap();
        for (is_short, gcm) in [(true, &short), (false, &long)] {
            let mut expected = plain.clone();
            let data = (&mut expected[..]).into();
            let tag = match is_short {
                true => of_the_crate.0.encrypt_inout_detached((&nonce).into(), &aad, data),
                false => of_the_crate.1.encrypt_inout_detached((&nonce).into(), &aad, data),
            };
            let tag: [u8; 16] = tag.unwrap().into();
            let mut whole = plain.clone();
            assert_eq!(seal(gcm, &nonce, &aad, &mut whole), tag, "{len}");
            assert!(whole == expected, "{len}");
            for at in [0, 16, 80, 240].into_iter().filter(|at| *at <= len) {
                let mut got = vec![0; len + 1];
                let (head, end) = got[1..].split_at_mut(at);
                let sum = gcm.seal_copy(&nonce, at, Source::from(&plain[at..]), end);
                head.copy_from_slice(&plain[..at]);
                assert_eq!(gcm.seal_head(&nonce, &aad, head, &sum), tag, "{len} from {at}");
                assert!(got[1..] == expected, "{len} from {at}");
            }
        }
    }
}
