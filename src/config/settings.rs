//! What the configuration comes to: typed, defaults filled in, ready to act on.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::Cipher;
use crate::types::Dialect;

/// Everything the server is told. Two equal `Settings` ask for the same behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub server: Server,
    pub kerberos: Kerberos,
    pub shares: Vec<Share>,
}

/// The `[server]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host name without its domain; never empty.
    pub name: String,
    /// Never empty.
    pub listen: Vec<SocketAddr>,
    /// `listen` was not given: an address that the machine does not have may be replaced.
    pub listen_is_default: bool,
    /// Absolute.
    pub state_dir: PathBuf,
    /// Not newer than `max_dialect`.
    pub min_dialect: Dialect,
    pub max_dialect: Dialect,
    pub signing: Signing,
    pub encryption: Encryption,
    /// Users log on with passwords.
    pub ntlm: bool,
    /// In order of preference, none twice.
    pub ciphers: Vec<Cipher>,
    /// At least 1.
    pub max_connections: usize,
}

/// The `[kerberos]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kerberos {
    /// Absolute; `None`: no Kerberos.
    pub keytab: Option<PathBuf>,
    /// Whose users are the local ones of the same name; `None`: those of the keytab.
    pub realms: Option<Vec<String>>,
    /// From principal to local user.
    pub map: BTreeMap<String, String>,
}

/// One `[[share]]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Unique among the shares, whatever the case.
    pub name: String,
    /// Absolute.
    pub path: PathBuf,
    pub comment: String,
    pub read_only: bool,
    pub hidden: bool,
    pub guest: Guest,
    /// By lower-case user name; `None`: every user, read and write. Ask [`Share::access_of`].
    pub allow: Option<BTreeMap<String, Access>>,
    pub owner: Option<Owner>,
    pub file_mode: Option<u32>,
    pub dir_mode: Option<u32>,
    /// `None`: as the server says. Ask [`Settings::encryption_of`].
    pub encryption: Option<Encryption>,
    pub symlinks: Symlinks,
    pub acls: Acls,
    pub hide_unreadable: bool,
    pub streams: bool,
    pub short_names: bool,
    pub change_notify: bool,
    pub leases: bool,
    /// Locks of clients and of local programs are in each other's way.
    pub posix_locks: bool,
    pub directory_leases: bool,
    pub watch: Watch,
    pub poll_interval: Duration,
    pub view: Option<PathBuf>,
    /// Zero: no durable handles.
    pub durable_timeout: Duration,
    pub continuous_availability: bool,
    pub place: Place,
}

/// Whether every session of a user has to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    Offered,
    Required,
}

/// Whether traffic may or must be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    Off,
    Offered,
    Required,
}

/// What a guest may do on a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    Off,
    ReadOnly,
    ReadWrite,
}

/// What a user may do on a share, before the file system has its say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Not followed at all.
    Never,
    /// Followed as long as they end inside the export.
    Inside,
    /// Followed anywhere on the machine.
    Outside,
}

/// What becomes of security descriptors that clients set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acls {
    /// Stored as Windows would.
    #[default]
    Windows,
    /// The same, but that their ACLs were inherited is kept as sent.
    Verbatim,
    /// Mode and POSIX ACL are all there is.
    Posix,
}

/// How changes made outside SMB are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Auto,
    Inotify,
    Poll,
    Off,
}

/// The Unix account and group that own a share's files. Names; resolved by the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub user: String,
    /// `None`: the user's primary group.
    pub group: Option<String>,
}

/// Where a setting was written: `smbgate.toml:12`, or `--share media=/srv`. Places do not take part in comparisons.
#[derive(Clone, Debug)]
pub struct Place(pub Arc<str>);

impl PartialEq for Place {
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => f.write_str(&self.user),
        }
    }
}

impl Settings {
    /// The share of that name, in any case.
    pub fn share(&self, name: &str) -> Option<&Share> {
        let name = name.to_lowercase();
        self.shares.iter().find(|share| share.name.to_lowercase() == name)
    }

    /// What holds on this share: the stronger of its own setting and the server's `required`.
    pub fn encryption_of(&self, share: &Share) -> Encryption {
        if self.server.encryption == Encryption::Required {
            return Encryption::Required;
        }
        share.encryption.unwrap_or(self.server.encryption)
    }

    /// Whether the server offers sealing to anybody at all.
    pub fn offers_encryption(&self) -> bool {
        self.server.encryption != Encryption::Off
            || self.shares.iter().any(|share| self.encryption_of(share) != Encryption::Off)
    }
}

impl Share {
    /// What `user` may do here; `None`: may not connect. `read_only` caps everybody.
    pub fn access_of(&self, user: &str) -> Option<Access> {
        let granted = match &self.allow {
            None => Access::ReadWrite,
            Some(allow) => *allow.get(&user.to_lowercase())?,
        };
        Some(self.cap(granted))
    }

    /// What a guest or an anonymous user may do here; `None`: may not connect.
    pub fn guest_access(&self) -> Option<Access> {
        match self.guest {
            Guest::Off => None,
            Guest::ReadOnly => Some(Access::ReadOnly),
            Guest::ReadWrite => Some(self.cap(Access::ReadWrite)),
        }
    }

    fn cap(&self, access: Access) -> Access {
        if self.read_only { Access::ReadOnly } else { access }
    }
}
