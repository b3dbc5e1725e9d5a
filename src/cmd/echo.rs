//! ECHO (MS-SMB2 3.3.5.17).

use super::{Ctx, Handled, Reply};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::echo::{EchoRequest, EchoResponse};

pub fn handle(_: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    EchoRequest::decode(&mut body)?;
    EchoResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}
