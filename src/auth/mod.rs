//! Who is there: SPNEGO, NTLM, Kerberos, the users, and whose Unix account they act as.
//!
//! `Acceptor` is one attempt to log on. Everything in it is sync. NTLM holds no I/O but the lookup in `UserDb`; Kerberos
//! reads the keytab and the replay cache, and asks NSS.

mod acceptor;
pub mod accounts;
pub mod client;
mod der;
mod identity;
pub mod kerberos;
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
pub use policy::{NtHash, Policy, Tickets, UserDb, UserRecord};

use crate::crypto::SessionKey;
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;
use std::sync::Arc;
use std::time::Instant;

/// What a token of the client leads to.
#[derive(Debug)]
pub enum Step {
    /// Answer STATUS_MORE_PROCESSING_REQUIRED with this token. `passed_over`: why the client is to go on with another
    /// mechanism than the one it began with.
    Continue { token: Vec<u8>, passed_over: Option<String> },
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
    /// Kerberos: as in `alice@EXAMPLE.ORG`.
    pub principal: Option<String>,
    /// Kerberos: when the ticket ends, and with it the session until a new one is shown.
    pub expires: Option<Instant>,
    /// Kerberos: the accounts of domains that the PAC says the user is. Sorted.
    pub sids: Arc<[Sid]>,
}

/// Why there is no Kerberos, and what to install.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoKerberos(pub String);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogonKind {
    User,
    Guest,
    Anonymous,
}
