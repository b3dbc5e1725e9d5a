//! LOCK (MS-SMB2 3.3.5.14), onto MS-FSA 2.1.5.8 and 2.1.5.9.

pub mod local;

use self::local::Local;
use super::wait::Wait;
use super::{Ctx, Fail, Handled, Reply, file_of};
use crate::fsa::{LockAsk, LockRange, LockSequence, Locking};
use crate::session::Open;
use crate::types::{Dialect, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::lock::{LockElement, LockFlags, LockRequest, LockResponse};
use crate::wire::negotiate::Capabilities;
use smallvec::SmallVec;
use std::sync::Arc;

type Ranges = SmallVec<[LockRange; 2]>;

pub fn handle(ctx: &mut Ctx<'_>, body: Reader<'_>, reply: &mut Reply) -> Handled {
    let waited = ctx.flight.is_some_and(|flight| flight.has_waited());
    match run(ctx, body, reply) {
        // Its open was closed while it waited: as if it had not been woken in between.
        Err(Fail::Status(NtStatus::FILE_CLOSED)) if waited => Err(NtStatus::RANGE_NOT_LOCKED.into()),
        other => other,
    }
}

fn run(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = LockRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    file_of(&open)?;
    let area = &open.tree.disk()?.area;
    let sequence = sequence(ctx, &open, &request);
    match List::of(&request.locks)? {
        List::Unlock { ranges, spoiled } => {
            if !ctx.flight.is_none_or(|f| f.commits()) {
                return Err(NtStatus::CANCELLED.into());
            }
            let sequence = sequence.filter(|_| !spoiled);
            let mut local = Local::of(&open);
            if let Some(local) = &mut local {
                // First for local programs: who is granted the range by the rules must find it free there.
                let rules = area.rules.lock();
                let before = rules.held_locks(open.open_id(), &ranges);
                let after = rules.left_by_unlock(open.open_id(), &ranges, sequence);
                drop(rules);
                local.change(&before, &after);
            }
            let (status, effects) = area.rules.lock().unlock(open.open_id(), &ranges, sequence, area.now());
            ctx.effects.extend(effects);
            // Some of them may have gone all the same. What the disk has no room for it hears of later: a crash until then
            // gives the client back what he unlocked, until he closes.
            let _ = ctx.gate.keeper.note(&open);
            if status.is_error() {
                return Err(status.into());
            }
            if spoiled {
                return Err(NtStatus::INVALID_PARAMETER.into());
            }
        }
        // 3.3.5.2.9: of a session whose ticket has run out only unlocks are taken.
        List::Lock { .. } if ctx.session()?.is_expired() && !ctx.flight.is_some_and(|f| f.has_waited()) => {
            return Err(NtStatus::NETWORK_SESSION_EXPIRED.into());
        }
        List::Lock { ranges, wait } => {
            let wait = if wait {
                Some(Wait::for_rules(ctx, area)?)
            } else if ctx.flight.is_none_or(|f| f.commits()) {
                None
            } else {
                return Err(NtStatus::CANCELLED.into());
            };
            let mut local = Local::of(&open);
            let ask = LockAsk {
                open: open.open_id(),
                ranges: &ranges,
                wait: wait.as_ref().map(Wait::id),
                sequence,
                // Who waits is asked again too where the disk has to hear of it before he does.
                outside: local.is_some() || open.is_persistent(),
            };
            let mut rules = area.rules.lock();
            // Whether it can be granted or not (MS-FSA 2.1.5.8).
            ctx.effects.extend(rules.break_for_lock(open.open_id()));
            let before = local.as_ref().map(|_| rules.held_locks(open.open_id(), &ranges));
            let mut locking = rules.lock(&ask, area.now());
            let after = local.as_ref().map(|_| rules.held_locks(open.open_id(), &ranges));
            drop(rules);
            if let (Locking::Granted, Some(local), Some(before), Some(after)) =
                (locking, &mut local, before, after)
                && !local.change(&before, &after)
            {
                let (decided, effects) = area.rules.lock().lock_refused_outside(&ask, area.now());
                ctx.effects.extend(effects);
                locking = decided;
                if let (Locking::Waiting, Some(flight)) = (locking, ctx.flight) {
                    local::ask_again_later(ctx.gate, area, flight);
                }
            }
            drop(local);
            if locking == Locking::Waiting {
                return Err(Fail::Pending);
            }
            if let Some(wait) = wait {
                wait.over();
            }
            if let Locking::Refused(status) = locking {
                return Err(status.into());
            }
            if ctx.gate.keeper.note(&open).is_err() {
                give_back(ctx, &open, &ranges, sequence);
                // Whichever it was, it is not the client's disk.
                return Err(NtStatus::INSUFFICIENT_RESOURCES.into());
            }
        }
    }
    LockResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// What was granted cannot be kept on disk, and so it was not.
fn give_back(ctx: &mut Ctx<'_>, open: &Arc<Open>, ranges: &Ranges, sequence: Option<LockSequence>) {
    let Ok(disk) = open.tree.disk() else { return };
    let (area, id) = (&disk.area, open.open_id());
    let mut local = Local::of(open);
    let mut rules = area.rules.lock();
    let before = rules.held_locks(id, ranges);
    let ask = LockAsk { open: id, ranges, wait: None, sequence, outside: true };
    let (_, effects) = rules.lock_refused_outside(&ask, area.now());
    let after = rules.held_locks(id, ranges);
    drop(rules);
    ctx.effects.extend(effects);
    if let Some(local) = &mut local {
        local.change(&before, &after);
    }
    ctx.gate.keeper.changed(open);
}

/// The request's lock sequence, where it is verified: on durable opens, and on every open of a client that may have
/// several channels.
fn sequence(ctx: &Ctx<'_>, open: &Open, request: &LockRequest) -> Option<LockSequence> {
    let negotiated = ctx.conn.negotiated.get()?;
    let durable = open.durability.get().is_some_and(|d| d.timeout().is_some());
    let channels =
        negotiated.dialect.is_smb3() && negotiated.server_capabilities.contains(Capabilities::MULTI_CHANNEL);
    let verified =
        negotiated.dialect != Dialect::SMB2_02 && (durable || channels) && request.lock_sequence_index != 0;
    verified
        .then_some(LockSequence { index: request.lock_sequence_index, number: request.lock_sequence_number })
}

/// What a list of elements asks for. The first one decides which it is.
#[derive(Debug, PartialEq, Eq)]
enum List {
    /// 3.3.5.14.1. `spoiled`: an element follows that is no unlock; what stands before it is unlocked all the
    /// same.
    Unlock { ranges: Ranges, spoiled: bool },
    /// 3.3.5.14.2: all or none.
    Lock { ranges: Ranges, wait: bool },
}

impl List {
    fn of(elements: &[LockElement]) -> Result<List, NtStatus> {
        let first = elements.first().ok_or(NtStatus::INVALID_PARAMETER)?;
        if first.flags.contains(LockFlags::UNLOCK) {
            let ranges: Ranges =
                elements.iter().take_while(|e| e.flags == LockFlags::UNLOCK).map(range).collect();
            return match ranges.len() {
                0 => Err(NtStatus::INVALID_PARAMETER),
                n => Ok(List::Unlock { ranges, spoiled: n < elements.len() }),
            };
        }
        let immediate = |e: &LockElement| e.flags.contains(LockFlags::FAIL_IMMEDIATELY);
        let valid = |e: &LockElement| {
            let kind = e.flags & !LockFlags::FAIL_IMMEDIATELY;
            kind == LockFlags::SHARED_LOCK || kind == LockFlags::EXCLUSIVE_LOCK
        };
        // Only a single lock can wait.
        if !elements.iter().all(valid) || (elements.len() > 1 && !elements.iter().all(immediate)) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        Ok(List::Lock { ranges: elements.iter().map(range).collect(), wait: !immediate(first) })
    }
}

fn range(element: &LockElement) -> LockRange {
    LockRange {
        offset: element.offset,
        length: element.length,
        exclusive: element.flags.contains(LockFlags::EXCLUSIVE_LOCK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: LockFlags = LockFlags::SHARED_LOCK;
    const EXCLUSIVE: LockFlags = LockFlags::EXCLUSIVE_LOCK;
    const UNLOCK: LockFlags = LockFlags::UNLOCK;
    const NOW: LockFlags = LockFlags::FAIL_IMMEDIATELY;

    fn list(flags: &[LockFlags]) -> Result<List, NtStatus> {
        let elements: Vec<_> =
            flags.iter().zip(0..).map(|(&flags, offset)| LockElement { offset, length: 1, flags }).collect();
        List::of(&elements)
    }

    fn refused(flags: &[LockFlags]) -> bool {
        list(flags) == Err(NtStatus::INVALID_PARAMETER)
    }

    #[test]
    fn a_single_lock_may_wait_and_several_may_not() {
        assert!(matches!(list(&[SHARED]), Ok(List::Lock { wait: true, .. })));
        assert!(matches!(list(&[EXCLUSIVE | NOW]), Ok(List::Lock { wait: false, .. })));
        assert!(matches!(list(&[EXCLUSIVE | NOW, SHARED | NOW]), Ok(List::Lock { wait: false, .. })));
        assert!(refused(&[SHARED | NOW, SHARED]));
        assert!(refused(&[SHARED, SHARED]));
    }

    #[test]
    fn flags_that_mean_nothing_are_refused() {
        assert!(refused(&[]));
        assert!(refused(&[LockFlags::empty()]));
        assert!(refused(&[NOW]));
        assert!(refused(&[SHARED | EXCLUSIVE]));
        assert!(refused(&[!(SHARED | EXCLUSIVE | UNLOCK | NOW)]));
        assert!(refused(&[UNLOCK | SHARED]));
        assert!(refused(&[UNLOCK | NOW]));
        assert!(refused(&[SHARED | NOW, UNLOCK]));
    }

    #[test]
    fn unlocks_before_a_wrong_element_are_done() {
        let Ok(List::Unlock { ranges, spoiled }) = list(&[UNLOCK, UNLOCK, EXCLUSIVE | NOW]) else { panic!() };
        assert_eq!((ranges.len(), spoiled), (2, true));
        assert!(matches!(list(&[UNLOCK, UNLOCK]), Ok(List::Unlock { spoiled: false, .. })));
    }
}
