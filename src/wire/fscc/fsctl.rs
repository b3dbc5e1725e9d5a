//! Payloads of file system controls (MS-FSCC 2.3). Those whose payload is a list or nothing special are
//! functions.

use super::layout::{Field, layout};
use crate::types::{FileId, Guid};
use crate::wire::codec::{DecodeError, Reader, Result, Writer};

layout! {
    /// FSCTL_SET_ZERO_DATA (2.3.71): zeros from `file_offset` up to, not including, `beyond_final_zero`.
    pub struct ZeroData[16] {
        file_offset: i64,
        beyond_final_zero: i64,
    }

    /// FILE_ALLOCATED_RANGE_BUFFER (2.3.52).
    pub struct Range[16] {
        file_offset: i64,
        length: i64,
    }

    /// FILE_OBJECTID_BUFFER (2.1.3.1).
    pub struct ObjectId[64] {
        object_id: Guid,
        birth_volume_id: Guid,
        birth_object_id: Guid,
        domain_id: Guid,
    }

    /// FSCTL_GET_COMPRESSION reply, FSCTL_SET_COMPRESSION request (2.3.14, 2.3.67).
    pub struct Compression[2] {
        compression_state: u16,
    }

    /// FSCTL_GET_INTEGRITY_INFORMATION reply (2.3.22).
    pub struct GetIntegrity[16] {
        checksum_algorithm: u16,
        reserved: u16,
        flags: u32,
        checksum_chunk_size_in_bytes: u32,
        cluster_size_in_bytes: u32,
    }

    /// FSCTL_SET_INTEGRITY_INFORMATION request (2.3.73).
    pub struct SetIntegrity[8] {
        /// 0: none; 2: CRC64; 0xFFFF: unchanged.
        checksum_algorithm: u16,
        reserved: u16,
        /// 1: checksum enforcement off.
        flags: u32,
    }

    /// FSCTL_QUERY_FILE_REGIONS request (2.3.55); absent: the whole file, usage 1.
    pub struct FileRegionInput[24] {
        file_offset: i64,
        length: i64,
        /// 1: valid cached data; 2: valid non-cached data.
        desired_usage: u32,
    }

    /// FILE_REGION_INFO (2.3.56.1).
    pub struct FileRegion[24] {
        file_offset: i64,
        length: i64,
        usage: u32,
    }

    /// FSCTL_OFFLOAD_READ request (2.3.41).
    pub struct OffloadRead[32] {
        size: u32,
        flags: u32,
        token_time_to_live: u32,
        reserved: u32,
        file_offset: u64,
        copy_length: u64,
    }

    /// FSCTL_PIPE_PEEK reply (2.3.46) before the data.
    pub struct PipePeek[16] {
        /// 3: connected; 4: closing.
        named_pipe_state: u32,
        read_data_available: u32,
        number_of_messages: u32,
        message_length: u32,
    }
}

/// FSCTL_SET_SPARSE (2.3.79): no buffer means yes.
pub fn decode_set_sparse(input: &[u8]) -> bool {
    input.first().is_none_or(|b| *b != 0)
}

/// FSCTL_QUERY_ALLOCATED_RANGES reply within `max` bytes; false: not all fitted
/// (STATUS_BUFFER_OVERFLOW).
pub fn encode_ranges(ranges: &[Range], w: &mut Writer<'_>, max: usize) -> bool {
    let fits = ranges.len().min(max / Range::SIZE);
    ranges[..fits].iter().for_each(|r| r.encode(w));
    fits == ranges.len()
}

/// FSCTL_QUERY_ALLOCATED_RANGES reply, for the client.
pub fn decode_ranges(bytes: &[u8]) -> Result<Vec<Range>> {
    let mut r = Reader::new(bytes);
    let mut out = Vec::with_capacity(bytes.len() / Range::SIZE);
    while !r.is_empty() {
        out.push(Range::decode(&mut r)?);
    }
    Ok(out)
}

/// FSCTL_QUERY_FILE_REGIONS reply (2.3.56) within `max` bytes; false: not all fitted
/// (STATUS_BUFFER_OVERFLOW). `max` is at least 16.
pub fn encode_regions(regions: &[FileRegion], w: &mut Writer<'_>, max: usize) -> bool {
    let fits = regions.len().min(max.saturating_sub(16) / FileRegion::SIZE);
    w.u32(0);
    w.u32(regions.len() as u32);
    w.u32(fits as u32);
    w.u32(0);
    regions[..fits].iter().for_each(|r| r.encode(w));
    fits == regions.len()
}

