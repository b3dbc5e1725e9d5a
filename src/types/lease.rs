//! Oplock levels and lease states.

super::open_enum! {
    /// MS-SMB2 2.2.13 RequestedOplockLevel, 2.2.14 OplockLevel, 2.2.23 OplockLevel.
    pub struct OplockLevel(u8) {
        NONE = 0x00,
        LEVEL_II = 0x01,
        EXCLUSIVE = 0x08,
        BATCH = 0x09,
        LEASE = 0xFF,
    }
}

bitflags::bitflags! {
    /// MS-SMB2 2.2.13.2.8 LeaseState. No bits: no lease.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct LeaseState: u32 {
        const READ = 1;
        const HANDLE = 2;
        const WRITE = 4;
        const _ = !0;
    }
}
