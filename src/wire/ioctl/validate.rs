//! Inputs and outputs of a few fields.

use smallvec::SmallVec;

use crate::types::{Dialect, Guid};
use crate::wire::codec::{Reader, Result, Writer};
use crate::wire::negotiate::{Capabilities, SecurityMode};

/// MS-SMB2 2.2.31.4.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ValidateNegotiateInfoRequest {
    pub capabilities: Capabilities,
    pub guid: Guid,
    pub security_mode: SecurityMode,
    pub dialects: SmallVec<[Dialect; 8]>,
}

impl ValidateNegotiateInfoRequest {
    pub fn decode(input: &[u8]) -> Result<Self> {
        const WHAT: &str = "VALIDATE_NEGOTIATE_INFO request";
        let mut r = Reader::new(input);
        let capabilities = Capabilities::from_bits_retain(r.u32(WHAT)?);
        let guid = r.guid(WHAT)?;
        let security_mode = SecurityMode::from_bits_retain(r.u16(WHAT)?);
        let count = r.u16(WHAT)?;
        let dialects = r.bytes(usize::from(count) * 2, WHAT)?;
        let dialects = dialects.chunks_exact(2).map(|d| Dialect(u16::from_le_bytes([d[0], d[1]]))).collect();
        Ok(ValidateNegotiateInfoRequest { capabilities, guid, security_mode, dialects })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.capabilities.bits());
        w.guid(self.guid);
        w.u16(self.security_mode.bits());
        w.u16(self.dialects.len() as u16);
        for dialect in &self.dialects {
            w.u16(dialect.0);
        }
    }
}

/// MS-SMB2 2.2.32.6.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ValidateNegotiateInfoResponse {
    pub capabilities: Capabilities,
    pub guid: Guid,
    pub security_mode: SecurityMode,
    pub dialect: Dialect,
}

impl ValidateNegotiateInfoResponse {
    pub fn decode(output: &[u8]) -> Result<Self> {
        const WHAT: &str = "VALIDATE_NEGOTIATE_INFO response";
        let mut r = Reader::new(output);
        Ok(ValidateNegotiateInfoResponse {
            capabilities: Capabilities::from_bits_retain(r.u32(WHAT)?),
            guid: r.guid(WHAT)?,
            security_mode: SecurityMode::from_bits_retain(r.u16(WHAT)?),
            dialect: Dialect(r.u16(WHAT)?),
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.capabilities.bits());
        w.guid(self.guid);
        w.u16(self.security_mode.bits());
        w.u16(self.dialect.0);
    }
}

/// MS-SMB2 2.2.31.3, the input of LMR_REQUEST_RESILIENCY.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetworkResiliencyRequest {
    /// Milliseconds.
    pub timeout: u32,
}

impl NetworkResiliencyRequest {
    pub fn decode(input: &[u8]) -> Result<Self> {
        const WHAT: &str = "NETWORK_RESILIENCY_REQUEST";
        let mut r = Reader::new(input).sub(8, WHAT)?;
        Ok(NetworkResiliencyRequest { timeout: r.u32(WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.timeout);
        w.u32(0);
    }
}
