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

mod answer;
mod check;

use super::bytes::Bytes;
use super::dispatch::{self, Place, Row};
use crate::cmd::reply::{self, Ready, Reply, answer_header};
use crate::cmd::{self, Ctx, Gate};
use crate::conn::Connection;
use crate::conn::credits::MAX_CREDITS;
use crate::conn::flight::{Answer, Flight, Landing, Wake};
use crate::crypto::SigningKey;
use crate::durable::Claim;
use crate::session::{Open, Session, Strand, TreeConnect, Workers};
use crate::types::{AsyncId, FileId, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::header::{self, Command, Header, HeaderFlags};
use answer::{Outcome, error_body, seal_of};
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
    /// It may wait: it needs a flight.
    MayWait(Checked),
    /// It waits. Checked as it was, should it have to be done once more.
    Parked(Checked),
    /// The connection is over.
    Fatal,
}

/// A request whose session, tree and signature have been looked at. Gone when it is answered.
#[derive(Default)]
struct Checked {
    session: Option<Arc<Session>>,
    tree: Option<Arc<TreeConnect>>,
    signed: bool,
    /// What its FileId named when it came. A CLOSE behind it may be quicker on its way to a worker.
    open: Option<Underway>,
    /// Of a CREATE with a CreateGuid.
    claim: Option<Claim>,
    /// Signs the answer in place of the channel's key.
    sign: Option<Arc<SigningKey>>,
}

/// An open on which a request is under way.
struct Underway {
    open: Arc<Open>,
    /// It counts, under this ChannelSequence.
    counted: Option<u16>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(number) = self.counted {
            self.open.sequence.end(number);
        }
    }
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
            let waits = dispatch::of(element.header.command).place == Place::Waits;
            let mut flight = waits.then(|| self.flight(&element.header));
            flight.iter().for_each(|flight| self.conn.flights.add(flight));
            let mut step = self.step(bytes.get(), &element, flight.as_ref(), None);
            if let Step::MayWait(checked) = step {
                let added = flight.insert(self.flight(&element.header));
                self.conn.flights.add(added);
                step = self.step(bytes.get(), &element, Some(added), Some(checked));
            }
            if let (Some(flight), false) = (&flight, matches!(step, Step::Parked(_))) {
                self.conn.flights.remove(flight);
            }
            match step {
                Step::Done => self.advance(&element),
                Step::Move(workers, checked) => {
                    self.hand_over(workers, bytes.into_owned(), element, Some(checked));
                    return None;
                }
                Step::Parked(checked) => {
                    if let Some(flight) = &flight {
                        self.park(bytes.into_owned(), element, checked, flight);
                    }
                    return None;
                }
                Step::MayWait(_) => unreachable!("it has a flight"),
                Step::Fatal => return None,
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
        let strand = strand_of(&header, &bytes.get()[element.range.clone()], checked.as_ref());
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
                Step::MayWait(_) => unreachable!("it has a flight"),
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
        match tree.map(|t| t.share.disk()) {
            Some(Some(disk)) => disk.area.workers.clone(),
            Some(None) => self.gate.look_ups.clone(),
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
        let mut checked = match checked.map_or_else(|| self.check(row, header, message), Ok) {
            Ok(checked) => checked,
            Err((status, checked)) => {
                return self.answer(header, Err(status.into()), checked, None, None);
            }
        };
        if flight.is_none() {
            return self.on_reactor(row, header, message, checked);
        }
        let acts_as = match row.place {
            // Accounts are looked up as the process.
            Place::Export => {
                checked.tree.as_ref().filter(|t| t.share.disk().is_some()).map(|t| cmd::creds(&t.identity))
            }
            Place::Reactor | Place::Waits | Place::Logon => None,
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
        let claim = checked.claim.take();
        let (mut ctx, reply) = ctx(self, header, message, &checked, flight);
        ctx.claim = claim;
        reply.begin();
        let handled = (row.handler)(&mut ctx, body(message), reply);
        let outcome = Outcome::of(ctx);
        self.answer(header, handled, checked, flight, Some(outcome))
    }

    /// What can be done without blocking; otherwise where it has to go.
    fn on_reactor(&mut self, row: &Row, header: &Header, message: &[u8], mut checked: Checked) -> Step {
        let workers = match row.place {
            Place::Reactor | Place::Waits => None,
            Place::Logon => Some(self.gate.logons.clone()),
            Place::Export => match checked.tree.as_ref().and_then(|t| t.share.disk()) {
                Some(disk) => Some(disk.area.workers.clone()),
                None => {
                    let open = checked.open.as_ref().map(|underway| &*underway.open);
                    match cmd::pipe::place(header.command, message, open) {
                        cmd::pipe::Place::Here => None,
                        cmd::pipe::Place::Waits => return Step::MayWait(checked),
                        cmd::pipe::Place::Worker => Some(self.gate.look_ups.clone()),
                    }
                }
            },
        };
        let (mut ctx, reply) = ctx(self, header, message, &checked, None);
        let handled = match (workers, row.inline) {
            (None, _) => {
                reply.begin();
                (row.handler)(&mut ctx, body(message), reply)
            }
            (Some(workers), None) => return Step::Move(workers, checked),
            (Some(workers), Some(inline)) => {
                reply.begin();
                match inline(&mut ctx, body(message), reply) {
                    Some(handled) => handled,
                    None => {
                        reply.drop_begun();
                        checked.claim = ctx.claim.take();
                        return Step::Move(workers, checked);
                    }
                }
            }
        };
        let outcome = Outcome::of(ctx);
        self.answer(header, handled, checked, None, Some(outcome))
    }
}

/// Writes through one open run one after the other. (The volatile half of a FileId is never zero.)
fn strand_of(header: &Header, message: &[u8], checked: Option<&Checked>) -> Strand {
    if !cmd::pipe::is_write(header.command, message) {
        return Strand::default();
    }
    let known = checked.and_then(|c| c.open.as_ref()).map(|underway| underway.open.id);
    let named = || header.command.file_id_at().and_then(|at| Reader::at(message, at).file_id("FileId").ok());
    match known.or_else(named) {
        Some(id) if id.volatile != FileId::RELATED.volatile => Strand(id.volatile),
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
    checked: &'a Checked,
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
        held: checked.open.as_ref().map(|underway| &underway.open),
        related_file: if header.flags.contains(HeaderFlags::RELATED) {
            chain.before.file.or(Some(Err(NtStatus::INVALID_PARAMETER)))
        } else {
            None
        },
        file: None,
        flight,
        effects: Vec::new(),
        sign: None,
        claim: None,
        post: None,
    };
    (ctx, &mut chain.reply)
}

fn body(message: &[u8]) -> Reader<'_> {
    Reader::at(message, header::LEN)
}
