//! What the sources themselves say.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use super::super::source::{Event, Origin, Source, What};
use super::super::{fanotify, inotify};
use super::*;

/// The first event like that; those before it are dropped.
#[track_caller]
fn until(source: &dyn Source, waiting: &mut VecDeque<Event>, wanted: impl Fn(&Event) -> bool) -> Event {
    let end = Instant::now() + PATIENCE;
    loop {
        while let Some(event) = waiting.pop_front() {
            if wanted(&event) {
                return event;
            }
        }
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(1));
        waiting.extend(source.read().unwrap().unwrap_or_default());
    }
}

fn opens_of_a_file_are_told(source: &dyn Source, knows: bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, "x").unwrap();
    let file = File::open(&path).unwrap();
    let key = crate::posix::key_of(&file).unwrap();
    source.add(file.as_fd(), key, false, Interest::OPENS | Interest::CONTENT).unwrap();
    let waiting = &mut VecDeque::new();
    let opened = |event: &Event| event.what == What::Opened && event.node == Some(key);

    let mut own = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    own.write_all(b"y").unwrap();
    let origin = until(source, waiting, opened).origin;
    assert_eq!(origin, if knows { Origin::Own } else { Origin::Unknown });
    let written = |event: &Event| matches!(&event.what, What::Modified { at: None, facets } if facets.contains(crate::fsa::change::Facets::DATA));
    assert_eq!(until(source, waiting, written).origin, if knows { Origin::Own } else { Origin::Unknown });

    assert!(Command::new("cat").arg(&path).output().unwrap().status.success());
    let theirs = |event: &Event| opened(event) && event.origin != Origin::Own;
    assert_eq!(until(source, waiting, theirs).origin, if knows { Origin::Outside } else { Origin::Unknown });
    // Nothing is heard of what was taken away.
    source.remove(Some(file.as_fd()), key, false);
    while source.read().unwrap().is_some() {}
    assert!(Command::new("cat").arg(&path).output().unwrap().status.success());
    let after = source.read().unwrap().unwrap_or_default();
    assert!(!after.iter().any(|event| event.what == What::Opened), "{after:?}");
}

#[test]
fn fanotify_tells_who_opened_a_file() {
    opens_of_a_file_are_told(&fanotify::Fanotify::new().unwrap(), true);
}

#[test]
fn inotify_does_not() {
    opens_of_a_file_are_told(&inotify::Inotify::new().unwrap(), false);
}

#[test]
fn where_one_source_cannot_the_next_does() {
    let mut w = World::new(super::super::mark::SOURCES);
    w.sh("mkdir d");
    let dev = w.export.root_key().dev;
    w.watch.0.inner.lock().cannot.insert((dev, Via::FANOTIFY));
    let d = w.notify("d", NAMES, false);
    w.sh("touch d/f");
    w.expect(d, &[(A::ADDED, "f")]);
    assert_eq!(w.watch.status().sources, ["inotify"]);
}

#[test]
fn what_is_switched_off_promises_nothing() {
    let w = World::new(super::super::mark::SOURCES);
    w.watch.configure(Mode::Off, Duration::from_secs(2));
    let found = w.found("");
    let path = RelPath::root();
    let refused = w.watch.ensure(&found.object, &path, Interest::NAMES).unwrap_err();
    assert_eq!(refused, super::super::NoWatch::Off);
    assert_eq!(w.watch.status().level, super::super::Level::None);
}
