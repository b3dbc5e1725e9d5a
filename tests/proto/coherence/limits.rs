//! The same where the kernel's limits are reached: more events than it keeps, and fewer watches than are wanted.
//!
//! The server has a user namespace of its own, so that its limits are nobody else's. Of the limits on waiting events there
//! is one for the whole machine: those are reached while the server stands still.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Scene, Server, setting};

const BOUND: Duration = Duration::from_secs(20);

/// A command that sets limits of the kernel's (in /proc/sys/user) for what it becomes. None: not on this machine.
fn limited(limits: &[(&str, usize)]) -> Option<Vec<String>> {
    let set: String =
        limits.iter().map(|(name, limit)| format!("echo {limit} > /proc/sys/user/{name} && ")).collect();
    // Root in the outer namespace sets the limits; in the inner one the server is an account like others.
    let script = format!("{set} exec unshare --user --map-user=1000 --map-group=1000 -- \"$@\"");
    let by = ["unshare", "--user", "--map-root-user", "--", "sh", "-c", &script, "sh"];
    let works = Command::new(by[0]).args(&by[1..]).arg("true").stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no user namespaces with limits of their own (unshare) on this machine");
        return None;
    }
    Some(by.map(str::to_owned).to_vec())
}

fn start(by: &[String]) -> Server {
    let by: Vec<&str> = by.iter().map(String::as_str).collect();
    Server::start_by(&by, "signing = \"offered\"", &[("share", "watch = \"inotify\"")])
}

/// How many times the server has said it.
fn said(server: &Server, what: &str) -> usize {
    server.log().lines().filter(|line| line.contains(what)).count()
}

/// Bursts of changes that the queue does not hold, with others behind them.
fn overflow(source: &str, server: Server) {
    let kept = fs::read_to_string(format!("/proc/sys/fs/{source}/max_queued_events")).expect("a limit");
    let kept: usize = kept.trim().parse().expect("a number");
    if kept > 1 << 17 {
        return eprintln!("skipped: the kernel keeps {kept} events here");
    }
    let truth = [server.path("share")];
    let mut scene = Scene::new(server, &truth, BOUND);
    let bursts = setting("COHERENCE_CHANGES").map_or(3, |n| (n as usize).div_ceil(20));
    let (directory, elsewhere) = (truth[0].join("a"), scene.server.path("elsewhere"));
    fs::write(&elsewhere, "").expect("a file");
    scene.world.fill();
    for burst in 0..bursts {
        scene.server.freeze();
        // Names that differ, or they are merged; each comes and goes.
        for n in 0..kept + kept / 4 {
            let name = directory.join(format!("burst{n}"));
            fs::hard_link(&elsewhere, &name).expect("a link");
            fs::remove_file(&name).expect("an unlink");
        }
        let what: Vec<_> = (0..20).filter_map(|n| scene.change(burst * 20 + n)).collect();
        scene.server.thaw();
        scene.world.settle(Instant::now(), &format!("burst {burst}: {what:?}"));
        scene.world.fill();
    }
    let lost = said(&scene.server, "more changes than the kernel keeps");
    println!("{source}: {bursts} bursts of {kept} names and 20 changes, {lost} overflows");
    assert!(lost >= bursts, "{}", scene.server.log());
    let status = scene.server.status();
    assert!(status.contains(&format!("async ({source}, ")), "{status}");
}

#[test]
fn more_events_than_fanotify_keeps() {
    overflow("fanotify", Server::plain());
}

#[test]
fn more_events_than_inotify_keeps() {
    // Where there is no fanotify, inotify is asked.
    let Some(by) = limited(&[("max_fanotify_groups", 0)]) else { return };
    overflow("inotify", start(&by));
}

/// As many watches as are wanted, where there is no fanotify.
#[test]
fn what_inotify_tells_of() {
    let Some(by) = limited(&[("max_fanotify_groups", 0)]) else { return };
    let server = start(&by);
    let truth = [server.path("share")];
    let mut scene = Scene::new(server, &truth, BOUND);
    scene.play("inotify", 1_000);
    let status = scene.server.status();
    assert!(status.contains("async (inotify, "), "{status}");
}

/// What cannot be watched is not promised; what is promised holds.
fn exhausted(limits: &[(&str, usize)], sysctl: &str) {
    let Some(by) = limited(limits) else { return };
    let server = start(&by);
    let truth = [server.path("share")];
    let mut scene = Scene::new(server, &truth, BOUND);
    scene.world.refused = Some(0);
    scene.plain = true;
    scene.play(sysctl, 300);
    let refused = scene.world.refused.expect("a count");
    assert!(refused > 0 && scene.world.granted > 0, "{refused} of {}", scene.world.granted);
    assert_eq!(said(&scene.server, sysctl), 1, "{}", scene.server.log());
    println!("{sysctl}: {} leases, {refused} refused", scene.world.granted);
}

#[test]
fn fewer_marks_than_are_wanted() {
    exhausted(&[("max_fanotify_marks", 12)], "fs.fanotify.max_user_marks");
}

#[test]
fn fewer_watches_than_are_wanted() {
    let limits = [("max_fanotify_groups", 0), ("max_inotify_watches", 12)];
    exhausted(&limits, "fs.inotify.max_user_watches");
}
