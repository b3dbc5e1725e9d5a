//! Between the times on disk and those that clients are told (`fsa::times`).

use crate::fsa::{FileTimes, Mend};
use crate::posix::{Stat, Times};
use crate::session::{Disk, FileOpen, Open};
use crate::types::NtStatus;
use crate::wire::fscc::file_info::FileStatus;

pub use super::gate::now;

pub fn of(stat: &Stat) -> FileTimes {
    FileTimes { accessed: stat.accessed, written: stat.written, changed: stat.changed }
}

/// The same facts with the times as they are told.
pub fn told(disk: &Disk, stat: Stat) -> Stat {
    let FileTimes { accessed, written, changed } =
        disk.area.rules.lock().told(stat.key, of(&stat), disk.area.now());
    Stat { accessed, written, changed, ..stat }
}

/// As it stands in answers. `stat`: as it is told.
pub fn status(stat: &Stat) -> FileStatus {
    FileStatus {
        creation_time: stat.created,
        last_access_time: stat.accessed,
        last_write_time: stat.written,
        change_time: stat.changed,
        allocation_size: stat.allocation,
        end_of_file: stat.size,
        file_attributes: stat.attributes,
    }
}

/// What is open, as it is told of. Blocks.
pub fn stat(disk: &Disk, file: &FileOpen) -> Result<Stat, NtStatus> {
    Ok(told(disk, disk.area.export()?.stat(&file.object)?))
}

/// It was changed in a way that shows at once, or what was written is to show now.
pub fn show(disk: &Disk, open: &Open, file: &FileOpen, changed: bool) {
    let wall = changed.then(now);
    let looked_for = disk.area.rules.lock().show_times(open.open_id(), wall);
    if looked_for {
        // For what is told next of a file that is written to again.
        let _ = stat(disk, file);
    }
}

/// Before an open is closed. Blocks.
pub fn close(disk: &Disk, open: &Open, file: &FileOpen) {
    let mend = disk.area.rules.lock().mend_at_close(open.open_id());
    mended(disk, open, file, mend);
}

pub fn mended(disk: &Disk, open: &Open, file: &FileOpen, mend: Mend) {
    if !mend.is_needed() {
        return;
    }
    if let Err(status) = try_mend(disk, file, mend) {
        log::info!("share {}: the times of a file stay as they are: {status}", open.share().name);
    }
}

fn try_mend(disk: &Disk, file: &FileOpen, mend: Mend) -> Result<(), NtStatus> {
    let export = disk.area.export()?;
    let there = export.stat(&file.object)?;
    let times = Times {
        created: None,
        accessed: mend.accessed.filter(|time| *time != there.accessed),
        written: match mend.written {
            Some((time, last)) if there.written <= last => Some(time).filter(|time| *time != there.written),
            _ => mend.touch.then(now),
        },
        // Setting another moves it.
        changed: mend.changed,
    };
    let moved = times.accessed.is_some() || times.written.is_some();
    if moved || times.changed.is_some_and(|time| time != there.changed) {
        export.set_times(&file.object, times)?;
    }
    Ok(())
}
