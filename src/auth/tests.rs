//! Whole handshakes, published vectors, and bad input.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::client::{NtlmClient, Quirks};
use super::ntlm::keys::{self, Side, Signer};
use super::ntlm::message::{Authenticate, Challenge, Flags, MIC, av, av_pairs};
use super::spnego::{Init, Resp, Token, oid, state};
use super::*;
use crate::crypto::SessionKey;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

struct Fixed(HashMap<&'static str, UserRecord>);

impl UserDb for Fixed {
    fn find(&self, name: &str) -> Option<UserRecord> {
        self.0.get(name.to_lowercase().as_str()).cloned()
    }
}

fn policy() -> Policy {
    let user = |name: &str, password: &str, disabled| UserRecord {
        name: name.into(),
        nt_hash: NtHash::of_password(password),
        disabled,
    };
    Policy::new(
        "nas.example.org",
        Arc::new(Fixed(HashMap::from([
            ("alice", user("Alice", "Pässwörd", false)),
            ("mallory", user("mallory", "secret", true)),
        ]))),
    )
}

type Outcome = Result<(Logon, SessionKey), String>;

/// Runs a client against an acceptor to the end.
fn run(policy: &Policy, mut client: NtlmClient) -> Outcome {
    let mut acceptor = Acceptor::new(Arc::new(policy.clone()));
    let mut token = client.start();
    for _ in 0..4 {
        match acceptor.step(&token) {
            Step::Continue { token: answer, .. } => token = client.answer(&answer)?,
            Step::Done { token, logon } => return Ok((logon, client.finish(token.as_deref())?)),
            Step::Failed { status, why, .. } => {
                assert_eq!(status, NtStatus::LOGON_FAILURE);
                return Err(why);
            }
        }
    }
    Err("no end".into())
}

fn alice(quirks: Quirks) -> Outcome {
    run(&policy(), NtlmClient::new("WORKGROUP", "alice", "Pässwörd").with_quirks(quirks))
}

fn refused(quirks: Quirks) -> String {
    alice(quirks).map(|(l, _)| l.user).unwrap_err()
}

#[test]
fn a_user_logs_on_in_every_variation() {
    for bits in 0..64 {
        let bit = |n: u32| bits >> n & 1 == 1;
        let quirks = Quirks {
            raw: bit(0),
            no_key_exchange: bit(1),
            no_mic: bit(2),
            no_mech_list_mic: bit(3) && !bit(4),
            other_mech_first: bit(4) && !bit(0),
            no_domain_in_hash: bit(5),
            ..Quirks::default()
        };
        let (logon, key) = alice(quirks.clone()).unwrap_or_else(|e| panic!("{quirks:?}: {e}"));
        assert_eq!((logon.user.as_str(), logon.kind), ("Alice", LogonKind::User));
        assert_eq!((logon.domain.as_str(), logon.workstation.as_str()), ("WORKGROUP", "CLIENT"));
        assert_eq!(logon.session_key.full(), key.full(), "{quirks:?}");
        assert_ne!(key.full(), [0; 16]);
    }
}

#[test]
fn names_are_found_in_any_case_and_as_principals() {
    for name in ["ALICE", "Alice", "alice@example.org"] {
        let (logon, _) = run(&policy(), NtlmClient::new("", name, "Pässwörd")).unwrap();
        assert_eq!(logon.user, "Alice");
    }
}

#[test]
fn whatever_is_wrong_is_refused() {
    let quirks = Quirks::default();
    assert_eq!(
        refused(Quirks { bad_mic: true, ..quirks.clone() }),
        "the message integrity code does not verify"
    );
    assert_eq!(refused(Quirks { bad_proof: true, ..quirks.clone() }), "wrong password");
    assert_eq!(refused(Quirks { ntlm_v1: true, ..quirks.clone() }), "the response is not NTLMv2");
    assert_eq!(refused(Quirks { bad_mech_list_mic: true, ..quirks.clone() }), "mechListMIC does not verify");
    let unasked = Quirks { other_mech_first: true, no_mech_list_mic: true, ..quirks };
    assert_eq!(refused(unasked), "mechListMIC is missing");
    let try_as =
        |user: &str, password: &str| run(&policy(), NtlmClient::new("", user, password)).unwrap_err();
    assert_eq!(try_as("alice", "password"), "wrong password");
    assert_eq!(try_as("eve", "password"), "no such user");
    assert_eq!(try_as("mallory", "secret"), "the user is disabled");
    assert_eq!(try_as("mallory", "guess"), "wrong password");
    assert_eq!(try_as("", ""), "anonymous logons are not allowed");
}

#[test]
fn a_strict_policy_wants_the_mic() {
    let strict = Policy { require_mic: true, ..policy() };
    let client = || NtlmClient::new("", "alice", "Pässwörd");
    assert!(run(&strict, client()).is_ok());
    let without = client().with_quirks(Quirks { no_mic: true, ..Quirks::default() });
    assert_eq!(run(&strict, without).unwrap_err(), "the message integrity code is missing");
}

#[test]
fn guests_and_nobody_come_in_where_allowed() {
    let open = Policy { guest: true, anonymous: true, ..policy() };
    for raw in [false, true] {
        let quirks = Quirks { raw, ..Quirks::default() };
        let (logon, _) = run(&open, NtlmClient::new("", "eve", "x").with_quirks(quirks.clone())).unwrap();
        assert_eq!((logon.user.as_str(), logon.kind), ("guest", LogonKind::Guest));
        assert_eq!(logon.session_key.full(), [0; 16]);
        let (logon, _) = run(&open, NtlmClient::new("", "", "").with_quirks(quirks)).unwrap();
        assert_eq!((logon.user.as_str(), logon.kind), ("", LogonKind::Anonymous));
        assert_eq!(logon.session_key.full(), [0; 16]);
    }
    // A known user does not become a guest by a wrong password, nor a disabled one.
    assert_eq!(run(&open, NtlmClient::new("", "alice", "x")).unwrap_err(), "wrong password");
    assert_eq!(run(&open, NtlmClient::new("", "mallory", "secret")).unwrap_err(), "the user is disabled");
}

#[test]
fn an_answer_serves_one_challenge_only() {
    let policy = Arc::new(policy());
    let mut client = NtlmClient::new("", "alice", "Pässwörd");
    let mut first = Acceptor::new(policy.clone());
    let start = client.start();
    let Step::Continue { token, .. } = first.step(&start) else { panic!() };
    let answer = client.answer(&token).unwrap();
    let mut second = Acceptor::new(policy);
    assert!(matches!(second.step(&start), Step::Continue { .. }));
    let Step::Failed { why, user, .. } = second.step(&answer) else { panic!() };
    assert_eq!((why.as_str(), user.as_deref()), ("wrong password", Some("alice")));
    let Step::Failed { why, .. } = second.step(&answer) else { panic!() };
    assert_eq!(why, "the attempt is over");
    assert!(matches!(first.step(&answer), Step::Done { .. }));
    assert!(matches!(first.step(&answer), Step::Failed { .. }));
}

#[test]
fn the_challenge_says_who_we_are() {
    let mut acceptor = Acceptor::new(Arc::new(policy()));
    let mut client = NtlmClient::new("", "a", "b").with_quirks(Quirks { raw: true, ..Quirks::default() });
    let Step::Continue { token, .. } = acceptor.step(&client.start()) else { panic!() };
    let challenge = Challenge::decode(&token).unwrap();
    assert!(challenge.flags.contains(Flags::TARGET_TYPE_SERVER | Flags::TARGET_INFO | Flags::KEY_EXCH));
    let pairs = av_pairs(challenge.target_info).unwrap();
    let text = |id| {
        let (_, value) = pairs.iter().find(|(i, _)| *i == id).unwrap();
        crate::wire::codec::decode_utf16(value, "").unwrap()
    };
    assert_eq!(text(av::NB_COMPUTER_NAME), "NAS");
    assert_eq!(text(av::NB_DOMAIN_NAME), "NAS");
    assert_eq!(text(av::DNS_COMPUTER_NAME), "nas.example.org");
    assert!(pairs.iter().any(|(id, value)| *id == av::TIMESTAMP && value.len() == 8));
    // An empty MsvAvFlags here makes Windows compute another MIC.
    assert!(!pairs.iter().any(|(id, _)| *id == av::FLAGS));
}

#[test]
fn the_hint_names_ntlm() {
    let hint = negotiate_token(&policy());
    let Ok(Token::Init(init)) = Token::decode(&hint) else { panic!() };
    assert_eq!(init.mechs, [oid::NTLM]);
    assert_eq!(hint[..2], [0x60, 0x48], "as long as Windows' own");
}

#[test]
fn kerberos_alone_is_refused_with_a_reason() {
    for token in [
        Init::encode(&[oid::MS_KERBEROS, oid::KERBEROS], Some(b"x")),
        der::tlv(der::APPLICATION, &[&der::tlv(der::OID, &[oid::KERBEROS]), b"x"]),
    ] {
        let Step::Failed { why, .. } = Acceptor::new(Arc::new(policy())).step(&token) else { panic!() };
        assert!(why.contains("Kerberos"), "{why}");
    }
}

#[test]
fn a_mechanism_that_is_not_the_first_makes_the_mic_due() {
    let mut acceptor = Acceptor::new(Arc::new(policy()));
    let token = Init::encode(&[oid::KERBEROS, oid::NTLM], Some(b"x"));
    let Step::Continue { token, .. } = acceptor.step(&token) else { panic!() };
    let Ok(Token::Resp(resp)) = Token::decode(&token) else { panic!() };
    assert_eq!((resp.state, resp.mech, resp.token), (Some(state::REQUEST_MIC), Some(oid::NTLM), None));
}

/// Takes `good` for a ticket, says no to `bad`, knows nobody behind `nobody`, and asks back after `half`.
struct Fake;

impl Tickets for Fake {
    fn acceptor(self: Arc<Self>) -> Box<dyn mechanism::Mechanism> {
        Box::new(FakeTicket)
    }
}

struct FakeTicket;

impl mechanism::Mechanism for FakeTicket {
    fn step(&mut self, token: &[u8]) -> mechanism::MechStep {
        let failed = |why: &str, user: Option<&str>| mechanism::MechStep::Failed {
            status: NtStatus::NO_SUCH_USER,
            why: why.into(),
            user: user.map(str::to_owned),
        };
        match token {
            b"half" => mechanism::MechStep::Continue(b"and?".to_vec()),
            b"nobody" => failed("has no user", Some("nobody@A")),
            b"bad" => failed("has expired", None),
            _ => mechanism::MechStep::Done {
                token: Some(b"AP-REP".to_vec()),
                logon: Logon {
                    user: "alice".into(),
                    domain: "A".into(),
                    workstation: String::new(),
                    session_key: SessionKey::new(&[9; 32]),
                    kind: LogonKind::User,
                    principal: Some("alice@A".into()),
                    expires: None,
                    sids: [].into(),
                },
            },
        }
    }

    fn mic(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        Some([b"ours", message].concat())
    }

    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Option<bool> {
        Some(mic == [b"theirs", message].concat())
    }
}

fn with_tickets(ntlm: bool) -> Acceptor {
    Acceptor::new(Arc::new(Policy { kerberos: Some(Arc::new(Fake)), ntlm, ..policy() }))
}

fn resp(token: &[u8]) -> spnego::Resp<'_> {
    let Ok(Token::Resp(resp)) = Token::decode(token) else { panic!("no NegTokenResp: {token:?}") };
    resp
}

