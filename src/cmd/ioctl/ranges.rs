//! Holes in files: FSCTL_SET_ZERO_DATA, FSCTL_QUERY_ALLOCATED_RANGES, FSCTL_FILE_LEVEL_TRIM (MS-FSA 2.1.5.10).

use super::{Done, Output, Target, encoded};
use crate::fsa::change::Facets;
use crate::types::{AccessMask, FileAttributes, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::fscc::fsctl::{
    FileRegion, FileRegionInput, Range, ZeroData, decode_trim, encode_ranges, encode_regions,
};

/// What TRIM frees are whole pages.
const PAGE: u64 = 4096;

/// From `offset`, which is not negative and neither is the end, `len` bytes.
fn span(offset: i64, len: i64) -> Result<(u64, u64), NtStatus> {
    let wrong = NtStatus::INVALID_PARAMETER;
    if offset.checked_add(len).is_none() {
        return Err(wrong);
    }
    Ok((offset.try_into().map_err(|_| wrong)?, len.try_into().map_err(|_| wrong)?))
}

/// MS-FSA 2.1.5.10.39. The size stays.
pub fn zero(target: &mut Target<'_, '_>) -> Done {
    let zero = ZeroData::decode(&mut Reader::new(target.request.input))?;
    if zero.beyond_final_zero < 0 || target.file.directory {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    let (from, len) = span(zero.file_offset, zero.beyond_final_zero.wrapping_sub(zero.file_offset))?;
    target.needs(AccessMask::WRITE_DATA)?;
    target.may_write(from, len)?;
    if len > 0 {
        target.file.object.zero_range(from, len)?;
        target.changed(Facets::WRITTEN)?;
    }
    Output::none()
}

/// MS-FSA 2.1.5.10.22. Of a file that is not marked as sparse, everything up to its end is allocated.
pub fn allocated(target: &Target<'_, '_>) -> Done {
    let asked = Range::decode(&mut Reader::new(target.request.input))?;
    let (from, len) = span(asked.file_offset, asked.length)?;
    if target.file.directory {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    target.needs(AccessMask::READ_DATA)?;
    let stat = target.open.tree.disk()?.area.export()?.stat(&target.file.object)?;
    let len = len.min(stat.size.saturating_sub(from));
    if len == 0 {
        return Output::none();
    }
    let max = target.request.max_output_response as usize;
    let ranges = if stat.attributes.contains(FileAttributes::SPARSE_FILE) {
        // One more than fits, to know whether all do.
        target.file.object.allocated_ranges(from, len, max / Range::SIZE + 1)?
    } else {
        vec![(from, len)]
    };
    if max < Range::SIZE && !ranges.is_empty() {
        return Err(NtStatus::BUFFER_TOO_SMALL.into());
    }
    let ranges: Vec<_> = ranges
        .into_iter()
        .map(|(offset, len)| Range { file_offset: offset as i64, length: len as i64 })
        .collect();
    let mut all = true;
    let data = encoded(|w| all = encode_ranges(&ranges, w, max));
    Ok(Output { status: if all { NtStatus::SUCCESS } else { NtStatus::BUFFER_OVERFLOW }, data })
}

/// MS-FSA 2.1.5.10.24. The valid data of a file end where it ends: one region, or none behind its end.
pub fn regions(target: &Target<'_, '_>) -> Done {
    const VALID_CACHED_DATA: u32 = 1;
    const VALID_NONCACHED_DATA: u32 = 2;
    const HEADER: usize = 16;
    let input = target.request.input;
    let asked = if input.is_empty() {
        FileRegionInput { length: i64::MAX, desired_usage: VALID_CACHED_DATA, ..FileRegionInput::default() }
    } else if input.len() < FileRegionInput::SIZE {
        return Err(NtStatus::BUFFER_TOO_SMALL.into());
    } else {
        FileRegionInput::decode(&mut Reader::new(input))?
    };
    let (from, len) = span(asked.file_offset, asked.length)?;
    if target.file.directory || !matches!(asked.desired_usage, VALID_CACHED_DATA | VALID_NONCACHED_DATA) {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    let max = target.request.max_output_response as usize;
    if max < HEADER + FileRegion::SIZE {
        return Err(NtStatus::BUFFER_TOO_SMALL.into());
    }
    let length = len.min(target.file.object.size()?.saturating_sub(from));
    let region = FileRegion { file_offset: from as i64, length: length as i64, usage: asked.desired_usage };
    let found = if length > 0 { &[region][..] } else { &[] };
    Output::new(encoded(|w| {
        encode_regions(found, w, max);
    }))
}

/// MS-FSA 2.1.5.10.6. What the client no longer needs is freed and reads as zeros from then on.
pub fn trim(target: &mut Target<'_, '_>) -> Done {
    const COUNT: usize = 4;
    let ranges = decode_trim(target.request.input)?;
    // The key must be zero.
    if ranges.is_empty() || target.file.directory || target.request.input[..4] != [0; 4] {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    target.needs(AccessMask::WRITE_DATA)?;
    let mut done = 0u32;
    let mut result = Ok(());
    for range in &ranges {
        result = trim_one(target, range);
        if result.is_err() {
            break;
        }
        done += 1;
    }
    if done > 0 {
        target.changed(Facets::DATA)?;
    }
    result?;
    if (target.request.max_output_response as usize) < COUNT {
        return Output::none();
    }
    Output::new(done.to_le_bytes().to_vec())
}

fn trim_one(target: &Target<'_, '_>, range: &Range) -> Result<(), NtStatus> {
    let (from, len) = span(range.file_offset, range.length)?;
    let (from, len) = whole_pages(from, len);
    if len == 0 {
        return Ok(());
    }
    target.may_write(from, len)?;
    target.file.object.zero_range(from, len)
}

/// The pages that lie within the range altogether.
fn whole_pages(from: u64, len: u64) -> (u64, u64) {
    let first = from.next_multiple_of(PAGE);
    let end = (from + len) / PAGE * PAGE;
    (first, end.saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_are_none_are_refused() {
        assert_eq!(span(0, 0), Ok((0, 0)));
        assert_eq!(span(8, i64::MAX - 8), Ok((8, i64::MAX as u64 - 8)));
        for (offset, len) in [(-1, 4), (0, -1), (512, -1), (8, i64::MAX), (i64::MIN, i64::MIN)] {
            assert_eq!(span(offset, len), Err(NtStatus::INVALID_PARAMETER));
        }
    }

    #[test]
    fn trim_spares_pages_that_are_needed_in_part() {
        assert_eq!(whole_pages(0, 8192), (0, 8192));
        assert_eq!(whole_pages(1, 8191), (4096, 4096));
        assert_eq!(whole_pages(1, 4096), (4096, 0));
        assert_eq!(whole_pages(0, 4095), (0, 0));
    }
}
