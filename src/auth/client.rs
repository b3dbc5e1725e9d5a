//! The client's half of SPNEGO and NTLMv2, for tests and benches.

use crate::crypto::SessionKey;

/// Ways to differ from a well-behaved client; all off by default.
#[derive(Clone, Default, Debug)]
pub struct Quirks {
    /// Bare NTLMSSP without SPNEGO.
    pub raw: bool,
    /// No KEY_EXCH: the session key is the session base key.
    pub no_key_exchange: bool,
    /// Leaves the MIC out and does not announce it.
    pub no_mic: bool,
    /// Announces the MIC but sends a wrong one.
    pub bad_mic: bool,
    /// Sends a wrong NTProofStr.
    pub bad_proof: bool,
    /// Sends a mechListMIC that does not verify.
    pub bad_mech_list_mic: bool,
    /// Sends no mechListMIC.
    pub no_mech_list_mic: bool,
    /// Names another mechanism first, with an optimistic token for it.
    pub other_mech_first: bool,
    /// NTLMv1 responses.
    pub ntlm_v1: bool,
}

/// One logon: `start`, then `answer` for each token of the server, until `Done` came.
pub struct NtlmClient {}

impl NtlmClient {
    /// `user` may be empty together with `password`: anonymous.
    pub fn new(_domain: &str, _user: &str, _password: &str) -> NtlmClient {
        unreachable!()
    }

    pub fn with_quirks(self, _quirks: Quirks) -> NtlmClient {
        unreachable!()
    }

    /// The first token.
    pub fn start(&mut self) -> Vec<u8> {
        unreachable!()
    }

    /// The answer to a CONTINUE token.
    pub fn answer(&mut self, _token: &[u8]) -> Result<Vec<u8>, &'static str> {
        unreachable!()
    }

    /// Checks the token of the final answer (none: fine without SPNEGO) and gives the session key.
    pub fn finish(&mut self, _token: Option<&[u8]>) -> Result<SessionKey, &'static str> {
        unreachable!()
    }
}
