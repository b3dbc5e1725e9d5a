//! The Unix account that a user acts as.

use std::ffi::CString;
use std::sync::Arc;

use nix::unistd::{self, Uid, User};

/// Whose rights the kernel checks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The account's name, or the number where it has none.
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, sorted.
    pub groups: Arc<[u32]>,
}

impl Identity {
    /// Asks NSS; may block (LDAP). `Ok(None)`: no such account.
    pub fn of_account(name: &str) -> std::io::Result<Option<Identity>> {
        let Some(user) = User::from_name(name)? else { return Ok(None) };
        let c_name = CString::new(user.name.as_str()).map_err(std::io::Error::other)?;
        let groups = unistd::getgrouplist(&c_name, user.gid)?;
        Ok(Some(Identity::new(user.name, user.uid.as_raw(), user.gid.as_raw(), groups)))
    }

    /// The same by number.
    pub fn of_uid(uid: u32) -> std::io::Result<Option<Identity>> {
        match User::from_uid(Uid::from_raw(uid))? {
            Some(user) => Identity::of_account(&user.name),
            None => Ok(None),
        }
    }

    /// The account this process runs as: the only one it can act as without root.
    pub fn process() -> Identity {
        let (uid, gid) = (unistd::geteuid(), unistd::getegid());
        let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |u| u.name);
        Identity::new(name, uid.as_raw(), gid.as_raw(), unistd::getgroups().unwrap_or_default())
    }

    /// Whether this process may act as others.
    pub fn may_change() -> bool {
        Uid::effective().is_root()
    }

    fn new(name: String, uid: u32, gid: u32, groups: Vec<unistd::Gid>) -> Identity {
        let mut groups: Vec<u32> = groups.into_iter().map(|g| g.as_raw()).collect();
        groups.sort_unstable();
        groups.dedup();
        Identity { name, uid, gid, groups: groups.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_nobody_knows_this_one() {
        let root = Identity::of_account("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid, root.name.as_str()), (0, 0, "root"));
        assert_eq!(Identity::of_account("no such account").unwrap(), None);
        assert_eq!(Identity::of_account("nul\0byte").unwrap(), None);
    }

    #[test]
    fn the_process_is_itself() {
        assert_eq!(Identity::process().uid, unistd::geteuid().as_raw());
    }
}
