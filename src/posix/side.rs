//! Where metadata lives that the file system cannot hold itself.

use crate::types::NodeKey;

/// Small named values by node, for file systems without xattrs. Implementations do their own locking.
pub trait SideStore: Send + Sync {
    fn get(&self, key: NodeKey, name: &str) -> Option<Vec<u8>>;
    fn put(&self, key: NodeKey, name: &str, value: &[u8]);
    /// The node is gone.
    fn remove(&self, key: NodeKey);
}

/// Forgotten when the process ends.
#[derive(Debug, Default)]
pub struct MemorySide {}
