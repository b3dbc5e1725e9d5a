//! OPLOCK_BREAK acknowledgments (MS-SMB2 3.3.5.22), of oplocks and of leases.

use super::{Ctx, Handled, Reply};
use crate::fsa::LeaseId;
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::oplock_break::{LeaseBreakAck, OplockBreak, OplockBreakMessage};

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    match OplockBreakMessage::decode(&mut body)? {
        OplockBreakMessage::Oplock(answer) => oplock(ctx, answer, reply),
        OplockBreakMessage::Lease(answer) => lease(ctx, answer, reply),
        OplockBreakMessage::LeaseNotification(_) => Err(NtStatus::INVALID_PARAMETER.into()),
    }
}

fn oplock(ctx: &mut Ctx<'_>, answer: OplockBreak, reply: &mut Reply) -> Handled {
    let open = ctx.open(answer.file_id)?;
    let area = &open.tree.disk()?.area;
    let (kept, effects) =
        area.rules.lock().acknowledge_break(open.open_id(), answer.oplock_level, area.now());
    open.breaks.answered();
    ctx.gate.keeper.changed(&open);
    ctx.effects.extend(effects);
    OplockBreak { oplock_level: kept?, file_id: open.id }.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// 3.3.5.22.2. It may come on any connection of the client.
fn lease(ctx: &mut Ctx<'_>, answer: LeaseBreakAck, reply: &mut Reply) -> Handled {
    let client = ctx.negotiated()?.client_guid;
    let id = LeaseId { client, key: answer.lease_key };
    let lease = ctx.gate.leases.get(id).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
    let area = &lease.area;
    let mut rules = area.rules.lock();
    let effects = match rules.acknowledge_lease(id, answer.lease_state, area.now()) {
        Ok(effects) => effects,
        Err(status) => {
            if status == NtStatus::REQUEST_NOT_ACCEPTED {
                ctx.effects.extend(rules.remind(id));
            }
            return Err(status.into());
        }
    };
    drop(rules);
    lease.breaks.answered();
    lease.opens(&ctx.gate.opens).iter().for_each(|open| ctx.gate.keeper.changed(open));
    ctx.effects.extend(effects);
    answer.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}
