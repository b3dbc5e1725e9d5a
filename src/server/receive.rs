//! One connection's task: takes messages off the socket, opens what is sealed, checks the credits, and starts
//! the chain. Answers that are ready at once go out together.

use super::bytes::Bytes;
use super::chain::Chain;
use crate::cmd::reply::{Ready, Reply, Unsigned};
use crate::cmd::{self, Fail, Gate};
use crate::conn::Connection;
use crate::conn::reader::{Frame, FrameReader, SMALL};
use crate::conn::writer::Outgoing;
use crate::crypto::Sender;
use crate::session::Session;
use crate::types::{Dialect, MessageId, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::compound;
use crate::wire::frame::{self, Kind};
use crate::wire::header::{Command, Header, HeaderFlags, TransformHeader};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A client has this long to log on.
const LOGON_TIME: Duration = Duration::from_secs(60);
/// The longest message before logon: what fits the reader's small buffer.
const LIMIT_BEFORE: usize = SMALL - frame::LEN;
/// The longest message after it: 8 MiB of data, and room for what stands around it.
const LIMIT: usize = (8 << 20) + (128 << 10);
/// An answer of this length is sent by itself.
const LARGE_ANSWER: usize = 32 << 10;
/// After so much the other connections of the reactor have their turn, and what the socket did not take is tried again: bytes
/// of answers, and a request counts like [`REQUEST`] of them.
const TURN: usize = 1 << 20;
const REQUEST: usize = 8 << 10;
/// The most elements of a compound message.
const MAX_ELEMENTS: usize = 256;

/// Until the connection ends.
pub async fn run(gate: Arc<Gate>, conn: Arc<Connection>) {
    let why = match read(&gate, &conn).await {
        Ok(()) => conn.reason().unwrap_or("ended").to_owned(),
        Err(why) => why,
    };
    conn.end(why.clone());
    log::info!("{}: connection closed: {why}", conn.peer);
    gate.remove_conn(conn.id);
    cmd::logoff::end_connection(&gate, &conn);
    for flight in conn.flights.all() {
        if flight.outlives() && gate.sessions.get(flight.session).is_some() {
            continue;
        }
        flight.cancel();
        gate.stop_waiting(flight.id);
    }
}

async fn read(gate: &Arc<Gate>, conn: &Arc<Connection>) -> Result<(), String> {
    let mut frames = FrameReader::default();
    let deadline = tokio::time::sleep(LOGON_TIME);
    tokio::pin!(deadline);
    let mut done = 0;
    loop {
        let authenticated = conn.authenticated.load(Ordering::Acquire);
        tokio::select! {
            biased;
            () = conn.ended() => return Ok(()),
            ready = conn.stream.readable() => ready.map_err(|e| e.to_string())?,
            () = &mut deadline, if !authenticated => {
                return Err(format!("no logon within {} s", LOGON_TIME.as_secs()));
            }
        }
        conn.writer.has_room().await;
        match frames.fill(&conn.stream) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(e) => return Err(e.to_string()),
        }
        let mut answers = Answers::default();
        loop {
            let known = conn.authenticated.load(Ordering::Acquire);
            let limit = if known { LIMIT } else { LIMIT_BEFORE };
            match frames.next(limit) {
                Ok(Some(frame)) => done += REQUEST + answers.take(conn, receive(gate, conn, frame)?),
                Ok(None) => break,
                Err(e) => return Err(e.to_string()),
            }
            if conn.is_ended() {
                return Ok(());
            }
            if done >= TURN {
                done = 0;
                answers.send_ready(conn);
                tokio::task::yield_now().await;
            }
        }
        answers.flush(conn);
    }
}

/// Answers on their way out. Small ones go out together. A large one goes at once, while it is in the
/// processor's cache and so that the client has something to do meanwhile, unless it is to be signed with
/// others.
#[derive(Default)]
struct Answers {
    ready: SmallVec<[Outgoing; 16]>,
    unsigned: SmallVec<[Unsigned; 8]>,
}

impl Answers {
    /// How many bytes it has.
    fn take(&mut self, conn: &Connection, answer: Option<Ready>) -> usize {
        let (full, len) = match answer {
            None => return 0,
            Some(Ready::Now(out)) => {
                let len = out.as_slice().len();
                self.ready.push(out);
                (len > LARGE_ANSWER || self.ready.len() == self.ready.inline_size(), len)
            }
            Some(Ready::Unsigned(out)) => {
                let len = out.size();
                self.unsigned.push(out);
                (self.unsigned.len() == self.unsigned.inline_size(), len)
            }
        };
        if full {
            self.flush(conn);
        }
        len
    }

    /// Those that wait for no others.
    fn send_ready(&mut self, conn: &Connection) {
        if !self.ready.is_empty() {
            conn.send(self.ready.drain(..));
        }
    }

    fn flush(&mut self, conn: &Connection) {
        self.send_ready(conn);
        if !self.unsigned.is_empty() {
            conn.send(Unsigned::sign_all(std::mem::take(&mut self.unsigned)));
        }
    }
}

/// One message. Err: the connection is over, and why.
fn receive(gate: &Arc<Gate>, conn: &Arc<Connection>, frame: Frame<'_>) -> Result<Option<Ready>, String> {
    let mut bytes = match frame {
        Frame::Small(bytes) => Bytes::Borrowed(bytes),
        Frame::Large(buf, len) => Bytes::Owned(buf, 0..len),
    };
    match Kind::of(bytes.get()) {
        Some(Kind::Smb2) => {
            admit(gate, conn, bytes.get(), None)?;
            Ok(Chain::new(gate, conn, None).run(bytes))
        }
        Some(Kind::Sealed) => {
            let session = open_sealed(gate, conn, bytes.get())?;
            let bytes = bytes.skip(TransformHeader::LEN);
            receive_opened(gate, conn, bytes, session)
        }
        Some(Kind::Smb1) => multi_protocol(gate, conn, bytes.get()),
        Some(Kind::Compressed) => Err("a compressed message, which was not negotiated".into()),
        None => Err("not an SMB message".into()),
    }
}

