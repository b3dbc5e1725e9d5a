//! Answers to breaks (MS-SMB2 3.3.5.22, MS-FSA 2.1.5.19), and breaks that are not answered.

use super::{LeaseId, LeaseState, Who};
use crate::fsa::{Effect, Effects, Moment, Tree};
use crate::types::{NtStatus, OpenId, OplockLevel};

impl Tree {
    /// MS-SMB2 3.3.5.22.1: the holder answers a break with the level that it keeps. The effects are due in every
    /// case: a wrong answer ends the oplock as well.
    pub fn acknowledge_break(
        &mut self,
        open: OpenId,
        level: OplockLevel,
        _now: Moment,
    ) -> (Result<OplockLevel, NtStatus>, Effects) {
        let unasked = (Err(NtStatus::INVALID_OPLOCK_PROTOCOL), Effects::new());
        let Some(stream) = self.stream_of_mut(open) else { return unasked };
        let Some(held) = stream.caching.find(Who::Oplock(open)) else { return unasked };
        let Some(breaking) = held.breaking.take() else { return unasked };
        let result = match level {
            OplockLevel::NONE => Ok(OplockLevel::NONE),
            OplockLevel::LEVEL_II if breaking.to == LeaseState::READ => Ok(OplockLevel::LEVEL_II),
            OplockLevel::LEASE => Err(NtStatus::INVALID_PARAMETER),
            _ => Err(NtStatus::INVALID_OPLOCK_PROTOCOL),
        };
        held.state = match result {
            Ok(OplockLevel::LEVEL_II) => LeaseState::READ,
            _ => LeaseState::empty(),
        };
        stream.caching.drop_ended();
        let woken = stream.caching.settled();
        (result, self.woken(woken))
    }

    /// Nobody answered the break in time, or there is nobody to tell: the oplock ends.
    #[must_use]
    pub fn break_unanswered(&mut self, open: OpenId, _now: Moment) -> Effects {
        let Some(stream) = self.stream_of_mut(open) else { return Effects::new() };
        let Some(held) = stream.caching.find(Who::Oplock(open)) else { return Effects::new() };
        if held.breaking.take().is_none() {
            return Effects::new();
        }
        held.state = LeaseState::empty();
        stream.caching.drop_ended();
        let woken = stream.caching.settled();
        self.woken(woken)
    }

    /// MS-SMB2 3.3.5.22.2: the client keeps at most what it was told to. OBJECT_NAME_NOT_FOUND (it has no such lease),
    /// UNSUCCESSFUL (nothing was asked), REQUEST_NOT_ACCEPTED (that is more than it was told to keep; it may answer
    /// again).
    pub fn acknowledge_lease(
        &mut self,
        id: LeaseId,
        state: LeaseState,
        _now: Moment,
    ) -> Result<Effects, NtStatus> {
        let (caching, at) = self.held_by(id).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let held = &mut caching.held[at];
        let breaking = held.breaking.ok_or(NtStatus::UNSUCCESSFUL)?;
        if !breaking.to.contains(state) {
            return Err(NtStatus::REQUEST_NOT_ACCEPTED);
        }
        held.breaking = None;
        held.state = if state.contains(LeaseState::READ) { state } else { LeaseState::empty() };
        let mut effects = Effects::new();
        // More was taken meanwhile. READ goes last, and alone.
        while held.breaking.is_none() && !breaking.required.contains(held.state) {
            let readable = held.state != LeaseState::READ && held.state.contains(LeaseState::READ);
            let to = held.state
                & (breaking.required | if readable { LeaseState::READ } else { LeaseState::empty() });
            effects.push(held.tell(to, breaking.required));
        }
        let woken = caching.settled();
        effects.extend(self.woken(woken));
        Ok(effects)
    }

    /// The client answered a break with more than it may keep. Linux does when an answer to CREATE, which has the break's epoch
    /// already, crosses the break: for it that is the old news then, and it says what it has. Told once more, under the
    /// next epoch, it gives up what it should. None: it was told so before, or its lease has no epoch.
    #[must_use]
    pub fn remind(&mut self, id: LeaseId) -> Option<Effect> {
        let (caching, at) = self.held_by(id)?;
        let held = &mut caching.held[at];
        let breaking = held.breaking.as_mut().filter(|_| held.version2)?;
        if std::mem::replace(&mut breaking.reminded, true) {
            return None;
        }
        held.epoch = held.epoch.wrapping_add(1);
        Some(Effect::BreakLease {
            id,
            from: held.state,
            to: breaking.to,
            acknowledge: true,
            epoch: held.epoch,
        })
    }

    /// The lease's break was not answered in time, or there is nobody to tell: nothing of it is left.
    #[must_use]
    pub fn lease_unanswered(&mut self, id: LeaseId, _now: Moment) -> Effects {
        let Some((caching, at)) = self.held_by(id) else { return Effects::new() };
        let held = &mut caching.held[at];
        if held.breaking.take().is_none() {
            return Effects::new();
        }
        held.state = LeaseState::empty();
        let woken = caching.settled();
        self.woken(woken)
    }
}
