//! Splitting a compounded message (MS-SMB2 3.3.5.2.7, 3.2.5.1.9).

use super::codec::{DecodeError, Result};
use super::header;

/// The elements of a message, each from its SMB2 header to its NextCommand or the end of the message,
/// padding included. Ends after the first error.
pub fn split(message: &[u8]) -> Split<'_> {
    Split { rest: Some(message) }
}

/// See [`split`].
#[derive(Clone, Debug)]
pub struct Split<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Split<'a> {
    type Item = Result<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        if rest.len() < header::LEN || rest[..4] != header::PROTOCOL_ID {
            return Some(Err(DecodeError::new("header")));
        }
        let at = header::offset::NEXT_COMMAND;
        let next = u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]) as usize;
        if next == 0 {
            return Some(Ok(rest));
        }
        if !next.is_multiple_of(8) || next < header::LEN || next > rest.len() - header::LEN {
            return Some(Err(DecodeError::new("NextCommand")));
        }
        let (element, behind) = rest.split_at(next);
        self.rest = Some(behind);
        Some(Ok(element))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(next: u32, len: usize) -> Vec<u8> {
        let mut m = vec![0; len];
        m[..4].copy_from_slice(&header::PROTOCOL_ID);
        m[4] = 64;
        m[20..24].copy_from_slice(&next.to_le_bytes());
        m
    }

    #[test]
    fn elements_reach_to_the_next_command() {
        let mut m = message(72, 72);
        m.extend(message(0, 70));
        let parts: Vec<_> = split(&m).map(|p| p.unwrap().len()).collect();
        assert_eq!(parts, [72, 70]);
    }

    #[test]
    fn next_command_is_aligned_and_inside() {
        for next in [1, 8, 56, 63, 65, 68, 80, 128, 0xFFFF_FFF8, u32::MAX] {
            let m = message(next, 72 + 64 - 1);
            let got: Vec<_> = split(&m).collect();
            assert_eq!(got.len(), 1, "{next}");
            assert!(got[0].is_err(), "{next}");
        }
        assert_eq!(split(&[]).count(), 1);
    }
}
