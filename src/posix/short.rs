//! Names of 8.3 form for those that have another.
//!
//! A name's short one follows from the name alone: its first letter, six digits that are a hash of it, `~`, and the first
//! three letters of its extension. So it is the same wherever and whenever the file is seen, and nothing has to be read to
//! find it out. Two names of one directory meet in one short name once in two thousand million times; that then stands for
//! the one that comes first in the order of its bytes. **The hash must stay what it is**: clients keep short names.

/// Digits of the hash, and what they are to.
const DIGITS: usize = 6;
const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Letters of the whole, at most: 8, a dot, 3.
pub const MAX: usize = 12;

/// The name, if it is not of 8.3 form by itself. `smb`: as on the wire.
pub fn short_name(smb: &str) -> Option<String> {
    if is_short(smb) {
        return None;
    }
    let (base, extension) = match smb.rfind('.') {
        Some(dot) if dot > 0 => (&smb[..dot], &smb[dot + 1..]),
        _ => (smb, ""),
    };
    let letter = |c: char| is_letter(c).then(|| c.to_ascii_uppercase());
    let mut short = String::with_capacity(MAX);
    short.push(base.chars().find_map(letter).unwrap_or('_'));
    let mut hash = hash(smb.as_bytes());
    for _ in 0..DIGITS {
        short.push(ALPHABET[(hash % 36) as usize] as char);
        hash /= 36;
    }
    short.push('~');
    let extension: String = extension.chars().filter_map(letter).take(3).collect();
    if !extension.is_empty() {
        short.push('.');
        short.push_str(&extension);
    }
    Some(short)
}

/// Whether it could be one of ours, in any case.
pub fn may_be_made(smb: &str) -> bool {
    let bytes = smb.as_bytes();
    let base = 1 + DIGITS + 1;
    bytes.len() >= base
        && is_short(smb)
        && bytes[base - 1] == b'~'
        && bytes[1..base - 1].iter().all(u8::is_ascii_alphanumeric)
        && matches!(bytes.get(base), None | Some(b'.'))
}

/// Of 8.3 form: up to eight letters, or up to eight, a dot and up to three (MS-FSCC 2.1.5.2.1), in any case.
pub fn is_short(smb: &str) -> bool {
    if smb.len() > MAX {
        return false;
    }
    let (base, extension) = smb.split_once('.').map_or((smb, None), |(base, rest)| (base, Some(rest)));
    let letters = |part: &str, most| (1..=most).contains(&part.len()) && part.chars().all(is_letter);
    letters(base, 8) && extension.is_none_or(|extension| letters(extension, 3))
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'()-@^_`{}~".contains(c)
}

/// FNV-1a, its bits mixed well enough for the lowest ones.
fn hash(bytes: &[u8]) -> u64 {
    let fnv =
        bytes.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01B3));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_is_short_by_itself() {
        for short in ["a", "README", "foo.txt", "A-B_C~1.X", "12345678.123", "{x}!"] {
            assert!(is_short(short), "{short}");
            assert_eq!(short_name(short), None);
        }
        for long in
            ["123456789", "a.html", "a.b.c", "a b", ".profile", "a.", "é.txt", "a+b", "[x]", "a\u{F022}"]
        {
            assert!(!is_short(long), "{long}");
        }
    }

    /// Changed, they would lead to other files than clients mean.
    #[test]
    fn they_stay_as_they_are() {
        for (long, short) in [
            ("long file name.html", "LXY9APO~.HTM"),
            (".profile", "PTR4BE4~"),
            ("été", "T7NEEU1~"),
            ("a.b.c", "AZ6QUHR~.C"),
        ] {
            assert_eq!(short_name(long).as_deref(), Some(short), "{long}");
        }
    }

    #[test]
    fn they_are_of_their_form_and_differ() {
        let mut seen = HashSet::new();
        for i in 0..20_000 {
            for long in [format!("Document number {i}.docx"), format!("Über {i}"), format!(".{i}.tar.gz")] {
                let short = short_name(&long).unwrap();
                assert!(is_short(&short) && may_be_made(&short) && short.len() <= MAX, "{long}: {short}");
                assert!(may_be_made(&short.to_lowercase()));
                assert!(seen.insert(short), "{long} meets another");
            }
        }
        for other in ["ABCDEFG", "ABCDEFGH", "ABCDEF~1", "ABCDEFG~X", "A.BCDEF~", "ABCDEFG~.HTML"] {
            assert!(!may_be_made(other), "{other}");
        }
    }
}
