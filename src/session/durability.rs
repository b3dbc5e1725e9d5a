//! What an open keeps beside itself so that it can be found again: by the CREATE that made it, sent once more, and after
//! its connection is lost (MS-SMB2 3.3.1.10: Open.IsDurable, CreateGuid, ClientGuid, DurableOwner).

use crate::types::Guid;
use crate::wire::create::CreateAction;
use parking_lot::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[derive(Debug)]
pub struct Durability {
    /// Open.ClientGuid: of the client that made it.
    pub client: Guid,
    /// Open.CreateGuid. Zeros: it was made without one.
    pub create_guid: Guid,
    /// What its CREATE did.
    pub action: CreateAction,
    /// None: it closes with its session.
    pub grant: Option<Grant>,
    /// Open.IsPersistent: its state is on disk before the client hears of it.
    pub persistent: AtomicBool,
    pub keeping: Keeping,
}

/// Open.IsDurable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Open.DurableOpenTimeout.
    pub timeout: Duration,
}

/// How far its record in the store is.
#[derive(Debug, Default)]
pub struct Keeping {
    /// It is going to be written soon.
    pub soon: AtomicBool,
    /// It is going to be written after a while.
    pub later: AtomicBool,
    /// There is one, or one is on its way.
    pub stored: AtomicBool,
    /// Held while one is made and given to the store, so that they come there in the order in which they were made.
    pub making: Mutex<()>,
}
