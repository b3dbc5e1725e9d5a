//! The store in the state database.
//!
//! One thread writes. It takes all that has come while it wrote last, makes one batch of it, flushes, and has the kernel
//! write the file: sled's own flush leaves the data where a power cut still takes it. Then it answers all who wait.
//!
//! A database that was cut off, sled takes for one that was being written, and opens as it was some time before. So each
//! batch has a number, and beside the database stands the last one that was answered for.

use super::codec::{decode, encode, key};
use super::pieces::{Key, Pieces};
use super::record::Record;
use super::{Done, Edit, HandleStore};
use crate::sys::room::{ROOM, reserve};
use crate::types::NtStatus;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const TREE: &str = "handles";
/// The number of the last batch. No handle, nor a piece of one, has a key of this length.
const SERIAL: &[u8] = b"serial";
/// Beside the database.
const SERIAL_FILE: &str = "serial";
/// The most writes in one batch.
const GROUP: usize = 4096;
/// How often what is owed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Key and value; none: it goes.
type Change = (Key, Option<Vec<u8>>);

struct Write {
    changes: Vec<Change>,
    done: Option<Done>,
}

/// Key: FileId.Persistent (8 bytes, big endian). Value: see [`super::codec`]; of a long one its first piece ([`super::pieces`]).
pub struct SledHandles {
    loaded: Mutex<Vec<Record>>,
    writes: Mutex<Option<Sender<Write>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SledHandles {
    /// `dir` is the directory of `db`. Records that do not read go, and are told of.
    pub fn open(db: &sled::Db, dir: &Path) -> io::Result<SledHandles> {
        let tree = db.open_tree(TREE)?;
        let mut loaded = Vec::new();
        let mut bad = sled::Batch::default();
        let (records, mut pieces) = Pieces::read(&tree, SERIAL, &mut bad)?;
        for (key, value) in records {
            match decode(&key, &value) {
                Ok(record) => loaded.push(record),
                Err(why) => {
                    log::error!("a handle of the database is lost: {why}");
                    pieces.change(&mut bad, &key, None);
                }
            }
        }
        tree.apply_batch(bad)?;
        pieces.done(true);
        let serial = Serial::open(&tree, dir)?;
        // Open from now on, so that it can be synced when there are no descriptors left.
        let file = OpenOptions::new().read(true).write(true).open(dir.join("db"))?;
        let disk = Disk { db: db.clone(), tree, pieces, file, serial, owed: BTreeMap::new(), failing: false };
        let (writes, queue) = channel();
        let thread =
            std::thread::Builder::new().name("handles".to_owned()).spawn(move || disk.run(&queue))?;
        Ok(SledHandles {
            loaded: Mutex::new(loaded),
            writes: Mutex::new(Some(writes)),
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl HandleStore for SledHandles {
    fn load(&self) -> Vec<Record> {
        std::mem::take(&mut self.loaded.lock())
    }

    fn write(&self, edits: Vec<Edit>, done: Option<Done>) {
        let changes = edits.into_iter().map(|edit| match edit {
            Edit::Put(record) => (key(record.id.persistent), Some(encode(&record))),
            Edit::Remove(persistent) => (key(persistent), None),
        });
        let write = Write { changes: changes.collect(), done };
        let refused = match &*self.writes.lock() {
            Some(writes) => writes.send(write).err().map(|e| e.0),
            None => Some(write),
        };
        if let Some(done) = refused.and_then(|write| write.done) {
            done(Err(NtStatus::INSUFFICIENT_RESOURCES));
        }
    }
}

impl Drop for SledHandles {
    /// What was written is on the disk afterwards.
    fn drop(&mut self) {
        *self.writes.lock() = None;
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

struct Disk {
    db: sled::Db,
    tree: sled::Tree,
    pieces: Pieces,
    file: File,
    serial: Serial,
    /// What could not be written, and nobody was told. A crash takes it: then handles are as they were before, which is all
    /// that was promised of them, and one that was closed is there until its time is up.
    owed: BTreeMap<Key, Option<Vec<u8>>>,
    /// The last batch was not written.
    failing: bool,
}

impl Disk {
    fn run(mut self, queue: &Receiver<Write>) {
        loop {
            let mut group: Vec<Write> = match self.wait(queue) {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            group.extend(queue.try_iter().take(GROUP - 1));
            self.write(group);
        }
        if !self.owed.is_empty() {
            self.write(Vec::new());
        }
    }

    fn wait(&self, queue: &Receiver<Write>) -> Result<Write, RecvTimeoutError> {
        match self.owed.is_empty() {
            true => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => queue.recv_timeout(AGAIN),
        }
    }

    fn write(&mut self, mut group: Vec<Write>) {
        let mut batch = sled::Batch::default();
        let (mut changes, mut size) = (0, 0);
        let new = group.iter().flat_map(|write| &write.changes).map(|(key, value)| (key, value));
        for (key, value) in self.owed.iter().chain(new) {
            changes += 1;
            size += value.as_ref().map_or(0, Vec::len) as u64;
            self.pieces.change(&mut batch, key, value.as_deref());
        }
        let result = self.commit(batch, size);
        self.pieces.done(result.is_ok());
        self.tell(&result, changes);
        match result {
            Ok(()) => self.owed.clear(),
            Err(_) => group.iter_mut().for_each(|write| self.owe(write)),
        }
        let told = result.map_err(|e| match e.kind() {
            io::ErrorKind::StorageFull => NtStatus::DISK_FULL,
            _ => NtStatus::IO_DEVICE_ERROR,
        });
        group.into_iter().filter_map(|write| write.done).for_each(|done| done(told));
    }

    /// Once when it begins to fail, and once when it does no more.
    fn tell(&mut self, result: &io::Result<()>, changes: usize) {
        match result {
            Ok(()) => {
                log::debug!("handles: {changes} changes are on the disk");
                if std::mem::take(&mut self.failing) {
                    log::warn!("handles are kept in the database again, those of the time between too");
                }
            }
            Err(e) if !self.failing => {
                self.failing = true;
                log::error!(
                    "handles cannot be kept in the database: {e}. Until they can, none are persistent, and what is open \
                     now does not survive the server as it is now"
                );
            }
            Err(e) => log::debug!("handles: {changes} changes are not on the disk: {e}"),
        }
    }

    /// Who waits is told, and what he has put is not wanted any more.
    fn owe(&mut self, write: &mut Write) {
        let waited_for = write.done.is_some();
        for (key, value) in write.changes.drain(..) {
            match value {
                Some(_) if waited_for => {}
                None if !self.tree.contains_key(key).unwrap_or(true) => drop(self.owed.remove(&key)),
                value => drop(self.owed.insert(key, value)),
            }
        }
    }

    fn commit(&mut self, mut batch: sled::Batch, size: u64) -> io::Result<()> {
        // Once there was none, a little more than none will not do.
        let room = if self.failing { 2 * ROOM } else { ROOM };
        reserve(&self.file, room + 2 * size)?;
        let number = self.serial.last + 1;
        batch.insert(SERIAL, &number.to_be_bytes());
        self.tree.apply_batch(batch)?;
        self.db.flush()?;
        self.file.sync_data()?;
        self.serial.answered(number)
    }
}

/// The number of the last batch, kept outside.
struct Serial {
    last: u64,
    file: File,
}

impl Serial {
    /// Says so if the database is older than what was answered for.
    fn open(tree: &sled::Tree, dir: &Path) -> io::Result<Serial> {
        let path = dir.parent().unwrap_or(dir).join(SERIAL_FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut bytes = [0; 8];
        let outside = file.read_exact_at(&mut bytes, 0).map_or(0, |()| u64::from_be_bytes(bytes));
        let inside = tree.get(SERIAL)?.and_then(|value| Some(u64::from_be_bytes(*value.first_chunk()?)));
        let inside = inside.unwrap_or(0);
        if inside < outside {
            log::error!(
                "the database {} has lost what was written last: open files that clients come back for, and perhaps \
                 users and attributes, are as they were {} changes before",
                dir.display(),
                outside - inside
            );
        }
        // From here on that is how it is.
        file.write_all_at(&inside.to_be_bytes(), 0)?;
        Ok(Serial { last: inside, file })
    }

    /// No need to have this on the disk: after a power cut it may be behind.
    fn answered(&mut self, number: u64) -> io::Result<()> {
        self.last = number;
        self.file.write_all_at(&number.to_be_bytes(), 0)
    }
}
