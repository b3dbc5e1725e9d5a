//! One attempt to log on: SPNEGO's acceptor (RFC 4178 3.2, MS-SPNG 3.1.5), and NTLMSSP and Kerberos without it.
//!
//! The client names its mechanisms and guesses that we take the first, for which it sends a token. Where that one cannot
//! be had here, or its token is no good (a ticket that has run out), the next one is asked for.

use std::sync::Arc;

use super::mechanism::{MechStep, Mechanism};
use super::ntlm::NtlmServer;
use super::spnego::{Init, Resp, Token, oid, state};
use super::{Logon, Policy, Step, Tickets};
use crate::types::NtStatus;

/// Longest token looked at without Kerberos, and with: a ticket with a PAC of a thousand groups (Windows: MaxTokenSize).
const MAX_TOKEN: usize = 16 * 1024;
const MAX_TICKET: usize = 64 * 1024 - 1;
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
    /// NTLMSSP or Kerberos without SPNEGO.
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
    /// All is well but that the client's MIC has to come yet.
    admitted: Option<Logon>,
}

impl Acceptor {
    pub fn new(policy: Arc<Policy>) -> Acceptor {
        Acceptor { policy, state: State::Start, steps: 0 }
    }

    /// Takes the client's next token: SPNEGO, bare NTLMSSP or bare Kerberos. After `Done` or `Failed` every further step
    /// fails.
    pub fn step(&mut self, token: &[u8]) -> Step {
        self.steps += 1;
        let state = std::mem::replace(&mut self.state, State::Over);
        if token.len() > if self.policy.kerberos.is_some() { MAX_TICKET } else { MAX_TOKEN } {
            return failed(format!("token of {} bytes", token.len()));
        }
        if self.steps > MAX_STEPS {
            return failed("too many tokens");
        }
        // Only the first of a mechanism's tokens tells which it is.
        let state = match state {
            State::Raw(mech) => return self.raw(mech, token),
            state => state,
        };
        let decoded = match Token::decode(token) {
            Ok(token) => token,
            Err(e) => return failed(e.to_string()),
        };
        match (state, decoded) {
            (State::Start, Token::Ntlm(_)) => self.bare(oid::NTLM, token),
            (State::Start, Token::Other(oid)) => self.bare(oid, token),
            (State::Start, Token::Init(init)) => self.init(&init),
            (State::Spnego(n), Token::Resp(resp)) => self.resp(n, &resp),
            // Some clients wrap only their first token.
            (State::Spnego(n), Token::Ntlm(t)) => self.resp(n, &Resp { token: Some(t), ..Resp::default() }),
            (State::Over, _) => failed("the attempt is over"),
            _ => failed("a token out of its turn"),
        }
    }

    fn bare(&mut self, oid: &[u8], token: &[u8]) -> Step {
        match self.mechanism(oid) {
            Some(mech) => self.raw(mech, token),
            None => self.no_mechanism(&[oid]),
        }
    }

    fn raw(&mut self, mut mech: Box<dyn Mechanism>, token: &[u8]) -> Step {
        match mech.step(token) {
            MechStep::Continue(token) => {
                self.state = State::Raw(mech);
                go_on(token)
            }
            MechStep::Done { token, logon } => Step::Done { token, logon },
            MechStep::Failed { status, why, user } => Step::Failed { status, why, user },
        }
    }

    /// The mechanism behind an OID, where it can be had.
    fn mechanism(&self, mech: &[u8]) -> Option<Box<dyn Mechanism>> {
        match mech {
            oid::NTLM if self.policy.ntlm => Some(Box::new(NtlmServer::new(self.policy.clone()))),
            oid::KERBEROS | oid::MS_KERBEROS => self.policy.kerberos.clone().map(Tickets::acceptor),
            _ => None,
        }
    }

    fn init(&mut self, init: &Init<'_>) -> Step {
        let first = init.mechs[0];
        let mut refused = None;
        if let (Some(token), Some(mech)) = (init.token, self.mechanism(first)) {
            match self.guessed(mech, init, token) {
                // The token is no good. One that names somebody is good, whatever is said of him.
                Step::Failed { status, why, user: None } => refused = Some((status, why)),
                step => return step,
            }
        }
        let other = |oid: &[u8]| refused.is_none() || !same(oid, first);
        let mut left = init.mechs.iter().enumerate().filter(|(_, oid)| other(oid));
        let next = left.find_map(|(rank, &oid)| Some((rank, oid, self.mechanism(oid)?)));
        let Some((rank, oid, mech)) = next else {
            return match refused {
                Some((status, why)) => Step::Failed { status, why, user: None },
                None => self.no_mechanism(&init.mechs),
            };
        };
        let n =
            Negotiated { mech, mech_list: init.mech_list.to_vec(), mic_required: rank > 0, admitted: None };
        let state = if n.mic_required { state::REQUEST_MIC } else { state::ACCEPT_INCOMPLETE };
        self.state = State::Spnego(n);
        let resp = Resp { state: Some(state), mech: Some(oid), token: None, mic: None };
        Step::Continue { token: resp.encode(), passed_over: refused.map(|(_, why)| why) }
    }

