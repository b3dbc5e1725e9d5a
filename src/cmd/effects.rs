//! What the rules want done is done here: waiting requests are answered, holders of oplocks are told of breaks.
//! Never under a lock of the rules.

use super::{Gate, close, reply};
use crate::conn::Connection;
use crate::conn::flight::{Answer, Wake};
use crate::fsa::{Effect, Notified, NotifyEvent};
use crate::session::open::Break;
use crate::session::{Open, Session};
use crate::types::{ConnId, MessageId, NtStatus};
use crate::wire::change_notify::ChangeNotifyResponse;
use crate::wire::codec::Writer;
use crate::wire::fscc::notify::{NotifyAction, NotifyWriter};
use crate::wire::header::{self, Command, Header};
use crate::wire::lock::LockResponse;
use crate::wire::oplock_break::OplockBreak;
use std::sync::Arc;
use std::time::Duration;

/// A client has this long to answer a break (MS-SMB2 3.3.2.1).
const BREAK_TIMEOUT: Duration = Duration::from_secs(35);

pub fn carry_out(gate: &Arc<Gate>, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Lock { waiter, status } => {
                let body = if status.is_error() { Vec::new() } else { body(|w| LockResponse.encode(w)) };
                gate.answer(waiter.0, Answer { status, body });
            }
            Effect::Open { waiter, status: NtStatus::SUCCESS } => gate.answer(waiter.0, Wake::Again),
            Effect::Open { waiter, status } => gate.answer(waiter.0, Answer { status, body: Vec::new() }),
            Effect::Break { open, to, acknowledge } => {
                // Else it is being closed.
                if let Some(open) = gate.opens.by_volatile(open.0)
                    && let Some(due) = open.breaks.due(Break { to, acknowledge })
                {
                    tell(gate, &open, due);
                }
            }
            Effect::Notify { waiter, answer } => gate.answer(waiter.0, notified(&answer)),
        }
    }
}

/// The client knows of the open: what was broken meanwhile is told now.
pub fn announced(gate: &Arc<Gate>, open: &Arc<Open>) {
    for due in open.breaks.announced() {
        tell(gate, open, due);
    }
}

/// A connection is lost that its session outlives: what was sent there and may not have arrived goes to another.
pub fn told_again(gate: &Arc<Gate>, session: &Session, lost: ConnId) {
    for open in session.opens().into_iter().filter_map(|id| gate.opens.get(id)) {
        if let Some(due) = open.breaks.unheard(lost) {
            tell(gate, &open, due);
        }
    }
}

/// Sends an oplock break notification (MS-SMB2 3.3.4.6), on any channel that lives. A handle that waits for its client
/// stands in nobody's way: it is closed.
fn tell(gate: &Arc<Gate>, open: &Arc<Open>, due: Break) {
    let Break { to, acknowledge } = due;
    let Some(disk) = open.share().disk() else { return };
    loop {
        let Some((session, conn)) = channel(gate, open) else { break };
        let header =
            Header { command: Command::OPLOCK_BREAK, message_id: MessageId(u64::MAX), ..Header::default() };
        let sealing = session.security().filter(|s| s.encrypt || open.tree.encrypt);
        let message = OplockBreak { oplock_level: to, file_id: open.id };
        let seal = sealing.map(|security| (session.id, security));
        let serial = open.breaks.sent(conn.id, due);
        conn.send(reply::single(&header, |w| message.encode(w), None, seal));
        // Whoever ends the connection sees that it was sent there, unless it had ended before.
        if conn.is_ended() && open.breaks.unheard(conn.id).is_some() {
            continue;
        }
        if acknowledge {
            let (gate, area, open) = (Arc::clone(gate), Arc::clone(&disk.area), Arc::clone(open));
            gate.runtime.clone().spawn(async move {
                tokio::time::sleep(BREAK_TIMEOUT).await;
                if open.breaks.is_waited_for(serial) {
                    let effects = area.rules.lock().break_unanswered(open.open_id(), area.now());
                    carry_out(&gate, effects);
                }
            });
        }
        return;
    }
    if gate.durable.give_up(open) {
        close::close_waiting(gate, open);
    } else if open.breaks.due(due).is_none() {
        // Its client is coming back this moment, and is told after the answer.
    } else if channel(gate, open).is_some() {
        tell(gate, open, due);
    } else if acknowledge {
        let effects = disk.area.rules.lock().break_unanswered(open.open_id(), disk.area.now());
        carry_out(gate, effects);
    }
}

/// Where the client of an open can be told something now.
fn channel(gate: &Gate, open: &Open) -> Option<(Arc<Session>, Arc<Connection>)> {
    let session = gate.sessions.get(open.session())?;
    let conn = session.conns().into_iter().find_map(|id| gate.conn(id).filter(|c| !c.is_ended()))?;
    Some((session, conn))
}

/// The answer to a CHANGE_NOTIFY.
pub fn notified(answer: &Notified) -> Answer {
    let (status, list) = match answer {
        Notified::Events(events) => (NtStatus::SUCCESS, encode(events)),
        Notified::Status(status) => (*status, Vec::new()),
    };
    if status.is_error() {
        return Answer { status, body: Vec::new() };
    }
    Answer { status, body: body(|w| ChangeNotifyResponse { buffer: &list }.encode(w)) }
}

fn encode(events: &[NotifyEvent]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    let mut list = NotifyWriter::new(&mut w, usize::MAX);
    for event in events {
        // The rules have counted: it fits.
        let _ = list.push(NotifyAction(event.action.0), &event.name);
    }
    out
}

/// A body as it stands behind its header.
fn body(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; header::LEN];
    write(&mut Writer::from_base(&mut bytes, 0));
    bytes.split_off(header::LEN)
}
