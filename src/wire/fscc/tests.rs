use super::dir_info::{DirEntries, DirEntry, DirWriter, ShortName, fixed_size};
use super::eas::{EaWriter, FullEa};
use super::file_info::*;
use super::fs_info::*;
use super::fsctl::*;
use super::links::LinkEntry;
use super::notify::{NotifyAction, NotifyWriter};
use super::reparse::{Reparse, ReparseTag};
use super::set_info::*;
use super::streams::{StreamEntry, StreamWriter};
use super::*;
use crate::types::{AccessMask, FileAttributes, FileId, FileTime, Guid, NtStatus};
use crate::wire::codec::{Reader, Writer};
use proptest::prelude::*;

fn written(f: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    f(&mut Writer::new(&mut out));
    out
}

const DIR_CLASSES: [FileInfoClass; 12] = [
    FileInfoClass::DIRECTORY,
    FileInfoClass::FULL_DIRECTORY,
    FileInfoClass::BOTH_DIRECTORY,
    FileInfoClass::NAMES,
    FileInfoClass::ID_BOTH_DIRECTORY,
    FileInfoClass::ID_FULL_DIRECTORY,
    FileInfoClass::ID_EXTD_DIRECTORY,
    FileInfoClass::ID_EXTD_BOTH_DIRECTORY,
    FileInfoClass::ID_64_EXTD_DIRECTORY,
    FileInfoClass::ID_64_EXTD_BOTH_DIRECTORY,
    FileInfoClass::ID_ALL_EXTD_DIRECTORY,
    FileInfoClass::ID_ALL_EXTD_BOTH_DIRECTORY,
];

fn entry(id: u64) -> DirEntry {
    DirEntry {
        file_index: 1,
        creation_time: FileTime(0x0102_0304_0506_0708),
        last_access_time: FileTime(2),
        last_write_time: FileTime(3),
        change_time: FileTime(4),
        end_of_file: 5,
        allocation_size: 4096,
        file_attributes: FileAttributes::ARCHIVE,
        ea_size: 7,
        reparse_point_tag: 0,
        file_id: id,
        file_id_high: 0,
        short_name: ShortName::new("LONGNA~1.TXT").unwrap(),
    }
}

