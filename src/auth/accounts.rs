//! The accounts of this machine by name and by number, for those who show them.

use std::fmt::Debug;
use std::sync::Arc;

use nix::unistd::{Gid, Group, Uid, User};

use super::{Identity, UserDb};

/// How an account is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By<'a> {
    Name(&'a str),
    Id(u32),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnixUser {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// What the GECOS field has before its first comma.
    pub full_name: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnixGroup {
    pub name: String,
    pub gid: u32,
}

/// Where accounts are looked up. Every call may block for as long as a directory service takes.
pub trait Accounts: Send + Sync + Debug {
    fn user(&self, by: By<'_>) -> Option<UnixUser>;
    fn group(&self, by: By<'_>) -> Option<UnixGroup>;
    /// The groups that a user is in, his own first.
    fn groups_of(&self, user: &UnixUser) -> Vec<u32>;
    /// The names of those who can log on to this server.
    fn users(&self) -> Vec<String>;
    /// A name of those that may not for the time being.
    fn is_disabled(&self, name: &str) -> bool;
}

/// No accounts at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoAccounts;

impl Accounts for NoAccounts {
    fn user(&self, _: By<'_>) -> Option<UnixUser> {
        None
    }

    fn group(&self, _: By<'_>) -> Option<UnixGroup> {
        None
    }

    fn groups_of(&self, _: &UnixUser) -> Vec<u32> {
        Vec::new()
    }

    fn users(&self) -> Vec<String> {
        Vec::new()
    }

    fn is_disabled(&self, _: &str) -> bool {
        false
    }
}

/// The accounts that NSS knows. What it fails to tell counts as unknown.
pub struct Nss {
    pub users: Arc<dyn UserDb>,
}

impl Debug for Nss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nss(..)")
    }
}

/// SMB's names have no case, Unix' mostly lower case.
fn spelled<T>(name: &str, find: impl Fn(&str) -> nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    let found = find(name)?;
    let lower = name.to_lowercase();
    if found.is_none() && lower != name { find(&lower) } else { Ok(found) }
}

fn known<T>(found: nix::Result<Option<T>>) -> Option<T> {
    found.unwrap_or_else(|e| {
        log::debug!("an account cannot be looked up: {e}");
        None
    })
}

impl Accounts for Nss {
    fn user(&self, by: By<'_>) -> Option<UnixUser> {
        let user = known(match by {
            By::Name(name) => spelled(name, User::from_name),
            By::Id(uid) => User::from_uid(Uid::from_raw(uid)),
        })?;
        let gecos = user.gecos.to_string_lossy();
        Some(UnixUser {
            full_name: gecos.split(',').next().unwrap_or_default().to_owned(),
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        })
    }

    fn group(&self, by: By<'_>) -> Option<UnixGroup> {
        let group = known(match by {
            By::Name(name) => spelled(name, Group::from_name),
            By::Id(gid) => Group::from_gid(Gid::from_raw(gid)),
        })?;
        Some(UnixGroup { name: group.name, gid: group.gid.as_raw() })
    }

    fn groups_of(&self, user: &UnixUser) -> Vec<u32> {
        let mut groups = vec![user.gid];
        if let Ok(Some(identity)) = Identity::of_account(&user.name) {
            groups.extend(identity.groups.iter().filter(|gid| **gid != user.gid));
        }
        groups
    }

    fn users(&self) -> Vec<String> {
        self.users.names()
    }

    fn is_disabled(&self, name: &str) -> bool {
        self.users.find(name).is_some_and(|user| user.disabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::UserRecord;

    struct Nobody;

    impl UserDb for Nobody {
        fn find(&self, _: &str) -> Option<UserRecord> {
            None
        }
    }

    #[test]
    fn root_is_found_by_name_and_number_without_case() {
        let nss = Nss { users: Arc::new(Nobody) };
        let root = nss.user(By::Id(0)).unwrap();
        assert_eq!((root.name.as_str(), root.uid, root.gid), ("root", 0, 0));
        assert_eq!(nss.user(By::Name("ROOT")), Some(root.clone()));
        assert_eq!(nss.user(By::Name("no such account")), None);
        assert_eq!(nss.user(By::Name("nul\0byte")), None);
        let group = nss.group(By::Id(0)).unwrap();
        assert_eq!(nss.group(By::Name(&group.name.to_uppercase())), Some(group));
        assert_eq!(nss.groups_of(&root)[0], 0);
    }
}
