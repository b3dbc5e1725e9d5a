//! Streams that no xattr holds: in the database, and on the way there and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::sys::xattr;
use crate::types::NodeKey;

/// A store whose edits fail from some moment on, as those of a process that died then.
#[derive(Default)]
struct Fragile {
    inner: MemorySide,
    /// 0: it does not fail.
    edits_left: AtomicUsize,
}

impl SideStore for Fragile {
    fn get(&self, key: NodeKey, name: &str) -> Option<Vec<u8>> {
        self.inner.get(key, name)
    }

    fn put(&self, key: NodeKey, name: &str, value: &[u8]) {
        self.inner.put(key, name, value);
    }

    fn knows(&self, name: &str) -> bool {
        self.inner.knows(name)
    }

    fn remove(&self, key: NodeKey) {
        SideStore::remove(&self.inner, key);
    }
}

impl Records for Fragile {
    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.record(key)
    }

    fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.inner.keys(prefix)
    }

    fn edit(&self, edits: Vec<RecordEdit>) -> Result<()> {
        match self.edits_left.load(Ordering::Relaxed) {
            0 => {}
            1 => return Err(NtStatus::IO_DEVICE_ERROR),
            left => self.edits_left.store(left - 1, Ordering::Relaxed),
        }
        self.inner.edit(edits)
    }

    fn no_records(&self) -> bool {
        self.inner.no_records()
    }
}

struct Place {
    share: Share,
    side: Arc<Fragile>,
    xattrs: bool,
}

impl Place {
    fn new() -> Place {
        let side = Arc::new(Fragile::default());
        let share = Share::with(Policy { side: side.clone(), ..Policy::default() });
        share.write("f", "file");
        let xattrs = share.export.facts().xattrs;
        Place { share, side, xattrs }
    }

    /// The same files, as if their file system had no xattrs.
    fn without_xattrs() -> Place {
        let mut place = Place::new();
        let policy = Policy { side: place.side.clone(), ..Policy::default() };
        place.share.export = Export::open_without_xattrs(&place.share.at(""), policy).unwrap();
        place.xattrs = false;
        place
    }

    fn stream(&self, file: &str, name: &str) -> Object {
        let export = &self.share.export;
        let mut object = self.share.found(file).object;
        let there = export.find_stream(&object, name).unwrap();
        if there.is_none() {
            export.create_stream(&object, name).unwrap();
        }
        export.open_stream(&mut object, there.as_deref().unwrap_or(name));
        object
    }

    fn names(&self, file: &str) -> Vec<String> {
        let streams = self.share.export.streams(&self.share.found(file).object).unwrap();
        let mut names: Vec<_> = streams.into_iter().map(|s| format!("{} {}", s.name, s.size)).collect();
        names.sort();
        names
    }

    /// What is in the xattr of stream `s` of `f`.
    fn in_xattr(&self) -> Option<usize> {
        let object = self.share.found("f").object;
        let got = xattr::get(object.as_fd(), c"user.DosStream.s:$DATA", &mut []);
        got.ok().filter(|_| self.xattrs).map(|len| len - 1)
    }

    fn records(&self) -> usize {
        self.side.keys(&[]).unwrap().len()
    }
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i + seed) * 31 % 251) as u8).collect()
}

fn all(object: &Object) -> Vec<u8> {
    let mut buf = vec![0; object.size().unwrap() as usize + 9];
    let len = object.read_at(0, &mut buf).unwrap();
    buf.truncate(len);
    buf
}

#[test]
fn a_stream_moves_as_its_size_demands() {
    for place in [Place::new(), Place::without_xattrs()] {
        let s = place.stream("f", "s");
        s.write_at(0, &pattern(1000, 0), false).unwrap();
        assert_eq!(place.in_xattr(), place.xattrs.then_some(1000));
        let big = pattern(300_000, 0);
        s.write_at(1000, &big[1000..], false).unwrap();
        assert_eq!(place.in_xattr(), None);
        assert!(place.records() > 70);
        assert!(all(&s) == big);
        assert_eq!(place.names("f"), ["s 300000"]);
        assert_eq!(place.share.export.stat(&s).unwrap().size, 300_000);
        s.set_size(1500).unwrap();
        assert!(all(&s) == big[..1500]);
        assert_eq!(place.in_xattr(), place.xattrs.then_some(1500));
        assert_eq!(place.records() == 0, place.xattrs);
        assert_eq!(place.names("f"), ["s 1500"]);
        assert_eq!(std::fs::read(place.share.at("f")).unwrap(), b"file");
    }
}

#[test]
fn holes_and_what_was_cut_off_are_zeros() {
    for place in [Place::new(), Place::without_xattrs()] {
        let s = place.stream("f", "s");
        s.write_at(5_000_000, b"end", false).unwrap();
        let mut expected = vec![0; 5_000_003];
        expected[5_000_000..].copy_from_slice(b"end");
        assert!(all(&s) == expected);
        // Only the one chunk is there.
        assert!(place.records() < 4);
        s.write_at(0, &[7; 10_000], false).unwrap();
        s.set_size(4100).unwrap();
        s.set_size(9000).unwrap();
        let mut expected = vec![0; 9000];
        expected[..4100].fill(7);
        assert!(all(&s) == expected);
        assert_eq!(s.append(b"!", true).unwrap().offset, 9000);
        let mut two = [1; 2];
        assert_eq!(s.read_at(8999, &mut two), Ok(2));
        assert_eq!(&two, b"\0!");
        assert_eq!(s.read_at(9001, &mut two), Ok(0));
    }
}

