//! Records as bytes.
//!
//! ```text
//!   version (1)  body  CRC-32 of the key and all before (4, little endian)
//! ```
//!
//! The body has the fields of [`Record`] in their order; texts, paths and lists have their length (4 bytes) before them, options
//! a byte that says whether they are there. What a later version has more stands behind what the one before it has: what an
//! older server wrote is read, without that, and written anew in the latest.

use super::record::{LeaseRecord, Record};
use crate::fsa::{FrozenTimes, FrozenWritten, LeaseId, LockRange};
use crate::posix::{FileHandle, Lasting};
use crate::session::instance::Instance;
use crate::types::{AccessMask, CreateOptions, LeaseKey, LeaseState, NodeKey, OplockLevel, ShareAccess};
use crate::wire::codec::{DecodeError, Reader, Writer};
use crate::wire::create::CreateAction;
use std::time::Duration;

/// The latest.
const VERSION: u8 = 2;
const CRC: usize = 4;
const WHAT: &str = "a handle";

/// Why a record does not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Bad {
    #[error("it is damaged")]
    Damaged,
    #[error("it is of version {0}, written by a newer smbgate")]
    Newer(u8),
}

impl From<DecodeError> for Bad {
    fn from(_: DecodeError) -> Bad {
        Bad::Damaged
    }
}

/// What a record stands under.
pub fn key(persistent: u64) -> [u8; 8] {
    persistent.to_be_bytes()
}

fn crc(key: &[u8], body: &[u8]) -> [u8; CRC] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

pub fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut w = Writer::new(&mut bytes);
    w.u8(VERSION);
    put(&mut w, record);
    sealed(&key(record.id.persistent), &bytes)
}

/// With its checksum.
pub fn sealed(key: &[u8], body: &[u8]) -> Vec<u8> {
    [body, &crc(key, body)].concat()
}

pub fn decode(key: &[u8], bytes: &[u8]) -> Result<Record, Bad> {
    let (body, sum) = bytes.split_last_chunk::<CRC>().ok_or(Bad::Damaged)?;
    if crc(key, body) != *sum {
        return Err(Bad::Damaged);
    }
    let mut r = Reader::new(body);
    let record = match r.u8(WHAT)? {
        1 => version1(&mut r)?,
        2 => {
            let record = version1(&mut r)?;
            Record { times: times(&mut r)?, ..record }
        }
        newer if newer > VERSION => return Err(Bad::Newer(newer)),
        _ => return Err(Bad::Damaged),
    };
    if self::key(record.id.persistent) != *key || r.remaining() > 0 {
        return Err(Bad::Damaged);
    }
    Ok(record)
}

fn put(w: &mut Writer<'_>, record: &Record) {
    w.file_id(record.id);
    w.guid(record.client);
    w.guid(record.create_guid);
    w.u32(record.action.0);
    for timeout in [record.timeout, record.resilience] {
        maybe(w, timeout.as_ref(), |w, timeout| w.u64(timeout.as_millis() as u64));
    }
    w.u8(record.persistent.into());
    list(w, record.user.as_bytes());
    list(w, record.place.as_bytes());
    list(w, &record.path);
    maybe(w, record.stream.as_ref(), |w, stream| list(w, stream.as_bytes()));
    let Lasting { handle, key, born } = &record.object;
    maybe(w, handle.as_ref(), |w, handle| {
        w.u32(handle.kind as u32);
        list(w, &handle.bytes);
    });
    w.u64(key.dev);
    w.u64(key.ino);
    w.time(*born);
    w.time(record.version);
    w.u32(record.access.bits());
    w.u32(record.share.bits());
    w.u32(record.options.bits());
    maybe(w, record.mode.as_ref(), |w, mode| w.u32(mode.bits()));
    w.u8(record.delete_on_close.into());
    w.u8(record.deleted.into());
    w.u8(record.oplock.0);
    maybe(w, record.lease.as_ref(), |w, lease| {
        w.guid(lease.id.client);
        w.bytes(&lease.id.key.0);
        w.u32(lease.state.bits());
        w.u8(lease.version2.into());
        w.u16(lease.epoch);
        maybe(w, lease.parent.as_ref(), |w, parent| w.bytes(&parent.0));
    });
    w.u32(record.locks.len() as u32);
    for lock in &record.locks {
        w.u64(lock.offset);
        w.u64(lock.length);
        w.u8(lock.exclusive.into());
    }
    maybe(w, record.sequences.as_ref(), |w, sequences| w.bytes(sequences));
    maybe(w, record.instance.as_ref(), |w, instance| {
        w.guid(instance.id);
        maybe(w, instance.version.as_ref(), |w, (high, low)| {
            w.u64(*high);
            w.u64(*low);
        });
    });
    let FrozenTimes { written, accessed, changed } = &record.times;
    maybe(w, written.as_ref(), |w, frozen| {
        w.time(frozen.told);
        w.time(frozen.disk);
        maybe(w, frozen.last.as_ref(), |w, last| w.time(*last));
    });
    for time in [accessed, changed] {
        maybe(w, time.as_ref(), |w, time| w.time(*time));
    }
}

