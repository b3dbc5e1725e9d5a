//! CREATE of what exists: it is opened, and overwritten if that is asked for.

use super::{Create, Done, check, fsa_path, instance};
use crate::cmd::{Fail, info, times};
use crate::fsa::change::{Change, Facets};
use crate::posix::{self, DataAccess, Kind, Object, RelPath, Stat};
use crate::types::{AccessMask, CreateDisposition, FileId, NodeKey, NtStatus, OpenId};
use crate::wire::create::CreateAction;

impl Create<'_, '_, '_> {
    pub(super) fn existing(&mut self, found: posix::Found) -> Result<Done, Fail> {
        let posix::Found { mut object, stat, path } = found;
        let directory = stat.kind == Kind::Directory;
        check::kind(&stat, self.request.create_options, self.request.create_disposition)?;
        if directory && self.path.is_data() {
            return Err(NtStatus::FILE_IS_A_DIRECTORY.into());
        }
        let overwrites = matches!(
            self.request.create_disposition,
            CreateDisposition::SUPERSEDE | CreateDisposition::OVERWRITE | CreateDisposition::OVERWRITE_IF
        );
        if overwrites {
            check::overwrite(stat.attributes, self.request.file_attributes)?;
        }
        let lease = self.lease_ask(Some(stat.key), directory)?;
        let (access, described) = self.grant(&mut object, &path, &stat, overwrites)?;
        self.take_over(&object, &path, &stat)?;
        self.open_data(&mut object, &stat, access, overwrites)?;

        let id = self.ctx.gate.opens.new_id();
        let ask = self.ask(id, &stat, path.clone(), access, overwrites, lease);
        let leased = ask.lease.is_some();
        self.register(ask)?;
        let path = fsa_path(&path);
        let done = |object, stat, action| Done {
            id,
            object,
            stat,
            path: path.clone(),
            access,
            action,
            described,
            leased,
        };
        if !overwrites {
            return Ok(done(object, stat, CreateAction::OPENED));
        }
        let supersede = self.request.create_disposition == CreateDisposition::SUPERSEDE;
        match self.overwrite(id, &object, supersede) {
            Ok(stat) => {
                self.tell_overwritten(id, &path, stat.key);
                let action = if supersede { CreateAction::SUPERSEDED } else { CreateAction::OVERWRITTEN };
                Ok(done(object, stat, action))
            }
            Err(status) => {
                self.unregister(id);
                Err(status.into())
            }
        }
    }

    /// What another machine's instance of the application has open is closed.
    fn take_over(&self, object: &Object, path: &RelPath, stat: &Stat) -> Result<(), NtStatus> {
        let Some(asked) = self.asked.instance else { return Ok(()) };
        let tree = self.ctx.tree()?;
        let may_read = || {
            let rights = self.export.rights(object, path, stat, &tree.token, self.backup_intent())?;
            rights.most().map(|most| most.contains(AccessMask::FILE_READ))
        };
        instance::take_over(self.ctx, asked, &tree.share, stat.key, may_read)
    }

    /// Opens for data, as the kernel allows. With MAXIMUM_ALLOWED or EXECUTE alone, data that cannot be had is
    /// simply not had.
    fn open_data(
        &self,
        object: &mut Object,
        stat: &Stat,
        access: AccessMask,
        overwrites: bool,
    ) -> Result<(), NtStatus> {
        let directory = stat.kind == Kind::Directory;
        let writes = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
        let data = DataAccess {
            read: access.contains(AccessMask::READ_DATA)
                || (!directory && access.contains(AccessMask::EXECUTE)),
            write: !directory && (overwrites || access.intersects(writes)),
        };
        let plain = matches!(stat.kind, Kind::File | Kind::Directory);
        if !plain || !(data.read || data.write) {
            return Ok(());
        }
        match self.export.open_data(object, data) {
            Err(NtStatus::ACCESS_DENIED)
                if !access.contains(AccessMask::READ_DATA) && !data.write && !directory =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// The file is empty afterwards, with what the request gives it.
    fn overwrite(&self, id: FileId, object: &Object, supersede: bool) -> Result<Stat, NtStatus> {
        self.drop_streams(id, object)?;
        let stat = self.export.overwrite(object, self.how(), supersede)?;
        info::ea::replace(self.export, object, &self.asked.eas, supersede)?;
        match self.asked.allocation_size {
            Some(size) if size > 0 => {
                object.set_allocation(size)?;
                self.export.stat(object)
            }
            _ => Ok(stat),
        }
    }

    fn tell_overwritten(&mut self, id: FileId, path: &crate::fsa::RelPath, key: NodeKey) {
        let changed = Change::modified(path.clone(), false, Facets::WRITTEN | Facets::ATTRIBUTES);
        self.tell(changed.by(OpenId(id.volatile)).of(key));
        self.disk.area.rules.lock().show_times(OpenId(id.volatile), Some(times::now()));
    }
}
