//! The two ends of a message-mode pipe.
//!
//! Input and output have a lock each. A call holds the input for as long as it takes, which may be long where accounts
//! are looked up; the output is only held for a moment, so that reading, peeking and closing never wait for a call.

use super::association::{Association, Endpoint};
use super::pdu::{HEADER, Header};
use super::{Context, lsarpc, samr, srvsvc, wkssvc};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

static ENDPOINTS: [Endpoint; 4] = [
    Endpoint { name: "srvsvc", services: &[&srvsvc::SERVICE] },
    Endpoint { name: "wkssvc", services: &[&wkssvc::SERVICE] },
    Endpoint { name: "lsarpc", services: &[&lsarpc::SERVICE, &lsarpc::ROLE_SERVICE] },
    Endpoint { name: "samr", services: &[&samr::SERVICE] },
];

/// Answers that wait to be read; no more calls are taken above it.
const MAX_PENDING: usize = 1 << 20;

/// What was read, and whether more of that message is left (STATUS_BUFFER_OVERFLOW).
pub type Part = (Vec<u8>, bool);

/// A request that waits for output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// Unique among those of the pipe.
    pub id: u64,
    /// The most that it takes.
    pub max: usize,
    /// It has written before (FSCTL_PIPE_TRANSCEIVE).
    pub transceives: bool,
}

/// The end of a wait.
#[derive(PartialEq, Eq, Debug)]
pub struct Served {
    pub waiter: Waiter,
    pub result: Result<Part, NtStatus>,
}

/// One open of a pipe.
#[derive(Debug)]
pub struct Pipe {
    endpoint: &'static Endpoint,
    input: Mutex<Input>,
    output: Mutex<Output>,
}

#[derive(Debug)]
struct Input {
    association: Association,
    /// The part of a PDU that has come so far.
    pdu: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// The peer broke the protocol: reads drain what is left, writes fail.
    Broken,
    /// By its client.
    Closed,
}

#[derive(Debug)]
struct Output {
    /// One message each; never empty ones.
    messages: VecDeque<Vec<u8>>,
    /// What has been read of the first message.
    consumed: usize,
    /// Bytes in `messages`, those consumed among them.
    pending: usize,
    state: State,
    /// In the order they came. Empty where there is a message.
    waiters: VecDeque<Waiter>,
    modes: Modes,
}

/// FILE_PIPE_INFORMATION (MS-FSCC 2.4.37).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Modes {
    /// A read that does not take the whole message says so.
    pub messages: bool,
    /// A read waits for output.
    pub waits: bool,
}

pub(super) fn open(name: &str, context: Arc<Context>) -> Option<Pipe> {
    let endpoint = endpoint(name)?;
    Some(Pipe {
        endpoint,
        input: Mutex::new(Input { association: Association::new(endpoint, context), pdu: Vec::new() }),
        output: Mutex::new(Output {
            messages: VecDeque::new(),
            consumed: 0,
            pending: 0,
            state: State::Open,
            waiters: VecDeque::new(),
            modes: Modes { messages: true, waits: true },
        }),
    })
}

fn endpoint(name: &str) -> Option<&'static Endpoint> {
    let name = name.strip_prefix('\\').unwrap_or(name);
    ENDPOINTS.iter().find(|e| e.name.eq_ignore_ascii_case(name))
}

pub(super) fn exists(name: &str) -> bool {
    endpoint(name).is_some()
}

impl Pipe {
    /// The pipe's name in lower case.
    pub fn name(&self) -> &'static str {
        self.endpoint.name
    }

    /// A write may block: for workers only.
    pub fn blocks(&self) -> bool {
        self.endpoint.services.iter().any(|service| service.blocks)
    }

    /// Takes bytes from the client: PDUs, whole or in pieces. STATUS_PIPE_DISCONNECTED after a protocol
    /// error, STATUS_INSUFFICIENT_RESOURCES (and the end of the association) when answers pile up unread,
    /// STATUS_PIPE_CLOSING when the client has closed it. Whose wait the answers end is added to `served`.
    pub fn write(&self, bytes: &[u8], served: &mut Vec<Served>) -> Result<(), NtStatus> {
        self.input.lock().take(&self.output, bytes, served)
    }

    /// Up to `max` bytes of the next message. Empty: nothing is there, or `max` is zero. STATUS_PIPE_DISCONNECTED
    /// when nothing will be any more.
    pub fn read(&self, max: usize) -> Result<Part, NtStatus> {
        self.output.lock().read(max)
    }

    /// The same, but waits for output where there is none: None, and `waiter` is served later.
    pub fn read_or_wait(&self, waiter: Waiter) -> Option<Result<Part, NtStatus>> {
        self.output.lock().read_or_wait(waiter)
    }

    /// FSCTL_PIPE_TRANSCEIVE: write, then read, with nothing in between. STATUS_PIPE_BUSY when a message is still
    /// unread or somebody waits for one (MS-SMB2 3.3.5.15.10: as the object store says). `waiter` is asked for once
    /// the calls are over, which may have taken long.
    pub fn transceive(
        &self,
        bytes: &[u8],
        max: usize,
        waiter: impl FnOnce() -> Result<Waiter, NtStatus>,
        served: &mut Vec<Served>,
    ) -> Option<Result<Part, NtStatus>> {
        let mut input = self.input.lock();
        {
            let output = self.output.lock();
            if !output.messages.is_empty() || !output.waiters.is_empty() {
                return Some(Err(NtStatus::PIPE_BUSY));
            }
        }
        if let Err(status) = input.take(&self.output, bytes, served) {
            // What the peer is told of its error comes first.
            let mut output = self.output.lock();
            let told = !output.messages.is_empty();
            return Some(if told { output.read(max) } else { Err(status) });
        }
        let mut output = self.output.lock();
        if output.has_nothing_for(max) {
            drop(output);
            return match waiter() {
                Ok(waiter) => self.read_or_wait(waiter),
                Err(status) => Some(Err(status)),
            };
        }
        Some(output.read(max))
    }

    /// Takes a wait back. False: it has ended already.
    pub fn forget(&self, waiter: u64) -> bool {
        let waiters = &mut self.output.lock().waiters;
        let before = waiters.len();
        waiters.retain(|w| w.id != waiter);
        waiters.len() < before
    }

    /// The client has closed it. Who still waits is told.
    pub fn close(&self) -> Vec<Served> {
        let mut output = self.output.lock();
        output.state = State::Closed;
        output.messages = VecDeque::new();
        (output.pending, output.consumed) = (0, 0);
        let mut served = Vec::new();
        output.end(NtStatus::PIPE_BROKEN, &mut served);
        served
    }

    /// The peer broke the protocol.
    pub fn is_broken(&self) -> bool {
        self.output.lock().state == State::Broken
    }

    /// Bytes left of the next message, bytes in all, and messages waiting (FSCTL_PIPE_PEEK).
    pub fn available(&self) -> (usize, usize, usize) {
        let output = self.output.lock();
        let next = output.messages.front().map_or(0, |m| m.len() - output.consumed);
        (next, output.pending - output.consumed, output.messages.len())
    }

    pub fn modes(&self) -> Modes {
        self.output.lock().modes
    }

    pub fn set_modes(&self, modes: Modes) {
        self.output.lock().modes = modes;
    }
}

