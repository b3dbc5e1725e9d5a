//! Durable and persistent handles.

use super::simple::exactly;
use super::{CreateContext, name};
use crate::types::{FileId, Guid};
use crate::wire::codec::Result;

bitflags::bitflags! {
    /// MS-SMB2 2.2.13.2.11 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct DurableHandleFlags: u32 {
        const PERSISTENT = 2;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.13.2.3. The data are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableHandleRequest;

impl DurableHandleRequest {
    pub fn decode(data: &[u8]) -> Result<Self> {
        exactly(data, 16, "DHnQ").map(|_| DurableHandleRequest)
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::DURABLE_HANDLE_REQUEST, |w| w.zeros(16))
    }
}

/// MS-SMB2 2.2.14.2.3. The data are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableHandleResponse;

impl DurableHandleResponse {
    pub fn decode(data: &[u8]) -> Result<Self> {
        exactly(data, 8, "DHnQ").map(|_| DurableHandleResponse)
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::DURABLE_HANDLE_REQUEST, |w| w.zeros(8))
    }
}

/// MS-SMB2 2.2.13.2.4.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableHandleReconnect {
    pub file_id: FileId,
}

impl DurableHandleReconnect {
    pub fn decode(data: &[u8]) -> Result<Self> {
        Ok(DurableHandleReconnect { file_id: exactly(data, 16, "DHnC")?.file_id("DHnC")? })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::DURABLE_HANDLE_RECONNECT, |w| w.file_id(self.file_id))
    }
}

/// MS-SMB2 2.2.13.2.11.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableHandleRequestV2 {
    /// Milliseconds. Zero: the server's choice.
    pub timeout: u32,
    pub flags: DurableHandleFlags,
    pub create_guid: Guid,
}

impl DurableHandleRequestV2 {
    pub fn decode(data: &[u8]) -> Result<Self> {
        const WHAT: &str = "DH2Q";
        let mut r = exactly(data, 32, WHAT)?;
        let (timeout, flags) = (r.u32(WHAT)?, DurableHandleFlags::from_bits_retain(r.u32(WHAT)?));
        r.skip(8, WHAT)?;
        Ok(DurableHandleRequestV2 { timeout, flags, create_guid: r.guid(WHAT)? })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::DURABLE_HANDLE_REQUEST_V2, |w| {
            w.u32(self.timeout);
            w.u32(self.flags.bits());
            w.u64(0);
            w.guid(self.create_guid);
        })
    }
}

/// MS-SMB2 2.2.14.2.12.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableHandleResponseV2 {
    /// Milliseconds.
    pub timeout: u32,
    pub flags: DurableHandleFlags,
}

impl DurableHandleResponseV2 {
    pub fn decode(data: &[u8]) -> Result<Self> {
        const WHAT: &str = "DH2Q";
        let mut r = exactly(data, 8, WHAT)?;
        Ok(DurableHandleResponseV2 {
            timeout: r.u32(WHAT)?,
            flags: DurableHandleFlags::from_bits_retain(r.u32(WHAT)?),
        })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::DURABLE_HANDLE_REQUEST_V2, |w| {
            w.u32(self.timeout);
            w.u32(self.flags.bits());
        })
    }
}

/// MS-SMB2 2.2.13.2.12.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableHandleReconnectV2 {
    pub file_id: FileId,
    pub create_guid: Guid,
    pub flags: DurableHandleFlags,
}

impl DurableHandleReconnectV2 {
    pub fn decode(data: &[u8]) -> Result<Self> {
        const WHAT: &str = "DH2C";
        let mut r = exactly(data, 36, WHAT)?;
        Ok(DurableHandleReconnectV2 {
            file_id: r.file_id(WHAT)?,
            create_guid: r.guid(WHAT)?,
            flags: DurableHandleFlags::from_bits_retain(r.u32(WHAT)?),
        })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::DURABLE_HANDLE_RECONNECT_V2, |w| {
            w.file_id(self.file_id);
            w.guid(self.create_guid);
            w.u32(self.flags.bits());
        })
    }
}
