//! Files with more names than one.

use super::*;

#[test]
fn of_each_name_it_is_known_that_it_is_gone() {
    for via in [Via::FANOTIFY, Via::INOTIFY, Via::POLL] {
        let sources: &'static [Via] = match via {
            Via::FANOTIFY => &[Via::FANOTIFY],
            Via::INOTIFY => &[Via::INOTIFY],
            _ => &[Via::POLL],
        };
        let mut w = World::new(sources);
        w.sh("mkdir x y z; : > y/f; ln y/f x/f");
        let (_, node) = w.open("y/f", Interest::CONTENT, false);
        w.open("x/f", Interest::CONTENT, false);
        // To where nobody sees it.
        w.sh("mv x/f z/f");
        let at = |name: &str| w.rules.lock().node_at(&RelPath::new(name.as_bytes()));
        let end = Instant::now() + PATIENCE;
        while at("x/f").is_some() {
            assert!(Instant::now() < end, "{via:?}: the name that is gone is still known");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(at("y/f"), Some(node), "{via:?}");
    }
}
