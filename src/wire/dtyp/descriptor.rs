//! SECURITY_DESCRIPTOR (MS-DTYP 2.4.6), self-relative.

use super::{Acl, Sid};
use crate::wire::codec::{DecodeError, Reader, Result, Writer};

bitflags::bitflags! {
    /// MS-DTYP 2.4.6 Control.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Control: u16 {
        const OWNER_DEFAULTED = 0x0001;
        const GROUP_DEFAULTED = 0x0002;
        const DACL_PRESENT = 0x0004;
        const DACL_DEFAULTED = 0x0008;
        const SACL_PRESENT = 0x0010;
        const SACL_DEFAULTED = 0x0020;
        const DACL_TRUSTED = 0x0040;
        const SERVER_SECURITY = 0x0080;
        const DACL_AUTO_INHERIT_REQ = 0x0100;
        const SACL_AUTO_INHERIT_REQ = 0x0200;
        const DACL_AUTO_INHERITED = 0x0400;
        const SACL_AUTO_INHERITED = 0x0800;
        const DACL_PROTECTED = 0x1000;
        const SACL_PROTECTED = 0x2000;
        const RM_CONTROL_VALID = 0x4000;
        const SELF_RELATIVE = 0x8000;
    }

    /// MS-DTYP 2.4.7: the parts of a descriptor that a query or set is about; AdditionalInformation of
    /// QUERY_INFO and SET_INFO when InfoType is SECURITY.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct SecurityInformation: u32 {
        const OWNER = 0x0000_0001;
        const GROUP = 0x0000_0002;
        const DACL = 0x0000_0004;
        const SACL = 0x0000_0008;
        const LABEL = 0x0000_0010;
        const ATTRIBUTE = 0x0000_0020;
        const SCOPE = 0x0000_0040;
        const BACKUP = 0x0001_0000;
        const UNPROTECTED_SACL = 0x1000_0000;
        const UNPROTECTED_DACL = 0x2000_0000;
        const PROTECTED_SACL = 0x4000_0000;
        const PROTECTED_DACL = 0x8000_0000;
        const _ = !0;
    }
}

impl SecurityInformation {
    /// The parts that live in the SACL.
    pub const IN_SACL: SecurityInformation = SecurityInformation::SACL
        .union(SecurityInformation::LABEL)
        .union(SecurityInformation::ATTRIBUTE)
        .union(SecurityInformation::SCOPE);
}

/// A security descriptor. `Control::DACL_PRESENT` with no `dacl` is a null DACL: everything is allowed.
/// The present bits are set for ACLs that are there, whatever `control` says; SELF_RELATIVE always is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SecurityDescriptor {
    pub control: Control,
    pub owner: Option<Sid>,
    pub group: Option<Sid>,
    pub sacl: Option<Acl>,
    pub dacl: Option<Acl>,
}

