//! File system information (MS-FSCC 2.5).

use super::layout::layout;
use crate::types::{FileTime, Guid};
use crate::wire::codec::{Reader, Result, Writer};

layout! {
    /// 2.5.8.
    pub struct FsSizeInfo[24] {
        total_allocation_units: u64,
        available_allocation_units: u64,
        sectors_per_allocation_unit: u32,
        bytes_per_sector: u32,
    }

    /// 2.5.4.
    pub struct FsFullSizeInfo[32] {
        total_allocation_units: u64,
        /// What this caller may still use.
        caller_available_allocation_units: u64,
        actual_available_allocation_units: u64,
        sectors_per_allocation_unit: u32,
        bytes_per_sector: u32,
    }

    /// 2.5.10. See [`device`].
    pub struct FsDeviceInfo[8] {
        device_type: u32,
        characteristics: u32,
    }

    /// 2.5.2.
    pub struct FsControlInfo[48] {
        free_space_start_filtering: u64,
        free_space_threshold: u64,
        free_space_stop_filtering: u64,
        default_quota_threshold: u64,
        default_quota_limit: u64,
        file_system_control_flags: u32,
    }

    /// 2.5.6.
    pub struct FsObjectIdInfo[64] {
        object_id: Guid,
        extended_info: [Guid; 3],
    }

    /// 2.5.7.
    pub struct FsSectorSizeInfo[28] {
        logical_bytes_per_sector: u32,
        physical_bytes_per_sector_for_atomicity: u32,
        physical_bytes_per_sector_for_performance: u32,
        effective_physical_bytes_per_sector_for_atomicity: u32,
        flags: u32,
        byte_offset_for_sector_alignment: u32,
        byte_offset_for_partition_alignment: u32,
    }

    /// SMB 3.1.1 POSIX extensions: statvfs.
    pub struct FsPosixInfo[56] {
        optimal_transfer_size: u32,
        block_size: u32,
        total_blocks: u64,
        blocks_available: u64,
        user_blocks_available: u64,
        total_file_nodes: u64,
        free_file_nodes: u64,
        file_system_identifier: u64,
    }
}

/// DeviceType and Characteristics of [`FsDeviceInfo`].
pub mod device {
    pub const TYPE_DISK: u32 = 7;
    pub const TYPE_NAMED_PIPE: u32 = 0x11;
    pub const IS_READ_ONLY: u32 = 0x02;
    pub const IS_REMOTE: u32 = 0x10;
    pub const IS_MOUNTED: u32 = 0x20;
}

/// Flags of [`FsSectorSizeInfo`].
pub mod sector_flags {
    pub const ALIGNED_DEVICE: u32 = 1;
    pub const PARTITION_ALIGNED_ON_DEVICE: u32 = 2;
    pub const NO_SEEK_PENALTY: u32 = 4;
    pub const TRIM_ENABLED: u32 = 8;
}

bitflags::bitflags! {
    /// MS-FSCC 2.5.1 FileSystemAttributes.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct FsAttributes: u32 {
        const CASE_SENSITIVE_SEARCH = 0x0000_0001;
        const CASE_PRESERVED_NAMES = 0x0000_0002;
        const UNICODE_ON_DISK = 0x0000_0004;
        const PERSISTENT_ACLS = 0x0000_0008;
        const FILE_COMPRESSION = 0x0000_0010;
        const VOLUME_QUOTAS = 0x0000_0020;
        const SUPPORTS_SPARSE_FILES = 0x0000_0040;
        const SUPPORTS_REPARSE_POINTS = 0x0000_0080;
        const SUPPORTS_REMOTE_STORAGE = 0x0000_0100;
        const VOLUME_IS_COMPRESSED = 0x0000_8000;
        const SUPPORTS_OBJECT_IDS = 0x0001_0000;
        const SUPPORTS_ENCRYPTION = 0x0002_0000;
        const NAMED_STREAMS = 0x0004_0000;
        const READ_ONLY_VOLUME = 0x0008_0000;
        const SEQUENTIAL_WRITE_ONCE = 0x0010_0000;
        const SUPPORTS_TRANSACTIONS = 0x0020_0000;
        const SUPPORTS_HARD_LINKS = 0x0040_0000;
        const SUPPORTS_EXTENDED_ATTRIBUTES = 0x0080_0000;
        const SUPPORTS_OPEN_BY_FILE_ID = 0x0100_0000;
        const SUPPORTS_USN_JOURNAL = 0x0200_0000;
        const SUPPORTS_INTEGRITY_STREAMS = 0x0400_0000;
        const SUPPORTS_BLOCK_REFCOUNTING = 0x0800_0000;
        const SUPPORTS_SPARSE_VDL = 0x1000_0000;
        const SUPPORTS_POSIX_UNLINK_RENAME = 0x4000_0000;
        const _ = !0;
    }
}

/// 2.5.9 FileFsVolumeInformation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FsVolumeInfo {
    pub volume_creation_time: FileTime,
    pub volume_serial_number: u32,
    pub supports_objects: bool,
    pub volume_label: String,
}

impl FsVolumeInfo {
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.volume_creation_time.0);
        w.u32(self.volume_serial_number);
        let at = w.pos();
        w.u32(0);
        w.u8(u8::from(self.supports_objects));
        w.u8(0);
        w.utf16(&self.volume_label);
        let len = w.pos() - at - 6;
        w.patch_u32(at, len as u32);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<FsVolumeInfo> {
        let volume_creation_time = FileTime(r.u64("VolumeCreationTime")?);
        let volume_serial_number = r.u32("VolumeSerialNumber")?;
        let len = r.u32("VolumeLabelLength")? as usize;
        let supports_objects = r.u8("SupportsObjects")? != 0;
        r.skip(1, "Reserved")?;
        let volume_label = r.utf16(len, "VolumeLabel")?;
        Ok(FsVolumeInfo { volume_creation_time, volume_serial_number, supports_objects, volume_label })
    }
}

/// 2.5.1 FileFsAttributeInformation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FsAttributeInfo {
    pub file_system_attributes: FsAttributes,
    /// Characters, not bytes.
    pub maximum_component_name_length: u32,
    pub file_system_name: String,
}

impl FsAttributeInfo {
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.file_system_attributes.bits());
        w.u32(self.maximum_component_name_length);
        super::encode_name(w, &self.file_system_name);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<FsAttributeInfo> {
        Ok(FsAttributeInfo {
            file_system_attributes: FsAttributes::from_bits_retain(r.u32("FileSystemAttributes")?),
            maximum_component_name_length: r.u32("MaximumComponentNameLength")?,
            file_system_name: super::decode_name(r)?,
        })
    }
}