fn version1(r: &mut Reader<'_>) -> Result<Record, DecodeError> {
    Ok(Record {
        id: r.file_id(WHAT)?,
        client: r.guid(WHAT)?,
        create_guid: r.guid(WHAT)?,
        action: CreateAction(r.u32(WHAT)?),
        timeout: option(r, milliseconds)?,
        resilience: option(r, milliseconds)?,
        persistent: flag(r)?,
        user: text(r)?,
        place: text(r)?,
        path: bytes(r)?,
        stream: option(r, text)?,
        object: Lasting {
            handle: option(r, |r| Ok(FileHandle { kind: r.u32(WHAT)? as i32, bytes: bytes(r)?.into() }))?,
            key: NodeKey { dev: r.u64(WHAT)?, ino: r.u64(WHAT)? },
            born: r.time(WHAT)?,
        },
        version: r.time(WHAT)?,
        access: AccessMask::from_bits_retain(r.u32(WHAT)?),
        share: ShareAccess::from_bits_retain(r.u32(WHAT)?),
        options: CreateOptions::from_bits_retain(r.u32(WHAT)?),
        mode: option(r, |r| Ok(CreateOptions::from_bits_retain(r.u32(WHAT)?)))?,
        delete_on_close: flag(r)?,
        deleted: flag(r)?,
        oplock: OplockLevel(r.u8(WHAT)?),
        lease: option(r, lease)?,
        locks: locks(r)?,
        sequences: option(r, |r| r.array(WHAT))?,
        instance: option(r, instance)?,
        times: FrozenTimes::default(),
    })
}

fn times(r: &mut Reader<'_>) -> Result<FrozenTimes, DecodeError> {
    let written = |r: &mut Reader<'_>| {
        let (told, disk) = (r.time(WHAT)?, r.time(WHAT)?);
        Ok(FrozenWritten { told, disk, last: option(r, |r| r.time(WHAT))? })
    };
    Ok(FrozenTimes {
        written: option(r, written)?,
        accessed: option(r, |r| r.time(WHAT))?,
        changed: option(r, |r| r.time(WHAT))?,
    })
}

fn milliseconds(r: &mut Reader<'_>) -> Result<Duration, DecodeError> {
    r.u64(WHAT).map(Duration::from_millis)
}

fn instance(r: &mut Reader<'_>) -> Result<Instance, DecodeError> {
    Ok(Instance { id: r.guid(WHAT)?, version: option(r, |r| Ok((r.u64(WHAT)?, r.u64(WHAT)?)))? })
}

fn lease(r: &mut Reader<'_>) -> Result<LeaseRecord, DecodeError> {
    Ok(LeaseRecord {
        id: LeaseId { client: r.guid(WHAT)?, key: LeaseKey(r.array(WHAT)?) },
        state: LeaseState::from_bits_retain(r.u32(WHAT)?),
        version2: flag(r)?,
        epoch: r.u16(WHAT)?,
        parent: option(r, |r| r.array(WHAT).map(LeaseKey))?,
    })
}

fn locks(r: &mut Reader<'_>) -> Result<Vec<LockRange>, DecodeError> {
    let count = r.u32(WHAT)?;
    // Each takes bytes, so that a wrong count ends soon.
    (0..count)
        .map(|_| Ok(LockRange { offset: r.u64(WHAT)?, length: r.u64(WHAT)?, exclusive: flag(r)? }))
        .collect()
}

fn list(w: &mut Writer<'_>, bytes: &[u8]) {
    w.u32(bytes.len() as u32);
    w.bytes(bytes);
}

fn bytes(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let len = r.u32(WHAT)? as usize;
    r.bytes(len, WHAT).map(<[u8]>::to_vec)
}

fn text(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    String::from_utf8(bytes(r)?).map_err(|_| DecodeError::new(WHAT))
}

fn flag(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    r.u8(WHAT).map(|byte| byte != 0)
}

fn maybe<T>(w: &mut Writer<'_>, value: Option<&T>, put: impl FnOnce(&mut Writer<'_>, &T)) {
    w.u8(value.is_some().into());
    if let Some(value) = value {
        put(w, value);
    }
}

fn option<'a, T>(
    r: &mut Reader<'a>,
    get: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if flag(r)? { get(r).map(Some) } else { Ok(None) }
}
