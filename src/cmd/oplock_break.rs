//! OPLOCK_BREAK acknowledgments (MS-SMB2 3.3.5.22). No lease is granted, so there is never one whose break could be
//! acknowledged.

use super::{Ctx, Handled, Reply};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::oplock_break::{OplockBreak, OplockBreakMessage};

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let OplockBreakMessage::Oplock(answer) = OplockBreakMessage::decode(&mut body)? else {
        return Err(NtStatus::OBJECT_NAME_NOT_FOUND.into());
    };
    let open = ctx.open(answer.file_id)?;
    let area = &open.tree.disk()?.area;
    let (kept, effects) =
        area.rules.lock().acknowledge_break(open.open_id(), answer.oplock_level, area.now());
    open.breaks.answered();
    ctx.effects.extend(effects);
    OplockBreak { oplock_level: kept?, file_id: open.id }.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}
