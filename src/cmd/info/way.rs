//! Handles that clients only keep are asked back before a rename, link or deletion is decided.

use super::Subject;
use crate::cmd::wait::Wait;
use crate::cmd::{Ctx, Fail, Gate, close};
use crate::fsa::{Disposition, Way};
use crate::posix::SmbPath;
use crate::types::NodeKey;
use crate::wire::fscc::set_info::{RenameFlags, RenameInfo, SetFileInfo};
use std::sync::Arc;

/// Pending: somebody has to answer first; then all of the request is done again.
pub fn clear(ctx: &mut Ctx<'_>, subject: &Subject<'_>, info: &SetFileInfo<'_>) -> Result<(), Fail> {
    let open = subject.open.open_id();
    let area = &subject.disk.area;
    let way = match info {
        SetFileInfo::Rename(info) => {
            Way { open, target: target(subject, info), beneath: subject.file.directory }
        }
        SetFileInfo::Link(info) => Way { open, target: target(subject, info), beneath: false },
        SetFileInfo::Disposition(flags) if flags.contains(Disposition::DELETE) => {
            Way { open, target: None, beneath: false }
        }
        _ => return Ok(()),
    };
    if !area.rules.lock().is_in_the_way(&way) {
        return Ok(());
    }
    let wait = Wait::for_rules(ctx, area)?;
    let asked = area.rules.lock().clear_the_way(&way, wait.id());
    match asked {
        Some(effects) => {
            ctx.effects.extend(effects);
            Err(Fail::Pending)
        }
        None => {
            wait.over();
            Ok(())
        }
    }
}

/// The file is going: handles that wait for a client who lost his connection do not keep it. (Those of others were asked back
/// before; this is for his own, which he left behind when he opened the file anew.)
pub fn give_up_waiting(gate: &Arc<Gate>, subject: &Subject<'_>, flags: Disposition) {
    if !flags.contains(Disposition::DELETE) {
        return;
    }
    let others = subject.disk.area.rules.lock().others_of(subject.open.open_id());
    for open in others.into_iter().filter_map(|id| gate.opens.by_volatile(id.0)) {
        close::give_way(gate, &open);
    }
}

/// What is replaced at the new name. What is wrong with that name, the rename itself will say.
fn target(subject: &Subject<'_>, info: &RenameInfo) -> Option<NodeKey> {
    if !info.flags.contains(RenameFlags::REPLACE_IF_EXISTS) {
        return None;
    }
    let path = SmbPath::parse(&info.file_name).ok()?;
    let (node, _) = subject.export.target(&path).ok()?.existing?;
    Some(node).filter(|node| *node != subject.file.key)
}
