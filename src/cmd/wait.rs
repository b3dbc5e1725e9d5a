//! Requests that wait for the rules: LOCK and CHANGE_NOTIFY.

use super::{Ctx, Gate, effects};
use crate::conn::flight::Flight;
use crate::fsa::WaiterId;
use crate::session::Area;
use crate::types::NtStatus;
use std::sync::Arc;

/// A request that the rules may keep waiting, registered before they are asked: the effect that answers it may
/// come before they have returned.
pub struct Wait<'a> {
    gate: &'a Gate,
    flight: &'a Arc<Flight>,
}

impl<'a> Wait<'a> {
    /// CANCELLED: the client has given up already, and knows.
    pub fn begin(ctx: &Ctx<'a>, area: &Arc<Area>) -> Result<Wait<'a>, NtStatus> {
        let flight = ctx.flight.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        let (gate, area, waiter) = (Arc::clone(ctx.gate), Arc::clone(area), WaiterId(flight.id));
        let withdraw = move || {
            let effects = area.rules.lock().cancel(waiter, area.now());
            effects::carry_out(&gate, effects);
        };
        if !flight.waits(Box::new(withdraw)) {
            return Err(NtStatus::CANCELLED);
        }
        ctx.gate.wait(flight);
        Ok(Wait { gate: ctx.gate, flight })
    }

    pub fn id(&self) -> WaiterId {
        WaiterId(self.flight.id)
    }

    /// The rules have answered at once.
    pub fn over(self) {
        self.gate.stop_waiting(self.flight.id);
    }
}
