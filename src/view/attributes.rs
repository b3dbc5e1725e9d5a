//! Attributes: mode, owner, size, times, and extended ones.

use fuser::{FileAttr, TimeOrNow};
use rustix::fs::{AtFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::SystemTime;

use super::caller::Caller;
use super::door::{Patience, Stop, Subject};
use super::files::OpenFile;
use super::inodes::Inode;
use super::{Core, attr};
use crate::fsa::change::{Change, Facets};
use crate::sys::{creds, file, xattr};
use crate::types::AccessMask;

/// What is to be set.
#[derive(Clone, Copy, Default, Debug)]
pub struct Set {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub accessed: Option<TimeOrNow>,
    pub written: Option<TimeOrNow>,
}

impl Set {
    fn facets(&self) -> Facets {
        let mut facets = Facets::empty();
        if self.mode.is_some() || self.uid.is_some() || self.gid.is_some() {
            facets |= Facets::SECURITY | Facets::ATTRIBUTES;
        }
        facets.set(Facets::WRITTEN, self.size.is_some());
        facets.set(Facets::LAST_ACCESS, self.accessed.is_some());
        if self.written.is_some() {
            facets |= Facets::LAST_WRITE;
        }
        facets
    }

    fn apply_owner_and_mode(&self, inode: &Inode, before: u16) -> rustix::io::Result<()> {
        let fd = inode.fd();
        if self.uid.is_some() || self.gid.is_some() {
            file::chown(&fd, self.uid, self.gid)?;
        }
        let Some(mode) = self.mode.map(|mode| mode & 0o7777) else { return Ok(()) };
        match file::chmod(&fd, mode) {
            // The kernel takes set-id bits off what somebody else writes to.
            Err(Errno::PERM) if is_without_set_id(before, mode) => {
                creds::as_process(|| file::chmod(&fd, mode)).map_err(|_| Errno::PERM)?
            }
            other => other,
        }
    }

    fn apply_times(&self, inode: &Inode) -> rustix::io::Result<()> {
        if self.accessed.is_none() && self.written.is_none() {
            return Ok(());
        }
        let times =
            Timestamps { last_access: timespec(self.accessed), last_modification: timespec(self.written) };
        let fd = inode.fd();
        let name = file::FdName::of(&fd);
        rustix::fs::utimensat(file::proc_fds()?, name.as_c_str(), &times, AtFlags::empty())
    }
}

fn is_without_set_id(before: u16, mode: u32) -> bool {
    let before = u32::from(before & 0o7777);
    mode != before && mode | 0o6000 == before | 0o6000 && mode & !before == 0
}

fn timespec(time: Option<TimeOrNow>) -> Timespec {
    let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let at = match time {
        None => return special(rustix::fs::UTIME_OMIT as _),
        Some(TimeOrNow::Now) => return special(rustix::fs::UTIME_NOW as _),
        Some(TimeOrNow::SpecificTime(at)) => at,
    };
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(d) => Timespec { tv_sec: d.as_secs() as i64, tv_nsec: d.subsec_nanos().into() },
        // fuser 0.18 takes the kernel's nanoseconds off where they add (time.rs): put back as they came.
        Err(e) => {
            Timespec { tv_sec: -(e.duration().as_secs() as i64), tv_nsec: e.duration().subsec_nanos().into() }
        }
    }
}

/// What of a file an extended attribute is, to clients.
fn facets_of(name: &CStr) -> Facets {
    match name.to_bytes() {
        b"user.DOSATTRIB" => Facets::ATTRIBUTES | Facets::CREATION,
        n if n.starts_with(b"system.posix_acl_") || n.starts_with(b"security.") => Facets::SECURITY,
        _ => Facets::EA,
    }
}

impl Core {
    pub fn stat(&self, inode: &Inode) -> Result<FileAttr, Errno> {
        Ok(attr::attr(&file::stat_fd(inode.fd())?, inode.id))
    }

    pub fn set(
        &self,
        inode: &Arc<Inode>,
        set: &Set,
        by: Option<&Arc<OpenFile>>,
        patience: Patience,
        caller: &Caller,
    ) -> Result<FileAttr, Stop> {
        let before = file::stat_fd(inode.fd())?;
        let path = self.inodes.path(inode)?;
        let mut _open = None;
        if let (Some(path), Some(_)) = (&path, set.size)
            && !by.is_some_and(|file| file.excludes_caches())
        {
            let subject = Subject::new(&before, path.clone());
            _open = Some(self.door.open(&subject, AccessMask::WRITE_DATA, patience, caller)?);
        }
        let change =
            path.map(|path| Change::modified(path, inode.is_directory(), set.facets()).of(inode.node));
        if let Some(change) = &change {
            self.door.announce(change, patience, caller)?;
        }
        {
            let _as_caller = caller.assume()?;
            set.apply_owner_and_mode(inode, before.stx_mode)?;
        }
        if let Some(size) = set.size {
            self.truncate(inode, size, by.map(|by| &**by), caller)?;
        }
        {
            let _as_caller = caller.assume()?;
            set.apply_times(inode)?;
        }
        if let Some(change) = &change {
            self.door.tell(change);
        }
        Ok(self.stat(inode)?)
    }

    /// Sets or (None) removes an extended attribute.
    pub fn set_xattr(
        &self,
        inode: &Inode,
        name: &CString,
        value: Option<(&[u8], i32)>,
        patience: Patience,
        caller: &Caller,
    ) -> Result<(), Stop> {
        let change = self
            .inodes
            .path(inode)?
            .map(|path| Change::modified(path, inode.is_directory(), facets_of(name)).of(inode.node));
        if let Some(change) = &change {
            self.door.announce(change, patience, caller)?;
        }
        {
            let _as_caller = caller.assume()?;
            match value {
                Some((value, flags)) => {
                    let flags = XattrFlags::from_bits_retain(flags as u32);
                    xattr::set_with(inode.fd(), name, value, flags)?;
                }
                None => xattr::remove(inode.fd(), name)?,
            }
        }
        if let Some(change) = &change {
            self.door.tell(change);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_set_id_bits_go_for_nothing() {
        assert!(is_without_set_id(0o104_755, 0o755));
        assert!(is_without_set_id(0o102_775, 0o775));
        assert!(!is_without_set_id(0o104_755, 0o754));
        assert!(!is_without_set_id(0o100_755, 0o4755));
        assert!(!is_without_set_id(0o100_755, 0o755));
    }
}
