//! Information classes and the least buffer each is answered in.

use crate::types::open_enum;

open_enum! {
    /// MS-SMB2 2.2.37 InfoType.
    pub struct InfoType(u8) {
        FILE = 1,
        FILESYSTEM = 2,
        SECURITY = 3,
        QUOTA = 4,
    }
}

open_enum! {
    /// MS-FSCC 2.4.
    pub struct FileInfoClass(u8) {
        DIRECTORY = 1,
        FULL_DIRECTORY = 2,
        BOTH_DIRECTORY = 3,
        BASIC = 4,
        STANDARD = 5,
        INTERNAL = 6,
        EA = 7,
        ACCESS = 8,
        NAME = 9,
        RENAME = 10,
        LINK = 11,
        NAMES = 12,
        DISPOSITION = 13,
        POSITION = 14,
        FULL_EA = 15,
        MODE = 16,
        ALIGNMENT = 17,
        ALL = 18,
        ALLOCATION = 19,
        END_OF_FILE = 20,
        ALTERNATE_NAME = 21,
        STREAM = 22,
        PIPE = 23,
        PIPE_LOCAL = 24,
        PIPE_REMOTE = 25,
        MAILSLOT_QUERY = 26,
        MAILSLOT_SET = 27,
        COMPRESSION = 28,
        OBJECT_ID = 29,
        QUOTA = 32,
        REPARSE_POINT = 33,
        NETWORK_OPEN = 34,
        ATTRIBUTE_TAG = 35,
        TRACKING = 36,
        ID_BOTH_DIRECTORY = 37,
        ID_FULL_DIRECTORY = 38,
        VALID_DATA_LENGTH = 39,
        SHORT_NAME = 40,
        SFIO_RESERVE = 44,
        SFIO_VOLUME = 45,
        HARD_LINK = 46,
        NORMALIZED_NAME = 48,
        ID_GLOBAL_TX_DIRECTORY = 50,
        STANDARD_LINK = 54,
        REMOTE_PROTOCOL = 55,
        ID = 59,
        ID_EXTD_DIRECTORY = 60,
        HARD_LINK_FULL_ID = 62,
        ID_EXTD_BOTH_DIRECTORY = 63,
        DISPOSITION_EX = 64,
        RENAME_EX = 65,
        STAT = 68,
        STAT_LX = 70,
        CASE_SENSITIVE = 71,
        LINK_EX = 72,
        STORAGE_RESERVE_ID = 74,
        STAT_BASIC = 77,
        ID_64_EXTD_DIRECTORY = 78,
        ID_64_EXTD_BOTH_DIRECTORY = 79,
        ID_ALL_EXTD_DIRECTORY = 80,
        ID_ALL_EXTD_BOTH_DIRECTORY = 81,
        /// SMB 3.1.1 POSIX extensions.
        POSIX = 100,
    }
}

open_enum! {
    /// MS-FSCC 2.5.
    pub struct FsInfoClass(u8) {
        VOLUME = 1,
        LABEL = 2,
        SIZE = 3,
        DEVICE = 4,
        ATTRIBUTE = 5,
        CONTROL = 6,
        FULL_SIZE = 7,
        OBJECT_ID = 8,
        DRIVER_PATH = 9,
        VOLUME_FLAGS = 10,
        SECTOR_SIZE = 11,
        /// SMB 3.1.1 POSIX extensions.
        POSIX = 100,
    }
}

/// How a class behaves when the buffer is short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuerySize {
    /// A shorter OutputBufferLength is answered with STATUS_INFO_LENGTH_MISMATCH.
    pub min: usize,
    /// Ends with a name or a list: what does not fit is cut off and answered with
    /// STATUS_BUFFER_OVERFLOW.
    pub variable: bool,
}

const fn fixed(min: usize) -> Option<QuerySize> {
    Some(QuerySize { min, variable: false })
}

const fn variable(min: usize) -> Option<QuerySize> {
    Some(QuerySize { min, variable: true })
}

