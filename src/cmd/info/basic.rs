//! Times, attributes and mode (MS-FSA 2.1.5.15.2, 2.1.5.15.8).

use super::Subject;
use crate::cmd::times;
use crate::fsa::change::Facets;
use crate::fsa::{FileTimes, TimeChange, TimesAsk};
use crate::posix::Times;
use crate::session::FileOpen;
use crate::types::{CreateOptions, FileAttributes, FileTime, NtStatus};
use crate::wire::fscc::file_info::BasicInfo;

/// True: times are said something of, and what the open has frozen may be something else now.
pub fn set(subject: &mut Subject<'_>, info: &BasicInfo) -> Result<bool, NtStatus> {
    let (ask, created, mut facets) = times(info)?;
    let attributes = attributes(info.file_attributes, subject.file.directory)?;
    let id = subject.open.open_id();
    let rules = &subject.disk.area.rules;
    rules.lock().show_times(id, None);
    // What is frozen is frozen as it is now.
    let before = if ask.freezes() { times::of(&subject.stat()?) } else { FileTimes::default() };
    if !attributes.is_empty() {
        // Whether it is sparse is not for this to say (MS-FSA 2.1.5.15.2), but for FSCTL_SET_SPARSE.
        let sparse = FileAttributes::SPARSE_FILE;
        let attributes = (attributes - sparse) | (subject.stat()?.attributes & sparse);
        subject.export.set_attributes(&subject.file.object, attributes)?;
        facets |= Facets::ATTRIBUTES;
    }
    let set = |change| if let TimeChange::Set(time) = change { Some(time) } else { None };
    let times =
        Times { created, accessed: set(ask.accessed), written: set(ask.written), changed: set(ask.changed) };
    if times != Times::default() {
        subject.export.set_times(&subject.file.object, times)?;
    }
    let there = times::of(&subject.export.stat(&subject.file.object)?);
    let mend = rules.lock().set_times(id, ask, before, there, subject.disk.area.now());
    times::mended(subject.disk, subject.open, subject.file, mend);
    subject.tell_modified(facets);
    Ok(!ask.is_empty())
}

/// The time of creation is not moved by anything: to freeze and to thaw it means nothing.
fn times(info: &BasicInfo) -> Result<(TimesAsk, Option<FileTime>, Facets), NtStatus> {
    let asked = |field| TimeChange::of(field).ok_or(NtStatus::INVALID_PARAMETER);
    let mut facets = Facets::empty();
    let mut time = |field, facet| -> Result<TimeChange, NtStatus> {
        let change = asked(field)?;
        if matches!(change, TimeChange::Set(_)) {
            facets |= facet;
        }
        Ok(change)
    };
    let created = match time(info.creation_time, Facets::CREATION)? {
        TimeChange::Set(time) => Some(time),
        _ => None,
    };
    let ask = TimesAsk {
        accessed: time(info.last_access_time, Facets::LAST_ACCESS)?,
        written: time(info.last_write_time, Facets::LAST_WRITE)?,
        changed: time(info.change_time, Facets::empty())?,
    };
    Ok((ask, created, facets))
}

fn attributes(asked: FileAttributes, directory: bool) -> Result<FileAttributes, NtStatus> {
    let wrong = if directory { FileAttributes::TEMPORARY } else { FileAttributes::DIRECTORY };
    if asked.intersects(wrong) { Err(NtStatus::INVALID_PARAMETER) } else { Ok(asked) }
}

const SYNCHRONOUS: CreateOptions =
    CreateOptions::SYNCHRONOUS_IO_ALERT.union(CreateOptions::SYNCHRONOUS_IO_NONALERT);

/// What FileModeInformation can say (MS-FSCC 2.4.31), beside DELETE_ON_CLOSE.
const MODE: CreateOptions = CreateOptions::WRITE_THROUGH
    .union(CreateOptions::SEQUENTIAL_ONLY)
    .union(CreateOptions::NO_INTERMEDIATE_BUFFERING)
    .union(SYNCHRONOUS);

pub fn set_mode(file: &FileOpen, mode: u32) -> Result<(), NtStatus> {
    let asked = CreateOptions::from_bits_retain(mode);
    if !MODE.contains(asked) || asked.contains(SYNCHRONOUS) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    file.set_mode(asked);
    Ok(())
}

/// The mode in force: as set, else as opened.
pub fn mode(file: &FileOpen, deletes_on_close: bool) -> u32 {
    let mut mode = file.mode() & MODE;
    mode.set(CreateOptions::DELETE_ON_CLOSE, deletes_on_close);
    mode.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_minus_one_and_two_set_no_time() {
        let info = BasicInfo {
            creation_time: FileTime(u64::MAX),
            last_access_time: FileTime(u64::MAX),
            last_write_time: FileTime(u64::MAX - 1),
            ..BasicInfo::default()
        };
        let ask =
            TimesAsk { accessed: TimeChange::Freeze, written: TimeChange::Thaw, changed: TimeChange::Keep };
        assert_eq!(times(&info), Ok((ask, None, Facets::empty())));
        let info = BasicInfo { last_write_time: FileTime(5), ..info };
        let written = TimesAsk { written: TimeChange::Set(FileTime(5)), ..ask };
        assert_eq!(times(&info), Ok((written, None, Facets::LAST_WRITE)));
        for bad in [
            BasicInfo { change_time: FileTime(u64::MAX - 2), ..info },
            BasicInfo { creation_time: FileTime(1 << 63), ..info },
        ] {
            assert_eq!(times(&bad), Err(NtStatus::INVALID_PARAMETER));
        }
    }

    #[test]
    fn no_file_becomes_a_directory_and_no_directory_is_temporary() {
        let bad = Err(NtStatus::INVALID_PARAMETER);
        assert_eq!(attributes(FileAttributes::DIRECTORY, false), bad);
        assert_eq!(attributes(FileAttributes::TEMPORARY, true), bad);
        let hidden = FileAttributes::DIRECTORY | FileAttributes::HIDDEN;
        assert_eq!(attributes(hidden, true), Ok(hidden));
    }
}
