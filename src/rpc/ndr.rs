//! NDR 2.0, little-endian (C706 chapter 14), with the few types that every interface shares. Alignment is
//! counted from the first byte of the stub.

use crate::types::{Guid, NtStatus};
use crate::wire::codec::{DecodeError, Reader, Result, Writer};
use crate::wire::dtyp::Sid;

/// Reads the arguments of a call. Bytes behind the last argument are not looked at: a verification
/// trailer (MS-RPCE 2.2.2.13) may stand there.
#[derive(Debug)]
pub struct NdrReader<'a> {
    r: Reader<'a>,
}

impl<'a> NdrReader<'a> {
    pub fn new(stub: &'a [u8]) -> NdrReader<'a> {
        NdrReader { r: Reader::new(stub) }
    }

    pub fn u16(&mut self) -> Result<u16> {
        self.r.align(2);
        self.r.u16("NDR short")
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.r.align(4);
        self.r.u32("NDR long")
    }

    /// A unique pointer: does it point at something?
    pub fn pointer(&mut self) -> Result<bool> {
        self.u32().map(|id| id != 0)
    }

    /// A context handle (C706 appendix N): attributes and a UUID.
    pub fn handle(&mut self) -> Result<[u8; 20]> {
        self.r.align(4);
        self.r.array("context handle")
    }

    /// The wide characters of a conformant and varying array.
    fn wide(&mut self) -> Result<impl Iterator<Item = u16> + 'a> {
        let max = self.u32()?;
        let offset = self.u32()?;
        let len = self.u32()?;
        if offset != 0 || len > max {
            return Err(DecodeError::new("NDR string"));
        }
        let bytes = self.r.bytes((len as usize).saturating_mul(2), "NDR string")?;
        Ok(bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])))
    }

    /// A conformant and varying string of wide characters, without its NUL. Unpaired surrogates are
    /// replaced.
    pub fn string(&mut self) -> Result<String> {
        Ok(text(self.wide()?.take_while(|unit| *unit != 0)))
    }

    pub fn unique_string(&mut self) -> Result<Option<String>> {
        if self.pointer()? { self.string().map(Some) } else { Ok(None) }
    }

    /// A unique pointer to a long.
    pub fn unique_u32(&mut self) -> Result<Option<u32>> {
        if self.pointer()? { self.u32().map(Some) } else { Ok(None) }
    }

    /// The fixed part of an RPC_UNICODE_STRING (MS-DTYP 2.3.10): whether characters follow it later.
    fn counted(&mut self) -> Result<bool> {
        self.r.align(4);
        let (length, max) = (self.u16()?, self.u16()?);
        if length > max || length % 2 != 0 {
            return Err(DecodeError::new("RPC_UNICODE_STRING"));
        }
        let there = self.pointer()?;
        if there || length == 0 { Ok(there) } else { Err(DecodeError::new("RPC_UNICODE_STRING")) }
    }

    /// An RPC_UNICODE_STRING that stands alone.
    pub fn unicode(&mut self) -> Result<String> {
        if self.counted()? { Ok(text(self.wide()?)) } else { Ok(String::new()) }
    }

    /// `count` of them, then what they point at.
    pub fn unicodes(&mut self, count: usize) -> Result<Vec<String>> {
        let there = self.each(count, 8, NdrReader::counted)?;
        there.into_iter().map(|t| if t { self.wide().map(text) } else { Ok(String::new()) }).collect()
    }

    /// RPC_SID (MS-DTYP 2.4.2.3).
    pub fn sid(&mut self) -> Result<Sid> {
        let count = self.u32()?;
        let sid = Sid::decode(&mut self.r)?;
        if sid.sub_authorities().len() == count as usize { Ok(sid) } else { Err(DecodeError::new("RPC_SID")) }
    }

    /// A count, and a pointer to that many pointers to SIDs: LSAPR_SID_ENUM_BUFFER, SAMPR_PSID_ARRAY.
    pub fn sids(&mut self, most: u32) -> Result<Vec<Sid>> {
        let count = self.u32()?;
        if !self.pointer()? {
            return if count == 0 { Ok(Vec::new()) } else { Err(DecodeError::new("SIDs")) };
        }
        let count = self.conformant(count, most)?;
        let there = self.each(count, 4, NdrReader::pointer)?;
        if there.contains(&false) {
            return Err(DecodeError::new("SIDs"));
        }
        there.into_iter().map(|_| self.sid()).collect()
    }

    /// The size of a conformant array of `count` elements; `most`: what the interface's range attribute says.
    pub fn conformant(&mut self, count: u32, most: u32) -> Result<usize> {
        let size = self.u32()?;
        if size == count && count <= most { Ok(count as usize) } else { Err(DecodeError::new("NDR array")) }
    }

    /// The same with a part of it only sent (size_is and length_is), which begins with the first.
    pub fn varying(&mut self, count: u32, most: u32) -> Result<usize> {
        let size = self.u32()?;
        let (offset, len) = (self.u32()?, self.u32()?);
        if offset == 0 && len == count && len <= size && len <= most {
            Ok(len as usize)
        } else {
            Err(DecodeError::new("NDR array"))
        }
    }

    /// `count` elements of at least `size` bytes each: no more memory is taken than bytes have come.
    pub fn each<T>(
        &mut self,
        count: usize,
        size: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        if count.saturating_mul(size) > self.r.remaining() {
            return Err(DecodeError::new("NDR array"));
        }
        (0..count).map(|_| read(self)).collect()
    }
}

