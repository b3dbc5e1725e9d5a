//! OPLOCK_BREAK (MS-SMB2 2.2.23 to 2.2.25): notification, acknowledgment and response, for oplocks and leases.
//! Which it is, StructureSize tells.

use super::codec::{DecodeError, Reader, Result, Writer};
use crate::types::{FileId, LeaseKey, LeaseState, OplockLevel};

bitflags::bitflags! {
    /// MS-SMB2 2.2.23.2 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct LeaseBreakFlags: u32 {
        const ACK_REQUIRED = 1;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.23.1, 2.2.24.1, 2.2.25.1: notification, acknowledgment and response of an oplock are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OplockBreak {
    pub oplock_level: OplockLevel,
    pub file_id: FileId,
}

impl OplockBreak {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "OPLOCK_BREAK";
        let mut f = r.body::<24>(24, WHAT)?;
        let oplock_level = OplockLevel(f.u8(WHAT)?);
        f.skip(5, WHAT)?;
        Ok(OplockBreak { oplock_level, file_id: f.file_id(WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(24);
        w.u8(self.oplock_level.0);
        w.zeros(5);
        w.file_id(self.file_id);
    }
}

/// MS-SMB2 2.2.23.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeaseBreakNotification {
    /// Zero for a lease of version 1.
    pub new_epoch: u16,
    pub flags: LeaseBreakFlags,
    pub lease_key: LeaseKey,
    pub current_lease_state: LeaseState,
    pub new_lease_state: LeaseState,
}

impl LeaseBreakNotification {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "lease break notification";
        let mut f = r.body::<44>(44, WHAT)?;
        Ok(LeaseBreakNotification {
            new_epoch: f.u16(WHAT)?,
            flags: LeaseBreakFlags::from_bits_retain(f.u32(WHAT)?),
            lease_key: LeaseKey(f.array(WHAT)?),
            current_lease_state: LeaseState::from_bits_retain(f.u32(WHAT)?),
            new_lease_state: LeaseState::from_bits_retain(f.u32(WHAT)?),
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(44);
        w.u16(self.new_epoch);
        w.u32(self.flags.bits());
        w.bytes(&self.lease_key.0);
        w.u32(self.current_lease_state.bits());
        w.u32(self.new_lease_state.bits());
        w.zeros(12);
    }
}

/// MS-SMB2 2.2.24.2, 2.2.25.2: acknowledgment and response of a lease break are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeaseBreakAck {
    pub lease_key: LeaseKey,
    pub lease_state: LeaseState,
}

impl LeaseBreakAck {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "lease break";
        let mut f = r.body::<36>(36, WHAT)?;
        f.skip(6, WHAT)?;
        Ok(LeaseBreakAck {
            lease_key: LeaseKey(f.array(WHAT)?),
            lease_state: LeaseState::from_bits_retain(f.u32(WHAT)?),
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(36);
        w.zeros(6);
        w.bytes(&self.lease_key.0);
        w.u32(self.lease_state.bits());
        w.zeros(8);
    }
}

/// The OPLOCK_BREAK command in either direction. A request is `Oplock` or `Lease`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OplockBreakMessage {
    /// Notification, acknowledgment or response.
    Oplock(OplockBreak),
    /// Acknowledgment or response.
    Lease(LeaseBreakAck),
    /// From the server only.
    LeaseNotification(LeaseBreakNotification),
}

impl OplockBreakMessage {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "OPLOCK_BREAK StructureSize";
        match r.peek_u16(WHAT)? {
            24 => OplockBreak::decode(r).map(OplockBreakMessage::Oplock),
            36 => LeaseBreakAck::decode(r).map(OplockBreakMessage::Lease),
            44 => LeaseBreakNotification::decode(r).map(OplockBreakMessage::LeaseNotification),
            _ => Err(DecodeError::new(WHAT)),
        }
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        match self {
            OplockBreakMessage::Oplock(m) => m.encode(w),
            OplockBreakMessage::Lease(m) => m.encode(w),
            OplockBreakMessage::LeaseNotification(m) => m.encode(w),
        }
    }
}
