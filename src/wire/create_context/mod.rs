//! Create contexts (MS-SMB2 2.2.13.2, 2.2.14.2): the list, and the data of each known one.
//!
//! The list keeps whatever it finds. The typed structs read and write the data of one context; a
//! command takes those it knows with [`find`] and ignores the others.

mod app_instance;
mod durable;
mod lease;
mod simple;

use std::borrow::Cow;

use super::codec::{DecodeError, Reader, Result, Writer};

pub use app_instance::{AppInstanceId, AppInstanceVersion};
pub use durable::{
    DurableHandleFlags, DurableHandleReconnect, DurableHandleReconnectV2, DurableHandleRequest,
    DurableHandleRequestV2, DurableHandleResponse, DurableHandleResponseV2,
};
pub use lease::{Lease, LeaseFlags};
pub use simple::{
    AllocationSize, MaximalAccessRequest, MaximalAccessResponse, QueryOnDiskIdResponse, TimewarpToken,
};

/// Names of contexts, as they stand on the wire.
pub mod name {
    /// SMB2_CREATE_EA_BUFFER. Data: FILE_FULL_EA_INFORMATION entries (MS-FSCC 2.4.16).
    pub const EA_BUFFER: &[u8] = b"ExtA";
    /// SMB2_CREATE_SD_BUFFER. Data: a SECURITY_DESCRIPTOR (MS-DTYP 2.4.6).
    pub const SD_BUFFER: &[u8] = b"SecD";
    /// SMB2_CREATE_DURABLE_HANDLE_REQUEST.
    pub const DURABLE_HANDLE_REQUEST: &[u8] = b"DHnQ";
    /// SMB2_CREATE_DURABLE_HANDLE_RECONNECT.
    pub const DURABLE_HANDLE_RECONNECT: &[u8] = b"DHnC";
    /// SMB2_CREATE_ALLOCATION_SIZE.
    pub const ALLOCATION_SIZE: &[u8] = b"AlSi";
    /// SMB2_CREATE_QUERY_MAXIMAL_ACCESS_REQUEST.
    pub const QUERY_MAXIMAL_ACCESS: &[u8] = b"MxAc";
    /// SMB2_CREATE_TIMEWARP_TOKEN.
    pub const TIMEWARP_TOKEN: &[u8] = b"TWrp";
    /// SMB2_CREATE_QUERY_ON_DISK_ID. The request has no data.
    pub const QUERY_ON_DISK_ID: &[u8] = b"QFid";
    /// SMB2_CREATE_REQUEST_LEASE and its version 2.
    pub const REQUEST_LEASE: &[u8] = b"RqLs";
    /// SMB2_CREATE_DURABLE_HANDLE_REQUEST_V2.
    pub const DURABLE_HANDLE_REQUEST_V2: &[u8] = b"DH2Q";
    /// SMB2_CREATE_DURABLE_HANDLE_RECONNECT_V2.
    pub const DURABLE_HANDLE_RECONNECT_V2: &[u8] = b"DH2C";
    /// Apple's extensions. Data: raw.
    pub const AAPL: &[u8] = b"AAPL";
    /// SMB2_CREATE_APP_INSTANCE_ID.
    pub const APP_INSTANCE_ID: &[u8] =
        &[0x45, 0xBC, 0xA6, 0x6A, 0xEF, 0xA7, 0xF7, 0x4A, 0x90, 0x08, 0xFA, 0x46, 0x2E, 0x14, 0x4D, 0x74];
    /// SMB2_CREATE_APP_INSTANCE_VERSION.
    pub const APP_INSTANCE_VERSION: &[u8] =
        &[0xB9, 0x82, 0xD0, 0xB7, 0x3B, 0x56, 0x07, 0x4F, 0xA0, 0x7B, 0x52, 0x4A, 0x81, 0x16, 0xA0, 0x10];
    /// SVHDX_OPEN_DEVICE_CONTEXT.
    pub const SVHDX_OPEN_DEVICE: &[u8] =
        &[0x9C, 0xCB, 0xCF, 0x9E, 0x04, 0xC1, 0xE6, 0x43, 0x98, 0x0E, 0x15, 0x8D, 0xA1, 0xF6, 0xEC, 0x83];
    /// The POSIX extensions of Samba and the Linux client. Data: raw.
    pub const POSIX: &[u8] =
        &[0x93, 0xAD, 0x25, 0x50, 0x9C, 0xB4, 0x11, 0xE7, 0xB4, 0x23, 0x83, 0xDE, 0x96, 0x8B, 0xCD, 0x7C];
}

