//! ACE and ACL (MS-DTYP 2.4.4, 2.4.5).

use super::{SecurityInformation, Sid};
use crate::types::{AccessMask, open_enum};
use crate::wire::codec::{DecodeError, Reader, Result, Writer};

open_enum! {
    /// MS-DTYP 2.4.4.1 AceType.
    pub struct AceType(u8) {
        ACCESS_ALLOWED = 0,
        ACCESS_DENIED = 1,
        SYSTEM_AUDIT = 2,
        SYSTEM_ALARM = 3,
        ACCESS_ALLOWED_OBJECT = 5,
        ACCESS_DENIED_OBJECT = 6,
        SYSTEM_AUDIT_OBJECT = 7,
        ACCESS_ALLOWED_CALLBACK = 9,
        ACCESS_DENIED_CALLBACK = 0xA,
        SYSTEM_AUDIT_CALLBACK = 0xD,
        SYSTEM_MANDATORY_LABEL = 0x11,
        SYSTEM_RESOURCE_ATTRIBUTE = 0x12,
        SYSTEM_SCOPED_POLICY_ID = 0x13,
    }
}

bitflags::bitflags! {
    /// MS-DTYP 2.4.4.1 AceFlags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct AceFlags: u8 {
        const OBJECT_INHERIT = 0x01;
        const CONTAINER_INHERIT = 0x02;
        const NO_PROPAGATE_INHERIT = 0x04;
        const INHERIT_ONLY = 0x08;
        const INHERITED = 0x10;
        const SUCCESSFUL_ACCESS = 0x40;
        const FAILED_ACCESS = 0x80;
        const _ = !0;
    }
}

impl AceType {
    /// The types that are a mask, a SID and perhaps application data.
    pub const fn is_simple(self) -> bool {
        matches!(self.0, 0..=3 | 9 | 0xA | 0xD | 0xE | 0x11..=0x13)
    }

    /// The part of a descriptor that an entry of this type in a SACL belongs to.
    pub const fn part_of_sacl(self) -> SecurityInformation {
        match self {
            AceType::SYSTEM_MANDATORY_LABEL => SecurityInformation::LABEL,
            AceType::SYSTEM_RESOURCE_ATTRIBUTE => SecurityInformation::ATTRIBUTE,
            AceType::SYSTEM_SCOPED_POLICY_ID => SecurityInformation::SCOPE,
            _ => SecurityInformation::SACL,
        }
    }
}

/// What stands behind an ACE's header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AceBody {
    /// Types for which [`AceType::is_simple`]. `data`: what follows the SID.
    Simple { mask: AccessMask, sid: Sid, data: Vec<u8> },
    /// Object ACEs and unknown types, as they came.
    Opaque(Vec<u8>),
}

impl AceBody {
    /// Whom it speaks of, where that is known.
    pub fn sid(&self) -> Option<&Sid> {
        match self {
            AceBody::Simple { sid, .. } => Some(sid),
            AceBody::Opaque(_) => None,
        }
    }
}

/// One entry of an ACL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ace {
    pub kind: AceType,
    pub flags: AceFlags,
    pub body: AceBody,
}

impl Ace {
    pub const fn allow(sid: Sid, mask: AccessMask, flags: AceFlags) -> Ace {
        Ace::simple(AceType::ACCESS_ALLOWED, sid, mask, flags)
    }

    pub const fn deny(sid: Sid, mask: AccessMask, flags: AceFlags) -> Ace {
        Ace::simple(AceType::ACCESS_DENIED, sid, mask, flags)
    }

    const fn simple(kind: AceType, sid: Sid, mask: AccessMask, flags: AceFlags) -> Ace {
        Ace { kind, flags, body: AceBody::Simple { mask, sid, data: Vec::new() } }
    }

    /// Bytes on the wire, a multiple of 4.
    pub fn size(&self) -> usize {
        let body = match &self.body {
            AceBody::Simple { sid, data, .. } => 4 + sid.size() + data.len(),
            AceBody::Opaque(bytes) => bytes.len(),
        };
        (4 + body).next_multiple_of(4)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let end = w.pos() + self.size();
        w.u8(self.kind.0);
        w.u8(self.flags.bits());
        w.u16(self.size() as u16);
        match &self.body {
            AceBody::Simple { mask, sid, data } => {
                w.u32(mask.bits());
                sid.encode(w);
                w.bytes(data);
            }
            AceBody::Opaque(bytes) => w.bytes(bytes),
        }
        w.zeros(end - w.pos());
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Ace> {
        let kind = AceType(r.u8("AceType")?);
        let flags = AceFlags::from_bits_retain(r.u8("AceFlags")?);
        let size = usize::from(r.u16("AceSize")?);
        // MS-DTYP 2.4.4.1: a multiple of 4.
        if !size.is_multiple_of(4) {
            return Err(DecodeError::new("AceSize"));
        }
        let body = r.bytes(size.checked_sub(4).ok_or(DecodeError::new("AceSize"))?, "AceSize")?;
        let body = if kind.is_simple() {
            let mut r = Reader::new(body);
            let mask = AccessMask::from_bits_retain(r.u32("Mask")?);
            AceBody::Simple { mask, sid: Sid::decode(&mut r)?, data: r.rest().to_vec() }
        } else {
            AceBody::Opaque(body.to_vec())
        };
        Ok(Ace { kind, flags, body })
    }
}

/// An access control list. Its order is its meaning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acl {
    /// 2; 4 when it holds object ACEs.
    pub revision: u8,
    pub aces: Vec<Ace>,
}

impl Default for Acl {
    fn default() -> Acl {
        Acl { revision: 2, aces: Vec::new() }
    }
}

impl Acl {
    /// Bytes on the wire; no more than 65535 can be said.
    pub fn size(&self) -> usize {
        8 + self.aces.iter().map(Ace::size).sum::<usize>()
    }

    /// An ACL of more than 65535 bytes is cut at the last entry that fits.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u8(self.revision);
        w.u8(0);
        w.zeros(6);
        let mut count = 0u16;
        for ace in &self.aces {
            if w.pos() - at + ace.size() > usize::from(u16::MAX) {
                break;
            }
            ace.encode(w);
            count += 1;
        }
        let size = w.pos() - at;
        w.patch_u16(at + 2, size as u16);
        w.patch_u16(at + 4, count);
    }

    /// AclSize may be more than the entries take, never less.
    pub fn decode(r: &mut Reader<'_>) -> Result<Acl> {
        let head: [u8; 8] = r.array("ACL")?;
        let revision = head[0];
        if !(2..=4).contains(&revision) {
            return Err(DecodeError::new("AclRevision"));
        }
        let size = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let count = u16::from_le_bytes([head[4], head[5]]);
        let mut body =
            Reader::new(r.bytes(size.checked_sub(8).ok_or(DecodeError::new("AclSize"))?, "AclSize")?);
        if usize::from(count) > body.remaining() / 4 {
            return Err(DecodeError::new("AceCount"));
        }
        let aces = (0..count).map(|_| Ace::decode(&mut body)).collect::<Result<_>>()?;
        Ok(Acl { revision, aces })
    }
}
