//! The receiving half of one connection: direct TCP framing (MS-SMB2 2.1).
//!
//! ```text
//!   idle            no buffer at all
//!   small frames    one 64 KiB buffer, many frames a read; handed on in place
//!   a large frame   a buffer of its own from the pool, read to its end
//! ```
//!
//! A frame's length is checked against what this connection may send before memory is taken for it.

use super::pool::PoolBuf;
use crate::wire::frame;
use std::io;
use tokio::net::TcpStream;

/// What small frames are read into. Also all that a connection holds before it has logged on.
pub const SMALL: usize = 64 << 10;

/// Why no further frame can be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("closed by the client")]
    Closed,
    #[error("the client ended in the middle of a message")]
    Truncated,
    #[error("not a direct TCP frame (first byte {0:#04x})")]
    NotAFrame(u8),
    #[error("a message of {len} bytes where {limit} are allowed")]
    TooLong { len: usize, limit: usize },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One message, its framing taken off.
#[derive(Debug)]
pub enum Frame<'a> {
    /// In the shared buffer; to be copied if it must live on.
    Small(&'a mut [u8]),
    /// In a buffer of its own: `.1` bytes of it.
    Large(PoolBuf, usize),
}

#[derive(Debug, Default)]
pub struct FrameReader {
    buf: Option<PoolBuf>,
    start: usize,
    end: usize,
    /// A large frame under way: its buffer, how much is there, how much there will be.
    large: Option<(PoolBuf, usize, usize)>,
}

impl FrameReader {
    /// Reads once from the socket, as much as it gives. Returns false when it gives nothing now.
    pub fn fill(&mut self, stream: &TcpStream) -> Result<bool, ReadError> {
        let got = match &mut self.large {
            Some((buf, have, len)) => stream.try_read(&mut buf[*have..*len]).inspect(|n| *have += n),
            None => {
                let buf = self.buf.get_or_insert_with(|| PoolBuf::take(SMALL));
                if self.start == self.end {
                    (self.start, self.end) = (0, 0);
                } else if self.start > 0 {
                    buf.copy_within(self.start..self.end, 0);
                    (self.start, self.end) = (0, self.end - self.start);
                }
                stream.try_read(&mut buf[self.end..]).inspect(|n| self.end += n)
            }
        };
        match got {
            Ok(0) if self.large.is_some() || self.start != self.end => Err(ReadError::Truncated),
            Ok(0) => Err(ReadError::Closed),
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.release();
                Ok(false)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// An idle connection holds no buffer.
    fn release(&mut self) {
        if self.start == self.end {
            self.buf = None;
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether a frame has begun and not ended.
    pub fn in_the_middle(&self) -> bool {
        self.large.is_some() || self.start != self.end
    }

    /// The next complete frame, if there is one. `limit`: the longest message allowed.
    pub fn next(&mut self, limit: usize) -> Result<Option<Frame<'_>>, ReadError> {
        if let Some((_, have, len)) = &self.large {
            if have < len {
                return Ok(None);
            }
            let (buf, _, len) = self.large.take().expect("just seen");
            return Ok(Some(Frame::Large(buf, len)));
        }
        let Some(buf) = &self.buf else { return Ok(None) };
        let have = &buf[self.start..self.end];
        let Some(framing) = have.first_chunk() else { return Ok(None) };
        let len = frame::decode(*framing).map_err(|_| ReadError::NotAFrame(framing[0]))?;
        if len > limit {
            return Err(ReadError::TooLong { len, limit });
        }
        let body = self.start + frame::LEN;
        if have.len() >= frame::LEN + len {
            self.start = body + len;
            return Ok(self.buf.as_mut().map(|buf| Frame::Small(&mut buf[body..body + len])));
        }
        if frame::LEN + len > SMALL {
            let mut large = PoolBuf::take(len);
            let have = self.end - body;
            large[..have].copy_from_slice(&buf[body..self.end]);
            self.large = Some((large, have, len));
            self.buf = None;
            (self.start, self.end) = (0, 0);
        }
        Ok(None)
    }
}
