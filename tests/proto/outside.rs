//! Changes made outside SMB: told by CHANGE_NOTIFY as Windows would, our own once, and oplocks broken.

use std::process::Command as Process;

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, NtStatus, OplockLevel};
use smbgate::wire::change_notify::CompletionFilter;
use smbgate::wire::create::CreateRequest;
use smbgate::wire::fscc::notify::NotifyAction as A;
use smbgate::wire::header::Command;
use smbgate::wire::oplock_break::OplockBreak;

use crate::client::{NAMES, Watched, create};
use crate::common::Server;

#[track_caller]
fn sh(server: &Server, script: &str) {
    let status = Process::new("sh")
        .arg("-ec")
        .arg(format!("umask 0; {script}"))
        .current_dir(server.path("share"))
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn names_are_told_with_their_pairs() {
    let server = Server::plain();
    let mut c = server.client();
    sh(&server, "mkdir d");
    let mut d = Watched::new(&mut c, "d", NAMES, false);
    sh(&server, "cd d; touch a; mv a b; mv b ../b; mv ../b 'c:x'; rm 'c:x'; mkdir e; rmdir e; touch end");
    d.expect(
        &mut c,
        &[
            (A::ADDED, "a"),
            (A::RENAMED_OLD_NAME, "a"),
            (A::RENAMED_NEW_NAME, "b"),
            (A::REMOVED, "b"),
            // As SMB can carry it.
            (A::ADDED, "c\u{f022}x"),
            (A::REMOVED, "c\u{f022}x"),
            (A::ADDED, "e"),
            (A::REMOVED, "e"),
            (A::ADDED, "end"),
        ],
    );
}

#[test]
fn writes_and_attributes_are_told_to_those_who_ask() {
    let server = Server::plain();
    let mut c = server.client();
    sh(&server, "mkdir d; touch d/f");
    let content = CompletionFilter::SIZE | CompletionFilter::ATTRIBUTES | CompletionFilter::SECURITY;
    let mut d = Watched::new(&mut c, "d", content, false);
    sh(&server, "echo x >> d/f");
    d.until(&mut c, (A::MODIFIED, "f"));
    sh(&server, "touch d/other; chmod 700 d/f");
    d.expect(&mut c, &[(A::MODIFIED, "other"), (A::MODIFIED, "f")]);
}

#[test]
fn a_whole_tree_is_told_of() {
    let server = Server::plain();
    let mut c = server.client();
    sh(&server, "mkdir -p d/x/y");
    let mut d = Watched::new(&mut c, "d", NAMES, true);
    sh(&server, "touch d/x/y/f; mkdir d/new");
    d.expect(&mut c, &[(A::ADDED, "x\\y\\f"), (A::ADDED, "new")]);
    c.make("d\\new\\ours").unwrap();
    sh(&server, "touch d/new/theirs; mv d/x d/new/z");
    d.expect(
        &mut c,
        &[(A::ADDED, "new\\ours"), (A::ADDED, "new\\theirs"), (A::REMOVED, "x"), (A::ADDED, "new\\z")],
    );
    sh(&server, "touch d/new/z/y/g");
    d.expect(&mut c, &[(A::ADDED, "new\\z\\y\\g")]);
}

#[test]
fn what_clients_do_is_told_once() {
    let server = Server::plain();
    let (mut c, mut other) = (server.client(), server.client());
    sh(&server, "mkdir d");
    let mut d = Watched::new(&mut c, "d", NAMES | CompletionFilter::SIZE, false);
    for n in 0..20 {
        let file = other.make(&format!("d\\{n}")).unwrap();
        other.close(file);
    }
    sh(&server, "touch d/end");
    let told = d.until(&mut c, (A::ADDED, "end"));
    let names: Vec<String> = told.into_iter().map(|(_, name)| name).collect();
    let mut expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    expected.push("end".to_owned());
    assert_eq!(names, expected);
}

#[test]
fn a_directory_that_is_deleted_says_so() {
    let server = Server::plain();
    let mut c = server.client();
    sh(&server, "mkdir -p a/d");
    let d = Watched::new(&mut c, "a\\d", NAMES, false);
    sh(&server, "rmdir a/d");
    assert_eq!(c.wait(d.waiting).status(), NtStatus::DELETE_PENDING);
}

#[test]
fn a_write_from_outside_breaks_a_level_ii_oplock() {
    let server = Server::plain();
    let mut c = server.client();
    sh(&server, "echo before > f; ln f g");
    for script in ["echo after >> f", "echo again > g", "truncate -s 3 f"] {
        let request = create("f", AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::empty());
        let request = CreateRequest { requested_oplock_level: OplockLevel::LEVEL_II, ..request };
        let opened = c.create(&request).unwrap();
        assert_eq!(opened.oplock, OplockLevel::LEVEL_II);
        sh(&server, script);
        let told = c.wait_for(|reply| reply.header.command == Command::OPLOCK_BREAK);
        let told = OplockBreak::decode(&mut told.reader()).unwrap();
        let expected = OplockBreak { oplock_level: OplockLevel::NONE, file_id: opened.file_id };
        assert_eq!(told, expected, "{script}");
        c.close(opened.file_id);
    }
}
