//! The server (MS-NLMP 3.2.5.1).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::super::mechanism::{MechStep, Mechanism};
use super::super::{Logon, LogonKind, NtHash, Policy};
use super::keys::{self, Key, Side, Signer};
use super::message::{Authenticate, Challenge, Flags, MIC, Negotiate, av, av_pairs, push_av};
use crate::crypto::SessionKey;
use crate::types::{FileTime, NtStatus};

/// One NTLM logon: a challenge, and one answer to it.
pub struct NtlmServer {
    policy: Arc<Policy>,
    state: State,
}

enum State {
    Start,
    Challenged {
        /// As they stood on the wire, for the MIC.
        negotiate: Vec<u8>,
        challenge: Vec<u8>,
    },
    /// With the signers of both sides, where both sides know the key.
    Done(Option<[Signer; 2]>),
    Over,
}

/// What we grant of what a client asks for.
const GRANTED: Flags = Flags::UNICODE
    .union(Flags::REQUEST_TARGET)
    .union(Flags::SIGN)
    .union(Flags::SEAL)
    .union(Flags::NTLM)
    .union(Flags::ALWAYS_SIGN)
    .union(Flags::EXTENDED_SESSIONSECURITY)
    .union(Flags::VERSION)
    .union(Flags::KEY_128)
    .union(Flags::KEY_EXCH)
    .union(Flags::KEY_56);

/// NTProofStr and the fixed part of NTLMv2_CLIENT_CHALLENGE (2.2.2.7).
const PROOF: usize = 16;
const CLIENT_CHALLENGE: usize = 28;
/// Longest name taken from a client, in characters.
const MAX_NAME: usize = 256;

impl NtlmServer {
    pub fn new(policy: Arc<Policy>) -> NtlmServer {
        NtlmServer { policy, state: State::Start }
    }

    fn challenge(&mut self, token: &[u8]) -> Result<Vec<u8>, String> {
        let asked = Negotiate::decode(token).map_err(|e| e.to_string())?.flags;
        if !asked.contains(Flags::UNICODE | Flags::EXTENDED_SESSIONSECURITY) {
            return Err("the client knows no Unicode or no extended session security".into());
        }
        let mut challenge = [0; 8];
        getrandom::fill(&mut challenge).map_err(|e| format!("no random numbers: {e}"))?;
        let name = self.policy.netbios_name();
        let target_name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut flags = asked & GRANTED | Flags::NTLM | Flags::TARGET_INFO;
        flags.set(Flags::TARGET_TYPE_SERVER, asked.contains(Flags::REQUEST_TARGET));
        let target_info = target_info(&target_name, &self.policy.dns_name, now());
        let target_name = if asked.contains(Flags::REQUEST_TARGET) { &target_name[..] } else { &[] };
        let answer = Challenge { flags, challenge, target_name, target_info: &target_info }.encode();
        self.state = State::Challenged { negotiate: token.to_vec(), challenge: answer.clone() };
        Ok(answer)
    }

    fn authenticate(&mut self, negotiate: &[u8], challenge: &[u8], token: &[u8]) -> MechStep {
        let message = match Authenticate::decode(token) {
            Ok(message) => message,
            Err(e) => return MechStep::failed(e.to_string()),
        };
        let names = [&message.user, &message.domain, &message.workstation];
        if names.iter().any(|n| n.chars().count() > MAX_NAME) {
            return MechStep::failed("a name beyond all measure");
        }
        let outcome = if message.user.is_empty() && message.nt_response.is_empty() {
            if self.policy.anonymous {
                Ok((LogonKind::Anonymous, String::new(), None))
            } else {
                Err(Refusal::Anonymous)
            }
        } else {
            self.verify(&message, negotiate, challenge, token)
        };
        match outcome {
            Ok((kind, user, exported)) => {
                // MS-NLMP 3.3.2: without a key, the key of all zeros.
                let key = exported.as_ref().map_or(&[0; 16], |k| &**k);
                let session_key = SessionKey::new(key);
                let granted =
                    Challenge::decode(challenge).map_or(Flags::empty(), |c| c.flags) & message.flags;
                let signers = exported
                    .as_ref()
                    .filter(|_| granted.contains(Flags::EXTENDED_SESSIONSECURITY))
                    .map(|key| [Side::Client, Side::Server].map(|side| Signer::new(key, granted, side)));
                self.state = State::Done(signers);
                let Authenticate { domain, workstation, .. } = message;
                let logon = Logon {
                    user,
                    domain,
                    workstation,
                    session_key,
                    kind,
                    principal: None,
                    expires: None,
                    sids: [].into(),
                };
                MechStep::Done { token: None, logon }
            }
            Err(refusal) => MechStep::Failed {
                status: refusal.status(),
                why: refusal.to_string(),
                user: Some(message.user),
            },
        }
    }

