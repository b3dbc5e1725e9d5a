//! Access masks, share access, attributes, create options and dispositions.

bitflags::bitflags! {
    /// MS-SMB2 2.2.13.1. Directories name the low bits otherwise; the values are the same.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct AccessMask: u32 {
        const READ_DATA = 0x0000_0001;
        const LIST_DIRECTORY = 0x0000_0001;
        const WRITE_DATA = 0x0000_0002;
        const ADD_FILE = 0x0000_0002;
        const APPEND_DATA = 0x0000_0004;
        const ADD_SUBDIRECTORY = 0x0000_0004;
        const READ_EA = 0x0000_0008;
        const WRITE_EA = 0x0000_0010;
        const EXECUTE = 0x0000_0020;
        const TRAVERSE = 0x0000_0020;
        const DELETE_CHILD = 0x0000_0040;
        const READ_ATTRIBUTES = 0x0000_0080;
        const WRITE_ATTRIBUTES = 0x0000_0100;
        const DELETE = 0x0001_0000;
        const READ_CONTROL = 0x0002_0000;
        const WRITE_DAC = 0x0004_0000;
        const WRITE_OWNER = 0x0008_0000;
        const SYNCHRONIZE = 0x0010_0000;
        const ACCESS_SYSTEM_SECURITY = 0x0100_0000;
        const MAXIMUM_ALLOWED = 0x0200_0000;
        const GENERIC_ALL = 0x1000_0000;
        const GENERIC_EXECUTE = 0x2000_0000;
        const GENERIC_WRITE = 0x4000_0000;
        const GENERIC_READ = 0x8000_0000;

        const FILE_ALL = 0x001F_01FF;
        const FILE_READ = 0x0012_0089;
        const FILE_WRITE = 0x0012_0116;
        const FILE_EXECUTE = 0x0012_00A0;

        const _ = !0;
    }

    /// MS-SMB2 2.2.13 ShareAccess.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct ShareAccess: u32 {
        const READ = 1;
        const WRITE = 2;
        const DELETE = 4;
        const _ = !0;
    }

    /// MS-FSCC 2.6.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct FileAttributes: u32 {
        const READONLY = 0x0001;
        const HIDDEN = 0x0002;
        const SYSTEM = 0x0004;
        const DIRECTORY = 0x0010;
        const ARCHIVE = 0x0020;
        const NORMAL = 0x0080;
        const TEMPORARY = 0x0100;
        const SPARSE_FILE = 0x0200;
        const REPARSE_POINT = 0x0400;
        const COMPRESSED = 0x0800;
        const OFFLINE = 0x1000;
        const NOT_CONTENT_INDEXED = 0x2000;
        const ENCRYPTED = 0x4000;
        const INTEGRITY_STREAM = 0x8000;
        const NO_SCRUB_DATA = 0x0002_0000;
        const RECALL_ON_OPEN = 0x0004_0000;
        const PINNED = 0x0008_0000;
        const UNPINNED = 0x0010_0000;
        const RECALL_ON_DATA_ACCESS = 0x0040_0000;
        const _ = !0;
    }

    /// MS-SMB2 2.2.13 CreateOptions.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct CreateOptions: u32 {
        const DIRECTORY_FILE = 0x0000_0001;
        const WRITE_THROUGH = 0x0000_0002;
        const SEQUENTIAL_ONLY = 0x0000_0004;
        const NO_INTERMEDIATE_BUFFERING = 0x0000_0008;
        const SYNCHRONOUS_IO_ALERT = 0x0000_0010;
        const SYNCHRONOUS_IO_NONALERT = 0x0000_0020;
        const NON_DIRECTORY_FILE = 0x0000_0040;
        const CREATE_TREE_CONNECTION = 0x0000_0080;
        const COMPLETE_IF_OPLOCKED = 0x0000_0100;
        const NO_EA_KNOWLEDGE = 0x0000_0200;
        const OPEN_REMOTE_INSTANCE = 0x0000_0400;
        const RANDOM_ACCESS = 0x0000_0800;
        const DELETE_ON_CLOSE = 0x0000_1000;
        const OPEN_BY_FILE_ID = 0x0000_2000;
        const OPEN_FOR_BACKUP_INTENT = 0x0000_4000;
        const NO_COMPRESSION = 0x0000_8000;
        const OPEN_REQUIRING_OPLOCK = 0x0001_0000;
        const DISALLOW_EXCLUSIVE = 0x0002_0000;
        const RESERVE_OPFILTER = 0x0010_0000;
        const OPEN_REPARSE_POINT = 0x0020_0000;
        const OPEN_NO_RECALL = 0x0040_0000;
        const OPEN_FOR_FREE_SPACE_QUERY = 0x0080_0000;
        const _ = !0;
    }
}

impl AccessMask {
    /// Replaces the generic bits by what they stand for on a file or directory (MS-SMB2 3.3.5.9:
    /// "GenericMapping"). `MAXIMUM_ALLOWED` stays.
    #[must_use]
    pub fn map_generic(self) -> AccessMask {
        let mut out = self
            & !(AccessMask::GENERIC_ALL
                | AccessMask::GENERIC_READ
                | AccessMask::GENERIC_WRITE
                | AccessMask::GENERIC_EXECUTE);
        for (generic, specific) in [
            (AccessMask::GENERIC_ALL, AccessMask::FILE_ALL),
            (AccessMask::GENERIC_READ, AccessMask::FILE_READ),
            (AccessMask::GENERIC_WRITE, AccessMask::FILE_WRITE),
            (AccessMask::GENERIC_EXECUTE, AccessMask::FILE_EXECUTE),
        ] {
            if self.contains(generic) {
                out |= specific;
            }
        }
        out
    }
}

super::open_enum! {
    /// MS-SMB2 2.2.13 CreateDisposition; in the answer, CreateAction (2.2.14).
    pub struct CreateDisposition(u32) {
        SUPERSEDE = 0,
        OPEN = 1,
        CREATE = 2,
        OPEN_IF = 3,
        OVERWRITE = 4,
        OVERWRITE_IF = 5,
    }
}
