//! SPNEGO (RFC 4178, MS-SPNG), the acceptor's side.

use std::sync::Arc;

use super::{Policy, Step};

/// One attempt to log on: made with the first SESSION_SETUP, dropped with the last.
pub struct Acceptor {}

impl Acceptor {
    pub fn new(_policy: Arc<Policy>) -> Acceptor {
        unreachable!()
    }

    /// Takes the client's next token: SPNEGO or bare NTLMSSP. After `Done` or `Failed` every further step fails.
    pub fn step(&mut self, _token: &[u8]) -> Step {
        unreachable!()
    }
}

/// The NegTokenInit2 of the NEGOTIATE answer: which mechanisms there are.
pub fn negotiate_token(_policy: &Policy) -> Vec<u8> {
    unreachable!()
}