/// FSCTL_QUERY_FILE_REGIONS reply, for the client.
pub fn decode_regions(bytes: &[u8]) -> Result<Vec<FileRegion>> {
    let mut r = Reader::new(bytes);
    r.skip(8, "FILE_REGION_OUTPUT")?;
    let count = r.u32("RegionEntryCount")? as usize;
    r.skip(4, "Reserved")?;
    if count > r.remaining() / FileRegion::SIZE {
        return Err(DecodeError::new("RegionEntryCount"));
    }
    (0..count).map(|_| FileRegion::decode(&mut r)).collect()
}

/// FSCTL_DUPLICATE_EXTENTS_TO_FILE and its Ex form (2.3.7, 2.3.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DuplicateExtents {
    pub source_file_id: FileId,
    pub source_file_offset: i64,
    pub target_file_offset: i64,
    pub byte_count: i64,
    /// Ex only. 1: all or nothing.
    pub flags: u32,
}

impl DuplicateExtents {
    /// StructureSize of the Ex form: it counts the id as the 8 bytes of a local handle.
    const EX_STRUCTURE_SIZE: u64 = 0x30;

    pub fn decode(ex: bool, bytes: &[u8]) -> Result<DuplicateExtents> {
        let mut r = Reader::new(bytes);
        if ex && r.u64("StructureSize")? != DuplicateExtents::EX_STRUCTURE_SIZE {
            return Err(DecodeError::new("StructureSize"));
        }
        Ok(DuplicateExtents {
            source_file_id: FileId { persistent: r.u64("SourceFileID")?, volatile: r.u64("SourceFileID")? },
            source_file_offset: Field::take(&mut r)?,
            target_file_offset: Field::take(&mut r)?,
            byte_count: Field::take(&mut r)?,
            flags: if ex { r.u32("Flags")? } else { 0 },
        })
    }

    pub fn encode(&self, ex: bool, w: &mut Writer<'_>) {
        if ex {
            w.u64(DuplicateExtents::EX_STRUCTURE_SIZE);
        }
        w.u64(self.source_file_id.persistent);
        w.u64(self.source_file_id.volatile);
        self.source_file_offset.put(w);
        self.target_file_offset.put(w);
        self.byte_count.put(w);
        if ex {
            w.u32(self.flags);
            w.u32(0);
        }
    }
}

/// FSCTL_FILE_LEVEL_TRIM request (2.3.11). The reply is the number of ranges done, 32 bits.
pub fn decode_trim(bytes: &[u8]) -> Result<Vec<Range>> {
    let mut r = Reader::new(bytes);
    r.skip(4, "Key")?;
    let count = r.u32("NumRanges")? as usize;
    if count > r.remaining() / Range::SIZE {
        return Err(DecodeError::new("NumRanges"));
    }
    (0..count).map(|_| Range::decode(&mut r)).collect()
}

pub fn encode_trim(ranges: &[Range], w: &mut Writer<'_>) {
    w.u32(0);
    w.u32(ranges.len() as u32);
    ranges.iter().for_each(|r| r.encode(w));
}

/// FSCTL_PIPE_WAIT request (2.3.49).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PipeWait {
    /// 100 ns; None: the pipe's default.
    pub timeout: Option<i64>,
    /// Without `\pipe\`.
    pub name: String,
}

impl PipeWait {
    pub fn decode(bytes: &[u8]) -> Result<PipeWait> {
        let mut r = Reader::new(bytes);
        let timeout = i64::take(&mut r)?;
        let len = r.u32("NameLength")? as usize;
        let specified = r.u8("TimeoutSpecified")? != 0;
        r.skip(1, "Padding")?;
        Ok(PipeWait { timeout: specified.then_some(timeout), name: r.utf16(len, "Name")? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        self.timeout.unwrap_or(0).put(w);
        w.u32(crate::wire::codec::utf16_len(&self.name) as u32);
        w.u8(u8::from(self.timeout.is_some()));
        w.u8(0);
        w.utf16(&self.name);
    }
}
