//! From what a handler brought to bytes on the wire: status, credits, ids, signature (MS-SMB2 3.3.4.1).

use super::{Chain, Checked, Step};
use crate::cmd::reply::{self, Ready, answer_header};
use crate::cmd::{self, Ctx, Fail, Handled, Post, effects};
use crate::conn::Connection;
use crate::conn::credits::MAX_CREDITS;
use crate::conn::flight::{Flight, Landing, MAX_ASYNC};
use crate::conn::writer::Outgoing;
use crate::crypto::SigningKey;
use crate::durable::Claim;
use crate::session::{Session, TreeConnect};
use crate::types::{AsyncId, FileId, NtStatus};
use crate::wire::header::{Command, Header, HeaderFlags};
use std::sync::Arc;

impl Chain {
    /// What the handler brought becomes an element of the reply.
    pub(super) fn answer(
        &mut self,
        header: &Header,
        handled: Handled,
        mut checked: Checked,
        flight: Option<&Arc<Flight>>,
        outcome: Option<Outcome>,
    ) -> Step {
        let mut outcome = match outcome {
            Some(outcome) => outcome,
            None => {
                self.reply.begin();
                Outcome { session: checked.session.clone(), tree: checked.tree.clone(), ..Outcome::default() }
            }
        };
        effects::carry_out(&self.gate, outcome.effects);
        // Until it is answered.
        checked.claim = outcome.claim.take();
        checked.sign = outcome.sign.take();
        self.before.session = outcome.session.clone().or(checked.session.clone());
        self.before.tree = outcome.tree.clone();
        if let Err(Fail::Pending) = handled {
            self.before.done(header, outcome.file, None);
            return match flight {
                Some(_) if self.conn.flights.asynchronous() < MAX_ASYNC => Step::Parked(checked),
                Some(flight) => {
                    self.gate.stop_waiting(flight.id);
                    flight.withdraw();
                    self.give(
                        header,
                        Err(NtStatus::INSUFFICIENT_RESOURCES),
                        &[],
                        None,
                        &checked,
                        outcome.session.as_ref(),
                        outcome.tree.as_ref(),
                    );
                    Step::Done
                }
                None => {
                    debug_assert!(false, "only requests on workers wait");
                    Step::Fatal
                }
            };
        }
        let async_id = match flight.map(|f| f.land()) {
            Some(Landing::Abandoned) => {
                // The client was told that it is cancelled: what came of it after all is undone.
                if let (Command::CREATE, Some(file), Some(session)) =
                    (header.command, outcome.file, &outcome.session)
                    && let Some(open) = self.gate.opens.get(file)
                {
                    cmd::close::close(&self.gate, session, &open);
                }
                self.before.file = Some(Err(NtStatus::CANCELLED));
                self.reply.drop_begun();
                return Step::Done;
            }
            Some(Landing::Answer(id)) => id,
            None => None,
        };
        let result = match handled {
            Ok(status) => Ok(status),
            Err(Fail::Status(status)) => Err((status, Vec::new())),
            Err(Fail::With(status, data)) => Err((status, data)),
            Err(Fail::Fatal(why)) => {
                self.conn.end(why);
                return Step::Fatal;
            }
            Err(Fail::Pending) => unreachable!("seen above"),
        };
        self.before.done(header, outcome.file, result.as_ref().err().map(|(status, _)| *status));
        let (status, data) = match &result {
            Ok(status) => (Ok(*status), &[][..]),
            Err((status, data)) => (Err(*status), data.as_slice()),
        };
        self.give(header, status, data, async_id, &checked, outcome.session.as_ref(), outcome.tree.as_ref());
        match outcome.post {
            Some(Post::Negotiated(mut negotiated)) => {
                if let Some(hash) = &mut negotiated.preauth {
                    hash.update(self.reply.last_element());
                }
                let _ = self.conn.negotiated.set(*negotiated);
            }
            Some(Post::Leg(session)) => {
                // As it goes out: while a connection is being bound, signed.
                self.reply.sign_last();
                let mut setups = session.setups.lock();
                let setup = setups.iter_mut().find(|(on, _)| *on == self.conn.id);
                if let Some(hash) = setup.and_then(|(_, setup)| setup.preauth.as_mut()) {
                    hash.update(self.reply.last_element());
                }
            }
            Some(Post::Delay(delay)) => self.delay = Some(delay),
            Some(Post::Opened(open)) => self.opened.push(open),
            None => {}
        }
        Step::Done
    }

