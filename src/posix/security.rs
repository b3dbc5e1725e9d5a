//! What the kernel lets the user do, and security descriptors from mode and POSIX ACL.

use std::ffi::CStr;

use rustix::io::Errno;

use super::acl::{self, Entry, Tag};
use super::lookup::of_path_errno;
use super::{Export, Kind, Object, RelPath, Result, Stat, of_errno, status};
use crate::auth::Identity;
use crate::config::Acls;
use crate::sys;
use crate::sys::file::Access;
use crate::types::{AccessMask, NtStatus};
use crate::wire::dtyp::{Ace, AceFlags, Acl, Control, SecurityDescriptor, Sid};

/// What nobody who can name the object is denied.
const ALWAYS: AccessMask =
    AccessMask::READ_ATTRIBUTES.union(AccessMask::READ_CONTROL).union(AccessMask::SYNCHRONIZE);
/// What the kernel lets an owner do whatever the mode says. (WRITE_OWNER: programs ask for GENERIC_ALL; giving
/// the file away is refused when it is tried.)
const OWNER: AccessMask =
    AccessMask::WRITE_ATTRIBUTES.union(AccessMask::WRITE_DAC).union(AccessMask::WRITE_OWNER);

/// The rights that `r`, `w`, `x` stand for. A program on a share is run by reading it, and Windows knows no
/// mode bits: reading a file includes executing it.
fn of_bits(read: bool, write: bool, execute: bool, kind: Kind) -> AccessMask {
    let mut mask = ALWAYS;
    if read {
        mask |= AccessMask::FILE_READ;
        if kind != Kind::Directory {
            mask |= AccessMask::EXECUTE;
        }
    }
    if write {
        mask |= AccessMask::FILE_WRITE | AccessMask::DELETE_CHILD;
    }
    if execute {
        mask |= AccessMask::EXECUTE;
    }
    mask
}

impl Export {
    /// What the identity this thread has assumed may do, of the bits in `wanted` (no generic ones;
    /// `MAXIMUM_ALLOWED`: everything there is). The kernel is asked, and only for what is wanted. DELETE is a
    /// right of the directory above: `path` leads there.
    pub fn granted(&self, object: &Object, path: &RelPath, wanted: AccessMask) -> Result<AccessMask> {
        let wanted = match wanted.contains(AccessMask::MAXIMUM_ALLOWED) {
            true => AccessMask::FILE_ALL,
            false => wanted & AccessMask::FILE_ALL,
        };
        let mut granted = ALWAYS;
        let is_dir = object.kind == Kind::Directory;
        let ask = |mask: AccessMask, what| -> Result<bool> {
            Ok(wanted.intersects(mask) && sys::file::access(&object.fd, what).map_err(of_errno)?)
        };
        let read = of_bits(true, false, false, object.kind) - ALWAYS;
        let write = of_bits(false, true, false, object.kind) - ALWAYS;
        if ask(read, Access::Read)? {
            granted |= read;
        }
        // Adding to a directory takes passing through it as well.
        if ask(write, Access::Write)? && (!is_dir || ask(write, Access::Execute)?) {
            granted |= write;
        }
        if is_dir && ask(AccessMask::TRAVERSE, Access::Execute)? {
            granted |= AccessMask::TRAVERSE;
        }
        if wanted.intersects(OWNER - granted) && (sys::creds::current_uid() == 0 || self.owns(object)) {
            granted |= OWNER;
        }
        if wanted.contains(AccessMask::DELETE) && self.may_remove(object, path)? {
            granted |= AccessMask::DELETE;
        }
        Ok(granted & wanted)
    }

