//! One name on disk and on the wire, each way, without loss.
//!
//! On disk a name is bytes without `/` and NUL; on the wire it is UTF-16 without `" * / : < > ? \ |` and
//! control characters, and Windows drops a dot or space at the end. What SMB cannot carry goes to the private
//! range as macOS and the Linux client have it ("SFM"):
//!
//! | on disk | on the wire |
//! |---|---|
//! | 0x01 to 0x1F | U+F001 to U+F01F |
//! | `"` `*` `:` `<` `>` `?` `\` <code>&#124;</code> | U+F020 to U+F027 |
//! | a space, a dot at the end | U+F028, U+F029 |
//! | a byte that is not UTF-8 (0x80 to 0xFF) | U+F180 to U+F1FF |
//! | a character of the ranges above, literally (U+F028, U+F029: at the end) | its UTF-8 bytes, each as in the row above |
//!
//! Every name on disk has one spelling on the wire, and that leads back to it. A spelling that no name on disk
//! would get (raw bytes that make up a proper character) is refused, so no file appears under another name than
//! it was created with. The one exception: a plain dot or space at the end is taken as if it were mapped.

use unicode_normalization::UnicodeNormalization;

use super::Result;
use crate::types::{NtStatus, upcase};

/// Characters of SMB in the order of U+F020 and up.
const SPECIAL: [u8; 8] = *b"\"*:<>?\\|";
const SPACE: char = '\u{F028}';
const DOT: char = '\u{F029}';
/// UTF-16 units of one component (MS-FSCC 2.1.5.2).
pub const MAX_UNITS: usize = 255;

/// The mapped form of a character that SMB cannot carry.
const fn mapped(byte: u8) -> Option<char> {
    let mut i = 0;
    while i < SPECIAL.len() {
        if SPECIAL[i] == byte {
            return char::from_u32(0xF020 + i as u32);
        }
        i += 1;
    }
    if byte < 0x20 { char::from_u32(0xF000 + byte as u32) } else { None }
}

/// Appends the wire form of a name on disk.
pub fn push_smb(disk: &[u8], out: &mut String) {
    if is_plain(disk) {
        // Only ASCII.
        out.push_str(std::str::from_utf8(disk).unwrap_or_default());
        return;
    }
    let mut rest = disk.len();
    for chunk in disk.utf8_chunks() {
        for c in chunk.valid().chars() {
            rest -= c.len_utf8();
            match c {
                ' ' if rest == 0 => out.push(SPACE),
                '.' if rest == 0 => out.push(DOT),
                '\0'..='\u{7F}' => out.push(mapped(c as u8).unwrap_or(c)),
                '\u{F001}'..='\u{F027}' | '\u{F180}'..='\u{F1FF}' => push_raw(c, out),
                SPACE | DOT if rest == 0 => push_raw(c, out),
                _ => out.push(c),
            }
        }
        for &byte in chunk.invalid() {
            rest -= 1;
            out.push(raw(byte));
        }
    }
}

/// The wire form of a name on disk.
pub fn to_smb(disk: &[u8]) -> String {
    let mut out = String::with_capacity(disk.len());
    push_smb(disk, &mut out);
    out
}

