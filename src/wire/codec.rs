//! The cursor pair that every decoder and encoder is written on.

use crate::types::{FileId, FileTime, Guid};

/// Why bytes are not a value. Answered with STATUS_INVALID_PARAMETER unless the command says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed {what}")]
pub struct DecodeError {
    /// The field or structure that does not hold.
    pub what: &'static str,
}

impl DecodeError {
    pub const fn new(what: &'static str) -> DecodeError {
        DecodeError { what }
    }
}

impl From<DecodeError> for crate::types::NtStatus {
    fn from(_: DecodeError) -> Self {
        crate::types::NtStatus::INVALID_PARAMETER
    }
}

pub type Result<T> = std::result::Result<T, DecodeError>;

/// Reads a message front to back. Spans the whole message, from the SMB2 header on, since offsets in
/// SMB2 are relative to it; never reads beyond it.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    whole: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub const fn new(whole: &'a [u8]) -> Reader<'a> {
        Reader { whole, pos: 0 }
    }

    /// A reader of the same bytes that stands at `pos` (beyond the end: at the end).
    pub fn at(whole: &'a [u8], pos: usize) -> Reader<'a> {
        Reader { whole, pos: pos.min(whole.len()) }
    }

    #[inline]
    pub const fn pos(&self) -> usize {
        self.pos
    }

    #[inline]
    pub const fn whole(&self) -> &'a [u8] {
        self.whole
    }

    #[inline]
    pub const fn remaining(&self) -> usize {
        self.whole.len() - self.pos
    }

    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The next `n` bytes.
    #[inline]
    pub fn bytes(&mut self, n: usize, what: &'static str) -> Result<&'a [u8]> {
        let rest = self.whole.get(self.pos..).unwrap_or_default();
        let out = rest.get(..n).ok_or(DecodeError::new(what))?;
        self.pos += n;
        Ok(out)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N, what)?);
        Ok(out)
    }

    #[inline]
    pub fn u8(&mut self, what: &'static str) -> Result<u8> {
        self.array::<1>(what).map(|b| b[0])
    }

    #[inline]
    pub fn u16(&mut self, what: &'static str) -> Result<u16> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// The next two bytes, which stay unread.
    pub fn peek_u16(&self, what: &'static str) -> Result<u16> {
        let mut ahead = *self;
        ahead.u16(what)
    }

    #[inline]
    pub fn u32(&mut self, what: &'static str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    #[inline]
    pub fn u64(&mut self, what: &'static str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    #[inline]
    pub fn skip(&mut self, n: usize, what: &'static str) -> Result<()> {
        self.bytes(n, what).map(drop)
    }

    /// Moves on to the next multiple of `n` (a power of two), counted from the start of the whole.
    /// At the end of the bytes it stays there.
    #[inline]
    pub fn align(&mut self, n: usize) {
        self.pos = self.pos.next_multiple_of(n).min(self.whole.len());
    }

    /// `len` bytes at `offset` from the start of the whole. An empty range is fine wherever it points.
    #[inline]
    pub fn slice_at(&self, offset: usize, len: usize, what: &'static str) -> Result<&'a [u8]> {
        if len == 0 {
            return Ok(&[]);
        }
        let end = offset.checked_add(len).ok_or(DecodeError::new(what))?;
        self.whole.get(offset..end).ok_or(DecodeError::new(what))
    }

    /// The fixed part of a message body: `N` bytes that begin with `structure_size`. The reader returned spans
    /// them and stands behind the StructureSize; this one stands behind them.
    #[inline]
    pub fn body<const N: usize>(&mut self, structure_size: u16, what: &'static str) -> Result<Reader<'a>> {
        let mut body = Reader::new(self.bytes(N, what)?);
        if body.u16(what)? != structure_size {
            return Err(DecodeError::new(what));
        }
        Ok(body)
    }

    /// `len` bytes at `offset` from the start of the whole, which must not begin before the place where
    /// this reader stands (behind the fixed part). An empty range is fine wherever it points.
    #[inline]
    pub fn buffer_at(
        &self,
        offset: impl TryInto<usize>,
        len: impl TryInto<usize>,
        what: &'static str,
    ) -> Result<&'a [u8]> {
        let (Ok(offset), Ok(len)) = (offset.try_into(), len.try_into()) else {
            return Err(DecodeError::new(what));
        };
        if len != 0 && offset < self.pos {
            return Err(DecodeError::new(what));
        }
        self.slice_at(offset, len, what)
    }

    /// The same, as a string of UTF-16LE.
    pub fn text_at(
        &self,
        offset: impl TryInto<usize>,
        len: impl TryInto<usize>,
        what: &'static str,
    ) -> Result<String> {
        decode_utf16(self.buffer_at(offset, len, what)?, what)
    }

    /// A reader of the next `n` bytes alone; positions in it count from their first.
    pub fn sub(&mut self, n: usize, what: &'static str) -> Result<Reader<'a>> {
        self.bytes(n, what).map(Reader::new)
    }

    #[inline]
    pub fn guid(&mut self, what: &'static str) -> Result<Guid> {
        self.array(what).map(Guid)
    }

    #[inline]
    pub fn file_id(&mut self, what: &'static str) -> Result<FileId> {
        Ok(FileId { persistent: self.u64(what)?, volatile: self.u64(what)? })
    }

    #[inline]
    pub fn time(&mut self, what: &'static str) -> Result<FileTime> {
        self.u64(what).map(FileTime)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        let out = &self.whole[self.pos..];
        self.pos = self.whole.len();
        out
    }

    /// `len` bytes of UTF-16LE as a string. Unpaired surrogates are an error.
    pub fn utf16(&mut self, len: usize, what: &'static str) -> Result<String> {
        decode_utf16(self.bytes(len, what)?, what)
    }
}

/// UTF-16LE to a string.
///
/// Unpaired surrogates are an error.
pub fn decode_utf16(bytes: &[u8], what: &'static str) -> Result<String> {
    if !bytes.len().is_multiple_of(2) {
        return Err(DecodeError::new(what));
    }
    let units = bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]]));
    // Most names are ASCII.
    if units.clone().fold(0, |all, unit| all | unit) < 0x80 {
        let ascii = units.map(|unit| unit as u8).collect();
        return String::from_utf8(ascii).map_err(|_| DecodeError::new(what));
    }
    char::decode_utf16(units).collect::<std::result::Result<String, _>>().map_err(|_| DecodeError::new(what))
}

