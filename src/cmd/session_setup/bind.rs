//! Another connection for a session that is there (MS-SMB2 3.3.5.5, SMB2_SESSION_FLAG_BINDING). Who asks proves twice who
//! he is: he signs with the session's key, and he logs on as its user once more. Nothing of it harms the session.

use crate::cmd::{Ctx, Fail};
use crate::conn::Negotiated;
use crate::crypto::{KeySet, Sender, SessionKey, SigningAlgorithm};
use crate::session::{Channel, Origin, Session, Setup};
use crate::types::NtStatus;
use crate::wire::header::HeaderFlags;
use std::sync::Arc;

/// The session that is asked for, if this connection may be bound to it. Answers are signed with its key from here on.
pub fn session(ctx: &mut Ctx<'_>, negotiated: &Negotiated) -> Result<Arc<Session>, NtStatus> {
    let found = ctx.gate.sessions.get(ctx.header.session_id).filter(|s| !s.is_gone());
    let Some(session) = found else {
        return Err(match negotiated.dialect.is_smb3() {
            true => NtStatus::USER_SESSION_DELETED,
            false => NtStatus::REQUEST_NOT_ACCEPTED,
        });
    };
    let signed = ctx.header.flags.contains(HeaderFlags::SIGNED);
    let proven = session.own_signing_key().filter(|key| signed && holds(key, ctx.message));
    ctx.sign = proven.cloned();
    let who = session.who();
    let standing = Standing {
        in_progress: !session.is_valid(),
        expired: session.is_expired(),
        nobody: who.is_some_and(|who| who.guest || who.anonymous),
        reached: session.has_channel(ctx.conn.id),
        signing: session.own_signing_key().map(|key| key.algorithm()),
        signed,
        proven: proven.is_some(),
    };
    may_bind(&session.origin, &standing, &Origin::of(negotiated), negotiated.signing)?;
    Ok(session)
}

fn holds(key: &crate::crypto::SigningKey, message: &[u8]) -> bool {
    key.verify(&mut message.to_vec(), Sender::Client)
}

impl Origin {
    pub fn of(negotiated: &Negotiated) -> Origin {
        Origin { dialect: negotiated.dialect, client: negotiated.client_guid, cipher: negotiated.cipher }
    }
}

/// How the session stands, and with it the request.
#[derive(Clone, Copy, Debug)]
struct Standing {
    in_progress: bool,
    expired: bool,
    nobody: bool,
    /// This connection reaches it already.
    reached: bool,
    /// None: it is not signed.
    signing: Option<SigningAlgorithm>,
    /// The request says that it is signed.
    signed: bool,
    /// And it is, with the session's key.
    proven: bool,
}

