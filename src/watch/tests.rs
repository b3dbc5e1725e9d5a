//! What is told of changes that others make, and what is not told of our own. "Others" are processes of their own: a
//! shell. The tests run with each source.

mod links;
mod poll;
mod source;
mod table;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{ExportSlot, Ground, Interest, Mode, Token, Via, Watch};
use crate::fsa::{
    Effect, Filter, Moment, Notified, NotifyAction, NotifyAsk, Notifying, OpenAsk, Opening, RelPath, Tree,
    WaiterId,
};
use crate::posix::{Export, Found, Last, Lookup, NewFile, Policy, SmbPath};
use crate::types::{AccessMask, NodeKey, OpenId, OplockLevel, ShareAccess};

/// Longer than any event takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    dir: tempfile::TempDir,
    rules: Arc<Mutex<Tree>>,
    watch: Watch,
    export: Arc<Export>,
    effects: Receiver<Effect>,
    next: u64,
    tokens: Vec<Token>,
    /// What was told and not asked for yet.
    told: Vec<(NotifyAction, String)>,
}

use NotifyAction as A;

impl World {
    /// In memory, where that is possible: some tests make many files.
    fn new(via: &'static [Via]) -> World {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let slot = ExportSlot::default();
        let rules = Arc::new(Mutex::new(Tree::new()));
        let (sender, effects) = channel();
        let sender = Mutex::new(sender);
        let watch = Watch::new(Ground {
            name: "test".to_owned(),
            rules: Arc::clone(&rules),
            epoch: Instant::now(),
            export: Arc::clone(&slot),
            carry_out: Box::new(move |done| {
                let sender = sender.lock();
                done.into_iter().for_each(|effect| sender.send(effect).unwrap());
            }),
        });
        watch.by(via);
        if via == [Via::POLL] {
            watch.configure(Mode::Poll, Duration::from_millis(100));
        }
        let policy = Policy { watcher: Some(watch.watcher()), ..Policy::default() };
        let export = Arc::new(Export::open(dir.path(), policy).unwrap());
        *slot.lock() = Some(Arc::clone(&export));
        World { dir, rules, watch, export, effects, next: 1, tokens: Vec::new(), told: Vec::new() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Somebody else.
    #[track_caller]
    fn sh(&self, script: &str) {
        let status = Command::new("sh").arg("-ec").arg(script).current_dir(self.dir.path()).status().unwrap();
        assert!(status.success(), "{script}");
    }

    /// What a client does.
    fn make(&self, name: &str, directory: bool) {
        let path = SmbPath::parse(name).unwrap();
        let Ok(Lookup::Missing(missing)) = self.export.lookup(&path, Last::Keep) else {
            panic!("{name} is there");
        };
        self.export.create(&missing, NewFile { directory, ..Default::default() }).unwrap();
    }

    fn found(&self, name: &str) -> Found {
        match self.export.lookup(&SmbPath::parse(name).unwrap(), Last::Keep) {
            Ok(Lookup::Found(found)) => found,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn rename(&self, from: &str, to: &str) {
        let found = self.found(from);
        let target = self.export.target(&SmbPath::parse(to).unwrap()).unwrap();
        self.export.rename(&found.object, &found.path, &target, true).unwrap();
    }

    fn remove(&self, name: &str) {
        let found = self.found(name);
        self.export.remove(&found.object, &found.path).unwrap();
    }

    /// Opens it as a client would, with a watch.
    fn open(&mut self, name: &str, interest: Interest, deep: bool) -> (OpenId, NodeKey) {
        let path = RelPath::new(name.as_bytes());
        let found = self.export.open_rel(&super::disk_path(&path)).unwrap();
        let directory = found.stat.kind == crate::posix::Kind::Directory;
        let open = OpenId(self.next);
        self.next += 1;
        let ask = OpenAsk {
            directory,
            links: found.stat.nlink,
            access: AccessMask::FILE_READ,
            share: ShareAccess::READ | ShareAccess::WRITE | ShareAccess::DELETE,
            ..OpenAsk::new(open, found.stat.key, path.clone())
        };
        assert_eq!(self.rules.lock().open(ask, Moment::default()), Opening::Granted(vec![]));
        let token = match deep {
            true => self.watch.ensure_tree(&found.object, &path, interest),
            false => self.watch.ensure(&found.object, &path, interest),
        };
        self.tokens.push(token.unwrap());
        (open, found.stat.key)
    }

    fn ask(&mut self, open: OpenId, filter: Filter, recursive: bool) {
        loop {
            let waiter = WaiterId(self.next);
            self.next += 1;
            let ask = NotifyAsk { open, waiter, filter, recursive, buffer: 60_000 };
            match self.rules.lock().notify(&ask, Moment::default()) {
                Notifying::Answered(Notified::Events(events)) => {
                    self.told.extend(events.into_iter().map(|event| (event.action, event.name)));
                }
                Notifying::Waiting => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Watches a directory as CHANGE_NOTIFY does.
    fn notify(&mut self, name: &str, filter: Filter, recursive: bool) -> OpenId {
        let (open, _) = self.open(name, Interest::NAMES | Interest::CONTENT, recursive);
        self.ask(open, filter, recursive);
        open
    }

    /// What is told, up to the given event.
    #[track_caller]
    fn until(&mut self, open: OpenId, last: (NotifyAction, &str)) -> Vec<(NotifyAction, String)> {
        let end = Instant::now() + PATIENCE;
        let is_last = |(action, name): &(NotifyAction, String)| (*action, name.as_str()) == last;
        loop {
            if let Some(at) = self.told.iter().position(is_last) {
                return self.told.drain(..=at).collect();
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.effects.recv_timeout(left) {
                Ok(Effect::Notify { answer: Notified::Events(events), .. }) => {
                    self.told.extend(events.into_iter().map(|event| (event.action, event.name)));
                    self.ask(open, Filter::empty(), false);
                }
                Ok(other) => panic!("{other:?}; told: {:?}", self.told),
                Err(e) => panic!("{last:?} was not told: {e}; told: {:?}", self.told),
            }
        }
    }

    /// What is told until all of these were added, by name.
    #[track_caller]
    fn until_all(&mut self, open: OpenId, added: [&str; 2]) -> Vec<(NotifyAction, String)> {
        let mut told = Vec::new();
        for name in added {
            if !told.iter().any(|(_, there)| there == name) {
                told.extend(self.until(open, (A::ADDED, name)));
            }
        }
        told.sort_by(|a, b| a.1.cmp(&b.1));
        told
    }

    #[track_caller]
    fn expect(&mut self, open: OpenId, expected: &[(NotifyAction, &str)]) {
        let told = self.until(open, *expected.last().unwrap());
        let told: Vec<_> = told.iter().map(|(action, name)| (*action, name.as_str())).collect();
        assert_eq!(told, expected);
    }
}

/// Each test with each of the kernel's ways.
macro_rules! with_both {
    ($($name:ident)*) => {
        mod fanotify {
            $(#[test]
            fn $name() {
                super::$name(super::World::new(&[super::Via::FANOTIFY]));
            })*
        }
        mod inotify {
            $(#[test]
            fn $name() {
                super::$name(super::World::new(&[super::Via::INOTIFY]));
            })*
        }
    };
}

with_both! {
    names_and_pairs_are_told
    content_and_attributes_of_what_is_in_the_directory_are_told
    our_own_changes_are_not_told_again
    a_subtree_is_told_with_what_appears_in_it
    a_subtree_moved_in_is_watched_and_one_moved_out_is_not
    what_a_client_makes_in_a_subtree_is_watched_and_not_told_again
    a_watched_directory_keeps_its_watch_under_a_new_name
    a_watched_directory_that_is_deleted_ends_its_notifications
    a_write_from_outside_breaks_what_is_cached_through_any_name
    what_was_done_before_has_been_told_once_it_has_caught_up
    a_file_whose_name_is_gone_is_known_to_be
    a_name_that_is_gone_is_told_though_its_file_is_opened_by_the_new_one_first
    lost_events_are_told_as_lost
    marks_that_nobody_needs_go
    a_name_index_learns_of_names_that_others_make
}

const NAMES: Filter = Filter::FILE_NAME.union(Filter::DIR_NAME);

fn names_and_pairs_are_told(mut w: World) {
    w.sh("mkdir d");
    let d = w.notify("d", NAMES, false);
    w.sh("cd d; : > a; mkdir s; mv a b; mv b ../b; mv ../b c; rm c; rmdir s; ln -s x l; mkfifo f; : > end");
    w.expect(
        d,
        &[
            (A::ADDED, "a"),
            (A::ADDED, "s"),
            (A::RENAMED_OLD_NAME, "a"),
            (A::RENAMED_NEW_NAME, "b"),
            (A::REMOVED, "b"),
            (A::ADDED, "c"),
            (A::REMOVED, "c"),
            (A::REMOVED, "s"),
            (A::ADDED, "l"),
            (A::ADDED, "f"),
            (A::ADDED, "end"),
        ],
    );
}

fn content_and_attributes_of_what_is_in_the_directory_are_told(mut w: World) {
    w.sh("mkdir -p d/sub; cd d; touch a b c e");
    let d = w.notify("d", Filter::SIZE | Filter::LAST_WRITE | Filter::ATTRIBUTES, false);
    let scripts = [
        ("echo x > d/a", "a"),
        ("chmod 600 d/b", "b"),
        ("chmod 700 d/sub", "sub"),
        ("touch d/c", "c"),
        ("truncate -s 5 d/e", "e"),
    ];
    for (n, (script, name)) in scripts.into_iter().enumerate() {
        w.sh(script);
        let told = w.until(d, (A::MODIFIED, name));
        // One script may be several system calls.
        let so_far = |name: &String| scripts[..=n].iter().any(|(_, known)| known == name);
        assert!(
            told.iter().all(|(action, name)| *action == A::MODIFIED && so_far(name)),
            "{script}: {told:?}"
        );
    }
}

fn our_own_changes_are_not_told_again(mut w: World) {
    w.sh("mkdir d e");
    let d = w.notify("d", NAMES, false);
    w.make("d\\own", false);
    w.rename("d\\own", "d\\own2");
    w.rename("d\\own2", "e\\own2");
    w.rename("e\\own2", "d\\own3");
    w.make("d\\own", false);
    w.rename("d\\own3", "d\\own");
    w.remove("d\\own");
    // Somebody else's of the same name are.
    w.sh("touch d/own; rm d/own; : > d/end");
    w.expect(d, &[(A::ADDED, "own"), (A::REMOVED, "own"), (A::ADDED, "end")]);
}

fn a_subtree_is_told_with_what_appears_in_it(mut w: World) {
    w.sh("mkdir -p d/x/y");
    let d = w.notify("d", NAMES, true);
    w.sh("touch d/x/y/f");
    w.expect(d, &[(A::ADDED, "x\\y\\f")]);
    // Faster than anybody can mark them.
    w.sh("mkdir -p d/p/q/r; touch d/p/q/r/f d/p/g");
    let told = w.until_all(d, ["p\\q\\r\\f", "p\\g"]);
    let names: Vec<_> = told.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["p", "p\\g", "p\\q", "p\\q\\r", "p\\q\\r\\f"], "each once");
    assert!(told.iter().all(|(action, _)| *action == A::ADDED));
    w.sh("mv d/p d/z; touch d/z/q/r/h; cd d/z/q; rm r/f r/h; rmdir r");
    w.expect(
        d,
        &[
            (A::RENAMED_OLD_NAME, "p"),
            (A::RENAMED_NEW_NAME, "z"),
            (A::ADDED, "z\\q\\r\\h"),
            (A::REMOVED, "z\\q\\r\\f"),
            (A::REMOVED, "z\\q\\r\\h"),
            (A::REMOVED, "z\\q\\r"),
        ],
    );
}

fn a_subtree_moved_in_is_watched_and_one_moved_out_is_not(mut w: World) {
    w.sh("mkdir -p d other/sub/deep");
    let d = w.notify("d", NAMES, true);
    w.sh("mv other d/in");
    w.expect(d, &[(A::ADDED, "in")]);
    // It is entered a moment later.
    let end = Instant::now() + PATIENCE;
    while w.watch.status().watched < 5 {
        assert!(Instant::now() < end, "{:?}", w.watch.status());
        std::thread::sleep(Duration::from_millis(1));
    }
    w.sh("touch d/in/sub/deep/f; mv d/in out; touch out/sub/deep/g d/end");
    w.expect(d, &[(A::ADDED, "in\\sub\\deep\\f"), (A::REMOVED, "in"), (A::ADDED, "end")]);
}

fn what_a_client_makes_in_a_subtree_is_watched_and_not_told_again(mut w: World) {
    w.sh("mkdir d");
    let d = w.notify("d", NAMES, true);
    for n in 0..50 {
        w.make(&format!("d\\own{n}"), true);
        for m in 0..5 {
            w.make(&format!("d\\own{n}\\{m}"), m % 2 == 0);
        }
    }
    let end = Instant::now() + PATIENCE;
    while w.watch.status().watched < 202 {
        assert!(Instant::now() < end, "{:?}", w.watch.status());
        std::thread::sleep(Duration::from_millis(1));
    }
    w.sh("touch d/own7/2/f");
    w.expect(d, &[(A::ADDED, "own7\\2\\f")]);
}

fn a_watched_directory_keeps_its_watch_under_a_new_name(mut w: World) {
    w.sh("mkdir -p a/d b");
    let d = w.notify("a/d", NAMES, false);
    w.sh("touch a/d/1; mv a/d a/e; touch a/e/2");
    w.expect(d, &[(A::ADDED, "1"), (A::ADDED, "2")]);
    assert_eq!(w.rules.lock().path_of(d), Some(RelPath::from("a/e")));
    // Where nobody watches.
    w.sh("mv a/e b/f; touch b/f/3");
    w.expect(d, &[(A::ADDED, "3")]);
    let end = Instant::now() + PATIENCE;
    while w.rules.lock().path_of(d) != Some(RelPath::from("b/f")) {
        assert!(Instant::now() < end && !w.rules.lock().is_gone(d));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn a_watched_directory_that_is_deleted_ends_its_notifications(mut w: World) {
    w.sh("mkdir -p a/d");
    w.notify("a/d", NAMES, false);
    w.sh("rmdir a/d");
    let effect = w.effects.recv_timeout(PATIENCE).unwrap();
    let deleted = Notified::Status(crate::types::NtStatus::DELETE_PENDING);
    assert!(matches!(&effect, Effect::Notify { answer, .. } if *answer == deleted), "{effect:?}");
}

fn a_write_from_outside_breaks_what_is_cached_through_any_name(mut w: World) {
    w.sh("mkdir d e; echo x > d/f; ln d/f e/g");
    let (one, _) = w.open("d/f", Interest::CONTENT, false);
    for script in ["echo y >> d/f", "echo z >> e/g", "truncate -s 0 e/g"] {
        assert_eq!(
            w.rules.lock().request_oplock(one, OplockLevel::LEVEL_II, Moment::default()),
            OplockLevel::LEVEL_II
        );
        // Our own does not: the door was told.
        std::fs::OpenOptions::new()
            .append(true)
            .open(w.at("d/f"))
            .map(|f| std::io::Write::write(&mut &f, b"own"))
            .unwrap()
            .unwrap();
        w.sh(script);
        let effect = w.effects.recv_timeout(PATIENCE).unwrap();
        assert_eq!(
            effect,
            Effect::Break { open: one, to: OplockLevel::NONE, acknowledge: false },
            "{script}"
        );
    }
    // And what follows is not told again.
    assert!(w.effects.try_recv().is_err());
}

fn what_was_done_before_has_been_told_once_it_has_caught_up(mut w: World) {
    w.sh("echo x > f");
    let (one, _) = w.open("f", Interest::CONTENT, false);
    for _ in 0..30 {
        assert_eq!(
            w.rules.lock().request_oplock(one, OplockLevel::LEVEL_II, Moment::default()),
            OplockLevel::LEVEL_II
        );
        w.sh("echo y >> f");
        while !w.watch.catches_up() {}
        assert_eq!(w.rules.lock().oplock_of(one), OplockLevel::NONE);
    }
}

fn a_file_whose_name_is_gone_is_known_to_be(mut w: World) {
    w.sh("mkdir d e; echo x > d/f");
    let (one, _) = w.open("d/f", Interest::CONTENT, false);
    w.sh("mv d/f e/g");
    let end = Instant::now() + PATIENCE;
    while w.rules.lock().path_of(one) != Some(RelPath::from("e/g")) {
        assert!(Instant::now() < end && !w.rules.lock().is_gone(one));
        std::thread::sleep(Duration::from_millis(1));
    }
    w.sh("rm e/g");
    while !w.rules.lock().is_gone(one) {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn a_name_that_is_gone_is_told_though_its_file_is_opened_by_the_new_one_first(mut w: World) {
    w.sh("mkdir d e; echo x > d/f");
    let (_, node) = w.open("d/f", Interest::CONTENT, false);
    let d = w.notify("d", NAMES, false);
    {
        // Nobody looks at the disk meanwhile.
        let _export = w.watch.0.ground.export.lock();
        w.sh("mv d/f e/g");
        let end = Instant::now() + PATIENCE;
        while !w.rules.lock().is_missing(&RelPath::from("d/f")) {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(1));
        }
        let ask =
            OpenAsk { share: ShareAccess::all(), ..OpenAsk::new(OpenId(99), node, RelPath::from("e/g")) };
        assert_eq!(w.rules.lock().open(ask, Moment::default()), Opening::Granted(vec![]));
        assert_eq!(w.rules.lock().node_at(&RelPath::from("d/f")), None);
    }
    w.expect(d, &[(A::REMOVED, "f")]);
}

fn lost_events_are_told_as_lost(mut w: World) {
    w.sh("mkdir -p d/sub; echo x > f");
    let (cached, _) = w.open("f", Interest::CONTENT, false);
    assert_eq!(
        w.rules.lock().request_oplock(cached, OplockLevel::LEVEL_II, Moment::default()),
        OplockLevel::LEVEL_II
    );
    w.notify("d", NAMES, true);
    let limit = |way: &str| -> usize {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/{way}/max_queued_events")).unwrap();
        text.trim().parse().unwrap()
    };
    let limit = limit("fanotify").max(limit("inotify"));
    {
        // Nobody reads meanwhile.
        let _rules = w.rules.lock();
        for n in 0..limit + 3000 {
            std::fs::File::create(w.at(&format!("d/{n}"))).unwrap();
        }
        w.sh("mkdir -p d/late/later");
    }
    let end = Instant::now() + PATIENCE;
    let (mut broken, mut told) = (false, false);
    while !(broken && told) {
        match w.effects.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Effect::Break { open, .. }) => broken |= open == cached,
            Ok(Effect::Notify { .. }) => told = true,
            other => panic!("{other:?}"),
        }
    }
    // Directories that came meanwhile are found.
    while w.watch.status().watched < 6 {
        assert!(Instant::now() < end, "{:?}", w.watch.status());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn marks_that_nobody_needs_go(mut w: World) {
    w.sh("mkdir -p d/x; : > f");
    w.notify("d", NAMES, true);
    w.open("f", Interest::CONTENT, false);
    assert_eq!(w.watch.status().watched, 4, "d, what is above, x, f");
    w.tokens.clear();
    assert_eq!(w.watch.status().watched, 0);
    w.watch.0.sweep(Some(Instant::now()));
    assert_eq!(w.watch.0.inner.lock().table.len(), 0);
    let marks = std::fs::read_dir("/proc/self/fdinfo").unwrap().filter_map(Result::ok).any(|info| {
        let text = std::fs::read_to_string(info.path()).unwrap_or_default();
        let ino = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(w.at("f")).unwrap());
        text.lines().any(|line| line.contains("notify ") && line.contains(&format!("ino:{ino:x} ")))
    });
    assert!(!marks, "the kernel still has a mark");
}

fn a_name_index_learns_of_names_that_others_make(w: World) {
    w.sh("mkdir d; cd d; seq 1 8000 | xargs touch");
    let find = |name: &str| {
        let path = crate::posix::SmbPath::parse(&format!("d\\{name}")).unwrap();
        matches!(w.export.lookup(&path, crate::posix::Last::Keep), Ok(crate::posix::Lookup::Found(_)))
    };
    assert!(!find("one"));
    std::fs::write(w.at("d/ours"), "").unwrap();
    assert!(find("OURS"));
    assert_eq!(w.watch.status().watched, 1, "it takes long to read");
    let scans = w.export.scans();
    for n in 0..20 {
        w.sh(&format!("touch d/Theirs{n}"));
        let end = Instant::now() + PATIENCE;
        while !find(&format!("THEIRS{n}")) {
            assert!(Instant::now() < end);
        }
    }
    // By what others did, and not by ours.
    let scanned = w.export.scans() - scans;
    for n in 0..100 {
        std::fs::write(w.at("d/ours"), "").unwrap();
        assert!(find("OURS") && !find(&format!("none{n}")));
    }
    assert!((20..=60).contains(&scanned), "{scanned}");
    assert!(w.export.scans() - scans - scanned <= 1);
}