/// One context: borrowed when decoded, owned when made of a typed struct.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CreateContext<'a> {
    /// Four bytes, or a GUID of sixteen.
    pub name: &'a [u8],
    pub data: Cow<'a, [u8]>,
}

/// The contexts of a CREATE, in the order they came.
pub type CreateContexts<'a> = Vec<CreateContext<'a>>;

impl<'a> CreateContext<'a> {
    /// A context of data that live elsewhere.
    pub const fn borrowed(name: &'a [u8], data: &'a [u8]) -> Self {
        CreateContext { name, data: Cow::Borrowed(data) }
    }

    fn of(name: &'static [u8], write: impl FnOnce(&mut Writer<'_>)) -> CreateContext<'static> {
        let mut data = Vec::with_capacity(56);
        write(&mut Writer::new(&mut data));
        CreateContext { name, data: Cow::Owned(data) }
    }
}

/// The data of the first context of that name.
pub fn find<'c>(contexts: &'c [CreateContext<'_>], name: &[u8]) -> Option<&'c [u8]> {
    contexts.iter().find(|c| c.name == name).map(|c| &*c.data)
}

/// Bytes of an element before its name.
const FIXED: usize = 16;

/// The longest name taken. Known ones have 4 or 16 bytes.
const MAX_NAME: usize = 255;

/// The whole of CreateContextsLength bytes. Every element is 8-aligned, its name has 4 to 255 bytes, and name
/// and data lie within it.
pub fn decode_list(mut list: &[u8]) -> Result<CreateContexts<'_>> {
    const WHAT: &str = "create context";
    let mut out = CreateContexts::new();
    while !list.is_empty() {
        let mut f = Reader::new(list).sub(FIXED, WHAT)?;
        let next = usize::try_from(f.u32(WHAT)?).map_err(|_| DecodeError::new(WHAT))?;
        let (name_offset, name_length) = (usize::from(f.u16(WHAT)?), usize::from(f.u16(WHAT)?));
        f.skip(2, WHAT)?;
        let (data_offset, data_length) = (f.u16(WHAT)?, f.u32(WHAT)?);
        let (element, behind) = match next {
            0 => (list, &list[list.len()..]),
            _ if !next.is_multiple_of(8) || next < FIXED || next >= list.len() => {
                return Err(DecodeError::new("create context Next"));
            }
            _ => list.split_at(next),
        };
        let body = Reader::at(element, FIXED);
        if !(4..=MAX_NAME).contains(&name_length) || !name_offset.is_multiple_of(8) {
            return Err(DecodeError::new("create context name"));
        }
        if data_length != 0 && !data_offset.is_multiple_of(8) {
            return Err(DecodeError::new("create context DataOffset"));
        }
        out.push(CreateContext {
            name: body.buffer_at(name_offset, name_length, WHAT)?,
            data: Cow::Borrowed(body.buffer_at(data_offset, data_length, WHAT)?),
        });
        list = behind;
    }
    Ok(out)
}

/// Writes the list from where the writer stands, which is 8-aligned.
pub fn encode_list(w: &mut Writer<'_>, contexts: &[CreateContext<'_>]) {
    let last = contexts.len().saturating_sub(1);
    for (i, context) in contexts.iter().enumerate() {
        let at = w.pos();
        let data_offset = (FIXED + context.name.len()).next_multiple_of(8);
        w.u32(0);
        w.u16(FIXED as u16);
        w.u16(context.name.len() as u16);
        w.u16(0);
        w.u16(if context.data.is_empty() { 0 } else { data_offset as u16 });
        w.u32(context.data.len() as u32);
        w.bytes(context.name);
        w.align(8);
        w.bytes(&context.data);
        if i < last {
            w.align(8);
            let next = w.pos() - at;
            w.patch_u32(at, next as u32);
        }
    }
}
