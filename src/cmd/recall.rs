//! Handles that clients keep for nobody are asked back when the server runs short of open files: those whose lease was
//! least recently used first. An open waits for that rather than fail, so no client pays for what others (or it) cached.

use super::{Ctx, Fail, Gate, effects};
use crate::conn::flight::Answer;
use crate::session::Lease;
use crate::types::NtStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Asked back at once when there is no room at all.
const SOME: usize = 64;
/// How soon an open that found no room tries again.
const AGAIN: Duration = Duration::from_millis(50);
/// How soon clients are asked for more, if what they gave back is not enough.
const PACE: Duration = Duration::from_secs(1);

/// Opens from which on handles are asked back, of so many open files that there may be; and down to how many.
fn marks(limit: usize) -> (usize, usize) {
    (limit / 4 * 3, limit / 8 * 5)
}

/// After an open: are there so many that some should be given back?
pub fn consider(gate: &Arc<Gate>) {
    let (high, low) = marks(gate.open_files);
    if gate.opens.len() <= high || gate.recalling.swap(true, Ordering::AcqRel) {
        return;
    }
    let gate = Arc::clone(gate);
    gate.runtime.clone().spawn(async move {
        log::info!("{} files are open: clients are asked for handles that they only keep", gate.opens.len());
        while gate.opens.len() > low && recall(&gate, gate.opens.len() - low) > 0 {
            tokio::time::sleep(PACE).await;
        }
        gate.recalling.store(false, Ordering::Release);
    });
}

/// Asks for this many handles, or as many as are kept. How many it asked for, or had asked for before.
fn recall(gate: &Arc<Gate>, count: usize) -> usize {
    let mut leases: Vec<Arc<Lease>> = gate.leases.all();
    leases.sort_unstable_by_key(|lease| lease.used());
    let mut asked = 0;
    for lease in leases {
        if asked >= count {
            break;
        }
        let recalled = lease.area.rules.lock().recall(lease.id);
        if let Some(effects) = recalled {
            effects::carry_out(gate, effects);
            asked += 1;
        }
    }
    asked
}

/// An open found no room: Pending if clients were asked for some, and then all of it is done again. Else it stays with
/// the failure.
pub fn make_room(ctx: &Ctx<'_>, failed: Fail) -> Fail {
    let no_room = matches!(failed, Fail::Status(NtStatus::TOO_MANY_OPENED_FILES));
    let Some(flight) = ctx.flight.filter(|_| no_room) else { return failed };
    if recall(ctx.gate, SOME) == 0 {
        return failed;
    }
    let (gate, id) = (Arc::clone(ctx.gate), flight.id);
    let withdraw = move || gate.answer(id, Answer { status: NtStatus::CANCELLED, body: Vec::new() });
    if !flight.waits(Box::new(withdraw)) {
        return NtStatus::CANCELLED.into();
    }
    ctx.gate.wait(flight);
    let gate = Arc::clone(ctx.gate);
    gate.runtime.clone().spawn(async move {
        tokio::time::sleep(AGAIN).await;
        gate.answer(id, crate::conn::flight::Wake::Again);
    });
    Fail::Pending
}
