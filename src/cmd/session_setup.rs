//! SESSION_SETUP (MS-SMB2 3.3.5.5). Runs on the logon workers: account look-ups may block.

use super::{Ctx, Fail, Handled, Post, Reply, gate, logoff};
use crate::auth::{Acceptor, Identity, Logon, LogonKind, Step, throttle::Verdict};
use crate::crypto::{KeySet, NonceSource, SessionKey};
use crate::session::{Channel, Security, Session, Setup, Who};
use crate::types::{Dialect, NtStatus, SessionId};
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
    if request.flags.contains(SessionSetupFlags::BINDING) {
        return Err(binding_refused(ctx, negotiated.dialect).into());
    }
    let session = match ctx.header.session_id {
        SessionId(0) => ctx.gate.sessions.start(negotiated.dialect, ctx.conn.id, ctx.conn.peer)?,
        id => {
            let session = ctx.gate.sessions.get(id).ok_or(NtStatus::USER_SESSION_DELETED)?;
            if session.conn != ctx.conn.id || session.is_gone() {
                return Err(NtStatus::USER_SESSION_DELETED.into());
            }
            session
        }
    };
    ctx.session = Some(Arc::clone(&session));

    let mut slot = session.setup.lock();
    if slot.is_none() {
        let verdict = ctx.gate.throttle.lock().attempt(ctx.conn.peer.ip(), Instant::now());
        if let Verdict::Refuse(wait) = verdict {
            log::warn!("{}: too many failed logons; refused for {} s", ctx.conn.peer.ip(), wait.as_secs());
            drop(slot);
            if session.security().is_none() {
                logoff::end_session(ctx.gate, &session);
            }
            return Err(NtStatus::LOGON_FAILURE.into());
        }
        *slot = Some(Setup {
            acceptor: Acceptor::new(Arc::clone(&live.auth)),
            preauth: negotiated.preauth.clone(),
        });
    }
    let setup = slot.as_mut().expect("just filled");
    if let Some(hash) = &mut setup.preauth {
        hash.update(ctx.message);
    }
    match setup.acceptor.step(request.security_buffer) {
        Step::Continue { token } => {
            drop(slot);
            SessionSetupResponse { session_flags: SessionFlags::empty(), security_buffer: &token }
                .encode(&mut reply.body());
            ctx.post = Some(Post::Leg(session));
            Ok(NtStatus::MORE_PROCESSING_REQUIRED)
        }
        Step::Done { token, logon } => {
            let setup = slot.take().expect("just used");
            drop(slot);
            let flags = admit(ctx, &session, &request, &setup, logon)?;
            SessionSetupResponse {
                session_flags: flags,
                security_buffer: token.as_deref().unwrap_or_default(),
            }
            .encode(&mut reply.body());
            Ok(NtStatus::SUCCESS)
        }
        Step::Failed { status, why, user } => {
            *slot = None;
            drop(slot);
            Err(refuse(ctx, &session, status, &why, user.as_deref()))
        }
    }
}

/// The logon failed: said in the log, held back for a while, and the session is gone.
fn refuse(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    status: NtStatus,
    why: &str,
    user: Option<&str>,
) -> Fail {
    let peer = ctx.conn.peer.ip();
    let delay = ctx.gate.throttle.lock().failed(peer, Instant::now());
    log::warn!("{peer}: logon of {} refused: {why}", user.map_or("nobody".into(), |u| format!("{u:?}")));
    logoff::end_session(ctx.gate, session);
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
        log::info!("{}: {} logged on ({})", ctx.conn.peer.ip(), shown(&who), session.dialect.dotted());
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
        logoff::end_session(ctx.gate, &old);
    }
}

/// Several channels in one session are not offered (MS-SMB2 3.3.5.5.2).
fn binding_refused(ctx: &Ctx<'_>, dialect: Dialect) -> NtStatus {
    if dialect.is_smb3() && ctx.gate.sessions.get(ctx.header.session_id).is_none() {
        return NtStatus::USER_SESSION_DELETED;
    }
    NtStatus::REQUEST_NOT_ACCEPTED
}

fn shown(who: &Who) -> &str {
    match (who.guest, who.anonymous) {
        (true, _) => "guest",
        (_, true) => "anonymous",
        _ => &who.user,
    }
}
