//! What a user may do with an object: what its stored descriptor allows, and the kernel.

use super::{Export, Object, RelPath, Result, Stat, of_errno};
use crate::fsa::access::{self, Bearer, Token};
use crate::sys;
use crate::types::AccessMask;
use crate::wire::dtyp::SecurityDescriptor;

/// Decided by a stored descriptor alone: the kernel has no say in them, or keeps them for the owner.
const BY_DESCRIPTOR: AccessMask = AccessMask::READ_CONTROL
    .union(AccessMask::SYNCHRONIZE)
    .union(AccessMask::READ_ATTRIBUTES)
    .union(AccessMask::WRITE_ATTRIBUTES)
    .union(AccessMask::READ_EA)
    .union(AccessMask::WRITE_EA)
    .union(AccessMask::WRITE_DAC)
    .union(AccessMask::WRITE_OWNER)
    .union(AccessMask::ACCESS_SYSTEM_SECURITY);

/// An object, and who asks for it.
pub struct Rights<'a> {
    export: &'a Export,
    object: &'a Object,
    path: &'a RelPath,
    stat: &'a Stat,
    token: &'a Token,
    /// FILE_OPEN_FOR_BACKUP_INTENT.
    backup: bool,
    stored: Option<SecurityDescriptor>,
}

impl Export {
    /// Reads the descriptor, if there is one. `stat`: of the object now; `path`: where it stands.
    pub fn rights<'a>(
        &'a self,
        object: &'a Object,
        path: &'a RelPath,
        stat: &'a Stat,
        token: &'a Token,
        backup: bool,
    ) -> Result<Rights<'a>> {
        let stored = self.stored(object, stat)?;
        Ok(Rights { export: self, object, path, stat, token, backup, stored })
    }

    /// Whether one entry of a listing is shown with access based enumeration: its own descriptor, or mode, lets the
    /// user read it.
    pub fn may_see(&self, object: &Object, stat: &Stat, token: &Token) -> Result<bool> {
        if let Some(descriptor) = self.stored(object, stat)? {
            let bearer = Bearer::new(token, &descriptor, stat.uid, stat.gid);
            if !access::allowed(&descriptor, &bearer).contains(access::NEEDED_TO_SEE) {
                return Ok(false);
            }
        }
        sys::file::access(&object.fd, sys::file::Access::Read).map_err(of_errno)
    }
}

impl Rights<'_> {
    /// A descriptor was stored: more than the kernel is asked.
    pub fn are_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// Everything (MAXIMUM_ALLOWED, and the MxAc context).
    pub fn most(&self) -> Result<AccessMask> {
        let kernel = self.export.granted(self.object, self.path, AccessMask::FILE_ALL)?;
        match &self.stored {
            None => Ok(kernel),
            Some(stored) => Ok(self.described(stored, AccessMask::FILE_ALL)? & (kernel | BY_DESCRIPTOR)),
        }
    }

    /// Whether the descriptor allows all of `wanted`. Without one, it does.
    pub fn allow(&self, wanted: AccessMask) -> Result<bool> {
        match &self.stored {
            None => Ok(true),
            Some(stored) => Ok(self.described(stored, wanted)?.contains(wanted)),
        }
    }

    /// Whether the kernel grants all of `wanted`, but for what a descriptor decides.
    pub fn kernel_grants(&self, wanted: AccessMask) -> Result<bool> {
        let asked = if self.stored.is_some() { wanted - BY_DESCRIPTOR } else { wanted };
        Ok(asked.is_empty() || self.export.granted(self.object, self.path, asked)?.contains(asked))
    }

    fn described(&self, stored: &SecurityDescriptor, wanted: AccessMask) -> Result<AccessMask> {
        let bearer = Bearer::new(self.token, stored, self.stat.uid, self.stat.gid);
        let mut allowed = access::allowed(stored, &bearer) | access::privileged(self.token, self.backup);
        let lacking = (wanted - allowed) & access::from_above(AccessMask::FILE_ALL);
        if !lacking.is_empty() {
            allowed |= access::from_above(self.above()?) & lacking;
        }
        Ok(allowed & wanted)
    }

    /// What the user may do in the directory above.
    fn above(&self) -> Result<AccessMask> {
        let Some(parent) = self.path.parent() else { return Ok(AccessMask::empty()) };
        let Ok(fd) = self.export.open_dir(&self.export.root(), &parent) else {
            return Ok(AccessMask::empty());
        };
        let (directory, stat) = self.export.object_of(fd)?;
        let wanted = AccessMask::LIST_DIRECTORY | AccessMask::DELETE_CHILD;
        match self.export.stored(&directory, &stat)? {
            Some(stored) => {
                let bearer = Bearer::new(self.token, &stored, stat.uid, stat.gid);
                Ok(access::allowed(&stored, &bearer) & wanted)
            }
            None => self.export.granted(&directory, &parent, wanted),
        }
    }
}
