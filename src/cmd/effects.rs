//! What the rules want done is done here: waiting requests are answered, holders of oplocks are told of breaks.
//! Never under a lock of the rules.

use super::{Gate, reply};
use crate::conn::flight::{Answer, Wake};
use crate::fsa::{Effect, Notified, NotifyEvent};
use crate::session::Open;
use crate::session::open::Break;
use crate::types::{MessageId, NtStatus};
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

/// Sends an oplock break notification (MS-SMB2 3.3.4.6).
fn tell(gate: &Arc<Gate>, open: &Arc<Open>, Break { to, acknowledge }: Break) {
    let Some(disk) = open.share().disk() else { return };
    let session = gate.sessions.get(open.session);
    let conn = session.iter().flat_map(|s| s.conns()).find_map(|id| gate.conn(id).filter(|c| !c.is_ended()));
    if let (Some(session), Some(conn)) = (&session, conn) {
        let header =
            Header { command: Command::OPLOCK_BREAK, message_id: MessageId(u64::MAX), ..Header::default() };
        let sealing = session.security().filter(|s| s.encrypt || open.tree.encrypt);
        let message = OplockBreak { oplock_level: to, file_id: open.id };
        let seal = sealing.map(|security| (session.id, security));
        conn.send(reply::single(&header, |w| message.encode(w), None, seal));
        if acknowledge {
            let (gate, area, id) = (Arc::clone(gate), Arc::clone(&disk.area), open.open_id());
            gate.runtime.clone().spawn(async move {
                tokio::time::sleep(BREAK_TIMEOUT).await;
                let effects = area.rules.lock().break_unanswered(id, area.now());
                carry_out(&gate, effects);
            });
        }
    } else if acknowledge {
        let effects = disk.area.rules.lock().break_unanswered(open.open_id(), disk.area.now());
        carry_out(gate, effects);
    }
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
