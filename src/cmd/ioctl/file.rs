//! Small facts about one file: sparse, compressed, its object id, its snapshots (MS-FSA 2.1.5.10).

use super::{Done, Output, Target, encoded};
use crate::fsa::change::Facets;
use crate::types::{AccessMask, FileAttributes, Guid, NodeKey, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::fscc::fsctl::{Compression, GetIntegrity, ObjectId, SetIntegrity, decode_set_sparse};

/// COMPRESSION_FORMAT_NONE, _DEFAULT, _LZNT1 (MS-FSCC 2.3.67).
const FORMAT_NONE: u16 = 0;
const FORMAT_LZNT1: u16 = 2;

/// CHECKSUM_TYPE_NONE, _CRC32, _CRC64, _UNCHANGED (MS-FSCC 2.3.73).
const CHECKSUM_NONE: u16 = 0;
const CHECKSUM_CRC32: u16 = 1;
const CHECKSUM_CRC64: u16 = 2;
const CHECKSUM_UNCHANGED: u16 = 0xFFFF;

/// MS-SMB2 3.3.5.15.1: there are none. SRV_SNAPSHOT_ARRAY (2.2.32.2) with an empty list.
pub fn snapshots(target: &Target<'_, '_>) -> Done {
    const EMPTY: usize = 16;
    target.room(EMPTY)?;
    Output::new(vec![0; EMPTY])
}

/// MS-FSA 2.1.5.10.36. Files are sparse here all the time; this is about the attribute.
pub fn set_sparse(target: &mut Target<'_, '_>) -> Done {
    if target.file.directory {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    target.needs(AccessMask::WRITE_DATA | AccessMask::APPEND_DATA | AccessMask::WRITE_ATTRIBUTES)?;
    let export = target.open.tree.disk()?.area.export()?;
    let now = export.stat(&target.file.object)?.attributes;
    let wanted = with_sparse(now, decode_set_sparse(target.request.input));
    if wanted != now {
        export.set_attributes(&target.file.object, wanted)?;
        target.changed(Facets::ATTRIBUTES)?;
    }
    Output::none()
}

/// Never empty: that would mean to leave them as they are.
fn with_sparse(now: FileAttributes, sparse: bool) -> FileAttributes {
    let mut wanted = now & !FileAttributes::NORMAL;
    wanted.set(FileAttributes::SPARSE_FILE, sparse);
    if wanted.is_empty() { FileAttributes::NORMAL } else { wanted }
}

/// MS-FSA 2.1.5.10.8. Whatever the file system compresses with, LZNT1 is its name.
pub fn compression(target: &Target<'_, '_>) -> Done {
    target.room(Compression::SIZE)?;
    let compressed = attributes(target)?.contains(FileAttributes::COMPRESSED);
    let compression_state = if compressed { FORMAT_LZNT1 } else { FORMAT_NONE };
    Output::new(encoded(|w| Compression { compression_state }.encode(w)))
}

fn attributes(target: &Target<'_, '_>) -> Result<FileAttributes, NtStatus> {
    Ok(target.open.tree.disk()?.area.export()?.stat(&target.file.object)?.attributes)
}

/// MS-FSA 2.1.5.10.30. Where the file system cannot, everything stays as it is: not compressed.
pub fn set_compression(target: &mut Target<'_, '_>) -> Done {
    let wanted = Compression::decode(&mut Reader::new(target.request.input))?;
    if wanted.compression_state > FORMAT_LZNT1 {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    target.needs(AccessMask::WRITE_DATA)?;
    let compress = wanted.compression_state != FORMAT_NONE;
    if attributes(target)?.contains(FileAttributes::COMPRESSED) != compress {
        target.writable()?;
        let export = target.open.tree.disk()?.area.export()?;
        export.set_compressed(&target.file.object, compress)?;
        target.changed(Facets::ATTRIBUTES)?;
    }
    Output::none()
}

/// MS-FSA 2.1.5.10.12: no checksums that a client could rely on. As on a volume that has integrity streams turned off.
pub fn integrity(target: &Target<'_, '_>) -> Done {
    target.room(GetIntegrity::SIZE)?;
    let cluster = target.open.tree.disk()?.area.export()?.volume()?.cluster_size;
    let answer = GetIntegrity { cluster_size_in_bytes: cluster, ..GetIntegrity::default() };
    Output::new(encoded(|w| answer.encode(w)))
}

/// MS-FSA 2.1.5.10.33: and stays so.
pub fn set_integrity(target: &Target<'_, '_>) -> Done {
    let wanted = SetIntegrity::decode(&mut Reader::new(target.request.input))?;
    target.needs(AccessMask::WRITE_DATA)?;
    target.writable()?;
    match wanted.checksum_algorithm {
        CHECKSUM_NONE | CHECKSUM_UNCHANGED => Output::none(),
        CHECKSUM_CRC32 | CHECKSUM_CRC64 => Err(NtStatus::NOT_SUPPORTED.into()),
        _ => Err(NtStatus::INVALID_PARAMETER.into()),
    }
}

/// MS-FSA 2.1.5.10.34: for who may restore backups, which nobody may. What a file's id is made of stays.
pub fn set_object_id(target: &Target<'_, '_>) -> Done {
    target.writable()?;
    if target.request.input.len() != ObjectId::SIZE {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    Err(NtStatus::ACCESS_DENIED.into())
}

/// MS-FSA 2.1.5.10.1, 2.1.5.10.9: every file has one, made of its inode and its volume.
pub fn object_id(target: &Target<'_, '_>) -> Done {
    target.room(ObjectId::SIZE)?;
    let facts = target.open.tree.disk()?.area.export()?.facts();
    let id = guid(target.file.key, facts.device, facts.serial);
    let mut volume = Guid::default();
    volume.0[8..12].copy_from_slice(&facts.serial.to_le_bytes());
    let answer =
        ObjectId { object_id: id, birth_volume_id: volume, birth_object_id: id, domain_id: Guid::default() };
    Output::new(encoded(|w| answer.encode(w)))
}

/// Device numbers change from boot to boot, so that of the export's own file system stays out.
fn guid(key: NodeKey, device: u64, serial: u32) -> Guid {
    let mut guid = Guid::default();
    guid.0[..8].copy_from_slice(&key.ino.to_le_bytes());
    guid.0[8..12].copy_from_slice(&serial.to_le_bytes());
    if key.dev != device {
        guid.0[12..].copy_from_slice(&(key.dev as u32).to_le_bytes());
    }
    guid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_comes_and_goes_and_the_rest_stays() {
        let archive = FileAttributes::ARCHIVE;
        let sparse = FileAttributes::SPARSE_FILE;
        assert_eq!(with_sparse(archive, true), archive | sparse);
        assert_eq!(with_sparse(archive | sparse, false), archive);
        assert_eq!(with_sparse(FileAttributes::NORMAL, true), sparse);
        assert_eq!(with_sparse(sparse, false), FileAttributes::NORMAL);
        assert_eq!(with_sparse(FileAttributes::NORMAL, false), FileAttributes::NORMAL);
    }

    #[test]
    fn object_ids_tell_files_and_file_systems_apart() {
        let id = |dev, ino| guid(NodeKey { dev, ino }, 1, 9);
        assert_ne!(id(1, 5), id(1, 6));
        assert_ne!(id(1, 5), id(2, 5));
        assert_eq!(guid(NodeKey { dev: 3, ino: 5 }, 3, 9), id(1, 5));
    }
}