#[test]
fn a_ticket_is_enough() {
    for mechs in [&[oid::KERBEROS][..], &[oid::MS_KERBEROS, oid::KERBEROS, oid::NTLM]] {
        let Step::Done { token, logon } = with_tickets(true).step(&Init::encode(mechs, Some(b"good"))) else {
            panic!()
        };
        let token = token.unwrap();
        let answer = resp(&token);
        assert_eq!((answer.state, answer.mech), (Some(state::ACCEPT_COMPLETED), Some(mechs[0])));
        assert_eq!((answer.token, answer.mic), (Some(&b"AP-REP"[..]), None));
        assert_eq!((logon.user.as_str(), logon.session_key.full()), ("alice", &[9; 32][..]));
    }
    let bare = der::tlv(der::APPLICATION, &[&der::tlv(der::OID, &[oid::KERBEROS]), b"x"]);
    let Step::Done { token, .. } = with_tickets(true).step(&bare) else { panic!() };
    assert_eq!(token.as_deref(), Some(&b"AP-REP"[..]), "bare as it came");
}

#[test]
fn a_ticket_may_take_several_legs() {
    let mut acceptor = with_tickets(true);
    let Step::Continue { token, .. } = acceptor.step(&Init::encode(&[oid::KERBEROS], Some(b"half"))) else {
        panic!()
    };
    let answer = resp(&token);
    assert_eq!((answer.state, answer.token), (Some(state::ACCEPT_INCOMPLETE), Some(&b"and?"[..])));
    let next = Resp { token: Some(b"good"), ..Resp::default() }.encode();
    assert!(matches!(acceptor.step(&next), Step::Done { .. }));
}