    /// Whether the user may take the name away: write and search on the directory, and under the sticky bit to
    /// own the object or the directory. The root's DELETE is granted to its owner (programs ask for it);
    /// deleting it is refused when it is tried.
    fn may_remove(&self, object: &Object, path: &RelPath) -> Result<bool> {
        let uid = sys::creds::current_uid();
        let Some(parent) = path.parent() else {
            return Ok(uid == 0 || self.owns(object));
        };
        let fd = match self.open_dir(&self.root(), &parent) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(false),
            Err(errno) => return Err(of_path_errno(errno)),
        };
        if !sys::file::access(&fd, Access::Write).map_err(of_errno)?
            || !sys::file::access(&fd, Access::Execute).map_err(of_errno)?
        {
            return Ok(false);
        }
        let dir = sys::file::stat_fd(&fd).map_err(of_errno)?;
        let sticky = u32::from(dir.stx_mode) & 0o1000 != 0;
        Ok(!sticky || uid == 0 || dir.stx_uid == uid || self.owns(object))
    }

    /// The descriptor that was stored, else the one that stands for mode and POSIX ACL.
    pub fn security_descriptor(&self, object: &Object, stat: &Stat) -> Result<SecurityDescriptor> {
        match self.stored(object, stat)? {
            Some(stored) => Ok(stored),
            None => self.mirrored(object, stat),
        }
    }

    /// Owner, group and a DACL that says what mode and POSIX ACL grant. (POSIX gives each user the rights of one
    /// class only; a DACL adds them up. Where a class has fewer rights than a wider one, the DACL shows the more
    /// generous sum, as Samba's does. The kernel decides in any case.)
    ///
    /// Where clients may store one, a directory's also says what new files and directories get. What a client makes
    /// of it then lets their owners in, too.
    fn mirrored(&self, object: &Object, stat: &Stat) -> Result<SecurityDescriptor> {
        let entries = self.posix_acl(object, acl::NAME)?.unwrap_or_else(|| Entry::of_mode(stat.mode));
        let owner = (Sid::unix_user(stat.uid), Sid::unix_group(stat.gid));
        let mut aces = mirror(&entries, owner, object.kind, AceFlags::empty());
        if object.kind == Kind::Directory && self.policy().acls != Acls::Posix {
            let entries = match self.posix_acl(object, acl::DEFAULT)? {
                Some(entries) => entries,
                None => Entry::of_mode(self.policy().dir_mode.unwrap_or(0o777 & !self.policy().umask)),
            };
            let flags = AceFlags::OBJECT_INHERIT | AceFlags::CONTAINER_INHERIT | AceFlags::INHERIT_ONLY;
            let creators = (Sid::CREATOR_OWNER, Sid::CREATOR_GROUP);
            aces.extend(mirror(&entries, creators, object.kind, flags));
        }
        Ok(SecurityDescriptor {
            control: Control::DACL_PRESENT | Control::SELF_RELATIVE,
            owner: Some(Sid::unix_user(stat.uid)),
            group: Some(Sid::unix_group(stat.gid)),
            sacl: None,
            dacl: Some(Acl { revision: 2, aces }),
        })
    }

    /// Makes mode and POSIX ACL grant what a DACL grants. `NOT_SUPPORTED` where they cannot say it.
    pub fn set_dacl(&self, object: &Object, stat: &Stat, dacl: Option<&Acl>) -> Result<()> {
        if object.kind == Kind::Symlink {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let nobody = nobody_if_named(dacl)?;
        let entries = acl::of_dacl(dacl, stat, nobody).ok_or(NtStatus::NOT_SUPPORTED)?;
        if entries.len() == 3 && self.posix_acl(object, acl::NAME)?.is_none() {
            return sys::file::chmod(&object.fd, stat.mode & 0o7000 | Entry::mode(&entries))
                .map_err(of_errno);
        }
        match sys::xattr::set(&object.fd, acl::NAME, &Entry::encode(&entries)) {
            Err(Errno::OPNOTSUPP) => Err(NtStatus::NOT_SUPPORTED),
            other => other.map_err(of_errno),
        }
    }

    /// One of the two; None where there is none.
    pub(super) fn posix_acl(&self, object: &Object, name: &CStr) -> Result<Option<Vec<Entry>>> {
        if object.kind == Kind::Symlink {
            return Ok(None);
        }
        let mut buf = vec![0; 256];
        loop {
            match sys::xattr::get(&object.fd, name, &mut buf) {
                Ok(n) => return Ok(Entry::decode(&buf[..n])),
                Err(Errno::RANGE) if buf.len() < 1 << 16 => buf.resize(1 << 16, 0),
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(None),
                Err(errno) => return Err(of_errno(errno)),
            }
        }
    }
}

/// The entries of a DACL that grant what those of a POSIX ACL do; `owner`: whom the first and the group's entry are
/// about.
fn mirror(entries: &[Entry], owner: (Sid, Sid), kind: Kind, flags: AceFlags) -> Vec<Ace> {
    let mask = entries.iter().find(|e| e.tag == Tag::Mask).map_or(7, |e| e.bits);
    let mut aces = Vec::with_capacity(entries.len());
    for entry in entries {
        let (sid, bits) = match entry.tag {
            Tag::Owner => (owner.0, entry.bits),
            Tag::User(uid) => (Sid::unix_user(uid), entry.bits & mask),
            Tag::OwningGroup => (owner.1, entry.bits & mask),
            Tag::Group(gid) => (Sid::unix_group(gid), entry.bits & mask),
            Tag::Other => (Sid::EVERYONE, entry.bits),
            Tag::Mask => continue,
        };
        let mut rights = of_bits(bits & 4 != 0, bits & 2 != 0, bits & 1 != 0, kind);
        if entry.tag == Tag::Owner {
            rights |= OWNER;
        }
        if bits & 2 != 0 {
            rights |= AccessMask::DELETE;
        }
        aces.push(Ace::allow(sid, rights, flags));
    }
    aces
}

/// The account behind anonymous sessions, where the list speaks of them.
pub(super) fn nobody_if_named(dacl: Option<&Acl>) -> Result<Option<u32>> {
    let names_nobody = |acl: &Acl| acl.aces.iter().any(|ace| ace.body.sid() == Some(&Sid::ANONYMOUS));
    if !dacl.is_some_and(names_nobody) {
        return Ok(None);
    }
    Ok(Identity::of_account("nobody").map_err(|e| status::of_io(&e))?.map(|nobody| nobody.uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_who_may_read_and_write_has_full_control_of_a_file() {
        let mask = of_bits(true, true, false, Kind::File) | OWNER | AccessMask::DELETE;
        assert_eq!(mask, AccessMask::FILE_ALL);
    }
}
