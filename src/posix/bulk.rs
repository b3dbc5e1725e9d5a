//! Named streams that no xattr holds, as records of the database, in chunks: writing a part rewrites no more than the
//! chunks it touches.
//!
//! ```text
//!   FILE 1 name     -> size (8, LE), number (4, LE)
//!   FILE 2 number (4, BE) chunk (4, BE) -> bytes of the chunk; what is missing at its end, or all of it, is zeros
//! ```
//!
//! FILE names the inode for as long as it lives: the file system, the inode's number and when it was born, so that another
//! file with the same number is not taken for it. Whoever uses a file's streams holds its node's lock (`stream`).

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Statx, StatxFlags};

use super::facts::{self, Facts};
use super::records::Edit;
use super::{Result, SideStore, of_errno, stat};
use crate::sys;
use crate::types::NtStatus;

/// Bytes of a chunk. With it no page of the database grows so large that it becomes a file of its own.
const CHUNK: u64 = 4096;
/// Bytes of one stream.
pub(super) const MAX: u64 = 256 << 20;

const NAMES: u8 = 1;
const CHUNKS: u8 = 2;
/// Bytes of FILE.
const FILE: usize = 28;

/// Whose streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct File([u8; FILE]);

/// A stream that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Bytes.
    pub size: u64,
    number: u32,
}

/// The streams of one export's files that are in the database.
pub(super) struct Bulk {
    side: Arc<dyn SideStore>,
    /// The export's file system, where that has no id of its own that lasts.
    source: AtomicU64,
    device: AtomicU64,
    xattrs: AtomicBool,
}

impl std::fmt::Debug for Bulk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bulk").finish_non_exhaustive()
    }
}

impl Bulk {
    pub fn new(side: Arc<dyn SideStore>, facts: &Facts) -> Bulk {
        let bulk = Bulk {
            side,
            source: AtomicU64::new(0),
            device: AtomicU64::new(0),
            xattrs: AtomicBool::new(false),
        };
        bulk.set_facts(facts);
        bulk
    }

    /// The export's root has become another.
    pub fn set_facts(&self, facts: &Facts) {
        let mut hash = crc32fast::Hasher::new();
        hash.update(facts.fs_type.as_bytes());
        hash.update(&[0]);
        hash.update(facts.source.as_bytes());
        self.source.store(hash.finalize().into(), Ordering::Relaxed);
        self.device.store(facts.device, Ordering::Relaxed);
        self.xattrs.store(facts.xattrs, Ordering::Relaxed);
    }

    /// Whether the export's file system has xattrs.
    pub fn has_xattrs(&self) -> bool {
        self.xattrs.load(Ordering::Relaxed)
    }

    /// Nobody has a stream here: nothing has to be looked for.
    pub fn is_empty(&self) -> bool {
        self.side.no_records()
    }

    pub fn file(&self, fd: BorrowedFd<'_>) -> Result<File> {
        let stx = sys::file::stat_fd(fd).map_err(of_errno)?;
        Ok(self.file_of(&stx, fd))
    }

    /// `fd`: anything on the same file system.
    fn file_of(&self, stx: &Statx, fd: BorrowedFd<'_>) -> File {
        let device = stat::key(stx).dev;
        let system = facts::lasting_id(fd).unwrap_or_else(|| {
            let here = device == self.device.load(Ordering::Relaxed);
            self.source.load(Ordering::Relaxed) ^ if here { 0 } else { device.wrapping_add(1) << 32 }
        });
        let born = stx.stx_mask & StatxFlags::BTIME.bits() != 0;
        let (seconds, nanos) = if born { (stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec) } else { (0, 0) };
        let mut file = [0; FILE];
        file[..8].copy_from_slice(&system.to_be_bytes());
        file[8..16].copy_from_slice(&stx.stx_ino.to_be_bytes());
        file[16..24].copy_from_slice(&seconds.to_be_bytes());
        file[24..].copy_from_slice(&nanos.to_be_bytes());
        File(file)
    }

    pub fn find(&self, file: File, name: &str) -> Result<Option<Entry>> {
        if self.is_empty() {
            return Ok(None);
        }
        self.side.record(&header(file, name))?.map(|value| Entry::decode(&value)).transpose()
    }

