//! Changes at the far side of a mount, which the kernel of this machine does not see.

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, NtStatus, OplockLevel};
use smbgate::wire::change_notify::CompletionFilter;
use smbgate::wire::create::CreateRequest;
use smbgate::wire::fscc::FileInfoClass;
use smbgate::wire::fscc::notify::NotifyAction as A;
use smbgate::wire::header::Command;
use smbgate::wire::oplock_break::OplockBreak;
use smbgate::wire::query_info::{InfoType, QueryInfoRequest};

use super::client::{NAMES, Watched, create};
use super::common::Server;
use super::{Backend, at_full_speed, client, work_on};

fn start(keys: &str) -> (Server, Backend) {
    let backend = Backend::mount();
    let sick = format!("path = {:?}\npoll_interval = \"100ms\"\n{keys}", backend.path());
    let server = Server::start("signing = \"offered\"", &[("sick", sick.as_str()), ("well", "")]);
    (server, backend)
}

#[test]
fn they_are_found_by_looking() {
    let (server, mut backend) = start("");
    let mut c = client(&server, "sick");
    let mut root = Watched::new(&mut c, "", NAMES | CompletionFilter::SIZE, true);
    for (change, told) in [
        ("far create new", &[(A::ADDED, "new")][..]),
        ("far append new", &[(A::MODIFIED, "new")]),
        ("far rename new newer", &[(A::RENAMED_OLD_NAME, "new"), (A::RENAMED_NEW_NAME, "newer")]),
        ("far remove newer", &[(A::REMOVED, "newer")]),
    ] {
        backend.tell(change);
        root.expect(&mut c, told);
    }
    let status = server.status();
    let line = status.lines().find(|line| line.trim().starts_with("sick")).unwrap();
    assert!(line.contains("poll <= "), "{status}");
    let line = status.lines().find(|line| line.trim().starts_with("well")).unwrap();
    assert!(line.contains("async"), "{status}");
}

#[test]
fn what_clients_do_is_told_once_and_what_local_programs_do_too() {
    for watch in ["auto", "poll"] {
        let (server, mut backend) = start(&format!("watch = {watch:?}"));
        let mut c = client(&server, "sick");
        let mut other = client(&server, "sick");
        let mut root = Watched::new(&mut c, "", NAMES, false);
        for n in 0..10 {
            let name = format!("ours{n}");
            let file = other.make(&name).unwrap();
            other.close(file);
            root.expect(&mut c, &[(A::ADDED, &name)]);
            let name = format!("theirs{n}");
            std::fs::write(backend.path().join(&name), "").unwrap();
            root.expect(&mut c, &[(A::ADDED, &name)]);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        backend.tell("far create end");
        root.expect(&mut c, &[(A::ADDED, "end")]);
    }
}

#[test]
fn they_break_what_clients_cache() {
    let (server, mut backend) = start("");
    let mut c = client(&server, "sick");
    let request = create("hello", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
    let request = CreateRequest { requested_oplock_level: OplockLevel::LEVEL_II, ..request };
    let opened = c.create(&request).unwrap();
    assert_eq!(opened.oplock, OplockLevel::LEVEL_II);
    backend.tell("far append hello");
    let told = c.wait_for(|reply| reply.header.command == Command::OPLOCK_BREAK);
    let told = OplockBreak::decode(&mut told.reader()).unwrap();
    assert_eq!(told, OplockBreak { oplock_level: OplockLevel::NONE, file_id: opened.file_id });
}

#[test]
fn a_look_that_hangs_holds_up_nobody() {
    let (server, mut backend) = start("");
    let mut c = client(&server, "sick");
    let mut root = Watched::new(&mut c, "", NAMES, false);
    backend.tell("stall readdir");
    backend.holds(1);
    at_full_speed("ECHO", || assert_eq!(c.echo(), NtStatus::SUCCESS));
    at_full_speed("the other share", || work_on(&mut client(&server, "well"), "file"));
    at_full_speed("status", || assert!(server.status().contains("poll <= ")));
    backend.tell("far create late");
    backend.tell("go");
    root.expect(&mut c, &[(A::ADDED, "late")]);
}

/// A mount within a share that is on a local disk: the kernel tells of the one and not of the other.
#[test]
fn a_mount_within_a_share_is_looked_at_and_holds_up_nobody() {
    let around = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut backend = Backend::mount_in(around.path());
    let within = backend.path().file_name().unwrap().to_str().unwrap().to_owned();
    let keys = format!("path = {:?}\npoll_interval = \"100ms\"", around.path());
    let server = Server::start("signing = \"offered\"", &[("around", keys.as_str()), ("well", "")]);
    let mut c = client(&server, "around");
    let cached = |name: &str| CreateRequest {
        requested_oplock_level: OplockLevel::LEVEL_II,
        ..create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty())
    };
    let far = c.create(&cached(&format!("{within}\\hello"))).unwrap();
    assert_eq!(far.oplock, OplockLevel::LEVEL_II);
    backend.tell("far append hello");
    let told = c.wait_for(|reply| reply.header.command == Command::OPLOCK_BREAK);
    let told = OplockBreak::decode(&mut told.reader()).unwrap();
    assert_eq!(told, OplockBreak { oplock_level: OplockLevel::NONE, file_id: far.file_id });
    let line = server.status().lines().find(|line| line.trim().starts_with("around")).unwrap().to_owned();
    assert!(line.contains("async") && line.contains("on mounts within: poll <= "), "{line}");

    backend.tell("stall getattr");
    let asks = c.send(&QueryInfoRequest {
        info_type: InfoType::FILE,
        file_info_class: FileInfoClass::BASIC.0,
        output_buffer_length: 100,
        file_id: far.file_id,
        ..QueryInfoRequest::default()
    });
    backend.holds(1);
    at_full_speed("ECHO", || assert_eq!(c.echo(), NtStatus::SUCCESS));
    at_full_speed("another share", || work_on(&mut client(&server, "well"), "file"));
    backend.tell("go");
    assert_eq!(c.wait(asks).status(), NtStatus::SUCCESS);
}
