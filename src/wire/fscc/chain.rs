//! Lists of entries that begin with NextEntryOffset: the offset from one entry to the next, zero in the
//! last.

use crate::wire::codec::{DecodeError, Reader, Result, Writer};

/// The entries of a list, each as its bytes from NextEntryOffset up to the next entry. Ends after the
/// first error. Offsets only go forward, so the walk ends.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Chain<'a> {
    /// No bytes: no entries.
    pub fn new(bytes: &'a [u8]) -> Chain<'a> {
        Chain { rest: (!bytes.is_empty()).then_some(bytes) }
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let next = match Reader::new(rest).u32("NextEntryOffset") {
            Ok(next) => next as usize,
            Err(e) => return Some(Err(e)),
        };
        if next == 0 {
            return Some(Ok(rest));
        }
        if next < 4 || next >= rest.len() {
            return Some(Err(DecodeError::new("NextEntryOffset")));
        }
        let (entry, rest) = rest.split_at(next);
        self.rest = Some(rest);
        Some(Ok(entry))
    }
}

/// Appends entries to a buffer of at most `max` bytes, each aligned from where the buffer began.
#[derive(Debug)]
pub struct ChainWriter<'w, 'b> {
    pub w: &'w mut Writer<'b>,
    start: usize,
    max: usize,
    align: usize,
    last: Option<usize>,
}

impl<'w, 'b> ChainWriter<'w, 'b> {
    /// The buffer begins where `w` stands. `align` is a power of two.
    pub fn new(w: &'w mut Writer<'b>, align: usize, max: usize) -> ChainWriter<'w, 'b> {
        let start = w.pos();
        ChainWriter { w, start, max, align, last: None }
    }

    /// Begins an entry of `size` bytes: links it to the one before and writes its NextEntryOffset. The
    /// caller writes the other `size - 4` bytes. False: it does not fit, and nothing has changed.
    #[must_use]
    pub fn entry(&mut self, size: usize) -> bool {
        debug_assert!(size >= 4);
        let at = self.len().next_multiple_of(self.align);
        if at.saturating_add(size) > self.max {
            return false;
        }
        self.w.zeros(at - self.len());
        if let Some(last) = self.last.replace(at) {
            self.w.patch_u32(self.start + last, (at - last) as u32);
        }
        self.w.u32(0);
        true
    }

    /// No entry has been written.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.w.pos() - self.start
    }
}
