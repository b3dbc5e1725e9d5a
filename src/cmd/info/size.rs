//! Sizes (MS-FSA 2.1.5.15.1 FileAllocationInformation, 2.1.5.15.4 FileEndOfFileInformation).

use super::Subject;
use crate::fsa::change::Facets;
use crate::types::NtStatus;

pub fn set_end_of_file(subject: &mut Subject<'_>, size: i64) -> Result<(), NtStatus> {
    let size = of_file(subject, size)?;
    let now = subject.file.object.size()?;
    // What is cut off or comes into being is written.
    check_locks(subject, size.min(now), size.abs_diff(now))?;
    subject.file.object.set_size(size)?;
    subject.tell_modified(Facets::WRITTEN);
    Ok(())
}

pub fn set_allocation(subject: &mut Subject<'_>, size: i64) -> Result<(), NtStatus> {
    let size = of_file(subject, size)?;
    let now = subject.file.object.size()?;
    let cut = now.saturating_sub(size);
    check_locks(subject, size, cut)?;
    subject.file.object.set_allocation(size)?;
    subject.tell_modified(if cut > 0 { Facets::WRITTEN } else { Facets::SIZE });
    Ok(())
}

/// Directories have no size to set.
fn of_file(subject: &Subject<'_>, size: i64) -> Result<u64, NtStatus> {
    if subject.file.directory {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    u64::try_from(size).map_err(|_| NtStatus::INVALID_PARAMETER)
}

fn check_locks(subject: &Subject<'_>, from: u64, len: u64) -> Result<(), NtStatus> {
    if subject.disk.area.rules.lock().may_write(subject.open.open_id(), from, len) {
        Ok(())
    } else {
        Err(NtStatus::FILE_LOCK_CONFLICT)
    }
}