impl FileInfoClass {
    /// The size rule of a class that QUERY_INFO can ask for (MS-FSA 2.1.5.12); None: it is no such class.
    pub const fn query_size(self) -> Option<QuerySize> {
        match self {
            FileInfoClass::BASIC => fixed(40),
            FileInfoClass::STANDARD => fixed(24),
            FileInfoClass::INTERNAL => fixed(8),
            FileInfoClass::EA | FileInfoClass::ACCESS => fixed(4),
            FileInfoClass::MODE | FileInfoClass::ALIGNMENT => fixed(4),
            FileInfoClass::POSITION => fixed(8),
            FileInfoClass::NAME | FileInfoClass::NORMALIZED_NAME => variable(8),
            FileInfoClass::ALTERNATE_NAME => variable(8),
            FileInfoClass::FULL_EA => variable(8),
            FileInfoClass::ALL => variable(104),
            FileInfoClass::STREAM => variable(32),
            FileInfoClass::PIPE => fixed(8),
            FileInfoClass::PIPE_LOCAL => fixed(40),
            FileInfoClass::PIPE_REMOTE => fixed(16),
            FileInfoClass::COMPRESSION => fixed(16),
            FileInfoClass::NETWORK_OPEN => fixed(56),
            FileInfoClass::ATTRIBUTE_TAG => fixed(8),
            FileInfoClass::HARD_LINK => variable(32),
            FileInfoClass::STANDARD_LINK => fixed(12),
            FileInfoClass::ID => fixed(24),
            FileInfoClass::STAT => fixed(72),
            FileInfoClass::STAT_LX => fixed(96),
            FileInfoClass::STAT_BASIC => fixed(104),
            FileInfoClass::CASE_SENSITIVE => fixed(4),
            _ => None,
        }
    }

    /// The least BufferLength of a class that SET_INFO can carry; shorter is
    /// STATUS_INFO_LENGTH_MISMATCH. None: it is no such class.
    pub const fn set_min(self) -> Option<usize> {
        Some(match self {
            FileInfoClass::BASIC => 40,
            FileInfoClass::RENAME | FileInfoClass::RENAME_EX => 20,
            FileInfoClass::LINK | FileInfoClass::LINK_EX => 20,
            FileInfoClass::DISPOSITION => 1,
            FileInfoClass::DISPOSITION_EX => 4,
            FileInfoClass::POSITION => 8,
            FileInfoClass::FULL_EA => 0,
            FileInfoClass::MODE => 4,
            FileInfoClass::ALLOCATION | FileInfoClass::END_OF_FILE => 8,
            FileInfoClass::VALID_DATA_LENGTH => 8,
            FileInfoClass::SHORT_NAME => 4,
            FileInfoClass::CASE_SENSITIVE => 4,
            FileInfoClass::PIPE => 8,
            _ => return None,
        })
    }
}

impl FsInfoClass {
    /// The size rule of a class that QUERY_INFO can ask for (MS-FSA 2.1.5.13); None: it is no such class.
    pub const fn query_size(self) -> Option<QuerySize> {
        match self {
            FsInfoClass::VOLUME => variable(24),
            FsInfoClass::SIZE => fixed(24),
            FsInfoClass::DEVICE => fixed(8),
            FsInfoClass::ATTRIBUTE => variable(16),
            FsInfoClass::CONTROL => fixed(48),
            FsInfoClass::FULL_SIZE => fixed(32),
            FsInfoClass::OBJECT_ID => fixed(64),
            FsInfoClass::SECTOR_SIZE => fixed(28),
            FsInfoClass::POSIX => fixed(56),
            _ => None,
        }
    }

    /// The least BufferLength of a class that SET_INFO can carry; None: it is no such class.
    pub const fn set_min(self) -> Option<usize> {
        Some(match self {
            FsInfoClass::LABEL => 4,
            FsInfoClass::CONTROL => 48,
            FsInfoClass::OBJECT_ID => 64,
            _ => return None,
        })
    }
}
