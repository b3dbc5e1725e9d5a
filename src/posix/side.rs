//! Where metadata lives that the file system cannot hold itself.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::records::{InMemory, Records};
use crate::types::NodeKey;

/// Small named values by node, for file systems without xattrs. Implementations do their own locking and
/// survive any order of calls. Nodes are named by inode: it is for file systems whose inode numbers last.
pub trait SideStore: Records {
    fn get(&self, key: NodeKey, name: &str) -> Option<Vec<u8>>;
    fn put(&self, key: NodeKey, name: &str, value: &[u8]);
    /// Whether anything was ever put under this name: if not, nobody need ask for it.
    fn knows(&self, name: &str) -> bool;
    /// The node is gone.
    fn remove(&self, key: NodeKey);
}

/// Forgotten when the process ends.
#[derive(Debug, Default)]
pub struct MemorySide {
    values: Mutex<HashMap<NodeKey, HashMap<String, Vec<u8>>>>,
    pub(super) records: InMemory,
}

impl SideStore for MemorySide {
    fn get(&self, key: NodeKey, name: &str) -> Option<Vec<u8>> {
        self.values.lock().get(&key)?.get(name).cloned()
    }

    fn put(&self, key: NodeKey, name: &str, value: &[u8]) {
        self.values.lock().entry(key).or_default().insert(name.to_owned(), value.to_vec());
    }

    fn knows(&self, name: &str) -> bool {
        self.values.lock().values().any(|values| values.contains_key(name))
    }

    fn remove(&self, key: NodeKey) {
        self.values.lock().remove(&key);
    }
}
