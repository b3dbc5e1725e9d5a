//! Security descriptors (MS-SMB2 3.3.5.20.3, 3.3.5.21.3; MS-FSA 2.1.5.14, 2.1.5.17).

use super::Subject;
use crate::cmd::{Fail, Handled, Reply, file_of};
use crate::fsa::change::Facets;
use crate::session::Open;
use crate::types::{AccessMask, NtStatus};
use crate::wire::dtyp::{SecurityDescriptor, SecurityInformation};
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

/// A DACL becomes a mode or a POSIX ACL, as far as they can hold what it says; owner and group stay as they are.
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
    subject.export.set_dacl(&subject.file.object, &stat, wanted.dacl.as_ref())?;
    subject.tell_modified(Facets::SECURITY);
    Ok(())
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
    use crate::wire::dtyp::{Ace, AceFlags, Acl, Sid};

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
}
