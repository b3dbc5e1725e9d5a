//! Handles on disk: what it takes to have them again after the process has ended, however it ended.
//!
//! ```text
//!   CREATE, LOCK, a break, a write ... --> Keeper: a list of opens whose record is old
//!                                             |  a moment later, in groups, those that are still open
//!                                             v
//!                                 workers of the export: Record (stat, then what the rules know)
//!                                             |
//!   persistent: at once, and waited for --> HandleStore: one thread, one write and one fdatasync for all that came
//! ```

mod codec;
mod keeper;
mod pieces;
mod record;
mod sled;
mod snapshot;
#[cfg(test)]
mod tests;

pub use codec::{Bad, decode, encode, sealed};
pub use keeper::Keeper;
pub use record::{LeaseRecord, Record};
pub use sled::SledHandles;

use crate::types::NtStatus;

/// One change of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    Put(Box<Record>),
    /// By FileId.Persistent.
    Remove(u64),
}

/// Hears once everything of a write is on the disk, or that it is not. Called on the store's thread: must not block.
pub type Done = Box<dyn FnOnce(Result<(), NtStatus>) + Send>;

/// Where handles are kept. What was written first is on the disk first.
pub trait HandleStore: Send + Sync {
    /// What was kept when the store was opened, the oldest handle first; the second time nothing.
    fn load(&self) -> Vec<Record>;

    /// All of the edits or none. Never blocks.
    fn write(&self, edits: Vec<Edit>, done: Option<Done>);
}
