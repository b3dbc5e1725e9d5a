//! IOCTL (MS-SMB2 2.2.31, 2.2.32) and the payloads that SMB2 itself defines.
//!
//! The payloads decode from the input or output buffer alone, not from the message.

mod copy_chunk;
mod network_interface;
mod validate;

use super::codec::{Mark, Reader, Result, Writer};
use crate::types::{FileId, open_enum};

pub use copy_chunk::{
    ResumeKey, SrvCopychunk, SrvCopychunkCopy, SrvCopychunkResponse, SrvRequestResumeKeyResponse,
};
pub use network_interface::{InterfaceCapability, NetworkInterfaceInfo};
pub use validate::{NetworkResiliencyRequest, ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse};

open_enum! {
    /// MS-SMB2 2.2.31 CtlCode; those of file systems are in MS-FSCC 2.3.
    pub struct CtlCode(u32) {
        DFS_GET_REFERRALS = 0x0006_0194,
        DFS_GET_REFERRALS_EX = 0x0006_01B0,
        REQUEST_OPLOCK_LEVEL_1 = 0x0009_0000,
        LOCK_VOLUME = 0x0009_0018,
        UNLOCK_VOLUME = 0x0009_001C,
        DISMOUNT_VOLUME = 0x0009_0020,
        IS_PATHNAME_VALID = 0x0009_002C,
        GET_COMPRESSION = 0x0009_003C,
        SET_COMPRESSION = 0x0009_C040,
        FILESYSTEM_GET_STATISTICS = 0x0009_0060,
        GET_NTFS_VOLUME_DATA = 0x0009_0064,
        GET_RETRIEVAL_POINTERS = 0x0009_0073,
        FIND_FILES_BY_SID = 0x0009_008F,
        SET_OBJECT_ID = 0x0009_0098,
        GET_OBJECT_ID = 0x0009_009C,
        DELETE_OBJECT_ID = 0x0009_00A0,
        SET_REPARSE_POINT = 0x0009_00A4,
        GET_REPARSE_POINT = 0x0009_00A8,
        DELETE_REPARSE_POINT = 0x0009_00AC,
        SET_OBJECT_ID_EXTENDED = 0x0009_00BC,
        CREATE_OR_GET_OBJECT_ID = 0x0009_00C0,
        SET_SPARSE = 0x0009_00C4,
        READ_FILE_USN_DATA = 0x0009_00EB,
        WRITE_USN_CLOSE_RECORD = 0x0009_00EF,
        QUERY_ALLOCATED_RANGES = 0x0009_40CF,
        SET_ZERO_DATA = 0x0009_80C8,
        QUERY_FILE_REGIONS = 0x0009_0284,
        QUERY_SPARING_INFO = 0x0009_0138,
        QUERY_ON_DISK_VOLUME_INFO = 0x0009_013C,
        SET_ZERO_ON_DEALLOCATION = 0x0009_0194,
        SET_DEFECT_MANAGEMENT = 0x0009_8134,
        FILE_LEVEL_TRIM = 0x0009_8208,
        DUPLICATE_EXTENTS_TO_FILE = 0x0009_8344,
        DUPLICATE_EXTENTS_TO_FILE_EX = 0x0009_83E8,
        REFS_STREAM_SNAPSHOT_MANAGEMENT = 0x0009_0440,
        OFFLOAD_READ = 0x0009_4264,
        OFFLOAD_WRITE = 0x0009_8268,
        GET_INTEGRITY_INFORMATION = 0x0009_027C,
        SET_INTEGRITY_INFORMATION = 0x0009_C280,
        SET_INTEGRITY_INFORMATION_EX = 0x0009_0380,
        QUERY_FILE_LAYOUT = 0x0009_0277,
        PIPE_PEEK = 0x0011_400C,
        PIPE_WAIT = 0x0011_0018,
        PIPE_TRANSCEIVE = 0x0011_C017,
        SRV_COPYCHUNK = 0x0014_40F2,
        SRV_COPYCHUNK_WRITE = 0x0014_80F2,
        SRV_ENUMERATE_SNAPSHOTS = 0x0014_4064,
        SRV_REQUEST_RESUME_KEY = 0x0014_0078,
        SRV_READ_HASH = 0x0014_41BB,
        LMR_SET_LINK_TRACKING_INFORMATION = 0x0014_00EC,
        LMR_REQUEST_RESILIENCY = 0x0014_01D4,
        QUERY_NETWORK_INTERFACE_INFO = 0x0014_01FC,
        VALIDATE_NEGOTIATE_INFO = 0x0014_0204,
    }
}

