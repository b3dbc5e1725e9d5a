//! RqLs: leases, versions 1 and 2, which the length of the data tells apart.

use super::{CreateContext, name};
use crate::types::{LeaseKey, LeaseState};
use crate::wire::codec::{DecodeError, Reader, Result};

bitflags::bitflags! {
    /// MS-SMB2 2.2.13.2.10 and 2.2.14.2.11 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct LeaseFlags: u32 {
        /// In an answer.
        const BREAK_IN_PROGRESS = 2;
        const PARENT_LEASE_KEY_SET = 4;
        const _ = !0;
    }
}

/// Request and response are alike: MS-SMB2 2.2.13.2.8 and 2.2.14.2.10 (V1), 2.2.13.2.10 and 2.2.14.2.11 (V2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    V1 {
        lease_key: LeaseKey,
        lease_state: LeaseState,
        lease_flags: LeaseFlags,
    },
    V2 {
        lease_key: LeaseKey,
        lease_state: LeaseState,
        flags: LeaseFlags,
        /// Means something only with PARENT_LEASE_KEY_SET.
        parent_lease_key: LeaseKey,
        epoch: u16,
    },
}

impl Lease {
    pub fn decode(data: &[u8]) -> Result<Self> {
        const WHAT: &str = "RqLs";
        let version2 = match data.len() {
            32 => false,
            52 => true,
            _ => return Err(DecodeError::new(WHAT)),
        };
        let mut r = Reader::new(data);
        let lease_key = LeaseKey(r.array(WHAT)?);
        let lease_state = LeaseState::from_bits_retain(r.u32(WHAT)?);
        let flags = LeaseFlags::from_bits_retain(r.u32(WHAT)?);
        r.skip(8, WHAT)?;
        Ok(if version2 {
            let parent_lease_key = LeaseKey(r.array(WHAT)?);
            Lease::V2 { lease_key, lease_state, flags, parent_lease_key, epoch: r.u16(WHAT)? }
        } else {
            Lease::V1 { lease_key, lease_state, lease_flags: flags }
        })
    }

    pub fn lease_key(&self) -> LeaseKey {
        match *self {
            Lease::V1 { lease_key, .. } | Lease::V2 { lease_key, .. } => lease_key,
        }
    }

    pub fn lease_state(&self) -> LeaseState {
        match *self {
            Lease::V1 { lease_state, .. } | Lease::V2 { lease_state, .. } => lease_state,
        }
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::REQUEST_LEASE, |w| match *self {
            Lease::V1 { lease_key, lease_state, lease_flags } => {
                w.bytes(&lease_key.0);
                w.u32(lease_state.bits());
                w.u32(lease_flags.bits());
                w.u64(0);
            }
            Lease::V2 { lease_key, lease_state, flags, parent_lease_key, epoch } => {
                w.bytes(&lease_key.0);
                w.u32(lease_state.bits());
                w.u32(flags.bits());
                w.u64(0);
                w.bytes(&parent_lease_key.0);
                w.u16(epoch);
                w.u16(0);
            }
        })
    }
}
