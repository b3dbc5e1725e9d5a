//! Who is there: SPNEGO, NTLM, the users, and whose Unix account they act as.
//!
//! `Acceptor` is one attempt to log on. Everything in it is sync and holds no I/O but the lookup in `UserDb`.

mod acceptor;
pub mod accounts;
pub mod client;
mod der;
mod identity;
mod mechanism;
mod ntlm;
mod policy;
mod smbpasswd;
mod spnego;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod users;

pub use acceptor::{Acceptor, negotiate_token};
pub use identity::Identity;
pub use policy::{NtHash, Policy, UserDb, UserRecord};

use crate::crypto::SessionKey;
use crate::types::NtStatus;

/// What a token of the client leads to.
#[derive(Debug)]
pub enum Step {
    /// Answer STATUS_MORE_PROCESSING_REQUIRED with this token.
    Continue { token: Vec<u8> },
    /// Logged on. The token, if any, goes into the final answer.
    Done { token: Option<Vec<u8>>, logon: Logon },
    /// Refused: `status` for the client (the same whatever was wrong), `why` and `user` for the log.
    Failed { status: NtStatus, why: String, user: Option<String> },
}

/// The outcome of a successful attempt.
#[derive(Debug)]
pub struct Logon {
    /// The name as it stands in the user database; `guest` or empty for the other two kinds.
    pub user: String,
    /// As the client gave them.
    pub domain: String,
    pub workstation: String,
    pub session_key: SessionKey,
    pub kind: LogonKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogonKind {
    User,
    Guest,
    Anonymous,
}
