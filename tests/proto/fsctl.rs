//! File system controls as a client sends them (MS-FSCC 2.3, MS-FSA 2.1.5.10).

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileAttributes, FileId, NtStatus};
use smbgate::wire::codec::{Reader, Writer};
use smbgate::wire::fscc::fsctl::{
    DuplicateExtents, FileRegion, FileRegionInput, GetIntegrity, ObjectId, PipeWait, Range, SetIntegrity,
    decode_ranges, decode_regions, encode_trim,
};
use smbgate::wire::fscc::reparse::{NfsNode, Reparse, ReparseTag};
use smbgate::wire::ioctl::CtlCode;

use crate::client::{Client, create, fsctl};
use crate::common::Server;

fn bytes(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}

fn status(c: &mut Client, code: CtlCode, file: FileId, input: &[u8]) -> NtStatus {
    c.call(&fsctl(code, file, input)).status()
}

/// With room for an answer of so many bytes.
fn with_room(c: &mut Client, code: CtlCode, file: FileId, input: &[u8], room: u32) -> NtStatus {
    let mut request = fsctl(code, file, input);
    request.max_output_response = room;
    c.call(&request).status()
}

fn open(c: &mut Client, name: &str, access: AccessMask, options: CreateOptions) -> Result<FileId, NtStatus> {
    c.create(&create(name, access, CreateDisposition::OPEN, options)).map(|o| o.file_id)
}

/// Opens what stands at the name, not what it leads to.
fn itself(c: &mut Client, name: &str) -> FileId {
    let access = AccessMask::READ_ATTRIBUTES | AccessMask::WRITE_ATTRIBUTES | AccessMask::DELETE;
    open(c, name, access, CreateOptions::OPEN_REPARSE_POINT).unwrap()
}

fn attributes(c: &mut Client, file: FileId) -> (FileAttributes, u32) {
    // FileAttributeTagInformation
    let info = c.query_file(file, 35).unwrap();
    let word = |at: usize| u32::from_le_bytes(info[at..at + 4].try_into().unwrap());
    (FileAttributes::from_bits_retain(word(0)), word(4))
}

/// As the kernel's client makes them: a new file, that is turned into the node and asked about in one go.
fn made(c: &mut Client, name: &str, node: &Reparse<'_>) -> Result<(FileAttributes, u32), NtStatus> {
    let options = CreateOptions::OPEN_REPARSE_POINT | CreateOptions::NON_DIRECTORY_FILE;
    let access = AccessMask::READ_ATTRIBUTES | AccessMask::WRITE_ATTRIBUTES | AccessMask::DELETE;
    let file = c.create(&create(name, access, CreateDisposition::CREATE, options))?.file_id;
    let set = status(c, CtlCode::SET_REPARSE_POINT, file, &bytes(|w| node.encode(w)));
    let answer = if set.is_error() { Err(set) } else { Ok(attributes(c, file)) };
    assert_eq!(c.close(file), NtStatus::SUCCESS);
    answer
}

fn link(target: &str) -> Reparse<'static> {
    Reparse::Symlink { substitute_name: target.into(), print_name: target.into(), relative: true }
}

fn nfs(node: &NfsNode) -> Vec<u8> {
    bytes(|w| node.encode(w))
}

fn with_tag(tag: ReparseTag, data: &[u8]) -> Reparse<'_> {
    Reparse::Other { tag, guid: None, data }
}

