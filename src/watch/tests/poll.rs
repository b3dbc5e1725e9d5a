//! What looking again and again finds.

use super::*;

fn world() -> World {
    World::new(&[Via::POLL])
}

#[test]
fn what_others_change_is_found() {
    let mut w = world();
    w.sh("mkdir -p d/sub; touch d/a d/b d/c");
    let d = w.notify("d", NAMES | Filter::SIZE | Filter::ATTRIBUTES, false);
    w.sh("touch d/new");
    w.expect(d, &[(A::ADDED, "new")]);
    w.sh("rm d/new");
    w.expect(d, &[(A::REMOVED, "new")]);
    w.sh("mv d/a d/z");
    w.expect(d, &[(A::RENAMED_OLD_NAME, "a"), (A::RENAMED_NEW_NAME, "z")]);
    w.sh("echo x > d/b");
    w.expect(d, &[(A::MODIFIED, "b")]);
    w.sh("chmod 600 d/c; chmod 700 d/sub; rm d/b; mkdir d/b; touch d/sub/unseen");
    let mut told = w.until(d, (A::MODIFIED, "sub"));
    told.sort_by(|a, b| (&a.1, a.0.0).cmp(&(&b.1, b.0.0)));
    let told: Vec<_> = told.iter().map(|(action, name)| (*action, name.as_str())).collect();
    assert_eq!(told, [(A::ADDED, "b"), (A::REMOVED, "b"), (A::MODIFIED, "c"), (A::MODIFIED, "sub")]);
}

#[test]
fn a_subtree_is_polled_with_what_appears_in_it() {
    let mut w = world();
    w.sh("mkdir -p d/x/y");
    let d = w.notify("d", NAMES, true);
    w.sh("mkdir -p d/p/q; touch d/p/q/f d/x/y/g");
    let told = w.until_all(d, ["p\\q\\f", "x\\y\\g"]);
    let names: Vec<_> = told.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["p", "p\\q", "p\\q\\f", "x\\y\\g"], "each once");
    w.sh("touch d/p/q/h; rm -r d/x");
    let mut told = w.until(d, (A::ADDED, "p\\q\\h"));
    while !told.iter().any(|(action, name)| *action == A::REMOVED && name == "x") {
        told.extend(w.until(d, (A::REMOVED, "x")));
    }
    assert!(told.iter().all(|(_, name)| name.starts_with('x') || name == "p\\q\\h"), "{told:?}");
}

#[test]
fn our_own_names_are_not_told_again() {
    let mut w = world();
    w.sh("mkdir d e; touch d/old");
    let d = w.notify("d", NAMES, false);
    for n in 0..30 {
        w.make(&format!("d\\{n}"), n % 2 == 0);
        w.rename(&format!("d\\{n}"), &format!("d\\{n}x"));
        if n % 3 == 0 {
            w.remove(&format!("d\\{n}x"));
        }
        std::thread::sleep(Duration::from_millis(15));
    }
    w.remove("d\\old");
    w.sh("touch d/end");
    w.expect(d, &[(A::ADDED, "end")]);
    // Somebody else's of the same names are.
    w.sh("rmdir d/2x");
    w.expect(d, &[(A::REMOVED, "2x")]);
}

#[test]
fn a_write_breaks_what_is_cached() {
    let mut w = world();
    w.sh("echo x > f; ln f g");
    let (one, _) = w.open("f", Interest::CONTENT, false);
    for script in ["echo y >> g", "truncate -s 0 f"] {
        let got = w.rules.lock().request_oplock(one, OplockLevel::LEVEL_II, Moment::default());
        assert_eq!(got, OplockLevel::LEVEL_II);
        w.sh(script);
        let effect = w.effects.recv_timeout(PATIENCE).unwrap();
        assert_eq!(
            effect,
            Effect::Break { open: one, to: OplockLevel::NONE, acknowledge: false },
            "{script}"
        );
    }
    w.sh("mv f h");
    let end = Instant::now() + PATIENCE;
    while !w.rules.lock().is_gone(one) {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn whether_we_wrote_or_others_did_is_not_known_so_what_is_cached_breaks_and_nobody_is_told() {
    let mut w = world();
    w.sh("mkdir d; echo x > d/f");
    let (one, key) = w.open("d/f", Interest::CONTENT, false);
    let d = w.notify("d", NAMES | Filter::SIZE | Filter::LAST_WRITE, false);
    let got = w.rules.lock().request_oplock(one, OplockLevel::LEVEL_II, Moment::default());
    assert_eq!(got, OplockLevel::LEVEL_II);
    // Through another open, which breaks nothing here: as if it had been granted since.
    let ours =
        crate::fsa::change::Change::modified(RelPath::from("d/f"), false, crate::fsa::change::Facets::EA);
    let now = Moment(w.watch.0.now().0);
    drop(crate::fsa::change::apply(&mut w.rules.lock(), &ours.by(OpenId(99)).of(key), now));
    std::fs::write(w.at("d/f"), "longer than before").unwrap();
    let effect = w.effects.recv_timeout(PATIENCE).unwrap();
    assert_eq!(effect, Effect::Break { open: one, to: OplockLevel::NONE, acknowledge: false });
    w.sh("touch d/end");
    w.expect(d, &[(A::ADDED, "end")]);
}

#[test]
fn looks_keep_to_their_budget_and_end_with_the_need() {
    let mut w = world();
    w.sh("mkdir d; cd d; seq 1 1500 | xargs touch");
    let d = w.notify("d", NAMES, false);
    w.sh("touch d/end");
    w.expect(d, &[(A::ADDED, "end")]);
    // A look at each of them takes longer than the interval: that is said.
    let end = Instant::now() + PATIENCE;
    loop {
        match w.watch.status().level {
            super::super::Level::Poll(bound) if bound > Duration::from_millis(500) => break,
            level => assert!(Instant::now() < end, "{level:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    w.tokens.clear();
    w.watch.0.sweep(Some(Instant::now()));
    assert_eq!(w.watch.0.polls.lock().len(), 0);
}
