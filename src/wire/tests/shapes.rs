//! Bytes as Windows sends and takes them, written by hand.

use super::super::codec::{DecodeError, Writer};
use super::super::create_context::{self, CreateContext, MaximalAccessResponse, QueryOnDiskIdResponse};
use super::super::error::{ErrorResponse, SymlinkErrorResponse};
use super::super::oplock_break::{LeaseBreakAck, LeaseBreakNotification, OplockBreakMessage};
use super::super::query_directory::QueryDirectoryResponse;
use super::super::read::{ReadRequest, ReadResponse};
use super::super::tree_connect::TreeConnectRequest;
use super::super::write::{WriteRequest, WriteResponse};
use super::super::{close, create, echo, flush, header, ioctl, logoff, session_setup};
use super::{body, message};
use crate::types::{AccessMask, FileId, NtStatus};

#[test]
fn an_error_without_data_is_nine_bytes() {
    let m = message(|w| ErrorResponse::default().encode(w));
    assert_eq!(m[64..], [9, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ErrorResponse::decode(&mut body(&m)), Ok(ErrorResponse::default()));
}

#[test]
fn error_data_stand_in_a_context_in_311_only() {
    let m = message(|w| ErrorResponse::with_data(&[1, 2, 3, 4], false).encode(w));
    assert_eq!(m[64..], [9, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]);
    let m = message(|w| ErrorResponse::with_data(&[1, 2, 3, 4], true).encode(w));
    assert_eq!(m[64..], [9, 0, 1, 0, 12, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(ErrorResponse::decode(&mut body(&m)).unwrap().error_data(), [1, 2, 3, 4]);
}

#[test]
fn symlink_error_data() {
    let link = SymlinkErrorResponse {
        unparsed_path_length: 6,
        relative: true,
        substitute_name: "ab".into(),
        print_name: "c".into(),
    };
    #[rustfmt::skip]
    let bytes = [
        30, 0, 0, 0, b'S', b'Y', b'M', b'L', 0x0C, 0, 0, 0xA0,
        18, 0, 6, 0, 0, 0, 4, 0, 4, 0, 2, 0, 1, 0, 0, 0,
        b'a', 0, b'b', 0, b'c', 0,
    ];
    assert_eq!(link.to_bytes(), bytes);
}

#[test]
fn answers_have_the_sizes_that_windows_sends() {
    let len = |write: &dyn Fn(&mut Writer<'_>)| message(write).len() - header::LEN;
    assert_eq!(len(&|w| WriteResponse::default().encode(w)), 16);
    assert_eq!(len(&|w| create::CreateResponse::default().encode(w)), 88);
    assert_eq!(len(&|w| close::CloseResponse::default().encode(w)), 60);
    assert_eq!(len(&|w| flush::FlushResponse.encode(w)), 4);
    assert_eq!(len(&|w| logoff::LogoffResponse.encode(w)), 4);
    assert_eq!(len(&|w| echo::EchoResponse.encode(w)), 4);
    assert_eq!(len(&|w| ioctl::IoctlResponse::default().encode(w)), 48);
    assert_eq!(len(&|w| session_setup::SessionSetupResponse::default().encode(w)), 8);
    assert_eq!(
        len(&|w| OplockBreakMessage::LeaseNotification(LeaseBreakNotification::default()).encode(w)),
        44
    );
    assert_eq!(len(&|w| OplockBreakMessage::Lease(LeaseBreakAck::default()).encode(w)), 36);
}

#[test]
fn a_read_answer_is_a_prefix_and_the_data_behind_it() {
    let m = message(|w| {
        let mark = ReadResponse::encode_prefix(w, ReadResponse::DATA_OFFSET);
        w.bytes(b"data");
        ReadResponse::patch(w, mark);
    });
    assert_eq!(m[64..], [17, 0, 80, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'd', b'a', b't', b'a']);

    let mut m = message(|w| {
        let _ = ReadResponse::encode_prefix(w, 96);
        w.bytes(b"data");
    });
    ReadResponse::patch_data_length(&mut m, 3).unwrap();
    assert_eq!(ReadResponse::decode(&mut body(&m)).unwrap().data, b"dat");
}

#[test]
fn output_can_be_written_in_place() {
    let m = message(|w| {
        let mark = QueryDirectoryResponse::encode_prefix(w);
        w.bytes(b"entries");
        QueryDirectoryResponse::patch(w, mark);
    });
    assert_eq!(m[64..72], [9, 0, 72, 0, 7, 0, 0, 0]);
    assert_eq!(QueryDirectoryResponse::decode(&mut body(&m)).unwrap().buffer, b"entries");

    let answer = ioctl::IoctlResponse { input: b"abc", ..Default::default() };
    let m = message(|w| {
        let mark = answer.encode_prefix(w);
        w.bytes(b"output");
        ioctl::IoctlResponse::patch(w, mark);
    });
    let got = ioctl::IoctlResponse::decode(&mut body(&m)).unwrap();
    assert_eq!((got.input, got.output), (&b"abc"[..], &b"output"[..]));
}

#[test]
fn a_read_needs_no_byte_of_buffer() {
    let m = message(|w| ReadRequest { length: 7, ..Default::default() }.encode(w));
    assert_eq!(m.len(), 64 + 49);
    assert_eq!(ReadRequest::decode(&mut body(&m[..64 + 48])).unwrap().length, 7);
    assert!(ReadRequest::decode(&mut body(&m[..64 + 47])).is_err());
}

#[test]
fn channel_info_counts_only_with_a_channel_that_has_it() {
    let mut m = message(|w| ReadRequest::default().encode(w));
    m[64 + 44..64 + 48].fill(0xFF);
    assert!(ReadRequest::decode(&mut body(&m)).is_ok());
    m[64 + 36] = 1;
    assert!(ReadRequest::decode(&mut body(&m)).is_err());
}

#[test]
fn the_data_of_a_write_lie_in_the_message_behind_the_fixed_part() {
    let m = message(|w| WriteRequest { data: b"hello", ..Default::default() }.encode(w));
    assert_eq!(m[66..68], [112, 0]);
    assert_eq!(WriteRequest::decode(&mut body(&m)).unwrap().data, b"hello");
    assert!(WriteRequest::decode(&mut body(&m[..m.len() - 1])).is_err());
    for (offset, fine) in
        [(0u16, false), (64, false), (111, false), (112, true), (113, false), (0x101, false)]
    {
        let mut m = m.clone();
        m[66..68].copy_from_slice(&offset.to_le_bytes());
        assert_eq!(WriteRequest::decode(&mut body(&m)).is_ok(), fine, "{offset}");
    }
    // A higher offset leaves a gap, which is the client's business.
    let mut m = m;
    m.extend([0; 0x200]);
    m[66..68].copy_from_slice(&0x100u16.to_le_bytes());
    assert!(WriteRequest::decode(&mut body(&m)).is_ok());
    m[66..68].copy_from_slice(&0x101u16.to_le_bytes());
    assert_eq!(WriteRequest::decode(&mut body(&m)), Err(DecodeError::new("WRITE DataOffset")));
}

#[test]
fn an_empty_name_may_point_anywhere() {
    let mut m = message(|w| create::CreateRequest::default().encode(w));
    m[64 + 44..64 + 46].copy_from_slice(&0xFFFFu16.to_le_bytes());
    assert_eq!(create::CreateRequest::decode(&mut body(&m)).unwrap().name, "");
    m[64 + 46] = 2;
    assert_eq!(create::CreateRequest::decode(&mut body(&m)), Err(DecodeError::new(create::NAME)));
}

#[test]
fn a_name_of_an_odd_length_or_with_half_a_surrogate_is_an_error_that_says_so() {
    let m = message(|w| create::CreateRequest { name: "ab".into(), ..Default::default() }.encode(w));
    let mut odd = m.clone();
    odd[64 + 46] = 3;
    assert_eq!(create::CreateRequest::decode(&mut body(&odd)), Err(DecodeError::new(create::NAME)));
    let mut half = m;
    half[64 + 56..64 + 58].copy_from_slice(&0xD800u16.to_le_bytes());
    assert_eq!(create::CreateRequest::decode(&mut body(&half)), Err(DecodeError::new(create::NAME)));
}

#[test]
fn create_contexts_as_windows_answers_them() {
    let maximal =
        MaximalAccessResponse { query_status: NtStatus::SUCCESS, maximal_access: AccessMask::FILE_ALL };
    let on_disk = QueryOnDiskIdResponse { file_id: 0x1122, volume_id: 0x33 };
    let answer = create::CreateResponse {
        create_contexts: [maximal.to_context(), on_disk.to_context()].into_iter().collect(),
        ..Default::default()
    };
    let m = message(|w| answer.encode(w));
    assert_eq!(m[64 + 80..64 + 88], [152, 0, 0, 0, 88, 0, 0, 0]);
    #[rustfmt::skip]
    let list = [
        32, 0, 0, 0, 16, 0, 4, 0, 0, 0, 24, 0, 8, 0, 0, 0, b'M', b'x', b'A', b'c', 0, 0, 0, 0,
        0, 0, 0, 0, 0xFF, 0x01, 0x1F, 0,
        0, 0, 0, 0, 16, 0, 4, 0, 0, 0, 24, 0, 32, 0, 0, 0, b'Q', b'F', b'i', b'd', 0, 0, 0, 0,
        0x22, 0x11, 0, 0, 0, 0, 0, 0, 0x33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(m[152..], list);
}

#[test]
fn unknown_create_contexts_survive() {
    let unknown = CreateContext::borrowed(b"What?", &[1, 2, 3]);
    let mut list = Vec::new();
    create_context::encode_list(&mut Writer::new(&mut list), &[unknown.clone(), unknown]);
    let got = create_context::decode_list(&list).unwrap();
    assert_eq!(got.len(), 2);
    assert_eq!(create_context::find(&got, b"What?"), Some(&[1, 2, 3][..]));
}

#[test]
fn a_create_context_chain_stays_in_its_list() {
    let mut list = Vec::new();
    let context = MaximalAccessResponse::default().to_context();
    create_context::encode_list(&mut Writer::new(&mut list), &[context.clone(), context]);
    for (at, value) in
        [(0, 8), (0, 31), (0, 64), (0, 200), (4, 8), (4, 17), (6, 3), (6, 20), (10, 12), (12, 9)]
    {
        let mut bad = list.clone();
        bad[at] = value;
        assert!(create_context::decode_list(&bad).is_err(), "{at} {value}");
    }
}

#[test]
fn a_tree_connect_extension_is_passed_over() {
    let plain = TreeConnectRequest { path: r"\\nas\media".into(), ..Default::default() };
    let mut m = message(|w| plain.encode(w));
    // Sixteen bytes of extension between the fixed part and the path it names.
    m.splice(72..72, [0; 16]);
    m[66] = 4;
    m[68] += 16;
    assert_eq!(TreeConnectRequest::decode(&mut body(&m)).unwrap().path, plain.path);
}

#[test]
fn a_wrong_structure_size_is_an_error() {
    let mut m = message(|w| close::CloseRequest { file_id: FileId::RELATED, ..Default::default() }.encode(w));
    assert!(close::CloseRequest::decode(&mut body(&m)).is_ok());
    m[64] = 25;
    assert!(close::CloseRequest::decode(&mut body(&m)).is_err());
}

#[test]
fn every_request_has_its_file_id_where_the_header_says() {
    use super::super::{change_notify, codec::Reader, lock, query_directory, query_info, set_info};
    use header::Command;
    let file_id = FileId { persistent: 0x0123_4567_89AB_CDEF, volatile: 0xFEDC_BA98_7654_3210 };
    let requests = [
        (Command::CLOSE, message(|w| close::CloseRequest { file_id, ..Default::default() }.encode(w))),
        (Command::FLUSH, message(|w| flush::FlushRequest { file_id }.encode(w))),
        (Command::READ, message(|w| ReadRequest { file_id, ..Default::default() }.encode(w))),
        (Command::WRITE, message(|w| WriteRequest { file_id, ..Default::default() }.encode(w))),
        (Command::LOCK, message(|w| lock::LockRequest { file_id, ..Default::default() }.encode(w))),
        (Command::IOCTL, message(|w| ioctl::IoctlRequest { file_id, ..Default::default() }.encode(w))),
        (
            Command::QUERY_DIRECTORY,
            message(|w| query_directory::QueryDirectoryRequest { file_id, ..Default::default() }.encode(w)),
        ),
        (
            Command::CHANGE_NOTIFY,
            message(|w| change_notify::ChangeNotifyRequest { file_id, ..Default::default() }.encode(w)),
        ),
        (
            Command::QUERY_INFO,
            message(|w| query_info::QueryInfoRequest { file_id, ..Default::default() }.encode(w)),
        ),
        (
            Command::SET_INFO,
            message(|w| set_info::SetInfoRequest { file_id, ..Default::default() }.encode(w)),
        ),
    ];
    for (command, message) in requests {
        let at = command.file_id_at().unwrap();
        assert_eq!(Reader::at(&message, at).file_id(""), Ok(file_id), "{command:?}");
    }
    assert_eq!(Command::CREATE.file_id_at(), None);
}
