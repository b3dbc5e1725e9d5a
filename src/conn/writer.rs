//! The sending half of one connection. Whoever has an answer writes it to the socket at once, without
//! waking anybody; what the socket does not take is queued, and the connection's writer task sends it
//! when there is room.

use super::pool::PoolBuf;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Bytes that are ready for the wire, framing included.
pub struct Outgoing {
    bytes: Store,
    range: Range<usize>,
    then: Option<Box<dyn FnOnce() + Send>>,
}

#[derive(Debug)]
enum Store {
    Own(Vec<u8>),
    Pool(PoolBuf),
}

impl Outgoing {
    pub fn own(bytes: Vec<u8>, start: usize) -> Outgoing {
        let range = start..bytes.len();
        Outgoing { bytes: Store::Own(bytes), range, then: None }
    }

    pub fn pooled(bytes: PoolBuf, range: Range<usize>) -> Outgoing {
        Outgoing { bytes: Store::Pool(bytes), range, then: None }
    }

    /// Once it has its place in the stream: what is sent from then on comes after it. Done as well when the
    /// connection is closed and nothing is sent.
    #[must_use]
    pub fn then(self, work: impl FnOnce() + Send + 'static) -> Outgoing {
        Outgoing { then: Some(Box::new(work)), ..self }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.bytes {
            Store::Own(v) => &mut v[self.range.clone()],
            Store::Pool(p) => &mut p[self.range.clone()],
        }
    }

    pub fn as_slice(&self) -> &[u8] {
        match &self.bytes {
            Store::Own(v) => &v[self.range.clone()],
            Store::Pool(p) => &p[self.range.clone()],
        }
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Outgoing").field(&self.range.len()).finish()
    }
}

#[derive(Debug, Default)]
struct Backlog {
    queue: VecDeque<Outgoing>,
    bytes: usize,
    closed: bool,
}

/// What one `writev` takes at most.
const BATCH: usize = 64;
/// With more than this unsent, the reader takes no new requests: a client that does not read its answers
/// costs no more memory than this and the answers under way.
pub const BACKLOG_LIMIT: usize = 16 << 20;

#[derive(Debug, Default)]
pub struct Writer {
    backlog: Mutex<Backlog>,
    /// The backlog's bytes, for those who only want to know whether there is room: a thread that writes to the
    /// socket keeps the lock all the while.
    unsent: AtomicUsize,
    /// There is a backlog, or the connection is closed.
    wake: Notify,
    /// The backlog has shrunk.
    room: Notify,
}

impl Writer {
    /// Sends, or queues what does not fit. Never blocks. A write error closes.
    pub fn send(&self, stream: &TcpStream, messages: impl IntoIterator<Item = Outgoing>) {
        let mut backlog = self.backlog.lock();
        if backlog.closed {
            drop(backlog);
            messages.into_iter().filter_map(|message| message.then).for_each(|work| work());
            return;
        }
        let direct = backlog.queue.is_empty();
        let mut after = Vec::new();
        for mut message in messages {
            after.extend(message.then.take());
            backlog.bytes += message.range.len();
            backlog.queue.push_back(message);
        }
        if direct && backlog.drain(stream).is_err() {
            backlog.close();
        }
        self.unsent.store(backlog.bytes, Ordering::Relaxed);
        if backlog.closed || !backlog.queue.is_empty() {
            self.wake.notify_one();
        }
        drop(backlog);
        after.into_iter().for_each(|work| work());
    }

    /// The writer task: sends the backlog whenever there is one, until the connection is closed.
    pub async fn run(&self, stream: &TcpStream) {
        loop {
            self.wake.notified().await;
            loop {
                if stream.writable().await.is_err() {
                    self.close();
                    return;
                }
                let mut backlog = self.backlog.lock();
                if backlog.closed {
                    return;
                }
                let failed = backlog.drain(stream).is_err();
                if failed {
                    backlog.close();
                }
                let done = backlog.queue.is_empty();
                let small = backlog.bytes < BACKLOG_LIMIT;
                self.unsent.store(backlog.bytes, Ordering::Relaxed);
                drop(backlog);
                if failed {
                    self.room.notify_waiters();
                    return;
                }
                if small {
                    self.room.notify_waiters();
                }
                if done {
                    break;
                }
            }
        }
    }

    /// Waits until the backlog is below its limit.
    pub async fn has_room(&self) {
        while self.unsent.load(Ordering::Relaxed) >= BACKLOG_LIMIT {
            let changed = self.room.notified();
            {
                let backlog = self.backlog.lock();
                if backlog.closed || backlog.bytes < BACKLOG_LIMIT {
                    return;
                }
            }
            changed.await;
        }
    }

    pub fn is_closed(&self) -> bool {
        self.backlog.lock().closed
    }

    /// Nothing is sent any more.
    pub fn close(&self) {
        self.backlog.lock().close();
        self.unsent.store(0, Ordering::Relaxed);
        self.wake.notify_one();
        self.room.notify_waiters();
    }
}

impl Backlog {
    fn close(&mut self) {
        self.closed = true;
        self.queue.clear();
        self.bytes = 0;
    }

    /// Writes as much as the socket takes. Ok also when it takes nothing now.
    fn drain(&mut self, stream: &TcpStream) -> io::Result<()> {
        while let Some(front) = self.queue.front() {
            let written = if self.queue.len() == 1 {
                stream.try_write(front.as_slice())
            } else {
                let mut slices: [IoSlice<'_>; BATCH] = [IoSlice::new(&[]); BATCH];
                let mut n = 0;
                for (slot, message) in slices.iter_mut().zip(&self.queue) {
                    *slot = IoSlice::new(message.as_slice());
                    n += 1;
                }
                stream.try_write_vectored(&slices[..n])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut n: usize) {
        self.bytes -= n;
        while n > 0 {
            let front = self.queue.front_mut().expect("no more is written than was queued");
            let len = front.range.len();
            if n < len {
                front.range.start += n;
                return;
            }
            n -= len;
            self.queue.pop_front();
        }
    }
}
