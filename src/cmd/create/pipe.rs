//! CREATE on IPC$: named pipes (MS-SMB2 3.3.5.9, "if TreeConnect.Share is a named pipe").

use crate::cmd::{Ctx, Handled, Reply};
use crate::rpc;
use crate::session::{Open, OpenKind, PipeOpen, ShareKind, Who};
use crate::types::{FileAttributes, NtStatus, OplockLevel};
use crate::wire::create::{CreateAction, CreateRequest, CreateResponse};
use crate::wire::fscc::file_info::FileStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Pipes that one session may hold open, and all of them together. Each may take some MiB of requests and answers.
const MAX_PIPES: usize = 256;
const MAX_IN_ALL: usize = 1 << 16;

pub fn open(ctx: &mut Ctx<'_>, request: &CreateRequest<'_>, reply: &mut Reply) -> Handled {
    let session = Arc::clone(ctx.session()?);
    let tree = Arc::clone(ctx.tree()?);
    let counted = Arc::clone(&session.pipes);
    if Arc::strong_count(&counted) > MAX_PIPES + 1 || tree.share.opens.load(Ordering::Relaxed) >= MAX_IN_ALL {
        return Err(NtStatus::INSUFFICIENT_RESOURCES.into());
    }
    let who = session.who().ok_or(NtStatus::USER_SESSION_DELETED)?;
    let pipe =
        rpc::open(&request.name, Arc::new(context(ctx, &who))).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
    let id = ctx.gate.opens.new_id();
    let kind = OpenKind::Pipe(Box::new(PipeOpen { name: request.name.to_lowercase(), pipe, counted }));
    let sequence = ctx.header.channel_sequence();
    let open = Arc::new(Open::new(id, session.id, who.user.clone(), Arc::clone(&tree), kind, sequence));
    tree.share.opens.fetch_add(1, Ordering::Relaxed);
    ctx.gate.opens.add(Arc::clone(&open));
    ctx.file = Some(id);
    if !session.add_open(&open) {
        crate::cmd::close::close(ctx.gate, &session, &open);
        return Err(NtStatus::USER_SESSION_DELETED.into());
    }
    CreateResponse {
        oplock_level: OplockLevel::NONE,
        create_action: CreateAction::OPENED,
        status: FileStatus {
            allocation_size: 4096,
            file_attributes: FileAttributes::NORMAL,
            ..FileStatus::default()
        },
        file_id: id,
        ..CreateResponse::default()
    }
    .encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

fn context(ctx: &Ctx<'_>, who: &Who) -> rpc::Context {
    let live = ctx.gate.live();
    let mut shares: Vec<rpc::ShareEntry> = live
        .shares
        .values()
        .map(|share| match &share.kind {
            ShareKind::Pipes => rpc::ShareEntry {
                name: share.name.clone(),
                kind: rpc::ShareKind::Ipc,
                comment: "Remote IPC".into(),
                ..rpc::ShareEntry::default()
            },
            ShareKind::Disk(disk) => rpc::ShareEntry {
                name: share.name.clone(),
                comment: disk.settings.comment.clone(),
                path: disk.settings.path.display().to_string(),
                hidden: disk.settings.hidden,
                current_uses: share.opens.load(Ordering::Relaxed) as u32,
                ..rpc::ShareEntry::default()
            },
        })
        .collect();
    shares.sort_by_key(|s| s.name.to_lowercase());
    rpc::Context {
        server_name: live.settings.server.name.clone(),
        netbios_name: live.auth.netbios_name(),
        server_comment: String::new(),
        domain: "WORKGROUP".into(),
        shares,
        administrator: false,
        users: ctx.gate.sessions.all().len() as u32,
        user: if who.anonymous { String::new() } else { who.user.clone() },
        authenticated: !who.guest && !who.anonymous,
        accounts: Arc::clone(&ctx.gate.accounts),
    }
}