#[test]
fn writing_a_part_rewrites_that_part() {
    let place = Place::without_xattrs();
    let s = place.stream("f", "s");
    let mut data = pattern(100_000, 0);
    s.write_at(0, &data, false).unwrap();
    let chunks = || {
        let keys = place.side.keys(&[]).unwrap();
        keys.into_iter().map(|key| place.side.record(&key).unwrap().unwrap()).collect::<Vec<_>>()
    };
    let before = chunks();
    s.write_at(50_000, b"changed", false).unwrap();
    data[50_000..50_007].copy_from_slice(b"changed");
    assert!(all(&s) == data);
    let changed = chunks().iter().zip(&before).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 1);
}

#[test]
fn they_are_found_renamed_and_removed_like_others() {
    for place in [Place::new(), Place::without_xattrs()] {
        let export = &place.share.export;
        let object = place.share.found("f").object;
        let big = pattern(80_000, 3);
        let s = place.stream("f", "Grün");
        s.write_at(0, &big, false).unwrap();
        assert_eq!(export.find_stream(&object, "gRÜN"), Ok(Some("Grün".into())));
        assert_eq!(export.create_stream(&object, "GRÜN"), Err(NtStatus::OBJECT_NAME_COLLISION));
        let small = place.stream("f", "small");
        small.write_at(0, b"x", false).unwrap();
        assert_eq!(export.rename_stream(&s, "Small", true), Err(NtStatus::INVALID_PARAMETER));
        small.set_size(0).unwrap();
        export.rename_stream(&s, "Small", true).unwrap();
        assert_eq!(place.names("f"), ["Small 80000"]);
        assert!(all(&place.stream("f", "SMALL")) == big);
        // A second file's streams are its own.
        place.share.write("g", "");
        place.stream("g", "Small").write_at(0, &big[..70_000], false).unwrap();
        export.remove_stream(&object, "Small").unwrap();
        assert_eq!(s.write_at(0, b"x", false), Err(NtStatus::OBJECT_NAME_NOT_FOUND));
        assert_eq!(export.remove_stream(&object, "Small"), Err(NtStatus::OBJECT_NAME_NOT_FOUND));
        assert_eq!((place.names("f"), place.names("g")), (Vec::new(), vec!["Small 70000".to_owned()]));
    }
}

#[test]
fn they_go_with_their_file_and_stay_while_it_has_a_name() {
    for place in [Place::new(), Place::without_xattrs()] {
        place.stream("f", "s").write_at(0, &pattern(80_000, 0), false).unwrap();
        std::fs::hard_link(place.share.at("f"), place.share.at("second")).unwrap();
        let remove = |name: &str| {
            let found = place.share.found(name);
            place.share.export.remove(&found.object, &found.path).unwrap();
        };
        remove("f");
        assert_eq!(place.names("second"), ["s 80000"]);
        remove("second");
        assert_eq!(place.records(), 0);
        place.share.write("f", "again");
        assert_eq!(place.names("f"), [""; 0]);

        place.share.mkdir("d");
        place.stream("d", "s").write_at(0, &pattern(80_000, 0), false).unwrap();
        remove("d");
        assert_eq!(place.records(), 0);
    }
}

#[test]
fn a_crash_at_any_step_of_a_move_loses_nothing() {
    let (small, big) = (pattern(900, 0), pattern(90_000, 5));
    for dies_at in 1..=4 {
        let place = Place::new();
        if !place.xattrs {
            return;
        }
        let s = place.stream("f", "s");
        s.write_at(0, &small, false).unwrap();
        place.side.edits_left.store(dies_at, Ordering::Relaxed);
        let grown = s.write_at(0, &big, false).is_ok();
        place.side.edits_left.store(0, Ordering::Relaxed);
        assert!(all(&s) == if grown { &big[..] } else { &small[..] }, "out, {dies_at}");
        s.write_at(0, &big, false).unwrap();

        place.side.edits_left.store(dies_at, Ordering::Relaxed);
        let shrunk = s.set_size(700).is_ok();
        place.side.edits_left.store(0, Ordering::Relaxed);
        let now = all(&s);
        assert!(now == big[..700] || (!shrunk && now == big), "back, {dies_at}: {} bytes", now.len());
        assert_eq!(place.names("f"), [format!("s {}", now.len())]);
        // What the move left in the other place does not come back.
        s.set_size(10).unwrap();
        assert!(all(&s) == big[..10]);
        place.share.export.rename_stream(&s, "t", false).unwrap();
        assert_eq!(place.names("f"), ["t 10"]);
        s.write_at(0, &big, false).unwrap();
        assert!(all(&s) == big, "out again, {dies_at}");
        place.share.export.remove_stream(&place.share.found("f").object, "t").unwrap();
        assert_eq!((place.names("f"), place.records()), (Vec::new(), 0));
    }
}

#[test]
fn writes_through_many_opens_are_all_there() {
    for place in [Place::new(), Place::without_xattrs()] {
        std::thread::scope(|scope| {
            for n in 0..8u64 {
                let s = place.stream("f", "s");
                scope.spawn(move || {
                    for i in 0..20 {
                        s.write_at(i * 8000 + n * 1000, &[b'a' + n as u8; 1000], false).unwrap();
                    }
                });
            }
        });
        let row: Vec<u8> = (0..8u8).flat_map(|n| [b'a' + n; 1000]).collect();
        assert!(all(&place.stream("f", "s")) == row.repeat(20));
    }
}