#[test]
fn a_bad_ticket_leads_to_the_password_where_both_are_offered() {
    let offer = |mechs: &[&[u8]]| Init::encode(mechs, Some(b"bad"));
    let both = offer(&[oid::MS_KERBEROS, oid::KERBEROS, oid::NTLM]);
    let Step::Continue { token, passed_over } = with_tickets(true).step(&both) else { panic!() };
    let answer = resp(&token);
    assert_eq!((answer.state, answer.mech, answer.token), (Some(state::REQUEST_MIC), Some(oid::NTLM), None));
    assert_eq!(passed_over.as_deref(), Some("has expired"));
    // Nothing else is offered, or nothing else is taken.
    for (mut acceptor, token) in [(with_tickets(true), offer(&[oid::KERBEROS])), (with_tickets(false), both)]
    {
        let Step::Failed { status, why, .. } = acceptor.step(&token) else { panic!() };
        assert_eq!((status, why.as_str()), (NtStatus::NO_SUCH_USER, "has expired"));
    }
    // A good ticket of somebody who has no user here is not to be tried again with a password.
    let nobody = Init::encode(&[oid::KERBEROS, oid::NTLM], Some(b"nobody"));
    let Step::Failed { user, .. } = with_tickets(true).step(&nobody) else { panic!() };
    assert_eq!(user.as_deref(), Some("nobody@A"));
}

