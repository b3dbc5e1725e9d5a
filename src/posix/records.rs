//! The seam to the database for what is more than a small value: see [`super::bulk`].

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{MemorySide, Result};

/// A change of one record: its key, and what it shall be; `None`: it goes.
pub type Edit = (Vec<u8>, Option<Vec<u8>>);

/// Records in the order of their keys. Implementations do their own locking and check what they read.
pub trait Records: Send + Sync {
    /// DATA_ERROR: it is damaged.
    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The keys that begin so.
    fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>>;
    /// All of the edits or, after a crash or an error, none. On stable storage when it returns.
    fn edit(&self, edits: Vec<Edit>) -> Result<()>;
    /// There is not one record, for sure. Costs nothing.
    fn no_records(&self) -> bool;
}

/// Those of [`MemorySide`].
#[derive(Debug, Default)]
pub(super) struct InMemory {
    records: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Records for MemorySide {
    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.records.records.lock().get(key).cloned())
    }

    fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>> {
        let records = self.records.records.lock();
        let from = records.range(prefix.to_vec()..);
        Ok(from.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(prefix)).collect())
    }

    fn edit(&self, edits: Vec<Edit>) -> Result<()> {
        let mut records = self.records.records.lock();
        for (key, value) in edits {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        Ok(())
    }

    fn no_records(&self) -> bool {
        self.records.records.lock().is_empty()
    }
}
