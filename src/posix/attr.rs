//! Facts and attributes of objects.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::dosattrib::{self, DosAttrib};
use super::stat::{KEPT, default_attributes};
use super::{DataAccess, Export, Kind, Object, Result, Stat, of_errno, stat, status};
use crate::sys;
use crate::types::FileAttributes;

impl Export {
    pub fn stat(&self, object: &Object) -> Result<Stat> {
        let stat = self.stat_file(object)?;
        if object.is_stream() { Ok(stat.of_stream(object.size()?)) } else { Ok(stat) }
    }

    /// Of the file itself, if it is a stream.
    pub fn stat_file(&self, object: &Object) -> Result<Stat> {
        let stx = sys::file::stat_fd(&object.fd).map_err(of_errno)?;
        let dos = match object.kind {
            Kind::File | Kind::Directory => self.dos_attrib(object),
            _ => DosAttrib::default(),
        };
        let mut stat = Stat::new(&stx, dos);
        self.as_kept(&mut stat);
        Ok(stat)
    }

    /// A fresh `O_PATH` descriptor and what it is.
    pub(super) fn object_of(&self, fd: OwnedFd) -> Result<(Object, Stat)> {
        let stx = sys::file::stat_fd(&fd).map_err(of_errno)?;
        let object = Object {
            fd,
            key: stat::key(&stx),
            kind: stat::kind(&stx),
            mount: stx.stx_mnt_id,
            data: DataAccess::default(),
            trusted: false,
            stream: None,
            cached: None,
        };
        let dos = match object.kind {
            Kind::File | Kind::Directory => self.dos_attrib(&object),
            _ => DosAttrib::default(),
        };
        let mut stat = Stat::new(&stx, dos);
        self.as_kept(&mut stat);
        Ok((object, stat))
    }

    /// What is kept on disk; nothing where it is missing, unreadable to this user or nonsense.
    pub(super) fn dos_attrib(&self, object: &Object) -> DosAttrib {
        let mut buf = [0; dosattrib::MAX];
        if !self.root().facts.xattrs {
            let value = self.policy().side.get(object.key, SIDE_NAME);
            return value.and_then(|v| DosAttrib::decode(&v)).unwrap_or_default();
        }
        let got = if object.has_data() {
            sys::xattr::get_data(&object.fd, dosattrib::NAME, &mut buf)
        } else {
            sys::xattr::get(&object.fd, dosattrib::NAME, &mut buf)
        };
        got.ok().and_then(|n| DosAttrib::decode(buf.get(..n)?)).unwrap_or_default()
    }

    /// The same for a name in a directory.
    pub(super) fn dos_attrib_at<Fd: AsFd>(&self, dir: Fd, name: &CStr, stx: &rustix::fs::Statx) -> DosAttrib {
        if !self.root().facts.xattrs {
            let value = self.policy().side.get(stat::key(stx), SIDE_NAME);
            return value.and_then(|v| DosAttrib::decode(&v)).unwrap_or_default();
        }
        let mut buf = [0; dosattrib::MAX];
        let got = sys::xattr::get_at(dir, name, dosattrib::NAME, &mut buf);
        got.ok().and_then(|n| DosAttrib::decode(buf.get(..n)?)).unwrap_or_default()
    }

    pub(super) fn put_dos_attrib(&self, object: &Object, dos: DosAttrib) -> Result<()> {
        let value = dos.encode();
        if !self.root().facts.xattrs {
            self.policy().side.put(object.key, SIDE_NAME, &value);
            return Ok(());
        }
        let set = || sys::xattr::set(&object.fd, dosattrib::NAME, &value);
        match set() {
            // The kernel wants the right to write data for this; SMB also lets the owner.
            Err(Errno::ACCESS | Errno::PERM) if object.trusted || self.owns(object) => {
                with_process_rights(set)
            }
            other => other.map_err(of_errno),
        }
    }

    /// Sets the attributes a client may set; those that follow from what the object is are ignored. An empty mask
    /// means "leave as they are" (MS-FSCC 2.4.7), `NORMAL` means none.
    pub fn set_attributes(&self, object: &Object, attributes: FileAttributes) -> Result<()> {
        if attributes.is_empty() || !matches!(object.kind, Kind::File | Kind::Directory) {
            return Ok(());
        }
        let wanted = attributes & KEPT;
        let now = self.dos_attrib(object);
        if now.attributes.map_or(default_attributes(object.kind), |a| a & KEPT) == wanted {
            return Ok(());
        }
        let created = self.stat(object)?.created;
        self.put_dos_attrib(
            object,
            DosAttrib { attributes: Some(on_disk(object.kind, wanted)), created: Some(created) },
        )
    }

    /// Whether the user this thread acts for owns the object.
    pub(super) fn owns(&self, object: &Object) -> bool {
        sys::file::stat_fd(&object.fd).is_ok_and(|stx| stx.stx_uid == sys::creds::current_uid())
    }
}

/// `user.DOSATTRIB` in the side store.
const SIDE_NAME: &str = "user.DOSATTRIB";

/// Samba keeps the DIRECTORY bit in the value too.
pub(super) fn on_disk(kind: Kind, attributes: FileAttributes) -> FileAttributes {
    match kind {
        Kind::Directory => attributes | FileAttributes::DIRECTORY,
        _ => attributes,
    }
}

pub(super) fn may_write(object: &Object) -> bool {
    sys::file::access(&object.fd, sys::file::Access::Write).unwrap_or(false)
}

/// What the user may do, or the process where a stored descriptor lets him.
pub(super) fn as_far_as_trusted<T>(
    object: &Object,
    mut work: impl FnMut() -> rustix::io::Result<T>,
) -> Result<T> {
    match work() {
        Err(Errno::ACCESS | Errno::PERM) if object.trusted => with_process_rights(work),
        other => other.map_err(of_errno),
    }
}

pub(super) fn with_process_rights<T>(work: impl FnOnce() -> rustix::io::Result<T>) -> Result<T> {
    if !sys::creds::can_switch() {
        return Err(of_errno(Errno::ACCESS));
    }
    sys::creds::as_process(work).map_err(|error| status::of_io(&error))?.map_err(of_errno)
}
