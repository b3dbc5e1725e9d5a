//! All that is needed to restore an open.

use crate::fsa::{FrozenTimes, LeaseId, LockRange};
use crate::posix::Lasting;
use crate::session::instance::Instance;
use crate::types::{
    AccessMask, CreateOptions, FileId, FileTime, Guid, LeaseKey, LeaseState, OplockLevel, ShareAccess,
};
use crate::wire::create::CreateAction;
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub id: FileId,
    /// Open.ClientGuid.
    pub client: Guid,
    /// Open.CreateGuid. Zeros: none.
    pub create_guid: Guid,
    pub action: CreateAction,
    /// Open.DurableOpenTimeout, of one that is durable.
    pub timeout: Option<Duration>,
    /// Open.ResiliencyTimeout, of one that is resilient.
    pub resilience: Option<Duration>,
    /// Open.IsPersistent.
    pub persistent: bool,
    /// Open.DurableOwner: nobody else gets it.
    pub user: String,
    /// The share, as [`crate::durable::place_of`] has it.
    pub place: String,
    /// Beneath the share's root, as on disk.
    pub path: Vec<u8>,
    /// Which of the file's data streams. None: the unnamed one.
    pub stream: Option<String>,
    pub object: Lasting,
    /// The object's change time when what may be cached of it was looked up: if it has moved, others have changed it.
    pub version: FileTime,
    pub access: AccessMask,
    pub share: ShareAccess,
    pub options: CreateOptions,
    /// FileModeInformation, if it was set.
    pub mode: Option<CreateOptions>,
    /// Open.Mode.FILE_DELETE_ON_CLOSE.
    pub delete_on_close: bool,
    /// It was marked to be deleted with its last open (FileDispositionInformation).
    pub deleted: bool,
    pub oplock: OplockLevel,
    pub lease: Option<LeaseRecord>,
    pub locks: Vec<LockRange>,
    /// Open.LockSequenceArray.
    pub sequences: Option<[u8; 64]>,
    /// Open.AppInstanceId and Open.AppInstanceVersion.
    pub instance: Option<Instance>,
    /// What it has frozen. Since version 2.
    pub times: FrozenTimes,
}

/// What was held of a lease. While it was being broken all of it, and the record has no version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseRecord {
    pub id: LeaseId,
    pub state: LeaseState,
    pub version2: bool,
    pub epoch: u16,
    pub parent: Option<LeaseKey>,
}
