//! Handles that clients only keep are asked back before a rename, link or deletion is decided.

use super::Subject;
use crate::cmd::wait::Wait;
use crate::cmd::{Ctx, Fail};
use crate::fsa::{Disposition, Way};
use crate::posix::SmbPath;
use crate::types::NodeKey;
use crate::wire::fscc::set_info::{RenameInfo, SetFileInfo};

/// Pending: somebody has to answer first; then all of the request is done again.
pub fn clear(ctx: &mut Ctx<'_>, subject: &Subject<'_>, info: &SetFileInfo<'_>) -> Result<(), Fail> {
    let open = subject.open.open_id();
    let area = &subject.disk.area;
    if !area.rules.lock().has_leases() {
        return Ok(());
    }
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

/// What stands at the new name. What is wrong with that name, the rename itself will say.
fn target(subject: &Subject<'_>, info: &RenameInfo) -> Option<NodeKey> {
    let path = SmbPath::parse(&info.file_name).ok()?;
    let (node, _) = subject.export.target(&path).ok()?.existing?;
    Some(node).filter(|node| *node != subject.file.key)
}
