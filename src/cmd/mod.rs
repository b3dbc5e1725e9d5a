//! The commands: one file each. A handler gets a [`Ctx`], the request's body and the [`Reply`], and does the
//! steps of its section of MS-SMB2 3.3.5 in order.
//!
//! Handlers are plain blocking code. Those that touch the exported path run on that export's workers, as the
//! user; `server::dispatch` has the table.

pub mod gate;
pub mod reply;

pub mod breaks;
pub mod change_notify;
pub mod close;
pub mod create;
pub mod echo;
pub mod effects;
pub mod flush;
pub mod info;
pub mod ioctl;
pub mod lock;
pub mod logoff;
pub mod negotiate;
pub mod oplock_break;
mod overdue;
pub mod pipe;
pub mod query_directory;
pub mod read;
mod recall;
pub mod restore;
pub mod session_setup;
mod taken;
pub mod times;
pub mod tree_connect;
pub mod tree_disconnect;
mod wait;
pub mod write;

pub use gate::Gate;
pub use reply::Reply;

use crate::conn::flight::Flight;
use crate::conn::{Connection, Negotiated};
use crate::crypto::SigningKey;
use crate::durable::Claim;
use crate::fsa::Effect;
use crate::session::{FileOpen, Open, Session, TreeConnect};
use crate::types::{FileId, Guid, NtStatus};
use crate::wire::codec::{DecodeError, Reader};
use crate::wire::header::Header;
use std::sync::Arc;
use std::time::Duration;

/// How a request ends without a body of its own.
#[derive(Debug)]
pub enum Fail {
    /// An ERROR response.
    Status(NtStatus),
    /// An ERROR response with data (2.2.2.2).
    With(NtStatus, Vec<u8>),
    /// It waits; its flight will be answered.
    Pending,
    /// The connection is closed, and why.
    Fatal(&'static str),
}

impl From<NtStatus> for Fail {
    fn from(status: NtStatus) -> Fail {
        Fail::Status(status)
    }
}

impl From<DecodeError> for Fail {
    fn from(e: DecodeError) -> Fail {
        Fail::Status(e.into())
    }
}

/// Ok: the body was written, and goes with this status.
pub type Handled = Result<NtStatus, Fail>;

pub type Handler = fn(&mut Ctx<'_>, Reader<'_>, &mut Reply) -> Handled;

/// What is to be done with the answer once its bytes are final.
#[derive(Debug)]
pub enum Post {
    /// NEGOTIATE: the answer goes into the preauthentication hash, then this is in force.
    Negotiated(Box<Negotiated>),
    /// A leg of SESSION_SETUP: the answer goes into the session's preauthentication hash.
    Leg(Arc<Session>),
    /// The client learns of an oplock by the answer: it is not to hear of its break before.
    Opened(Arc<Open>),
    /// The answer is held back for a while (a failed logon).
    Delay(Duration),
}

/// One request, with what it was found to belong to.
pub struct Ctx<'a> {
    pub gate: &'a Arc<Gate>,
    pub conn: &'a Arc<Connection>,
    pub header: &'a Header,
    /// The request as it was on the wire (unsealed), from its header to its end.
    pub message: &'a [u8],
    pub session: Option<Arc<Session>>,
    pub tree: Option<Arc<TreeConnect>>,
    /// It came sealed.
    pub sealed: bool,
    /// It came signed, and the signature held.
    pub signed: bool,
    /// The open that the request named when it came.
    pub held: Option<&'a Arc<Open>>,
    /// In a related compound: the file of the request before, or why there is none.
    pub related_file: Option<Result<FileId, NtStatus>>,
    /// The file this request was about: what a related one after it means.
    pub file: Option<FileId>,
    /// Set where the request may wait or be slow: always on workers.
    pub flight: Option<&'a Arc<Flight>>,
    /// What the rules want done, after the handler.
    pub effects: Vec<Effect>,
    /// Signs the answer in place of the channel's key: while a connection is being bound to a session.
    pub sign: Option<Arc<SigningKey>>,
    /// The CreateGuid of a CREATE that is under way.
    pub claim: Option<Claim>,
    pub post: Option<Post>,
}

impl Ctx<'_> {
    pub fn session(&self) -> Result<&Arc<Session>, NtStatus> {
        self.session.as_ref().ok_or(NtStatus::USER_SESSION_DELETED)
    }

    pub fn tree(&self) -> Result<&Arc<TreeConnect>, NtStatus> {
        self.tree.as_ref().ok_or(NtStatus::NETWORK_NAME_DELETED)
    }

    pub fn negotiated(&self) -> Result<&Negotiated, Fail> {
        self.conn.negotiated.get().ok_or(Fail::Fatal("a request before NEGOTIATE"))
    }

    /// Connection.ClientGuid. Zeros: it has none, or none yet.
    pub fn client_guid(&self) -> Guid {
        self.conn.negotiated.get().map(|negotiated| negotiated.client_guid).unwrap_or_default()
    }

    /// The open of a FileId, in a related request that of the request before (MS-SMB2 3.3.5.2.7.2).
    pub fn open(&mut self, id: FileId) -> Result<Arc<Open>, NtStatus> {
        let id = match (&self.related_file, id) {
            (Some(before), FileId::RELATED) => (*before)?,
            _ => id,
        };
        let held = self.held.filter(|open| open.id == id).cloned();
        let open = held.or_else(|| self.gate.opens.get(id)).ok_or(NtStatus::FILE_CLOSED)?;
        if !open.is_of(self.session()?.id, self.tree()?.id) {
            return Err(NtStatus::FILE_CLOSED);
        }
        self.file = Some(id);
        open.lease.get().inspect(|lease| lease.touch(self.gate.milliseconds()));
        Ok(open)
    }

    /// What one request sends or wants back is within MaxTransactSize, MaxReadSize or MaxWriteSize, and paid for.
    pub fn check_payload(&self, payload: usize) -> Result<(), NtStatus> {
        if payload > self.conn.negotiated.get().map_or(MAX_IO, max_io) as usize {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        self.check_charge(payload)
    }

    /// MS-SMB2 3.3.5.2.5: the CreditCharge covers what is sent or answered, 64 KiB a credit.
    fn check_charge(&self, payload: usize) -> Result<(), NtStatus> {
        let Some(negotiated) = self.conn.negotiated.get() else { return Ok(()) };
        if !negotiated.server_capabilities.contains(crate::wire::negotiate::Capabilities::LARGE_MTU) {
            return Ok(());
        }
        let needed = payload.saturating_sub(1) / 65536 + 1;
        if usize::from(self.header.credit_charge.max(1)) < needed {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        Ok(())
    }
}

/// The file behind an open; pipes have none.
pub fn file_of(open: &Open) -> Result<&FileOpen, NtStatus> {
    open.file().ok_or(NtStatus::INVALID_DEVICE_REQUEST)
}

/// The largest READ, WRITE and transaction: 8 MiB from 2.1 on, 64 KiB before.
pub const MAX_IO: u32 = 8 << 20;
pub const MAX_IO_SMALL: u32 = 64 << 10;

/// What this connection may ask for in one request.
fn max_io(negotiated: &Negotiated) -> u32 {
    if negotiated.server_capabilities.contains(crate::wire::negotiate::Capabilities::LARGE_MTU) {
        MAX_IO
    } else {
        MAX_IO_SMALL
    }
}

/// What a worker thread acts as.
pub fn creds(identity: &crate::auth::Identity) -> crate::sys::creds::Creds {
    crate::sys::creds::Creds { uid: identity.uid, gid: identity.gid, groups: Arc::clone(&identity.groups) }
}
