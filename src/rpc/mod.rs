//! Named pipes of IPC$: DCE/RPC (C706, MS-RPCE) with the server service (MS-SRVS) and the workstation service
//! (MS-WKST), as much as clients need to list shares, and what tells names and SIDs of each other (MS-LSAT, MS-LSAD,
//! MS-SAMR). Everything is answered from a [`Context`]; only where accounts are looked up may a call block
//! ([`Pipe::blocks`]).

mod association;
mod handles;
mod lsarpc;
mod names;
mod ndr;
mod pdu;
mod pipe;
mod samr;
mod security;
mod srvsvc;
#[cfg(test)]
mod tests;
mod win32;
mod wkssvc;

pub use pipe::{Modes, Part, Pipe, Served, Waiter};

use crate::auth::accounts::{Accounts, NoAccounts};
use std::sync::Arc;

/// What a pipe knows of the server, made for one session when the pipe is opened.
#[derive(Clone, Debug)]
pub struct Context {
    /// Host name, without backslashes.
    pub server_name: String,
    /// The same as the name of a domain of accounts.
    pub netbios_name: String,
    pub server_comment: String,
    /// Workgroup or domain.
    pub domain: String,
    /// Every share, IPC$ among them, in the order to be listed; what the user may not know of left out.
    pub shares: Vec<ShareEntry>,
    /// Sees local paths and security descriptors (levels 2, 502, 503, 1501); others see none.
    pub administrator: bool,
    /// Users logged on, for levels that count them.
    pub users: u32,
    /// Who asks; empty: nobody.
    pub user: String,
    /// A user, not a guest: learns names of others.
    pub authenticated: bool,
    pub accounts: Arc<dyn Accounts>,
}

impl Default for Context {
    fn default() -> Context {
        Context {
            server_name: String::new(),
            netbios_name: String::new(),
            server_comment: String::new(),
            domain: String::new(),
            shares: Vec::new(),
            administrator: false,
            users: 0,
            user: String::new(),
            authenticated: false,
            accounts: Arc::new(NoAccounts),
        }
    }
}

/// One share as srvsvc tells it.
#[derive(Clone, Debug, Default)]
pub struct ShareEntry {
    pub name: String,
    pub kind: ShareKind,
    pub comment: String,
    /// Local path; told to administrators only.
    pub path: String,
    /// Found by name, but not listed.
    pub hidden: bool,
    /// None: no limit.
    pub max_uses: Option<u32>,
    pub current_uses: u32,
    /// SHI1005 flags (MS-SRVS 2.2.4.29), as in TREE_CONNECT's ShareFlags.
    pub flags: u32,
    /// Self-relative; empty: none.
    pub security_descriptor: Vec<u8>,
}

/// MS-SRVS 2.2.2.4.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ShareKind {
    #[default]
    Disk,
    /// IPC$.
    Ipc,
}

/// Opens a pipe by its name in IPC$, without case and with or without a leading backslash. None: no such
/// pipe (STATUS_OBJECT_NAME_NOT_FOUND).
pub fn open(name: &str, context: Arc<Context>) -> Option<Pipe> {
    pipe::open(name, context)
}

/// Whether there is a pipe of this name.
pub fn exists(name: &str) -> bool {
    pipe::exists(name)
}
