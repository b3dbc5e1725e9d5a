//! OPLOCK_BREAK acknowledgements (MS-SMB2 3.3.5.22). No oplock or lease is granted, so there is never a break
//! to acknowledge.

use super::{Ctx, Handled, Reply};
use crate::types::NtStatus;
use crate::wire::codec::Reader;

pub fn handle(_: &mut Ctx<'_>, _: Reader<'_>, _: &mut Reply) -> Handled {
    Err(NtStatus::INVALID_DEVICE_STATE.into())
}