/// Bytes that `text` takes in UTF-16.
pub fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() * 2 } else { text.encode_utf16().count() * 2 }
}

/// Where a body began: what was written there is completed later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Mark(usize);

impl Mark {
    /// The offset from the start of the message.
    pub const fn pos(self) -> usize {
        self.0
    }
}

/// Appends to a buffer that may hold other things before the message: positions are counted from where
/// the writer began, which is the SMB2 header.
#[derive(Debug)]
pub struct Writer<'b> {
    buf: &'b mut Vec<u8>,
    base: usize,
}

impl<'b> Writer<'b> {
    /// The message begins at the present end of `buf`.
    pub fn new(buf: &'b mut Vec<u8>) -> Writer<'b> {
        let base = buf.len();
        Writer { buf, base }
    }

    /// The message began at `base`.
    pub fn from_base(buf: &'b mut Vec<u8>, base: usize) -> Writer<'b> {
        debug_assert!(base <= buf.len());
        Writer { buf, base }
    }

    /// The offset from the start of the message of what is written next.
    #[inline]
    pub fn pos(&self) -> usize {
        self.buf.len() - self.base
    }

    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    #[inline]
    pub fn u8(&mut self, v: u8) {
        self.buf.push(v);
    }

    #[inline]
    pub fn u16(&mut self, v: u16) {
        self.bytes(&v.to_le_bytes());
    }

    #[inline]
    pub fn u32(&mut self, v: u32) {
        self.bytes(&v.to_le_bytes());
    }

    #[inline]
    pub fn u64(&mut self, v: u64) {
        self.bytes(&v.to_le_bytes());
    }

    #[inline]
    pub fn zeros(&mut self, n: usize) {
        self.buf.resize(self.buf.len() + n, 0);
    }

    /// Pads with zeros to a multiple of `n`, counted from the start of the message.
    #[inline]
    pub fn align(&mut self, n: usize) {
        let pos = self.pos();
        self.zeros(pos.next_multiple_of(n) - pos);
    }

    #[inline]
    pub fn guid(&mut self, v: Guid) {
        self.bytes(&v.0);
    }

    #[inline]
    pub fn file_id(&mut self, v: FileId) {
        self.u64(v.persistent);
        self.u64(v.volatile);
    }

    #[inline]
    pub fn time(&mut self, v: FileTime) {
        self.u64(v.0);
    }

    pub fn utf16(&mut self, text: &str) {
        // Most names are ASCII.
        if text.is_ascii() {
            let at = self.buf.len();
            self.zeros(text.len() * 2);
            for (unit, byte) in self.buf[at..].chunks_exact_mut(2).zip(text.bytes()) {
                unit[0] = byte;
            }
            return;
        }
        self.buf.reserve(text.len() * 2);
        for unit in text.encode_utf16() {
            self.u16(unit);
        }
    }

    /// Overwrites what stands at `pos` (from the start of the message).
    pub fn patch(&mut self, pos: usize, bytes: &[u8]) {
        let at = self.base + pos;
        self.buf[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn patch_u16(&mut self, pos: usize, v: u16) {
        self.patch(pos, &v.to_le_bytes());
    }

    pub fn patch_u32(&mut self, pos: usize, v: u32) {
        self.patch(pos, &v.to_le_bytes());
    }

    /// Remembers this place.
    pub fn mark(&self) -> Mark {
        Mark(self.pos())
    }

    /// Cuts the message back to `pos` bytes.
    pub fn truncate(&mut self, pos: usize) {
        self.buf.truncate(self.base + pos);
    }

    /// The message so far.
    pub fn written(&self) -> &[u8] {
        &self.buf[self.base..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_never_leaves_the_message() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.u16("a"), Ok(0x0201));
        assert_eq!(r.u16("b"), Err(DecodeError::new("b")));
        assert!(r.slice_at(usize::MAX, 2, "c").is_err());
        assert_eq!(r.slice_at(usize::MAX, 0, "c"), Ok(&[][..]));
    }

    #[test]
    fn utf16_there_and_back() {
        for text in ["", "plain.txt", "größe", "\u{1F600}x", "\u{7f}\u{80}"] {
            let mut buf = vec![0xAA];
            Writer::new(&mut buf).utf16(text);
            assert_eq!(buf.len() - 1, utf16_len(text));
            assert_eq!(decode_utf16(&buf[1..], "text").as_deref(), Ok(text));
        }
        assert!(decode_utf16(&[0x41], "odd").is_err());
        assert!(decode_utf16(&[0x00, 0xD8], "unpaired").is_err());
    }

    #[test]
    fn a_writer_counts_from_its_base() {
        let mut buf = vec![9; 5];
        let mut w = Writer::new(&mut buf);
        w.u16(7);
        w.align(8);
        assert_eq!(w.pos(), 8);
        w.patch_u16(0, 8);
        assert_eq!(buf, [9, 9, 9, 9, 9, 8, 0, 0, 0, 0, 0, 0, 0]);
    }
}
