//! An answer under construction: one message, of one element or a compound chain.
//!
//! ```text
//!   0        4               56            120
//!   | frame  | transform     | SMB2 header | body ...  pad to 8 | SMB2 header | body ...
//!              '- only if sealed '- element 0                     '- element 1
//! ```
//!
//! Everything stands in one contiguous buffer, so that it is signed or sealed in place and leaves in one
//! write. A large READ stands in a buffer from the pool instead, laid out the same way.

use super::taken::Taken;
use crate::conn::pool::PoolBuf;
use crate::conn::writer::Outgoing;
use crate::crypto::{Sender, SigningKey};
use crate::session::Security;
use crate::types::{NtStatus, SessionId};
use crate::wire::codec::Writer;
use crate::wire::error::ErrorResponse;
use crate::wire::frame;
use crate::wire::header::{self, Header, HeaderFlags, TransformHeader};
use smallvec::SmallVec;
use std::sync::Arc;

/// Room before the first header.
const HEADROOM: usize = frame::LEN + TransformHeader::LEN;

struct Element {
    start: usize,
    end: usize,
    sign: Option<Arc<SigningKey>>,
}

/// See the module.
pub struct Reply {
    bytes: Vec<u8>,
    /// Instead of `bytes`, once a large READ was answered: the buffer and the message's end in it.
    large: Option<(PoolBuf, usize)>,
    /// The data in `large` is signed or sealed already.
    taken: Option<Taken>,
    elements: SmallVec<[Element; 2]>,
}

impl Default for Reply {
    fn default() -> Reply {
        let mut bytes = Vec::with_capacity(HEADROOM + header::LEN + 136);
        bytes.resize(HEADROOM, 0);
        Reply { bytes, large: None, taken: None, elements: SmallVec::new() }
    }
}

impl Reply {
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Begins the answer to one request; its header is written when it ends.
    pub fn begin(&mut self) {
        debug_assert!(self.large.is_none(), "a large READ stands alone");
        if let Some(last) = self.elements.last_mut() {
            let len = self.bytes.len() - last.start;
            let padded = len.next_multiple_of(8);
            self.bytes.resize(last.start + padded, 0);
            last.end = last.start + padded;
            let next = last.start + header::offset::NEXT_COMMAND;
            self.bytes[next..next + 4].copy_from_slice(&(padded as u32).to_le_bytes());
        }
        let start = self.bytes.len();
        self.bytes.resize(start + header::LEN, 0);
        self.elements.push(Element { start, end: start + header::LEN, sign: None });
    }

    /// Takes the present element back: it gets no answer, or not here.
    pub fn drop_begun(&mut self) {
        if let Some(element) = self.elements.pop() {
            self.bytes.truncate(element.start);
            self.drop_large();
            if let Some(last) = self.elements.last() {
                let next = last.start + header::offset::NEXT_COMMAND;
                self.bytes[next..next + 4].fill(0);
            }
        }
    }

