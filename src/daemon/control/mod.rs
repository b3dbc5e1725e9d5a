//! How the other subcommands speak with a server that runs: JSON, a line each way, over a Unix socket in its state
//! directory. Who may enter the directory may do everything; its mode (0700) and the socket's (0600) are the check.

mod client;
mod server;

pub use client::ask;
pub(super) use server::Control;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::auth::NtHash;
use crate::auth::users::{Users, UsersError};
use crate::server::status::Status;

const SOCKET: &str = "control.sock";
/// The longest line either side takes.
const MAX_LINE: u64 = 64 << 20;

/// What can be asked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    Status,
    CloseSession { id: u64 },
    CloseOpen { id: u64 },
    User(UserRequest),
}

/// What can be asked of the user database. Also done without a server, on the database itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "user", rename_all = "snake_case")]
pub enum UserRequest {
    Add {
        name: String,
        nt_hash: HexHash,
    },
    SetPassword {
        name: String,
        nt_hash: HexHash,
    },
    Remove {
        name: String,
    },
    List,
    /// Adds those that are not there; with `replace` also overwrites the others.
    Import {
        users: Vec<ImportedUser>,
        replace: bool,
    },
}

#[derive(Clone, Serialize, Deserialize)]
pub struct ImportedUser {
    pub name: String,
    pub nt_hash: HexHash,
    pub disabled: bool,
}

/// An NT hash in hexadecimal. As good as a password: not shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HexHash(pub NtHash);

impl From<HexHash> for String {
    fn from(hash: HexHash) -> String {
        hash.0.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for HexHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<HexHash, &'static str> {
        const BAD: &str = "an NT hash is 32 hexadecimal digits";
        let mut hash = [0; 16];
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BAD);
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| BAD)?;
        }
        Ok(HexHash(NtHash::new(hash)))
    }
}

/// What comes back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Reply {
    Done,
    Status { status: Box<Status> },
    Users { users: Vec<UserLine> },
    Imported { added: Vec<String>, replaced: Vec<String>, kept: Vec<String> },
    Failed { why: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLine {
    pub name: String,
    pub disabled: bool,
}

/// Does what is asked of the user database.
pub fn change_users(users: &Users, request: UserRequest) -> Reply {
    let done = match request {
        UserRequest::Add { name, nt_hash } => users.add(&name, nt_hash.0),
        UserRequest::SetPassword { name, nt_hash } => users.set_hash(&name, nt_hash.0),
        UserRequest::Remove { name } => users.remove(&name),
        UserRequest::List => {
            let users =
                users.list().into_iter().map(|user| UserLine { name: user.name, disabled: user.disabled });
            return Reply::Users { users: users.collect() };
        }
        UserRequest::Import { users: imported, replace } => match import(users, imported, replace) {
            Ok(reply) => return reply,
            Err(e) => Err(e),
        },
    };
    match done {
        Ok(()) => Reply::Done,
        Err(e) => Reply::Failed { why: explain(&e) },
    }
}

fn import(users: &Users, imported: Vec<ImportedUser>, replace: bool) -> Result<Reply, UsersError> {
    let (mut added, mut replaced, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for ImportedUser { name, nt_hash, disabled } in imported {
        match users.add(&name, nt_hash.0.clone()) {
            Ok(()) => added.push(name.clone()),
            Err(UsersError::Exists(_)) if replace => {
                users.set_hash(&name, nt_hash.0)?;
                replaced.push(name.clone());
            }
            Err(UsersError::Exists(_)) => {
                kept.push(name);
                continue;
            }
            Err(e) => return Err(e),
        }
        users.set_disabled(&name, disabled)?;
    }
    Ok(Reply::Imported { added, replaced, kept })
}

fn explain(e: &UsersError) -> String {
    match e {
        UsersError::Exists(name) => format!("{e}; to change the password: smbgate user passwd {name}"),
        UsersError::NotFound(_) => format!("{e}; `smbgate user list` shows those there are"),
        _ => e.to_string(),
    }
}

/// Where to reach the socket. A path that is too long for a socket's address goes through the open directory, which the
/// caller keeps open meanwhile.
fn socket_path(dir: &Path) -> std::io::Result<(PathBuf, Option<File>)> {
    let plain = dir.join(SOCKET);
    if plain.as_os_str().len() < 100 {
        return Ok((plain, None));
    }
    let open = File::open(dir)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd())), Some(open)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let hash = HexHash::try_from("00112233445566778899aabbccddeeff".to_owned()).expect("a hash");
        let request = Request::User(UserRequest::Add { name: "alice".to_owned(), nt_hash: hash });
        let line = serde_json::to_string(&request).expect("writes");
        assert_eq!(
            line,
            r#"{"ask":"user","user":"add","name":"alice","nt_hash":"00112233445566778899aabbccddeeff"}"#
        );
        let back: Request = serde_json::from_str(&line).expect("reads");
        assert!(matches!(back, Request::User(UserRequest::Add { name, .. }) if name == "alice"));
        for bad in [
            "",
            "00",
            "0011223344556677889",
            "zz112233445566778899aabbccddeeff",
            "+0112233445566778899aabbccddeeff",
        ] {
            assert!(HexHash::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
