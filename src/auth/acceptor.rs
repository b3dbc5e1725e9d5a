//! One attempt to log on: SPNEGO's acceptor (RFC 4178 3.2, MS-SPNG 3.1.5) and NTLMSSP without it.

use std::sync::Arc;

use super::mechanism::{MechStep, Mechanism};
use super::ntlm::NtlmServer;
use super::spnego::{Init, Resp, Token, oid, state};
use super::{Logon, Policy, Step};
use crate::types::NtStatus;

/// Longest token looked at.
const MAX_TOKEN: usize = 16 * 1024;
/// Tokens of one attempt: NTLM takes two, three when its mechanism was not the client's first.
const MAX_STEPS: u32 = 8;

/// One attempt to log on: made with the first SESSION_SETUP, dropped with the last.
pub struct Acceptor {
    policy: Arc<Policy>,
    state: State,
    steps: u32,
}

enum State {
    Start,
    /// NTLMSSP without SPNEGO.
    Raw(Box<dyn Mechanism>),
    Spnego(Negotiated),
    Over,
}

struct Negotiated {
    mech: Box<dyn Mechanism>,
    /// What mechListMIC covers.
    mech_list: Vec<u8>,
    /// The mechanism was not the client's first choice: someone may have edited the list, so its MIC is due.
    mic_required: bool,
}

impl Acceptor {
    pub fn new(policy: Arc<Policy>) -> Acceptor {
        Acceptor { policy, state: State::Start, steps: 0 }
    }

    /// Takes the client's next token: SPNEGO or bare NTLMSSP. After `Done` or `Failed` every further step fails.
    pub fn step(&mut self, token: &[u8]) -> Step {
        self.steps += 1;
        let state = std::mem::replace(&mut self.state, State::Over);
        if token.len() > MAX_TOKEN {
            return failed(format!("token of {} bytes", token.len()));
        }
        if self.steps > MAX_STEPS {
            return failed("too many tokens");
        }
        let token = match Token::decode(token) {
            Ok(token) => token,
            Err(e) => return failed(e.to_string()),
        };
        match (state, token) {
            (State::Start, Token::Ntlm(t)) => self.raw(Box::new(NtlmServer::new(self.policy.clone())), t),
            (State::Raw(mech), Token::Ntlm(t)) => self.raw(mech, t),
            (State::Start, Token::Init(init)) => self.init(&init),
            (State::Spnego(n), Token::Resp(resp)) => self.resp(n, &resp),
            // Some clients wrap only their first token.
            (State::Spnego(n), Token::Ntlm(t)) => self.resp(n, &Resp { token: Some(t), ..Resp::default() }),
            (State::Start, Token::Other(oid)) => failed(no_mechanism(&[oid])),
            (State::Over, _) => failed("the attempt is over"),
            _ => failed("a token out of its turn"),
        }
    }

    fn raw(&mut self, mut mech: Box<dyn Mechanism>, token: &[u8]) -> Step {
        match mech.step(token) {
            MechStep::Continue(token) => {
                self.state = State::Raw(mech);
                Step::Continue { token }
            }
            MechStep::Done { token, logon } => Step::Done { token, logon },
            MechStep::Failed { status, why, user } => Step::Failed { status, why, user },
        }
    }

    /// The mechanism behind an OID. Kerberos is recognised, and passed over.
    fn mechanism(&self, mech: &[u8]) -> Option<Box<dyn Mechanism>> {
        match mech {
            oid::NTLM => Some(Box::new(NtlmServer::new(self.policy.clone()))),
            _ => None,
        }
    }

    fn init(&mut self, init: &Init<'_>) -> Step {
        let chosen = init.mechs.iter().enumerate().find_map(|(i, &oid)| Some((i, oid, self.mechanism(oid)?)));
        let Some((rank, oid, mech)) = chosen else {
            return failed(no_mechanism(&init.mechs));
        };
        let mut n = Negotiated { mech, mech_list: init.mech_list.to_vec(), mic_required: rank > 0 };
        // The optimistic token is for the first mechanism; for another it is not looked at.
        match init.token.filter(|_| rank == 0) {
            Some(token) => match n.mech.step(token) {
                MechStep::Continue(token) => {
                    self.state = State::Spnego(n);
                    let state = Some(state::ACCEPT_INCOMPLETE);
                    let resp = Resp { state, mech: Some(oid), token: Some(&token), mic: None };
                    Step::Continue { token: resp.encode() }
                }
                MechStep::Done { token, logon } => n.finish(Some(oid), token, None, logon),
                MechStep::Failed { status, why, user } => Step::Failed { status, why, user },
            },
            None => {
                let state = if n.mic_required { state::REQUEST_MIC } else { state::ACCEPT_INCOMPLETE };
                self.state = State::Spnego(n);
                let resp = Resp { state: Some(state), mech: Some(oid), token: None, mic: None };
                Step::Continue { token: resp.encode() }
            }
        }
    }

    fn resp(&mut self, mut n: Negotiated, resp: &Resp<'_>) -> Step {
        if resp.state == Some(state::REJECT) {
            return failed("the client gave up");
        }
        let Some(token) = resp.token else { return failed("a NegTokenResp without responseToken") };
        match n.mech.step(token) {
            MechStep::Continue(token) => {
                self.state = State::Spnego(n);
                let state = Some(state::ACCEPT_INCOMPLETE);
                let resp = Resp { state, mech: None, token: Some(&token), mic: None };
                Step::Continue { token: resp.encode() }
            }
            MechStep::Done { token, logon } => n.finish(None, token, resp.mic, logon),
            MechStep::Failed { status, why, user } => Step::Failed { status, why, user },
        }
    }
}

impl Negotiated {
    /// The mechanism is content; now the list of mechanisms is held to its MIC (RFC 4178 5).
    fn finish(
        mut self,
        mech: Option<&[u8]>,
        token: Option<Vec<u8>>,
        mic: Option<&[u8]>,
        logon: Logon,
    ) -> Step {
        let refused = |why: &str, logon: Logon| Step::Failed {
            status: NtStatus::LOGON_FAILURE,
            why: why.into(),
            user: Some(logon.user),
        };
        let mut ours = None;
        match mic {
            Some(theirs) => match self.mech.verify_mic(&self.mech_list, theirs) {
                Some(true) => ours = self.mech.mic(&self.mech_list),
                Some(false) => return refused("mechListMIC does not verify", logon),
                // A guest or nobody: the client's key is not ours to know.
                None => {}
            },
            None if self.mic_required && self.mech.mic(&self.mech_list).is_some() => {
                return refused("mechListMIC is missing", logon);
            }
            None => {}
        }
        let state = Some(state::ACCEPT_COMPLETED);
        let resp = Resp { state, mech, token: token.as_deref(), mic: ours.as_deref() };
        Step::Done { token: Some(resp.encode()), logon }
    }
}

/// The NegTokenInit2 of the NEGOTIATE answer: which mechanisms there are.
pub fn negotiate_token(_policy: &Policy) -> Vec<u8> {
    Init::encode_hint(&[oid::NTLM])
}

fn no_mechanism(offered: &[&[u8]]) -> &'static str {
    if offered.iter().any(|&m| m == oid::KERBEROS || m == oid::MS_KERBEROS) {
        "the client offers Kerberos without NTLM, and Kerberos is not set up here"
    } else {
        "the client offers no mechanism known here"
    }
}

/// Whatever was wrong, the client learns no more than that.
fn failed(why: impl Into<String>) -> Step {
    Step::Failed { status: NtStatus::LOGON_FAILURE, why: why.into(), user: None }
}
