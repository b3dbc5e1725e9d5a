//! LOCK (MS-SMB2 2.2.26, 2.2.27).

use smallvec::SmallVec;

use super::codec::{Reader, Result, Writer};
use crate::types::FileId;

bitflags::bitflags! {
    /// MS-SMB2 2.2.26.1 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct LockFlags: u32 {
        const SHARED_LOCK = 0x01;
        const EXCLUSIVE_LOCK = 0x02;
        const UNLOCK = 0x04;
        const FAIL_IMMEDIATELY = 0x10;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.26.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LockElement {
    pub offset: u64,
    pub length: u64,
    pub flags: LockFlags,
}

/// MS-SMB2 2.2.26.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LockRequest {
    /// Four bits.
    pub lock_sequence_number: u8,
    /// Twenty-eight bits. Zero: none.
    pub lock_sequence_index: u32,
    pub file_id: FileId,
    /// May be empty, which is for the command to refuse.
    pub locks: SmallVec<[LockElement; 2]>,
}

impl LockRequest {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "LOCK request";
        let mut f = r.body::<24>(48, WHAT)?;
        let (count, sequence) = (f.u16(WHAT)?, f.u32(WHAT)?);
        let mut locks = r.sub(usize::from(count) * 24, "LOCK elements")?;
        let mut out = LockRequest {
            lock_sequence_number: (sequence & 0xF) as u8,
            lock_sequence_index: sequence >> 4,
            file_id: f.file_id(WHAT)?,
            locks: SmallVec::with_capacity(usize::from(count)),
        };
        while !locks.is_empty() {
            out.locks.push(LockElement {
                offset: locks.u64(WHAT)?,
                length: locks.u64(WHAT)?,
                flags: LockFlags::from_bits_retain(locks.u32(WHAT)?),
            });
            locks.skip(4, WHAT)?;
        }
        Ok(out)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(48);
        w.u16(self.locks.len() as u16);
        w.u32(u32::from(self.lock_sequence_number & 0xF) | self.lock_sequence_index << 4);
        w.file_id(self.file_id);
        for lock in &self.locks {
            w.u64(lock.offset);
            w.u64(lock.length);
            w.u32(lock.flags.bits());
            w.u32(0);
        }
    }
}

empty_body! {
    /// MS-SMB2 2.2.27.
    LockResponse = "LOCK response";
}
