//! What a CREATE is granted (MS-SMB2 3.3.5.9, MS-FSA 2.1.5.1.2). The kernel decides when the object is opened; descriptors that
//! are stored, the share and the attributes have a say beside it.

use super::Create;
use crate::cmd::Fail;
use crate::posix::{self, Kind, Object, Stat};
use crate::types::{AccessMask, CreateDisposition, CreateOptions, FileAttributes, NtStatus};

impl Create<'_, '_, '_> {
    /// What the client wants to do, generic bits mapped. MAXIMUM_ALLOWED stays in.
    pub(super) fn wanted(&self) -> AccessMask {
        self.request.desired_access.map_generic()
    }

    pub(super) fn backup_intent(&self) -> bool {
        self.request.create_options.contains(CreateOptions::OPEN_FOR_BACKUP_INTENT)
    }

    /// The granted access, or ACCESS_DENIED; and whether a security descriptor of the object's own had a say in it.
    /// Data access is left to the kernel beside it, which decides at the open; only what no open shows is asked for.
    pub(super) fn grant(
        &self,
        object: &mut Object,
        path: &posix::RelPath,
        stat: &Stat,
        overwrites: bool,
    ) -> Result<(AccessMask, bool), Fail> {
        let tree = self.ctx.tree()?;
        let rights = self.export.rights(object, path, stat, &tree.token, self.backup_intent())?;
        let described = rights.are_stored();
        if described && self.ctx.flight.is_none() {
            return Err(Fail::Pending);
        }
        let granted = self.granted(&rights, stat, overwrites)?;
        if described {
            object.trust();
        }
        Ok((granted, described))
    }

    fn granted(
        &self,
        rights: &posix::Rights<'_>,
        stat: &Stat,
        overwrites: bool,
    ) -> Result<AccessMask, NtStatus> {
        let wanted = self.wanted();
        let share_allows = self.ctx.tree()?.maximal_access | AccessMask::ACCESS_SYSTEM_SECURITY;
        let readonly = stat.attributes.contains(FileAttributes::READONLY) && stat.kind != Kind::Directory;
        let writes = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
        if overwrites && (readonly || !share_allows.contains(AccessMask::WRITE_DATA)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        if wanted.contains(AccessMask::MAXIMUM_ALLOWED) {
            let mut most = rights.most()? & share_allows;
            if readonly {
                most &= !writes;
            }
            let rest = wanted & !(AccessMask::MAXIMUM_ALLOWED | AccessMask::ACCESS_SYSTEM_SECURITY);
            return if most.contains(rest) && rights.allow(rest | self.implied(overwrites))? {
                Ok(most | (wanted & AccessMask::ACCESS_SYSTEM_SECURITY))
            } else {
                Err(NtStatus::ACCESS_DENIED)
            };
        }
        if !share_allows.contains(wanted) || (readonly && wanted.intersects(writes)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let shown_by_open = AccessMask::READ_DATA
            | writes
            | AccessMask::READ_ATTRIBUTES
            | AccessMask::READ_CONTROL
            | AccessMask::READ_EA
            | AccessMask::SYNCHRONIZE
            | AccessMask::ACCESS_SYSTEM_SECURITY;
        let shown_by_open =
            if stat.kind == Kind::Directory { shown_by_open & !writes } else { shown_by_open };
        if !rights.allow(wanted | self.implied(overwrites))?
            || !rights.kernel_grants(wanted & !self.not_shown(shown_by_open))?
        {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(wanted)
    }

    /// What overwriting takes of a descriptor without being asked for (MS-FSA 2.1.5.1.2).
    fn implied(&self, overwrites: bool) -> AccessMask {
        match (overwrites, self.request.create_disposition) {
            (false, _) => AccessMask::empty(),
            (true, CreateDisposition::SUPERSEDE) => AccessMask::DELETE,
            (true, _) => AccessMask::WRITE_DATA | AccessMask::WRITE_EA | AccessMask::WRITE_ATTRIBUTES,
        }
    }
}
