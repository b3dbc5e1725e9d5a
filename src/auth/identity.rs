//! The Unix account that a user acts as.

use std::sync::Arc;

/// Whose rights the kernel checks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The account's name, or the number where it has none.
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
}

impl Identity {
    /// Asks NSS; may block (LDAP). `Ok(None)`: no such account.
    pub fn of_account(_name: &str) -> std::io::Result<Option<Identity>> {
        unreachable!()
    }

    /// The account this process runs as: the only one it can act as without root.
    pub fn process() -> Identity {
        unreachable!()
    }
}
