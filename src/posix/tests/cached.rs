use std::time::Duration;

use super::*;
use crate::sys::source::Source;

const PIECE: usize = 64 << 10;
const FAR: u64 = 20 << 20;

/// A file that is on the disk and in the cache, up to `FAR` and a few pieces more. None: files are better read here.
fn file(s: &Share) -> Option<Object> {
    let object = s.create("f").object;
    object.set_size(FAR + 10 * PIECE as u64).unwrap();
    for n in 0..10 {
        let piece: Vec<u8> = (0..PIECE).map(|at| (at % 251) as u8 ^ n).collect();
        let offset = n as u64 * PIECE as u64;
        object.write_at(offset, &piece, false).unwrap();
        object.write_at(FAR + offset, &piece, false).unwrap();
    }
    object.sync().unwrap();
    object.read_at(0, &mut vec![0; FAR as usize + 10 * PIECE]).unwrap();
    s.export.cached(&object).map(|_| object)
}

fn seen(object: &Object, offset: u64) -> Option<Vec<u8>> {
    object.with_cached(offset, PIECE, copy)
}

fn copy(source: Source<'_>) -> Vec<u8> {
    let mut copy = vec![0; source.len()];
    source.copy_to(&mut copy);
    copy
}

/// All there is from there on.
fn read_on(object: &Object, from: u64, row: impl IntoIterator<Item = u64>) {
    for n in row {
        let offset = from + n * PIECE as u64;
        let mut expected = vec![0; PIECE];
        object.read_at(offset, &mut expected).unwrap();
        assert!(seen(object, offset) == Some(expected), "piece {n}");
    }
}

#[test]
fn a_window_is_opened_for_who_reads_in_a_row() {
    let s = Share::new();
    let Some(f) = file(&s) else { return };
    assert_eq!((seen(&f, 0), seen(&f, PIECE as u64)), (None, None));
    assert!(!f.has_window());
    // Not in order, but nearly.
    read_on(&f, 0, [3, 2, 4]);
    // Here and there, where it shows.
    read_on(&f, FAR, [0, 1]);
    f.set_size(300 << 20).unwrap();
    let (here, there) = (100 << 20, 200 << 20);
    let mut zeros = vec![0; 3 * PIECE];
    for (at, expected) in [(here, false), (there, false), (here, false), (there, false)] {
        f.read_at(at, &mut zeros).unwrap();
        assert_eq!(seen(&f, at).is_some(), expected);
    }
    assert_eq!(seen(&f, there + PIECE as u64), None);
    read_on(&f, there, [2]);
    read_on(&f, 0, [9]);
}

#[test]
fn what_has_no_window() {
    let s = Share::new();
    let Some(f) = file(&s) else { return };
    drop(f);
    let open = |data| {
        let mut object = s.found("f").object;
        s.export.open_data(&mut object, data).unwrap();
        object
    };
    for data in [DataAccess::default(), DataAccess { read: false, write: true }] {
        let f = open(data);
        assert!((0..4).all(|n| seen(&f, n * PIECE as u64).is_none()), "{data:?}");
    }
    // Opened again for something else: another file for the kernel.
    let mut f = open(DataAccess { read: true, write: false });
    assert!(seen(&f, 0).is_none() && seen(&f, 0).is_none());
    read_on(&f, 0, 0..4);
    s.export.open_data(&mut f, DataAccess { read: false, write: true }).unwrap();
    assert!(!f.has_window() && seen(&f, 0).is_none());
    let mut directory = s.found("").object;
    s.export.open_data(&mut directory, DataAccess { read: true, write: false }).unwrap();
    assert!((0..4).all(|n| seen(&directory, n * PIECE as u64).is_none()));
}

#[test]
fn one_thread_at_a_time_looks() {
    let s = Share::new();
    let Some(f) = file(&s) else { return };
    assert!(seen(&f, 0).is_none() && seen(&f, 0).is_none());
    let other = f.with_cached(0, PIECE, |source| {
        let other = std::thread::scope(|scope| scope.spawn(|| seen(&f, 0)).join().unwrap());
        (copy(source).len(), other)
    });
    assert_eq!(other, Some((PIECE, None)));
    std::thread::scope(|scope| scope.spawn(|| read_on(&f, 0, 0..10)).join().unwrap());
}

#[test]
fn a_window_that_is_not_used_is_closed() {
    let s = Share::new();
    let Some(f) = file(&s) else { return };
    assert!(seen(&f, 0).is_none() && seen(&f, 0).is_none());
    read_on(&f, 0, 0..3);
    let is_mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.contains(s.at("f").to_str().unwrap())
    };
    assert!(f.has_window() && is_mapped() && any_cached());
    // Others' tests may tidy too.
    let mut calls = 0;
    while f.has_window() {
        calls += 1;
        tidy_cached();
    }
    assert!(calls <= 2 && !is_mapped());
    // The row goes on.
    read_on(&f, 0, 3..5);
    assert!(f.has_window() && is_mapped());
    drop(f);
    assert!(!is_mapped());
}

#[test]
fn windows_come_and_go_while_files_change() {
    let s = Share::new();
    let Some(f) = file(&s) else { return };
    let end = std::time::Instant::now() + Duration::from_millis(300);
    let at_work = || std::time::Instant::now() < end;
    std::thread::scope(|scope| {
        let looks = || {
            while at_work() {
                for n in 0..10 {
                    let Some(seen) = seen(&f, n * PIECE as u64) else { continue };
                    let is_there = |at: usize, byte: u8| byte == (at % 251) as u8 ^ n as u8;
                    // Three pieces are never cut off; zeros are what came after the others were.
                    let right = |(at, byte): (usize, &u8)| is_there(at, *byte) || (n >= 3 && *byte == 0);
                    assert!(seen.iter().enumerate().all(right), "piece {n}");
                }
            }
        };
        scope.spawn(looks);
        scope.spawn(looks);
        scope.spawn(|| {
            while at_work() {
                tidy_cached();
            }
        });
        while at_work() {
            f.set_size(3 * PIECE as u64 + 5).unwrap();
            f.set_size(10 * PIECE as u64).unwrap();
            f.sync().unwrap();
        }
    });
    f.write_at(0, &[7; 3 * PIECE], false).unwrap();
    f.sync().unwrap();
    f.read_at(0, &mut vec![0; 10 * PIECE]).unwrap();
    assert!((0..3).filter_map(|_| seen(&f, 0)).all(|seen| seen == [7; PIECE]));
}
