//! NEGOTIATE (MS-SMB2 2.2.3, 2.2.4).

use smallvec::SmallVec;

use super::codec::{DecodeError, Reader, Result, Writer};
use super::negotiate_context::NegotiateContext;
use crate::types::{Dialect, FileTime, Guid};

bitflags::bitflags! {
    /// SecurityMode of NEGOTIATE and SESSION_SETUP (one byte there).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct SecurityMode: u16 {
        const SIGNING_ENABLED = 1;
        const SIGNING_REQUIRED = 2;
        const _ = !0;
    }

    /// Capabilities of NEGOTIATE (MS-SMB2 2.2.3) and SESSION_SETUP (DFS only).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Capabilities: u32 {
        const DFS = 0x01;
        const LEASING = 0x02;
        const LARGE_MTU = 0x04;
        const MULTI_CHANNEL = 0x08;
        const PERSISTENT_HANDLES = 0x10;
        const DIRECTORY_LEASING = 0x20;
        const ENCRYPTION = 0x40;
        const NOTIFICATIONS = 0x80;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.3.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NegotiateRequest<'a> {
    pub security_mode: SecurityMode,
    pub capabilities: Capabilities,
    pub client_guid: Guid,
    /// In the client's order; may be empty, which is for the command to refuse.
    pub dialects: SmallVec<[Dialect; 8]>,
    /// Empty unless 3.1.1 is among the dialects.
    pub negotiate_contexts: Vec<NegotiateContext<'a>>,
}

/// Bytes of the request's body before Dialects.
const REQUEST_FIXED: usize = 36;

impl<'a> NegotiateRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "NEGOTIATE request";
        let mut f = r.body::<REQUEST_FIXED>(36, WHAT)?;
        let count = f.u16(WHAT)?;
        let security_mode = SecurityMode::from_bits_retain(f.u16(WHAT)?);
        f.skip(2, WHAT)?;
        let capabilities = Capabilities::from_bits_retain(f.u32(WHAT)?);
        let client_guid = f.guid(WHAT)?;
        let (context_offset, context_count) = (f.u32(WHAT)?, f.u16(WHAT)?);
        let dialects = r.bytes(usize::from(count) * 2, "NEGOTIATE dialects")?;
        let dialects: SmallVec<[Dialect; 8]> =
            dialects.chunks_exact(2).map(|d| Dialect(u16::from_le_bytes([d[0], d[1]]))).collect();
        let negotiate_contexts = if dialects.contains(&Dialect::SMB3_11) {
            decode_contexts(r, context_offset, context_count)?
        } else {
            Vec::new()
        };
        Ok(NegotiateRequest { security_mode, capabilities, client_guid, dialects, negotiate_contexts })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(36);
        w.u16(self.dialects.len() as u16);
        w.u16(self.security_mode.bits());
        w.u16(0);
        w.u32(self.capabilities.bits());
        w.guid(self.client_guid);
        w.u64(0);
        for dialect in &self.dialects {
            w.u16(dialect.0);
        }
        if self.dialects.contains(&Dialect::SMB3_11) {
            let offset = encode_contexts(w, &self.negotiate_contexts);
            w.patch_u32(at + 28, offset);
            w.patch_u16(at + 32, self.negotiate_contexts.len() as u16);
        }
    }
}

/// MS-SMB2 2.2.4.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NegotiateResponse<'a> {
    pub security_mode: SecurityMode,
    pub dialect_revision: Dialect,
    pub server_guid: Guid,
    pub capabilities: Capabilities,
    pub max_transact_size: u32,
    pub max_read_size: u32,
    pub max_write_size: u32,
    pub system_time: FileTime,
    pub server_start_time: FileTime,
    /// The SPNEGO token.
    pub security_buffer: &'a [u8],
    /// Written and read only when `dialect_revision` is 3.1.1.
    pub negotiate_contexts: Vec<NegotiateContext<'a>>,
}

impl<'a> NegotiateResponse<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "NEGOTIATE response";
        let mut f = r.body::<64>(65, WHAT)?;
        let security_mode = SecurityMode::from_bits_retain(f.u16(WHAT)?);
        let dialect_revision = Dialect(f.u16(WHAT)?);
        let context_count = f.u16(WHAT)?;
        let mut out = NegotiateResponse {
            security_mode,
            dialect_revision,
            server_guid: f.guid(WHAT)?,
            capabilities: Capabilities::from_bits_retain(f.u32(WHAT)?),
            max_transact_size: f.u32(WHAT)?,
            max_read_size: f.u32(WHAT)?,
            max_write_size: f.u32(WHAT)?,
            system_time: f.time(WHAT)?,
            server_start_time: f.time(WHAT)?,
            ..NegotiateResponse::default()
        };
        let (offset, length) = (f.u16(WHAT)?, f.u16(WHAT)?);
        out.security_buffer = r.buffer_at(offset, length, "NEGOTIATE security buffer")?;
        if dialect_revision == Dialect::SMB3_11 {
            out.negotiate_contexts = decode_contexts(r, f.u32(WHAT)?, context_count)?;
        }
        Ok(out)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(65);
        w.u16(self.security_mode.bits());
        w.u16(self.dialect_revision.0);
        w.u16(0);
        w.guid(self.server_guid);
        w.u32(self.capabilities.bits());
        w.u32(self.max_transact_size);
        w.u32(self.max_read_size);
        w.u32(self.max_write_size);
        w.time(self.system_time);
        w.time(self.server_start_time);
        w.u16((at + 64) as u16);
        w.u16(self.security_buffer.len() as u16);
        w.u32(0);
        w.bytes(self.security_buffer);
        if self.dialect_revision == Dialect::SMB3_11 {
            let offset = encode_contexts(w, &self.negotiate_contexts);
            w.patch_u16(at + 6, self.negotiate_contexts.len() as u16);
            w.patch_u32(at + 60, offset);
        }
    }
}

/// More contexts than this are refused: the message comes before any logon, and eight types are known.
const MAX_CONTEXTS: u16 = 64;

/// The list at `offset`: each context begins on a multiple of eight from the start of the list.
fn decode_contexts<'a>(r: &Reader<'a>, offset: u32, count: u16) -> Result<Vec<NegotiateContext<'a>>> {
    const WHAT: &str = "negotiate context list";
    let mut out = Vec::new();
    if count == 0 {
        return Ok(out);
    }
    let offset = usize::try_from(offset).map_err(|_| DecodeError::new(WHAT))?;
    if count > MAX_CONTEXTS {
        return Err(DecodeError::new("NegotiateContextCount"));
    }
    if offset < r.pos() || offset >= r.whole().len() {
        return Err(DecodeError::new(WHAT));
    }
    let mut list = Reader::new(&r.whole()[offset..]);
    for i in 0..count {
        if i > 0 {
            list.align(8);
        }
        out.push(NegotiateContext::decode(&mut list)?);
    }
    Ok(out)
}

/// Returns the list's offset; zero for an empty one.
fn encode_contexts(w: &mut Writer<'_>, contexts: &[NegotiateContext<'_>]) -> u32 {
    if contexts.is_empty() {
        return 0;
    }
    w.align(8);
    let offset = w.pos();
    for (i, context) in contexts.iter().enumerate() {
        if i > 0 {
            w.align(8);
        }
        context.encode(w);
    }
    offset as u32
}
