//! SMB2 dialects (MS-SMB2 2.2.3).

super::open_enum! {
    /// A dialect revision. Ordered by value, which is the order of age for those named here
    /// (`WILDCARD`, 0x02FF, is never a result of negotiation).
    pub struct Dialect(u16) {
        SMB2_02 = 0x0202,
        SMB2_10 = 0x0210,
        SMB3_00 = 0x0300,
        SMB3_02 = 0x0302,
        SMB3_11 = 0x0311,
        WILDCARD = 0x02FF,
    }
}

impl Dialect {
    /// Every dialect that can be negotiated, oldest first.
    pub const ALL: [Dialect; 5] =
        [Dialect::SMB2_02, Dialect::SMB2_10, Dialect::SMB3_00, Dialect::SMB3_02, Dialect::SMB3_11];

    /// One of the SMB 3.x family.
    pub const fn is_smb3(self) -> bool {
        self.0 >= 0x0300
    }

    /// The form used in the configuration: `3.1.1`.
    pub const fn dotted(self) -> &'static str {
        match self.0 {
            0x0202 => "2.0.2",
            0x0210 => "2.1",
            0x0300 => "3.0",
            0x0302 => "3.0.2",
            0x0311 => "3.1.1",
            _ => "?",
        }
    }

    pub fn from_dotted(text: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|d| d.dotted() == text)
    }
}
