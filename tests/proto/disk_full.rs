//! A state directory on a disk that is full: the server goes on, what it has promised it keeps, and it promises no more.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use smbgate::fsa::Disposition;
use smbgate::types::{FileId, Guid, NtStatus};
use smbgate::wire::lock::LockFlags;

use crate::client::{Client, Opened};
use crate::common::Server;
use crate::damage::copy;
use crate::durable::{back, keeping, wait_until};
use crate::killed::each;
use crate::persistent::{asking, available, offer, returning};
use crate::rename::dispose;
use crate::restart::{EXCLUSIVE, lock};

/// More than the room that the server has beforehand takes, at a few hundred bytes each.
const MANY: usize = 60_000;
const AT_ONCE: usize = 100;
const AGAIN: &str = "handles are kept in the database again";

/// A small disk of its own for the state directory of a server that does not run.
struct Small(PathBuf);

impl Small {
    fn new(server: &Server) -> Result<Small, String> {
        let (state, aside) = (server.path("state"), server.path("aside"));
        fs::rename(&state, &aside).unwrap();
        fs::create_dir(&state).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=24m,mode=700", "none"];
        let mount = Command::new("mount").args(options).arg(&state).output().map_err(|e| e.to_string())?;
        if !mount.status.success() {
            return Err(String::from_utf8_lossy(&mount.stderr).into_owned());
        }
        let small = Small(state.clone());
        for entry in fs::read_dir(&aside).unwrap().map(Result::unwrap) {
            let to = state.join(entry.file_name());
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => copy(&entry.path(), &to),
                kind if kind.is_file() => drop(fs::copy(entry.path(), to).unwrap()),
                _ => {}
            }
        }
        Ok(small)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Down to the last block.
    fn fill(&self) {
        let file = File::create(self.filler()).unwrap();
        let free = fstatvfs(&file).unwrap();
        fallocate(&file, FallocateFlags::empty(), 0, free.f_bavail * free.f_frsize).unwrap();
        assert_eq!(fstatvfs(&file).unwrap().f_bavail, 0);
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

fn guid(n: usize) -> Guid {
    let mut guid = [9; 16];
    guid[..8].copy_from_slice(&(n as u64).to_le_bytes());
    Guid(guid)
}

fn named(n: usize) -> String {
    format!("file{n}")
}

fn ask(c: &mut Client, n: usize) -> Opened {
    c.create(&keeping(&named(n), asking(guid(n)))).expect("nobody else has it")
}

/// Opens and closes until one is not persistent any more: that one.
fn until_it_is_full(c: &mut Client) -> Opened {
    for first in (1000..MANY).step_by(AT_ONCE) {
        let numbers = first..first + AT_ONCE;
        let requests: Vec<_> =
            numbers.clone().map(|n| keeping(&named(100 + n % AT_ONCE), asking(guid(n)))).collect();
        let opened: Vec<Opened> =
            each(c, &requests).into_iter().map(|reply| reply.opened().expect("a file")).collect();
        let refused = opened.iter().position(|opened| !opened.persistent);
        for (n, opened) in numbers.zip(&opened) {
            if refused != Some(n - first) {
                assert_eq!(c.close(opened.file_id), NtStatus::SUCCESS);
            }
        }
        if let Some(at) = refused {
            return opened[at];
        }
    }
    panic!("it has not run out of room");
}

fn told(server: &Server, what: &str) -> usize {
    server.log().matches(what).count()
}

#[test]
fn a_full_state_directory_costs_promises_and_nothing_that_was_promised() {
    let mut server = available();
    server.stop();
    let small = match Small::new(&server) {
        Ok(small) => small,
        Err(why) => {
            fs::remove_dir(server.path("state")).unwrap();
            fs::rename(server.path("aside"), server.path("state")).unwrap();
            server.start_again();
            return eprintln!("skipped: {why}");
        }
    };
    server.start_again();
    let offer = offer();
    let mut c = server.client_with(&offer);
    let kept: Vec<FileId> = (0..3).map(|n| ask(&mut c, n).file_id).collect();
    assert_eq!(c.call(&lock(kept[0], 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    assert_eq!(c.call(&lock(kept[0], 100, EXCLUSIVE)).status(), NtStatus::SUCCESS);

    small.fill();
    let durable = until_it_is_full(&mut c);
    assert_eq!(durable.durable, Some(60_000), "it is what it would be without");
    let refused = c.call(&lock(kept[1], 0, EXCLUSIVE)).status();
    assert_eq!(refused, NtStatus::INSUFFICIENT_RESOURCES);
    let unlock = |c: &mut Client, file, at| c.call(&lock(file, at, LockFlags::UNLOCK)).status();
    assert_eq!(unlock(&mut c, kept[1], 0), NtStatus::RANGE_NOT_LOCKED, "it was given back");
    assert_eq!(unlock(&mut c, kept[0], 0), NtStatus::SUCCESS);
    assert_eq!(c.write(kept[0], 0, b"served"), Ok(6));
    assert_eq!(c.close(kept[2]), NtStatus::SUCCESS);
    let other = c.make("other").unwrap();
    assert_eq!(dispose(&mut c, other, Disposition::DELETE), NtStatus::SUCCESS);
    assert_eq!(c.close(other), NtStatus::SUCCESS);
    assert_eq!(told(&server, "ERROR"), 1, "{}", server.log());
    assert_eq!(told(&server, "handles cannot be kept in the database"), 1);

    // It starts on a disk that is full, too, with what was promised before.
    server.crash();
    let mut c = server.client_with(&offer);
    let returned =
        |c: &mut Client, n: usize| c.create(&back(returning(kept[n], guid(n)))).map(|opened| opened.file_id);
    let first = returned(&mut c, 0).unwrap();
    assert_eq!(c.read(first, 0, 6).unwrap(), b"served");
    let second = returned(&mut c, 1).unwrap();
    assert!(!ask(&mut c, 10).persistent);
    assert_eq!(unlock(&mut c, first, 100), NtStatus::SUCCESS);
    small.empty();
    wait_until(|| told(&server, AGAIN) == 1);
    let again = ask(&mut c, 11);
    assert!(again.persistent);
    assert_eq!(c.call(&lock(again.file_id, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    server.crash();
    let mut c = server.client_with(&offer);
    let first = returned(&mut c, 0).unwrap();
    assert_eq!(unlock(&mut c, first, 100), NtStatus::RANGE_NOT_LOCKED, "the disk has heard of it");
    assert_eq!(returned(&mut c, 1).unwrap().persistent, second.persistent);
    let again = c.create(&back(returning(again.file_id, guid(11)))).unwrap().file_id;
    assert_eq!(unlock(&mut c, again, 0), NtStatus::SUCCESS);
    drop(c);
    server.stop();
    drop(small);
    server.start_again();
}
