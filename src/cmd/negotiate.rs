//! NEGOTIATE (MS-SMB2 3.3.5.3, 3.3.5.4): one dialect, one cipher, one signing algorithm for the connection.

use super::{Ctx, Fail, Gate, Handled, MAX_IO, MAX_IO_SMALL, Post, Reply, gate};
use crate::auth;
use crate::conn::{Connection, Negotiated};
use crate::crypto::{Cipher, PreauthHash, SigningAlgorithm};
use crate::types::{Dialect, Guid, NtStatus};
use crate::wire::codec::{Reader, Writer};
use crate::wire::negotiate::{Capabilities, NegotiateRequest, NegotiateResponse, SecurityMode};
use crate::wire::negotiate_context::{CipherId, HashAlgorithm, NegotiateContext, SigningAlgorithmId};
use crate::wire::smb1::MultiProtocolNegotiate;
use smallvec::smallvec;
use std::sync::atomic::Ordering;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    if ctx.conn.negotiated.get().is_some() {
        return Err(Fail::Fatal("a second NEGOTIATE"));
    }
    let request = NegotiateRequest::decode(&mut body)?;
    if request.dialects.is_empty() {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    let live = ctx.gate.live();
    let settings = &live.settings.server;
    let dialect = Dialect::ALL
        .into_iter()
        .rev()
        .filter(|d| (settings.min_dialect..=settings.max_dialect).contains(d))
        .find(|d| request.dialects.contains(d))
        .ok_or(NtStatus::NOT_SUPPORTED)?;

    let contexts = if dialect == Dialect::SMB3_11 { read_contexts(&request)? } else { Contexts::default() };
    let offers_sealing = live.settings.offers_encryption();
    let cipher = match dialect {
        Dialect::SMB3_11 if offers_sealing => {
            let theirs = contexts.ciphers.as_deref().unwrap_or_default();
            settings.ciphers.iter().copied().find(|c| theirs.contains(&CipherId(c.to_wire())))
        }
        Dialect::SMB3_00 | Dialect::SMB3_02
            if offers_sealing
                && request.capabilities.contains(Capabilities::ENCRYPTION)
                && settings.ciphers.contains(&Cipher::Aes128Ccm) =>
        {
            Some(Cipher::Aes128Ccm)
        }
        _ => None,
    };
    let signing = match (dialect.is_smb3(), &contexts.signing) {
        (false, _) => SigningAlgorithm::HmacSha256,
        (true, None) => SigningAlgorithm::AesCmac,
        (true, Some(theirs)) => {
            [SigningAlgorithm::AesGmac, SigningAlgorithm::AesCmac, SigningAlgorithm::HmacSha256]
                .into_iter()
                .find(|a| theirs.contains(&SigningAlgorithmId(a.to_wire())))
                .unwrap_or(SigningAlgorithm::AesCmac)
        }
    };

    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::LARGE_MTU, dialect >= Dialect::SMB2_10);
    // Also where no share grants any. Without this bit Linux asks for oplocks and, in SMB 3, goes on caching when one is
    // broken (it compares the epoch of leases, which oplocks do not have): it reads stale data.
    capabilities.set(Capabilities::LEASING, dialect >= Dialect::SMB2_10);
    capabilities.set(Capabilities::DIRECTORY_LEASING, dialect.is_smb3());
    capabilities.set(Capabilities::ENCRYPTION, cipher.is_some() && dialect < Dialect::SMB3_11);

    // Who does not say that he can gets none (3.3.5.4).
    let channels = dialect.is_smb3() && request.capabilities.contains(Capabilities::MULTI_CHANNEL);
    capabilities.set(Capabilities::MULTI_CHANNEL, channels);

    // Where no share grants any, clients need not ask.
    let persistent = dialect.is_smb3()
        && request.capabilities.contains(Capabilities::PERSISTENT_HANDLES)
        && live.settings.shares.iter().any(|share| share.continuous_availability);
    capabilities.set(Capabilities::PERSISTENT_HANDLES, persistent);

    let mut salt = [0; 32];
    let mut answers = Vec::new();
    if dialect == Dialect::SMB3_11 {
        getrandom::fill(&mut salt).map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        answers.push(NegotiateContext::PreauthIntegrity {
            hash_algorithms: smallvec![HashAlgorithm::SHA_512],
            salt: &salt,
        });
        if contexts.ciphers.is_some() {
            let id = cipher.map_or(CipherId::NONE, |c| CipherId(c.to_wire()));
            answers.push(NegotiateContext::Encryption { ciphers: smallvec![id] });
        }
        if contexts.signing.is_some() {
            answers.push(NegotiateContext::Signing {
                signing_algorithms: smallvec![SigningAlgorithmId(signing.to_wire())],
            });
        }
    }

    let negotiated = Negotiated {
        dialect,
        client_guid: request.client_guid,
        client_capabilities: request.capabilities,
        client_security_mode: request.security_mode,
        client_dialects: request.dialects.to_vec(),
        server_capabilities: capabilities,
        server_security_mode: security_mode(ctx.gate),
        signing,
        cipher,
        preauth: (dialect == Dialect::SMB3_11).then(|| {
            let mut hash = PreauthHash::new();
            hash.update(ctx.message);
            hash
        }),
    };
    encode(ctx.gate, &negotiated, dialect, answers, &mut reply.body());
    ctx.post = Some(Post::Negotiated(Box::new(negotiated)));
    Ok(NtStatus::SUCCESS)
}

