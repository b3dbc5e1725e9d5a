//! A thread outside SMB swaps directories and symlinks while we open, create and remove. Whatever the moment,
//! nothing outside the export is reached.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;

/// Runs `race` over and over on a thread of its own while `work` runs here for a while: until it says that it has seen
/// enough, which takes longer on a busy machine.
fn during(mut race: impl FnMut() + Send, mut work: impl FnMut() -> bool) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                race();
            }
        });
        let begun = Instant::now();
        loop {
            let most = if work() { 1500 } else { 30_000 };
            if begun.elapsed() >= Duration::from_millis(most) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn swap_for_symlinks(policy: Symlinks) {
    let s = Share::with(Policy { symlinks: policy, ..Policy::default() });
    s.mkdir("d/sub");
    s.write("d/sub/secret", "mine");
    std::fs::create_dir(s.outside().join("sub")).unwrap();
    std::fs::write(s.outside().join("sub/secret"), "theirs").unwrap();
    let theirs = [ino(s.outside()), ino(s.outside().join("sub")), ino(s.outside().join("sub/secret"))];
    let (dir, aside, link) = (s.at("d"), s.at("aside"), s.at("link"));
    symlink(s.outside(), &link).unwrap();
    let (mut hits, mut misses) = (0, 0);
    during(
        || {
            // d: the directory, nothing, a symlink out, nothing, ...
            let _ = std::fs::rename(&dir, &aside);
            let _ = std::fs::rename(&link, &dir);
            let _ = std::fs::rename(&dir, &link);
            let _ = std::fs::rename(&aside, &dir);
        },
        || {
            for path in ["d\\sub\\secret", "D\\SUB\\SECRET", "d\\sub", "d"] {
                match s.look(path) {
                    Ok(Lookup::Found(found)) => {
                        assert!(!theirs.contains(&found.stat.key.ino), "reached outside by {path}");
                        hits += 1;
                    }
                    _ => misses += 1,
                }
            }
            if let Ok(Lookup::Missing(missing)) = s.look("d\\sub\\made")
                && let Ok(made) = s.export.create(&missing, new_file())
            {
                let _ = s.export.rename(&made.object, &made.path, &missing_target(&s), true);
                let _ = s.export.remove(&made.object, &made.path);
            }
            hits > 100 && misses > 10
        },
    );
    assert!(hits > 100 && misses > 10, "a race was run: {hits} {misses}");
    let left: Vec<_> =
        std::fs::read_dir(s.outside().join("sub")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["secret"], "nothing made or removed outside");
    assert_eq!(std::fs::read_to_string(s.outside().join("sub/secret")).unwrap(), "theirs");
}

fn missing_target(s: &Share) -> Target {
    let missing = |path: &str| SmbPath::parse(path).unwrap();
    loop {
        if let Ok(target) = s.export.target(&missing("d\\sub\\moved")) {
            return target;
        }
    }
}

#[test]
fn symlinks_inside() {
    swap_for_symlinks(Symlinks::Inside);
}

#[test]
fn symlinks_never() {
    swap_for_symlinks(Symlinks::Never);
}

/// A directory that is moved out while a path with `..` symlinks in it is walked.
#[test]
fn a_directory_moved_out_of_the_export() {
    let s = Share::new();
    s.mkdir("a/b/c");
    s.write("target", "mine");
    symlink("../../../target", s.at("a/b/c/up")).unwrap();
    std::fs::create_dir_all(s.outside().join("x/y")).unwrap();
    std::fs::write(s.outside().join("target"), "theirs").unwrap();
    std::fs::write(s.outside().join("x/target"), "theirs").unwrap();
    let mine = ino(s.at("target"));
    let (inner, outer) = (s.at("a/b"), s.outside().join("x/y/b"));
    let mut hits = 0;
    during(
        || {
            let _ = std::fs::rename(&inner, &outer);
            let _ = std::fs::rename(&outer, &inner);
        },
        || {
            if let Ok(Lookup::Found(found)) = s.look("a\\b\\c\\up") {
                assert_eq!(found.stat.key.ino, mine);
                hits += 1;
            }
            hits > 100
        },
    );
    assert!(hits > 100);
}

/// Removing checks that the name is still the object's.
#[test]
fn remove_never_takes_another_file() {
    let s = Share::new();
    s.write("f", "old");
    let found = s.found("f");
    std::fs::remove_file(s.at("f")).unwrap();
    s.write("f", "new");
    assert_eq!(err(s.export.remove(&found.object, &found.path)), NtStatus::OBJECT_NAME_NOT_FOUND);
    let target = s.target("g");
    assert_eq!(
        err(s.export.rename(&found.object, &found.path, &target, true)),
        NtStatus::OBJECT_NAME_NOT_FOUND
    );
    assert_eq!(std::fs::read_to_string(s.at("f")).unwrap(), "new");
}
