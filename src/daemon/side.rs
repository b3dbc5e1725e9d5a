//! What file systems cannot hold, in the state database: DOS attributes and creation times where there are no extended
//! attributes, security descriptors where those of the name space `security` cannot be written.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use parking_lot::RwLock;

use super::records::Durable;
use super::{Failure, State};
use crate::posix::SideStore;
use crate::sys;
use crate::sys::room::PIECE;
use crate::types::NodeKey;

const TREE: &str = "side";
const VERSION: u8 = 1;
/// Of what is in pieces.
const IN_PIECES: u8 = 2;
const CRC: usize = 4;
/// A change is on the disk this long after it was made. Unlike a user or a handle, an attribute is no promise.
const DELAY: Duration = Duration::from_secs(1);

/// Key: device and inode (8 bytes each, big endian), name. Value: version (1), value, CRC-32 of key and all before (4, LE).
///
/// A value that is longer than [`PIECE`] is in pieces, whose keys have a zero and a number (2 bytes, big endian) behind the name; under
/// its own key stand version 2, its length (4, LE) and its CRC-32 (4, LE).
///
/// What names there are stands under a node of its own, [`NAMES`].
pub struct SledSide {
    tree: sled::Tree,
    pub(super) streams: Durable,
    names: RwLock<HashSet<String>>,
    changed: Sender<()>,
}

impl SledSide {
    pub fn open(state: &State) -> Result<Arc<SledSide>, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure(format!("cannot use the database: {e}"));
        let tree = state.db.open_tree(TREE).map_err(|e| failed(&e))?;
        let streams = state.db.open_tree(super::records::TREE).map_err(|e| failed(&e))?;
        let streams = Durable::new(streams, state.disk());
        let names = names(&tree).map_err(|e| failed(&e))?;
        let (changed, changes) = channel();
        let disk = state.disk();
        // Ends with the store, whose sender it waits for.
        std::thread::Builder::new()
            .name("side".to_owned())
            .spawn(move || {
                while changes.recv().is_ok() {
                    std::thread::sleep(DELAY);
                    while changes.try_recv().is_ok() {}
                    if let Err(e) = disk.sync() {
                        log::error!("attributes could not be written to the database: {e}");
                    }
                }
            })
            .map_err(|e| failed(&e))?;
        Ok(Arc::new(SledSide { tree, names: RwLock::new(names), streams, changed }))
    }

    fn read(&self, key: &[u8]) -> sled::Result<Read> {
        let Some(record) = self.tree.get(key)? else { return Ok(Read::None) };
        let head = match opened(key, &record) {
            Some((VERSION, value)) => return Ok(Read::Value(value.to_vec())),
            Some((IN_PIECES, head)) => head,
            _ => return Ok(Read::Damaged),
        };
        let Some((len, sum)) = head.split_first_chunk::<4>() else { return Ok(Read::Damaged) };
        let len = u32::from_le_bytes(*len) as usize;
        let mut value = Vec::new();
        for piece in self.tree.scan_prefix(piece_prefix(key)) {
            let (key, record) = piece?;
            let Some(piece) = decode(&key, &record) else { return Ok(Read::Damaged) };
            value.extend(piece);
        }
        let whole = value.len() == len && crc(&[], &value) == *sum;
        Ok(if whole { Read::Value(value) } else { Read::Damaged })
    }

    fn reserve(&self, bytes: usize) -> std::io::Result<()> {
        sys::creds::as_process(|| self.streams.disk.reserve(bytes)).and_then(|done| done)
    }

    fn report(&self, done: sled::Result<()>) {
        match done {
            Ok(()) => {
                let _ = self.changed.send(());
            }
            Err(e) => log::error!("an attribute could not be kept in the database: {e}"),
        }
    }
}

impl SideStore for SledSide {
    fn get(&self, key: NodeKey, name: &str) -> Option<Vec<u8>> {
        let key = record_key(key, name);
        // Who writes it anew meanwhile has other pieces.
        for _ in 0..RACES {
            match self.read(&key).ok()? {
                Read::None => return None,
                Read::Value(value) => return Some(value),
                Read::Damaged => {}
            }
        }
        log::error!("a damaged attribute record is passed over");
        None
    }

    fn put(&self, key: NodeKey, name: &str, value: &[u8]) {
        if let Err(e) = self.reserve(value.len()) {
            return self.report(Err(e.into()));
        }
        if !self.knows(name) {
            self.report(self.tree.insert(record_key(NAMES, name), &[VERSION][..]).map(drop));
            self.names.write().insert(name.to_owned());
        }
        let key = record_key(key, name);
        let mut batch = sled::Batch::default();
        for old in self.tree.scan_prefix(piece_prefix(&key)).keys() {
            match old {
                Ok(old) => batch.remove(old),
                Err(e) => return self.report(Err(e)),
            }
        }
        if value.len() <= PIECE {
            let record = encode(&key, value);
            batch.insert(key, record);
        } else {
            for (number, piece) in (0..).zip(value.chunks(PIECE)) {
                let key = piece_key(&key, number);
                let record = encode(&key, piece);
                batch.insert(key, record);
            }
            let head = [(value.len() as u32).to_le_bytes(), crc(&[], value)].concat();
            let record = sealed(&key, IN_PIECES, &head);
            batch.insert(key, record);
        }
        self.report(self.tree.apply_batch(batch));
    }

    fn knows(&self, name: &str) -> bool {
        self.names.read().contains(name)
    }

