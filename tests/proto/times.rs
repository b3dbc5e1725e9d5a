//! Times as clients are told them: frozen, thawed, delayed, kept over a restart, and on the disk in the end.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use smbgate::types::{FileId, FileTime, Guid, NtStatus};
use smbgate::wire::codec::{Reader, Writer};
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::fscc::file_info::BasicInfo;
use smbgate::wire::query_info::InfoType;
use smbgate::wire::set_info::SetInfoRequest;

use crate::client::Client;
use crate::common::Server;
use crate::durable::{back, back_v2, keeping, v2};
use crate::persistent::{asking, available, offer, returning};

const FREEZE: FileTime = FileTime(u64::MAX);
const THAW: FileTime = FileTime(u64::MAX - 1);

fn set(c: &mut Client, file_id: FileId, info: BasicInfo) -> NtStatus {
    let mut buffer = Vec::new();
    info.encode(&mut Writer::new(&mut buffer));
    let request = SetInfoRequest {
        info_type: InfoType::FILE,
        file_info_class: FileInfoClass::BASIC.0,
        buffer: &buffer,
        file_id,
        ..SetInfoRequest::default()
    };
    c.call(&request).status()
}

fn get(c: &mut Client, file_id: FileId) -> BasicInfo {
    let buffer = c.query_file(file_id, FileInfoClass::BASIC.0).unwrap();
    BasicInfo::decode(&mut Reader::new(&buffer)).unwrap()
}

fn at(seconds: i64) -> FileTime {
    FileTime::from_unix(seconds, 0)
}

#[test]
fn what_is_frozen_stays_until_it_is_thawed() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.make("file").unwrap();
    let times = BasicInfo { last_write_time: at(1000), change_time: at(2000), ..BasicInfo::default() };
    assert_eq!(set(&mut c, file, times), NtStatus::SUCCESS);
    let frozen = BasicInfo { last_write_time: FREEZE, change_time: FREEZE, ..BasicInfo::default() };
    assert_eq!(set(&mut c, file, frozen), NtStatus::SUCCESS);
    assert_eq!(c.write(file, 0, b"not to show"), Ok(11));
    c.flush(file);
    let told = get(&mut c, file);
    assert_eq!((told.last_write_time, told.change_time), (at(1000), at(2000)));
    c.close(file);
    let on_disk = std::fs::metadata(server.path("share").join("file")).unwrap();
    assert_eq!((on_disk.mtime(), on_disk.len()), (1000, 11));

    let file = c.make("file").unwrap();
    let told = get(&mut c, file);
    assert_eq!((told.last_write_time, told.change_time), (at(1000), at(2000)), "after a close too");
    assert_eq!(set(&mut c, file, frozen), NtStatus::SUCCESS);
    let thawed = BasicInfo { last_write_time: THAW, change_time: THAW, ..BasicInfo::default() };
    assert_eq!(set(&mut c, file, thawed), NtStatus::SUCCESS);
    assert_eq!(c.write(file, 0, b"to show"), Ok(7));
    c.flush(file);
    let told = get(&mut c, file);
    assert!(told.last_write_time > at(1000) && told.change_time > at(2000));
}

/// Over a restart, too, and over a crash if the handle is persistent; and put right at the close that comes after.
#[test]
fn what_is_frozen_is_frozen_over_a_restart() {
    let guid = Guid([7; 16]);
    for persistent in [false, true] {
        let mut server = if persistent { available() } else { Server::plain() };
        let offer = offer();
        let mut c = server.client_with(&offer);
        let context = if persistent { asking(guid) } else { v2(guid, 60_000) };
        let file = c.create(&keeping("file", context)).unwrap().file_id;
        let times = BasicInfo { last_write_time: at(1000), change_time: at(2000), ..BasicInfo::default() };
        assert_eq!(set(&mut c, file, times), NtStatus::SUCCESS);
        let frozen = BasicInfo { last_write_time: FREEZE, change_time: FREEZE, ..BasicInfo::default() };
        if persistent {
            assert_eq!(c.write(file, 0, b"before"), Ok(6));
            assert_eq!(set(&mut c, file, frozen), NtStatus::SUCCESS);
            server.crash();
        } else {
            assert_eq!(set(&mut c, file, frozen), NtStatus::SUCCESS);
            assert_eq!(c.write(file, 0, b"before"), Ok(6));
            server.restart();
        }
        let mut c = server.client_with(&offer);
        let again = if persistent { back(returning(file, guid)) } else { back_v2(file, guid) };
        let file = c.create(&again).unwrap().file_id;
        let told = get(&mut c, file);
        assert_eq!((told.last_write_time, told.change_time), (at(1000), at(2000)), "{persistent}");
        assert_eq!(c.write(file, 0, b"behind"), Ok(6));
        let told = get(&mut c, file);
        assert_eq!((told.last_write_time, told.change_time), (at(1000), at(2000)), "{persistent}");
        c.close(file);
        let on_disk = std::fs::metadata(server.path("share").join("file")).unwrap();
        assert_eq!((on_disk.mtime(), on_disk.len()), (1000, 6), "{persistent}");
    }
}

#[test]
fn a_write_shows_later_and_one_from_outside_at_once() {
    let server = Server::plain();
    let mut c = server.client();
    let (file, other) = (c.make("file").unwrap(), c.make("file").unwrap());
    let born = get(&mut c, file).last_write_time;
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(c.write(file, 0, b"x"), Ok(1));
    assert_eq!(get(&mut c, other).last_write_time, born);
    std::thread::sleep(Duration::from_millis(20));
    let path = server.path("share").join("file");
    std::fs::write(&path, "from outside").unwrap();
    let written = std::fs::metadata(&path).unwrap();
    let written = FileTime::from_unix(written.mtime(), written.mtime_nsec() as u32);
    assert!(written > born);
    assert_eq!(get(&mut c, other).last_write_time, written);
    c.close(file);
    assert_eq!(get(&mut c, other).last_write_time, written);
}
