//! Security descriptors (MS-SMB2 3.3.5.20.3, 3.3.5.21.3; MS-FSA 2.1.5.14, 2.1.5.17).

use super::Subject;
use crate::cmd::{Fail, Handled, Reply, file_of};
use crate::fsa::change::Facets;
use crate::posix::{Kind, Stat};
use crate::session::Open;
use crate::types::{AccessMask, NtStatus};
use crate::wire::dtyp::{AceBody, AceFlags, AceType, Acl, SecurityDescriptor, SecurityInformation, Sid};
use crate::wire::query_info::QueryInfoResponse;

pub fn query(open: &Open, parts: u32, max: usize, reply: &mut Reply) -> Handled {
    let file = file_of(open)?;
    let parts = SecurityInformation::from_bits_retain(parts);
    if !file.access.contains(needed_to_read(parts)) {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let subject = Subject::new(open, file)?;
    let descriptor = subject.export.security_descriptor(&file.object, &subject.stat()?)?.select(parts);
    let bytes = descriptor.to_bytes();
    if bytes.len() > max {
        // MS-SMB2 2.2.2.2: the length that would have done.
        let needed = (bytes.len() as u32).to_le_bytes().to_vec();
        return Err(Fail::With(NtStatus::BUFFER_TOO_SMALL, needed));
    }
    QueryInfoResponse { buffer: &bytes }.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// A DACL becomes a mode, as far as a mode can hold what it says; owner and group stay as they are.
pub fn set(subject: &mut Subject<'_>, parts: u32, buffer: &[u8]) -> Result<(), NtStatus> {
    let parts = SecurityInformation::from_bits_retain(parts);
    if !subject.file.access.contains(needed_to_write(parts)) {
        return Err(NtStatus::ACCESS_DENIED);
    }
    let wanted = SecurityDescriptor::decode(buffer).map_err(|_| NtStatus::INVALID_SECURITY_DESCR)?;
    let stat = subject.stat()?;
    let present = subject.export.security_descriptor(&subject.file.object, &stat)?;
    if is_the_same(&wanted, &present, parts) {
        return Ok(());
    }
    if !is_the_same(&wanted, &present, parts - SecurityInformation::DACL) {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    let mode = mode_of(wanted.dacl.as_ref(), &stat).ok_or(NtStatus::NOT_SUPPORTED)?;
    subject.export.set_mode(&subject.file.object, mode)?;
    subject.tell_modified(Facets::SECURITY);
    Ok(())
}

/// What a DACL grants to owner, group and everybody else (MS-DTYP 2.5.3.2: the first entry that speaks of a right
/// decides). None: it names somebody whom a mode cannot. A null DACL grants everything. Who may read a file may
/// execute it as far as he could before: descriptors do not tell the two apart.
fn mode_of(dacl: Option<&Acl>, stat: &Stat) -> Option<u32> {
    let mut granted = [AccessMask::empty(); 3];
    let mut denied = [AccessMask::empty(); 3];
    let Some(dacl) = dacl else { return Some(bits([AccessMask::FILE_ALL; 3], stat)) };
    for ace in dacl.aces.iter().filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY)) {
        let AceBody::Simple { mask, sid, .. } = &ace.body else { return None };
        let classes: &[usize] = match *sid {
            Sid::CREATOR_OWNER | Sid::OWNER_RIGHTS => &[0],
            Sid::CREATOR_GROUP => &[1],
            Sid::EVERYONE | Sid::AUTHENTICATED_USERS => &[0, 1, 2],
            // The superuser needs no entry.
            Sid::SYSTEM | Sid::BUILTIN_ADMINISTRATORS => &[],
            sid if sid == Sid::unix_user(stat.uid) => &[0],
            sid if sid == Sid::unix_group(stat.gid) => &[1],
            _ => return None,
        };
        let mask = mask.map_generic();
        for &class in classes {
            match ace.kind {
                AceType::ACCESS_ALLOWED => granted[class] |= mask - denied[class],
                AceType::ACCESS_DENIED => denied[class] |= mask - granted[class],
                _ => return None,
            }
        }
    }
    Some(bits(granted, stat))
}

fn bits(granted: [AccessMask; 3], stat: &Stat) -> u32 {
    let mut mode = stat.mode & 0o7000;
    for (class, mask) in granted.into_iter().enumerate() {
        let shift = 6 - 3 * class as u32;
        let read = mask.contains(AccessMask::READ_DATA);
        let execute = if stat.kind == Kind::Directory {
            mask.contains(AccessMask::TRAVERSE)
        } else {
            read && stat.mode >> shift & 1 != 0
        };
        let write = mask.contains(AccessMask::WRITE_DATA);
        mode |= (u32::from(read) << 2 | u32::from(write) << 1 | u32::from(execute)) << shift;
    }
    mode
}

const WHOLE: SecurityInformation = SecurityInformation::BACKUP;

fn needed_to_read(parts: SecurityInformation) -> AccessMask {
    let readable = SecurityInformation::OWNER
        | SecurityInformation::GROUP
        | SecurityInformation::DACL
        | SecurityInformation::LABEL
        | SecurityInformation::ATTRIBUTE
        | SecurityInformation::SCOPE;
    let mut needed = AccessMask::empty();
    needed.set(AccessMask::READ_CONTROL, parts.intersects(readable | WHOLE));
    needed.set(AccessMask::ACCESS_SYSTEM_SECURITY, parts.intersects(SecurityInformation::SACL | WHOLE));
    needed
}

fn needed_to_write(parts: SecurityInformation) -> AccessMask {
    let owner = SecurityInformation::OWNER | SecurityInformation::GROUP | SecurityInformation::LABEL;
    let mut needed = AccessMask::empty();
    needed.set(AccessMask::WRITE_OWNER, parts.intersects(owner | WHOLE));
    needed.set(AccessMask::WRITE_DAC, parts.intersects(SecurityInformation::DACL | WHOLE));
    let system = SecurityInformation::SACL | SecurityInformation::ATTRIBUTE | SecurityInformation::SCOPE;
    needed.set(AccessMask::ACCESS_SYSTEM_SECURITY, parts.intersects(system | WHOLE));
    needed
}

/// An owner or group that is not given stays as it is; a DACL that is not given is a null DACL.
fn is_the_same(
    wanted: &SecurityDescriptor,
    present: &SecurityDescriptor,
    parts: SecurityInformation,
) -> bool {
    let known = SecurityInformation::OWNER
        | SecurityInformation::GROUP
        | SecurityInformation::DACL
        | SecurityInformation::PROTECTED_DACL
        | SecurityInformation::UNPROTECTED_DACL;
    let aces = |sd: &SecurityDescriptor| sd.dacl.as_ref().map(|acl| acl.aces.clone());
    known.contains(parts)
        && (!parts.contains(SecurityInformation::OWNER)
            || wanted.owner.is_none()
            || wanted.owner == present.owner)
        && (!parts.contains(SecurityInformation::GROUP)
            || wanted.group.is_none()
            || wanted.group == present.group)
        && (!parts.contains(SecurityInformation::DACL) || aces(wanted) == aces(present))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{FileAttributes, FileTime, NodeKey};
    use crate::wire::dtyp::Ace;

    #[test]
    fn nothing_is_asked_of_who_asks_for_nothing() {
        assert_eq!(needed_to_read(SecurityInformation::empty()), AccessMask::empty());
        assert_eq!(needed_to_read(SecurityInformation::DACL), AccessMask::READ_CONTROL);
        assert_eq!(needed_to_read(SecurityInformation::SACL), AccessMask::ACCESS_SYSTEM_SECURITY);
    }

    #[test]
    fn setting_what_is_there_is_no_change() {
        let acl = |mask| Acl { revision: 2, aces: vec![Ace::allow(Sid::EVERYONE, mask, AceFlags::empty())] };
        let present = SecurityDescriptor {
            owner: Some(Sid::unix_user(1000)),
            dacl: Some(acl(AccessMask::FILE_READ)),
            ..SecurityDescriptor::default()
        };
        let parts = SecurityInformation::OWNER | SecurityInformation::DACL;
        assert!(is_the_same(&present.clone(), &present, parts));
        let other = SecurityDescriptor { dacl: Some(acl(AccessMask::FILE_ALL)), ..present.clone() };
        assert!(!is_the_same(&other, &present, parts));
        assert!(is_the_same(&other, &present, SecurityInformation::OWNER));
        assert!(!is_the_same(&present.clone(), &present, SecurityInformation::SACL));
    }

    fn stat(kind: Kind, mode: u32) -> Stat {
        Stat {
            key: NodeKey::default(),
            kind,
            size: 0,
            allocation: 0,
            created: FileTime::ZERO,
            accessed: FileTime::ZERO,
            written: FileTime::ZERO,
            changed: FileTime::ZERO,
            attributes: FileAttributes::NORMAL,
            nlink: 1,
            mode,
            uid: 1000,
            gid: 100,
        }
    }

    #[test]
    fn a_dacl_becomes_a_mode() {
        let file = stat(Kind::File, 0o100_755);
        let dir = stat(Kind::Directory, 0o042_755);
        let allow = |sid, mask| Ace::allow(sid, mask, AceFlags::empty());
        let mode = |aces: Vec<Ace>, stat: &Stat| mode_of(Some(&Acl { revision: 2, aces }), stat);
        assert_eq!(mode(vec![allow(Sid::CREATOR_OWNER, AccessMask::FILE_READ)], &file), Some(0o500));
        assert_eq!(mode(vec![], &file), Some(0));
        assert_eq!(mode_of(None, &file), Some(0o777));
        let three = vec![
            allow(Sid::unix_user(1000), AccessMask::FILE_ALL),
            allow(Sid::unix_group(100), AccessMask::GENERIC_READ),
            allow(Sid::SYSTEM, AccessMask::FILE_ALL),
        ];
        assert_eq!(mode(three.clone(), &file), Some(0o750));
        assert_eq!(mode(three, &dir), Some(0o2740));
        let deny = Ace::deny(Sid::unix_group(100), AccessMask::FILE_WRITE, AceFlags::empty());
        assert_eq!(mode(vec![deny, allow(Sid::EVERYONE, AccessMask::FILE_ALL)], &file), Some(0o757));
        assert_eq!(mode(vec![allow(Sid::unix_user(7), AccessMask::FILE_READ)], &file), None);
    }
}