    /// Body (if it failed) and header of the element at hand.
    #[expect(clippy::too_many_arguments, reason = "the parts of one answer, used in two places")]
    pub(super) fn give(
        &mut self,
        header: &Header,
        status: Result<NtStatus, NtStatus>,
        data: &[u8],
        async_id: Option<AsyncId>,
        checked: &Checked,
        session: Option<&Arc<Session>>,
        tree: Option<&Arc<TreeConnect>>,
    ) {
        let status = match status {
            Ok(status) => status,
            Err(status) => {
                let v311 = self.conn.dialect() == Some(crate::types::Dialect::SMB3_11);
                self.reply.error(data, v311);
                status
            }
        };
        // The answer that establishes a session is signed, whatever the request was (3.3.5.5.3).
        let established = header.command == Command::SESSION_SETUP && status == NtStatus::SUCCESS;
        let key = checked.sign.clone().or_else(|| self.signing_key(session, checked.signed || established));
        self.end_element(header, status, async_id, session, tree, key);
    }

    pub(super) fn signing_key(
        &self,
        session: Option<&Arc<Session>>,
        wanted: bool,
    ) -> Option<Arc<SigningKey>> {
        if self.sealed.is_some() || !wanted {
            return None;
        }
        session.and_then(|s| s.signing_key(self.conn.id))
    }

    pub(super) fn end_element(
        &mut self,
        header: &Header,
        status: NtStatus,
        async_id: Option<AsyncId>,
        session: Option<&Arc<Session>>,
        tree: Option<&Arc<TreeConnect>>,
        key: Option<Arc<SigningKey>>,
    ) {
        let credits = match async_id {
            // The interim response granted them.
            Some(_) => 0,
            None => self.conn.window.lock().grant(header.credits, credit_limit(&self.conn)),
        };
        let mut answer = answer_header(header, status, credits);
        if header.command == Command::SESSION_SETUP || header.flags.contains(HeaderFlags::RELATED) {
            answer.session_id = session.map_or(header.session_id, |s| s.id);
        }
        if header.command == Command::TREE_CONNECT || header.flags.contains(HeaderFlags::RELATED) {
            answer.tree_id = tree.map_or(header.tree_id, |t| t.id);
        }
        if let Some(id) = async_id {
            answer.flags |= HeaderFlags::ASYNC;
            answer.async_id = id;
        }
        let denied = header.command == Command::SESSION_SETUP && status == NtStatus::ACCESS_DENIED;
        if (denied || status == NtStatus::USER_SESSION_DELETED) && self.sealed.is_none() {
            // There is no key to sign it with. Clients ask for no more than the flag, which Windows sends back as it
            // came; without it some hang up.
            answer.flags |= header.flags & HeaderFlags::SIGNED;
        }
        self.reply.end(&answer, key);
    }

    /// The complete answer. None: nothing is to be said.
    pub(super) fn finish(self) -> Option<Outgoing> {
        if self.reply.is_empty() {
            return None;
        }
        let out = self.reply.finish(seal_of(self.sealed.as_ref()));
        let Some(mut out) = out else {
            self.conn.end("no nonce is left for this session's key");
            self.opened.iter().for_each(|open| cmd::breaks::announced(&self.gate, open));
            return None;
        };
        if !self.opened.is_empty() {
            let (gate, opened) = (Arc::clone(&self.gate), self.opened);
            out = out.then(move || opened.iter().for_each(|open| cmd::breaks::announced(&gate, open)));
        }
        if let Some(delay) = self.delay {
            let conn = self.conn;
            self.gate.runtime.spawn(async move {
                tokio::time::sleep(delay).await;
                conn.send([out]);
            });
            return None;
        }
        Some(out)
    }