impl Input {
    fn take(
        &mut self,
        output: &Mutex<Output>,
        mut bytes: &[u8],
        served: &mut Vec<Served>,
    ) -> Result<(), NtStatus> {
        while !bytes.is_empty() {
            output.lock().may_write()?;
            let need = self.header(output, served)?.map_or(HEADER, |h| h.frag_length.into());
            let (piece, rest) = bytes.split_at(bytes.len().min(need - self.pdu.len()));
            self.pdu.extend_from_slice(piece);
            bytes = rest;
            if self.header(output, served)?.is_some_and(|h| self.pdu.len() >= h.frag_length.into()) {
                self.answer(output, served)?;
            }
        }
        Ok(())
    }

    /// The header of the PDU that is coming, once it is there.
    fn header(
        &mut self,
        output: &Mutex<Output>,
        served: &mut Vec<Served>,
    ) -> Result<Option<Header>, NtStatus> {
        if self.pdu.len() < HEADER {
            return Ok(None);
        }
        Header::decode(&mut Reader::new(&self.pdu)).map(Some).map_err(|_| {
            output.lock().break_off(served);
            NtStatus::PIPE_DISCONNECTED
        })
    }

    fn answer(&mut self, output: &Mutex<Output>, served: &mut Vec<Served>) -> Result<(), NtStatus> {
        if output.lock().pending > MAX_PENDING {
            output.lock().break_off(served);
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        let result = self.association.take(&self.pdu, &mut |pdu| output.lock().push(pdu, served));
        self.pdu.clear();
        if result.is_err() {
            // What the peer is told of its error is still there to be read.
            output.lock().break_off(served);
        }
        Ok(())
    }
}

impl Output {
    fn may_write(&self) -> Result<(), NtStatus> {
        match self.state {
            State::Open => Ok(()),
            State::Broken => Err(NtStatus::PIPE_DISCONNECTED),
            State::Closed => Err(NtStatus::PIPE_CLOSING),
        }
    }

    fn push(&mut self, message: Vec<u8>, served: &mut Vec<Served>) {
        if self.state == State::Closed {
            return;
        }
        self.pending += message.len();
        self.messages.push_back(message);
        while !self.messages.is_empty()
            && let Some(waiter) = self.waiters.pop_front()
        {
            let result = self.read(waiter.max);
            served.push(Served { waiter, result });
        }
    }

    fn break_off(&mut self, served: &mut Vec<Served>) {
        if self.state == State::Open {
            self.state = State::Broken;
        }
        self.end(NtStatus::PIPE_DISCONNECTED, served);
    }

    fn end(&mut self, status: NtStatus, served: &mut Vec<Served>) {
        served.extend(self.waiters.drain(..).map(|waiter| Served { waiter, result: Err(status) }));
    }

    fn read(&mut self, max: usize) -> Result<Part, NtStatus> {
        let Some(message) = self.messages.front_mut() else {
            return match self.state {
                State::Open => Ok((Vec::new(), false)),
                State::Broken => Err(NtStatus::PIPE_DISCONNECTED),
                State::Closed => Err(NtStatus::PIPE_BROKEN),
            };
        };
        let end = message.len().min(self.consumed.saturating_add(max));
        if end < message.len() {
            let part = message[self.consumed..end].to_vec();
            self.consumed = end;
            return Ok((part, self.modes.messages));
        }
        let mut part = std::mem::take(message);
        self.messages.pop_front();
        self.pending -= part.len();
        part.drain(..std::mem::take(&mut self.consumed));
        Ok((part, false))
    }

    /// A read of so many bytes would have to wait.
    fn has_nothing_for(&self, max: usize) -> bool {
        self.messages.is_empty() && self.state == State::Open && max > 0
    }

    fn read_or_wait(&mut self, waiter: Waiter) -> Option<Result<Part, NtStatus>> {
        if self.has_nothing_for(waiter.max) {
            if !self.modes.waits {
                return Some(Err(NtStatus::PIPE_EMPTY));
            }
            self.waiters.push_back(waiter);
            return None;
        }
        Some(self.read(waiter.max))
    }
}
