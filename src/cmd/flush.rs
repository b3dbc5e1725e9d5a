//! FLUSH (MS-SMB2 3.3.5.11): answered when the data is on stable storage, with an error when it is not.

use super::{Ctx, Handled, Reply, times};
use crate::session::OpenKind;
use crate::types::{AccessMask, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::flush::{FlushRequest, FlushResponse};

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = FlushRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    if let OpenKind::File(file) = &open.kind {
        let writes = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
        if !file.access.intersects(writes) {
            return Err(NtStatus::ACCESS_DENIED.into());
        }
        file.object.sync().inspect_err(|status| {
            log::error!("share {}: a flush failed, data may be lost: {status}", open.share().name);
        })?;
        if let Some(disk) = open.share().disk() {
            times::show(disk, &open, file, false);
        }
    }
    FlushResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}