bitflags::bitflags! {
    /// MS-SMB2 2.2.31 Flags.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct IoctlFlags: u32 {
        /// 0_IOCTL_IS_FSCTL. Without it the request is not supported.
        const IS_FSCTL = 1;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.31. OutputOffset and OutputCount, which mean nothing in a request, are not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IoctlRequest<'a> {
    pub ctl_code: CtlCode,
    /// All ones where the control code takes no file.
    pub file_id: FileId,
    pub max_input_response: u32,
    pub max_output_response: u32,
    pub flags: IoctlFlags,
    pub input: &'a [u8],
}

impl<'a> IoctlRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "IOCTL request";
        let mut f = r.body::<56>(57, WHAT)?;
        f.skip(2, WHAT)?;
        let (ctl_code, file_id) = (CtlCode(f.u32(WHAT)?), f.file_id(WHAT)?);
        let input = r.buffer_at(f.u32(WHAT)?, f.u32(WHAT)?, "IOCTL input")?;
        let max_input_response = f.u32(WHAT)?;
        f.skip(8, WHAT)?;
        Ok(IoctlRequest {
            ctl_code,
            file_id,
            max_input_response,
            max_output_response: f.u32(WHAT)?,
            flags: IoctlFlags::from_bits_retain(f.u32(WHAT)?),
            input,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        let buffer = (at + 56) as u32;
        w.u16(57);
        w.u16(0);
        w.u32(self.ctl_code.0);
        w.file_id(self.file_id);
        w.u32(if self.input.is_empty() { 0 } else { buffer });
        w.u32(self.input.len() as u32);
        w.u32(self.max_input_response);
        w.u64(0);
        w.u32(self.max_output_response);
        w.u32(self.flags.bits());
        w.u32(0);
        w.bytes(self.input);
        // StructureSize counts one byte of the buffer.
        if self.input.is_empty() {
            w.u8(0);
        }
    }
}

/// MS-SMB2 2.2.32. A server returns input for no control code it serves, so that `input` is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IoctlResponse<'a> {
    pub ctl_code: CtlCode,
    pub file_id: FileId,
    pub input: &'a [u8],
    pub output: &'a [u8],
}

/// Bytes of the response's body before the buffer.
const RESPONSE_FIXED: usize = 48;

impl<'a> IoctlResponse<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "IOCTL response";
        let mut f = r.body::<RESPONSE_FIXED>(49, WHAT)?;
        f.skip(2, WHAT)?;
        Ok(IoctlResponse {
            ctl_code: CtlCode(f.u32(WHAT)?),
            file_id: f.file_id(WHAT)?,
            input: r.buffer_at(f.u32(WHAT)?, f.u32(WHAT)?, "IOCTL input")?,
            output: r.buffer_at(f.u32(WHAT)?, f.u32(WHAT)?, "IOCTL output")?,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let body = self.encode_prefix(w);
        w.bytes(self.output);
        IoctlResponse::patch(w, body);
    }

    /// All but the output. What is written next is the output. Returns the mark that `patch` takes.
    pub fn encode_prefix(&self, w: &mut Writer<'_>) -> Mark {
        let mark = w.mark();
        let buffer = mark.pos() + RESPONSE_FIXED;
        w.u16(49);
        w.u16(0);
        w.u32(self.ctl_code.0);
        w.file_id(self.file_id);
        w.u32(buffer as u32);
        w.u32(self.input.len() as u32);
        w.zeros(16);
        w.bytes(self.input);
        w.align(8);
        let output = w.pos();
        w.patch_u32(mark.pos() + 32, output as u32);
        mark
    }

    /// States that the output ends here.
    pub fn patch(w: &mut Writer<'_>, body: Mark) {
        let at = body.pos() + 32;
        let mut field = [0; 4];
        field.copy_from_slice(&w.written()[at..at + 4]);
        let length = w.pos() - u32::from_le_bytes(field) as usize;
        w.patch_u32(at + 4, length as u32);
    }
}
