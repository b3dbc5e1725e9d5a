//! Security descriptors (MS-SMB2 3.3.5.20.3, 3.3.5.21.3; MS-FSA 2.1.5.14, 2.1.5.17).

use super::Subject;
use crate::cmd::{Fail, Handled, Reply, file_of};
use crate::config::Acls;
use crate::fsa::access::{merge, needed_to_read, needed_to_write};
use crate::fsa::change::Facets;
use crate::session::Open;
use crate::types::NtStatus;
use crate::wire::dtyp::{SecurityDescriptor, SecurityInformation};
use crate::wire::query_info::QueryInfoResponse;

pub fn query(open: &Open, parts: u32, max: usize, reply: &mut Reply) -> Handled {
    let file = file_of(open)?;
    let parts = SecurityInformation::from_bits_retain(parts);
    if !file.access.contains(needed_to_read(parts)) {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let subject = Subject::new(open, file)?;
    let stat = subject.export.stat_file(&file.object)?;
    let descriptor = subject.export.security_descriptor(&file.object, &stat)?.select(parts);
    let bytes = descriptor.to_bytes();
    if bytes.len() > max {
        // MS-SMB2 2.2.2.2: the length that would have done.
        let needed = (bytes.len() as u32).to_le_bytes().to_vec();
        return Err(Fail::With(NtStatus::BUFFER_TOO_SMALL, needed));
    }
    QueryInfoResponse { buffer: &bytes }.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

pub fn set(subject: &mut Subject<'_>, parts: u32, buffer: &[u8]) -> Result<(), NtStatus> {
    let parts = SecurityInformation::from_bits_retain(parts);
    if !subject.file.access.contains(needed_to_write(parts)) {
        return Err(NtStatus::ACCESS_DENIED);
    }
    let sent = SecurityDescriptor::decode(buffer).map_err(|_| NtStatus::INVALID_SECURITY_DESCR)?;
    let (export, object) = (&subject.export, &subject.file.object);
    let stat = export.stat_file(object)?;
    let present = export.security_descriptor(object, &stat)?;
    let acls = export.policy().acls;
    let wanted = merge(&present, &sent, parts, acls == Acls::Verbatim);
    if wanted == present {
        return Ok(());
    }
    let token = &subject.open.tree.token;
    match acls {
        Acls::Windows | Acls::Verbatim => export.set_descriptor(object, &stat, &wanted, token)?,
        Acls::Posix => {
            if !can_be_mirrored(&wanted, &present) {
                return Err(NtStatus::NOT_SUPPORTED);
            }
            export.give(object, &stat, &wanted, token)?;
            if wanted.dacl != present.dacl {
                let stat = export.stat_file(object)?;
                export.set_dacl(object, &stat, wanted.dacl.as_ref())?;
            }
        }
    }
    subject.tell_modified(Facets::SECURITY);
    Ok(())
}

/// Whether nothing is lost when only owner, group and DACL can change, and owner and group have to be Unix ones.
fn can_be_mirrored(wanted: &SecurityDescriptor, present: &SecurityDescriptor) -> bool {
    wanted.sacl == present.sacl
        && wanted.owner.is_none_or(|sid| sid.as_unix_user().is_some())
        && wanted.group.is_none_or(|sid| sid.as_unix_group().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dtyp::Sid;

    #[test]
    fn what_mode_and_posix_acl_cannot_hold_is_refused() {
        let present = SecurityDescriptor { owner: Some(Sid::unix_user(7)), ..SecurityDescriptor::default() };
        let owned_by = |sid| SecurityDescriptor { owner: Some(sid), ..present.clone() };
        assert!(can_be_mirrored(&owned_by(Sid::unix_user(8)), &present));
        assert!(!can_be_mirrored(&owned_by(Sid::EVERYONE), &present));
        let audited = SecurityDescriptor { sacl: Some(Default::default()), ..present.clone() };
        assert!(!can_be_mirrored(&audited, &present));
    }
}
