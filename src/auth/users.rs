//! The user database in sled.
//!
//! A record: version (1), flags (bit 0: disabled), NT hash (16), name (UTF-8), CRC-32 of key and all before (4, LE).
//! Its key is the name in lower case.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

pub use super::smbpasswd::parse_smbpasswd;
use super::{NtHash, UserDb, UserRecord};
use crate::sys::room::{ROOM, reserve};

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

const VERSION: u8 = 1;
const DISABLED: u8 = 1;
/// Version, flags, hash; CRC.
const FIXED: usize = 2 + 16;
const CRC: usize = 4;

/// Users in the tree `users` of the state database, served from memory. Every change is on disk before it returns.
pub struct Users {
    db: sled::Db,
    tree: sled::Tree,
    /// The file that sled writes; its own flush does not reach the platter.
    file: PathBuf,
    known: RwLock<BTreeMap<String, UserRecord>>,
    /// Held by whoever changes something.
    change: Mutex<()>,
}

impl Users {
    /// `dir` is the directory of `db` (its file `db` is what gets fdatasync). Records that do not read
    /// are left where they are and logged.
    pub fn open(db: &sled::Db, dir: &Path) -> Result<Users, UsersError> {
        let tree = db.open_tree("users")?;
        let mut known = BTreeMap::new();
        for item in &tree {
            let (key, value) = item?;
            match decode(&key, &value) {
                Some(record) => {
                    known.insert(fold(&record.name), record);
                }
                None => {
                    log::error!("a damaged user record ({}) is passed over", String::from_utf8_lossy(&key))
                }
            }
        }
        let (known, change) = (RwLock::new(known), Mutex::new(()));
        Ok(Users { db: db.clone(), tree, file: dir.join("db"), known, change })
    }

    /// A new user who may log on.
    pub fn add(&self, name: &str, hash: NtHash) -> Result<(), UsersError> {
        self.import(UserRecord { name: name.into(), nt_hash: hash, disabled: false })
    }

    /// Adds a user as it stands.
    pub fn import(&self, record: UserRecord) -> Result<(), UsersError> {
        check_name(&record.name).map_err(|why| UsersError::BadName(record.name.clone(), why))?;
        let _change = self.change.lock();
        if self.find(&record.name).is_some() {
            return Err(UsersError::Exists(record.name));
        }
        self.put(record)
    }

    /// A new password. Sessions that stand are not touched.
    pub fn set_hash(&self, name: &str, hash: NtHash) -> Result<(), UsersError> {
        let _change = self.change.lock();
        self.put(UserRecord { nt_hash: hash, ..self.get(name)? })
    }

    /// Bars a user from logging on, or lets him again.
    pub fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), UsersError> {
        let _change = self.change.lock();
        self.put(UserRecord { disabled, ..self.get(name)? })
    }

    /// Forgets a user.
    pub fn remove(&self, name: &str) -> Result<(), UsersError> {
        let _change = self.change.lock();
        let key = fold(&self.get(name)?.name);
        self.reserve()?;
        self.tree.remove(key.as_bytes())?;
        self.sync()?;
        self.known.write().remove(&key);
        Ok(())
    }

    /// Sorted by name.
    pub fn list(&self) -> Vec<UserRecord> {
        self.known.read().values().cloned().collect()
    }

    fn get(&self, name: &str) -> Result<UserRecord, UsersError> {
        self.find(name).ok_or_else(|| UsersError::NotFound(name.into()))
    }

    fn put(&self, record: UserRecord) -> Result<(), UsersError> {
        let key = fold(&record.name);
        self.reserve()?;
        self.tree.insert(key.as_bytes(), &encode(&key, &record)[..])?;
        self.sync()?;
        self.known.write().insert(key, record);
        Ok(())
    }

    /// sled takes no write any more after one that failed.
    fn reserve(&self) -> Result<(), UsersError> {
        Ok(reserve(&OpenOptions::new().write(true).open(&self.file)?, ROOM)?)
    }

    fn sync(&self) -> Result<(), UsersError> {
        self.db.flush()?;
        Ok(File::open(&self.file)?.sync_data()?)
    }
}

impl UserDb for Users {
    fn find(&self, name: &str) -> Option<UserRecord> {
        self.known.read().get(&fold(name)).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.known.read().values().map(|user| user.name.clone()).collect()
    }
}