    /// Names and sizes.
    pub fn list(&self, file: File) -> Result<Vec<(String, Entry)>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let prefix = header(file, "");
        let mut found = Vec::new();
        for key in self.side.keys(&prefix)? {
            let name = String::from_utf8(key[prefix.len()..].to_vec()).map_err(|_| NtStatus::DATA_ERROR)?;
            if let Some(value) = self.side.record(&key)? {
                found.push((name, Entry::decode(&value)?));
            }
        }
        Ok(found)
    }

    /// Short at the stream's end.
    pub fn read(&self, file: File, entry: Entry, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let len = (buf.len() as u64).min(entry.size.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let (index, within) = (at / CHUNK, (at % CHUNK) as usize);
            let part = &mut buf[done..len.min(done + CHUNK as usize - within)];
            let chunk = self.side.record(&chunk_key(file, entry.number, index))?.unwrap_or_default();
            let there = chunk.get(within..).unwrap_or_default();
            let there = &there[..there.len().min(part.len())];
            part[..there.len()].copy_from_slice(there);
            part[there.len()..].fill(0);
            done += part.len();
        }
        Ok(len)
    }

    /// Makes the stream, or changes it: these pieces at their offsets, and this size. One step.
    pub fn put(&self, file: File, name: &str, pieces: &[(u64, &[u8])], size: u64) -> Result<()> {
        if size > MAX {
            return Err(NtStatus::DISK_FULL);
        }
        let old = self.find(file, name)?;
        let (number, old_size) = match old {
            Some(entry) => (entry.number, entry.size),
            None => (self.list(file)?.iter().map(|(_, e)| e.number + 1).max().unwrap_or(0), 0),
        };
        let mut chunks: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut edits: Vec<Edit> = Vec::new();
        if size < old_size {
            for index in size.div_ceil(CHUNK)..old_size.div_ceil(CHUNK) {
                edits.push((chunk_key(file, number, index), None));
            }
            // What is cut off must not come back when it grows again.
            if !size.is_multiple_of(CHUNK) {
                let mut chunk = self.chunk(file, number, size / CHUNK)?;
                chunk.truncate((size % CHUNK) as usize);
                chunks.insert(size / CHUNK, chunk);
            }
        }
        for &(offset, bytes) in pieces {
            let mut rest = bytes;
            let mut at = offset;
            while !rest.is_empty() {
                let (index, within) = (at / CHUNK, (at % CHUNK) as usize);
                let (part, after) = rest.split_at(rest.len().min(CHUNK as usize - within));
                let chunk = match chunks.entry(index) {
                    std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                    std::collections::btree_map::Entry::Vacant(new) => {
                        let whole = part.len() == CHUNK as usize || index >= old_size.div_ceil(CHUNK);
                        new.insert(if whole { Vec::new() } else { self.chunk(file, number, index)? })
                    }
                };
                if chunk.len() < within + part.len() {
                    chunk.resize(within + part.len(), 0);
                }
                chunk[within..within + part.len()].copy_from_slice(part);
                at += part.len() as u64;
                rest = after;
            }
        }
        edits.extend(chunks.into_iter().map(|(index, chunk)| (chunk_key(file, number, index), Some(chunk))));
        edits.push((header(file, name), Some(Entry { size, number }.encode())));
        self.side.edit(edits)
    }

    fn chunk(&self, file: File, number: u32, index: u64) -> Result<Vec<u8>> {
        Ok(self.side.record(&chunk_key(file, number, index))?.unwrap_or_default())
    }

    /// The data stay where they are. What has the new name goes.
    pub fn rename(&self, file: File, from: &str, to: &str) -> Result<()> {
        let entry = self.find(file, from)?.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let mut edits = self.removal(file, to)?;
        edits.push((header(file, from), None));
        edits.push((header(file, to), Some(entry.encode())));
        self.side.edit(edits)
    }

    /// False: there was none.
    pub fn remove(&self, file: File, name: &str) -> Result<bool> {
        let edits = self.removal(file, name)?;
        if edits.is_empty() {
            return Ok(false);
        }
        self.side.edit(edits).map(|()| true)
    }

    fn removal(&self, file: File, name: &str) -> Result<Vec<Edit>> {
        let Some(entry) = self.find(file, name)? else { return Ok(Vec::new()) };
        let mut prefix = chunk_key(file, entry.number, 0);
        prefix.truncate(FILE + 5);
        let mut edits: Vec<Edit> = self.side.keys(&prefix)?.into_iter().map(|key| (key, None)).collect();
        edits.push((header(file, name), None));
        Ok(edits)
    }

    /// The file is gone. `fd`: anything on the same file system.
    pub fn forget(&self, gone: &Statx, fd: BorrowedFd<'_>) {
        if self.is_empty() {
            return;
        }
        let keys = self.side.keys(&self.file_of(gone, fd).0).unwrap_or_default();
        if !keys.is_empty() {
            // What stays is found by nobody: no file is born with this number at that time again.
            let _ = self.side.edit(keys.into_iter().map(|key| (key, None)).collect());
        }
    }
}

impl Entry {
    fn encode(self) -> Vec<u8> {
        [&self.size.to_le_bytes()[..], &self.number.to_le_bytes()].concat()
    }

    fn decode(value: &[u8]) -> Result<Entry> {
        let (size, number) = value.split_first_chunk::<8>().ok_or(NtStatus::DATA_ERROR)?;
        let number = number.try_into().map_err(|_| NtStatus::DATA_ERROR)?;
        Ok(Entry { size: u64::from_le_bytes(*size), number: u32::from_le_bytes(number) })
    }
}

fn header(file: File, name: &str) -> Vec<u8> {
    [&file.0[..], &[NAMES], name.as_bytes()].concat()
}

fn chunk_key(file: File, number: u32, index: u64) -> Vec<u8> {
    [&file.0[..], &[CHUNKS], &number.to_be_bytes(), &(index as u32).to_be_bytes()].concat()
}
