//! What a CREATE asks the rules (MS-FSA 2.1.5.1), and tells them.

use super::{Create, durable, fsa_path};
use crate::cmd::Fail;
use crate::cmd::wait::Wait;
use crate::fsa::{LeaseAsk, OpenAsk, Opening, Owner, change};
use crate::posix::{self, Kind, Stat};
use crate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileAttributes, FileId, NodeKey, NtStatus, OpenId,
};

impl Create<'_, '_, '_> {
    pub(super) fn ask(
        &self,
        id: FileId,
        stat: &Stat,
        path: posix::RelPath,
        access: AccessMask,
        overwrites: bool,
        lease: Option<LeaseAsk>,
    ) -> OpenAsk {
        let implied = match (overwrites, self.request.create_disposition) {
            (false, _) => AccessMask::empty(),
            (true, CreateDisposition::SUPERSEDE) => AccessMask::DELETE,
            (true, _) => AccessMask::WRITE_DATA,
        };
        OpenAsk {
            directory: stat.kind == Kind::Directory,
            links: stat.nlink,
            access,
            implied,
            share: self.request.share_access,
            delete_on_close: self.request.create_options.contains(CreateOptions::DELETE_ON_CLOSE),
            readonly: stat.attributes.contains(FileAttributes::READONLY),
            written: stat.written,
            owner: Owner {
                client: self.ctx.client_guid(),
                session: self.ctx.session.as_ref().map(|s| s.id).unwrap_or_default(),
            },
            lease,
            ..OpenAsk::new(OpenId(id.volatile), stat.key, fsa_path(&path))
        }
    }

    /// What of a lease the rules are asked for.
    pub(super) fn lease_ask(
        &self,
        node: Option<NodeKey>,
        directory: bool,
    ) -> Result<Option<LeaseAsk>, NtStatus> {
        let stream = self.path.stream().map(|stream| stream.name.as_str());
        self.lease.map_or(Ok(None), |lease| lease.ask(self.disk, node, stream, directory))
    }

    /// Pending: somebody has to give up an oplock first; then all of it is done again. (Where nothing can wait, on the
    /// reactor, nothing has happened yet.)
    pub(super) fn register(&mut self, mut ask: OpenAsk) -> Result<(), Fail> {
        let area = &self.disk.area;
        let mut rules = area.rules.lock();
        let mut wait = None;
        let node = ask.node;
        if rules.must_wait(&ask) {
            let others = rules.opens_of(node).to_vec();
            drop(rules);
            if durable::any_persistent(self.ctx.gate, &others) {
                return Err(NtStatus::FILE_NOT_AVAILABLE.into());
            }
            if self.ctx.flight.is_none() {
                return Err(Fail::Pending);
            }
            let begun = Wait::for_rules(self.ctx, area)?;
            ask.waiter = Some(begun.id());
            wait = Some(begun);
            rules = area.rules.lock();
        }
        let opening = rules.open(ask, area.now());
        drop(rules);
        if let Opening::Wait(effects) = opening {
            self.ctx.effects.extend(effects);
            return Err(Fail::Pending);
        }
        if let Some(wait) = wait {
            wait.over();
        }
        match opening {
            Opening::Refused(NtStatus::SHARING_VIOLATION) => Err(self.violates(node).into()),
            Opening::Refused(status) => Err(status.into()),
            Opening::Granted(effects) | Opening::Wait(effects) => {
                self.ctx.effects.extend(effects);
                Ok(())
            }
        }
    }

    /// Others share it too little. Those that only wait for their client give way, or will be back.
    fn violates(&mut self, node: NodeKey) -> NtStatus {
        let others = self.disk.area.rules.lock().opens_of(node).to_vec();
        self.again = durable::give_way(self.ctx.gate, &others);
        match durable::any_persistent(self.ctx.gate, &others) {
            true => NtStatus::FILE_NOT_AVAILABLE,
            false => NtStatus::SHARING_VIOLATION,
        }
    }

    pub(super) fn unregister(&mut self, id: FileId) {
        let area = &self.disk.area;
        let closed = area.rules.lock().abandon(OpenId(id.volatile), area.now());
        self.ctx.effects.extend(closed.effects);
        if let Some(deletion) = closed.deletion {
            // It was to be deleted on close, but was never opened: it stays.
            let effects = area.rules.lock().deleted(deletion, false, area.now());
            self.ctx.effects.extend(effects);
        }
    }

    pub(super) fn tell(&mut self, change: change::Change) {
        let area = &self.disk.area;
        let effects = change::apply(&mut area.rules.lock(), &change, area.now());
        self.ctx.effects.extend(effects);
    }
}
