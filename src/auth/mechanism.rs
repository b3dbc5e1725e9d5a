//! What SPNEGO negotiates between: NTLM and Kerberos.

use super::Logon;
use crate::types::NtStatus;

/// The acceptor's half of one authentication mechanism, for one attempt.
pub trait Mechanism: Send {
    /// Takes the client's next token of this mechanism.
    fn step(&mut self, token: &[u8]) -> MechStep;

    /// GSS_GetMIC over the list of mechanisms. None: there is no key both sides know. After `Done` only.
    fn mic(&mut self, message: &[u8]) -> Option<Vec<u8>>;

    /// GSS_VerifyMIC. None: there is no key both sides know, so nothing can be said. After `Done` only.
    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Option<bool>;
}

/// What a mechanism makes of a token.
pub enum MechStep {
    Continue(Vec<u8>),
    Done { token: Option<Vec<u8>>, logon: Logon },
    Failed { status: NtStatus, why: String, user: Option<String> },
}

impl MechStep {
    /// A failure before a name was known.
    pub fn failed(why: impl Into<String>) -> MechStep {
        MechStep::Failed { status: NtStatus::LOGON_FAILURE, why: why.into(), user: None }
    }
}
