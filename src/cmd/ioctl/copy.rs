//! Server-side copy (MS-SMB2 3.3.5.15.5, 3.3.5.15.6). The data never leave the kernel where it can help it.

use super::{Done, Output, Target, encoded};
use crate::cmd::file_of;
use crate::fsa::change::Facets;
use crate::session::Open;
use crate::types::{AccessMask, FileId, NtStatus};
use crate::wire::ioctl::{
    CtlCode, ResumeKey, SrvCopychunk, SrvCopychunkCopy, SrvCopychunkResponse, SrvRequestResumeKeyResponse,
};
use std::sync::Arc;

const MAX_CHUNKS: usize = 256;
/// Bytes.
const MAX_CHUNK: u32 = 1 << 20;
/// Bytes in all chunks together.
const MAX_TOTAL: u64 = 16 << 20;

/// Bytes of the answers.
const ANSWER: usize = 12;
const KEY_ANSWER: usize = 32;

/// A key is no secret: it is good within its session only.
fn key_of(id: FileId) -> ResumeKey {
    let mut key = ResumeKey::default();
    key[..8].copy_from_slice(&id.persistent.to_le_bytes());
    key[8..16].copy_from_slice(&id.volatile.to_le_bytes());
    key
}

fn id_of(key: &ResumeKey) -> Option<FileId> {
    let number = |at: usize| key[at..at + 8].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
    (number(16) == 0).then(|| FileId { persistent: number(0), volatile: number(8) })
}

pub fn resume_key(target: &Target<'_, '_>) -> Done {
    target.room(KEY_ANSWER)?;
    let answer = SrvRequestResumeKeyResponse { resume_key: key_of(target.open.id) };
    Output::new(encoded(|w| answer.encode(w)))
}

pub fn chunks(target: &mut Target<'_, '_>) -> Done {
    target.room(ANSWER)?;
    let copy = SrvCopychunkCopy::decode(target.request.input)?;
    let source = id_of(&copy.source_key)
        .and_then(|id| target.ctx.gate.opens.get(id))
        .filter(|open| open.session() == target.open.session())
        .ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
    if !within_limits(&copy.chunks) {
        let limits = SrvCopychunkResponse {
            chunks_written: MAX_CHUNKS as u32,
            chunk_bytes_written: MAX_CHUNK,
            total_bytes_written: MAX_TOTAL as u32,
        };
        return told(NtStatus::INVALID_PARAMETER, limits);
    }
    may_copy(target, &source)?;

    let mut done = SrvCopychunkResponse::default();
    let mut status = NtStatus::SUCCESS;
    for chunk in &copy.chunks {
        let (copied, result) = one(target, &source, chunk);
        done.total_bytes_written += copied;
        if let Err(e) = result {
            done.chunk_bytes_written = copied;
            status = e;
            break;
        }
        done.chunks_written += 1;
    }
    if done.total_bytes_written > 0 {
        target.changed(Facets::WRITTEN)?;
    }
    told(status, done)
}

fn told(status: NtStatus, answer: SrvCopychunkResponse) -> Done {
    Ok(Output { status, data: encoded(|w| answer.encode(w)) })
}

fn within_limits(chunks: &[SrvCopychunk]) -> bool {
    chunks.len() <= MAX_CHUNKS
        && chunks.iter().all(|c| (1..=MAX_CHUNK).contains(&c.length))
        && chunks.iter().map(|c| u64::from(c.length)).sum::<u64>() <= MAX_TOTAL
}

fn may_copy(target: &Target<'_, '_>, source: &Arc<Open>) -> Result<(), NtStatus> {
    let from = file_of(source)?;
    if from.directory || target.file.directory {
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    target.needs(AccessMask::WRITE_DATA)?;
    // SRV_COPYCHUNK asks, for no better reason than that it always has, to read what it writes.
    let read = AccessMask::READ_DATA | AccessMask::EXECUTE;
    if target.request.ctl_code == CtlCode::SRV_COPYCHUNK {
        target.needs(AccessMask::READ_DATA)?;
    }
    if from.access.intersects(read) { Ok(()) } else { Err(NtStatus::ACCESS_DENIED) }
}

/// How much of a chunk was copied, and why no more.
fn one(target: &Target<'_, '_>, source: &Open, chunk: &SrvCopychunk) -> (u32, Result<(), NtStatus>) {
    let copy = || {
        let len = u64::from(chunk.length);
        let fits = |at: u64| at.checked_add(len).is_some_and(|end| end <= i64::MAX as u64);
        if !fits(chunk.source_offset) || !fits(chunk.target_offset) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let from = &file_of(source)?.object;
        if chunk.source_offset + len > from.size()? {
            return Err(NtStatus::INVALID_VIEW_SIZE);
        }
        let rules = &source.tree.disk()?.area.rules;
        if !rules.lock().may_read(source.open_id(), chunk.source_offset, len) {
            return Err(NtStatus::FILE_LOCK_CONFLICT);
        }
        target.may_write(chunk.target_offset, len)?;
        from.copy_to(chunk.source_offset, &target.file.object, chunk.target_offset, len)
    };
    match copy() {
        Ok(copied) if copied == u64::from(chunk.length) => (chunk.length, Ok(())),
        // It has become shorter in between.
        Ok(copied) => (copied as u32, Err(NtStatus::INVALID_VIEW_SIZE)),
        Err(status) => (0, Err(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(length: u32) -> SrvCopychunk {
        SrvCopychunk { length, ..SrvCopychunk::default() }
    }

    #[test]
    fn a_key_leads_back_to_its_open() {
        let id = FileId { persistent: 0x0102_0304_0506_0708, volatile: u64::MAX - 1 };
        assert_eq!(id_of(&key_of(id)), Some(id));
        let mut wrong = key_of(id);
        wrong[20] = 1;
        assert_eq!(id_of(&wrong), None);
    }

    #[test]
    fn the_limits_are_those_of_windows() {
        assert!(within_limits(&[chunk(MAX_CHUNK); 16]));
        assert!(!within_limits(&[chunk(MAX_CHUNK); 17]));
        assert!(!within_limits(&[chunk(MAX_CHUNK + 1)]));
        assert!(!within_limits(&[chunk(0)]));
        assert!(within_limits(&[chunk(1); 256]));
        assert!(!within_limits(&[chunk(1); 257]));
        assert!(within_limits(&[]));
    }
}
