//! CREATE (MS-SMB2 2.2.13, 2.2.14).

use super::codec::{Reader, Result, Writer};
use super::create_context::{self, CreateContexts};
use super::fscc::file_info::FileStatus;
use crate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileAttributes, FileId, OplockLevel, ShareAccess, open_enum,
};

open_enum! {
    /// MS-SMB2 2.2.13 ImpersonationLevel.
    pub struct ImpersonationLevel(u32) {
        ANONYMOUS = 0,
        IDENTIFICATION = 1,
        IMPERSONATION = 2,
        DELEGATE = 3,
    }
}

open_enum! {
    /// MS-SMB2 2.2.14 CreateAction.
    pub struct CreateAction(u32) {
        SUPERSEDED = 0,
        OPENED = 1,
        CREATED = 2,
        OVERWRITTEN = 3,
    }
}

bitflags::bitflags! {
    /// MS-SMB2 2.2.14 Flags (SMB 3.x).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct CreateResponseFlags: u8 {
        const REPARSEPOINT = 1;
        const _ = !0;
    }
}

/// What [`super::codec::DecodeError::what`] says when the name is not UTF-16 (an unpaired surrogate, an odd length).
pub const NAME: &str = "CREATE name";

/// MS-SMB2 2.2.13.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CreateRequest<'a> {
    pub requested_oplock_level: OplockLevel,
    pub impersonation_level: ImpersonationLevel,
    pub desired_access: AccessMask,
    pub file_attributes: FileAttributes,
    pub share_access: ShareAccess,
    pub create_disposition: CreateDisposition,
    pub create_options: CreateOptions,
    /// As it came: separators are backslashes, and a leading one is for the command to refuse.
    pub name: String,
    pub create_contexts: CreateContexts<'a>,
}

impl<'a> CreateRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "CREATE request";
        let mut f = r.body::<56>(57, WHAT)?;
        f.skip(1, WHAT)?;
        let requested_oplock_level = OplockLevel(f.u8(WHAT)?);
        let impersonation_level = ImpersonationLevel(f.u32(WHAT)?);
        f.skip(16, WHAT)?;
        let desired_access = AccessMask::from_bits_retain(f.u32(WHAT)?);
        let file_attributes = FileAttributes::from_bits_retain(f.u32(WHAT)?);
        let share_access = ShareAccess::from_bits_retain(f.u32(WHAT)?);
        let create_disposition = CreateDisposition(f.u32(WHAT)?);
        let create_options = CreateOptions::from_bits_retain(f.u32(WHAT)?);
        let name = r.text_at(f.u16(WHAT)?, f.u16(WHAT)?, NAME)?;
        let contexts = r.buffer_at(f.u32(WHAT)?, f.u32(WHAT)?, "create context list")?;
        Ok(CreateRequest {
            requested_oplock_level,
            impersonation_level,
            desired_access,
            file_attributes,
            share_access,
            create_disposition,
            create_options,
            name,
            create_contexts: create_context::decode_list(contexts)?,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(57);
        w.u8(0);
        w.u8(self.requested_oplock_level.0);
        w.u32(self.impersonation_level.0);
        w.zeros(16);
        w.u32(self.desired_access.bits());
        w.u32(self.file_attributes.bits());
        w.u32(self.share_access.bits());
        w.u32(self.create_disposition.0);
        w.u32(self.create_options.bits());
        w.u16((at + 56) as u16);
        w.u16(0);
        w.u64(0);
        w.utf16(&self.name);
        let name_length = w.pos() - (at + 56);
        w.patch_u16(at + 46, name_length as u16);
        encode_contexts(w, at + 48, &self.create_contexts);
        // StructureSize counts one byte of the buffer.
        if w.pos() == at + 56 {
            w.u8(0);
        }
    }
}

/// MS-SMB2 2.2.14.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CreateResponse<'a> {
    pub oplock_level: OplockLevel,
    pub flags: CreateResponseFlags,
    pub create_action: CreateAction,
    pub status: FileStatus,
    pub file_id: FileId,
    pub create_contexts: CreateContexts<'a>,
}

impl<'a> CreateResponse<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "CREATE response";
        let mut f = r.body::<88>(89, WHAT)?;
        let mut out = CreateResponse {
            oplock_level: OplockLevel(f.u8(WHAT)?),
            flags: CreateResponseFlags::from_bits_retain(f.u8(WHAT)?),
            create_action: CreateAction(f.u32(WHAT)?),
            status: FileStatus::decode(&mut f)?,
            ..CreateResponse::default()
        };
        f.skip(4, WHAT)?;
        out.file_id = f.file_id(WHAT)?;
        let contexts = r.buffer_at(f.u32(WHAT)?, f.u32(WHAT)?, "create context list")?;
        out.create_contexts = create_context::decode_list(contexts)?;
        Ok(out)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(89);
        w.u8(self.oplock_level.0);
        w.u8(self.flags.bits());
        w.u32(self.create_action.0);
        self.status.encode(w);
        w.u32(0);
        w.file_id(self.file_id);
        w.u64(0);
        encode_contexts(w, at + 80, &self.create_contexts);
    }
}

/// Writes the list and, at `fields`, CreateContextsOffset and CreateContextsLength. An empty list is
/// nothing at offset zero.
fn encode_contexts(w: &mut Writer<'_>, fields: usize, contexts: &CreateContexts<'_>) {
    if contexts.is_empty() {
        return;
    }
    w.align(8);
    let start = w.pos();
    create_context::encode_list(w, contexts);
    let length = w.pos() - start;
    w.patch_u32(fields, start as u32);
    w.patch_u32(fields + 4, length as u32);
}
