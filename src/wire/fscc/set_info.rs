//! What SET_INFO can carry for a file (MS-FSCC 2.4) or a file system (2.5).

use super::classes::{FileInfoClass, FsInfoClass};
use super::file_info::{BasicInfo, CaseSensitiveInfo, PipeInfo};
use super::fs_info::{FsControlInfo, FsObjectIdInfo};
use super::layout::encode_name;
use crate::types::{FileTime, NtStatus};
use crate::wire::codec::{Reader, Result as WireResult, Writer};

/// What a time field of [`BasicInfo`] asks for in a set (MS-FSCC 2.4.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeChange {
    /// 0: leave it.
    Keep,
    /// -1: leave it, and stop changing it for operations on this open.
    Freeze,
    /// -2: operations on this open change it again.
    Thaw,
    Set(FileTime),
}

impl TimeChange {
    /// None for other negative values: STATUS_INVALID_PARAMETER.
    pub const fn of(field: FileTime) -> Option<TimeChange> {
        match field.0 as i64 {
            0 => Some(TimeChange::Keep),
            -1 => Some(TimeChange::Freeze),
            -2 => Some(TimeChange::Thaw),
            i64::MIN..0 => None,
            _ => Some(TimeChange::Set(field)),
        }
    }
}

bitflags::bitflags! {
    /// MS-FSCC 2.4.12 Flags of FileDispositionInformationEx. `DELETE` alone is what
    /// FileDispositionInformation says.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct DispositionFlags: u32 {
        const DELETE = 1;
        const POSIX_SEMANTICS = 2;
        const FORCE_IMAGE_SECTION_CHECK = 4;
        const ON_CLOSE = 8;
        const IGNORE_READONLY_ATTRIBUTE = 0x10;
        const _ = !0;
    }

    /// MS-FSCC 2.4.43 and 2.4.29 Flags of the Ex forms of rename and link.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct RenameFlags: u32 {
        const REPLACE_IF_EXISTS = 1;
        const POSIX_SEMANTICS = 2;
        const SUPPRESS_PIN_STATE_INHERITANCE = 4;
        const SUPPRESS_STORAGE_RESERVE_INHERITANCE = 8;
        const NO_INCREASE_AVAILABLE_SPACE = 0x10;
        const NO_DECREASE_AVAILABLE_SPACE = 0x20;
        const IGNORE_READONLY_ATTRIBUTE = 0x40;
        const _ = !0;
    }
}

/// Where a rename or a link goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RenameInfo {
    pub flags: RenameFlags,
    /// MUST be zero over the network.
    pub root_directory: u64,
    /// Relative to the share's root; `:stream` renames a stream.
    pub file_name: String,
}

impl RenameInfo {
    /// The SMB2 form: the older classes carry ReplaceIfExists in the byte where the Ex classes have the
    /// low byte of Flags.
    pub fn encode(&self, ex: bool, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u32(if ex { self.flags.bits() } else { (self.flags & RenameFlags::REPLACE_IF_EXISTS).bits() });
        w.u32(0);
        w.u64(self.root_directory);
        encode_name(w, &self.file_name);
        // "MUST be at least 24 bytes long": Windows refuses less.
        w.zeros((at + 24).saturating_sub(w.pos()));
    }

    fn decode(ex: bool, r: &mut Reader<'_>) -> WireResult<RenameInfo> {
        let flags = if ex {
            RenameFlags::from_bits_retain(r.u32("Flags")?)
        } else {
            let replace = r.u8("ReplaceIfExists")? != 0;
            r.skip(3, "Reserved")?;
            if replace { RenameFlags::REPLACE_IF_EXISTS } else { RenameFlags::empty() }
        };
        r.skip(4, "Reserved")?;
        let root_directory = r.u64("RootDirectory")?;
        Ok(RenameInfo { flags, root_directory, file_name: super::decode_name(r)? })
    }
}

/// A decoded SET_INFO buffer for a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetFileInfo<'a> {
    Basic(BasicInfo),
    Rename(RenameInfo),
    Link(RenameInfo),
    /// Both disposition classes.
    Disposition(DispositionFlags),
    Position(i64),
    /// The list, to be walked with [`super::eas::decode`].
    FullEa(&'a [u8]),
    Mode(u32),
    Allocation(i64),
    EndOfFile(i64),
    ValidDataLength(i64),
    ShortName(String),
    CaseSensitive(CaseSensitiveInfo),
    Pipe(PipeInfo),
}