    /// NTLMv2. The same work is done whether the user exists or not, and nothing tells the client which.
    fn verify(
        &self,
        message: &Authenticate<'_>,
        negotiate: &[u8],
        challenge: &[u8],
        token: &[u8],
    ) -> Result<(LogonKind, String, Option<Key>), Refusal> {
        let (proof, temp) = message
            .nt_response
            .split_at_checked(PROOF)
            .filter(|(_, temp)| temp.len() >= CLIENT_CHALLENGE && temp.starts_with(&[1, 1]))
            .ok_or(Refusal::NotV2)?;
        let pairs = av_pairs(&temp[CLIENT_CHALLENGE..]).map_err(|_| Refusal::Malformed)?;
        let sent = Challenge::decode(challenge).map_err(|_| Refusal::Malformed)?;

        let found = self.find(&message.user);
        let dummy = NtHash::new([0x5A; 16]);
        let hash = found.as_ref().map_or(&dummy, |r| &r.nt_hash);
        // Some clients compute with no domain and send one.
        let mut response_key = None;
        for domain in [&message.domain, ""] {
            let key = keys::ntowf_v2(hash, &message.user, domain);
            if keys::same(&keys::nt_proof(&key, &sent.challenge, temp)[..], proof) && found.is_some() {
                response_key = response_key.or(Some(key));
            }
        }
        let record = match (found, self.policy.guest) {
            (None, true) => return Ok((LogonKind::Guest, "guest".into(), None)),
            (None, false) => return Err(Refusal::UnknownUser),
            (Some(record), _) => record,
        };
        let response_key = response_key.ok_or(Refusal::WrongPassword)?;
        if record.disabled {
            return Err(Refusal::Disabled);
        }
        let exported = exported_key(&response_key, proof, message, sent.flags & message.flags)?;

        // The flag is under the proof, so nobody can have taken the MIC away.
        let av_flags = pairs.iter().find(|(id, _)| *id == av::FLAGS).and_then(|(_, v)| v.first_chunk());
        if av_flags.is_some_and(|v| u32::from_le_bytes(*v) & av::FLAG_MIC != 0) {
            let given = token.get(MIC).ok_or(Refusal::Malformed)?;
            let parts = [negotiate, challenge, &token[..MIC.start], &[0; 16], &token[MIC.end..]];
            if !keys::same(&keys::hmac_md5(&exported[..], &parts)[..], given) {
                return Err(Refusal::BadMic);
            }
        } else if self.policy.require_mic {
            return Err(Refusal::NoMic);
        }
        Ok((LogonKind::User, record.name, Some(exported)))
    }

    /// By the name as given, or the part before the `@` of a principal name.
    fn find(&self, name: &str) -> Option<super::super::UserRecord> {
        let users = &self.policy.users;
        users.find(name).or_else(|| users.find(name.split_once('@')?.0))
    }
}

/// ExportedSessionKey (MS-NLMP 3.2.5.1.2).
fn exported_key(
    response_key: &Key,
    proof: &[u8],
    message: &Authenticate<'_>,
    flags: Flags,
) -> Result<Key, Refusal> {
    let base = keys::session_base_key(response_key, proof);
    if !flags.contains(Flags::KEY_EXCH) || !flags.intersects(Flags::SIGN | Flags::SEAL) {
        return Ok(base);
    }
    let sent: [u8; 16] = message.session_key.try_into().map_err(|_| Refusal::Malformed)?;
    let mut exported = Zeroizing::new(sent);
    keys::rc4k(&base, &mut exported[..]);
    Ok(exported)
}

/// For the log. The client gets the same status for all that depends on what the server knows.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("anonymous logons are not allowed")]
    Anonymous,
    #[error("the response is not NTLMv2")]
    NotV2,
    #[error("malformed NTLMv2 response")]
    Malformed,
    #[error("no such user")]
    UnknownUser,
    #[error("wrong password")]
    WrongPassword,
    #[error("the user is disabled")]
    Disabled,
    #[error("the message integrity code does not verify")]
    BadMic,
    #[error("the message integrity code is missing")]
    NoMic,
}

impl Refusal {
    fn status(&self) -> NtStatus {
        match self {
            Refusal::Malformed => NtStatus::INVALID_PARAMETER,
            _ => NtStatus::LOGON_FAILURE,
        }
    }
}

/// TargetInfo. A server that stands alone is its own domain.
fn target_info(netbios: &[u8], dns: &str, now: FileTime) -> Vec<u8> {
    let dns: Vec<u8> = dns.encode_utf16().take(255).flat_map(u16::to_le_bytes).collect();
    let mut out = Vec::new();
    push_av(&mut out, av::NB_DOMAIN_NAME, netbios);
    push_av(&mut out, av::NB_COMPUTER_NAME, netbios);
    push_av(&mut out, av::DNS_DOMAIN_NAME, &dns);
    push_av(&mut out, av::DNS_COMPUTER_NAME, &dns);
    push_av(&mut out, av::TIMESTAMP, &now.0.to_le_bytes());
    push_av(&mut out, av::EOL, &[]);
    out
}

fn now() -> FileTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    FileTime::from_unix(since.as_secs() as i64, since.subsec_nanos())
}

impl Mechanism for NtlmServer {
    fn step(&mut self, token: &[u8]) -> MechStep {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Start => match self.challenge(token) {
                Ok(answer) => MechStep::Continue(answer),
                Err(why) => MechStep::failed(why),
            },
            State::Challenged { negotiate, challenge } => self.authenticate(&negotiate, &challenge, token),
            State::Done(_) | State::Over => MechStep::failed("NTLM is over"),
        }
    }

    fn mic(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.state {
            State::Done(Some([_, server])) => Some(server.sign(message).to_vec()),
            _ => None,
        }
    }

    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Option<bool> {
        match &self.state {
            State::Done(Some([client, _])) => Some(keys::same(&client.sign(message), mic)),
            _ => None,
        }
    }
}
