//! The file system classes of QUERY_INFO (MS-FSA 2.1.5.13, MS-FSCC 2.5).

use super::Out;
use crate::cmd::Handled;
use crate::posix::{Locality, Volume};
use crate::session::Open;
use crate::types::{Guid, NtStatus};
use crate::wire::fscc::FsInfoClass;
use crate::wire::fscc::fs_info::{
    FsAttributeInfo, FsAttributes, FsControlInfo, FsDeviceInfo, FsFullSizeInfo, FsObjectIdInfo,
    FsSectorSizeInfo, FsSizeInfo, FsVolumeInfo, device, sector_flags,
};

pub fn query(open: &Open, class: FsInfoClass, out: Out<'_>) -> Handled {
    let Some(disk) = open.share().disk() else {
        return match class {
            FsInfoClass::DEVICE => out.put(|w| {
                FsDeviceInfo { device_type: device::TYPE_NAMED_PIPE, characteristics: 0 }.encode(w);
            }),
            _ => Err(NtStatus::NOT_SUPPORTED.into()),
        };
    };
    let export = disk.area.export()?;
    let read_only = open.tree.read_only() || export.facts().read_only;
    match class {
        FsInfoClass::VOLUME => {
            let volume = export.volume()?;
            let info = FsVolumeInfo {
                volume_creation_time: volume.created,
                volume_serial_number: volume.serial,
                supports_objects: false,
                volume_label: volume.label,
            };
            out.put(|w| info.encode(w))
        }
        FsInfoClass::SIZE => {
            let info = size(&export.volume()?);
            out.put(|w| info.encode(w))
        }
        FsInfoClass::FULL_SIZE => {
            let info = full_size(&export.volume()?);
            out.put(|w| info.encode(w))
        }
        FsInfoClass::DEVICE => {
            let read_only = if read_only { device::IS_READ_ONLY } else { 0 };
            let info = FsDeviceInfo {
                device_type: device::TYPE_DISK,
                characteristics: device::IS_MOUNTED | read_only,
            };
            out.put(|w| info.encode(w))
        }
        FsInfoClass::ATTRIBUTE => {
            let volume = export.volume()?;
            let mut attributes = FsAttributes::from_bits_retain(volume.flags);
            attributes.set(FsAttributes::READ_ONLY_VOLUME, read_only);
            attributes.set(FsAttributes::NAMED_STREAMS, disk.settings.streams);
            let info = FsAttributeInfo {
                file_system_attributes: attributes,
                maximum_component_name_length: volume.max_name,
                file_system_name: volume.fs_name.into(),
            };
            out.put(|w| info.encode(w))
        }
        // The file system has no limits but those of single users, and holds them to these itself.
        FsInfoClass::CONTROL => out.put(|w| {
            let quotas = export.facts().quotas;
            let info = FsControlInfo {
                file_system_control_flags: if quotas { QUOTA_ENFORCE } else { 0 },
                default_quota_threshold: u64::MAX,
                default_quota_limit: u64::MAX,
                ..FsControlInfo::default()
            };
            info.encode(w);
        }),
        FsInfoClass::OBJECT_ID => {
            let facts = export.facts();
            let info = FsObjectIdInfo {
                object_id: object_id(facts.serial, facts.device),
                ..FsObjectIdInfo::default()
            };
            out.put(|w| info.encode(w))
        }
        FsInfoClass::SECTOR_SIZE => {
            let mut info = sector_size(&export.volume()?);
            if export.facts().locality == Locality::Local {
                info.flags |= sector_flags::TRIM_ENABLED;
            }
            out.put(|w| info.encode(w))
        }
        _ => Err(NtStatus::INVALID_INFO_CLASS.into()),
    }
}

/// FILE_VC_QUOTA_ENFORCE (MS-FSCC 2.5.2).
const QUOTA_ENFORCE: u32 = 2;

fn size(volume: &Volume) -> FsSizeInfo {
    let unit = u64::from(volume.cluster_size);
    FsSizeInfo {
        total_allocation_units: volume.total / unit,
        available_allocation_units: volume.available / unit,
        sectors_per_allocation_unit: volume.cluster_size / volume.sector_size,
        bytes_per_sector: volume.sector_size,
    }
}

fn full_size(volume: &Volume) -> FsFullSizeInfo {
    let size = size(volume);
    FsFullSizeInfo {
        total_allocation_units: size.total_allocation_units,
        caller_available_allocation_units: size.available_allocation_units,
        actual_available_allocation_units: volume.free / u64::from(volume.cluster_size),
        sectors_per_allocation_unit: size.sectors_per_allocation_unit,
        bytes_per_sector: size.bytes_per_sector,
    }
}

fn sector_size(volume: &Volume) -> FsSectorSizeInfo {
    let physical = volume.cluster_size.max(volume.sector_size);
    FsSectorSizeInfo {
        logical_bytes_per_sector: volume.sector_size,
        physical_bytes_per_sector_for_atomicity: physical,
        physical_bytes_per_sector_for_performance: physical,
        effective_physical_bytes_per_sector_for_atomicity: physical,
        flags: sector_flags::ALIGNED_DEVICE | sector_flags::PARTITION_ALIGNED_ON_DEVICE,
        byte_offset_for_sector_alignment: 0,
        byte_offset_for_partition_alignment: 0,
    }
}

/// The same each time for the same volume.
fn object_id(serial: u32, device: u64) -> Guid {
    let mut id = *b"smbg\0\0\0\0\0\0\0\0\0\0\0\0";
    id[4..8].copy_from_slice(&serial.to_le_bytes());
    id[8..].copy_from_slice(&device.to_le_bytes());
    Guid(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::FileTime;

    #[test]
    fn sizes_are_counted_in_clusters() {
        let volume = Volume {
            total: 1 << 40,
            free: 3 << 30,
            available: 2 << 30,
            quotas: false,
            sector_size: 512,
            cluster_size: 4096,
            serial: 1,
            label: String::new(),
            fs_name: "NTFS",
            flags: 0,
            max_name: 255,
            created: FileTime::ZERO,
        };
        let size = full_size(&volume);
        let bytes = |units: u64| units * u64::from(size.sectors_per_allocation_unit * size.bytes_per_sector);
        assert_eq!(bytes(size.total_allocation_units), 1 << 40);
        assert_eq!(bytes(size.caller_available_allocation_units), 2 << 30);
        assert_eq!(bytes(size.actual_available_allocation_units), 3 << 30);
    }
}
