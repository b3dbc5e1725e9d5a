//! CREATE of what does not exist: the object is made, gets what the request and its directory give it, and is told of.

use super::{Create, Done, fsa_path};
use crate::cmd::{Fail, info};
use crate::fsa::OpenAsk;
use crate::fsa::change::Change;
use crate::posix::{Missing, NewFile, Object, Stat};
use crate::session::TreeConnect;
use crate::types::{AccessMask, CreateDisposition, CreateOptions, FileAttributes, NtStatus, OpenId};
use crate::wire::create::CreateAction;
use std::sync::Arc;

impl Create<'_, '_, '_> {
    pub(super) fn new_file(&mut self, missing: &Missing) -> Result<Done, Fail> {
        let tree = Arc::clone(self.ctx.tree()?);
        let mut how = self.how();
        self.may_be_made(&tree, how.attributes)?;
        let lease = self.lease_ask(None, how.directory)?;
        let given = self.asked.descriptor.as_ref();
        let heritage = self.export.heritage(missing, how.directory, given, &tree.token)?;
        how.guarded = heritage.is_some();
        self.disk.area.rules.lock().may_create(&fsa_path(&missing.path))?;
        let mut made = self.export.create(missing, how)?;
        if let Some(heritage) = &heritage {
            let endowed = self.export.endow(&made.object, &made.stat, heritage, &tree.token);
            made.stat = match endowed.and_then(|()| self.export.stat(&made.object)) {
                Ok(stat) => stat,
                Err(status) => {
                    let _ = self.export.remove(&made.object, &made.path);
                    return Err(status.into());
                }
            };
        }
        let access = self.of_its_maker();
        let id = self.ctx.gate.opens.new_id();
        let stream = self.path.stream().map(|stream| stream.name.clone());
        let ask = self.ask(id, &made.stat, made.path.clone(), access, false, lease);
        let leased = ask.lease.is_some();
        if let Err(fail) = self.register(OpenAsk { stream: stream.clone(), ..ask }) {
            let _ = self.export.remove(&made.object, &made.path);
            return Err(fail);
        }
        let stat = match self.equip(&mut made.object, made.stat, how.directory, stream.as_deref()) {
            Ok(stat) => self.plain_if_asked(&made.object, stat),
            Err(status) => {
                self.unregister(id);
                let _ = self.export.remove(&made.object, &made.path);
                return Err(status.into());
            }
        };
        let path = fsa_path(&made.path);
        self.tell(Change::created(path.clone(), how.directory).by(OpenId(id.volatile)).of(stat.key));
        let described = heritage.is_some();
        let action = CreateAction::CREATED;
        Ok(Done { id, object: made.object, stat, path, access, action, described, leased })
    }

    /// What can be said before anything is made.
    fn may_be_made(&self, tree: &TreeConnect, attributes: FileAttributes) -> Result<(), NtStatus> {
        if matches!(self.request.create_disposition, CreateDisposition::OPEN | CreateDisposition::OVERWRITE) {
            return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
        }
        if !tree.maximal_access.contains(AccessMask::ADD_FILE) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        if attributes.contains(FileAttributes::ENCRYPTED) {
            // Better not at all than in the clear.
            return Err(NtStatus::ACCESS_DENIED);
        }
        if attributes.contains(FileAttributes::READONLY)
            && self.request.create_options.contains(CreateOptions::DELETE_ON_CLOSE)
        {
            return Err(NtStatus::CANNOT_DELETE);
        }
        let given = self.asked.descriptor.as_ref();
        if given.is_some_and(|sd| sd.sacl.is_some()) && !tree.token.is_privileged() {
            return Err(NtStatus::PRIVILEGE_NOT_HELD);
        }
        Ok(())
    }

    /// Who makes it may do everything with it.
    fn of_its_maker(&self) -> AccessMask {
        let wanted = self.wanted();
        if wanted.contains(AccessMask::MAXIMUM_ALLOWED) {
            AccessMask::FILE_ALL | (wanted & !AccessMask::MAXIMUM_ALLOWED)
        } else {
            wanted
        }
    }

    /// It gets its size, its extended attributes and the stream that it is made for.
    fn equip(
        &self,
        object: &mut Object,
        stat: Stat,
        directory: bool,
        stream: Option<&str>,
    ) -> Result<Stat, NtStatus> {
        let size = self.asked.allocation_size.filter(|_| !directory && stream.is_none());
        if size.is_none() && self.asked.eas.is_empty() && stream.is_none() {
            return Ok(stat);
        }
        size.map_or(Ok(()), |size| object.set_allocation(size))?;
        info::ea::replace(self.export, object, &self.asked.eas, false)?;
        match stream {
            Some(name) => self.first_stream(object, name),
            None => self.export.stat(object),
        }
    }

    /// What the directory handed down may not be wanted.
    fn plain_if_asked(&self, object: &Object, stat: Stat) -> Stat {
        let plain = self.request.create_options.contains(CreateOptions::NO_COMPRESSION);
        if !plain || !stat.attributes.contains(FileAttributes::COMPRESSED) {
            return stat;
        }
        let done = self.export.set_compressed(object, false);
        done.and_then(|()| self.export.stat(object)).unwrap_or(stat)
    }

    pub(super) fn how(&self) -> NewFile {
        NewFile {
            directory: self.request.create_options.contains(CreateOptions::DIRECTORY_FILE),
            attributes: self.request.file_attributes,
            guarded: false,
        }
    }
}