fn text(units: impl Iterator<Item = u16>) -> String {
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Writes results. What embedded pointers point at is kept until the structure they are embedded in is whole, and
/// then written in the order of the pointers, each followed by what it points at itself (C706 14.3.12.3).
#[derive(Debug, Default)]
pub struct NdrWriter {
    out: Vec<u8>,
    pointers: u32,
    /// Each begins at a multiple of four, and holds nothing that is aligned to more.
    waiting: Vec<Vec<u8>>,
}

impl NdrWriter {
    pub fn new() -> NdrWriter {
        NdrWriter::default()
    }

    fn w(&mut self) -> Writer<'_> {
        Writer::from_base(&mut self.out, 0)
    }

    pub fn align(&mut self, n: usize) {
        self.w().align(n);
    }

    pub fn u8(&mut self, v: u8) {
        self.w().u8(v);
    }

    pub fn u16(&mut self, v: u16) {
        let mut w = self.w();
        w.align(2);
        w.u16(v);
    }

    pub fn u32(&mut self, v: u32) {
        let mut w = self.w();
        w.align(4);
        w.u32(v);
    }

    /// A hyper. At the top level only: what waits is aligned to four.
    pub fn u64(&mut self, v: u64) {
        let mut w = self.w();
        w.align(8);
        w.u64(v);
    }

    /// OLD_LARGE_INTEGER (MS-SAMR 2.2.2.2): two longs.
    pub fn old_large(&mut self, v: u64) {
        self.u32(v as u32);
        self.u32((v >> 32) as u32);
    }

    pub fn guid(&mut self, v: Guid) {
        let mut w = self.w();
        w.align(4);
        w.guid(v);
    }

    pub fn handle(&mut self, handle: &[u8; 20]) {
        let mut w = self.w();
        w.align(4);
        w.bytes(handle);
    }

    /// A pointer to what the caller writes next, or null.
    pub fn pointer(&mut self, there: bool) {
        if there {
            self.pointers += 1;
        }
        self.u32(if there { 0x0002_0000 + 4 * (self.pointers - 1) } else { 0 });
    }

    /// An embedded pointer to what `write` writes.
    pub fn embedded(&mut self, write: impl FnOnce(&mut NdrWriter)) {
        self.pointer(true);
        let mut pointee = NdrWriter { pointers: self.pointers, ..NdrWriter::default() };
        write(&mut pointee);
        pointee.pointees();
        self.pointers = pointee.pointers;
        self.waiting.push(pointee.out);
    }

    /// A pointer that is a parameter of its own, to what `write` writes.
    pub fn parameter(&mut self, write: impl FnOnce(&mut NdrWriter)) {
        self.pointer(true);
        write(self);
        self.pointees();
    }

    /// What has been pointed at so far.
    pub fn pointees(&mut self) {
        for pointee in std::mem::take(&mut self.waiting) {
            self.align(4);
            self.out.extend_from_slice(&pointee);
        }
    }

    /// A pointer to a string.
    pub fn text(&mut self, text: &str) {
        self.embedded(|w| w.string(text));
    }

    /// A length, then a pointer to that many bytes; none: zero and null.
    pub fn sized_bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        if bytes.is_empty() {
            return self.pointer(false);
        }
        self.embedded(|w| {
            w.u32(bytes.len() as u32);
            w.out.extend_from_slice(bytes);
        });
    }

    /// A count, then a pointer to a conformant array of so many elements; none: zero and null.
    pub fn counted_array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        write: impl FnMut(&mut NdrWriter, T),
    ) {
        self.u32(items.len() as u32);
        self.array(items, write);
    }

    /// The pointer alone.
    pub fn array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut NdrWriter, T),
    ) {
        if items.len() == 0 {
            return self.pointer(false);
        }
        self.embedded(|w| {
            w.u32(items.len() as u32);
            items.for_each(|item| write(w, item));
        });
    }

    /// A conformant and varying array of wide characters.
    fn wide(&mut self, text: &str, nul: bool) {
        let units = text.encode_utf16().count() as u32 + u32::from(nul);
        for field in [units, 0, units] {
            self.u32(field);
        }
        let mut w = self.w();
        w.utf16(text);
        if nul {
            w.u16(0);
        }
    }

    /// A conformant and varying string with its NUL.
    pub fn string(&mut self, text: &str) {
        self.wide(text, true);
    }

    /// RPC_UNICODE_STRING (MS-DTYP 2.3.10). An empty one points at nothing; what is longer than one can be is cut.
    pub fn unicode(&mut self, text: &str) {
        const MOST: usize = u16::MAX as usize / 2;
        let cut: String;
        let mut text = text;
        if text.encode_utf16().count() > MOST {
            cut = text.chars().take(MOST / 2).collect();
            text = &cut;
        }
        let bytes = (2 * text.encode_utf16().count()) as u16;
        self.align(4);
        self.u16(bytes);
        self.u16(bytes);
        if text.is_empty() {
            self.pointer(false);
        } else {
            self.embedded(|w| w.wide(text, false));
        }
    }

    /// RPC_STRING (MS-DTYP 2.3.9) of ASCII; other characters become question marks.
    pub fn ansi(&mut self, text: &str) {
        let bytes: Vec<u8> =
            text.chars().take(256).map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect();
        self.align(4);
        self.u16(bytes.len() as u16);
        self.u16(bytes.len() as u16);
        if bytes.is_empty() {
            return self.pointer(false);
        }
        self.embedded(|w| {
            for field in [bytes.len() as u32, 0, bytes.len() as u32] {
                w.u32(field);
            }
            w.out.extend_from_slice(&bytes);
        });
    }

    /// RPC_SID (MS-DTYP 2.4.2.3).
    pub fn sid(&mut self, sid: &Sid) {
        self.u32(sid.sub_authorities().len() as u32);
        sid.encode(&mut self.w());
    }

    /// An embedded pointer to a SID.
    pub fn sid_pointer(&mut self, sid: Option<&Sid>) {
        match sid {
            Some(sid) => self.embedded(|w| w.sid(sid)),
            None => self.pointer(false),
        }
    }

    /// A unique pointer to a long.
    pub fn unique_u32(&mut self, v: Option<u32>) {
        self.pointer(v.is_some());
        if let Some(v) = v {
            self.u32(v);
        }
    }

    /// The stub, ended by the return value.
    pub fn finish(mut self, status: u32) -> Vec<u8> {
        self.pointees();
        self.u32(status);
        self.out
    }

    /// The same for calls that return an NTSTATUS.
    pub fn done(self, status: NtStatus) -> Vec<u8> {
        self.finish(status.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointees_follow_their_structure_and_precede_the_next_ones() {
        let mut w = NdrWriter::new();
        w.u32(7);
        w.counted_array([Some(Sid::EVERYONE), None].iter(), |w, sid| {
            w.unicode("ab");
            w.sid_pointer(sid.as_ref());
        });
        w.text("z");
        let stub = w.finish(9);
        #[rustfmt::skip]
        let words = [
            7, 2, 0x2_0000, 0x2_0010, // 7; count, array; the text behind it
            2, // elements
            0x0004_0004, 0x2_0004, 0x2_0008, // "ab", a SID
            0x0004_0004, 0x2_000C, 0, // "ab", none
            2, 0, 2, 0x0062_0061, // "ab"
            1, 0x0000_0101, 0x0100_0000, 0, // S-1-1-0
            2, 0, 2, 0x0062_0061,
            2, 0, 2, 0x0000_007A, // "z"
            9u32,
        ];
        let expected: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(stub, expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut w = NdrWriter::new();
        w.u16(1);
        w.unicode("Übung");
        w.pointees();
        w.sid(&Sid::unix_user(7));
        w.u64(5);
        let stub = w.finish(0);
        let mut r = NdrReader::new(&stub);
        assert_eq!(r.u16(), Ok(1));
        assert_eq!(r.unicode().as_deref(), Ok("Übung"));
        assert_eq!(r.sid(), Ok(Sid::unix_user(7)));
    }

    #[test]
    fn counts_that_lie_are_refused() {
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let sids = |w: &[u32]| NdrReader::new(&words(w)).sids(10);
        assert_eq!(sids(&[0, 0]), Ok(vec![]));
        assert!(sids(&[1, 0]).is_err(), "no array");
        assert!(sids(&[2, 1, 1, 1]).is_err(), "another size");
        assert!(sids(&[11, 1, 11]).is_err(), "too many");
        assert!(sids(&[9, 1, 9, 1]).is_err(), "fewer than were said");
        assert!(sids(&[1, 1, 1, 0]).is_err(), "a null SID");
        assert_eq!(sids(&[1, 1, 1, 1, 1, 0x101, 0x100_0000, 0]), Ok(vec![Sid::EVERYONE]));
        assert!(sids(&[1, 1, 1, 1, 2, 0x101, 0x100_0000, 0]).is_err(), "conformance");
        assert!(
            NdrReader::new(&words(&[0x0002_0004, 1, 1, 0, 1, 0])).unicode().is_err(),
            "length over maximum"
        );
        assert!(NdrReader::new(&words(&[0x0002_0002, 0])).unicode().is_err(), "no characters");
    }
}
