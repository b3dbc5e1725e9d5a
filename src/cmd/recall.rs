//! Handles that clients keep for nobody are asked back when the server runs short of open files: those whose lease was
//! least recently used first. An open waits for that rather than fail, so no client pays for what others (or it) cached.
//! And however many files a client wants, there are some left for the others.

use super::{Ctx, Fail, Gate, effects};
use crate::conn::flight::Answer;
use crate::session::Lease;
use crate::types::NtStatus;
use crate::watch;
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

/// Open files that there may be, but for what polling takes.
fn limit(gate: &Gate) -> usize {
    gate.open_files.saturating_sub(watch::polled())
}

/// May a session that has `held` of `all` open files have one more? Four times as many as are left: one that wants them all
/// gets four fifths, each of ten such ones less than a tenth, and who needs few finds them.
fn fair(held: usize, all: usize, limit: usize) -> bool {
    held < limit.saturating_sub(all).saturating_mul(4)
}

/// Before an open. TOO_MANY_OPENED_FILES: it would be at the cost of other sessions.
pub fn admit(ctx: &Ctx<'_>) -> Result<(), NtStatus> {
    let gate = ctx.gate;
    match fair(ctx.session()?.open_count(), gate.opens.len(), limit(gate)) {
        true => Ok(()),
        false => Err(NtStatus::TOO_MANY_OPENED_FILES),
    }
}

/// After an open: are there so many that some should be given back?
pub fn consider(gate: &Arc<Gate>) {
    let (high, low) = marks(limit(gate));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions that take what they get, one after the other, until none gets any more.
    fn greedy(sessions: usize, limit: usize) -> Vec<usize> {
        let mut held = vec![0; sessions];
        loop {
            let before: usize = held.iter().sum();
            for n in 0..sessions {
                let all = held.iter().sum();
                held[n] += usize::from(fair(held[n], all, limit));
            }
            if held.iter().sum::<usize>() == before {
                return held;
            }
        }
    }

    #[test]
    fn who_wants_all_files_leaves_some() {
        assert_eq!(greedy(1, 20_000), [16_000]);
        for sessions in [2, 10, 100] {
            let held = greedy(sessions, 20_000);
            let all = held.iter().sum::<usize>();
            assert!(all < 20_000 && held.iter().max().unwrap() - held.iter().min().unwrap() <= 1, "{held:?}");
            let one_more = (0..).find(|n| !fair(*n, all + n, 20_000)).unwrap();
            assert!(one_more * 5 >= (20_000 - all) * 4, "a newcomer finds {one_more} of {}", 20_000 - all);
        }
    }
}
