//! LOGOFF (MS-SMB2 3.3.5.6), and every other way in which a session or a connection ends.

use super::{Ctx, Gate, Handled, Reply, close};
use crate::session::Session;
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::logoff::{LogoffRequest, LogoffResponse};
use std::sync::Arc;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    LogoffRequest::decode(&mut body)?;
    let session = Arc::clone(ctx.session()?);
    end_session(ctx.gate, &session);
    LogoffResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// Takes a session out of the tables and closes everything it holds. Never blocks: what touches the disk goes
/// to the workers. Its keys stay with whoever still has to sign an answer.
pub fn end_session(gate: &Arc<Gate>, session: &Arc<Session>) {
    gate.sessions.remove(session.id);
    if !session.claim_end() {
        return;
    }
    for tree in session.trees() {
        session.remove_tree(tree.id);
    }
    for id in session.opens() {
        if let Some(open) = gate.opens.get(id) {
            close::close(gate, session, &open);
        }
    }
}

/// A connection is lost: sessions that have no other channel end with it.
pub fn end_connection(gate: &Arc<Gate>, conn: crate::types::ConnId) {
    for session in gate.sessions.of_connection(conn) {
        if session.drop_channel(conn) {
            end_session(gate, &session);
        }
    }
}
