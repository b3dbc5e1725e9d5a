//! Requests that wait: LOCK and CHANGE_NOTIFY for the rules, reads of a pipe for what it will say.

use super::{Ctx, Gate, effects};
use crate::conn::flight::Flight;
use crate::fsa::WaiterId;
use crate::session::Area;
use crate::types::NtStatus;
use std::sync::Arc;

/// A request that may be kept waiting, registered before it is asked for: what answers it may come before the
/// asking has returned.
pub struct Wait<'a> {
    gate: &'a Gate,
    flight: &'a Arc<Flight>,
}

impl<'a> Wait<'a> {
    /// CANCELLED: the client has given up already, and knows.
    pub fn for_rules(ctx: &Ctx<'a>, area: &Arc<Area>) -> Result<Wait<'a>, NtStatus> {
        let (gate, area) = (Arc::clone(ctx.gate), Arc::clone(area));
        Wait::begin(ctx, move |waiter| {
            let effects = area.rules.lock().cancel(waiter, area.now());
            effects::carry_out(&gate, effects);
        })
    }

    /// The same for what `withdraw` takes back and answers.
    pub fn begin(
        ctx: &Ctx<'a>,
        withdraw: impl FnOnce(WaiterId) + Send + 'static,
    ) -> Result<Wait<'a>, NtStatus> {
        let flight = ctx.flight.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        let waiter = WaiterId(flight.id);
        if !flight.waits(Box::new(move || withdraw(waiter))) {
            return Err(NtStatus::CANCELLED);
        }
        ctx.gate.wait(flight);
        Ok(Wait { gate: ctx.gate, flight })
    }

    pub fn id(&self) -> WaiterId {
        WaiterId(self.flight.id)
    }

    /// It was answered at once.
    pub fn over(self) {
        self.gate.stop_waiting(self.flight.id);
    }
}
