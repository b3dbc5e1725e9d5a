//! FSCTL_DUPLICATE_EXTENTS_TO_FILE and its Ex form (MS-SMB2 3.3.5.15.17, .18; MS-FSA 2.1.5.10.4, .5): a copy that shares
//! the blocks. As on Windows, byte-range locks do not matter.

use super::{Done, Output, Target};
use crate::cmd::file_of;
use crate::fsa::change::Facets;
use crate::types::{AccessMask, FileAttributes, NtStatus};
use crate::wire::fscc::fsctl::DuplicateExtents;

/// DUPLICATE_EXTENTS_DATA_EX_SOURCE_ATOMIC: what is copied is the source at one moment, or nothing.
const SOURCE_ATOMIC: u32 = 1;

pub fn duplicate(target: &mut Target<'_, '_>, ex: bool) -> Done {
    let asked = DuplicateExtents::decode(ex, target.request.input)?;
    let opens = &target.ctx.gate.opens;
    let source = opens
        .get(asked.source_file_id)
        .filter(|open| open.session() == target.open.session())
        .ok_or(NtStatus::INVALID_HANDLE)?;
    let from = file_of(&source).map_err(|_| NtStatus::INVALID_PARAMETER)?;
    let disk = target.open.tree.disk()?;
    let export = disk.area.export()?;
    if !export.facts().shares_extents {
        return Err(NtStatus::INVALID_DEVICE_REQUEST.into());
    }
    target.writable()?;
    if from.directory || target.file.directory {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    target.needs(AccessMask::WRITE_DATA)?;
    if !from.access.intersects(AccessMask::READ_DATA | AccessMask::EXECUTE) {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let there = source.tree.disk()?.area.export()?.stat(&from.object)?;
    let here = export.stat(&target.file.object)?;
    if there.attributes.contains(FileAttributes::SPARSE_FILE)
        && !here.attributes.contains(FileAttributes::SPARSE_FILE)
    {
        return Err(NtStatus::NOT_SUPPORTED.into());
    }
    let files = Files {
        source: there.size,
        target: here.size,
        cluster: u64::from(export.volume()?.cluster_size),
        same: from.object.key() == target.file.object.key(),
    };
    let Some(plan) = plan(&asked, &files)? else { return Output::none() };
    if asked.flags & SOURCE_ATOMIC != 0 && plan.copied > 0 {
        return Err(NtStatus::NOT_SUPPORTED.into());
    }
    let to = &target.file.object;
    if plan.shared > 0 {
        from.object.share_extents(plan.from, to, plan.at, plan.shared)?;
    }
    if plan.copied > 0 {
        from.object.copy_to(plan.from + plan.shared, to, plan.at + plan.shared, plan.copied)?;
    }
    to.zero_range(plan.at + plan.shared + plan.copied, plan.zeros)?;
    target.changed(Facets::WRITTEN)?;
    Output::none()
}

/// Sizes in bytes.
struct Files {
    source: u64,
    target: u64,
    cluster: u64,
    same: bool,
}

/// What is to be done, one after the other; lengths in bytes.
#[derive(PartialEq, Eq, Debug)]
struct Plan {
    from: u64,
    at: u64,
    shared: u64,
    /// The part of a block at the source's end, where the target goes on.
    copied: u64,
    /// What the source's last block has behind its end.
    zeros: u64,
}

/// None: nothing. The source's range lies within what it has allocated, which is its size in whole clusters. A length
/// that is none is taken where it ends with the source, as Linux clients send it. What would come to lie beyond the
/// target's end does not, since its size stays; Windows takes such a request too, whatever MS-FSCC 2.3.8 says.
fn plan(asked: &DuplicateExtents, files: &Files) -> Result<Option<Plan>, NtStatus> {
    let positive = |n: i64| u64::try_from(n).map_err(|_| NtStatus::INVALID_PARAMETER);
    let (from, at, len) = (
        positive(asked.source_file_offset)?,
        positive(asked.target_file_offset)?,
        positive(asked.byte_count)?,
    );
    // No overflow: each is less than 2^63.
    let (from_end, at_end) = (from + len, at + len);
    if from_end.max(at_end) > i64::MAX as u64
        || !from.is_multiple_of(files.cluster)
        || !at.is_multiple_of(files.cluster)
        || !(len.is_multiple_of(files.cluster) || from_end == files.source)
    {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if len == 0 {
        return Ok(None);
    }
    let allocated = |size: u64| size.next_multiple_of(files.cluster);
    if from_end > allocated(files.source) || (files.same && from < at_end && at < from_end) {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    let room = files.target.saturating_sub(at).min(len);
    let len = (from_end.min(files.source) - from).min(room);
    let zeros = room - len;
    let ends_both = at + len == files.target && from + len == files.source;
    let shared = if ends_both { len } else { len / files.cluster * files.cluster };
    Ok((room > 0).then_some(Plan { from, at, shared, copied: len - shared, zeros }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: i64 = 4096;

    fn asked(from: i64, at: i64, len: i64) -> DuplicateExtents {
        DuplicateExtents {
            source_file_offset: from,
            target_file_offset: at,
            byte_count: len,
            ..DuplicateExtents::default()
        }
    }

    fn sized(source: u64, target: u64) -> Files {
        Files { source, target, cluster: K as u64, same: false }
    }

    #[test]
    fn whole_clusters_are_shared() {
        let done = plan(&asked(K, 0, 2 * K), &sized(12288, 12288)).unwrap().unwrap();
        assert_eq!(done, Plan { from: 4096, at: 0, shared: 8192, copied: 0, zeros: 0 });
        assert_eq!(plan(&asked(0, 0, 0), &sized(0, 0)), Ok(None));
    }

    #[test]
    fn what_is_no_whole_cluster_is_refused_but_at_the_end() {
        let files = sized(5000, 5000);
        for (from, at, len) in [(1, 0, K), (0, 1, K), (0, 0, 100), (-K, 0, K), (0, -K, K), (0, 0, -K)] {
            assert_eq!(
                plan(&asked(from, at, len), &files),
                Err(NtStatus::INVALID_PARAMETER),
                "{from} {at} {len}"
            );
        }
        let whole = Some(Plan { from: 0, at: 0, shared: 5000, copied: 0, zeros: 0 });
        assert_eq!(plan(&asked(0, 0, 5000), &files), Ok(whole));
        let whole = Some(Plan { from: 0, at: 0, shared: 5000, copied: 0, zeros: 0 });
        assert_eq!(plan(&asked(0, 0, 2 * K), &files), Ok(whole));
        assert_eq!(plan(&asked(i64::MAX / K * K, 0, K), &files), Err(NtStatus::INVALID_PARAMETER));
    }

    #[test]
    fn what_is_beyond_the_source_is_refused_and_beyond_the_target_left_out() {
        assert_eq!(plan(&asked(0, 0, 2 * K), &sized(4096, 8192)), Err(NtStatus::NOT_SUPPORTED));
        let half = Some(Plan { from: 0, at: 0, shared: 4096, copied: 0, zeros: 0 });
        assert_eq!(plan(&asked(0, 0, 2 * K), &sized(8192, 4096)), Ok(half));
        assert_eq!(plan(&asked(0, 4 * K, 2 * K), &sized(8192, 4096)), Ok(None));
    }

    #[test]
    fn the_target_keeps_its_size_and_what_lies_behind() {
        // The source's last cluster has 904 bytes and zeros.
        let done = plan(&asked(0, 0, 2 * K), &sized(5000, 12288)).unwrap().unwrap();
        assert_eq!(done, Plan { from: 0, at: 0, shared: 4096, copied: 904, zeros: 3192 });
        let done = plan(&asked(0, 0, 2 * K), &sized(8192, 5000)).unwrap().unwrap();
        assert_eq!(done, Plan { from: 0, at: 0, shared: 4096, copied: 904, zeros: 0 });
    }

    #[test]
    fn ranges_of_one_file_do_not_overlap() {
        let same = Files { same: true, ..sized(32768, 32768) };
        assert_eq!(plan(&asked(0, 2 * K, 4 * K), &same), Err(NtStatus::NOT_SUPPORTED));
        assert_eq!(plan(&asked(2 * K, 0, 4 * K), &same), Err(NtStatus::NOT_SUPPORTED));
        assert!(plan(&asked(0, 4 * K, 4 * K), &same).unwrap().is_some());
    }
}