/// The refusals of MS-SMB2 3.3.5.5 step 4 in its order, and before them those of Windows about AES-GMAC, which must be
/// the algorithm of all channels or of none.
fn may_bind(
    session: &Origin,
    standing: &Standing,
    conn: &Origin,
    signing: SigningAlgorithm,
) -> Result<(), NtStatus> {
    let gmac = |algorithm| algorithm == SigningAlgorithm::AesGmac;
    match (standing.signing.is_some_and(gmac), gmac(signing)) {
        (true, false) => return Err(NtStatus::REQUEST_OUT_OF_SEQUENCE),
        (false, true) if standing.signing.is_some() => return Err(NtStatus::NOT_SUPPORTED),
        _ => {}
    }
    if !conn.dialect.is_smb3() {
        return Err(NtStatus::REQUEST_NOT_ACCEPTED);
    }
    if conn.dialect != session.dialect || !standing.signed || conn.cipher != session.cipher {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if conn.client != session.client {
        return Err(NtStatus::USER_SESSION_DELETED);
    }
    if standing.in_progress {
        return Err(NtStatus::REQUEST_NOT_ACCEPTED);
    }
    if standing.expired {
        return Err(NtStatus::NETWORK_SESSION_EXPIRED);
    }
    if standing.nobody {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    if standing.reached {
        return Err(NtStatus::REQUEST_NOT_ACCEPTED);
    }
    if !standing.proven {
        return Err(NtStatus::ACCESS_DENIED);
    }
    Ok(())
}

/// The user has logged on once more: the connection becomes a channel, with a key of its own (3.3.5.5.3).
pub fn join(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    setup: &Setup,
    user: &str,
    key: &SessionKey,
) -> Result<(), Fail> {
    let same = session.who().is_some_and(|who| who.user.eq_ignore_ascii_case(user));
    if !same {
        log::warn!("{}: {user:?} may not join a session of somebody else", ctx.conn.peer.ip());
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let negotiated = ctx.negotiated()?;
    let keys = KeySet::derive(
        negotiated.dialect,
        negotiated.cipher,
        negotiated.signing,
        key,
        setup.preauth.as_ref(),
    );
    session.add_channel(Channel { conn: ctx.conn.id, signing: Some(Arc::new(keys.signing)) })?;
    // Lost meanwhile: whoever cleans up behind the connection may have been here before.
    if ctx.conn.is_ended() && session.drop_channel(ctx.conn.id) {
        crate::cmd::logoff::end_session(ctx.gate, session, crate::cmd::logoff::Durable::Wait);
    }
    ctx.sign = None;
    log::info!("{}: another channel for {user} ({} now)", ctx.conn.peer.ip(), session.conns().len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Cipher;
    use crate::types::{Dialect, Guid};

    const MADE: Origin =
        Origin { dialect: Dialect::SMB3_11, client: Guid([1; 16]), cipher: Some(Cipher::Aes128Gcm) };
    const GOOD: Standing = Standing {
        in_progress: false,
        expired: false,
        nobody: false,
        reached: false,
        signing: Some(SigningAlgorithm::AesCmac),
        signed: true,
        proven: true,
    };

    #[track_caller]
    fn refused(standing: Standing, conn: Origin, signing: SigningAlgorithm, status: NtStatus) {
        assert_eq!(may_bind(&MADE, &standing, &conn, signing), Err(status));
    }

    #[test]
    fn the_same_client_is_let_in() {
        let (cmac, hmac) = (SigningAlgorithm::AesCmac, SigningAlgorithm::HmacSha256);
        assert_eq!(may_bind(&MADE, &GOOD, &MADE, cmac), Ok(()));
        assert_eq!(may_bind(&MADE, &GOOD, &MADE, hmac), Ok(()), "these two go together");
    }

    #[test]
    fn gmac_is_for_all_channels_or_none() {
        let gmac = Standing { signing: Some(SigningAlgorithm::AesGmac), ..GOOD };
        assert_eq!(may_bind(&MADE, &gmac, &MADE, SigningAlgorithm::AesGmac), Ok(()));
        refused(gmac, MADE, SigningAlgorithm::AesCmac, NtStatus::REQUEST_OUT_OF_SEQUENCE);
        refused(GOOD, MADE, SigningAlgorithm::AesGmac, NtStatus::NOT_SUPPORTED);
    }

    #[test]
    fn another_dialect_cipher_or_client() {
        let cmac = SigningAlgorithm::AesCmac;
        let old = Origin { dialect: Dialect::SMB2_10, ..MADE };
        refused(GOOD, old, SigningAlgorithm::HmacSha256, NtStatus::REQUEST_NOT_ACCEPTED);
        let other = Origin { dialect: Dialect::SMB3_02, ..MADE };
        refused(GOOD, other, cmac, NtStatus::INVALID_PARAMETER);
        for cipher in [None, Some(Cipher::Aes128Ccm)] {
            refused(GOOD, Origin { cipher, ..MADE }, cmac, NtStatus::INVALID_PARAMETER);
        }
        let stranger = Origin { client: Guid([2; 16]), ..MADE };
        refused(GOOD, stranger, cmac, NtStatus::USER_SESSION_DELETED);
    }

    #[test]
    fn a_session_that_is_not_one_to_join() {
        let cmac = SigningAlgorithm::AesCmac;
        let is = |standing, status| refused(standing, MADE, cmac, status);
        is(Standing { in_progress: true, ..GOOD }, NtStatus::REQUEST_NOT_ACCEPTED);
        is(Standing { expired: true, ..GOOD }, NtStatus::NETWORK_SESSION_EXPIRED);
        is(Standing { nobody: true, signing: None, ..GOOD }, NtStatus::NOT_SUPPORTED);
        is(Standing { reached: true, ..GOOD }, NtStatus::REQUEST_NOT_ACCEPTED);
    }

    #[test]
    fn who_does_not_sign_with_the_sessions_key() {
        let cmac = SigningAlgorithm::AesCmac;
        refused(Standing { signed: false, ..GOOD }, MADE, cmac, NtStatus::INVALID_PARAMETER);
        refused(Standing { proven: false, ..GOOD }, MADE, cmac, NtStatus::ACCESS_DENIED);
    }
}
