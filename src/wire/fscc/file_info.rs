//! Fixed file information (MS-FSCC 2.4). Classes that are a name alone are written with
//! [`super::encode_name`]: NAME, NORMALIZED_NAME, ALTERNATE_NAME, SHORT_NAME.

use super::layout::layout;
use crate::types::{AccessMask, FileAttributes, FileTime};
use crate::wire::codec::{Reader, Result, Writer};

layout! {
    /// What several classes have in common, and the answers to CREATE and CLOSE (MS-SMB2 2.2.14, 2.2.16).
    pub struct FileStatus[52] {
        creation_time: FileTime,
        last_access_time: FileTime,
        last_write_time: FileTime,
        change_time: FileTime,
        allocation_size: u64,
        end_of_file: u64,
        file_attributes: FileAttributes,
    }

    /// 2.4.7. For the values with a meaning of their own in a set, see [`super::set_info::TimeChange`].
    pub struct BasicInfo[40] {
        creation_time: FileTime,
        last_access_time: FileTime,
        last_write_time: FileTime,
        change_time: FileTime,
        file_attributes: FileAttributes,
    }

    /// 2.4.47.
    pub struct StandardInfo[24] {
        allocation_size: u64,
        end_of_file: u64,
        number_of_links: u32,
        delete_pending: bool,
        directory: bool,
    }

    /// 2.4.26.
    pub struct InternalInfo[8] {
        index_number: u64,
    }

    /// 2.4.13.
    pub struct EaInfo[4] {
        ea_size: u32,
    }

    /// 2.4.1.
    pub struct AccessInfo[4] {
        access_flags: AccessMask,
    }

    /// 2.4.40.
    pub struct PositionInfo[8] {
        current_byte_offset: i64,
    }

    /// 2.4.31. Bits as in CreateOptions.
    pub struct ModeInfo[4] {
        mode: u32,
    }

    /// 2.4.3. Zero: byte alignment.
    pub struct AlignmentInfo[4] {
        alignment_requirement: u32,
    }

    /// 2.4.2 without the name that follows.
    pub struct AllFixed[96] {
        basic: BasicInfo,
        standard: StandardInfo,
        internal: InternalInfo,
        ea: EaInfo,
        access: AccessInfo,
        position: PositionInfo,
        mode: ModeInfo,
        alignment: AlignmentInfo,
    }

    /// 2.4.34.
    pub struct NetworkOpenInfo[56] {
        status: FileStatus,
    }

    /// 2.4.9. Format 0: none; 2: LZNT1.
    pub struct CompressionInfo[16] {
        compressed_file_size: u64,
        compression_format: u16,
        compression_unit_shift: u8,
        chunk_shift: u8,
        cluster_shift: u8,
    }

    /// 2.4.6. The tag is zero for what is no reparse point.
    pub struct AttributeTagInfo[8] {
        file_attributes: FileAttributes,
        reparse_tag: u32,
    }

    /// 2.4.48.
    pub struct StandardLinkInfo[12] {
        number_of_accessible_links: u32,
        total_number_of_links: u32,
        delete_pending: bool,
        directory: bool,
    }

    /// FILE_ID_INFORMATION (2.4.46).
    pub struct IdInfo[24] {
        volume_serial_number: u64,
        file_id: [u8; 16],
    }

    /// FILE_STAT_INFORMATION (2.4.50).
    pub struct StatInfo[72] {
        file_id: u64,
        status: FileStatus,
        reparse_tag: u32,
        number_of_links: u32,
        effective_access: AccessMask,
    }

    /// FILE_STAT_LX_INFORMATION (2.4.51).
    pub struct StatLxInfo[96] {
        stat: StatInfo,
        lx_flags: u32,
        lx_uid: u32,
        lx_gid: u32,
        lx_mode: u32,
        lx_device_id_major: u32,
        lx_device_id_minor: u32,
    }

    /// FILE_STAT_BASIC_INFORMATION.
    pub struct StatBasicInfo[104] {
        file_id: u64,
        status: FileStatus,
        reparse_tag: u32,
        number_of_links: u32,
        device_type: u32,
        device_characteristics: u32,
        reserved: u32,
        volume_serial_number: u64,
        file_id_128: [u8; 16],
    }

    /// 2.4.8. Flag 1: a case-sensitive directory.
    pub struct CaseSensitiveInfo[4] {
        flags: u32,
    }

    /// 2.4.37. Read mode 0: bytes, 1: messages. Completion mode 0: queue, 1: complete.
    pub struct PipeInfo[8] {
        read_mode: u32,
        completion_mode: u32,
    }

    /// 2.4.38.
    pub struct PipeLocalInfo[40] {
        named_pipe_type: u32,
        named_pipe_configuration: u32,
        maximum_instances: u32,
        current_instances: u32,
        inbound_quota: u32,
        read_data_available: u32,
        outbound_quota: u32,
        write_quota_available: u32,
        named_pipe_state: u32,
        named_pipe_end: u32,
    }

    /// 2.4.39.
    pub struct PipeRemoteInfo[16] {
        collect_data_time: i64,
        maximum_collection_count: u32,
        collection_timeout: u32,
    }
}

/// LxFlags of [`StatLxInfo`].
pub mod lx_flags {
    pub const METADATA_UID: u32 = 1;
    pub const METADATA_GID: u32 = 2;
    pub const METADATA_MODE: u32 = 4;
    pub const METADATA_DEVICE_ID: u32 = 8;
    pub const CASE_SENSITIVE_DIR: u32 = 0x10;
}

impl AllFixed {
    /// FILE_ALL_INFORMATION: the whole of it, for the caller to cut to the buffer.
    pub fn encode_with_name(&self, w: &mut Writer<'_>, name: &str) {
        self.encode(w);
        super::encode_name(w, name);
    }

    pub fn decode_with_name(r: &mut Reader<'_>) -> Result<(AllFixed, String)> {
        Ok((AllFixed::decode(r)?, super::decode_name(r)?))
    }
}
