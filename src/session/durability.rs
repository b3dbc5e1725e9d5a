//! What an open keeps beside itself so that it can be found again: by the CREATE that made it, sent once more, and after
//! its connection is lost (MS-SMB2 3.3.1.10: Open.IsDurable, CreateGuid, ClientGuid, DurableOwner).

use crate::types::{FileTime, Guid, LeaseState};
use crate::wire::create::CreateAction;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
    /// Open.ResiliencyTimeout in milliseconds. Zero: Open.IsResilient is FALSE.
    pub resilience: AtomicU32,
    /// The file was changed, perhaps by others, while no server ran: what is cached of it is broken once its client is back
    /// and can be told. Or what its client cached could not be had again, or was broken while he was away.
    pub outdated: AtomicBool,
    /// What was taken from its lease while its client was away: it gets that back, and then its break. LeaseState.
    pub taken: AtomicU32,
    pub keeping: Keeping,
}

impl Durability {
    /// Neither persistent nor resilient, and in no store.
    pub fn new(client: Guid, create_guid: Guid, action: CreateAction, grant: Option<Grant>) -> Durability {
        Durability {
            client,
            create_guid,
            action,
            grant,
            persistent: false.into(),
            resilience: Default::default(),
            outdated: false.into(),
            taken: Default::default(),
            keeping: Keeping::default(),
        }
    }

    /// How long it waits for a client that is lost. None: it does not.
    pub fn timeout(&self) -> Option<Duration> {
        self.resilience().or(self.grant.map(|grant| grant.timeout))
    }

    /// The same of one that is resilient.
    pub fn resilience(&self) -> Option<Duration> {
        let timeout = Duration::from_millis(self.resilience.load(Ordering::Acquire).into());
        Some(timeout).filter(|timeout| !timeout.is_zero())
    }

    pub fn taken(&self) -> LeaseState {
        LeaseState::from_bits_truncate(self.taken.load(Ordering::SeqCst))
    }

    pub fn make_resilient(&self, timeout: Duration) {
        self.resilience.store(timeout.as_millis().try_into().unwrap_or(u32::MAX), Ordering::Release);
    }
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
    /// In it, the object's change time up to which what others did is known.
    pub making: Mutex<Option<FileTime>>,
}
