//! The same on other file systems, changed where the kernel of this machine does not see it, too.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions};

use super::{Belief, Place, Scene, Server};
use crate::client::create;
use crate::common::mount::{Missing, Mount};
use crate::leases::{NONE, RH, broken, leased, state};

/// Some hundred, as they are found one interval after the other.
const CHANGES: usize = 150;
const BOUND: Duration = Duration::from_secs(20);

fn share(mount: &Mount) -> Server {
    let keys = format!("path = {:?}\npoll_interval = \"100ms\"", mount.path());
    Server::start("signing = \"offered\"", &[("share", &keys)])
}

/// `far`: how many directories it shows, which are changed then. `level`: what the server says of it.
/// `keeps`: what the file system has been told it takes for true for so long.
fn play(name: &str, mount: Result<Mount, Missing>, far: usize, changes: usize, level: &str, keeps: Duration) {
    let mount = match mount {
        Ok(mount) => mount,
        Err(why) => return eprintln!("{name} skipped: {why}"),
    };
    let server = share(&mount);
    let truth: Vec<_> = match far {
        0 => vec![mount.path()],
        far => (0..far).map(|n| mount.far(n)).collect(),
    };
    let mut scene = Scene::new(server, &truth, BOUND);
    if far > 0 {
        // In each of the directories, and through the mount.
        scene.places = truth.iter().map(|at| Place { at: at.clone(), truth: vec![at.clone()] }).collect();
        scene.places.push(Place { at: mount.path(), truth });
    }
    scene.stated = level.starts_with("poll");
    scene.keeps = keeps;
    scene.play(name, changes);
    let status = scene.server.status();
    let line = status.lines().find(|line| line.trim_start().starts_with("share ")).expect("the share");
    println!("{}", line.trim());
    assert!(line.contains(level), "{status}");
}

#[test]
fn on_btrfs() {
    play("btrfs", Mount::btrfs(), 0, 1_000, "async", Duration::ZERO);
}

#[test]
fn beneath_bindfs() {
    play("bindfs", Mount::bindfs(), 1, CHANGES, "poll <= ", Duration::ZERO);
}

#[test]
fn at_the_far_end_of_sshfs() {
    play("sshfs", Mount::sshfs(&["dir_cache=no"]), 1, CHANGES, "poll <= ", Duration::ZERO);
}

/// It keeps what it has been told for a second, of a clock that has whole ones.
#[test]
fn at_the_far_end_of_sshfs_that_caches() {
    let keeps = Duration::from_secs(2);
    play("sshfs, cache", Mount::sshfs(&["dcache_timeout=1"]), 1, 20, "poll <= ", keeps);
}

#[test]
fn in_the_branches_of_mergerfs() {
    play("mergerfs", Mount::mergerfs(), 2, CHANGES, "poll <= ", Duration::ZERO);
}

/// Clients keep files open when they give up what they cache, and read again through the same handle: what the kernel
/// has in its cache of a FUSE file system is old then.
fn read_again(name: &str, mount: Result<Mount, Missing>) {
    let mount = match mount {
        Ok(mount) => mount,
        Err(why) => return eprintln!("{name} skipped: {why}"),
    };
    let (server, truth) = (share(&mount), mount.far(0));
    let mut scene = Scene::new(server, std::slice::from_ref(&truth), BOUND);
    fs::write(truth.join("f"), "a").expect("a file");
    scene.world.fill();
    // The length stays: on sshfs, most times, so does the time.
    let mut file = fs::OpenOptions::new().write(true).open(truth.join("f")).expect("a file");
    file.write_all(b"b").expect("a write");
    scene.world.settle(Instant::now(), "a byte");
    let open = scene.world.cache["f"].file_id;
    assert_eq!(scene.world.read(open), Belief::Content(b"b".to_vec()), "{name}");
}

#[test]
fn what_is_read_again_on_bindfs_is_new() {
    read_again("bindfs", Mount::bindfs());
}

#[test]
fn what_is_read_again_on_sshfs_is_new() {
    read_again("sshfs", Mount::sshfs(&["dir_cache=no"]));
}

/// The same of a mount within a share that is on a local disk.
#[test]
fn what_is_read_again_on_a_mount_within_a_share_is_new() {
    let mount = match Mount::bindfs() {
        Ok(mount) => mount,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let (share, within, far) = (mount.path(), "mount", mount.far(0).join("f"));
    let share = share.parent().expect("a directory around it");
    fs::set_permissions(share, fs::Permissions::from_mode(0o777)).expect("permissions");
    let keys = format!("path = {share:?}\npoll_interval = \"100ms\"");
    let server = Server::start("signing = \"offered\"", &[("share", &keys)]);
    fs::write(&far, "a").expect("a file");
    let (mut c, name) = (server.client(), format!("{within}\\f"));
    let options = CreateOptions::NON_DIRECTORY_FILE;
    let request = create(&name, AccessMask::FILE_READ, CreateDisposition::OPEN, options);
    let opened = c.create(&leased(request, 1, RH, None)).expect("an open");
    assert_eq!((state(&opened), c.read(opened.file_id, 0, 10)), (RH, Ok(b"a".to_vec())));
    for byte in [b"b", b"c"] {
        let mut file = fs::OpenOptions::new().write(true).open(&far).expect("a file");
        file.write_all(byte).expect("a write");
        if byte == b"b" {
            let told = c.wait_for(|reply| broken(reply).is_some());
            assert_eq!(broken(&told).map(|told| told.new_lease_state), Some(NONE));
            assert_eq!(c.read(opened.file_id, 0, 10), Ok(b"b".to_vec()));
        }
    }
    // No lease tells of the second one: it is found within the interval.
    let end = Instant::now() + BOUND;
    while c.read(opened.file_id, 0, 10) != Ok(b"c".to_vec()) {
        assert!(Instant::now() < end, "old bytes are read");
    }
}