/// The answer to an SMB1 NEGOTIATE that offers SMB2: 0x02FF asks for another NEGOTIATE, in SMB2; 2.0.2 is
/// final. None: it offers neither.
pub fn multi_protocol(
    gate: &Gate,
    conn: &Connection,
    message: &[u8],
    w: &mut Writer<'_>,
) -> Result<Option<Negotiated>, Fail> {
    if conn.negotiated.get().is_some() || conn.multi_protocol.load(Ordering::Relaxed) {
        return Err(Fail::Fatal("an SMB1 message after NEGOTIATE"));
    }
    let offered = MultiProtocolNegotiate::decode(message).map_err(|_| Fail::Fatal("an SMB1 message"))?;
    let live = gate.live();
    let settings = &live.settings.server;
    let wildcard = offered.smb_2_wildcard && settings.max_dialect >= Dialect::SMB2_10;
    let plain = offered.smb_2_002 && settings.min_dialect <= Dialect::SMB2_02;
    if !wildcard && !plain {
        return Err(Fail::Fatal("SMB1 only: no dialect in common"));
    }
    let negotiated = Negotiated {
        dialect: Dialect::SMB2_02,
        client_guid: Guid::default(),
        client_capabilities: Capabilities::empty(),
        client_security_mode: SecurityMode::SIGNING_ENABLED,
        client_dialects: vec![Dialect::SMB2_02],
        server_capabilities: Capabilities::empty(),
        server_security_mode: security_mode(gate),
        signing: SigningAlgorithm::HmacSha256,
        cipher: None,
        preauth: None,
    };
    if wildcard {
        conn.multi_protocol.store(true, Ordering::Relaxed);
        encode(gate, &negotiated, Dialect::WILDCARD, Vec::new(), w);
        return Ok(None);
    }
    encode(gate, &negotiated, Dialect::SMB2_02, Vec::new(), w);
    Ok(Some(negotiated))
}

fn encode(
    gate: &Gate,
    negotiated: &Negotiated,
    revision: Dialect,
    contexts: Vec<NegotiateContext<'_>>,
    w: &mut Writer<'_>,
) {
    let large =
        negotiated.server_capabilities.contains(Capabilities::LARGE_MTU) || revision == Dialect::WILDCARD;
    let max = if large { MAX_IO } else { MAX_IO_SMALL };
    let token = auth::negotiate_token(&gate.live().auth);
    NegotiateResponse {
        security_mode: negotiated.server_security_mode,
        dialect_revision: revision,
        server_guid: gate.guid,
        capabilities: negotiated.server_capabilities,
        max_transact_size: max,
        max_read_size: max,
        max_write_size: max,
        system_time: gate::now(),
        server_start_time: crate::types::FileTime::ZERO,
        security_buffer: &token,
        negotiate_contexts: contexts,
    }
    .encode(w);
}

fn security_mode(gate: &Gate) -> SecurityMode {
    let mut mode = SecurityMode::SIGNING_ENABLED;
    mode.set(SecurityMode::SIGNING_REQUIRED, gate::signing_required(&gate.live().settings));
    mode
}

#[derive(Default)]
struct Contexts {
    ciphers: Option<Vec<CipherId>>,
    signing: Option<Vec<SigningAlgorithmId>>,
}

/// MS-SMB2 3.3.5.4: one preauthentication context, no context of ours twice, others ignored.
fn read_contexts(request: &NegotiateRequest<'_>) -> Result<Contexts, NtStatus> {
    let mut out = Contexts::default();
    let mut hashes = None;
    // Or empty, which is as wrong.
    let mut twice = false;
    for context in &request.negotiate_contexts {
        match context {
            NegotiateContext::PreauthIntegrity { hash_algorithms, .. } => {
                twice |= hashes.replace(hash_algorithms).is_some();
            }
            NegotiateContext::Encryption { ciphers } => {
                twice |= ciphers.is_empty() || out.ciphers.replace(ciphers.to_vec()).is_some();
            }
            NegotiateContext::Signing { signing_algorithms } => {
                twice |= signing_algorithms.is_empty()
                    || out.signing.replace(signing_algorithms.to_vec()).is_some();
            }
            _ => {}
        }
    }
    if twice {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let hashes = hashes.ok_or(NtStatus::INVALID_PARAMETER)?;
    if !hashes.contains(&HashAlgorithm::SHA_512) {
        return Err(NtStatus::SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP);
    }
    Ok(out)
}
