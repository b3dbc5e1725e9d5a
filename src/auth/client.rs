//! The client's half of SPNEGO and NTLMv2, for tests and benches.

use zeroize::Zeroizing;

use super::NtHash;
use super::ntlm::keys::{self, Key, Side, Signer};
use super::ntlm::message::{Authenticate, Challenge, Flags, MIC, Negotiate, av, av_pairs, push_av};
use super::spnego::{self, Init, Resp, Token, oid};
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
    /// Computes the response with no domain, but sends one.
    pub no_domain_in_hash: bool,
}

const ASKED: Flags = Flags::UNICODE
    .union(Flags::REQUEST_TARGET)
    .union(Flags::SIGN)
    .union(Flags::NTLM)
    .union(Flags::ALWAYS_SIGN)
    .union(Flags::EXTENDED_SESSIONSECURITY)
    .union(Flags::VERSION)
    .union(Flags::KEY_128)
    .union(Flags::KEY_EXCH)
    .union(Flags::KEY_56);

/// One logon: `start`, then `answer` for each token of the server, until its final answer goes to `finish`.
pub struct NtlmClient {
    domain: String,
    user: String,
    hash: NtHash,
    quirks: Quirks,
    /// The NEGOTIATE_MESSAGE, for the MIC.
    negotiate: Vec<u8>,
    mechs: Vec<&'static [u8]>,
    established: Option<(Key, Flags)>,
}

impl NtlmClient {
    /// `user` may be empty together with `password`: anonymous.
    pub fn new(domain: &str, user: &str, password: &str) -> NtlmClient {
        NtlmClient {
            domain: domain.into(),
            user: user.into(),
            hash: NtHash::of_password(password),
            quirks: Quirks::default(),
            negotiate: Vec::new(),
            mechs: vec![oid::NTLM],
            established: None,
        }
    }

    pub fn with_quirks(mut self, quirks: Quirks) -> NtlmClient {
        self.quirks = quirks;
        self
    }

    /// The first token.
    pub fn start(&mut self) -> Vec<u8> {
        let mut flags = ASKED;
        flags.set(Flags::KEY_EXCH, !self.quirks.no_key_exchange);
        self.negotiate = Negotiate { flags }.encode();
        if self.quirks.raw {
            self.negotiate.clone()
        } else if self.quirks.other_mech_first {
            self.mechs.insert(0, oid::MS_KERBEROS);
            Init::encode(&self.mechs, Some(b"a ticket that will not be looked at"))
        } else {
            Init::encode(&self.mechs, Some(&self.negotiate))
        }
    }