#[test]
fn symlinks_are_made_read_and_deleted() {
    let server = Server::plain();
    let mut c = server.client();
    let at = |name: &str| server.path("share").join(name);
    c.make_directory("d").unwrap();
    std::fs::write(at("d").join("t"), "through").unwrap();
    let point = (FileAttributes::REPARSE_POINT, ReparseTag::SYMLINK.0);
    assert_eq!(made(&mut c, "link", &link("d\\t")), Ok(point));
    assert_eq!(std::fs::read_link(at("link")).unwrap().to_str(), Some("d/t"));
    let through = c.open("link").unwrap();
    assert_eq!(c.read(through, 0, 100).unwrap(), b"through");

    let file = itself(&mut c, "link");
    let got = c.ioctl(CtlCode::GET_REPARSE_POINT, file, &[]).unwrap();
    assert_eq!(Reparse::decode(&got).unwrap(), link("d\\t"));
    assert_eq!(with_room(&mut c, CtlCode::GET_REPARSE_POINT, file, &[], 4), NtStatus::BUFFER_TOO_SMALL);
    assert_eq!(with_room(&mut c, CtlCode::GET_REPARSE_POINT, file, &[], 12), NtStatus::BUFFER_OVERFLOW);
    let other = bytes(|w| with_tag(ReparseTag::LX_FIFO, &[]).encode(w));
    assert_eq!(status(&mut c, CtlCode::SET_REPARSE_POINT, file, &other), NtStatus::IO_REPARSE_TAG_MISMATCH);
    let again = bytes(|w| link("d").encode(w));
    assert_eq!(status(&mut c, CtlCode::SET_REPARSE_POINT, file, &again), NtStatus::SUCCESS);
    assert_eq!(std::fs::read_link(at("link")).unwrap().to_str(), Some("d"));

    assert_eq!(
        status(&mut c, CtlCode::DELETE_REPARSE_POINT, file, &other),
        NtStatus::IO_REPARSE_TAG_MISMATCH
    );
    assert_eq!(
        status(&mut c, CtlCode::DELETE_REPARSE_POINT, file, &again),
        NtStatus::IO_REPARSE_DATA_INVALID
    );
    let tag = bytes(|w| with_tag(ReparseTag::SYMLINK, &[]).encode(w));
    assert_eq!(status(&mut c, CtlCode::DELETE_REPARSE_POINT, file, &tag), NtStatus::SUCCESS);
    assert_eq!(attributes(&mut c, file).0, FileAttributes::ARCHIVE);
    assert_eq!(status(&mut c, CtlCode::GET_REPARSE_POINT, file, &[]), NtStatus::NOT_A_REPARSE_POINT);
    assert_eq!(status(&mut c, CtlCode::DELETE_REPARSE_POINT, file, &tag), NtStatus::NOT_A_REPARSE_POINT);
    assert!(std::fs::symlink_metadata(at("link")).unwrap().is_file());
    let names: Vec<_> =
        std::fs::read_dir(server.path("share")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_directory_becomes_a_link_when_it_is_empty() {
    let server = Server::plain();
    let mut c = server.client();
    let d = c.make_directory("d").unwrap();
    std::fs::write(server.path("share").join("d/x"), "").unwrap();
    let set = bytes(|w| link("elsewhere").encode(w));
    assert_eq!(status(&mut c, CtlCode::SET_REPARSE_POINT, d, &set), NtStatus::DIRECTORY_NOT_EMPTY);
    std::fs::remove_file(server.path("share").join("d/x")).unwrap();
    let second = itself(&mut c, "d");
    assert_eq!(status(&mut c, CtlCode::SET_REPARSE_POINT, d, &set), NtStatus::SHARING_VIOLATION);
    c.close(second);
    assert_eq!(status(&mut c, CtlCode::SET_REPARSE_POINT, d, &set), NtStatus::SUCCESS);
    assert!(server.path("share").join("d").is_symlink());
}

#[test]
fn pipes_and_sockets_are_made_and_devices_are_not() {
    let server = Server::plain();
    let mut c = server.client();
    let at = |name: &str| std::fs::symlink_metadata(server.path("share").join(name)).unwrap().file_type();
    let fifo = Ok((FileAttributes::REPARSE_POINT, ReparseTag::LX_FIFO.0));
    let socket = Ok((FileAttributes::REPARSE_POINT, ReparseTag::AF_UNIX.0));
    assert_eq!(made(&mut c, "fifo", &with_tag(ReparseTag::NFS, &nfs(&NfsNode::Fifo))), fifo);
    assert_eq!(made(&mut c, "socket", &with_tag(ReparseTag::NFS, &nfs(&NfsNode::Socket))), socket);
    assert_eq!(made(&mut c, "wsl fifo", &with_tag(ReparseTag::LX_FIFO, &[])), fifo);
    assert_eq!(made(&mut c, "wsl socket", &with_tag(ReparseTag::AF_UNIX, &[])), socket);
    assert!(at("fifo").is_fifo() && at("wsl fifo").is_fifo());
    assert!(at("socket").is_socket() && at("wsl socket").is_socket());
    let target = NfsNode::Symlink { target: "a/b".into() };
    assert!(made(&mut c, "nfs link", &with_tag(ReparseTag::NFS, &nfs(&target))).is_ok());
    assert!(made(&mut c, "wsl link", &Reparse::LxSymlink { target: b"a/b" }).is_ok());
    assert!(at("nfs link").is_symlink() && at("wsl link").is_symlink());

    let device = nfs(&NfsNode::Block { major: 8, minor: 0 });
    assert_eq!(made(&mut c, "sda", &with_tag(ReparseTag::NFS, &device)), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(made(&mut c, "null", &with_tag(ReparseTag::LX_CHR, &[])), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(made(&mut c, "dedup", &with_tag(ReparseTag::DEDUP, b"x")), Err(NtStatus::NOT_SUPPORTED));
    let fifo = itself(&mut c, "fifo");
    let got = c.ioctl(CtlCode::GET_REPARSE_POINT, fifo, &[]).unwrap();
    assert_eq!(Reparse::decode(&got).unwrap(), with_tag(ReparseTag::LX_FIFO, &[]));
    let short = [0x0C, 0, 0, 0xA0, 9, 0, 0, 0];
    assert_eq!(status(&mut c, CtlCode::SET_REPARSE_POINT, fifo, &short), NtStatus::IO_REPARSE_DATA_INVALID);
}

#[test]
fn links_obey_the_policy_of_the_share() {
    let shares = [("inside", ""), ("never", "symlinks = \"never\""), ("outside", "symlinks = \"outside\"")];
    let server = Server::start("signing = \"offered\"", &shares);
    let mut c = Client::ready(
        server.address,
        &crate::client::Offer::default(),
        crate::common::USER,
        crate::common::PASSWORD,
        "inside",
    );
    let mut make = |share: &str, name: &str, target: &str, relative: bool| {
        c.tree_connect(share).unwrap();
        let node = Reparse::Symlink { substitute_name: target.into(), print_name: String::new(), relative };
        made(&mut c, name, &node).map(drop)
    };
    let denied = Err(NtStatus::ACCESS_DENIED);
    assert_eq!(make("inside", "a", "x\\..\\y", true), Ok(()));
    assert_eq!(make("inside", "b", "..\\inside\\a", true), denied);
    assert_eq!(make("inside", "c", "\\etc\\passwd", false), denied);
    assert_eq!(make("never", "a", "x", true), denied);
    assert_eq!(make("outside", "a", "\\etc\\passwd", false), Ok(()));
    assert_eq!(make("outside", "b", "..\\x", true), Ok(()));
    assert_eq!(make("outside", "c", "\\??\\C:\\Windows", false), Err(NtStatus::NOT_SUPPORTED));
}

#[test]
fn reparse_points_take_the_right_to_write_attributes() {
    let server = Server::plain();
    let mut c = server.client();
    c.make("f").unwrap();
    let file = open(&mut c, "f", AccessMask::READ_ATTRIBUTES, CreateOptions::OPEN_REPARSE_POINT).unwrap();
    let set = bytes(|w| link("x").encode(w));
    assert_eq!(status(&mut c, CtlCode::SET_REPARSE_POINT, file, &set), NtStatus::ACCESS_DENIED);
    assert_eq!(status(&mut c, CtlCode::DELETE_REPARSE_POINT, file, &set), NtStatus::ACCESS_DENIED);
}

#[test]
fn extents_are_shared_where_the_file_system_can() {
    let server = Server::plain();
    let mut c = server.client();
    let (from, to) = (c.make("from").unwrap(), c.make("to").unwrap());
    c.write(from, 0, &[7; 8192]).unwrap();
    c.write(to, 0, &[1; 8192]).unwrap();
    let ask = |source: FileId, at: i64, len: i64| DuplicateExtents {
        source_file_id: source,
        source_file_offset: at,
        byte_count: len,
        ..DuplicateExtents::default()
    };
    let mut dup = |ask: DuplicateExtents, ex: bool| {
        let code =
            if ex { CtlCode::DUPLICATE_EXTENTS_TO_FILE_EX } else { CtlCode::DUPLICATE_EXTENTS_TO_FILE };
        status(&mut c, code, to, &bytes(|w| ask.encode(ex, w)))
    };
    assert_eq!(dup(ask(FileId { persistent: 9, volatile: 999 }, 0, 4096), false), NtStatus::INVALID_HANDLE);
    let can = dup(ask(from, 0, 4096), false);
    // SUPPORTS_BLOCK_REFCOUNTING is announced exactly where it works (the torture tests do, on a btrfs image).
    if can == NtStatus::SUCCESS {
        assert_eq!(dup(ask(from, 4096, 4096), true), NtStatus::SUCCESS);
        assert_eq!(dup(ask(from, 1, 4096), false), NtStatus::INVALID_PARAMETER);
        assert_eq!(dup(ask(from, 8192, 4096), false), NtStatus::NOT_SUPPORTED);
    } else {
        assert_eq!(can, NtStatus::INVALID_DEVICE_REQUEST);
        assert_eq!(dup(ask(from, 0, 4096), true), NtStatus::INVALID_DEVICE_REQUEST);
        assert_eq!(c.read(to, 0, 9000).unwrap(), [1; 8192]);
    }
    let short = [0; 20];
    assert_eq!(status(&mut c, CtlCode::DUPLICATE_EXTENTS_TO_FILE, to, &short), NtStatus::INVALID_PARAMETER);
}

#[test]
fn holes_are_punched_found_and_trimmed() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    c.write(file, 0, &[7; 64 << 10]).unwrap();
    assert_eq!(status(&mut c, CtlCode::SET_SPARSE, file, &[]), NtStatus::SUCCESS);
    let zero = |from: i64, to: i64| [from.to_le_bytes(), to.to_le_bytes()].concat();
    assert_eq!(status(&mut c, CtlCode::SET_ZERO_DATA, file, &zero(16384, 32768)), NtStatus::SUCCESS);
    assert_eq!(status(&mut c, CtlCode::SET_ZERO_DATA, file, &zero(-1, 4)), NtStatus::INVALID_PARAMETER);
    let whole = Range { file_offset: 0, length: 1 << 20 };
    let ask = bytes(|w| whole.encode(w));
    let found = decode_ranges(&c.ioctl(CtlCode::QUERY_ALLOCATED_RANGES, file, &ask).unwrap()).unwrap();
    let range = |from: i64, to: i64| Range { file_offset: from, length: to - from };
    assert_eq!(found, [range(0, 16384), range(32768, 65536)]);

    let trim = bytes(|w| encode_trim(&[range(0, 4096), range(40960, 49152)], w));
    assert_eq!(c.ioctl(CtlCode::FILE_LEVEL_TRIM, file, &trim), Ok(vec![2, 0, 0, 0]));
    assert_eq!(c.read(file, 0, 1).unwrap(), [0]);
    assert_eq!(c.read(file, 40960, 1).unwrap(), [0]);
    assert_eq!(c.read(file, 4096, 1).unwrap(), [7]);
    let none = bytes(|w| encode_trim(&[], w));
    assert_eq!(status(&mut c, CtlCode::FILE_LEVEL_TRIM, file, &none), NtStatus::INVALID_PARAMETER);
    let on_disk = std::fs::metadata(server.path("share").join("f")).unwrap();
    assert_eq!(on_disk.len(), 65536);
    assert!(on_disk.blocks() * 512 < 65536);
}

#[test]
fn the_regions_of_a_file_are_all_valid() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    c.write(file, 0, &[7; 5000]).unwrap();
    let mut regions =
        |ask: &[u8]| c.ioctl(CtlCode::QUERY_FILE_REGIONS, file, ask).map(|got| decode_regions(&got).unwrap());
    let region = |file_offset, length, usage| FileRegion { file_offset, length, usage };
    let ask = |file_offset, length, desired_usage| {
        bytes(|w| FileRegionInput { file_offset, length, desired_usage }.encode(w))
    };
    assert_eq!(regions(&[]), Ok(vec![region(0, 5000, 1)]));
    assert_eq!(regions(&ask(1000, 100, 2)), Ok(vec![region(1000, 100, 2)]));
    assert_eq!(regions(&ask(5000, 100, 1)), Ok(vec![]));
    assert_eq!(regions(&ask(0, 100, 3)), Err(NtStatus::INVALID_PARAMETER));
    assert_eq!(regions(&ask(-1, 100, 1)), Err(NtStatus::INVALID_PARAMETER));
    assert_eq!(regions(&[0; 8]), Err(NtStatus::BUFFER_TOO_SMALL));
    assert_eq!(with_room(&mut c, CtlCode::QUERY_FILE_REGIONS, file, &[], 16), NtStatus::BUFFER_TOO_SMALL);
    let d = c.make_directory("d").unwrap();
    assert_eq!(status(&mut c, CtlCode::QUERY_FILE_REGIONS, d, &[]), NtStatus::INVALID_PARAMETER);
}

#[test]
fn facts_of_a_file() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    let id = c.ioctl(CtlCode::CREATE_OR_GET_OBJECT_ID, file, &[]).unwrap();
    assert_eq!(id.len(), ObjectId::SIZE);
    assert_eq!(c.ioctl(CtlCode::GET_OBJECT_ID, file, &[]).unwrap(), id);
    assert_eq!(status(&mut c, CtlCode::SET_OBJECT_ID, file, &id), NtStatus::ACCESS_DENIED);
    assert_eq!(status(&mut c, CtlCode::SET_OBJECT_ID, file, &id[1..]), NtStatus::INVALID_PARAMETER);
    assert_eq!(status(&mut c, CtlCode::DELETE_OBJECT_ID, file, &[]), NtStatus::INVALID_DEVICE_REQUEST);

    let got = c.ioctl(CtlCode::GET_INTEGRITY_INFORMATION, file, &[]).unwrap();
    let got = GetIntegrity::decode(&mut Reader::new(&got)).unwrap();
    assert_eq!((got.checksum_algorithm, got.flags), (0, 0));
    assert!(got.cluster_size_in_bytes.is_power_of_two());
    for (algorithm, said) in [
        (0, NtStatus::SUCCESS),
        (0xFFFF, NtStatus::SUCCESS),
        (2, NtStatus::NOT_SUPPORTED),
        (7, NtStatus::INVALID_PARAMETER),
    ] {
        let set = SetIntegrity { checksum_algorithm: algorithm, ..SetIntegrity::default() };
        let set = bytes(|w| set.encode(w));
        assert_eq!(status(&mut c, CtlCode::SET_INTEGRITY_INFORMATION, file, &set), said, "{algorithm}");
    }

    assert_eq!(c.ioctl(CtlCode::GET_COMPRESSION, file, &[]), Ok(vec![0, 0]));
    assert_eq!(status(&mut c, CtlCode::SET_COMPRESSION, file, &[0, 0]), NtStatus::SUCCESS);
    assert_eq!(status(&mut c, CtlCode::SET_COMPRESSION, file, &[3, 0]), NtStatus::INVALID_PARAMETER);
    let reader = c.open("f").unwrap();
    assert_eq!(status(&mut c, CtlCode::SET_COMPRESSION, reader, &[0, 0]), NtStatus::ACCESS_DENIED);
}

#[test]
fn what_takes_no_file() {
    let server = Server::plain();
    let mut c = server.client();
    let referral = [4, 0, b'\\', 0, b's', 0, 0, 0];
    for code in [CtlCode::DFS_GET_REFERRALS, CtlCode::DFS_GET_REFERRALS_EX] {
        assert_eq!(status(&mut c, code, FileId::RELATED, &referral), NtStatus::FS_DRIVER_REQUIRED);
        let file = c.make("f").unwrap();
        assert_eq!(status(&mut c, code, file, &referral), NtStatus::INVALID_PARAMETER);
    }
    let wait = |name: &str| bytes(|w| PipeWait { timeout: None, name: name.into() }.encode(w));
    let on_disk = status(&mut c, CtlCode::PIPE_WAIT, FileId::RELATED, &wait("srvsvc"));
    assert_eq!(on_disk, NtStatus::INVALID_DEVICE_REQUEST);
    c.tree_connect("IPC$").unwrap();
    assert_eq!(status(&mut c, CtlCode::PIPE_WAIT, FileId::RELATED, &wait("srvsvc")), NtStatus::SUCCESS);
    let nowhere = status(&mut c, CtlCode::PIPE_WAIT, FileId::RELATED, &wait("no such pipe"));
    assert_eq!(nowhere, NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(status(&mut c, CtlCode::PIPE_WAIT, FileId::RELATED, &[0; 4]), NtStatus::INVALID_PARAMETER);
}

#[test]
fn what_nobody_knows_is_no_request_of_this_device() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("f").unwrap();
    for code in [CtlCode(0x0009_FFFC), CtlCode(0x0009_0058), CtlCode::READ_FILE_USN_DATA, CtlCode(0)] {
        assert_eq!(status(&mut c, code, file, &[]), NtStatus::INVALID_DEVICE_REQUEST, "{code:?}");
    }
    let mut request = fsctl(CtlCode::SET_SPARSE, file, &[]);
    request.flags = smbgate::wire::ioctl::IoctlFlags::empty();
    assert_eq!(c.call(&request).status(), NtStatus::NOT_SUPPORTED);
    c.close(file);
    assert_eq!(status(&mut c, CtlCode::SET_SPARSE, file, &[]), NtStatus::FILE_CLOSED);
}
