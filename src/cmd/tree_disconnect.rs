//! TREE_DISCONNECT (MS-SMB2 3.3.5.8).

use super::{Ctx, Handled, Reply, close};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::tree_disconnect::{TreeDisconnectRequest, TreeDisconnectResponse};
use std::sync::Arc;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    TreeDisconnectRequest::decode(&mut body)?;
    let session = Arc::clone(ctx.session()?);
    let tree = session.remove_tree(ctx.tree()?.id).ok_or(NtStatus::NETWORK_NAME_DELETED)?;
    for id in session.opens() {
        if let Some(open) = ctx.gate.opens.get(id)
            && open.tree.id == tree.id
        {
            close::close(ctx.gate, &session, &open);
        }
    }
    TreeDisconnectResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}