    /// The answer to a token that came with STATUS_MORE_PROCESSING_REQUIRED.
    pub fn answer(&mut self, token: &[u8]) -> Result<Vec<u8>, &'static str> {
        if self.quirks.raw {
            return self.authenticate(token);
        }
        let Ok(Token::Resp(resp)) = Token::decode(token) else { return Err("no NegTokenResp") };
        if resp.mech.is_some_and(|m| m != oid::NTLM) {
            return Err("the server chose another mechanism");
        }
        let Some(challenge) = resp.token else {
            // The server passed over the first mechanism: begin with NTLM.
            return Ok(Resp { token: Some(&self.negotiate), ..Resp::default() }.encode());
        };
        let token = self.authenticate(challenge)?;
        let mut mic = self.mech_list_mic(Side::Client);
        if self.quirks.bad_mech_list_mic {
            mic[7] ^= 1;
        }
        let mic = (!self.quirks.no_mech_list_mic).then_some(&mic[..]);
        Ok(Resp { token: Some(&token), mic, ..Resp::default() }.encode())
    }

    /// Checks the token of the final answer (none: fine without SPNEGO) and gives the session key.
    pub fn finish(&mut self, token: Option<&[u8]>) -> Result<SessionKey, &'static str> {
        if let Some(token) = token.filter(|_| !self.quirks.raw) {
            let Ok(Token::Resp(resp)) = Token::decode(token) else { return Err("no NegTokenResp") };
            if resp.state != Some(spnego::state::ACCEPT_COMPLETED) {
                return Err("not completed");
            }
            if resp.mic.is_some_and(|mic| mic != self.mech_list_mic(Side::Server)) {
                return Err("the server's mechListMIC does not verify");
            }
        }
        let (key, _) = self.established.as_ref().ok_or("no challenge was answered")?;
        Ok(SessionKey::new(&key[..]))
    }

    fn mech_list_mic(&self, side: Side) -> [u8; 16] {
        let list = spnego::mech_list(&self.mechs);
        self.established.as_ref().map_or([0; 16], |(key, flags)| Signer::new(key, *flags, side).sign(&list))
    }

    /// AUTHENTICATE_MESSAGE for a CHALLENGE_MESSAGE (MS-NLMP 3.1.5.1.2).
    fn authenticate(&mut self, challenge_bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        let challenge = Challenge::decode(challenge_bytes).map_err(|e| e.what)?;
        let mut flags = ASKED & challenge.flags;
        let anonymous = self.user.is_empty();
        flags.set(Flags::ANONYMOUS, anonymous);
        let (nt_response, base) = if anonymous {
            (Vec::new(), Zeroizing::new([0; 16]))
        } else if self.quirks.ntlm_v1 {
            (vec![3; 24], Zeroizing::new([3; 16]))
        } else {
            self.nt_response(&challenge)?
        };
        let mut exported = base.clone();
        let mut encrypted = Vec::new();
        if flags.contains(Flags::KEY_EXCH) {
            getrandom::fill(&mut exported[..]).map_err(|_| "no random numbers")?;
            encrypted = exported.to_vec();
            keys::rc4k(&base, &mut encrypted);
        }
        let mut out = Authenticate {
            lm_response: if anonymous { &[0] } else { &[0; 24] },
            nt_response: &nt_response,
            domain: self.domain.clone(),
            user: self.user.clone(),
            workstation: "CLIENT".into(),
            session_key: &encrypted,
            flags,
        }
        .encode();
        if !self.quirks.no_mic && !anonymous {
            let mut mic = keys::hmac_md5(&exported[..], &[&self.negotiate, challenge_bytes, &out]);
            mic[0] ^= u8::from(self.quirks.bad_mic);
            out[MIC].copy_from_slice(&mic[..]);
        }
        self.established = Some((exported, flags));
        Ok(out)
    }

    /// NtChallengeResponse and SessionBaseKey.
    fn nt_response(&self, challenge: &Challenge<'_>) -> Result<(Vec<u8>, Key), &'static str> {
        let pairs = av_pairs(challenge.target_info).map_err(|e| e.what)?;
        let mut client_challenge = [0; 8];
        getrandom::fill(&mut client_challenge).map_err(|_| "no random numbers")?;
        let time = pairs.iter().find(|(id, _)| *id == av::TIMESTAMP).map_or(&[0; 8][..], |(_, v)| v);
        let mut temp = vec![1, 1, 0, 0, 0, 0, 0, 0];
        temp.extend(time);
        temp.extend(client_challenge);
        temp.extend([0; 4]);
        pairs.iter().for_each(|(id, value)| push_av(&mut temp, *id, value));
        if !self.quirks.no_mic {
            push_av(&mut temp, av::FLAGS, &av::FLAG_MIC.to_le_bytes());
        }
        push_av(&mut temp, av::EOL, &[]);
        temp.extend([0; 4]);
        let domain = if self.quirks.no_domain_in_hash { "" } else { &self.domain };
        let response_key = keys::ntowf_v2(&self.hash, &self.user, domain);
        let mut proof = keys::nt_proof(&response_key, &challenge.challenge, &temp);
        proof[3] ^= u8::from(self.quirks.bad_proof);
        let base = keys::session_base_key(&response_key, &proof[..]);
        Ok(([&proof[..], &temp].concat(), base))
    }
}
