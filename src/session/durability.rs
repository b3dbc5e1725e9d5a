//! What an open keeps beside itself so that it can be found again: by the CREATE that made it, sent once more, and after
//! its connection is lost (MS-SMB2 3.3.1.10: Open.IsDurable, CreateGuid, ClientGuid, DurableOwner).

use crate::types::Guid;
use crate::wire::create::CreateAction;
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durability {
    /// Open.ClientGuid: of the client that made it.
    pub client: Guid,
    /// Open.CreateGuid. Zeros: it was made without one.
    pub create_guid: Guid,
    /// What its CREATE did.
    pub action: CreateAction,
    /// None: it closes with its session.
    pub grant: Option<Grant>,
}

/// Open.IsDurable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Open.DurableOpenTimeout.
    pub timeout: Duration,
}
