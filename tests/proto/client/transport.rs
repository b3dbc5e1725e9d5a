//! Frames out and in; signing and sealing on the way.

use std::io::{self, IoSlice, Read, Write};

use smbgate::types::{NtStatus, SessionId};
use smbgate::wire::codec::Reader;
use smbgate::wire::header::{Command, Header, HeaderFlags, LEN, TransformHeader};
use smbgate::wire::{compound, frame};

use super::Client;

/// One answer: a whole message, from its SMB2 header.
#[derive(Clone, Debug)]
pub struct Reply {
    pub header: Header,
    pub message: Vec<u8>,
}

impl Reply {
    pub fn status(&self) -> NtStatus {
        self.header.nt_status()
    }

    /// Stands behind the header.
    pub fn reader(&self) -> Reader<'_> {
        Reader::at(&self.message, LEN)
    }

    /// The answer, if its status is a success.
    pub fn ok(self) -> Result<Reply, NtStatus> {
        match self.status() {
            NtStatus::SUCCESS => Ok(self),
            status => Err(status),
        }
    }

    pub fn is_interim(&self) -> bool {
        self.status() == NtStatus::PENDING && self.header.flags.contains(HeaderFlags::ASYNC)
    }
}

impl Client {
    /// Signs every part of a message (they begin at `starts`) or seals the whole, and sends it.
    pub(super) fn protect_and_send(&mut self, message: &mut [u8], starts: &[usize]) {
        let first = Header::decode(&mut Reader::new(message)).expect("a header of our own");
        match self.sessions.get(&first.session_id.0) {
            Some(session) if self.seal && session.can_seal() => {
                let header = session.seal(message);
                self.send_parts(&header, message);
            }
            Some(session) => {
                for (i, &start) in starts.iter().enumerate() {
                    let end = starts.get(i + 1).copied().unwrap_or(message.len());
                    session.sign(&mut message[start..end]);
                }
                self.send_parts(&[], message);
            }
            None => self.send_parts(&[], message),
        }
    }

    /// One frame, as it is.
    pub fn send_message(&mut self, message: &[u8]) {
        self.send_parts(&[], message);
    }

    fn send_parts(&mut self, header: &[u8], message: &[u8]) {
        self.try_send_parts(header, message).expect("send");
    }

    /// A server that has hung up is no panic here.
    pub fn try_send_message(&mut self, message: &[u8]) -> io::Result<()> {
        self.try_send_parts(&[], message)
    }

    fn try_send_parts(&mut self, header: &[u8], message: &[u8]) -> io::Result<()> {
        let prefix = frame::encode(header.len() + message.len());
        let stream = self.stream.get_mut();
        let mut parts = [IoSlice::new(&prefix), IoSlice::new(header), IoSlice::new(message)];
        let mut parts = &mut parts[..];
        while !parts.is_empty() {
            match stream.write_vectored(parts)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => IoSlice::advance_slices(&mut parts, n),
            }
        }
        Ok(())
    }

    /// Bytes as they are, without a frame around them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// One frame as it came; `UnexpectedEof` when the server has hung up.
    pub fn receive_message(&mut self) -> io::Result<Vec<u8>> {
        let mut prefix = [0; frame::LEN];
        self.stream.read_exact(&mut prefix)?;
        let len = frame::decode(prefix).map_err(io::Error::other)?;
        let mut message = self.spare.pop().unwrap_or_default();
        message.resize(len, 0);
        self.stream.read_exact(&mut message)?;
        Ok(message)
    }

    /// Reads one frame, unseals or verifies it, counts its credits, and queues its parts.
    fn receive_frame(&mut self) -> io::Result<()> {
        let mut message = self.receive_message()?;
        self.came_sealed = frame::Kind::of(&message) == Some(frame::Kind::Sealed);
        if self.came_sealed {
            let header: [u8; TransformHeader::LEN] = message
                .get(..TransformHeader::LEN)
                .and_then(|h| h.try_into().ok())
                .expect("a transform header");
            let id = SessionId(u64::from_le_bytes(*header.last_chunk().expect("eight bytes")));
            let session = self.sessions.get(&id.0).expect("sealed for a session of ours");
            session.unseal(&header, &mut message[TransformHeader::LEN..]);
            message.drain(..TransformHeader::LEN);
        }
        let parts: Vec<usize> =
            compound::split(&message).map(|part| part.expect("a well-formed answer").len()).collect();
        if parts.len() == 1 {
            return self.receive_part(message);
        }
        let mut at = 0;
        for len in parts {
            self.receive_part(message[at..at + len].to_vec())?;
            at += len;
        }
        Ok(())
    }

    fn receive_part(&mut self, mut message: Vec<u8>) -> io::Result<()> {
        let header = Header::decode(&mut Reader::new(&message)).map_err(io::Error::other)?;
        assert!(header.flags.contains(HeaderFlags::RESPONSE), "not an answer: {header:?}");
        self.credits += i64::from(header.credits);
        let signed = !self.came_sealed && header.flags.contains(HeaderFlags::SIGNED);
        let session = self.sessions.get(&header.session_id.0).filter(|_| self.verify && signed);
        if let Some(session) = session {
            // The answer that a session's keys come from is verified by `logon`. A session that is gone has no key:
            // every client takes the server's word for that.
            let proven = header.command == Command::SESSION_SETUP
                || header.nt_status() == NtStatus::USER_SESSION_DELETED
                || session.verify(&mut message);
            assert!(proven, "the signature of an answer does not hold: {header:?}");
        }
        self.queue.push_back(Reply { header, message });
        Ok(())
    }

    /// The next answer, interim or not; an error if the server has hung up or is silent.
    pub fn try_receive(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.queue.pop_front() {
                if reply.is_interim() {
                    self.interim.insert(reply.header.message_id.0, reply.header.async_id);
                }
                return Ok(reply);
            }
            self.receive_frame()?;
        }
    }

    pub fn receive(&mut self) -> Reply {
        self.try_receive().expect("an answer")
    }

    /// The final answer to a request. Others that come before stay for later.
    pub fn wait(&mut self, id: u64) -> Reply {
        self.wait_for(|r| r.header.message_id.0 == id && !r.is_interim())
    }

    /// The interim answer to a request.
    pub fn wait_interim(&mut self, id: u64) -> Reply {
        self.wait_for(|r| r.header.message_id.0 == id && r.is_interim())
    }

    pub fn wait_for(&mut self, wanted: impl Fn(&Reply) -> bool) -> Reply {
        loop {
            let found = self.queue.iter().position(&wanted).and_then(|at| self.queue.remove(at));
            if let Some(reply) = found {
                if reply.is_interim() {
                    self.interim.insert(reply.header.message_id.0, reply.header.async_id);
                }
                return reply;
            }
            for reply in &self.queue {
                if reply.is_interim() {
                    self.interim.insert(reply.header.message_id.0, reply.header.async_id);
                }
            }
            self.receive_frame().expect("an answer");
        }
    }

    /// Gives a message's memory back for the next one.
    pub fn recycle(&mut self, reply: Reply) {
        if self.spare.len() < 64 {
            self.spare.push(reply.message);
        }
    }

    /// The server has closed the connection, or does so now.
    pub fn is_dropped(&mut self) -> bool {
        match self.try_receive() {
            Ok(reply) => panic!("an answer came instead of the end: {:?}", reply.header),
            Err(e) => !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}
