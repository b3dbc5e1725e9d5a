//! The file classes of QUERY_INFO (MS-FSA 2.1.5.12, MS-FSCC 2.4).

use super::{Out, Subject, ea, file_id, file_id_128, reparse_tag};
use crate::cmd::{Ctx, Handled, times};
use crate::posix::{Kind, Stat, stream_allocation};
use crate::session::{FileOpen, Open};
use crate::types::{AccessMask, Dialect, NtStatus};
use crate::wire::fscc::file_info::{
    AccessInfo, AlignmentInfo, AllFixed, AttributeTagInfo, BasicInfo, CaseSensitiveInfo, CompressionInfo,
    EaInfo, IdInfo, InternalInfo, ModeInfo, NetworkOpenInfo, PositionInfo, StandardInfo, StandardLinkInfo,
    StatBasicInfo, StatInfo, StatLxInfo, lx_flags,
};
use crate::wire::fscc::fs_info::device;
use crate::wire::fscc::streams::StreamWriter;
use crate::wire::fscc::{FileInfoClass, encode_name};
use crate::wire::query_info::QueryInfoRequest;
use std::sync::atomic::Ordering;

pub fn query(
    ctx: &Ctx<'_>,
    open: &Open,
    file: &FileOpen,
    request: &QueryInfoRequest<'_>,
    out: Out<'_>,
) -> Handled {
    let class = FileInfoClass(request.file_info_class);
    if !file.access.contains(needed(class)) {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let subject = Subject::new(open, file)?;
    let s = &subject;
    match class {
        FileInfoClass::BASIC => {
            let info = basic(&s.stat()?);
            out.put(|w| info.encode(w))
        }
        FileInfoClass::STANDARD => {
            let info = s.standard(&s.stat()?);
            out.put(|w| info.encode(w))
        }
        FileInfoClass::INTERNAL => out.put(|w| s.internal().encode(w)),
        FileInfoClass::EA => {
            let info = EaInfo { ea_size: ea::size(s)? };
            out.put(|w| info.encode(w))
        }
        FileInfoClass::ACCESS => out.put(|w| AccessInfo { access_flags: file.access }.encode(w)),
        FileInfoClass::POSITION => out.put(|w| s.position().encode(w)),
        FileInfoClass::MODE => out.put(|w| s.mode().encode(w)),
        FileInfoClass::ALIGNMENT => out.put(|w| AlignmentInfo::default().encode(w)),
        FileInfoClass::ALL => {
            let stat = s.stat()?;
            let all = AllFixed {
                basic: basic(&stat),
                standard: s.standard(&stat),
                internal: s.internal(),
                ea: EaInfo { ea_size: ea::size(s)? },
                access: AccessInfo { access_flags: file.access },
                position: s.position(),
                mode: s.mode(),
                alignment: AlignmentInfo::default(),
            };
            out.put(|w| all.encode_with_name(w, &s.rooted_path()))
        }
        FileInfoClass::NAME => out.put(|w| encode_name(w, &s.rooted_path())),
        FileInfoClass::NORMALIZED_NAME => {
            // MS-SMB2 3.3.5.20.1.
            if ctx.conn.dialect() != Some(Dialect::SMB3_11) {
                return Err(NtStatus::NOT_SUPPORTED.into());
            }
            out.put(|w| encode_name(w, &s.smb_path()))
        }
        FileInfoClass::ALTERNATE_NAME => {
            let path = s.smb_path_of_file();
            let name = path.rsplit('\\').next().unwrap_or_default();
            let short = s.export.short_name(name).filter(|_| !name.is_empty());
            out.put(|w| encode_name(w, short.as_deref().unwrap_or_default()))
        }
        FileInfoClass::STREAM => {
            let file = s.export.stat_file(&file.object)?;
            let named = match s.disk.settings.streams {
                true => s.export.streams(&s.file.object)?,
                false => Vec::new(),
            };
            out.put_list(|w, max| {
                let mut list = StreamWriter::new(w, max);
                (file.kind == Kind::Directory || list.push("::$DATA", file.size, file.allocation))
                    && named.iter().all(|stream| {
                        let name = format!(":{}:$DATA", stream.name);
                        list.push(&name, stream.size, stream_allocation(stream.size))
                    })
            })
        }
        FileInfoClass::COMPRESSION => {
            let info = CompressionInfo { compressed_file_size: s.stat()?.size, ..Default::default() };
            out.put(|w| info.encode(w))
        }
        FileInfoClass::NETWORK_OPEN => {
            let info = network_open(&s.stat()?);
            out.put(|w| info.encode(w))
        }
        FileInfoClass::ATTRIBUTE_TAG => {
            let stat = s.stat()?;
            let info =
                AttributeTagInfo { file_attributes: stat.attributes, reparse_tag: reparse_tag(&stat).0 };
            out.put(|w| info.encode(w))
        }
        FileInfoClass::STANDARD_LINK => {
            let stat = s.stat()?;
            let standard = s.standard(&stat);
            let info = StandardLinkInfo {
                number_of_accessible_links: standard.number_of_links,
                total_number_of_links: links(&stat),
                delete_pending: standard.delete_pending,
                directory: standard.directory,
            };
            out.put(|w| info.encode(w))
        }
        FileInfoClass::ID => {
            let facts = s.export.facts();
            let info = IdInfo {
                volume_serial_number: facts.serial.into(),
                file_id: file_id_128(facts.device, file.key),
            };
            out.put(|w| info.encode(w))
        }
        FileInfoClass::STAT => {
            let info = s.stat_info(&s.stat()?);
            out.put(|w| info.encode(w))
        }
        FileInfoClass::STAT_LX => {
            let stat = s.stat()?;
            let info = StatLxInfo {
                stat: s.stat_info(&stat),
                lx_flags: lx_flags::METADATA_UID | lx_flags::METADATA_GID | lx_flags::METADATA_MODE,
                lx_uid: stat.uid,
                lx_gid: stat.gid,
                lx_mode: stat.mode,
                ..Default::default()
            };
            out.put(|w| info.encode(w))
        }
        FileInfoClass::STAT_BASIC => {
            let info = s.stat_basic(&s.stat()?);
            out.put(|w| info.encode(w))
        }
        FileInfoClass::CASE_SENSITIVE => out.put(|w| CaseSensitiveInfo::default().encode(w)),
        FileInfoClass::FULL_EA => ea::query(s, request, out),
        FileInfoClass::PIPE | FileInfoClass::PIPE_LOCAL | FileInfoClass::PIPE_REMOTE => {
            Err(NtStatus::INVALID_DEVICE_REQUEST.into())
        }
        _ => Err(NtStatus::NOT_SUPPORTED.into()),
    }
}

/// MS-SMB2 3.3.5.20.1: what the open must have been granted. The other classes are answered to every open.
fn needed(class: FileInfoClass) -> AccessMask {
    match class {
        FileInfoClass::BASIC
        | FileInfoClass::ALL
        | FileInfoClass::NETWORK_OPEN
        | FileInfoClass::ATTRIBUTE_TAG
        | FileInfoClass::STAT
        | FileInfoClass::STAT_LX
        | FileInfoClass::STAT_BASIC => AccessMask::READ_ATTRIBUTES,
        FileInfoClass::FULL_EA => AccessMask::READ_EA,
        _ => AccessMask::empty(),
    }
}

fn basic(stat: &Stat) -> BasicInfo {
    BasicInfo {
        creation_time: stat.created,
        last_access_time: stat.accessed,
        last_write_time: stat.written,
        change_time: stat.changed,
        file_attributes: stat.attributes,
    }
}

fn network_open(stat: &Stat) -> NetworkOpenInfo {
    NetworkOpenInfo { status: times::status(stat) }
}

/// A directory has one name (what Unix counts are its subdirectories).
fn links(stat: &Stat) -> u32 {
    if stat.kind == Kind::Directory { 1 } else { stat.nlink }
}

impl Subject<'_> {
    fn standard(&self, stat: &Stat) -> StandardInfo {
        let delete_pending = self.disk.area.rules.lock().is_delete_pending(self.open.open_id());
        StandardInfo {
            allocation_size: stat.allocation,
            end_of_file: stat.size,
            number_of_links: links(stat).saturating_sub(delete_pending.into()),
            delete_pending,
            directory: self.file.directory,
        }
    }

    fn internal(&self) -> InternalInfo {
        InternalInfo { index_number: file_id(self.export.facts().device, self.file.key) }
    }

    fn position(&self) -> PositionInfo {
        PositionInfo { current_byte_offset: self.file.position.load(Ordering::Relaxed) as i64 }
    }

    fn mode(&self) -> ModeInfo {
        let deletes = self.disk.area.rules.lock().deletes_on_close(self.open.open_id());
        ModeInfo { mode: super::basic::mode(self.file, deletes) }
    }

    fn rooted_path(&self) -> String {
        format!("\\{}", self.smb_path())
    }

    fn stat_info(&self, stat: &Stat) -> StatInfo {
        let standard = self.standard(stat);
        StatInfo {
            file_id: self.internal().index_number,
            status: times::status(stat),
            reparse_tag: reparse_tag(stat).0,
            number_of_links: standard.number_of_links,
            effective_access: self.file.access,
        }
    }

    fn stat_basic(&self, stat: &Stat) -> StatBasicInfo {
        let (facts, standard) = (self.export.facts(), self.standard(stat));
        StatBasicInfo {
            file_id: file_id(facts.device, stat.key),
            status: times::status(stat),
            reparse_tag: reparse_tag(stat).0,
            number_of_links: standard.number_of_links,
            device_type: device::TYPE_DISK,
            device_characteristics: device::IS_MOUNTED,
            reserved: 0,
            volume_serial_number: facts.serial.into(),
            file_id_128: file_id_128(facts.device, stat.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_take_the_right_to_read_them_and_sizes_do_not() {
        assert_eq!(needed(FileInfoClass::BASIC), AccessMask::READ_ATTRIBUTES);
        assert_eq!(needed(FileInfoClass::ALL), AccessMask::READ_ATTRIBUTES);
        assert_eq!(needed(FileInfoClass::FULL_EA), AccessMask::READ_EA);
        for open_to_all in [FileInfoClass::STANDARD, FileInfoClass::STREAM, FileInfoClass::EA] {
            assert_eq!(needed(open_to_all), AccessMask::empty());
        }
    }
}
