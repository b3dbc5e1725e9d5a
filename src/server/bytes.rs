//! A message on its way through the server.

use crate::conn::pool::PoolBuf;

/// The message's bytes: borrowed from the reader, or its own once it goes to a worker.
pub enum Bytes<'a> {
    Borrowed(&'a mut [u8]),
    Owned(PoolBuf, std::ops::Range<usize>),
}

impl Bytes<'_> {
    pub fn get(&mut self) -> &mut [u8] {
        match self {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Owned(buf, range) => &mut buf[range.clone()],
        }
    }

    /// Without its first `n` bytes.
    pub fn skip(self, n: usize) -> Self {
        match self {
            Bytes::Borrowed(bytes) => Bytes::Borrowed(&mut bytes[n..]),
            Bytes::Owned(buf, range) => Bytes::Owned(buf, range.start + n..range.end),
        }
    }

    /// Fit to leave the reader.
    pub fn into_owned(self) -> Bytes<'static> {
        match self {
            Bytes::Borrowed(bytes) => {
                let len = bytes.len();
                Bytes::Owned(PoolBuf::copy_of(bytes), 0..len)
            }
            Bytes::Owned(buf, range) => Bytes::Owned(buf, range),
        }
    }
}
