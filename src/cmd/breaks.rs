//! Telling the holder of an oplock that it was broken (MS-SMB2 3.3.4.6): on one channel of his session, and on another if
//! that one is lost or silent.

use super::{Gate, close, effects, reply};
use crate::conn::Connection;
use crate::session::open::{Break, Unheard};
use crate::session::{Open, Session};
use crate::sys::socket::unacknowledged;
use crate::types::{ConnId, MessageId};
use crate::wire::header::{Command, Header};
use crate::wire::oplock_break::OplockBreak;
use std::sync::Arc;
use std::time::Duration;

/// A client has this long to answer a break (MS-SMB2 3.3.2.1).
const TIMEOUT: Duration = Duration::from_secs(35);
/// With more than one channel, TCP has this long to deliver it on one of them.
const SILENCE: Duration = Duration::from_secs(2);

/// The client knows of the open: what was broken meanwhile is told now.
pub fn announced(gate: &Arc<Gate>, open: &Arc<Open>) {
    for due in open.breaks.announced() {
        tell(gate, open, due);
    }
}

/// A connection is lost that its session outlives: what was sent there and may not have arrived goes to another.
pub fn told_again(gate: &Arc<Gate>, session: &Session, lost: ConnId) {
    for open in session.opens().into_iter().filter_map(|id| gate.opens.get(id)) {
        if let Some(unheard) = open.breaks.unheard(lost) {
            send(gate, &open, unheard.what, Some(unheard));
        }
    }
}

/// Tells of a break for the first time.
pub fn tell(gate: &Arc<Gate>, open: &Arc<Open>, due: Break) {
    send(gate, open, due, None);
}

/// A handle that waits for its client stands in nobody's way: it is closed.
fn send(gate: &Arc<Gate>, open: &Arc<Open>, due: Break, mut before: Option<Unheard>) {
    let first = before.is_none();
    while let Some((session, conn)) = channel(gate, open) {
        let serial = transmit(open, &session, &conn, due, before);
        // Whoever ends the connection sees that it was sent there, unless it had ended before.
        if conn.is_ended() {
            before = open.breaks.unheard(conn.id);
            if before.is_some() {
                continue;
            }
        }
        if due.acknowledge && first {
            expect_answer(gate, open, serial);
        }
        if session.conns().len() > 1 {
            expect_delivery(gate, open, conn, serial);
        }
        return;
    }
    let Some(disk) = open.share().disk() else { return };
    if gate.durable.give_up(open) {
        close::close_waiting(gate, open);
    } else if open.breaks.due(due).is_none() {
        // Its client is coming back this moment, and is told after the answer.
    } else if channel(gate, open).is_some() {
        send(gate, open, due, before);
    } else if let (true, Some(session)) = (due.acknowledge, gate.sessions.get(open.session())) {
        // Its last connection is lost this moment: an open that is being broken ends with it.
        let serial = open.breaks.sent(session.conn, due, before);
        expect_answer(gate, open, serial);
    } else if due.acknowledge {
        let effects = disk.area.rules.lock().break_unanswered(open.open_id(), disk.area.now());
        effects::carry_out(gate, effects);
    }
}

/// The number that this break goes by.
fn transmit(open: &Open, session: &Session, conn: &Connection, due: Break, before: Option<Unheard>) -> u64 {
    let header =
        Header { command: Command::OPLOCK_BREAK, message_id: MessageId(u64::MAX), ..Header::default() };
    let sealing = session.security().filter(|s| s.encrypt || open.tree.encrypt);
    let message = OplockBreak { oplock_level: due.to, file_id: open.id };
    let seal = sealing.map(|security| (session.id, security));
    let serial = open.breaks.sent(conn.id, due, before);
    conn.send(reply::single(&header, |w| message.encode(w), None, seal));
    serial
}

/// Where the client of an open can be told something now.
fn channel(gate: &Gate, open: &Open) -> Option<(Arc<Session>, Arc<Connection>)> {
    let session = gate.sessions.get(open.session())?;
    let conn = session.conns().into_iter().find_map(|id| alive(gate, id))?;
    Some((session, conn))
}

fn alive(gate: &Gate, id: ConnId) -> Option<Arc<Connection>> {
    gate.conn(id).filter(|conn| !conn.is_ended())
}

/// The oplock ends if the client does not answer in time, on whatever channel he was told.
fn expect_answer(gate: &Arc<Gate>, open: &Arc<Open>, serial: u64) {
    let (gate, open) = (Arc::clone(gate), Arc::clone(open));
    gate.runtime.clone().spawn(async move {
        tokio::time::sleep(TIMEOUT).await;
        let Some(disk) = open.share().disk() else { return };
        if open.breaks.is_waited_for(serial) {
            let effects = disk.area.rules.lock().break_unanswered(open.open_id(), disk.area.now());
            effects::carry_out(&gate, effects);
        }
    });
}

/// What the client's side does not acknowledge on one channel is sent on the next, until there is none.
fn expect_delivery(gate: &Arc<Gate>, open: &Arc<Open>, mut conn: Arc<Connection>, serial: u64) {
    let (gate, open) = (Arc::clone(gate), Arc::clone(open));
    gate.runtime.clone().spawn(async move {
        loop {
            tokio::time::sleep(SILENCE).await;
            if !open.breaks.is_on(conn.id, serial) || unacknowledged(&conn.stream).is_ok_and(|n| n == 0) {
                return;
            }
            let Some(session) = gate.sessions.get(open.session()) else { return };
            let behind = session.conns().into_iter().skip_while(|id| *id != conn.id).skip(1);
            let Some(next) = behind.into_iter().find_map(|id| alive(&gate, id)) else { return };
            let Some(unheard) = open.breaks.unheard(conn.id) else { return };
            log::info!("{}: silent; a break goes by {}", conn.peer, next.peer);
            transmit(&open, &session, &next, unheard.what, Some(unheard));
            if next.is_ended() {
                if let Some(unheard) = open.breaks.unheard(next.id) {
                    send(&gate, &open, unheard.what, Some(unheard));
                }
                return;
            }
            conn = next;
        }
    });
}
