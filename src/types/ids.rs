//! Ids are types: one cannot stand for another.

macro_rules! id {
    ($($(#[$meta:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
        pub struct $name(pub $int);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    )*};
}

id! {
    /// One TCP connection, counted from 1 for the life of the process.
    ConnId(u64);
    /// MS-SMB2 3.3.1.8 Session.SessionId. Zero: none.
    SessionId(u64);
    /// MS-SMB2 3.3.1.9 TreeConnect.TreeId.
    TreeId(u32);
    /// MS-SMB2 2.2.1 MessageId.
    MessageId(u64);
    /// MS-SMB2 2.2.1.1 AsyncId.
    AsyncId(u64);
    /// One open for the life of the process; the volatile part of its `FileId`.
    OpenId(u64);
}

/// MS-SMB2 2.2.14.1 SMB2_FILEID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct FileId {
    pub persistent: u64,
    pub volatile: u64,
}

impl FileId {
    /// In a related compound request: the file of the request before (MS-SMB2 3.3.5.2.7.2).
    pub const RELATED: FileId = FileId { persistent: u64::MAX, volatile: u64::MAX };
}

/// MS-DTYP 2.3.4, in its wire form (mixed endian).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Guid(pub [u8; 16]);

impl std::fmt::Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let b = &self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-",
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            u16::from_le_bytes([b[4], b[5]]),
            u16::from_le_bytes([b[6], b[7]]),
            b[8],
            b[9]
        )?;
        b[10..].iter().try_for_each(|x| write!(f, "{x:02x}"))
    }
}

impl std::fmt::Debug for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// MS-SMB2 2.2.13.2.8 LeaseKey.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct LeaseKey(pub [u8; 16]);

/// One object of the exported file system: what two names must share to be the same file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct NodeKey {
    pub dev: u64,
    pub ino: u64,
}
