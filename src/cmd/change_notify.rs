//! CHANGE_NOTIFY (MS-SMB2 3.3.5.19), onto MS-FSA 2.1.5.11.

use super::wait::Wait;
use super::{Ctx, Fail, Handled, Reply, effects, file_of};
use crate::conn::flight::Answer;
use crate::fsa::{Filter, NotifyAsk, Notifying};
use crate::session::{Area, FileOpen, Open};
use crate::types::NtStatus;
use crate::watch::Interest;
use crate::wire::change_notify::{ChangeNotifyFlags, ChangeNotifyRequest};
use crate::wire::codec::Reader;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = ChangeNotifyRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    ctx.check_payload(request.output_buffer_length as usize)?;
    let file = file_of(&open)?;
    if !open.tree.disk()?.settings.change_notify {
        return Err(NtStatus::NOT_IMPLEMENTED.into());
    }
    if ctx.header.next_command != 0 {
        // What follows in the compound would wait for something to happen, perhaps forever: refused as Windows does.
        return Err(NtStatus::INTERNAL_ERROR.into());
    }
    let area = &open.tree.disk()?.area;
    let filter = Filter::from_bits_retain(request.completion_filter.bits());
    let recursive = request.flags.contains(ChangeNotifyFlags::WATCH_TREE);
    watch(area, &open, file, filter, recursive);
    let wait = Wait::for_rules(ctx, area)?;
    let ask = NotifyAsk {
        open: open.open_id(),
        waiter: wait.id(),
        filter,
        recursive,
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

/// What others do is heard of before the client relies on it. Where it cannot be, the log says so, and the client hears
/// of what is done through us.
fn watch(area: &Area, open: &Open, file: &FileOpen, filter: Filter, recursive: bool) {
    // Filter and depth of an open are those of its first request.
    if !file.directory || area.rules.lock().watches(open.open_id()) {
        return;
    }
    let Some(path) = area.rules.lock().path_of(open.open_id()) else { return };
    let mut interest = Interest::NAMES;
    interest.set(Interest::CONTENT, filter.intersects(!(Filter::FILE_NAME | Filter::DIR_NAME)));
    let token = match recursive {
        true => area.watch.ensure_tree(&file.object, &path, interest),
        false => area.watch.ensure(&file.object, &path, interest),
    };
    file.watched.lock().extend(token);
}
