//! The two ends of a message-mode pipe.

use super::association::{Association, Service};
use super::pdu::{HEADER, Header};
use super::{Context, srvsvc, wkssvc};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use std::collections::VecDeque;
use std::sync::Arc;

static SERVICES: [&Service; 2] = [&srvsvc::SERVICE, &wkssvc::SERVICE];

/// Answers that wait to be read; no more calls are taken above it.
const MAX_PENDING: usize = 1 << 20;

/// One open of a pipe. A write is answered at once: what there is to read afterwards is all there
/// will be.
#[derive(Debug)]
pub struct Pipe {
    association: Association,
    /// The part of a PDU that has come so far.
    input: Vec<u8>,
    /// One message each; never empty ones.
    output: VecDeque<Vec<u8>>,
    /// What has been read of the first message.
    consumed: usize,
    /// Bytes in `output`, those consumed among them.
    pending: usize,
    broken: bool,
}

pub(super) fn open(name: &str, context: Arc<Context>) -> Option<Pipe> {
    let name = name.strip_prefix('\\').unwrap_or(name);
    let service = SERVICES.into_iter().find(|s| s.name.eq_ignore_ascii_case(name))?;
    Some(Pipe {
        association: Association::new(service, context),
        input: Vec::new(),
        output: VecDeque::new(),
        consumed: 0,
        pending: 0,
        broken: false,
    })
}

impl Pipe {
    /// The pipe's name in lower case.
    pub fn name(&self) -> &'static str {
        self.association.service().name
    }

    /// Takes bytes from the client: PDUs, whole or in pieces. STATUS_PIPE_DISCONNECTED after a protocol
    /// error, STATUS_INSUFFICIENT_RESOURCES (and the end of the association) when answers pile up unread.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), NtStatus> {
        while !bytes.is_empty() {
            if self.broken {
                return Err(NtStatus::PIPE_DISCONNECTED);
            }
            let need = match self.header() {
                Ok(header) => header.map_or(HEADER, |h| h.frag_length.into()),
                Err(status) => return Err(status),
            };
            let (piece, rest) = bytes.split_at(bytes.len().min(need - self.input.len()));
            self.input.extend_from_slice(piece);
            bytes = rest;
            if self.header()?.is_some_and(|h| self.input.len() >= h.frag_length.into()) {
                self.answer()?;
            }
        }
        Ok(())
    }

    /// The header of the PDU in `input`, once it is there.
    fn header(&mut self) -> Result<Option<Header>, NtStatus> {
        if self.input.len() < HEADER {
            return Ok(None);
        }
        match Header::decode(&mut Reader::new(&self.input)) {
            Ok(header) => Ok(Some(header)),
            Err(_) => {
                self.broken = true;
                Err(NtStatus::PIPE_DISCONNECTED)
            }
        }
    }

    fn answer(&mut self) -> Result<(), NtStatus> {
        if self.pending > MAX_PENDING {
            self.broken = true;
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        let (output, pending) = (&mut self.output, &mut self.pending);
        let result = self.association.take(&self.input, &mut |pdu| {
            *pending += pdu.len();
            output.push_back(pdu);
        });
        self.input.clear();
        // What the peer is told of its error is still there to be read.
        self.broken |= result.is_err();
        Ok(())
    }

    /// Up to `max` bytes of the next message, and whether more of that message is left
    /// (STATUS_BUFFER_OVERFLOW). Empty: nothing to read (STATUS_PIPE_EMPTY), or `max` is zero.
    pub fn read(&mut self, max: usize) -> (Vec<u8>, bool) {
        let Some(message) = self.output.front_mut() else { return (Vec::new(), false) };
        let end = message.len().min(self.consumed.saturating_add(max));
        if end < message.len() {
            let part = message[self.consumed..end].to_vec();
            self.consumed = end;
            return (part, true);
        }
        let mut part = std::mem::take(message);
        self.output.pop_front();
        self.pending -= part.len();
        part.drain(..std::mem::take(&mut self.consumed));
        (part, false)
    }

    /// FSCTL_PIPE_TRANSCEIVE: write, then read. STATUS_PIPE_BUSY when a message is still unread
    /// (MS-FSA 2.1.5.10: the pipe must be empty).
    pub fn transceive(&mut self, bytes: &[u8], max: usize) -> Result<(Vec<u8>, bool), NtStatus> {
        if !self.output.is_empty() {
            return Err(NtStatus::PIPE_BUSY);
        }
        self.write(bytes)?;
        if self.output.is_empty() && self.broken {
            return Err(NtStatus::PIPE_DISCONNECTED);
        }
        Ok(self.read(max))
    }

    /// There is something to read.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The peer broke the protocol: reads drain what is left, writes fail.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes left of the next message, bytes in all, and messages waiting (FSCTL_PIPE_PEEK).
    pub fn available(&self) -> (usize, usize, usize) {
        let next = self.output.front().map_or(0, |m| m.len() - self.consumed);
        (next, self.pending - self.consumed, self.output.len())
    }
}
