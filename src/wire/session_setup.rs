//! SESSION_SETUP (MS-SMB2 2.2.5, 2.2.6).

use super::codec::{Reader, Result, Writer};
use super::negotiate::{Capabilities, SecurityMode};
use crate::types::SessionId;

bitflags::bitflags! {
    /// MS-SMB2 2.2.5 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct SessionSetupFlags: u8 {
        const BINDING = 1;
        const _ = !0;
    }

    /// MS-SMB2 2.2.6 SessionFlags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct SessionFlags: u16 {
        const IS_GUEST = 1;
        /// IS_NULL: anonymous.
        const IS_NULL = 2;
        const ENCRYPT_DATA = 4;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionSetupRequest<'a> {
    pub flags: SessionSetupFlags,
    pub security_mode: SecurityMode,
    pub capabilities: Capabilities,
    pub previous_session_id: SessionId,
    /// The SPNEGO or raw NTLM token.
    pub security_buffer: &'a [u8],
}

impl<'a> SessionSetupRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "SESSION_SETUP request";
        let mut f = r.body::<24>(25, WHAT)?;
        let flags = SessionSetupFlags::from_bits_retain(f.u8(WHAT)?);
        let security_mode = SecurityMode::from_bits_retain(u16::from(f.u8(WHAT)?));
        let capabilities = Capabilities::from_bits_retain(f.u32(WHAT)?);
        f.skip(4, WHAT)?;
        let (offset, length) = (f.u16(WHAT)?, f.u16(WHAT)?);
        Ok(SessionSetupRequest {
            flags,
            security_mode,
            capabilities,
            previous_session_id: SessionId(f.u64(WHAT)?),
            security_buffer: r.buffer_at(offset, length, "SESSION_SETUP security buffer")?,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(25);
        w.u8(self.flags.bits());
        w.u8(self.security_mode.bits() as u8);
        w.u32(self.capabilities.bits());
        w.u32(0);
        w.u16((at + 24) as u16);
        w.u16(self.security_buffer.len() as u16);
        w.u64(self.previous_session_id.0);
        w.bytes(self.security_buffer);
    }
}

/// MS-SMB2 2.2.6. Also the answer with STATUS_MORE_PROCESSING_REQUIRED.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionSetupResponse<'a> {
    pub session_flags: SessionFlags,
    pub security_buffer: &'a [u8],
}

impl<'a> SessionSetupResponse<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "SESSION_SETUP response";
        let mut f = r.body::<8>(9, WHAT)?;
        let session_flags = SessionFlags::from_bits_retain(f.u16(WHAT)?);
        let (offset, length) = (f.u16(WHAT)?, f.u16(WHAT)?);
        Ok(SessionSetupResponse { session_flags, security_buffer: r.buffer_at(offset, length, WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(9);
        w.u16(self.session_flags.bits());
        w.u16((at + 8) as u16);
        w.u16(self.security_buffer.len() as u16);
        w.bytes(self.security_buffer);
    }
}
