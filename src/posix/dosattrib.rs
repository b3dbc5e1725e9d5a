//! `user.DOSATTRIB`: DOS attributes and creation time, in the bytes that Samba keeps.
//!
//! The value: the attributes as text (`0x22`, may be empty) with a NUL, then aligned to 2 a version and, again,
//! the version as the union's tag, then aligned to 4 the body of that version, all little-endian. Version 5 is
//! written (as Samba since 4.16 does); 1 to 5 and the bare text of the oldest are read.

use crate::types::{FileAttributes, FileTime};

/// The attribute's name.
pub const NAME: &std::ffi::CStr = c"user.DOSATTRIB";

/// Room for every version with a long name in it.
pub const MAX: usize = 256;

const VALID_ATTRIB: u32 = 0x01;
const VALID_CREATE_TIME: u32 = 0x10;

/// What the value says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DosAttrib {
    pub attributes: Option<FileAttributes>,
    pub created: Option<FileTime>,
}

impl DosAttrib {
    /// `None` when the bytes make no sense; the file then counts as one without.
    pub fn decode(bytes: &[u8]) -> Option<DosAttrib> {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        let text = std::str::from_utf8(&bytes[..end]).ok()?;
        let at = (end + 1).next_multiple_of(2);
        let Some(version) = u16_at(bytes, at) else {
            // Before Samba 3.5 the text was all.
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
            let value = u32::from_str_radix(digits, 16).ok()?;
            return Some(DosAttrib {
                attributes: Some(FileAttributes::from_bits_retain(value)),
                created: None,
            });
        };
        if u16_at(bytes, at + 2)? != version {
            return None;
        }
        let body = (at + 4).next_multiple_of(4);
        let attributes = |at| Some(FileAttributes::from_bits_retain(u32_at(bytes, at)?));
        let created = |at| u64_at(bytes, at).map(|t| (t != 0 && t != u64::MAX).then_some(FileTime(t)));
        match version {
            // attrib, ea_size, size, alloc_size, create_time, ...
            1 => Some(DosAttrib { attributes: Some(attributes(body)?), created: created(body + 24)? }),
            // flags, then as 1
            2 => Some(DosAttrib { attributes: Some(attributes(body + 4)?), created: created(body + 28)? }),
            3..=5 => {
                let valid = u32_at(bytes, body)?;
                let time_at = match version {
                    3 => body + 28, // valid, attrib, ea_size, size, alloc_size, create_time
                    4 => body + 16, // valid, attrib, itime, create_time
                    _ => body + 8,  // valid, attrib, create_time
                };
                let attributes = attributes(body + 4)?;
                let created = created(time_at)?;
                Some(DosAttrib {
                    attributes: (valid & VALID_ATTRIB != 0).then_some(attributes),
                    created: created.filter(|_| valid & VALID_CREATE_TIME != 0),
                })
            }
            _ => None,
        }
    }

    /// Version 5.
    pub fn encode(&self) -> [u8; 24] {
        let mut out = [0; 24];
        out[2..4].copy_from_slice(&5u16.to_le_bytes());
        out[4..6].copy_from_slice(&5u16.to_le_bytes());
        let mut valid = 0;
        if let Some(attributes) = self.attributes {
            valid |= VALID_ATTRIB;
            out[12..16].copy_from_slice(&attributes.bits().to_le_bytes());
        }
        if let Some(created) = self.created {
            valid |= VALID_CREATE_TIME;
            out[16..24].copy_from_slice(&created.0.to_le_bytes());
        }
        out[8..12].copy_from_slice(&valid.to_le_bytes());
        out
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    /// Written by Debian's smbd 4.17 for `setmode +hsr`, `setmode -a`, a hidden directory, `utimes 2020:01:02-03:04:05`.
    #[test]
    fn what_samba_wrote() {
        for (bytes, attributes, created) in [
            ("00000500050000001100000027000000ca86dfce237bdd01", 0x27, 0x01dd_7b23_cedf_86ca),
            ("000005000500000011000000000000006035e0ce237bdd01", 0, 0x01dd_7b23_cee0_3560),
            ("00000500050000001100000012000000fcebdfce237bdd01", 0x12, 0x01dd_7b23_cedf_ebfc),
            ("000005000500000011000000200000008000c44a19c1d501", 0x20, 0x01d5_c119_4ac4_0080),
        ] {
            let want = DosAttrib {
                attributes: Some(FileAttributes::from_bits_retain(attributes)),
                created: Some(FileTime(created)),
            };
            assert_eq!(DosAttrib::decode(&hex(bytes)), Some(want));
            assert_eq!(want.encode().to_vec(), hex(bytes));
        }
        assert_eq!(FileTime(0x01d5_c119_4ac4_0080), FileTime::from_unix(1_577_934_245, 0));
    }

    /// Put there by hand and read back as these values through Debian's smbd 4.17.
    #[test]
    fn what_samba_reads() {
        let v3 = "30783232000003000300000011000000220000000000000000000000000000000000000000000000\
                  8096980000000000f0debc9a78563412";
        let read = DosAttrib::decode(&hex(v3)).unwrap();
        assert_eq!(read.attributes.unwrap().bits(), 0x22);
        assert_eq!(read.created, Some(FileTime(10_000_000)));
        let v4 = "0000040004000000510000002300000011223344556677010080fa39cf51d501";
        let read = DosAttrib::decode(&hex(v4)).unwrap();
        assert_eq!(read.attributes.unwrap().bits(), 0x23);
        assert_eq!(read.created, Some(FileTime(0x01d5_51cf_39fa_8000)));
        let text = DosAttrib::decode(b"0x22\0").unwrap();
        assert_eq!(text.attributes.unwrap().bits(), 0x22);
        assert_eq!(DosAttrib::decode(b"0x22"), Some(text));
    }

    #[test]
    fn nonsense_counts_as_nothing() {
        for bytes in [
            &b""[..],
            b"\0\0\x05\0\x05\0",
            b"\0\0\x09\0\x09\0\0\0\0\0\0\0",
            b"\0\0\x05\0\x04\0\0\0\x11\0\0\0",
        ] {
            assert_eq!(DosAttrib::decode(bytes), None);
        }
    }
}