/// Names that differ in case only are one.
fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// What Windows forbids in account names, the `:` of passwd files among it.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("it is empty")
    } else if name.chars().count() > 64 {
        Err("it is longer than 64 characters")
    } else if name.chars().any(|c| c.is_control() || r#""/\[]:;|=,+*?<>@"#.contains(c)) {
        Err("it holds a character that names must not hold")
    } else if name.starts_with(' ') || name.ends_with([' ', '.']) {
        Err("it begins or ends with a space, or ends with a dot")
    } else {
        Ok(())
    }
}

fn crc(key: &[u8], body: &[u8]) -> [u8; CRC] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

fn encode(key: &str, record: &UserRecord) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(FIXED + record.name.len() + CRC));
    out.extend([VERSION, if record.disabled { DISABLED } else { 0 }]);
    out.extend(record.nt_hash.as_bytes());
    out.extend(record.name.as_bytes());
    let crc = crc(key.as_bytes(), &out);
    out.extend(crc);
    out
}

fn decode(key: &[u8], value: &[u8]) -> Option<UserRecord> {
    let (body, sum) = value.split_last_chunk::<CRC>()?;
    let (fixed, name) = body.split_at_checked(FIXED)?;
    if fixed[0] != VERSION || crc(key, body) != *sum {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let nt_hash = NtHash::new(*fixed[2..].first_chunk()?);
    (fold(&name).as_bytes() == key).then_some(UserRecord {
        name,
        nt_hash,
        disabled: fixed[1] & DISABLED != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> (sled::Db, Users) {
        let db = sled::Config::new().path(dir).flush_every_ms(None).open().unwrap();
        let users = Users::open(&db, dir).unwrap();
        (db, users)
    }

    #[test]
    fn changes_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let (db, users) = open(dir.path());
        users.add("Alice", NtHash::of_password("one")).unwrap();
        users.add("bob", NtHash::of_password("two")).unwrap();
        users.add("carol", NtHash::of_password("three")).unwrap();
        users.set_hash("ALICE", NtHash::of_password("four")).unwrap();
        users.set_disabled("Bob", true).unwrap();
        users.remove("Carol").unwrap();
        let before = users.list();
        drop((db, users));
        let (_db, users) = open(dir.path());
        assert_eq!(users.list(), before);
        let names: Vec<_> = before.iter().map(|u| (u.name.as_str(), u.disabled)).collect();
        assert_eq!(names, [("Alice", false), ("bob", true)]);
        assert_eq!(users.find("aLICE").unwrap().nt_hash, NtHash::of_password("four"));
    }

    #[test]
    fn mistakes_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let (_db, users) = open(dir.path());
        users.add("alice", NtHash::of_password("x")).unwrap();
        assert_eq!(
            users.add("ALICE", NtHash::of_password("x")).unwrap_err().to_string(),
            "user ALICE exists"
        );
        assert_eq!(users.remove("bob").unwrap_err().to_string(), "no user bob");
        for bad in ["", "a/b", "a\nb", "a@b", " a", "a.", &"x".repeat(65)] {
            assert!(
                matches!(users.add(bad, NtHash::of_password("x")), Err(UsersError::BadName(..))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_damaged_record_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let (db, users) = open(dir.path());
        users.add("alice", NtHash::of_password("x")).unwrap();
        users.add("bob", NtHash::of_password("y")).unwrap();
        let tree = db.open_tree("users").unwrap();
        let good = tree.get("bob").unwrap().unwrap().to_vec();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert_eq!(decode(b"bob", &bad), None);
            assert_eq!(decode(b"bob", &good[..at]), None);
        }
        assert_eq!(decode(b"eve", &good), None, "a record does not stand under another name");
        tree.insert("bob", &b"nonsense"[..]).unwrap();
        let again = Users::open(&db, dir.path()).unwrap();
        assert_eq!(again.list().len(), 1);
    }

    #[test]
    fn hashes_are_not_shown() {
        let record = UserRecord { name: "a".into(), nt_hash: NtHash::new([0xAB; 16]), disabled: false };
        assert_eq!(
            format!("{record:?}"),
            r#"UserRecord { name: "a", nt_hash: NtHash(..), disabled: false }"#
        );
    }
}