#[test]
fn a_ticket_that_was_not_the_first_choice_is_held_to_the_mic() {
    let mechs: &[&[u8]] = &[&[0x2A, 3, 4], oid::KERBEROS];
    let good = Resp { token: Some(b"good"), ..Resp::default() }.encode();
    let list = spnego::mech_list(mechs);
    let to_the_mic = || {
        let mut acceptor = with_tickets(true);
        let Step::Continue { token, .. } = acceptor.step(&Init::encode(mechs, Some(b"for another"))) else {
            panic!()
        };
        assert_eq!((resp(&token).state, resp(&token).mech), (Some(state::REQUEST_MIC), Some(oid::KERBEROS)));
        let Step::Continue { token, .. } = acceptor.step(&good) else { panic!("the client's MIC is due") };
        let answer = resp(&token);
        assert_eq!((answer.state, answer.token), (Some(state::ACCEPT_INCOMPLETE), Some(&b"AP-REP"[..])));
        assert_eq!(answer.mic, Some(&[b"ours", &list[..]].concat()[..]));
        acceptor
    };
    let theirs = [b"theirs", &list[..]].concat();
    let right = Resp { mic: Some(&theirs), ..Resp::default() }.encode();
    assert!(matches!(to_the_mic().step(&right), Step::Done { .. }));
    for wrong in [Resp { mic: Some(b"theirs"), ..Resp::default() }, Resp::default()] {
        assert!(matches!(to_the_mic().step(&wrong.encode()), Step::Failed { .. }));
    }
}

#[test]
fn passwords_can_be_kept_out() {
    let mut client = NtlmClient::new("", "alice", "Pässwörd");
    for start in [
        client.start(),
        NtlmClient::new("", "alice", "x").with_quirks(Quirks { raw: true, ..Quirks::default() }).start(),
    ] {
        let Step::Failed { status, why, .. } = with_tickets(false).step(&start) else { panic!() };
        assert_eq!(status, NtStatus::NTLM_BLOCKED);
        assert!(why.contains("ntlm = false"), "{why}");
    }
    let hint = negotiate_token(&Policy { kerberos: Some(Arc::new(Fake)), ..policy() });
    let Ok(Token::Init(hint)) = Token::decode(&hint) else { panic!() };
    assert_eq!(hint.mechs, [oid::MS_KERBEROS, oid::KERBEROS, oid::NTLM]);
}

