//! LOGOFF (MS-SMB2 3.3.5.6), and every other way in which a session or a connection ends.

use super::{Ctx, Gate, Handled, Reply, breaks, close};
use crate::conn::Connection;
use crate::session::{Open, Session};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::logoff::{LogoffRequest, LogoffResponse};
use std::sync::Arc;
use std::time::Instant;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    LogoffRequest::decode(&mut body)?;
    let session = Arc::clone(ctx.session()?);
    // Windows keeps what is durable, as if the connection were lost.
    end_session(ctx.gate, &session, Durable::Wait);
    LogoffResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// What becomes of the durable opens of a session that ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durable {
    /// They wait for their client.
    Wait,
    /// They close with the others.
    Close,
}

/// Takes a session out of the tables and closes what it holds. Never blocks: what touches the disk goes to the
/// workers. Its keys stay with whoever still has to sign an answer.
pub fn end_session(gate: &Arc<Gate>, session: &Arc<Session>, durable: Durable) {
    gate.sessions.remove(session.id);
    if !session.claim_end() {
        return;
    }
    for tree in session.trees() {
        session.remove_tree(tree.id);
    }
    for open in session.opens().into_iter().filter_map(|id| gate.opens.get(id)) {
        if durable == Durable::Close || !wait(gate, session, &open) {
            close::close(gate, session, &open);
        }
    }
    // What waits through an open that stays would otherwise wait on.
    for conn in session.conns().into_iter().filter_map(|id| gate.conn(id)) {
        conn.flights.all().iter().filter(|flight| flight.session == session.id).for_each(|f| f.cancel());
    }
}

/// MS-SMB2 3.3.7.1: a durable open whose client may keep the handle stays.
fn wait(gate: &Arc<Gate>, session: &Session, open: &Arc<Open>) -> bool {
    let Some(disk) = open.share().disk() else { return false };
    if !gate.durable.wait(open, Instant::now()) {
        return false;
    }
    // Asked after it was put to wait: a break from here on finds it there, one before has ended what it stays by.
    let keeps = open.yields_to_nobody() || disk.area.rules.lock().keeps_handle(open.open_id());
    if keeps || !gate.durable.give_up(open) {
        session.remove_open(open.id);
        gate.keeper.changed(open);
        return true;
    }
    false
}

/// Closes those that have waited for their client until `now`.
pub fn give_up(gate: &Arc<Gate>, now: Instant) {
    for open in gate.durable.expired(now) {
        if gate.durable.give_up(&open) {
            log::info!(
                "share {}: {}'s open {} was not claimed in time",
                open.share().name,
                open.user,
                open.id.volatile
            );
            close::close_waiting(gate, &open);
        }
    }
}

/// A connection is lost, and can be found no more: sessions that have no other channel end with it.
pub fn end_connection(gate: &Arc<Gate>, conn: &Connection) {
    for session in gate.sessions.of_connection(conn.id) {
        session.end_setup(conn.id);
        if session.drop_channel(conn.id) {
            end_session(gate, &session, Durable::Wait);
        } else {
            breaks::told_again(gate, &session, conn.id);
        }
    }
    breaks::leases_told_again(gate, conn);
}
