//! As much DER as SPNEGO needs: definite lengths, one-byte tags.

use crate::wire::codec::{DecodeError, Reader, Result};

pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const ENUMERATED: u8 = 0x0A;
pub const GENERAL_STRING: u8 = 0x1B;
pub const SEQUENCE: u8 = 0x30;
/// `[APPLICATION 0]`, the frame of a GSS initial token (RFC 2743 3.1).
pub const APPLICATION: u8 = 0x60;

/// `[n]`, constructed.
pub const fn context(n: u8) -> u8 {
    0xA0 | n
}

/// A length in its shortest form or a longer one; never beyond what is there.
fn length(r: &mut Reader<'_>, what: &'static str) -> Result<usize> {
    let first = r.u8(what)?;
    if first < 0x80 {
        return Ok(first.into());
    }
    let count = usize::from(first & 0x7F);
    if !(1..=4).contains(&count) {
        return Err(DecodeError::new(what));
    }
    Ok(r.bytes(count, what)?.iter().fold(0, |n, &b| n << 8 | usize::from(b)))
}

/// The next element: its tag and contents.
pub fn any<'a>(r: &mut Reader<'a>, what: &'static str) -> Result<(u8, &'a [u8])> {
    let tag = r.u8(what)?;
    if tag & 0x1F == 0x1F {
        return Err(DecodeError::new(what));
    }
    let len = length(r, what)?;
    Ok((tag, r.bytes(len, what)?))
}

/// The contents of the next element, which must have this tag.
pub fn element<'a>(r: &mut Reader<'a>, tag: u8, what: &'static str) -> Result<&'a [u8]> {
    match any(r, what)? {
        (found, contents) if found == tag => Ok(contents),
        _ => Err(DecodeError::new(what)),
    }
}

/// The contents of `bytes` when that is exactly one element with this tag.
pub fn only<'a>(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<&'a [u8]> {
    let mut r = Reader::new(bytes);
    let contents = element(&mut r, tag, what)?;
    if r.is_empty() { Ok(contents) } else { Err(DecodeError::new(what)) }
}

/// One element from its parts.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let mut out = Vec::with_capacity(len + 6);
    out.push(tag);
    if len < 0x80 {
        out.push(len as u8);
    } else {
        let bytes = (len as u32).to_be_bytes();
        let skip = bytes.iter().take_while(|&&b| b == 0).count();
        out.push(0x80 | (4 - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
    parts.iter().for_each(|p| out.extend_from_slice(p));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_form_come_back() {
        for len in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let contents = vec![7; len];
            let bytes = tlv(SEQUENCE, &[&contents]);
            assert_eq!(only(&bytes, SEQUENCE, "x"), Ok(&contents[..]));
            assert!(only(&bytes[..bytes.len() - 1], SEQUENCE, "x").is_err());
        }
    }

    #[test]
    fn what_is_not_der_is_refused() {
        // Indefinite length, too long a length, a tag of several bytes, a length beyond the end.
        for bytes in [
            &[0x30, 0x80, 0, 0][..],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x1F, 1, 0],
            &[0x30, 0x84, 255, 255, 255, 255],
        ] {
            assert!(any(&mut Reader::new(bytes), "x").is_err());
        }
    }
}
