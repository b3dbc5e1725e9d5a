//! The user database in sled.

use std::path::Path;

use super::{NtHash, UserDb, UserRecord};

/// Why a change of the user database failed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error("user {0} exists")]
    Exists(String),
    #[error("no user {0}")]
    NotFound(String),
    #[error("{0:?} cannot be a user name: {1}")]
    BadName(String, &'static str),
    #[error("the user database: {0}")]
    Database(#[from] sled::Error),
    #[error("the user database: {0}")]
    Io(#[from] std::io::Error),
}

/// Users in the tree `users` of the state database, served from memory. Every change is on disk before it returns.
pub struct Users {}

impl Users {
    /// `dir` is the directory of `db` (its file `db` is what gets fdatasync). Records that do not read
    /// are left where they are and logged.
    pub fn open(_db: &sled::Db, _dir: &Path) -> Result<Users, UsersError> {
        unreachable!()
    }

    pub fn add(&self, _name: &str, _hash: NtHash) -> Result<(), UsersError> {
        unreachable!()
    }

    pub fn set_hash(&self, _name: &str, _hash: NtHash) -> Result<(), UsersError> {
        unreachable!()
    }

    pub fn set_disabled(&self, _name: &str, _disabled: bool) -> Result<(), UsersError> {
        unreachable!()
    }

    pub fn remove(&self, _name: &str) -> Result<(), UsersError> {
        unreachable!()
    }

    /// Sorted by name.
    pub fn list(&self) -> Vec<UserRecord> {
        unreachable!()
    }
}

impl UserDb for Users {
    fn find(&self, _name: &str) -> Option<UserRecord> {
        unreachable!()
    }
}

/// Reads one line of an smbpasswd file (`name:uid:LM:NT:[U   ]:LCT-...:`). `Ok(None)`: nothing to import
/// (blank, comment, machine account, no password).
pub fn parse_smbpasswd(_line: &str) -> Result<Option<UserRecord>, &'static str> {
    unreachable!()
}