    fn remove(&self, key: NodeKey) {
        let prefix = record_key(key, "");
        let mut any = false;
        for found in self.tree.scan_prefix(prefix).keys() {
            if !std::mem::replace(&mut any, true)
                && let Err(e) = self.reserve(0)
            {
                return self.report(Err(e.into()));
            }
            if let Err(e) = found.and_then(|key| self.tree.remove(key)) {
                return self.report(Err(e));
            }
        }
        if any {
            self.report(Ok(()));
        }
    }
}

enum Read {
    None,
    Value(Vec<u8>),
    /// Or of two times.
    Damaged,
}

/// How often a value may be written anew while it is read.
const RACES: usize = 4;

/// No node: the names that were ever used.
const NAMES: NodeKey = NodeKey { dev: u64::MAX, ino: u64::MAX };

fn names(tree: &sled::Tree) -> sled::Result<HashSet<String>> {
    let prefix = record_key(NAMES, "");
    let len = prefix.len();
    let found = tree.scan_prefix(prefix).keys();
    found.map(|key| Ok(String::from_utf8_lossy(&key?[len..]).into_owned())).collect()
}

fn record_key(key: NodeKey, name: &str) -> Vec<u8> {
    [&key.dev.to_be_bytes()[..], &key.ino.to_be_bytes(), name.as_bytes()].concat()
}

/// No name has a zero in it.
fn piece_prefix(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn piece_key(key: &[u8], number: u16) -> Vec<u8> {
    [key, &[0], &number.to_be_bytes()].concat()
}

fn crc(key: &[u8], body: &[u8]) -> [u8; CRC] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

pub(super) fn encode(key: &[u8], value: &[u8]) -> Vec<u8> {
    sealed(key, VERSION, value)
}

fn sealed(key: &[u8], version: u8, value: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(1 + value.len() + CRC);
    record.push(version);
    record.extend_from_slice(value);
    record.extend(crc(key, &record));
    record
}

pub(super) fn decode(key: &[u8], record: &[u8]) -> Option<Vec<u8>> {
    opened(key, record).filter(|(version, _)| *version == VERSION).map(|(_, value)| value.to_vec())
}

/// Its version and value.
fn opened<'a>(key: &[u8], record: &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (body, sum) = record.split_last_chunk::<CRC>()?;
    let (version, value) = body.split_first()?;
    (crc(key, body) == *sum).then_some((*version, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ino: u64) -> NodeKey {
        NodeKey { dev: 7, ino }
    }

    #[test]
    fn values_outlive_the_process_and_go_with_their_node() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || State::open(dir.path(), Duration::from_secs(5)).unwrap_or_else(|e| panic!("{e:?}"));
        let state = open();
        let side = SledSide::open(&state).expect("opens");
        assert!(!side.knows("user.DOSATTRIB"));
        side.put(node(1), "user.DOSATTRIB", b"one");
        side.put(node(1), "user.other", b"");
        side.put(node(2), "user.DOSATTRIB", b"two");
        assert_eq!(side.get(node(1), "user.DOSATTRIB").as_deref(), Some(&b"one"[..]));
        assert_eq!(side.get(node(3), "user.DOSATTRIB"), None);
        side.remove(node(1));
        assert_eq!(side.get(node(1), "user.DOSATTRIB"), None);
        assert_eq!(side.get(node(1), "user.other"), None);
        state.sync().expect("syncs");
        drop((side, state));
        // The database closes when its last thread lets go of it.
        std::thread::sleep(DELAY + Duration::from_millis(300));
        let state = open();
        let side = SledSide::open(&state).expect("opens");
        assert_eq!(side.get(node(2), "user.DOSATTRIB").as_deref(), Some(&b"two"[..]));
        assert!(side.knows("user.other") && !side.knows("security.NTACL"));
    }

    #[test]
    fn large_values_are_in_pieces() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = State::open(dir.path(), Duration::from_secs(5)).unwrap_or_else(|e| panic!("{e:?}"));
        let side = SledSide::open(&state).expect("opens");
        let value = |len: usize| (0..len).map(|n| (n / 7) as u8).collect::<Vec<_>>();
        // Another's name that begins like it stays out of it.
        side.put(node(1), "security.NTACL2", &value(9000));
        for len in [70_000, PIECE + 1, 0, PIECE, 3 * PIECE, 5] {
            side.put(node(1), "security.NTACL", &value(len));
            assert_eq!(side.get(node(1), "security.NTACL"), Some(value(len)), "{len}");
            let records = side.tree.scan_prefix(record_key(node(1), "")).count();
            let pieces = if len > PIECE { len.div_ceil(PIECE) } else { 0 };
            assert_eq!(records, 1 + pieces + 1 + 3, "{len}: none is left over");
        }
        assert_eq!(side.get(node(1), "security.NTACL2"), Some(value(9000)));
        // As they were before there were pieces.
        let key = record_key(node(2), "security.NTACL");
        side.tree.insert(&key, encode(&key, &value(50_000))).expect("inserts");
        assert_eq!(side.get(node(2), "security.NTACL"), Some(value(50_000)));
        // One that is cut.
        side.put(node(1), "security.NTACL", &value(9000));
        side.tree.remove(piece_key(&record_key(node(1), "security.NTACL"), 1)).expect("removes");
        assert_eq!(side.get(node(1), "security.NTACL"), None);
        side.remove(node(1));
        assert_eq!(side.tree.scan_prefix(record_key(node(1), "")).count(), 0);
    }

    #[test]
    fn a_damaged_record_is_nothing() {
        let record = encode(b"key", b"value");
        assert_eq!(decode(b"key", &record).as_deref(), Some(&b"value"[..]));
        assert_eq!(decode(b"kex", &record), None);
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(b"key", &damaged), None, "byte {at}");
        }
        assert_eq!(decode(b"key", b""), None);
    }
}
