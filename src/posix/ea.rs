//! Extended attributes as clients see them (MS-FSCC 2.4.16): the `user.` xattrs, without those that have a
//! meaning of their own.

use std::ffi::CString;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::attr::as_far_as_trusted;
use super::{Export, Kind, Object, Result, of_errno};
use crate::sys;
use crate::types::NtStatus;

/// One extended attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ea {
    /// As on disk, without `user.`.
    pub name: String,
    pub value: Vec<u8>,
}

const PREFIX: &str = "user.";
/// Largest value and largest list of names on Linux.
const MAX: usize = 1 << 16;

/// What is kept in `user.` xattrs but is no EA: DOS attributes, streams, Samba's own.
fn is_ours(name: &str) -> bool {
    name == "DOSATTRIB"
        || name.starts_with("DosStream.")
        || name.starts_with("SAMBA_")
        || name.starts_with("smbgate.")
}

/// MS-FSCC 2.4.16. (It says ASCII; names in other letters are on disk all the same, and do no harm.)
fn is_well_formed(name: &str) -> bool {
    const NEVER: &[char] = &['\\', '/', ':', '*', '?', '"', '<', '>', '|', ',', '+', '=', '[', ']', ';'];
    !name.is_empty() && name.len() < 255 && !name.contains(|c: char| c.is_control() || NEVER.contains(&c))
}

impl Export {
    /// All of them, in the file system's order.
    pub fn eas(&self, object: &Object) -> Result<Vec<Ea>> {
        if !self.facts().xattrs || !matches!(object.kind, Kind::File | Kind::Directory) {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        each_name(object.as_fd(), |full| {
            names.extend(full.strip_prefix(PREFIX).filter(|name| !is_ours(name)).map(str::to_owned));
        })?;
        let mut eas = Vec::new();
        for name in names {
            match self.ea_value(object, &name) {
                Ok(value) => eas.push(Ea { name, value }),
                // Removed meanwhile.
                Err(NtStatus::NONEXISTENT_EA_ENTRY) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(eas)
    }

    fn ea_value(&self, object: &Object, name: &str) -> Result<Vec<u8>> {
        let full = full_name(name)?;
        let mut value = vec![0; 4096];
        as_far_as_trusted(object, || {
            loop {
                match sys::xattr::get(&object.fd, &full, &mut value) {
                    Err(Errno::RANGE) if value.len() < MAX => value.resize(MAX, 0),
                    Ok(len) => {
                        value.truncate(len);
                        return Ok(());
                    }
                    Err(errno) => return Err(errno),
                }
            }
        })?;
        Ok(value)
    }

    /// Sets one; an empty value removes it (MS-FSCC 2.4.16). Names are compared without case, the spelling on
    /// disk stays.
    pub fn set_ea(&self, object: &Object, name: &str, value: &[u8]) -> Result<()> {
        if !self.facts().xattrs || !matches!(object.kind, Kind::File | Kind::Directory) {
            return Err(NtStatus::EAS_NOT_SUPPORTED);
        }
        if is_ours(name) || !is_well_formed(name) {
            return Err(NtStatus::INVALID_EA_NAME);
        }
        let known = self.eas(object)?.into_iter().find(|ea| ea.name.eq_ignore_ascii_case(name));
        let full = full_name(known.as_ref().map_or(name, |ea| &ea.name))?;
        if !value.is_empty() {
            let set = as_far_as_trusted(object, || match sys::xattr::set(&object.fd, &full, value) {
                // Full is the inode's room for them long before the disk is.
                Err(Errno::TOOBIG | Errno::RANGE | Errno::NOSPC) => Ok(false),
                other => other.map(|()| true),
            })?;
            return if set { Ok(()) } else { Err(NtStatus::EA_TOO_LARGE) };
        }
        as_far_as_trusted(object, || match sys::xattr::remove(&object.fd, &full) {
            Err(Errno::NODATA) => Ok(()),
            other => other,
        })
    }
}

/// Every xattr's full name, if it is text. None where there are no xattrs.
pub(super) fn each_name(fd: BorrowedFd<'_>, mut tell: impl FnMut(&str)) -> Result<()> {
    let mut names = vec![0; 1024];
    let len = loop {
        match sys::xattr::list(fd, &mut names) {
            Ok(len) => break len,
            Err(Errno::RANGE) if names.len() < MAX => names.resize(MAX, 0),
            Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(errno) => return Err(of_errno(errno)),
        }
    };
    names[..len].split(|&b| b == 0).filter_map(|full| std::str::from_utf8(full).ok()).for_each(&mut tell);
    Ok(())
}

fn full_name(name: &str) -> Result<CString> {
    CString::new(format!("{PREFIX}{name}")).map_err(|_| NtStatus::INVALID_EA_NAME)
}
