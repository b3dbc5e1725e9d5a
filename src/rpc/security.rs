//! Who may do what with the objects behind handles: LsarQuerySecurityObject, SamrQuerySecurityObject.

use super::ndr::{NdrReader, NdrWriter};
use super::pdu::Fault;
use crate::types::{AccessMask, NtStatus};
use crate::wire::dtyp::{Ace, AceFlags, Acl, Control, SecurityDescriptor, SecurityInformation, Sid};

/// An object that users may read, and nobody may change. `r` stands before the SecurityInformation; `mask` is what
/// reading comes to for the object's type.
pub fn query(r: &mut NdrReader<'_>, mask: u32) -> Result<Vec<u8>, Fault> {
    let parts = SecurityInformation::from_bits_retain(r.u32()?);
    let mut w = NdrWriter::new();
    if parts.contains(SecurityInformation::SACL) {
        w.pointer(false);
        return Ok(w.done(NtStatus::ACCESS_DENIED));
    }
    let may_read =
        Ace::allow(Sid::AUTHENTICATED_USERS, AccessMask::from_bits_retain(mask), AceFlags::empty());
    let descriptor = SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
        owner: Some(Sid::BUILTIN_ADMINISTRATORS),
        group: Some(Sid::BUILTIN_ADMINISTRATORS),
        sacl: None,
        dacl: Some(Acl { aces: vec![may_read], ..Acl::default() }),
    };
    w.parameter(|w| w.sized_bytes(&descriptor.select(parts).to_bytes()));
    Ok(w.done(NtStatus::SUCCESS))
}