    /// Where the body of the present element goes. Its base is the element's header.
    pub fn body(&mut self) -> Writer<'_> {
        let base = self.elements.last().expect("begun").start;
        Writer::from_base(&mut self.bytes, base)
    }

    /// Takes back what the body holds so far.
    pub fn reset_body(&mut self) {
        let start = self.elements.last().expect("begun").start;
        self.bytes.truncate(start + header::LEN);
        self.drop_large();
    }

    fn drop_large(&mut self) {
        (self.large, self.taken) = (None, None);
    }

    /// Places the present element, the first and only one, in a pooled buffer: `prefix` (the fixed part of
    /// the body), then room for `len` bytes of data. To be followed by [`Reply::large_data`].
    pub fn go_large(&mut self, prefix: &[u8], len: usize) {
        debug_assert_eq!(self.elements.len(), 1);
        let body = HEADROOM + header::LEN;
        let mut buf = PoolBuf::take(body + prefix.len() + len);
        buf[..body].fill(0);
        buf[body..body + prefix.len()].copy_from_slice(prefix);
        self.large = Some((buf, body + prefix.len() + len));
    }

    /// The `len` bytes of room that [`Reply::go_large`] made, to be filled, with the prefix before it.
    pub fn large_data(&mut self, len: usize) -> &mut [u8] {
        let (buf, end) = self.large.as_mut().expect("go_large");
        &mut buf[*end - len..*end]
    }

    /// The data that stands there now was signed or sealed on its way.
    pub fn taken(&mut self, taken: Taken) {
        self.taken = Some(taken);
    }

    /// Fewer bytes came than there was room for.
    pub fn shrink_large(&mut self, by: usize) {
        self.large.as_mut().expect("go_large").1 -= by;
    }

    /// The message of the present element, from its header, if it stands in a pooled buffer.
    pub fn large_message(&mut self) -> Option<&mut [u8]> {
        self.large.as_mut().map(|(buf, end)| &mut buf[HEADROOM..*end])
    }

    /// The last `len` bytes of the body so far.
    pub fn tail_mut(&mut self, len: usize) -> &mut [u8] {
        let at = self.bytes.len() - len;
        &mut self.bytes[at..]
    }

    /// Takes the last `by` bytes of the body back.
    pub fn shrink(&mut self, by: usize) {
        self.bytes.truncate(self.bytes.len() - by);
    }

    /// The present element from its header, wherever it stands.
    pub fn message_mut(&mut self) -> &mut [u8] {
        let start = self.elements.last().expect("begun").start;
        match &mut self.large {
            Some((buf, end)) => &mut buf[start..*end],
            None => &mut self.bytes[start..],
        }
    }

    /// A single element that may still become large.
    pub fn can_go_large(&self) -> bool {
        self.elements.len() == 1
    }

    /// The body of an ERROR response in place of whatever was written.
    pub fn error(&mut self, data: &[u8], dialect_311: bool) {
        self.reset_body();
        ErrorResponse::with_data(data, dialect_311).encode(&mut self.body());
    }

    /// Ends the present element: writes its header. `sign`: with this key, when the message goes out.
    pub fn end(&mut self, header: &Header, sign: Option<Arc<SigningKey>>) {
        let mut head = Vec::with_capacity(header::LEN);
        let signed = if sign.is_some() { HeaderFlags::SIGNED } else { HeaderFlags::empty() };
        Header { flags: header.flags | HeaderFlags::RESPONSE | signed, next_command: 0, ..*header }
            .encode(&mut Writer::new(&mut head));
        let len = self.bytes.len();
        let last = self.elements.last_mut().expect("begun");
        match &mut self.large {
            Some((buf, end)) => {
                buf[last.start..last.start + header::LEN].copy_from_slice(&head);
                last.end = *end;
            }
            None => {
                self.bytes[last.start..last.start + header::LEN].copy_from_slice(&head);
                last.end = len;
            }
        }
        last.sign = sign;
    }

    /// The present element as it will go out, unless it is signed or followed by another.
    pub fn last_element(&self) -> &[u8] {
        let last = self.elements.last().expect("ended");
        match &self.large {
            Some((buf, end)) => &buf[last.start..*end],
            None => &self.bytes[last.start..last.end],
        }
    }

    /// Signs the present element, which is to be signed and followed by nothing, now.
    pub fn sign_last(&mut self) {
        let last = self.elements.last_mut().expect("ended");
        if let (Some(key), None) = (last.sign.take(), &self.large) {
            key.sign(&mut self.bytes[last.start..last.end], Sender::Server);
        }
    }

    /// As [`Reply::finish`], but an answer that gains by being signed with others is not signed yet.
    pub fn finish_later(mut self, seal: Option<(SessionId, &Security)>) -> Option<Ready> {
        let large = self.large.is_some() && seal.is_none();
        let key = match self.elements.as_mut_slice() {
            [only] if large && only.sign.as_ref().is_some_and(|key| key.gains_by_many()) => only.sign.take(),
            _ => None,
        };
        let out = self.finish(seal)?;
        Some(match key {
            Some(key) => Ready::Unsigned(Unsigned { out, key }),
            None => Ready::Now(out),
        })
    }

    /// Signs or seals, and frames. None: no nonce is left for this session.
    pub fn finish(mut self, seal: Option<(SessionId, &Security)>) -> Option<Outgoing> {
        if let [_, .., last] = self.elements.as_mut_slice() {
            // In a compound the last one is padded too, as Windows does it.
            last.end = last.start + (last.end - last.start).next_multiple_of(8);
            self.bytes.resize(last.end, 0);
        }
        let end = match &self.large {
            Some((_, end)) => *end,
            None => self.bytes.len(),
        };
        let bytes: &mut [u8] = match &mut self.large {
            Some((buf, _)) => buf,
            None => &mut self.bytes,
        };
        let start = match seal {
            Some((session, security)) => {
                let key = security.server_out.as_ref()?;
                let part = match &self.taken {
                    // For another session it is of no use, nor can it be undone.
                    Some(Taken::Sealed(of, ..)) if *of != session => return None,
                    Some(Taken::Sealed(_, nonce, part)) => Some((*nonce, part)),
                    Some(Taken::Signed(..)) | None => None,
                };
                let nonce = part.map_or_else(|| security.nonces.next(), |(nonce, _)| Some(nonce))?;
                let (head, payload) = bytes[..end].split_at_mut(HEADROOM);
                let transform = TransformHeader {
                    nonce,
                    original_message_size: payload.len() as u32,
                    flags: TransformHeader::ENCRYPTED,
                    session_id: session,
                    ..TransformHeader::default()
                };
                let mut sealed = transform.to_bytes();
                match part {
                    Some((_, part)) => {
                        let before = payload.len() - part.bytes();
                        key.seal_joined(&mut sealed, &mut payload[..before], nonce, part);
                    }
                    None => key.seal(&mut sealed, payload, nonce),
                }
                head[frame::LEN..].copy_from_slice(&sealed);
                0
            }
            None => {
                for element in &self.elements {
                    let message = &mut bytes[element.start..element.end];
                    match (&element.sign, &self.taken) {
                        // It is not to be had in the clear any more.
                        (_, Some(Taken::Sealed(..))) => return None,
                        (Some(key), Some(Taken::Signed(by, part))) if Arc::ptr_eq(key, by) => {
                            let before = message.len() - part.bytes();
                            key.sign_joined(&mut message[..before], part, Sender::Server);
                        }
                        (Some(key), _) => key.sign(message, Sender::Server),
                        (None, _) => {}
                    }
                }
                TransformHeader::LEN
            }
        };
        bytes[start..start + frame::LEN].copy_from_slice(&frame::encode(end - start - frame::LEN));
        Some(match self.large {
            Some((buf, _)) => Outgoing::pooled(buf, start..end),
            None => Outgoing::own(self.bytes, start),
        })
    }
}