    /// The same on the reactor, where it may be signed together with others.
    pub(super) fn ready(self) -> Option<Ready> {
        if self.delay.is_some() || self.reply.is_empty() || !self.opened.is_empty() {
            return self.finish().map(Ready::Now);
        }
        let ready = self.reply.finish_later(seal_of(self.sealed.as_ref()));
        if ready.is_none() {
            self.conn.end("no nonce is left for this session's key");
        }
        ready
    }

    pub(super) fn send(self) {
        let conn = Arc::clone(&self.conn);
        if let Some(out) = self.finish() {
            conn.send([out]);
        }
    }

    /// What a worker's request needs to be spoken for out of turn.
    pub(super) fn flight(&self, header: &Header) -> Arc<Flight> {
        let (conn, sealed, header) = (Arc::clone(&self.conn), self.sealed.clone(), *header);
        let related = header.flags.contains(HeaderFlags::RELATED);
        let before = if related { self.before.session.clone() } else { None };
        let gate = Arc::clone(&self.gate);
        Flight::new(
            header.message_id,
            before.as_ref().map_or(header.session_id, |session| session.id),
            Box::new(move |status, id| {
                let credits = if status == NtStatus::PENDING {
                    conn.window.lock().grant(header.credits, credit_limit(&conn))
                } else {
                    0
                };
                let mut answer = answer_header(&header, status, credits);
                answer.flags |= HeaderFlags::ASYNC;
                answer.async_id = id;
                // Not signed: under GMAC the nonce is made of the message id, which the final answer has as
                // well. Clients take interim responses unsigned (MS-SMB2 3.2.5.1.3); the answer to a cancelled
                // request is the only other one there will be, and is signed.
                let wanted = status != NtStatus::PENDING
                    && sealed.is_none()
                    && header.flags.contains(HeaderFlags::SIGNED);
                let session = || before.clone().or_else(|| gate.sessions.get(header.session_id));
                let key = if wanted { session().and_then(|s| s.signing_key(conn.id)) } else { None };
                conn.send(reply::single(&answer, error_body, key, seal_of(sealed.as_ref())));
            }),
        )
    }
}

/// What a handler leaves behind beside the body.
#[derive(Default)]
pub(super) struct Outcome {
    session: Option<Arc<Session>>,
    tree: Option<Arc<TreeConnect>>,
    file: Option<FileId>,
    effects: Vec<crate::fsa::Effect>,
    sign: Option<Arc<SigningKey>>,
    claim: Option<Claim>,
    post: Option<Post>,
}

impl Outcome {
    pub(super) fn of(ctx: Ctx<'_>) -> Outcome {
        Outcome {
            session: ctx.session,
            tree: ctx.tree,
            file: ctx.file,
            effects: ctx.effects,
            sign: ctx.sign,
            claim: ctx.claim,
            post: ctx.post,
        }
    }
}

pub(super) fn error_body(w: &mut crate::wire::codec::Writer<'_>) {
    crate::wire::error::ErrorResponse::default().encode(w);
}

pub(super) fn seal_of(
    session: Option<&Arc<Session>>,
) -> Option<(crate::types::SessionId, &crate::session::Security)> {
    session.and_then(|s| s.security().map(|security| (s.id, security)))
}

/// A client that has not logged on needs few.
pub(super) fn credit_limit(conn: &Connection) -> u64 {
    if conn.authenticated.load(std::sync::atomic::Ordering::Acquire) { MAX_CREDITS } else { 64 }
}
