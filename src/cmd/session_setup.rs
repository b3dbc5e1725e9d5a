//! SESSION_SETUP (MS-SMB2 3.3.5.5). Runs on the logon workers: account look-ups may block.

mod bind;

use super::logoff::Durable;
use super::{Ctx, Fail, Handled, Post, Reply, gate, logoff};
use crate::auth::{Acceptor, Identity, Logon, LogonKind, Step, throttle::Verdict};
use crate::crypto::{KeySet, NonceSource, SessionKey};
use crate::session::{Channel, Origin, Security, Session, Setup, Who};
use crate::types::{NtStatus, SessionId};
use crate::wire::codec::Reader;
use crate::wire::negotiate::SecurityMode;
use crate::wire::session_setup::{
    SessionFlags, SessionSetupFlags, SessionSetupRequest, SessionSetupResponse,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = SessionSetupRequest::decode(&mut body)?;
    let negotiated = ctx.negotiated()?.clone();
    let live = ctx.gate.live();
    if gate::sealing_required(&live.settings) && negotiated.cipher.is_none() {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let binding = request.flags.contains(SessionSetupFlags::BINDING);
    let session = match ctx.header.session_id {
        SessionId(0) => ctx.gate.sessions.start(Origin::of(&negotiated), ctx.conn.id, ctx.conn.peer)?,
        _ if binding => bind::session(ctx, &negotiated)?,
        id => known(ctx, id)?,
    };
    let binding = binding && ctx.header.session_id != SessionId(0);
    ctx.session = Some(Arc::clone(&session));

    let mut setups = session.setups.lock();
    let at = match setups.iter().position(|(on, _)| *on == ctx.conn.id) {
        Some(at) => at,
        None => {
            let verdict = ctx.gate.throttle.lock().attempt(ctx.conn.peer.ip(), Instant::now());
            if let Verdict::Refuse(wait) = verdict {
                log::warn!(
                    "{}: too many failed logons; refused for {} s",
                    ctx.conn.peer.ip(),
                    wait.as_secs()
                );
                drop(setups);
                if session.security().is_none() {
                    logoff::end_session(ctx.gate, &session, Durable::Close);
                }
                return Err(NtStatus::LOGON_FAILURE.into());
            }
            let acceptor = Acceptor::new(Arc::clone(&live.auth));
            setups.push((ctx.conn.id, Setup { acceptor, preauth: negotiated.preauth.clone() }));
            setups.len() - 1
        }
    };
    let setup = &mut setups[at].1;
    if let Some(hash) = &mut setup.preauth {
        hash.update(ctx.message);
    }
    let step = setup.acceptor.step(request.security_buffer);
    drop(setups);
    match step {
        Step::Continue { token, passed_over } => {
            if let Some(why) = passed_over {
                log::warn!(
                    "{}: logon with Kerberos did not work, the client may use NTLM: {why}",
                    ctx.conn.peer.ip()
                );
            }
            SessionSetupResponse { session_flags: SessionFlags::empty(), security_buffer: &token }
                .encode(&mut reply.body());
            ctx.post = Some(Post::Leg(session));
            Ok(NtStatus::MORE_PROCESSING_REQUIRED)
        }
        Step::Done { token, logon } => {
            // Somebody cleaned up behind the connection, or another request of it was quicker.
            let setup = session.end_setup(ctx.conn.id).ok_or(NtStatus::USER_SESSION_DELETED)?;
            let flags = match binding {
                true => join(ctx, &session, &setup, &logon)?,
                false => admit(ctx, &session, &request, &setup, logon)?,
            };
            SessionSetupResponse {
                session_flags: flags,
                security_buffer: token.as_deref().unwrap_or_default(),
            }
            .encode(&mut reply.body());
            Ok(NtStatus::SUCCESS)
        }
        Step::Failed { status, why, user } => {
            session.end_setup(ctx.conn.id);
            let fail = held_back(ctx, status, &why, user.as_deref());
            // Who fails to join a session does not end it; who fails to prove himself anew does.
            if !binding {
                logoff::end_session(ctx.gate, &session, Durable::Close);
            }
            Err(fail)
        }
    }
}

/// The session that a further leg, or a new authentication, is for: one of this connection.
fn known(ctx: &Ctx<'_>, id: SessionId) -> Result<Arc<Session>, NtStatus> {
    let session = ctx.gate.sessions.get(id).ok_or(NtStatus::USER_SESSION_DELETED)?;
    let reached = session.has_channel(ctx.conn.id);
    let begun = session.security().is_none() && session.conn == ctx.conn.id;
    if !(reached || begun) || session.is_gone() {
        return Err(NtStatus::USER_SESSION_DELETED);
    }
    // 3.3.5.2.4: what is in force protects its renewal.
    let required = reached && session.security().is_some_and(|s| s.signing_required);
    if required && !ctx.signed && !ctx.sealed {
        return Err(NtStatus::ACCESS_DENIED);
    }
    Ok(session)
}

/// This connection becomes a channel of the session.
fn join(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    setup: &Setup,
    logon: &Logon,
) -> Result<SessionFlags, Fail> {
    if logon.kind != LogonKind::User {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    bind::join(ctx, session, setup, &logon.user, &logon.session_key)?;
    ctx.gate.throttle.lock().succeeded(ctx.conn.peer.ip());
    ctx.conn.authenticated.store(true, Ordering::Release);
    let mut flags = SessionFlags::empty();
    flags.set(SessionFlags::ENCRYPT_DATA, session.security().is_some_and(|s| s.encrypt));
    Ok(flags)
}

/// The logon failed: said in the log, held back for a while, and the session is gone.
fn refuse(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    status: NtStatus,
    why: &str,
    user: Option<&str>,
) -> Fail {
    let fail = held_back(ctx, status, why, user);
    logoff::end_session(ctx.gate, session, Durable::Close);
    fail
}

/// The same, but for the session.
fn held_back(ctx: &mut Ctx<'_>, status: NtStatus, why: &str, user: Option<&str>) -> Fail {
    let peer = ctx.conn.peer.ip();
    let delay = ctx.gate.throttle.lock().failed(peer, Instant::now());
    log::warn!("{peer}: logon of {} refused: {why}", user.map_or("nobody".into(), |u| format!("{u:?}")));
    if !delay.is_zero() {
        ctx.post = Some(Post::Delay(delay));
    }
    Fail::Status(status)
}

/// The identity is proven: MS-SMB2 3.3.5.5.3 from step 5 on.
fn admit(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    request: &SessionSetupRequest<'_>,
    setup: &Setup,
    logon: Logon,
) -> Result<SessionFlags, Fail> {
    let live = ctx.gate.live();
    let nobody = logon.kind != LogonKind::User;
    let encrypt = gate::sealing_required(&live.settings);
    if nobody && encrypt {
        return Err(refuse(
            ctx,
            session,
            NtStatus::ACCESS_DENIED,
            "guests cannot be encrypted",
            Some(&logon.user),
        ));
    }
    let account = match account_of(&logon) {
        Ok(account) => account,
        Err(e) => {
            log::error!("the account of {:?} cannot be looked up: {e}", logon.user);
            return Err(refuse(ctx, session, NtStatus::LOGON_FAILURE, "no account", Some(&logon.user)));
        }
    };
    let who = Who {
        user: logon.user.clone(),
        domain: logon.domain.clone(),
        guest: logon.kind == LogonKind::Guest,
        anonymous: logon.kind == LogonKind::Anonymous,
        principal: logon.principal,
        sids: logon.sids,
        expires: logon.expires,
        account,
    };
    let again = session.security().is_some();
    if again {
        // Re-authentication: keys stay, and the user must be the same (3.3.5.5.3 step 6 keeps SigningKey).
        let same = session.who().is_some_and(|old| old.user.eq_ignore_ascii_case(&who.user));
        log::info!(
            "{}: {} re-authenticated{}",
            ctx.conn.peer.ip(),
            who.user,
            if same { "" } else { " as another user" }
        );
    } else {
        let required = request.security_mode.contains(SecurityMode::SIGNING_REQUIRED)
            || gate::signing_required(&live.settings);
        establish(ctx, session, setup, &logon.session_key, nobody, required && !nobody, encrypt)?;
        let ticket = who.principal.as_ref().map(|of| format!(", Kerberos: {of}")).unwrap_or_default();
        let dialect = session.origin.dialect.dotted();
        log::info!("{}: {} logged on ({dialect}{ticket})", ctx.conn.peer.ip(), shown(&who));
    }
    let mut flags = SessionFlags::empty();
    flags.set(SessionFlags::IS_GUEST, who.guest);
    flags.set(SessionFlags::IS_NULL, who.anonymous);
    flags.set(SessionFlags::ENCRYPT_DATA, encrypt && !again);
    session.set_who(who);
    ctx.gate.throttle.lock().succeeded(ctx.conn.peer.ip());
    ctx.conn.authenticated.store(true, Ordering::Release);

    if !again && request.previous_session_id != SessionId(0) && request.previous_session_id != session.id {
        end_previous(ctx, session, request.previous_session_id);
    }
    Ok(flags)
}

fn establish(
    ctx: &Ctx<'_>,
    session: &Arc<Session>,
    setup: &Setup,
    key: &SessionKey,
    nobody: bool,
    signing_required: bool,
    encrypt: bool,
) -> Result<(), Fail> {
    let negotiated = ctx.negotiated()?;
    let keys = KeySet::derive(
        negotiated.dialect,
        negotiated.cipher,
        negotiated.signing,
        key,
        setup.preauth.as_ref(),
    );
    let (server_out, server_in) = if nobody { (None, None) } else { (keys.server_out, keys.server_in) };
    let security = Security {
        signing_required,
        encrypt,
        server_out,
        server_in,
        nonces: NonceSource::new(),
        application: keys.application,
    };
    let channel = Channel { conn: ctx.conn.id, signing: (!nobody).then(|| Arc::new(keys.signing)) };
    if session.establish(security, channel) { Ok(()) } else { Err(NtStatus::REQUEST_NOT_ACCEPTED.into()) }
}

/// The Unix account behind a logon. As an ordinary user the process has no rights but its own.
fn account_of(logon: &Logon) -> std::io::Result<Option<Arc<Identity>>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(Some(Arc::new(Identity::process())));
    }
    let name = if logon.kind == LogonKind::User { logon.user.as_str() } else { "nobody" };
    Ok(Identity::of_account(name)?.map(Arc::new))
}

/// MS-SMB2 3.3.5.5.3 step 12: the client says that it was this session; its remains go, if it is the same user.
fn end_previous(ctx: &Ctx<'_>, session: &Session, previous: SessionId) {
    let Some(old) = ctx.gate.sessions.get(previous) else { return };
    let same = match (old.who(), session.who()) {
        (Some(a), Some(b)) => {
            a.user.eq_ignore_ascii_case(&b.user) && a.guest == b.guest && a.anonymous == b.anonymous
        }
        _ => false,
    };
    if same {
        // What is durable waits to be claimed by this session.
        logoff::end_session(ctx.gate, &old, Durable::Wait);
    }
}

fn shown(who: &Who) -> &str {
    match (who.guest, who.anonymous) {
        (true, _) => "guest",
        (_, true) => "anonymous",
        _ => &who.user,
    }
}
