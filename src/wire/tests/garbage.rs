//! Any bytes: a value or an error, never a panic, and a value that can be written again.

use proptest::prelude::*;

use super::super::every::{MESSAGES, PARTS};
use super::super::{compound, frame, header};
use super::real;

/// StructureSizes of bodies, so that random bytes get past the first check.
const SIZES: &[u16] = &[2, 4, 9, 16, 17, 24, 25, 31, 32, 33, 36, 41, 44, 48, 49, 57, 60, 65, 89];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(size in prop::sample::select(SIZES), mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        PARTS.iter().for_each(|(_, decode)| decode(&bytes));
        if bytes.len() >= 66 {
            bytes[64..66].copy_from_slice(&size.to_le_bytes());
        }
        MESSAGES.iter().for_each(|(_, decode)| decode(&bytes));
    }

    /// Small numbers make offsets and lengths that lie inside.
    #[test]
    fn small_bytes(
        size in prop::sample::select(SIZES),
        mut bytes in prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => 0u8..4, 1 => 64u8..200], 66..300),
    ) {
        PARTS.iter().for_each(|(_, decode)| decode(&bytes));
        bytes[64..66].copy_from_slice(&size.to_le_bytes());
        MESSAGES.iter().for_each(|(_, decode)| decode(&bytes));
    }

    #[test]
    fn mutated_packets(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let packets = real::packets();
        let mut bytes = which.get(&packets).bytes.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            PARTS.iter().for_each(|(_, decode)| decode(bytes));
            for element in compound::split(bytes).flatten() {
                MESSAGES.iter().for_each(|(_, decode)| decode(element));
            }
        }
    }
}

#[test]
fn truncated_packets() {
    for packet in real::packets() {
        for end in 0..packet.bytes.len() {
            let bytes = &packet.bytes[..end];
            PARTS.iter().for_each(|(_, decode)| decode(bytes));
            if end >= header::LEN && frame::Kind::of(bytes) == Some(frame::Kind::Smb2) {
                MESSAGES.iter().for_each(|(_, decode)| decode(bytes));
            }
        }
    }
}