/// Appends the disk form of one component that a client sent, or says why no file can be called so.
pub fn push_disk(smb: &str, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    let mut units = 0;
    let mut has_raw = false;
    let mut chars = smb.chars().peekable();
    while let Some(c) = chars.next() {
        units += c.len_utf16();
        let last = chars.peek().is_none();
        match c {
            '\0'..='\u{1F}' | '"' | '*' | '/' | ':' | '<' | '>' | '?' | '\\' | '|' => {
                return Err(NtStatus::OBJECT_NAME_INVALID);
            }
            '\u{F001}'..='\u{F01F}' => out.push((c as u32 - 0xF000) as u8),
            '\u{F020}'..='\u{F027}' => out.push(SPECIAL[(c as usize) - 0xF020]),
            SPACE if last => out.push(b' '),
            DOT if last => out.push(b'.'),
            '\u{F180}'..='\u{F1FF}' => {
                has_raw = true;
                out.push((c as u32 - 0xF100) as u8);
            }
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let disk = &out[start..];
    if disk.is_empty() || disk == b"." || disk == b".." || units > MAX_UNITS {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    if has_raw && to_smb(disk) != smb {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    Ok(())
}

/// Whether a name is the same in both forms: printable ASCII without anything special.
fn is_plain(disk: &[u8]) -> bool {
    disk.iter().all(|&b| (0x20..0x80).contains(&b) && !SPECIAL.contains(&b))
        && !matches!(disk.last(), Some(b' ' | b'.'))
}

const fn raw(byte: u8) -> char {
    match char::from_u32(0xF100 + byte as u32) {
        Some(c) => c,
        None => char::REPLACEMENT_CHARACTER,
    }
}

fn push_raw(c: char, out: &mut String) {
    out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(raw));
}

/// A name as it is compared: `é` is one character or two (macOS sends two), and in either case, the same.
pub fn fold(smb: &str) -> String {
    if smb.is_ascii() { smb.to_ascii_uppercase() } else { smb.nfc().map(upcase).collect() }
}

/// Whether two names are one to a client.
pub fn same(a: &str, b: &str) -> bool {
    match a.is_ascii() && b.is_ascii() {
        true => a.eq_ignore_ascii_case(b),
        false => a.nfc().map(upcase).eq(b.nfc().map(upcase)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_disk(smb: &str) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        push_disk(smb, &mut out).map(|()| out)
    }

    #[test]
    fn the_private_range_of_macos_and_linux() {
        for (disk, smb) in [
            (&b"a:b"[..], "a\u{F022}b"),
            (b"\"*<>?|\\", "\u{F020}\u{F021}\u{F023}\u{F024}\u{F025}\u{F027}\u{F026}"),
            (b"\x01\x1f", "\u{F001}\u{F01F}"),
            (b"end.", "end\u{F029}"),
            (b"end. ", "end.\u{F028}"),
            (b"...", "..\u{F029}"),
            (b"\xff.\xc3", "\u{F1FF}.\u{F1C3}"),
            ("\u{F022}".as_bytes(), "\u{F1EF}\u{F180}\u{F1A2}"),
            ("x\u{F029}y".as_bytes(), "x\u{F029}y"),
            ("x\u{F029}".as_bytes(), "x\u{F1EF}\u{F180}\u{F1A9}"),
            ("grün.txt".as_bytes(), "grün.txt"),
        ] {
            assert_eq!(to_smb(disk), smb);
            assert_eq!(to_disk(smb).unwrap(), disk);
        }
    }

    #[test]
    fn what_no_file_can_be_called() {
        let long = "x".repeat(256);
        for bad in ["", ".", "..", "\u{F029}", ".\u{F029}", "a/b", "a*", "a\u{1}", "\0", "a:b", &long] {
            assert_eq!(to_disk(bad), Err(NtStatus::OBJECT_NAME_INVALID), "{bad:?}");
        }
        // é spelled as raw bytes would come back as é.
        assert!(to_disk("\u{F1C3}\u{F1A9}").is_err());
        assert_eq!(to_disk("plain.").unwrap(), b"plain.");
    }

    #[test]
    fn case() {
        assert!(same("Grün.TXT", "gRÜN.txt"));
        assert!(!same("ß", "ss"));
        assert!(!same("ı", "I"));
        assert!(same("cafe\u{301}", "CAFÉ") && same("\u{1E9B}\u{323}", "\u{1E9B}\u{323}"));
        assert!(!same("cafe", "café"));
        assert_eq!(fold("aé"), "AÉ");
    }

    proptest! {
        #[test]
        fn every_disk_name_comes_back(disk in prop::collection::vec(
            prop_oneof![1..=255u8, Just(b'.'), Just(b' '), Just(0xEF), Just(0x80), Just(0x86), Just(0xA9)], 1..40)
            .prop_filter("a name", |n| !n.contains(&b'/') && n != b"." && n != b".."))
        {
            let smb = to_smb(&disk);
            prop_assert_eq!(to_disk(&smb).unwrap(), disk);
        }

        #[test]
        fn every_wire_name_keeps_its_spelling(smb in "[a-zA-Z0-9 .é\u{F001}-\u{F02A}\u{F180}-\u{F1FF}]{1,20}") {
            if let Ok(disk) = to_disk(&smb) {
                prop_assert_eq!(to_smb(&disk), if smb.ends_with('.') {
                    format!("{}\u{F029}", &smb[..smb.len() - 1])
                } else if smb.ends_with(' ') {
                    format!("{}\u{F028}", &smb[..smb.len() - 1])
                } else {
                    smb
                });
            }
        }
    }
}
