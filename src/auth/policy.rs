//! What the acceptor asks and allows.

use std::sync::Arc;

use md4::{Digest, Md4};
use zeroize::Zeroizing;

use super::mechanism::Mechanism;

/// MD4 of the password in UTF-16LE (MS-NLMP 3.3.1 NTOWFv1). As good as the password: wiped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct NtHash(Zeroizing<[u8; 16]>);

impl NtHash {
    /// From the hash itself.
    pub fn new(hash: [u8; 16]) -> NtHash {
        NtHash(Zeroizing::new(hash))
    }

    /// NTOWFv1 of a password.
    pub fn of_password(password: &str) -> NtHash {
        let unicode: Zeroizing<Vec<u8>> =
            Zeroizing::new(password.encode_utf16().flat_map(u16::to_le_bytes).collect());
        NtHash::new(Md4::digest(&unicode).into())
    }

    /// The hash, for computing.
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
    /// As it was added; compared without regard to case.
    pub name: String,
    pub nt_hash: NtHash,
    /// May not log on.
    pub disabled: bool,
}

/// Where users are found. Names are case-insensitive. Does not block for long.
pub trait UserDb: Send + Sync {
    /// The user of this name.
    fn find(&self, name: &str) -> Option<UserRecord>;

    /// The names of all there are, for those who list them. None are told where they cannot be listed.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Where logons by ticket come from.
pub trait Tickets: Send + Sync {
    /// The server's half of one of them.
    fn acceptor(self: Arc<Self>) -> Box<dyn Mechanism>;
}

/// What holds for every logon to this server.
#[derive(Clone)]
pub struct Policy {
    /// The server's name; clients are told it as a NetBIOS name too.
    pub server_name: String,
    /// The DNS name told to clients.
    pub dns_name: String,
    pub users: Arc<dyn UserDb>,
    /// An unknown user becomes a guest.
    pub guest: bool,
    /// A logon without name and password is let in as nobody.
    pub anonymous: bool,
    /// Refuses clients that send no MIC. Off, as on Windows: the Linux kernel's client sends none, and a client that
    /// does send one says so under its proof, so it is always checked.
    pub require_mic: bool,
    /// None: there is no Kerberos.
    pub kerberos: Option<Arc<dyn Tickets>>,
    /// Passwords are taken.
    pub ntlm: bool,
}

impl Policy {
    /// Users with a password, nobody else. The DNS name is the server's name until set.
    pub fn new(server_name: &str, users: Arc<dyn UserDb>) -> Policy {
        Policy {
            server_name: server_name.into(),
            dns_name: server_name.into(),
            users,
            guest: false,
            anonymous: false,
            require_mic: false,
            kerberos: None,
            ntlm: true,
        }
    }

    /// The first label of the server's name, upper case, at most 15 characters.
    pub fn netbios_name(&self) -> String {
        self.server_name
            .split('.')
            .next()
            .unwrap_or_default()
            .chars()
            .take(15)
            .collect::<String>()
            .to_uppercase()
    }
}
