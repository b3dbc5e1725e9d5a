//! What the rules want done is done here: waiting requests are answered, holders of oplocks and leases are told of breaks.
//! Never under a lock of the rules.

use super::{Gate, breaks};
use crate::conn::flight::{Answer, Wake};
use crate::fsa::{Effect, Notified, NotifyEvent};
use crate::session::open::{Break, Notice};
use crate::types::NtStatus;
use crate::wire::change_notify::ChangeNotifyResponse;
use crate::wire::codec::Writer;
use crate::wire::fscc::notify::{NotifyAction, NotifyWriter};
use crate::wire::header;
use crate::wire::lock::LockResponse;
use crate::wire::oplock_break::{LeaseBreakFlags, LeaseBreakNotification};
use std::sync::Arc;

pub fn carry_out(gate: &Arc<Gate>, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Lock { waiter, status } => {
                let body = if status.is_error() { Vec::new() } else { body(|w| LockResponse.encode(w)) };
                gate.answer(waiter.0, Answer { status, body });
            }
            Effect::LockAgain { waiter } => gate.answer(waiter.0, Wake::Again),
            Effect::Open { waiter, status: NtStatus::SUCCESS } => gate.answer(waiter.0, Wake::Again),
            Effect::Open { waiter, status } => gate.answer(waiter.0, Answer { status, body: Vec::new() }),
            Effect::Break { open, to, acknowledge } => {
                // Else it is being closed.
                if let Some(open) = gate.opens.by_volatile(open.0) {
                    breaks::oplock(gate, &open, Break { notice: Notice::Oplock(to), acknowledge });
                }
            }
            Effect::BreakLease { id, from, to, acknowledge, epoch } => {
                let mut flags = LeaseBreakFlags::empty();
                flags.set(LeaseBreakFlags::ACK_REQUIRED, acknowledge);
                let notice = Notice::Lease(LeaseBreakNotification {
                    new_epoch: epoch,
                    flags,
                    lease_key: id.key,
                    current_lease_state: from,
                    new_lease_state: to,
                });
                breaks::lease(gate, id, Break { notice, acknowledge });
            }
            Effect::Notify { waiter, answer } => gate.answer(waiter.0, notified(&answer)),
        }
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
pub fn body(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; header::LEN];
    write(&mut Writer::from_base(&mut bytes, 0));
    bytes.split_off(header::LEN)
}
