//! Times, attributes and mode (MS-FSA 2.1.5.15.2, 2.1.5.15.8).

use super::Subject;
use crate::fsa::change::Facets;
use crate::posix::Times;
use crate::session::FileOpen;
use crate::types::{CreateOptions, FileAttributes, FileTime, NtStatus};
use crate::wire::fscc::file_info::BasicInfo;
use crate::wire::fscc::set_info::TimeChange;

pub fn set(subject: &mut Subject<'_>, info: &BasicInfo) -> Result<(), NtStatus> {
    let (times, mut facets) = times(info)?;
    let attributes = attributes(info.file_attributes, subject.file.directory)?;
    if !attributes.is_empty() {
        // Whether it is sparse is not for this to say (MS-FSA 2.1.5.15.2), but for FSCTL_SET_SPARSE.
        let sparse = FileAttributes::SPARSE_FILE;
        let attributes = (attributes - sparse) | (subject.stat()?.attributes & sparse);
        subject.export.set_attributes(&subject.file.object, attributes)?;
        facets |= Facets::ATTRIBUTES;
    }
    if times != Times::default() {
        subject.export.set_times(&subject.file.object, times)?;
    }
    subject.tell_modified(facets);
    Ok(())
}

/// A time that is to be frozen or thawed stays as it is. The change time is the file system's own.
fn times(info: &BasicInfo) -> Result<(Times, Facets), NtStatus> {
    let asked = |field| TimeChange::of(field).ok_or(NtStatus::INVALID_PARAMETER);
    asked(info.change_time)?;
    let mut facets = Facets::empty();
    let mut time = |field, facet| -> Result<Option<FileTime>, NtStatus> {
        Ok(match asked(field)? {
            TimeChange::Set(time) => {
                facets |= facet;
                Some(time)
            }
            TimeChange::Keep | TimeChange::Freeze | TimeChange::Thaw => None,
        })
    };
    let times = Times {
        created: time(info.creation_time, Facets::CREATION)?,
        accessed: time(info.last_access_time, Facets::LAST_ACCESS)?,
        written: time(info.last_write_time, Facets::LAST_WRITE)?,
    };
    Ok((times, facets))
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
    fn zero_and_minus_one_and_two_change_no_time() {
        let info = BasicInfo {
            creation_time: FileTime(0),
            last_access_time: FileTime(u64::MAX),
            last_write_time: FileTime(u64::MAX - 1),
            ..BasicInfo::default()
        };
        assert_eq!(times(&info), Ok((Times::default(), Facets::empty())));
        let info = BasicInfo { last_write_time: FileTime(5), ..info };
        let written = Times { written: Some(FileTime(5)), ..Times::default() };
        assert_eq!(times(&info), Ok((written, Facets::LAST_WRITE)));
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
