//! (under construction)

use super::{Ctx, Handled, Reply};
use crate::types::NtStatus;
use crate::wire::codec::Reader;

pub fn handle(_: &mut Ctx<'_>, _: Reader<'_>, _: &mut Reply) -> Handled {
    Err(NtStatus::NOT_IMPLEMENTED.into())
}
