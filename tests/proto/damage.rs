//! A state database that was damaged: the server starts, serves, and says what is lost.

use std::fs;
use std::path::Path;

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, Guid, NtStatus};

use crate::client::{Client, Offer, create};
use crate::common::Server;
use crate::durable::{keeping, v2};

const HANDLES: usize = 200;
const ROUNDS: usize = 100;

fn random(below: usize) -> usize {
    getrandom::u64().expect("random bytes") as usize % below
}

pub fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Cut off, or a few bits the other way, anywhere among what was written.
fn damage(file: &Path, cut: bool) -> String {
    let mut bytes = fs::read(file).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = random(written);
    if cut {
        bytes.truncate(at);
    } else {
        (0..=random(4)).for_each(|n| bytes[(at + n * random(500)) % written] ^= 1 << random(8));
    }
    fs::write(file, bytes).unwrap();
    format!("{} at {at} of {written}", if cut { "cut" } else { "flipped" })
}

#[test]
fn a_damaged_database_keeps_nobody_from_being_served() {
    let mut server = Server::start("signing = \"offered\"", &[("share", ""), ("open", "guest = \"rw\"")]);
    let mut c = server.client();
    for n in 0..HANDLES {
        let name = format!("file{n}");
        let guid = Guid([n as u8; 16]);
        assert!(c.create(&keeping(&name, v2(guid, 300_000))).unwrap().durable.is_some());
    }
    drop(c);
    server.stop();
    let (state, whole) = (server.path("state"), server.path("whole"));
    copy(&state, &whole);
    for round in 0..ROUNDS {
        copy(&whole, &state);
        let done = damage(&state.join("db/db"), round % 2 == 0);
        server.start_again();
        let log = server.log();
        let all = log.contains(&format!("{HANDLES} of {HANDLES} handles"));
        let told = log.contains(" ERROR");
        assert!(all || told, "{done}: not a word:\n{log}");
        // Users may be lost; guests need none.
        let mut c = Client::connect(server.address);
        c.negotiate(&Offer::default());
        c.logon("stranger", "").unwrap();
        c.tree_connect("open").unwrap();
        let request = create(
            &format!("file{round}"),
            AccessMask::FILE_READ | AccessMask::FILE_WRITE,
            CreateDisposition::OPEN_IF,
            CreateOptions::NON_DIRECTORY_FILE,
        );
        let file = c.create(&request).unwrap().file_id;
        assert_eq!(c.write(file, 0, b"served"), Ok(6), "{done}");
        assert_eq!(c.close(file), NtStatus::SUCCESS, "{done}");
        server.kill();
    }
    copy(&whole, &state);
    server.start_again();
    assert!(server.log().contains(&format!("{HANDLES} of {HANDLES} handles")), "{}", server.log());
}
