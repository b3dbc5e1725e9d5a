//! Records of the state database that are promises: whole, and on the disk when they are acknowledged.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::side::{SledSide, decode, encode};
use super::state::Disk;
use crate::posix::{RecordEdit, Records};
use crate::types::NtStatus;

pub(super) const TREE: &str = "streams";

/// A tree of them, and what brings it to the disk: who comes while others wait for that waits once with them.
pub struct Durable {
    tree: sled::Tree,
    pub(super) disk: Disk,
    /// There has been a record since the start.
    any: AtomicBool,
    /// Edits made.
    made: AtomicU64,
    /// Edits known to be on the disk. Locked while more are brought there.
    safe: Mutex<u64>,
}

impl Durable {
    pub fn new(tree: sled::Tree, disk: Disk) -> Durable {
        let any = AtomicBool::new(!tree.is_empty());
        Durable { tree, disk, any, made: AtomicU64::new(0), safe: Mutex::new(0) }
    }

    fn apply(&self, edits: Vec<RecordEdit>) -> std::io::Result<()> {
        let size = edits.iter().filter_map(|(_, value)| value.as_ref()).map(Vec::len).sum();
        self.disk.reserve(size)?;
        let mut batch = sled::Batch::default();
        self.any.store(true, Ordering::Release);
        for (key, value) in edits {
            match value {
                Some(value) => {
                    let record = encode(&key, &value);
                    batch.insert(key, record);
                }
                None => batch.remove(key),
            }
        }
        self.tree.apply_batch(batch)?;
        let mine = self.made.fetch_add(1, Ordering::AcqRel) + 1;
        let mut safe = self.safe.lock();
        if *safe < mine {
            let made = self.made.load(Ordering::Acquire);
            self.disk.sync()?;
            *safe = made;
        }
        Ok(())
    }
}

/// A failure of the database, told and as a status.
fn failed(what: &str, error: &dyn std::fmt::Display) -> NtStatus {
    log::error!("a stream could not be {what} the database: {error}");
    NtStatus::IO_DEVICE_ERROR
}

impl Records for SledSide {
    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, NtStatus> {
        match self.streams.tree.get(key) {
            Ok(None) => Ok(None),
            Ok(Some(value)) => match decode(key, &value) {
                Some(value) => Ok(Some(value)),
                None => {
                    log::error!("a damaged record of a stream in the database");
                    Err(NtStatus::DATA_ERROR)
                }
            },
            Err(e) => Err(failed("read from", &e)),
        }
    }

    fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, NtStatus> {
        let keys = self.streams.tree.scan_prefix(prefix).keys();
        keys.map(|key| key.map(|key| key.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|e| failed("found in", &e))
    }

    fn edit(&self, edits: Vec<RecordEdit>) -> Result<(), NtStatus> {
        // The database is not the user's for whom this is done.
        let done = crate::sys::creds::as_process(|| self.streams.apply(edits));
        done.and_then(|done| done).map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull => NtStatus::DISK_FULL,
            _ => failed("kept in", &e),
        })
    }

    fn no_records(&self) -> bool {
        !self.streams.any.load(Ordering::Acquire)
    }
}