#[test]
fn the_bytes_of_an_id_both_entry() {
    let bytes = written(|w| {
        let mut list = DirWriter::new(w, FileInfoClass::ID_BOTH_DIRECTORY, 1000).unwrap();
        let e = DirEntry { short_name: ShortName::new("A~1").unwrap(), ..entry(0x1122) };
        assert!(list.push(&e, "ä."));
        assert!(list.push(&entry(9), "b"));
    });
    assert_eq!(bytes.len(), 112 + 106);
    assert_eq!(bytes[..16], [112, 0, 0, 0, 1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(bytes[56..76], [0x20, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 6, 0, b'A', 0, b'~', 0, b'1', 0]);
    assert_eq!(bytes[76..96], [0; 20]);
    assert_eq!(bytes[96..112], [0x22, 0x11, 0, 0, 0, 0, 0, 0, 0xE4, 0, b'.', 0, 0, 0, 0, 0]);
    assert_eq!(bytes[112..116], [0; 4]);
}

#[test]
fn every_directory_class_comes_back() {
    for class in DIR_CLASSES {
        let names = ["a", "näme with 😀 in it", "", &"x".repeat(255)];
        let bytes = written(|w| {
            let mut list = DirWriter::new(w, class, 1 << 16).unwrap();
            assert!(list.is_empty());
            for (i, name) in names.iter().enumerate() {
                assert!(list.push(&entry(i as u64), name));
            }
        });
        let got: Vec<_> = DirEntries::new(class, &bytes).map(|e| e.unwrap()).collect();
        assert_eq!(got.iter().map(|e| e.1.as_str()).collect::<Vec<_>>(), names, "{class:?}");
        for (i, (got, _)) in got.iter().enumerate() {
            assert_eq!(got.file_index, 1);
            if class != FileInfoClass::NAMES {
                assert_eq!((got.end_of_file, got.change_time), (5, FileTime(4)));
            }
            if fixed_size(class).unwrap() > 94 || class == FileInfoClass::ID_EXTD_DIRECTORY {
                assert_eq!(got.file_id, i as u64, "{class:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    for class in DIR_CLASSES {
        let one = fixed_size(class).unwrap() + 8;
        let two = one.next_multiple_of(8) + one;
        for (max, count) in [(one - 1, 0), (one, 1), (two - 1, 1), (two, 2)] {
            let bytes = written(|w| {
                w.zeros(3);
                let mut list = DirWriter::new(w, class, max).unwrap();
                assert_eq!(list.push(&entry(1), "näme"), count > 0);
                assert_eq!(list.push(&entry(2), "name"), count > 1);
                assert!(list.len() <= max);
            });
            let entries: Vec<_> = DirEntries::new(class, &bytes[3..]).collect();
            assert_eq!(entries.len(), count, "{class:?} in {max}");
            assert!(entries.iter().all(Result::is_ok));
        }
    }
}

#[test]
fn older_classes_carry_the_tag_in_ea_size() {
    let e = DirEntry {
        file_attributes: FileAttributes::REPARSE_POINT,
        reparse_point_tag: ReparseTag::SYMLINK.0,
        ..entry(1)
    };
    for class in [FileInfoClass::BOTH_DIRECTORY, FileInfoClass::ID_EXTD_DIRECTORY] {
        let bytes = written(|w| assert!(DirWriter::new(w, class, 999).unwrap().push(&e, "l")));
        let (got, _) = DirEntries::new(class, &bytes).next().unwrap().unwrap();
        assert_eq!(got.reparse_point_tag, ReparseTag::SYMLINK.0);
    }
}

#[test]
fn a_short_name_has_12_units_at_most() {
    assert!(ShortName::new("LONGNA~1.TXT").is_some());
    assert!(ShortName::new("LONGNA~12.TXT").is_none());
}

#[test]
fn file_all_is_the_parts_in_order() {
    let all = AllFixed {
        basic: BasicInfo { file_attributes: FileAttributes::NORMAL, ..BasicInfo::default() },
        standard: StandardInfo {
            end_of_file: 9,
            number_of_links: 1,
            directory: true,
            ..StandardInfo::default()
        },
        internal: InternalInfo { index_number: 77 },
        access: AccessInfo { access_flags: AccessMask::FILE_ALL },
        ..AllFixed::default()
    };
    let bytes = written(|w| all.encode_with_name(w, "\\d\\f"));
    assert_eq!(bytes.len(), 100 + 8);
    assert_eq!(bytes[32..36], [0x80, 0, 0, 0]);
    assert_eq!(bytes[48..64], [9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(bytes[64..72], 77u64.to_le_bytes());
    assert_eq!(bytes[76..80], AccessMask::FILE_ALL.bits().to_le_bytes());
    assert_eq!(bytes[96..], [8, 0, 0, 0, b'\\', 0, b'd', 0, b'\\', 0, b'f', 0]);
    assert_eq!(AllFixed::decode_with_name(&mut Reader::new(&bytes)), Ok((all, "\\d\\f".into())));
}

#[test]
fn declared_sizes_are_the_least_buffers() {
    for (class, size) in [
        (FileInfoClass::BASIC, BasicInfo::SIZE),
        (FileInfoClass::STANDARD, StandardInfo::SIZE),
        (FileInfoClass::NETWORK_OPEN, NetworkOpenInfo::SIZE),
        (FileInfoClass::COMPRESSION, CompressionInfo::SIZE),
        (FileInfoClass::ATTRIBUTE_TAG, AttributeTagInfo::SIZE),
        (FileInfoClass::ID, IdInfo::SIZE),
        (FileInfoClass::STAT, StatInfo::SIZE),
        (FileInfoClass::STAT_LX, StatLxInfo::SIZE),
        (FileInfoClass::STAT_BASIC, StatBasicInfo::SIZE),
        (FileInfoClass::PIPE_LOCAL, PipeLocalInfo::SIZE),
    ] {
        let rule = class.query_size().unwrap();
        assert_eq!((rule.min, rule.variable), (size, false), "{class:?}");
    }
    assert_eq!(FileInfoClass::RENAME.query_size(), None);
    assert_eq!(FsInfoClass::LABEL.query_size(), None);
    assert_eq!(FileInfoClass::ALL.set_min(), None);
}

#[test]
fn volume_and_attribute_information() {
    let volume = FsVolumeInfo {
        volume_creation_time: FileTime(1),
        volume_serial_number: 0xAABB_CCDD,
        supports_objects: false,
        volume_label: "me".into(),
    };
    let bytes = written(|w| volume.encode(w));
    assert_eq!(bytes[8..], [0xDD, 0xCC, 0xBB, 0xAA, 4, 0, 0, 0, 0, 0, b'm', 0, b'e', 0]);
    assert_eq!(FsVolumeInfo::decode(&mut Reader::new(&bytes)), Ok(volume));
    let attribute = FsAttributeInfo {
        file_system_attributes: FsAttributes::NAMED_STREAMS,
        maximum_component_name_length: 255,
        file_system_name: "NTFS".into(),
    };
    let bytes = written(|w| attribute.encode(w));
    assert_eq!(bytes.len(), 20);
    assert_eq!(FsAttributeInfo::decode(&mut Reader::new(&bytes)), Ok(attribute));
}

#[test]
fn sets_come_back() {
    let rename = |flags| RenameInfo { flags, root_directory: 0, file_name: "d\\new name".into() };
    for set in [
        SetFileInfo::Basic(BasicInfo { creation_time: FileTime(u64::MAX), ..BasicInfo::default() }),
        SetFileInfo::Rename(rename(RenameFlags::empty())),
        SetFileInfo::Rename(rename(RenameFlags::REPLACE_IF_EXISTS | RenameFlags::POSIX_SEMANTICS)),
        SetFileInfo::Link(rename(RenameFlags::REPLACE_IF_EXISTS)),
        SetFileInfo::Disposition(DispositionFlags::empty()),
        SetFileInfo::Disposition(DispositionFlags::DELETE),
        SetFileInfo::Disposition(DispositionFlags::DELETE | DispositionFlags::POSIX_SEMANTICS),
        SetFileInfo::Position(3),
        SetFileInfo::FullEa(&[1, 2, 3]),
        SetFileInfo::Mode(2),
        SetFileInfo::Allocation(-1),
        SetFileInfo::EndOfFile(1 << 40),
        SetFileInfo::ValidDataLength(0),
        SetFileInfo::ShortName("A~1".into()),
        SetFileInfo::CaseSensitive(CaseSensitiveInfo { flags: 1 }),
        SetFileInfo::Pipe(PipeInfo { read_mode: 1, completion_mode: 0 }),
    ] {
        let mut bytes = Vec::new();
        let class = set.encode(&mut Writer::new(&mut bytes));
        assert_eq!(SetFileInfo::decode(class, &bytes), Ok(set), "{class:?}");
    }
}

#[test]
fn short_sets_are_length_mismatches() {
    let bad = |class, len: usize| SetFileInfo::decode(class, &vec![0; len]).unwrap_err();
    assert_eq!(bad(FileInfoClass::BASIC, 39), NtStatus::INFO_LENGTH_MISMATCH);
    assert_eq!(bad(FileInfoClass::END_OF_FILE, 7), NtStatus::INFO_LENGTH_MISMATCH);
    assert_eq!(bad(FileInfoClass::STANDARD, 100), NtStatus::INVALID_INFO_CLASS);
    let mut rename = vec![0; 24];
    rename[16] = 6;
    assert_eq!(SetFileInfo::decode(FileInfoClass::RENAME, &rename), Err(NtStatus::INVALID_PARAMETER));
}

#[test]
fn the_bytes_of_a_rename() {
    let info = RenameInfo { flags: RenameFlags::REPLACE_IF_EXISTS, root_directory: 0, file_name: "b".into() };
    let bytes = written(|w| info.encode(false, w));
    assert_eq!(bytes, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'b', 0, 0, 0]);
}

#[test]
fn times_with_a_meaning_of_their_own() {
    assert_eq!(TimeChange::of(FileTime(0)), Some(TimeChange::Keep));
    assert_eq!(TimeChange::of(FileTime(u64::MAX)), Some(TimeChange::Freeze));
    assert_eq!(TimeChange::of(FileTime(u64::MAX - 1)), Some(TimeChange::Thaw));
    assert_eq!(TimeChange::of(FileTime(u64::MAX - 2)), None);
    assert_eq!(TimeChange::of(FileTime(5)), Some(TimeChange::Set(FileTime(5))));
}

#[test]
fn notifications() {
    let bytes = written(|w| {
        let mut list = NotifyWriter::new(w, 44);
        assert!(list.push(NotifyAction::RENAMED_OLD_NAME, "old"));
        assert!(list.push(NotifyAction::RENAMED_NEW_NAME, "d\\new"));
        assert!(!list.push(NotifyAction::ADDED, "x"));
    });
    assert_eq!(bytes[..20], [20, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, b'o', 0, b'l', 0, b'd', 0, 0, 0]);
    let got: Vec<_> = notify::decode(&bytes).map(|e| e.unwrap()).collect();
    let expected = [(NotifyAction::RENAMED_OLD_NAME, "old"), (NotifyAction::RENAMED_NEW_NAME, "d\\new")];
    assert_eq!(got, expected.map(|(a, n)| (a, n.to_string())));
}

#[test]
fn stream_lists() {
    let bytes = written(|w| {
        let mut list = StreamWriter::new(w, 90);
        assert!(list.push("::$DATA", 5, 4096));
        assert!(list.push(":a:$DATA", 1, 8));
        assert!(!list.push(":b:$DATA", 1, 8));
    });
    assert_eq!(bytes.len(), 40 + 40);
    let got: Vec<_> = streams::decode(&bytes).map(|e| e.unwrap()).collect();
    let second = StreamEntry { stream_size: 1, stream_allocation_size: 8, stream_name: ":a:$DATA".into() };
    assert_eq!((got.len(), &got[1]), (2, &second));
}

#[test]
fn hard_links() {
    let link = |n: &str| LinkEntry { parent_file_id: 3, file_name: n.into() };
    let names = [link("one"), link("other")];
    let mut all = true;
    let bytes = written(|w| all = links::encode(&names, w, 1000));
    assert!(all);
    assert_eq!(links::decode(&bytes), Ok((bytes.len() as u32, names.to_vec())));
    let short = written(|w| all = links::encode(&names, w, 40));
    assert!(!all && short.len() <= 40);
    assert_eq!(links::decode(&short), Ok((bytes.len() as u32, names[..1].to_vec())));
}

#[test]
fn extended_attributes() {
    let eas = [
        FullEa { flags: 0, name: b"USER.A", value: b"1" },
        FullEa { flags: FullEa::NEED_EA, name: b"B", value: b"" },
    ];
    let bytes = written(|w| {
        let mut list = EaWriter::new(w, 1000);
        assert!(eas.iter().all(|ea| list.push(*ea)));
        assert!(!list.push(FullEa { flags: 0, name: &[b'x'; 256], value: b"" }));
    });
    assert_eq!(bytes[..16], [16, 0, 0, 0, 0, 6, 1, 0, b'U', b'S', b'E', b'R', b'.', b'A', 0, b'1']);
    let got: Result<Vec<_>, _> = eas::decode(&bytes).collect();
    assert_eq!(got.unwrap(), eas);
    let names = written(|w| eas::encode_names(&[b"USER.A", b"B"], w));
    let got: Result<Vec<_>, _> = eas::decode_names(&names).collect();
    assert_eq!(got.unwrap(), [b"USER.A".as_slice(), b"B"]);
    // No NUL behind the name.
    let mut bad = bytes;
    bad[14] = 1;
    assert!(eas::decode(&bad).next().unwrap().is_err());
}

#[test]
fn reparse_buffers() {
    for data in [
        Reparse::Symlink { substitute_name: "..\\t".into(), print_name: "t".into(), relative: true },
        Reparse::MountPoint { substitute_name: "\\??\\C:\\x".into(), print_name: "C:\\x".into() },
        Reparse::LxSymlink { target: b"../t" },
        Reparse::Other { tag: ReparseTag::LX_FIFO, guid: None, data: b"" },
        Reparse::Other { tag: ReparseTag(0x17), guid: Some(Guid([3; 16])), data: b"abc" },
    ] {
        let bytes = written(|w| data.encode(w));
        assert_eq!(Reparse::decode(&bytes), Ok(data));
    }
    assert!(Reparse::decode(&[0x0C, 0, 0, 0xA0, 0, 0, 0, 0, 1]).is_err());
}

#[test]
fn control_payloads() {
    let copy = DuplicateExtents {
        source_file_id: FileId { persistent: 1, volatile: 2 },
        source_file_offset: 3,
        target_file_offset: 4,
        byte_count: 5,
        flags: 1,
    };
    let ex = written(|w| copy.encode(true, w));
    assert_eq!((ex.len(), ex[0]), (56, 0x30));
    assert_eq!(DuplicateExtents::decode(true, &ex), Ok(copy));
    let plain = written(|w| copy.encode(false, w));
    assert_eq!(DuplicateExtents::decode(false, &plain), Ok(DuplicateExtents { flags: 0, ..copy }));

    let ranges = [Range { file_offset: 0, length: 1 }, Range { file_offset: 9, length: 2 }];
    assert_eq!(decode_trim(&written(|w| encode_trim(&ranges, w))), Ok(ranges.to_vec()));
    let mut all = true;
    let bytes = written(|w| all = encode_ranges(&ranges, w, 31));
    assert_eq!((all, decode_ranges(&bytes)), (false, Ok(ranges[..1].to_vec())));
    let regions = [FileRegion { file_offset: 1, length: 2, usage: 1 }];
    let bytes = written(|w| all = encode_regions(&regions, w, 40));
    assert_eq!((all, decode_regions(&bytes)), (true, Ok(regions.to_vec())));
    assert!(decode_set_sparse(&[]) && decode_set_sparse(&[1]) && !decode_set_sparse(&[0]));
    let wait = PipeWait { timeout: Some(-1), name: "srvsvc".into() };
    assert_eq!(PipeWait::decode(&written(|w| wait.encode(w))), Ok(wait));
}

#[test]
fn chains_that_point_nowhere_end() {
    for next in [1u32, 3, 100, u32::MAX] {
        let mut bytes = vec![0; 64];
        bytes[..4].copy_from_slice(&next.to_le_bytes());
        assert!(notify::decode(&bytes).any(|e| e.is_err()));
        assert!(DirEntries::new(FileInfoClass::NAMES, &bytes).any(|e| e.is_err()));
    }
}

fn decode_all(bytes: &[u8]) {
    for class in 0..=u8::MAX {
        let _ = SetFileInfo::decode(FileInfoClass(class), bytes);
        let _ = SetFsInfo::decode(FsInfoClass(class), bytes);
        if fixed_size(FileInfoClass(class)).is_some() {
            DirEntries::new(FileInfoClass(class), bytes).for_each(drop);
        }
    }
    notify::decode(bytes).for_each(drop);
    streams::decode(bytes).for_each(drop);
    eas::decode(bytes).for_each(drop);
    eas::decode_names(bytes).for_each(drop);
    let _ = links::decode(bytes);
    let _ = Reparse::decode(bytes);
    let _ = decode_ranges(bytes);
    let _ = decode_regions(bytes);
    let _ = decode_trim(bytes);
    let _ = DuplicateExtents::decode(true, bytes);
    let _ = DuplicateExtents::decode(false, bytes);
    let _ = PipeWait::decode(bytes);
    let _ = AllFixed::decode_with_name(&mut Reader::new(bytes));
    let _ = FsVolumeInfo::decode(&mut Reader::new(bytes));
    let _ = FsAttributeInfo::decode(&mut Reader::new(bytes));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(prop_oneof![3 => 0u8..32, 1 => any::<u8>()], 0..300),
    ) {
        decode_all(&bytes);
    }

    #[test]
    fn names_survive_any_class(class in 0..DIR_CLASSES.len(), names in prop::collection::vec(".{0,40}", 1..9)) {
        let class = DIR_CLASSES[class];
        let bytes = written(|w| {
            let mut list = DirWriter::new(w, class, usize::MAX).unwrap();
            assert!(names.iter().all(|n| list.push(&entry(1), n)));
        });
        let got: Vec<_> = DirEntries::new(class, &bytes).map(|e| e.unwrap().1).collect();
        prop_assert_eq!(got, names);
    }
}