    /// The first mechanism takes the token that the client sent on the chance.
    fn guessed(&mut self, mut mech: Box<dyn Mechanism>, init: &Init<'_>, token: &[u8]) -> Step {
        let step = mech.step(token);
        let mech_list = init.mech_list.to_vec();
        let n = Negotiated { mech, mech_list, mic_required: false, admitted: None };
        self.mechanism_said(n, step, Some(init.mechs[0]), None)
    }

    fn resp(&mut self, mut n: Negotiated, resp: &Resp<'_>) -> Step {
        if resp.state == Some(state::REJECT) {
            return failed("the client gave up");
        }
        if let Some(logon) = n.admitted.take() {
            return n.finish(None, None, resp.mic, logon).0;
        }
        let Some(token) = resp.token else { return failed("a NegTokenResp without responseToken") };
        let step = n.mech.step(token);
        self.mechanism_said(n, step, None, resp.mic)
    }

    /// `oid`: the mechanism, in our first answer. `mic`: came with the token.
    fn mechanism_said(
        &mut self,
        n: Negotiated,
        step: MechStep,
        oid: Option<&[u8]>,
        mic: Option<&[u8]>,
    ) -> Step {
        match step {
            MechStep::Continue(token) => {
                self.state = State::Spnego(n);
                let state = Some(state::ACCEPT_INCOMPLETE);
                let resp = Resp { state, mech: oid, token: Some(&token), mic: None };
                go_on(resp.encode())
            }
            MechStep::Done { token, logon } => {
                let (step, waits) = n.finish(oid, token, mic, logon);
                if let Some(n) = waits {
                    self.state = State::Spnego(n);
                }
                step
            }
            MechStep::Failed { status, why, user } => Step::Failed { status, why, user },
        }
    }

    fn no_mechanism(&self, offered: &[&[u8]]) -> Step {
        let offers = |mech: &[u8]| offered.iter().any(|oid| same(oid, mech));
        let policy = &self.policy;
        if offers(oid::NTLM) && !policy.ntlm {
            let why = "the client wants to log on with a password, and ntlm = false";
            return Step::Failed { status: NtStatus::NTLM_BLOCKED, why: why.into(), user: None };
        }
        failed(match offers(oid::KERBEROS) && policy.kerberos.is_none() {
            true => "the client offers Kerberos without NTLM, and Kerberos is not set up here",
            false => "the client offers no mechanism known here",
        })
    }
}

impl Negotiated {
    /// The mechanism is content; now the list of mechanisms is held to its MIC (RFC 4178 5). Where that is due and the
    /// mechanism's last token is ours, the client has it yet to send.
    fn finish(
        mut self,
        mech: Option<&[u8]>,
        token: Option<Vec<u8>>,
        mic: Option<&[u8]>,
        logon: Logon,
    ) -> (Step, Option<Negotiated>) {
        let refused = |why: &str, logon: Logon| {
            let (status, user) = (NtStatus::LOGON_FAILURE, Some(logon.user));
            (Step::Failed { status, why: why.into(), user }, None)
        };
        let mut ours = None;
        match mic {
            Some(theirs) => match self.mech.verify_mic(&self.mech_list, theirs) {
                Some(true) => ours = self.mech.mic(&self.mech_list),
                Some(false) => return refused("mechListMIC does not verify", logon),
                // A guest or nobody: the client's key is not ours to know.
                None => {}
            },
            None if self.mic_required => match (self.mech.mic(&self.mech_list), token) {
                (Some(mic), Some(token)) => {
                    let state = Some(state::ACCEPT_INCOMPLETE);
                    let resp = Resp { state, mech, token: Some(&token), mic: Some(&mic) };
                    let step = go_on(resp.encode());
                    return (step, Some(Negotiated { admitted: Some(logon), ..self }));
                }
                (Some(_), None) => return refused("mechListMIC is missing", logon),
                (None, token) => return (done(mech, token, None, logon), None),
            },
            None => {}
        }
        (done(mech, token, ours, logon), None)
    }
}

fn done(mech: Option<&[u8]>, token: Option<Vec<u8>>, mic: Option<Vec<u8>>, logon: Logon) -> Step {
    let state = Some(state::ACCEPT_COMPLETED);
    let resp = Resp { state, mech, token: token.as_deref(), mic: mic.as_deref() };
    Step::Done { token: Some(resp.encode()), logon }
}

fn go_on(token: Vec<u8>) -> Step {
    Step::Continue { token, passed_over: None }
}

/// Kerberos has two names.
fn same(a: &[u8], b: &[u8]) -> bool {
    let name = |oid| if oid == oid::MS_KERBEROS { oid::KERBEROS } else { oid };
    name(a) == name(b)
}

/// The NegTokenInit2 of the NEGOTIATE answer: which mechanisms there are.
pub fn negotiate_token(policy: &Policy) -> Vec<u8> {
    let mut mechs = Vec::new();
    if policy.kerberos.is_some() {
        mechs.extend([oid::MS_KERBEROS, oid::KERBEROS]);
    }
    if policy.ntlm {
        mechs.push(oid::NTLM);
    }
    Init::encode_hint(&mechs)
}

/// Whatever was wrong, the client learns no more than that.
fn failed(why: impl Into<String>) -> Step {
    Step::Failed { status: NtStatus::LOGON_FAILURE, why: why.into(), user: None }
}
