//! Kerberos: tickets for `cifs/HOST` (MS-SMB2 3.3.5.5, RFC 4121), through MIT's GSSAPI.
//!
//! ```text
//!   AP-REQ --keytab, replay cache--> principal, session key, end of the ticket, PAC
//!                                        |                                       |
//!                                  names: local user                       pac: his SIDs
//! ```
//!
//! The keytab is read for every logon: a new one holds from the next on.

pub mod keytab;
mod names;
pub mod pac;
mod server;
mod trouble;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::Accounts;
use super::mechanism::Mechanism;
use super::policy::Tickets;
use super::{NoKerberos, UserDb};
use crate::sys::gssapi::{LIBRARY, Library};

/// What an administrator sets.
#[derive(Clone, Debug)]
pub struct Rules {
    /// With the keys of `cifs/HOST`.
    pub keytab: PathBuf,
    /// The file that remembers which AP-REQs were here; made when it is missing. The library's: it grows with the most logons
    /// within one clock skew (16 bytes each, in tables that double: 1 MiB for 24,000), all with tickets for us, and then
    /// writes over what is older.
    pub replays: PathBuf,
    /// Whose users are the local ones of the same name. None: the realms of the keytab.
    pub realms: Option<Vec<String>>,
    /// From principal to local user, before all else.
    pub map: BTreeMap<String, String>,
}

/// Logons by ticket.
pub struct Kerberos {
    library: &'static Library,
    rules: Rules,
    /// Clocks may differ by that much.
    skew: Duration,
    users: Arc<dyn UserDb>,
    accounts: Arc<dyn Accounts>,
}

impl Kerberos {
    /// Blocks: loads the library and reads krb5.conf.
    pub fn new(
        rules: Rules,
        users: Arc<dyn UserDb>,
        accounts: Arc<dyn Accounts>,
    ) -> Result<Kerberos, NoKerberos> {
        let library = available()?;
        Ok(Kerberos { library, rules, skew: library.clock_skew(), users, accounts })
    }
}

impl Tickets for Kerberos {
    fn acceptor(self: Arc<Self>) -> Box<dyn Mechanism> {
        Box::new(server::KerberosServer::new(self))
    }
}

/// Whether there is Kerberos on this machine.
pub fn available() -> Result<&'static Library, NoKerberos> {
    Library::load().map_err(|why| {
        NoKerberos(format!(
            "there is no Kerberos on this machine ({why}): install the package that has {LIBRARY} \
             (Debian, Ubuntu: libgssapi-krb5-2; Fedora: krb5-libs; Arch, Alpine: krb5)"
        ))
    })
}
