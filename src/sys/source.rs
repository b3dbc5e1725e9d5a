//! Bytes that somebody else may write while they are read: a file's pages in the kernel's cache, mapped. What takes
//! them must look at each byte once, and go by what it saw.

use std::marker::PhantomData;

/// So many bytes from there on, readable for `'a`. No `&[u8]`: they may change meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    start: *const u8,
    len: usize,
    of: PhantomData<&'a [u8]>,
}

impl<'a> Source<'a> {
    /// # Safety
    /// `len` bytes from `start` on can be read for `'a`.
    pub(super) const unsafe fn new(start: *const u8, len: usize) -> Source<'a> {
        Source { start, len, of: PhantomData }
    }

    pub const fn len(self) -> usize {
        self.len
    }

    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// As many as there are, or as there is room for, one by one.
    pub fn copy_to(self, out: &mut [u8]) {
        for (at, byte) in out.iter_mut().enumerate().take(self.len) {
            // SAFETY: one of those that can be read.
            *byte = unsafe { self.as_ptr().add(at).read_volatile() };
        }
    }

    /// To be read as volatile.
    pub(super) const fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// What is left after `n` bytes, of which there are so many.
    pub(super) fn after(self, n: usize) -> Source<'a> {
        let len = self.len.checked_sub(n).expect("no more than there are");
        // SAFETY: a part of what can be read.
        unsafe { Source::new(self.start.add(n), len) }
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Source<'a> {
        // SAFETY: as long as the slice is borrowed.
        unsafe { Source::new(bytes.as_ptr(), bytes.len()) }
    }
}
