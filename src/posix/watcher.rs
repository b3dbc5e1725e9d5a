//! What the layer that watches the path does for this one, and what it wants to know.

use std::any::Any;
use std::os::fd::BorrowedFd;

use crate::types::NodeKey;

/// Hears of changes that are not our own. What it has heard it tells [`super::Export::names_changed`].
pub trait Watcher: Send + Sync {
    /// From when this returns until the value is dropped, changes of names in the directory will be told. None: they
    /// will not.
    fn watch(&self, dir: BorrowedFd<'_>, key: NodeKey) -> Option<Box<dyn Any + Send + Sync>>;

    /// A name is about to be made (`added`) or taken away, by us. None: nobody wants to know.
    fn expect(&self, dir: NodeKey, name: &[u8], added: bool) -> Option<u64>;

    /// That is over. Not `done`: it did not happen.
    fn over(&self, dir: NodeKey, name: &[u8], added: bool, number: u64, done: bool);
}