/// An answer that is complete, but perhaps not signed.
pub enum Ready {
    Now(Outgoing),
    Unsigned(Unsigned),
}

/// To be signed, best with others of the same key, before it goes out.
pub struct Unsigned {
    out: Outgoing,
    key: Arc<SigningKey>,
}

impl Unsigned {
    /// Bytes, its framing included.
    pub fn size(&self) -> usize {
        self.out.as_slice().len()
    }

    /// Signs them all. Their order stays.
    pub fn sign_all(mut all: SmallVec<[Unsigned; 8]>) -> SmallVec<[Outgoing; 8]> {
        let Some(key) = all.first().map(|first| Arc::clone(&first.key)) else { return SmallVec::new() };
        let same = all.iter().all(|one| Arc::ptr_eq(&one.key, &key));
        if same {
            let mut messages: SmallVec<[&mut [u8]; 8]> =
                all.iter_mut().map(|one| &mut one.out.as_mut_slice()[frame::LEN..]).collect();
            key.sign_all(&mut messages, Sender::Server);
        } else {
            for one in &mut all {
                one.key.sign(&mut one.out.as_mut_slice()[frame::LEN..], Sender::Server);
            }
        }
        all.into_iter().map(|one| one.out).collect()
    }
}

/// A message of one element that is no answer to the request at hand: interim and cancelled answers, breaks.
pub fn single(
    header: &Header,
    body: impl FnOnce(&mut Writer<'_>),
    sign: Option<Arc<SigningKey>>,
    seal: Option<(SessionId, &Security)>,
) -> Option<Outgoing> {
    let mut reply = Reply::default();
    reply.begin();
    body(&mut reply.body());
    reply.end(header, sign);
    reply.finish(seal)
}

/// The header of an answer to `request`.
pub fn answer_header(request: &Header, status: NtStatus, credits: u16) -> Header {
    Header {
        status: status.0,
        credits,
        flags: request.flags & (HeaderFlags::RELATED | HeaderFlags::PRIORITY_MASK),
        ..*request
    }
}