/// MS-NLMP 4.2.4, with 4.2.1's common values.
#[test]
fn ntlm_v2_of_the_specification() {
    let hash = NtHash::of_password("Password");
    assert_eq!(hash.as_bytes()[..], hex("a4f49c406510bdcab6824ee7c30fd852"));
    let response_key = keys::ntowf_v2(&hash, "User", "Domain");
    assert_eq!(response_key[..], hex("0c868a403bfd7a93a3001ef22ef02e3f"));
    let temp = hex("01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000\
                    02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000\
                    00000000");
    let challenge: [u8; 8] = hex("0123456789abcdef").try_into().unwrap();
    let proof = keys::nt_proof(&response_key, &challenge, &temp);
    assert_eq!(proof[..], hex("68cd0ab851e51c96aabc927bebef6a1c"));
    let base = keys::session_base_key(&response_key, &proof[..]);
    assert_eq!(base[..], hex("8de40ccadbc14a82f15cb0ad0de95ca3"));
    let mut exported = zeroize::Zeroizing::new([0x55; 16]);
    keys::rc4k(&base, &mut exported[..]);
    assert_eq!(exported[..], hex("c5dad2544fc9799094ce1ce90bc9d03e"));
    let exported = zeroize::Zeroizing::new([0x55; 16]);
    let flags = Flags::KEY_128 | Flags::KEY_EXCH | Flags::EXTENDED_SESSIONSECURITY;
    let signer = Signer::new(&exported, flags, Side::Client);
    assert_eq!(signer.keys().0[..], hex("4788dc861b4782f35d43fd98fe1a2d39"));
    assert_eq!(signer.keys().1[..], hex("59f600973cc4960a25480a7c196e4c58"));
}

/// The logon in "SMB 2 and SMB 3 security in Windows 10": a Windows client, a Windows server.
#[test]
fn ntlm_v2_as_windows_speaks_it() {
    let negotiate = hex("4E544C4D5353500001000000978208E200000000000000000000000000000000060380250000000F");
    let challenge = hex("4E544C4D53535000020000000C000C003800000015828AE20D1D8BA31179D0080000000000000000\
                         50005000440000000A0092270000000F530055005400330031003100\
                         02000C0053005500540033003100310001000C0053005500540033003100310004000C005300550054003300\
                         3100310003000C0053005500540033003100310007000800A1A1F5ADCBAED00100000000");
    let authenticate = hex(
        "4E544C4D53535000030000001800180090000000EE00EE00A80000000C000C00580000001A001A0064000000\
         120012007E0000001000100096010000158288E2060380250000000FECAC77A5F385A8BF9C38C706EEEDDCD3\
         5300550054003300310031006100\
         64006D0069006E006900730074007200610074006F00720044005200490056004500520033003100310000000000000000000000\
         000000000000000000000000000063078EB639FE03E20A231C3AE3BF23080101000000000000A1A1F5ADCBAED001BC4AD05F223C\
         C90F0000000002000C0053005500540033003100310001000C0053005500540033003100310004000C0053005500540033003100\
         310003000C0053005500540033003100310007000800A1A1F5ADCBAED00106000400020000000800300030000000000000000000\
         000000300000B61FEFCAA857EA57BF1EDCEBF8974B8E0EBA5A6DFD9D07A31D11B548F8C9D0CC0A00100000000000000000000000\
         0000000000000900160063006900660073002F005300550054003300310031000000000000000000000000003B9BDFF38F5EE8F9\
         663F11A0F4C03A78",
    );
    let message = Authenticate::decode(&authenticate).unwrap();
    assert_eq!((message.user.as_str(), message.domain.as_str()), ("administrator", "SUT311"));
    assert_eq!(message.workstation, "DRIVER311");
    let (proof, temp) = message.nt_response.split_at(16);
    let sent = Challenge::decode(&challenge).unwrap();
    let hash = NtHash::of_password("Password01!");
    let response_key = keys::ntowf_v2(&hash, &message.user, &message.domain);
    assert_eq!(keys::nt_proof(&response_key, &sent.challenge, temp)[..], *proof);
    let base = keys::session_base_key(&response_key, proof);
    let mut exported = zeroize::Zeroizing::new(<[u8; 16]>::try_from(message.session_key).unwrap());
    keys::rc4k(&base, &mut exported[..]);
    assert_eq!(exported[..], hex("270E1BA896585EEB7AF3472D3B4C75A7"));

    let parts = [&negotiate[..], &challenge, &authenticate[..MIC.start], &[0; 16], &authenticate[MIC.end..]];
    assert_eq!(keys::hmac_md5(&exported[..], &parts)[..], authenticate[MIC]);

    let list = super::spnego::mech_list(&[oid::NTLM]);
    let flags = sent.flags & message.flags;
    let mic = |side| Signer::new(&exported, flags, side).sign(&list);
    assert_eq!(mic(Side::Client)[..], hex("0100000063775A9A5FD97F0600000000"));
    assert_eq!(mic(Side::Server)[..], hex("010000003B453CDC3524164200000000"));
}