fn receive_opened(
    gate: &Arc<Gate>,
    conn: &Arc<Connection>,
    mut bytes: Bytes<'_>,
    session: Arc<Session>,
) -> Result<Option<Ready>, String> {
    if Kind::of(bytes.get()) != Some(Kind::Smb2) {
        return Err("a sealed message that holds no SMB2 message".into());
    }
    admit(gate, conn, bytes.get(), Some(&session))?;
    Ok(Chain::new(gate, conn, Some(session)).run(bytes))
}

/// Unseals in place (MS-SMB2 3.3.5.2.1.1). Whatever is wrong ends the connection.
fn open_sealed(gate: &Gate, conn: &Connection, bytes: &mut [u8]) -> Result<Arc<Session>, String> {
    const FORGED: &str = "a sealed message that cannot be opened";
    if bytes.len() < TransformHeader::LEN {
        return Err(FORGED.into());
    }
    let (head, payload) = bytes.split_at_mut(TransformHeader::LEN);
    let transform = TransformHeader::decode(&mut Reader::new(head)).map_err(|e| e.to_string())?;
    if transform.flags != TransformHeader::ENCRYPTED
        || transform.original_message_size as usize != payload.len()
    {
        return Err(FORGED.into());
    }
    let session = gate.sessions.get(transform.session_id).filter(|s| s.has_channel(conn.id)).ok_or(FORGED)?;
    let key = session.security().and_then(|s| s.server_in.as_ref()).ok_or(FORGED)?;
    let mut header = [0; TransformHeader::LEN];
    header.copy_from_slice(head);
    key.open(&header, payload).map_err(|_| FORGED)?;
    Ok(session)
}

/// Framing of the whole compound, message ids and credits (MS-SMB2 3.3.5.2.3), and CANCEL, which has none.
fn admit(
    gate: &Gate,
    conn: &Connection,
    message: &[u8],
    sealed: Option<&Arc<Session>>,
) -> Result<(), String> {
    let multi_credit = conn.dialect().is_some_and(|d| d >= Dialect::SMB2_10);
    for (i, element) in compound::split(message).enumerate() {
        let element = element.map_err(|e| e.to_string())?;
        if i >= MAX_ELEMENTS {
            return Err(format!("a compound of more than {MAX_ELEMENTS} requests"));
        }
        let header = Header::decode(&mut Reader::new(element)).map_err(|e| e.to_string())?;
        if header.flags.contains(HeaderFlags::RESPONSE) {
            return Err("a response where a request was due".into());
        }
        if header.command == Command::CANCEL {
            cancel(gate, conn, &header, element, sealed);
            continue;
        }
        let charge = if multi_credit { header.credit_charge } else { 1 };
        conn.window
            .lock()
            .consume(header.message_id.0, charge)
            .map_err(|_| format!("message id {} is not in the window", header.message_id))?;
    }
    Ok(())
}

/// CANCEL (MS-SMB2 3.3.5.16): found by AsyncId or message id; nothing is answered to it.
fn cancel(gate: &Gate, conn: &Connection, header: &Header, message: &[u8], sealed: Option<&Arc<Session>>) {
    let Some(session) = gate.sessions.get(header.session_id).filter(|s| s.has_channel(conn.id)) else {
        return;
    };
    if sealed.is_none() {
        let required = session.security().is_some_and(|s| s.signing_required || s.encrypt);
        let key = session.signing_key(conn.id);
        let held = match key.filter(|_| header.flags.contains(HeaderFlags::SIGNED)) {
            Some(key) => key.verify(&mut message.to_vec(), Sender::Client),
            None => !required,
        };
        if !held {
            log::debug!("{}: a CANCEL that is not signed as it must be", conn.peer);
            return;
        }
    }
    let async_id = header.flags.contains(HeaderFlags::ASYNC).then_some(header.async_id);
    if let Some(flight) = conn.flights.find(async_id, header.message_id) {
        flight.cancel();
    }
}

/// SMB1 NEGOTIATE, answered in SMB2 (MS-SMB2 3.3.5.3.1).
fn multi_protocol(gate: &Gate, conn: &Connection, message: &[u8]) -> Result<Option<Ready>, String> {
    let mut reply = Reply::default();
    reply.begin();
    let negotiated = match cmd::negotiate::multi_protocol(gate, conn, message, &mut reply.body()) {
        Ok(negotiated) => negotiated,
        Err(Fail::Fatal(why)) => return Err(why.into()),
        Err(_) => return Err("an SMB1 message".into()),
    };
    let credits = {
        let mut window = conn.window.lock();
        window.consume(0, 1).map_err(|_| "SMB1 after SMB2")?;
        window.grant(1, 64)
    };
    let header = Header {
        command: Command::NEGOTIATE,
        credits,
        status: NtStatus::SUCCESS.0,
        message_id: MessageId(0),
        ..Header::default()
    };
    reply.end(&header, None);
    if let Some(negotiated) = negotiated {
        let _ = conn.negotiated.set(negotiated);
    }
    Ok(reply.finish(None).map(Ready::Now))
}
