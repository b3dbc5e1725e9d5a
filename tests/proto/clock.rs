//! A clock that is set forward and back, while the server runs and while it does not: what waits for its client neither
//! ends at once nor for ever.
//!
//! The clock is libfaketime's, of this server only; file systems go on by the machine's.

use std::fs;
use std::path::PathBuf;

use smbgate::types::{CreateOptions, FileId, Guid};

use crate::client::{Client, Offer};
use crate::common::Server;
use crate::durable::{back, back_v2, keeping, returns, v2, wait_until};
use crate::persistent::{asking, offer, returning};

const LONG: u32 = 300_000;
const SHORT: u32 = 500;
const FUTURE: &str = "2061-01-01 00:00:00";
const PAST: &str = "2001-01-01 00:00:00";
const PERSISTENT: Guid = Guid([3; 16]);
const DURABLE: Guid = Guid([4; 16]);

fn library() -> Option<PathBuf> {
    let mut roots = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    roots.find_map(|root| Some(root.path().join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists()))
}

/// The server's clock.
struct Clock(PathBuf);

impl Clock {
    /// It goes on from there.
    fn set(&self, to: &str) {
        // As a whole, since it is read at any time.
        let new = self.0.with_extension("new");
        fs::write(&new, format!("@{to}\n")).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

/// Two handles that are to last, one of them persistent.
struct Lasting([FileId; 2]);

impl Lasting {
    fn open(c: &mut Client) -> Lasting {
        let persistent = c.create(&keeping("persistent", asking(PERSISTENT))).unwrap();
        let durable = c.create(&keeping("durable", v2(DURABLE, LONG))).unwrap();
        assert!(persistent.persistent && durable.durable == Some(LONG));
        Lasting([persistent.file_id, durable.file_id])
    }

    fn come_back(&self, c: &mut Client) {
        returns(c, &back(returning(self.0[0], PERSISTENT)));
        returns(c, &back_v2(self.0[1], DURABLE));
    }
}

/// One whose client does not return soon. Its file goes with it.
fn passing(server: &Server, name: &str) {
    let mut c = server.client();
    let mut request = keeping(name, v2(Guid([name.len() as u8; 16]), SHORT));
    request.create_options |= CreateOptions::DELETE_ON_CLOSE;
    assert_eq!(c.create(&request).unwrap().durable, Some(SHORT));
}

fn is_gone(server: &Server, name: &str) -> bool {
    !server.path("share").join(name).exists()
}

fn start() -> Option<(Server, Clock, Offer)> {
    let library = library()?;
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let clock = Clock(directory.keep().join("clock"));
    clock.set("2031-01-01 00:00:00");
    let by = [
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.0.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let by: Vec<&str> = ["env"].into_iter().chain(by.iter().map(String::as_str)).collect();
    let share = "continuous_availability = true";
    let server = Server::start_by(&by, "signing = \"offered\"", &[("share", share)]);
    Some((server, clock, offer()))
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = self.0.parent().map(fs::remove_dir_all);
    }
}

#[test]
fn while_the_server_runs() {
    let Some((server, clock, offer)) = start() else {
        return eprintln!("skipped: there is no libfaketime");
    };
    for (to, before, after) in [(FUTURE, "a", "bb"), (PAST, "ccc", "dddd")] {
        let mut c = server.client_with(&offer);
        let lasting = Lasting::open(&mut c);
        // One waits already when it happens, one begins to after it.
        passing(&server, before);
        drop(c);
        clock.set(to);
        passing(&server, after);
        wait_until(|| is_gone(&server, before) && is_gone(&server, after));
        assert!(server.log().contains(&to[..4]), "the server's clock was set");
        let mut c = server.client_with(&offer);
        lasting.come_back(&mut c);
        assert_eq!(c.tree_disconnect(), smbgate::types::NtStatus::SUCCESS);
    }
}

#[test]
fn while_it_does_not() {
    let Some((mut server, clock, offer)) = start() else {
        return eprintln!("skipped: there is no libfaketime");
    };
    let mut c = server.client_with(&offer);
    let lasting = Lasting::open(&mut c);
    drop(c);
    for (to, name) in [(FUTURE, "a"), (PAST, "bb")] {
        passing(&server, name);
        server.stop();
        clock.set(to);
        server.start_again();
        assert!(server.log().starts_with(&format!("[{}", &to[..4])), "{}", server.log());
        wait_until(|| is_gone(&server, name));
        lasting.come_back(&mut server.client_with(&offer));
    }
}
