//! What the acceptor asks and allows.

use std::sync::Arc;

use zeroize::Zeroizing;

/// MD4 of the password in UTF-16LE (MS-NLMP 3.3.1 NTOWFv1). As good as the password: wiped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct NtHash(Zeroizing<[u8; 16]>);

impl NtHash {
    pub fn new(hash: [u8; 16]) -> NtHash {
        NtHash(Zeroizing::new(hash))
    }

    pub fn of_password(_password: &str) -> NtHash {
        unreachable!()
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Debug for NtHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NtHash(..)")
    }
}

/// One user of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRecord {
    pub name: String,
    pub nt_hash: NtHash,
    /// May not log on.
    pub disabled: bool,
}

/// Where users are found. Names are case-insensitive. Does not block for long.
pub trait UserDb: Send + Sync {
    fn find(&self, name: &str) -> Option<UserRecord>;
}

/// What holds for every logon to this server.
#[derive(Clone)]
pub struct Policy {
    /// The NetBIOS name told to clients (as given; cut and upper-cased where the protocol wants it).
    pub server_name: String,
    /// The DNS name told to clients.
    pub dns_name: String,
    pub users: Arc<dyn UserDb>,
    /// An unknown user becomes a guest.
    pub guest: bool,
    /// A logon without name and password is let in as nobody.
    pub anonymous: bool,
}
