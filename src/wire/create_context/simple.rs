//! Contexts of a few bytes.

use super::{CreateContext, name};
use crate::types::{AccessMask, FileTime, NtStatus};
use crate::wire::codec::{DecodeError, Reader, Result};

/// MS-SMB2 2.2.13.2.5. Without data: no timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MaximalAccessRequest {
    pub timestamp: Option<FileTime>,
}

impl MaximalAccessRequest {
    pub fn decode(data: &[u8]) -> Result<Self> {
        if data.is_empty() {
            return Ok(MaximalAccessRequest { timestamp: None });
        }
        let mut r = exactly(data, 8, "MxAc")?;
        Ok(MaximalAccessRequest { timestamp: Some(r.time("MxAc")?) })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::QUERY_MAXIMAL_ACCESS, |w| {
            if let Some(timestamp) = self.timestamp {
                w.time(timestamp);
            }
        })
    }
}

/// MS-SMB2 2.2.14.2.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MaximalAccessResponse {
    pub query_status: NtStatus,
    pub maximal_access: AccessMask,
}

impl MaximalAccessResponse {
    pub fn decode(data: &[u8]) -> Result<Self> {
        let mut r = exactly(data, 8, "MxAc")?;
        Ok(MaximalAccessResponse {
            query_status: NtStatus(r.u32("MxAc")?),
            maximal_access: AccessMask::from_bits_retain(r.u32("MxAc")?),
        })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::QUERY_MAXIMAL_ACCESS, |w| {
            w.u32(self.query_status.0);
            w.u32(self.maximal_access.bits());
        })
    }
}

/// MS-SMB2 2.2.14.2.9.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueryOnDiskIdResponse {
    pub file_id: u64,
    pub volume_id: u64,
}

impl QueryOnDiskIdResponse {
    pub fn decode(data: &[u8]) -> Result<Self> {
        let mut r = exactly(data, 32, "QFid")?;
        Ok(QueryOnDiskIdResponse { file_id: r.u64("QFid")?, volume_id: r.u64("QFid")? })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::QUERY_ON_DISK_ID, |w| {
            w.u64(self.file_id);
            w.u64(self.volume_id);
            w.zeros(16);
        })
    }

    /// The request, which has no data.
    pub const fn request() -> CreateContext<'static> {
        CreateContext::borrowed(name::QUERY_ON_DISK_ID, &[])
    }
}

/// MS-SMB2 2.2.13.2.6.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AllocationSize {
    pub allocation_size: u64,
}

impl AllocationSize {
    pub fn decode(data: &[u8]) -> Result<Self> {
        Ok(AllocationSize { allocation_size: exactly(data, 8, "AlSi")?.u64("AlSi")? })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::ALLOCATION_SIZE, |w| w.u64(self.allocation_size))
    }
}

/// MS-SMB2 2.2.13.2.7.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimewarpToken {
    pub timestamp: FileTime,
}

impl TimewarpToken {
    pub fn decode(data: &[u8]) -> Result<Self> {
        Ok(TimewarpToken { timestamp: exactly(data, 8, "TWrp")?.time("TWrp")? })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::TIMEWARP_TOKEN, |w| w.time(self.timestamp))
    }
}

/// A reader of data that must have that length.
pub(super) fn exactly<'a>(data: &'a [u8], len: usize, what: &'static str) -> Result<Reader<'a>> {
    if data.len() == len { Ok(Reader::new(data)) } else { Err(DecodeError::new(what)) }
}