#[test]
fn long_tokens_are_not_read() {
    let mut token = vec![0; 16 * 1024 + 1];
    token[..8].copy_from_slice(b"NTLMSSP\0");
    let Step::Failed { why, .. } = Acceptor::new(Arc::new(policy())).step(&token) else { panic!() };
    assert_eq!(why, "token of 16385 bytes");
}

#[test]
fn every_truncation_fails_cleanly() {
    for raw in [false, true] {
        let policy = Arc::new(policy());
        let client =
            || NtlmClient::new("D", "alice", "Pässwörd").with_quirks(Quirks { raw, ..Quirks::default() });
        let start = client().start();
        for len in 0..start.len() {
            // A raw NEGOTIATE ends after its flags as far as we care.
            match Acceptor::new(policy.clone()).step(&start[..len]) {
                Step::Failed { .. } => {}
                Step::Continue { .. } if raw && len >= 16 => {}
                other => panic!("{len}: {other:?}"),
            }
        }
        let mut len = 0;
        loop {
            let (mut client, mut acceptor) = (client(), Acceptor::new(policy.clone()));
            let Step::Continue { token, .. } = acceptor.step(&client.start()) else { panic!() };
            let answer = client.answer(&token).unwrap();
            if len == answer.len() {
                break;
            }
            assert!(matches!(acceptor.step(&answer[..len]), Step::Failed { .. }), "{len}");
            len += 1;
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(first: Vec<u8>, second: Vec<u8>, prefix in 0..5usize) {
        let prefix: &[u8] = [&b""[..], b"NTLMSSP\0\x01\0\0\0", b"NTLMSSP\0\x03\0\0\0", b"\x60", b"\xA1"][prefix];
        let mut acceptor = Acceptor::new(Arc::new(policy()));
        acceptor.step(&[prefix, &first].concat());
        acceptor.step(&[prefix, &second].concat());
        let mut client = NtlmClient::new("", "alice", "Pässwörd");
        let mut acceptor = Acceptor::new(Arc::new(policy()));
        acceptor.step(&client.start());
        acceptor.step(&[prefix, &second].concat());
        let _ = client.answer(&[prefix, &first].concat());
    }

    /// One flipped bit anywhere in the answer: refused, or in a place that says nothing (unused fields).
    #[test]
    fn a_changed_answer_gives_no_other_logon(at: prop::sample::Index, bit in 0..8u8, raw: bool) {
        let mut client =
            NtlmClient::new("D", "alice", "Pässwörd").with_quirks(Quirks { raw, ..Quirks::default() });
        let mut acceptor = Acceptor::new(Arc::new(policy()));
        let Step::Continue { token, .. } = acceptor.step(&client.start()) else { panic!() };
        let mut answer = client.answer(&token).unwrap();
        let at = at.index(answer.len());
        answer[at] ^= 1 << bit;
        if let Step::Done { logon, .. } = acceptor.step(&answer) {
            prop_assert_eq!(logon.kind, LogonKind::User);
            // Raw, every bit is under the MIC.
            prop_assert!(!raw, "byte {} of {}", at, answer.len());
        }
    }
}
