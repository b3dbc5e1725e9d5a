//! The two ends of a message-mode pipe.

use super::Context;
use crate::types::NtStatus;
use std::sync::Arc;

/// One open of a pipe. A write is answered at once: what there is to read afterwards is all there
/// will be.
#[derive(Debug)]
pub struct Pipe {
    _context: Arc<Context>,
}

pub(super) fn open(_name: &str, _context: Arc<Context>) -> Option<Pipe> {
    unreachable!()
}

impl Pipe {
    /// The pipe's name in lower case.
    pub fn name(&self) -> &'static str {
        unreachable!()
    }

    /// Takes bytes from the client. STATUS_PIPE_DISCONNECTED after a protocol error.
    pub fn write(&mut self, _bytes: &[u8]) -> Result<(), NtStatus> {
        unreachable!()
    }

    /// Up to `max` bytes of the next message, and whether more of that message is left
    /// (STATUS_BUFFER_OVERFLOW). Empty: nothing to read (STATUS_PIPE_EMPTY).
    pub fn read(&mut self, _max: usize) -> (Vec<u8>, bool) {
        unreachable!()
    }

    /// FSCTL_PIPE_TRANSCEIVE: write, then read.
    pub fn transceive(&mut self, _bytes: &[u8], _max: usize) -> Result<(Vec<u8>, bool), NtStatus> {
        unreachable!()
    }

    /// Bytes left of the next message, bytes in all, and messages waiting (FSCTL_PIPE_PEEK).
    pub fn available(&self) -> (usize, usize, usize) {
        unreachable!()
    }
}
