//! CREATE and oplocks (MS-SMB2 3.3.5.9, "Oplock Acquisition").

use crate::cmd::{Ctx, Post};
use crate::session::{Disk, Open};
use crate::types::OplockLevel;
use crate::watch::{Interest, NoWatch};
use std::sync::Arc;

/// What the client may cache by an oplock.
pub fn grant(ctx: &mut Ctx<'_>, disk: &Disk, open: &Arc<Open>, asked: OplockLevel) -> OplockLevel {
    if !disk.settings.leases || matches!(asked, OplockLevel::NONE | OplockLevel::LEASE) {
        return OplockLevel::NONE;
    }
    let path = disk.area.rules.lock().path_of(open.open_id());
    let (Some(file), Some(path)) = (open.file(), path) else { return OplockLevel::NONE };
    // What others do that no client sees coming is heard of from here on, or there is no oplock.
    let writes = if asked == OplockLevel::LEVEL_II { Interest::empty() } else { Interest::OPENS };
    let interest = Interest::NAMES | Interest::CONTENT | writes;
    let token = match disk.area.watch.ensure(&file.object, &path, interest) {
        Ok(token) => Some(token),
        Err(NoWatch::Off) => None,
        Err(_) => return OplockLevel::NONE,
    };
    // From the moment it is granted it may be broken.
    open.breaks.hold_back();
    let granted = disk.area.rules.lock().request_oplock(open.open_id(), asked, disk.area.now());
    if granted != OplockLevel::NONE {
        file.watched.lock().extend(token);
        ctx.post = Some(Post::Opened(Arc::clone(open)));
    }
    granted
}
