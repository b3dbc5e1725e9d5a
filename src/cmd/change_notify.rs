//! CHANGE_NOTIFY (MS-SMB2 3.3.5.19), onto MS-FSA 2.1.5.11.

use super::wait::Wait;
use super::{Ctx, Fail, Handled, Reply, effects, file_of};
use crate::conn::flight::Answer;
use crate::fsa::{Filter, NotifyAsk, Notifying};
use crate::types::NtStatus;
use crate::wire::change_notify::{ChangeNotifyFlags, ChangeNotifyRequest};
use crate::wire::codec::Reader;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = ChangeNotifyRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    ctx.check_payload(request.output_buffer_length as usize)?;
    file_of(&open)?;
    if !open.tree.disk()?.settings.change_notify {
        return Err(NtStatus::NOT_IMPLEMENTED.into());
    }
    if ctx.header.next_command != 0 {
        // What follows in the compound would wait for something to happen, perhaps forever: refused as Windows does.
        return Err(NtStatus::INTERNAL_ERROR.into());
    }
    let area = &open.tree.disk()?.area;
    let wait = Wait::for_rules(ctx, area)?;
    let ask = NotifyAsk {
        open: open.open_id(),
        waiter: wait.id(),
        filter: Filter::from_bits_retain(request.completion_filter.bits()),
        recursive: request.flags.contains(ChangeNotifyFlags::WATCH_TREE),
        buffer: request.output_buffer_length as usize,
    };
    let notifying = area.rules.lock().notify(&ask, area.now());
    if notifying == Notifying::Waiting {
        return Err(Fail::Pending);
    }
    wait.over();
    match notifying {
        Notifying::Answered(notified) => {
            let Answer { status, body } = effects::notified(&notified);
            if status.is_error() {
                return Err(status.into());
            }
            reply.body().bytes(&body);
            Ok(status)
        }
        Notifying::Refused(status) => Err(status.into()),
        Notifying::Waiting => unreachable!("seen above"),
    }
}
