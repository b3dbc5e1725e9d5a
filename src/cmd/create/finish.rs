//! The end of a CREATE (MS-SMB2 3.3.5.9, from "Successful Open Initialization" on): the open enters the tables, gets what
//! it may cache and survive by, and is told of.

use super::{Create, Done, contexts, durable, instance, oplock};
use crate::cmd::{Handled, Reply, close, recall, times};
use crate::posix::Stat;
use crate::session::open::Held;
use crate::session::{FileOpen, Open, OpenKind};
use crate::types::{FileAttributes, LeaseState, NtStatus, OplockLevel};
use crate::wire::create::{CreateResponse, CreateResponseFlags};
use crate::wire::create_context::CreateContext;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the client may cache.
struct Cached {
    level: OplockLevel,
    /// It is a lease on the handle.
    handle: bool,
    /// That of the lease.
    context: Option<CreateContext<'static>>,
}

impl Create<'_, '_, '_> {
    pub(super) fn finish(&mut self, done: Done, reply: &mut Reply) -> Handled {
        let Done { object, stat, path, described, .. } = &done;
        let (described, backup) = (*described, self.backup_intent());
        let subject = contexts::Subject { object, stat, path, described, backup };
        let mut answers = contexts::answer(self.asked, self.ctx.tree()?, &subject)?;
        let (stat, action, leased) = (done.stat, done.action, done.leased);
        let open = self.enter(done)?;
        let cached = self.cache(&open, leased);
        let keeps = (cached.level, cached.handle);
        answers.extend(durable::made(self.ctx, self.asked.durable, self.disk, &open, keeps, action));
        answers.extend(cached.context);
        let stat = times::told(self.disk, stat);
        CreateResponse {
            oplock_level: cached.level,
            flags: flags(&stat),
            create_action: action,
            status: times::status(&stat),
            file_id: open.id,
            create_contexts: answers,
        }
        .encode(&mut reply.body());
        Ok(NtStatus::SUCCESS)
    }

    /// From here on it can be found.
    fn enter(&mut self, done: Done) -> Result<Arc<Open>, NtStatus> {
        let (tree, session) = (Arc::clone(self.ctx.tree()?), Arc::clone(self.ctx.session()?));
        let held = Held::new(done.object, Arc::clone(&self.disk.area));
        let file = FileOpen::new(held, &done.stat, done.access, self.request.create_options);
        let open = Arc::new(Open::new(
            done.id,
            session.id,
            session.who().map(|who| who.user.clone()).unwrap_or_default(),
            Arc::clone(&tree),
            OpenKind::File(file),
            self.ctx.header.channel_sequence(),
        ));
        instance::enter(self.ctx, self.asked.instance, &open);
        self.lease.filter(|_| done.leased).inspect(|lease| lease.enter(self.ctx.gate, &open));
        tree.share.opens.fetch_add(1, Ordering::Relaxed);
        self.ctx.gate.opens.add(Arc::clone(&open));
        self.ctx.file = Some(open.id);
        recall::consider(self.ctx.gate);
        if !session.add_open(&open) {
            close::close(self.ctx.gate, &session, &open);
            return Err(NtStatus::USER_SESSION_DELETED);
        }
        Ok(open)
    }

    /// The lease that was asked for, else an oplock.
    fn cache(&mut self, open: &Arc<Open>, leased: bool) -> Cached {
        let lease = self.lease.filter(|_| leased);
        let granted = lease.and_then(|lease| Some((lease, lease.grant(self.ctx, open)?)));
        match granted {
            Some((lease, leased)) => Cached {
                level: OplockLevel::LEASE,
                handle: leased.state.contains(LeaseState::HANDLE),
                context: Some(lease.context(leased)),
            },
            None => Cached {
                level: oplock::grant(self.ctx, self.disk, open, self.request.requested_oplock_level),
                handle: false,
                context: None,
            },
        }
    }
}

fn flags(stat: &Stat) -> CreateResponseFlags {
    let mut flags = CreateResponseFlags::empty();
    flags.set(CreateResponseFlags::REPARSEPOINT, stat.attributes.contains(FileAttributes::REPARSE_POINT));
    flags
}
