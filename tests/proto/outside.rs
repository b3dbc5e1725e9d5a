//! Changes made outside SMB: told by CHANGE_NOTIFY as Windows would, our own once, and oplocks broken.

use std::process::Command as Process;

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus, OplockLevel};
use smbgate::wire::change_notify::{
    ChangeNotifyFlags, ChangeNotifyRequest, ChangeNotifyResponse, CompletionFilter,
};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::fscc::notify::{self, NotifyAction as A};
use smbgate::wire::header::Command;
use smbgate::wire::oplock_break::OplockBreak;

use crate::client::{Client, create};
use crate::common::Server;

const NAMES: CompletionFilter = CompletionFilter::FILE_NAME.union(CompletionFilter::DIR_NAME);

/// A directory that a client watches: one request waits at any time.
struct Watched {
    directory: FileId,
    waiting: u64,
    told: Vec<(A, String)>,
}

fn ask(c: &mut Client, directory: FileId, filter: CompletionFilter, tree: bool) -> u64 {
    c.send(&ChangeNotifyRequest {
        flags: if tree { ChangeNotifyFlags::WATCH_TREE } else { ChangeNotifyFlags::empty() },
        output_buffer_length: 60_000,
        file_id: directory,
        completion_filter: filter,
    })
}

impl Watched {
    fn new(c: &mut Client, name: &str, filter: CompletionFilter, tree: bool) -> Watched {
        let options = CreateOptions::DIRECTORY_FILE;
        let request = create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, options);
        let directory = c.create(&request).unwrap().file_id;
        let waiting = ask(c, directory, filter, tree);
        assert_eq!(c.wait_interim(waiting).status(), NtStatus::PENDING);
        Watched { directory, waiting, told: Vec::new() }
    }

    /// All that is told up to that.
    #[track_caller]
    fn until(&mut self, c: &mut Client, last: (A, &str)) -> Vec<(A, String)> {
        loop {
            if let Some(at) = self.told.iter().position(|(a, n)| (*a, n.as_str()) == last) {
                return self.told.drain(..=at).collect();
            }
            let reply =
                c.wait(self.waiting).ok().unwrap_or_else(|status| panic!("{status}; {:?}", self.told));
            let answer = ChangeNotifyResponse::decode(&mut reply.reader()).unwrap();
            self.told.extend(notify::decode(answer.buffer).map(Result::unwrap));
            self.waiting = ask(c, self.directory, NAMES, false);
        }
    }

    #[track_caller]
    fn expect(&mut self, c: &mut Client, expected: &[(A, &str)]) {
        let told = self.until(c, *expected.last().unwrap());
        assert_eq!(told.iter().map(|(a, n)| (*a, n.as_str())).collect::<Vec<_>>(), expected);
    }
}

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
    sh(&server, "echo x > d/f");
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
