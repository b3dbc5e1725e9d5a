//! Setting parts of a descriptor (MS-FSA 2.1.5.17; MS-SMB2 3.3.5.21.3), and what it takes.

use super::mapped;
use crate::types::AccessMask;
use crate::wire::dtyp::{Acl, Control, SecurityDescriptor, SecurityInformation};

const WHOLE: SecurityInformation = SecurityInformation::BACKUP;

/// The access that an open needs to be told these parts.
pub fn needed_to_read(parts: SecurityInformation) -> AccessMask {
    let readable = SecurityInformation::OWNER
        | SecurityInformation::GROUP
        | SecurityInformation::DACL
        | (SecurityInformation::IN_SACL - SecurityInformation::SACL);
    let mut needed = AccessMask::empty();
    needed.set(AccessMask::READ_CONTROL, parts.intersects(readable | WHOLE));
    needed.set(AccessMask::ACCESS_SYSTEM_SECURITY, parts.intersects(SecurityInformation::SACL | WHOLE));
    needed
}

/// The access that an open needs to set these parts.
pub fn needed_to_write(parts: SecurityInformation) -> AccessMask {
    let owner = SecurityInformation::OWNER | SecurityInformation::GROUP | SecurityInformation::LABEL;
    let mut needed = AccessMask::empty();
    needed.set(AccessMask::WRITE_OWNER, parts.intersects(owner | WHOLE));
    needed.set(AccessMask::WRITE_DAC, parts.intersects(SecurityInformation::DACL | WHOLE));
    let system = SecurityInformation::IN_SACL - SecurityInformation::LABEL;
    needed.set(AccessMask::ACCESS_SYSTEM_SECURITY, parts.intersects(system | WHOLE));
    needed
}

/// `present` with the named parts of `sent`. An owner or a group that is not sent stays; a DACL that is not sent is
/// a null DACL. `verbatim`: AUTO_INHERITED is kept as sent, where Windows wants AUTO_INHERIT_REQ beside it.
pub fn merge(
    present: &SecurityDescriptor,
    sent: &SecurityDescriptor,
    parts: SecurityInformation,
    verbatim: bool,
) -> SecurityDescriptor {
    let named = |part| parts.intersects(part | WHOLE);
    let mut out = present.clone();
    if named(SecurityInformation::OWNER) {
        out.owner = sent.owner.or(present.owner);
    }
    if named(SecurityInformation::GROUP) {
        out.group = sent.group.or(present.group);
    }
    if named(SecurityInformation::DACL) {
        let inherited = Control::DACL_AUTO_INHERITED;
        let kept = settled(sent.control, Control::DACL_AUTO_INHERIT_REQ, inherited, verbatim);
        let all =
            inherited | Control::DACL_PROTECTED | Control::DACL_AUTO_INHERIT_REQ | Control::DACL_DEFAULTED;
        out.control = (out.control - all) | kept | (sent.control & Control::DACL_PROTECTED);
        out.control |= Control::DACL_PRESENT;
        out.dacl = sent.dacl.as_ref().map(of_client);
    }
    if parts.contains(SecurityInformation::PROTECTED_DACL) {
        out.control |= Control::DACL_PROTECTED;
    } else if parts.contains(SecurityInformation::UNPROTECTED_DACL) {
        out.control -= Control::DACL_PROTECTED;
    }
    if named(SecurityInformation::IN_SACL) {
        set_sacl(&mut out, sent, parts, verbatim);
    }
    if parts.contains(SecurityInformation::PROTECTED_SACL) {
        out.control |= Control::SACL_PROTECTED;
    } else if parts.contains(SecurityInformation::UNPROTECTED_SACL) {
        out.control -= Control::SACL_PROTECTED;
    }
    out
}

/// Entries of the parts that are not named stay.
fn set_sacl(
    out: &mut SecurityDescriptor,
    sent: &SecurityDescriptor,
    parts: SecurityInformation,
    verbatim: bool,
) {
    let named = |part| parts.intersects(part | WHOLE);
    if named(SecurityInformation::SACL) {
        let inherited = Control::SACL_AUTO_INHERITED;
        let kept = settled(sent.control, Control::SACL_AUTO_INHERIT_REQ, inherited, verbatim);
        let all =
            inherited | Control::SACL_PROTECTED | Control::SACL_AUTO_INHERIT_REQ | Control::SACL_DEFAULTED;
        out.control = (out.control - all) | kept | (sent.control & Control::SACL_PROTECTED);
    }
    let mut acl = out.sacl.take().unwrap_or_default();
    acl.aces.retain(|ace| !named(ace.kind.part_of_sacl()));
    let given = sent.sacl.as_ref().map(of_client).unwrap_or_default();
    acl.revision = acl.revision.max(given.revision);
    acl.aces.extend(given.aces.into_iter().filter(|ace| named(ace.kind.part_of_sacl())));
    let there = !acl.aces.is_empty();
    out.control.set(Control::SACL_PRESENT, there);
    out.sacl = there.then_some(acl);
}

fn settled(sent: Control, request: Control, inherited: Control, verbatim: bool) -> Control {
    if verbatim || sent.contains(request) { sent & inherited } else { Control::empty() }
}

fn of_client(acl: &Acl) -> Acl {
    Acl { revision: acl.revision, aces: acl.aces.iter().map(mapped).collect() }
}