impl<'a> SetFileInfo<'a> {
    /// STATUS_INVALID_INFO_CLASS, STATUS_INFO_LENGTH_MISMATCH or, for what stands behind the fixed part,
    /// STATUS_INVALID_PARAMETER.
    pub fn decode(class: FileInfoClass, buffer: &'a [u8]) -> Result<SetFileInfo<'a>, NtStatus> {
        let min = class.set_min().ok_or(NtStatus::INVALID_INFO_CLASS)?;
        if buffer.len() < min {
            return Err(NtStatus::INFO_LENGTH_MISMATCH);
        }
        let mut r = Reader::new(buffer);
        let r = &mut r;
        let size = |r: &mut Reader<'_>| r.u64("size").map(|v| v as i64);
        Ok(match class {
            FileInfoClass::BASIC => SetFileInfo::Basic(BasicInfo::decode(r)?),
            FileInfoClass::RENAME => SetFileInfo::Rename(RenameInfo::decode(false, r)?),
            FileInfoClass::RENAME_EX => SetFileInfo::Rename(RenameInfo::decode(true, r)?),
            FileInfoClass::LINK => SetFileInfo::Link(RenameInfo::decode(false, r)?),
            FileInfoClass::LINK_EX => SetFileInfo::Link(RenameInfo::decode(true, r)?),
            FileInfoClass::DISPOSITION => {
                let delete = r.u8("DeletePending")? != 0;
                let flags = if delete { DispositionFlags::DELETE } else { DispositionFlags::empty() };
                SetFileInfo::Disposition(flags)
            }
            FileInfoClass::DISPOSITION_EX => {
                SetFileInfo::Disposition(DispositionFlags::from_bits_retain(r.u32("Flags")?))
            }
            FileInfoClass::POSITION => SetFileInfo::Position(size(r)?),
            FileInfoClass::FULL_EA => SetFileInfo::FullEa(buffer),
            FileInfoClass::MODE => SetFileInfo::Mode(r.u32("Mode")?),
            FileInfoClass::ALLOCATION => SetFileInfo::Allocation(size(r)?),
            FileInfoClass::END_OF_FILE => SetFileInfo::EndOfFile(size(r)?),
            FileInfoClass::VALID_DATA_LENGTH => SetFileInfo::ValidDataLength(size(r)?),
            FileInfoClass::SHORT_NAME => SetFileInfo::ShortName(super::decode_name(r)?),
            FileInfoClass::CASE_SENSITIVE => SetFileInfo::CaseSensitive(CaseSensitiveInfo::decode(r)?),
            FileInfoClass::PIPE => SetFileInfo::Pipe(PipeInfo::decode(r)?),
            _ => return Err(NtStatus::INVALID_INFO_CLASS),
        })
    }

    /// Writes the buffer for the class that carries all of the value, which is returned.
    pub fn encode(&self, w: &mut Writer<'_>) -> FileInfoClass {
        match self {
            SetFileInfo::Basic(info) => {
                info.encode(w);
                FileInfoClass::BASIC
            }
            SetFileInfo::Rename(info) => {
                let ex = !RenameFlags::REPLACE_IF_EXISTS.contains(info.flags);
                info.encode(ex, w);
                if ex { FileInfoClass::RENAME_EX } else { FileInfoClass::RENAME }
            }
            SetFileInfo::Link(info) => {
                let ex = !RenameFlags::REPLACE_IF_EXISTS.contains(info.flags);
                info.encode(ex, w);
                if ex { FileInfoClass::LINK_EX } else { FileInfoClass::LINK }
            }
            SetFileInfo::Disposition(flags) if DispositionFlags::DELETE.contains(*flags) => {
                w.u8(flags.bits() as u8);
                FileInfoClass::DISPOSITION
            }
            SetFileInfo::Disposition(flags) => {
                w.u32(flags.bits());
                FileInfoClass::DISPOSITION_EX
            }
            SetFileInfo::FullEa(list) => {
                w.bytes(list);
                FileInfoClass::FULL_EA
            }
            SetFileInfo::Mode(mode) => {
                w.u32(*mode);
                FileInfoClass::MODE
            }
            SetFileInfo::Position(v) => {
                w.u64(*v as u64);
                FileInfoClass::POSITION
            }
            SetFileInfo::Allocation(v) => {
                w.u64(*v as u64);
                FileInfoClass::ALLOCATION
            }
            SetFileInfo::EndOfFile(v) => {
                w.u64(*v as u64);
                FileInfoClass::END_OF_FILE
            }
            SetFileInfo::ValidDataLength(v) => {
                w.u64(*v as u64);
                FileInfoClass::VALID_DATA_LENGTH
            }
            SetFileInfo::ShortName(name) => {
                encode_name(w, name);
                FileInfoClass::SHORT_NAME
            }
            SetFileInfo::CaseSensitive(info) => {
                info.encode(w);
                FileInfoClass::CASE_SENSITIVE
            }
            SetFileInfo::Pipe(info) => {
                info.encode(w);
                FileInfoClass::PIPE
            }
        }
    }
}

/// A decoded SET_INFO buffer for a file system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetFsInfo {
    Label(String),
    Control(FsControlInfo),
    ObjectId(FsObjectIdInfo),
}

impl SetFsInfo {
    /// Errors as [`SetFileInfo::decode`].
    pub fn decode(class: FsInfoClass, buffer: &[u8]) -> Result<SetFsInfo, NtStatus> {
        let min = class.set_min().ok_or(NtStatus::INVALID_INFO_CLASS)?;
        if buffer.len() < min {
            return Err(NtStatus::INFO_LENGTH_MISMATCH);
        }
        let mut r = Reader::new(buffer);
        Ok(match class {
            FsInfoClass::LABEL => SetFsInfo::Label(super::decode_name(&mut r)?),
            FsInfoClass::CONTROL => SetFsInfo::Control(FsControlInfo::decode(&mut r)?),
            FsInfoClass::OBJECT_ID => SetFsInfo::ObjectId(FsObjectIdInfo::decode(&mut r)?),
            _ => return Err(NtStatus::INVALID_INFO_CLASS),
        })
    }
}