impl SecurityDescriptor {
    /// Only the parts named. The LABEL, ATTRIBUTE and SCOPE parts live in the SACL: its entries of those types.
    #[must_use]
    pub fn select(self, parts: SecurityInformation) -> SecurityDescriptor {
        let whole = parts.contains(SecurityInformation::BACKUP);
        let in_sacl = |part| whole || parts.contains(part);
        let mut drop = Control::empty();
        if !whole && !parts.intersects(SecurityInformation::IN_SACL) {
            drop |= Control::SACL_PRESENT
                | Control::SACL_DEFAULTED
                | Control::SACL_AUTO_INHERIT_REQ
                | Control::SACL_AUTO_INHERITED
                | Control::SACL_PROTECTED;
        }
        let dacl = whole || parts.contains(SecurityInformation::DACL);
        if !dacl {
            drop |= Control::DACL_PRESENT
                | Control::DACL_DEFAULTED
                | Control::DACL_AUTO_INHERIT_REQ
                | Control::DACL_AUTO_INHERITED
                | Control::DACL_PROTECTED;
        }
        SecurityDescriptor {
            control: self.control - drop,
            owner: self.owner.filter(|_| whole || parts.contains(SecurityInformation::OWNER)),
            group: self.group.filter(|_| whole || parts.contains(SecurityInformation::GROUP)),
            sacl: self.sacl.filter(|_| !drop.contains(Control::SACL_PRESENT)).map(|mut acl| {
                acl.aces.retain(|ace| in_sacl(ace.kind.part_of_sacl()));
                acl
            }),
            dacl: self.dacl.filter(|_| dacl),
        }
    }

    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        let sid = |s: &Option<Sid>| s.as_ref().map_or(0, Sid::size);
        let acl = |a: &Option<Acl>| a.as_ref().map_or(0, Acl::size);
        20 + sid(&self.owner) + sid(&self.group) + acl(&self.sacl) + acl(&self.dacl)
    }

    /// Offsets are counted from where the writer stands.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        self.encode_from(w, at);
    }

    /// Offsets are counted from `base`.
    pub fn encode_from(&self, w: &mut Writer<'_>, base: usize) {
        let at = w.pos();
        let mut control = self.control | Control::SELF_RELATIVE;
        control.set(Control::SACL_PRESENT, self.sacl.is_some() || control.contains(Control::SACL_PRESENT));
        control.set(Control::DACL_PRESENT, self.dacl.is_some() || control.contains(Control::DACL_PRESENT));
        w.u8(1);
        w.u8(0);
        w.u16(control.bits());
        w.zeros(16);
        let offset = |w: &mut Writer<'_>, field: usize| {
            let here = w.pos() - base;
            w.patch_u32(at + field, here as u32);
        };
        if let Some(acl) = &self.sacl {
            offset(w, 12);
            acl.encode(w);
        }
        if let Some(acl) = &self.dacl {
            offset(w, 16);
            acl.encode(w);
        }
        if let Some(sid) = &self.owner {
            offset(w, 4);
            sid.encode(w);
        }
        if let Some(sid) = &self.group {
            offset(w, 8);
            sid.encode(w);
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.encode(&mut Writer::new(&mut out));
        out
    }

    /// `bytes` is the whole descriptor; the parts may stand anywhere in it. Errors are answered with
    /// STATUS_INVALID_SECURITY_DESCR.
    pub fn decode(bytes: &[u8]) -> Result<SecurityDescriptor> {
        SecurityDescriptor::decode_at(bytes, 0)
    }

    /// A descriptor that begins at `at` and counts its offsets from the start of `bytes`.
    pub fn decode_at(bytes: &[u8], at: usize) -> Result<SecurityDescriptor> {
        let mut r = Reader::at(bytes, at);
        if r.u8("SD Revision")? != 1 {
            return Err(DecodeError::new("SD Revision"));
        }
        r.skip(1, "Sbz1")?;
        let control = Control::from_bits_retain(r.u16("Control")?);
        if !control.contains(Control::SELF_RELATIVE) {
            return Err(DecodeError::new("Control"));
        }
        let mut offset = |what| r.u32(what).map(|o| o as usize);
        let [owner, group] = [offset("OffsetOwner")?, offset("OffsetGroup")?];
        let [sacl, dacl] = [offset("OffsetSacl")?, offset("OffsetDacl")?];
        let sid = |at: usize| (at != 0).then(|| Sid::decode(&mut Reader::at(bytes, at))).transpose();
        let acl = |at: usize, present| {
            let there = at != 0 && control.contains(present);
            there.then(|| Acl::decode(&mut Reader::at(bytes, at))).transpose()
        };
        Ok(SecurityDescriptor {
            control,
            owner: sid(owner)?,
            group: sid(group)?,
            sacl: acl(sacl, Control::SACL_PRESENT)?,
            dacl: acl(dacl, Control::DACL_PRESENT)?,
        })
    }
}
