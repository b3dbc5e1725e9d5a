//! What local programs see of the locks of an open, and what they have to say (`posix_locks`). Between clients the rules
//! decide first; what they grant is then asked of the kernel, through the open's own descriptor.

use crate::cmd::{Gate, effects};
use crate::conn::flight::Flight;
use crate::fsa::{LockRange, WaiterId};
use crate::session::{Area, FileOpen, Open};
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::time::Duration;

/// Who waits for a local program asks again after a quarter of the time that he has waited, within these bounds.
const SOONEST: Duration = Duration::from_millis(10);
const LATEST: Duration = Duration::from_millis(250);

/// While this lives, nobody else changes the locks of the open.
pub struct Local<'a> {
    file: &'a FileOpen,
    any: MutexGuard<'a, bool>,
}

impl<'a> Local<'a> {
    /// None: local programs have no say in the locks of this open. May block.
    pub fn of(open: &'a Open) -> Option<Local<'a>> {
        let file = open.file()?;
        let wanted = open.share().disk()?.settings.posix_locks && file.object.can_lock();
        wanted.then(|| Local { file, any: file.local_locks.lock() })
    }

    /// The open's locks that have bytes in common with what is being asked for were these, and are to be those. False:
    /// a local program does not let it, and they stay.
    pub fn change(&mut self, before: &[LockRange], after: &[LockRange]) -> bool {
        *self.any |= !after.is_empty();
        !*self.any || self.file.object.relock(before, after)
    }

    /// The open is being closed: whoever locks the file next is not to wait for the descriptor to go.
    pub fn release(&mut self) {
        if std::mem::take(&mut *self.any) {
            self.file.object.unlock_all();
        }
    }
}

/// A request waits for a local program, which tells nobody when it is done: it is asked again in a while.
pub fn ask_again_later(gate: &Arc<Gate>, area: &Arc<Area>, flight: &Flight) {
    let (gate, area, waiter) = (Arc::clone(gate), Arc::clone(area), WaiterId(flight.id));
    let pause = (flight.since.elapsed() / 4).clamp(SOONEST, LATEST);
    gate.runtime.clone().spawn(async move {
        tokio::time::sleep(pause).await;
        let again = area.rules.lock().ask_lock_again(waiter);
        effects::carry_out(&gate, again);
    });
}
