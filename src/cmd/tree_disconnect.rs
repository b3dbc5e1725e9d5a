//! TREE_DISCONNECT (MS-SMB2 3.3.5.8).

use super::{Ctx, Handled, Reply, close};
use crate::session::Open;
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::tree_disconnect::{TreeDisconnectRequest, TreeDisconnectResponse};
use std::sync::Arc;

/// Its opens are closed when it is answered: who opens their files next does not meet them.
pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    TreeDisconnectRequest::decode(&mut body)?;
    let session = Arc::clone(ctx.session()?);
    session.remove_tree(ctx.tree()?.id).ok_or(NtStatus::NETWORK_NAME_DELETED)?;
    for open in opens(ctx)? {
        close::close(ctx.gate, &session, &open);
    }
    TreeDisconnectResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// Where no close has to touch the disk: on the reactor, so that even a share that hangs can be left. None: it takes a
/// worker.
pub fn try_inline(ctx: &mut Ctx<'_>, body: Reader<'_>, reply: &mut Reply) -> Option<Handled> {
    let waits = opens(ctx).ok()?.iter().any(|open| close::touches_disk(open));
    (!waits).then(|| handle(ctx, body, reply))
}

/// What is open through the tree.
fn opens(ctx: &Ctx<'_>) -> Result<Vec<Arc<Open>>, NtStatus> {
    let tree = ctx.tree()?.id;
    let opens = ctx.session()?.opens().into_iter().filter_map(|id| ctx.gate.opens.get(id));
    Ok(opens.filter(|open| open.tree.id == tree).collect())
}
