//! One message on its way: a single request or a compound chain (MS-SMB2 3.3.5.2.7).
//!
//! ```text
//!   reader --> run on the reactor --> element done --> next element --> ... --> finished: one answer
//!                   |                                       ^
//!                   | touches the disk                      |
//!                   '--> run on a worker -------------------'
//!                             | waits
//!                             '--> parked: what is done goes out, the rest goes on when the wait is over
//! ```

use super::bytes::Bytes;
use super::dispatch::{self, Needs, Place, Row};
use crate::cmd::reply::{self, Ready, Reply, answer_header};
use crate::cmd::{self, Ctx, Fail, Gate, Handled, Post, effects};
use crate::conn::Connection;
use crate::conn::credits::MAX_CREDITS;
use crate::conn::flight::{Answer, Flight, Landing, MAX_ASYNC, Wake};
use crate::conn::writer::Outgoing;
use crate::crypto::{Sender, SigningKey};
use crate::session::{Open, Session, Strand, TreeConnect, Workers};
use crate::types::{AsyncId, FileId, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::header::{self, Command, Header, HeaderFlags};
use std::sync::Arc;
use std::time::Duration;

/// What a related request takes over from the one before it.
#[derive(Default)]
struct Before {
    session: Option<Arc<Session>>,
    tree: Option<Arc<TreeConnect>>,
    /// The file of the request before, or why there is none.
    file: Option<Result<FileId, NtStatus>>,
}

impl Before {
    /// A request is over: `file` is what it was about, if it came so far as to know.
    fn done(&mut self, header: &Header, file: Option<FileId>, failed: Option<NtStatus>) {
        if !header.flags.contains(HeaderFlags::RELATED) {
            self.file = None;
        }
        match (file, failed) {
            // After a failed CREATE there is no file to work on.
            (_, Some(status)) if header.command == Command::CREATE => self.file = Some(Err(status)),
            (Some(file), _) => self.file = Some(Ok(file)),
            (None, Some(status)) => self.file = self.file.or(Some(Err(status))),
            (None, None) => {}
        }
    }
}

pub struct Chain {
    gate: Arc<Gate>,
    conn: Arc<Connection>,
    /// The request came sealed, by this session.
    sealed: Option<Arc<Session>>,
    /// Where the next element begins; None: there is none.
    next: Option<usize>,
    first: bool,
    before: Before,
    reply: Reply,
    delay: Option<Duration>,
    /// Opens with an oplock, of which the client learns by this answer.
    opened: Vec<Arc<Open>>,
}

/// One element of the message.
struct Element {
    header: Header,
    range: std::ops::Range<usize>,
}

/// What became of the element at hand.
enum Step {
    Done,
    /// It is for these workers.
    Move(Workers, Checked),
    /// It waits. Checked as it was, should it have to be done once more.
    Parked(Checked),
    /// The connection is over.
    Fatal,
}

/// A request whose session, tree and signature have been looked at.
struct Checked {
    session: Option<Arc<Session>>,
    tree: Option<Arc<TreeConnect>>,
    signed: bool,
    /// What its FileId named when it came. A CLOSE behind it may be quicker on its way to a worker.
    open: Option<Arc<Open>>,
}

impl Chain {
    pub fn new(gate: &Arc<Gate>, conn: &Arc<Connection>, sealed: Option<Arc<Session>>) -> Chain {
        Chain {
            gate: Arc::clone(gate),
            conn: Arc::clone(conn),
            sealed,
            next: Some(0),
            first: true,
            before: Before::default(),
            reply: Reply::default(),
            delay: None,
            opened: Vec::new(),
        }
    }

    /// On the reactor, as far as it goes there. Some: the answer is complete.
    pub fn run(mut self, mut bytes: Bytes<'_>) -> Option<Ready> {
        while let Some(element) = self.element(bytes.get()) {
            match self.step(bytes.get(), &element, None, None) {
                Step::Done => self.advance(&element),
                Step::Move(workers, checked) => {
                    self.hand_over(workers, bytes.into_owned(), element, Some(checked));
                    return None;
                }
                Step::Parked(_) | Step::Fatal => return None,
            }
        }
        self.ready()
    }

    /// The element at hand waits for a worker; so does what follows it.
    fn hand_over(self, workers: Workers, bytes: Bytes<'static>, element: Element, checked: Option<Checked>) {
        let flight = self.flight(&element.header);
        self.conn.flights.add(&flight);
        self.submit(workers, bytes, element, flight, checked);
    }

    /// The element at hand, for which there is a flight.
    fn submit(
        self,
        workers: Workers,
        bytes: Bytes<'static>,
        element: Element,
        flight: Arc<Flight>,
        checked: Option<Checked>,
    ) {
        let conn = Arc::clone(&self.conn);
        let (gate, header, sealed) = (Arc::clone(&self.gate), element.header, self.sealed.clone());
        let waiting = Arc::clone(&flight);
        let mut bytes = bytes;
        let strand = strand_of(&header, &bytes.get()[element.range.clone()]);
        let guard = EndOnPanic(Arc::clone(&conn));
        let job = Box::new(move || {
            let _guard = guard;
            self.run_on_worker(bytes, element, flight, checked);
        });
        if workers.submit_on(strand, job).is_err() {
            // Too much waits already. The chain went with the job: answer the element at hand, no more.
            conn.flights.remove(&waiting);
            let Landing::Answer(async_id) = waiting.land() else { return };
            let credits = match async_id {
                Some(_) => 0,
                None => conn.window.lock().grant(header.credits, MAX_CREDITS),
            };
            let mut answer = answer_header(&header, NtStatus::INSUFFICIENT_RESOURCES, credits);
            if let Some(id) = async_id {
                answer.flags |= HeaderFlags::ASYNC;
                answer.async_id = id;
            }
            let session = gate.sessions.get(header.session_id);
            let key =
                if sealed.is_some() { None } else { session.as_ref().and_then(|s| s.signing_key(conn.id)) };
            conn.send(reply::single(&answer, error_body, key, seal_of(sealed.as_ref())));
        }
    }

    fn run_on_worker(
        mut self,
        mut bytes: Bytes<'static>,
        element: Element,
        flight: Arc<Flight>,
        checked: Option<Checked>,
    ) {
        let mut at_hand = Some((element, flight, checked));
        loop {
            let (element, flight, checked) = match at_hand.take() {
                Some(all) => all,
                None => match self.element(bytes.get()) {
                    Some(element) => {
                        let flight = self.flight(&element.header);
                        self.conn.flights.add(&flight);
                        (element, flight, None)
                    }
                    None => break,
                },
            };
            match self.step(bytes.get(), &element, Some(&flight), checked) {
                Step::Done => {
                    self.conn.flights.remove(&flight);
                    self.advance(&element);
                }
                Step::Parked(checked) => {
                    self.park(bytes, element, checked, &flight);
                    return;
                }
                Step::Move(workers, checked) => {
                    self.conn.flights.remove(&flight);
                    self.hand_over(workers, bytes, element, Some(checked));
                    return;
                }
                Step::Fatal => {
                    self.conn.flights.remove(&flight);
                    return;
                }
            }
        }
        self.send();
    }

    /// The request waits. What is answered so far goes out; the rest goes on when the wait is over.
    fn park(mut self, bytes: Bytes<'static>, element: Element, checked: Checked, flight: &Arc<Flight>) {
        let mut rest = Chain::new(&self.gate, &self.conn, self.sealed.clone());
        rest.first = false;
        rest.next = self.next;
        rest.before = std::mem::take(&mut self.before);
        self.reply.drop_begun();
        if !self.reply.is_empty() {
            self.next = None;
            self.send();
        }
        let landed = Arc::clone(flight);
        flight.park(Box::new(move |wake, async_id| match wake {
            Wake::Answer(answer) => rest.resume(bytes, element, &landed, answer, async_id),
            Wake::Again => {
                let workers = rest.workers_of(checked.tree.as_ref());
                rest.submit(workers, bytes, element, landed, Some(checked));
            }
        }));
    }

    /// Where requests of a tree run that cannot run on the reactor.
    fn workers_of(&self, tree: Option<&Arc<TreeConnect>>) -> Workers {
        match tree.and_then(|t| t.share.disk()) {
            Some(disk) => disk.area.workers.clone(),
            None => self.gate.logons.clone(),
        }
    }

    /// The wait is over. Runs wherever the wait was ended: no blocking here.
    fn resume(
        mut self,
        bytes: Bytes<'static>,
        element: Element,
        flight: &Arc<Flight>,
        answer: Answer,
        async_id: Option<AsyncId>,
    ) {
        self.conn.flights.remove(flight);
        self.reply.begin();
        if answer.body.is_empty() {
            self.reply.error(&[], false);
        } else {
            self.reply.body().bytes(&answer.body);
        }
        let session = self.before.session.clone();
        let tree = self.before.tree.clone();
        let key = self.signing_key(session.as_ref(), element.header.flags.contains(HeaderFlags::SIGNED));
        self.end_element(&element.header, answer.status, async_id, session.as_ref(), tree.as_ref(), key);
        if answer.status.is_error() && element.header.command == Command::CREATE {
            self.before.file = Some(Err(answer.status));
        }
        self.advance(&element);
        if self.next.is_none() {
            self.send();
            return;
        }
        // More follows: it goes where this one was.
        let workers = self.workers_of(tree.as_ref());
        let mut bytes = bytes;
        if let Some(next) = self.element(bytes.get()) {
            self.hand_over(workers, bytes, next, None);
        }
    }

    /// The next element. Its framing was checked when the message came in.
    fn element(&self, bytes: &[u8]) -> Option<Element> {
        let start = self.next?;
        let header = Header::decode(&mut Reader::at(bytes, start)).ok()?;
        let end = if header.next_command == 0 { bytes.len() } else { start + header.next_command as usize };
        Some(Element { header, range: start..end })
    }

    fn advance(&mut self, element: &Element) {
        self.first = false;
        self.next = (element.header.next_command != 0).then_some(element.range.end);
    }

    fn step(
        &mut self,
        bytes: &mut [u8],
        element: &Element,
        flight: Option<&Arc<Flight>>,
        checked: Option<Checked>,
    ) -> Step {
        let header = &element.header;
        let message = &mut bytes[element.range.clone()];
        let row = dispatch::of(header.command);
        if header.command == Command::CANCEL {
            // Taken care of when the message came in.
            return Step::Done;
        }
        if self.conn.negotiated.get().is_none() && header.command != Command::NEGOTIATE {
            self.conn.end(format!("{:?} before NEGOTIATE", header.command));
            return Step::Fatal;
        }
        let checked = match checked.map_or_else(|| self.check(row, header, message), Ok) {
            Ok(checked) => checked,
            Err((status, checked)) => {
                return self.answer(header, Err(status.into()), checked, None, None);
            }
        };
        if flight.is_none() {
            return self.on_reactor(row, header, message, checked);
        }
        let acts_as = match row.place {
            Place::Export => checked.tree.as_ref().map(|t| cmd::creds(&t.identity)),
            Place::Reactor | Place::Logon => None,
        };
        let guard = match &acts_as {
            Some(creds) => crate::sys::creds::assume(creds),
            None => crate::sys::creds::assume_process(),
        };
        let _guard = match guard {
            Ok(guard) => guard,
            Err(e) => {
                log::error!("a worker cannot act as the user: {e}");
                return self.answer(header, Err(NtStatus::ACCESS_DENIED.into()), checked, flight, None);
            }
        };
        let (mut ctx, reply) = ctx(self, header, message, &checked, flight);
        reply.begin();
        let handled = (row.handler)(&mut ctx, body(message), reply);
        let outcome = Outcome::of(ctx);
        self.answer(header, handled, checked, flight, Some(outcome))
    }

    /// What can be done without blocking; otherwise where it has to go.
    fn on_reactor(&mut self, row: &Row, header: &Header, message: &[u8], mut checked: Checked) -> Step {
        let workers = match row.place {
            Place::Reactor => None,
            Place::Logon => Some(self.gate.logons.clone()),
            Place::Export => {
                checked.tree.as_ref().and_then(|t| t.share.disk()).map(|disk| disk.area.workers.clone())
            }
        };
        let (mut ctx, reply) = ctx(self, header, message, &checked, None);
        let handled = match (workers, row.inline) {
            (None, _) => {
                reply.begin();
                (row.handler)(&mut ctx, body(message), reply)
            }
            (Some(workers), None) => {
                checked.open = self.named(header, message);
                return Step::Move(workers, checked);
            }
            (Some(workers), Some(inline)) => {
                reply.begin();
                match inline(&mut ctx, body(message), reply) {
                    Some(handled) => handled,
                    None => {
                        reply.drop_begun();
                        checked.open = self.named(header, message);
                        return Step::Move(workers, checked);
                    }
                }
            }
        };
        let outcome = Outcome::of(ctx);
        self.answer(header, handled, checked, None, Some(outcome))
    }

    /// The open that a request names.
    fn named(&self, header: &Header, message: &[u8]) -> Option<Arc<Open>> {
        let id = Reader::at(message, header.command.file_id_at()?).file_id("FileId").ok()?;
        self.gate.opens.get(id)
    }

    /// MS-SMB2 3.3.5.2.4 (signature), 3.3.5.2.9 (session), 3.3.5.2.11 (tree), 3.3.5.2.7.2 (related).
    fn check(&self, row: &Row, header: &Header, message: &mut [u8]) -> Result<Checked, (NtStatus, Checked)> {
        let related = header.flags.contains(HeaderFlags::RELATED);
        let mut checked = Checked { session: None, tree: None, signed: false, open: None };
        if related && !self.first {
            checked.session = self.before.session.clone();
            checked.tree = self.before.tree.clone();
        } else if header.session_id.0 != 0 {
            checked.session = self.gate.sessions.get(header.session_id);
        }
        let reached = checked.session.as_ref().is_some_and(|s| s.has_channel(self.conn.id));
        if let Some(session) = checked.session.as_ref().filter(|_| reached && self.sealed.is_none())
            && header.flags.contains(HeaderFlags::SIGNED)
        {
            let held = session.signing_key(self.conn.id).map(|key| key.verify(message, Sender::Client));
            match held {
                Some(true) => checked.signed = true,
                Some(false) => return Err((NtStatus::ACCESS_DENIED, checked)),
                // Nothing to sign with: a guest. The flag says nothing then.
                None => {}
            }
        }
        let lacks_session = row.needs >= Needs::Session && checked.session.is_none();
        if related && (self.first || lacks_session) {
            return Err((NtStatus::INVALID_PARAMETER, checked));
        }
        if row.needs == Needs::Nothing && header.command != Command::ECHO {
            return Ok(checked);
        }
        let Some(session) = &checked.session else {
            // ECHO needs none, but if it names one it must be there (3.3.5.17).
            if row.needs == Needs::Nothing && header.session_id.0 == 0 {
                return Ok(checked);
            }
            return Err((NtStatus::USER_SESSION_DELETED, checked));
        };
        if !reached || !session.is_valid() {
            checked.session = None;
            return Err((NtStatus::USER_SESSION_DELETED, checked));
        }
        if let Some(sealed) = &self.sealed {
            // What came sealed by one session is not for another.
            if sealed.id != session.id {
                return Err((NtStatus::ACCESS_DENIED, checked));
            }
        } else if let Some(security) = session.security() {
            let unsigned = security.signing_required && !checked.signed;
            if security.encrypt || unsigned {
                return Err((NtStatus::ACCESS_DENIED, checked));
            }
        }
        if session.is_expired() && !row.when_expired {
            return Err((NtStatus::NETWORK_SESSION_EXPIRED, checked));
        }
        if row.needs == Needs::Tree {
            if !related {
                checked.tree = session.tree(header.tree_id);
            }
            match &checked.tree {
                None if related => return Err((NtStatus::INVALID_PARAMETER, checked)),
                None => return Err((NtStatus::NETWORK_NAME_DELETED, checked)),
                Some(tree) if tree.is_gone() => return Err((NtStatus::NETWORK_NAME_DELETED, checked)),
                Some(tree) if tree.encrypt && self.sealed.is_none() => {
                    return Err((NtStatus::ACCESS_DENIED, checked));
                }
                Some(_) => {}
            }
        }
        Ok(checked)
    }

    /// What the handler brought becomes an element of the reply.
    fn answer(
        &mut self,
        header: &Header,
        handled: Handled,
        checked: Checked,
        flight: Option<&Arc<Flight>>,
        outcome: Option<Outcome>,
    ) -> Step {
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => {
                self.reply.begin();
                Outcome { session: checked.session.clone(), tree: checked.tree.clone(), ..Outcome::default() }
            }
        };
        effects::carry_out(&self.gate, outcome.effects);
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
            Err(Fail::Silent) => {
                self.reply.drop_begun();
                return Step::Done;
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
                if let Some(setup) = &mut *session.setup.lock()
                    && let Some(hash) = &mut setup.preauth
                {
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
    fn give(
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
        let key = self.signing_key(session, checked.signed || established);
        self.end_element(header, status, async_id, session, tree, key);
    }

    fn signing_key(&self, session: Option<&Arc<Session>>, wanted: bool) -> Option<Arc<SigningKey>> {
        if self.sealed.is_some() || !wanted {
            return None;
        }
        session.and_then(|s| s.signing_key(self.conn.id))
    }

    fn end_element(
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
        self.reply.end(&answer, key);
    }

    /// The complete answer. None: nothing is to be said.
    fn finish(self) -> Option<Outgoing> {
        if self.reply.is_empty() {
            return None;
        }
        let out = self.reply.finish(seal_of(self.sealed.as_ref()));
        let Some(mut out) = out else {
            self.conn.end("no nonce is left for this session's key");
            return None;
        };
        if !self.opened.is_empty() {
            let (gate, opened) = (Arc::clone(&self.gate), self.opened);
            out = out.then(move || opened.iter().for_each(|open| cmd::effects::announced(&gate, open)));
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
    fn ready(self) -> Option<Ready> {
        if self.delay.is_some() || self.reply.is_empty() || !self.opened.is_empty() {
            return self.finish().map(Ready::Now);
        }
        let ready = self.reply.finish_later(seal_of(self.sealed.as_ref()));
        if ready.is_none() {
            self.conn.end("no nonce is left for this session's key");
        }
        ready
    }

    fn send(self) {
        let conn = Arc::clone(&self.conn);
        if let Some(out) = self.finish() {
            conn.send([out]);
        }
    }

    /// What a worker's request needs to be spoken for out of turn.
    fn flight(&self, header: &Header) -> Arc<Flight> {
        let (conn, sealed, header) = (Arc::clone(&self.conn), self.sealed.clone(), *header);
        let related = header.flags.contains(HeaderFlags::RELATED);
        let before = if related { self.before.session.clone() } else { None };
        let gate = Arc::clone(&self.gate);
        Flight::new(
            header.message_id,
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
struct Outcome {
    session: Option<Arc<Session>>,
    tree: Option<Arc<TreeConnect>>,
    file: Option<FileId>,
    effects: Vec<crate::fsa::Effect>,
    post: Option<Post>,
}

impl Outcome {
    fn of(ctx: Ctx<'_>) -> Outcome {
        Outcome { session: ctx.session, tree: ctx.tree, file: ctx.file, effects: ctx.effects, post: ctx.post }
    }
}

/// Writes through one open run one after the other. (FileId stands 16 bytes into the body of a WRITE; its
/// volatile half is never zero.)
fn strand_of(header: &Header, message: &[u8]) -> Strand {
    const VOLATILE: std::ops::Range<usize> = header::LEN + 24..header::LEN + 32;
    match (header.command, message.get(VOLATILE)) {
        (Command::WRITE, Some(id)) if id != [0xFF; 8] => {
            Strand(id.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        }
        _ => Strand::default(),
    }
}

/// A request that panics can never be answered: its connection ends, so that the client does not wait for ever.
struct EndOnPanic(Arc<Connection>);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end("an internal error");
        }
    }
}

/// The request for its handler, and the reply under construction: of different parts of the chain.
fn ctx<'a>(
    chain: &'a mut Chain,
    header: &'a Header,
    message: &'a [u8],
    checked: &Checked,
    flight: Option<&'a Arc<Flight>>,
) -> (Ctx<'a>, &'a mut Reply) {
    let ctx = Ctx {
        gate: &chain.gate,
        conn: &chain.conn,
        header,
        message,
        session: checked.session.clone(),
        tree: checked.tree.clone(),
        sealed: chain.sealed.is_some(),
        signed: checked.signed,
        held: checked.open.clone(),
        related_file: if header.flags.contains(HeaderFlags::RELATED) {
            chain.before.file.or(Some(Err(NtStatus::INVALID_PARAMETER)))
        } else {
            None
        },
        file: None,
        flight,
        effects: Vec::new(),
        post: None,
    };
    (ctx, &mut chain.reply)
}

fn body(message: &[u8]) -> Reader<'_> {
    Reader::at(message, header::LEN)
}

fn error_body(w: &mut crate::wire::codec::Writer<'_>) {
    crate::wire::error::ErrorResponse::default().encode(w);
}

fn seal_of(session: Option<&Arc<Session>>) -> Option<(crate::types::SessionId, &crate::session::Security)> {
    session.and_then(|s| s.security().map(|security| (s.id, security)))
}

/// A client that has not logged on needs few.
fn credit_limit(conn: &Connection) -> u64 {
    if conn.authenticated.load(std::sync::atomic::Ordering::Acquire) { MAX_CREDITS } else { 64 }
}
