//! The name index: per directory, names as clients compare them to names on disk.
//!
//! It is asked only when an exact lookup missed. It is built by reading the directory once, and then
//! *maintained* by our own changes, so that a run of creates in one directory reads it once.
//!
//! An index speaks for one version of its directory (its change time). What that misses:
//! - Change times move in ticks on many file systems: an index built in the tick of the last change may lack a
//!   later change of the same tick. It is *unproven* until it has been built again after the tick.
//! - Between our own change and our reading the new change time, somebody else may have changed the directory.
//!   A maintained index is unproven too.
//! - Remote file systems may not move the time at all.
//!
//! An unproven index is trusted for a grace time only, and never so short that reading directories takes more
//! than a twentieth of the time.
//!
//! A directory that takes long to read is watched the second time it is read, where there is a [`Watcher`]: then its
//! index needs no proof, and is read again when somebody else has changed names.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, Statx};
use rustix::io::{Errno, Result};
use smallvec::SmallVec;

use super::tunnel::Tunnel;
use super::{Watcher, names, short};
use crate::sys;
use crate::types::{NodeKey, same_name};

/// Bounds of all indexes of one export together.
const MAX_DIRECTORIES: usize = 4096;
const MAX_NAMES: usize = 1_000_000;

/// How far the change times of the file system can be relied on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Clockwork {
    /// Every change after a look at the time gives a new one (Linux 6.13 and the large local file systems).
    Fine,
    /// By the timer tick of this machine.
    Ticks,
    /// Unknown: another machine's or a daemon's.
    Foreign,
}

/// Longer than any tick (10 ms at HZ=100).
const TICK: Duration = Duration::from_millis(20);

/// What must be equal for a directory to be unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Version {
    changed: (i64, u32),
    written: (i64, u32),
}

impl Version {
    fn of(stx: &Statx) -> Version {
        Version {
            changed: (stx.stx_ctime.tv_sec, stx.stx_ctime.tv_nsec),
            written: (stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec),
        }
    }
}

/// What one of our own operations did to a directory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit<'a> {
    Added(&'a [u8]),
    Removed(&'a [u8]),
}

/// Names on disk that are one name to clients; nearly always one.
type Names = SmallVec<[Box<[u8]>; 1]>;

/// Keyed by a hash of the folded name; names on disk decide. About 60 bytes and the name for an entry.
struct Index {
    names: HashMap<u64, Names>,
    /// Names that have another of 8.3 form, by a hash of that; made when one is first asked for.
    shorts: Option<HashMap<u64, Names>>,
    count: usize,
    version: Version,
    built: Instant,
    cost: Duration,
    /// How long it may be trusted though it is unproven; `None`: it is proven.
    grace: Option<Duration>,
}

/// One directory's place. Its lock is held across our own changes of the directory and across reading it.
#[derive(Default)]
struct Slot {
    index: Mutex<Option<Index>>,
    size: AtomicUsize,
    used: AtomicU64,
    /// Somebody else has changed it.
    outdated: AtomicBool,
    /// It is watched while this lives.
    watch: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

/// All name indexes of one export.
pub(super) struct Indexes {
    slots: Mutex<HashMap<NodeKey, Arc<Slot>>>,
    clock: AtomicU64,
    hasher: RandomState,
    scans: AtomicU64,
    pub(super) clockwork: Clockwork,
    /// Some: names are found by their short ones too.
    pub(super) tunnel: Option<Tunnel>,
    watcher: Option<Arc<dyn Watcher>>,
}

impl Indexes {
    pub(super) fn new(clockwork: Clockwork, shorts: bool, watcher: Option<Arc<dyn Watcher>>) -> Indexes {
        Indexes {
            slots: Mutex::default(),
            clock: AtomicU64::new(0),
            hasher: RandomState::new(),
            scans: AtomicU64::new(0),
            clockwork,
            tunnel: shorts.then(Tunnel::default),
            watcher,
        }
    }

    pub(super) fn scans(&self) -> u64 {
        self.scans.load(Ordering::Relaxed)
    }

    /// The name on disk for `name`, its own spelling preferred. `seen` is what the caller knows of the directory
    /// from a moment ago. With `anew` the directory is read in any case.
    pub(super) fn find(
        &self,
        dir: BorrowedFd<'_>,
        key: NodeKey,
        seen: &Statx,
        name: &str,
        anew: bool,
    ) -> Result<Option<Vec<u8>>> {
        let slot = self.slot(key);
        let mut index = slot.index.lock();
        let outdated = slot.outdated.swap(false, Ordering::AcqRel);
        if !anew
            && !outdated
            && let Some(index) = &mut *index
            // Our own changes may have moved it on since.
            && (index.version == Version::of(seen) || index.version == Version::of(&sys::file::stat_fd(dir)?))
        {
            let hit = self.search(index, name);
            // What was found is opened next, which proves it; what was not found needs a trusted index.
            let trusted = index.grace.is_none_or(|grace| index.built.elapsed() < grace.max(index.cost * 20));
            if hit.is_some() || trusted {
                return Ok(hit);
            }
        }
        let watched = self.watch(&slot, dir, key, index.as_ref());
        let mut fresh = match self.build(dir) {
            Ok(fresh) if watched => Index { grace: None, ..fresh },
            Ok(fresh) => fresh,
            // May be passed through, not listed: exact names only.
            Err(Errno::ACCESS) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let hit = self.search(&mut fresh, name);
        slot.size.store(fresh.count, Ordering::Relaxed);
        *index = Some(fresh);
        drop(index);
        self.evict();
        Ok(hit)
    }

    /// Puts a watch on a directory that is worth one. True: it has one.
    fn watch(&self, slot: &Slot, dir: BorrowedFd<'_>, key: NodeKey, last: Option<&Index>) -> bool {
        let mut watch = slot.watch.lock();
        let worth = || self.clockwork != Clockwork::Foreign && last.is_some_and(|last| last.cost >= WORTH);
        if watch.is_none()
            && let Some(watcher) = self.watcher.as_ref().filter(|_| worth())
        {
            *watch = watcher.watch(dir, key);
        }
        watch.is_some()
    }

    /// Somebody else has changed names there; `None`: anywhere.
    pub(super) fn outdate(&self, key: Option<NodeKey>) {
        let slots = self.slots.lock();
        let outdate = |slot: &Arc<Slot>| slot.outdated.store(true, Ordering::Release);
        match key {
            Some(key) => slots.get(&key).into_iter().for_each(outdate),
            None => slots.values().for_each(outdate),
        }
    }

    /// Runs one of our own changes to directories and keeps their indexes true. `changed` names the directories
    /// (one, or two for a rename) and what `work` will have done there.
    pub(super) fn change<T>(
        &self,
        changed: &[(BorrowedFd<'_>, NodeKey, &[Edit<'_>])],
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let expected = self.expect(changed);
        let done = self.change_indexed(changed, work);
        self.over(expected, done.is_ok());
        done
    }

    /// Says what is about to be done to those who want to know.
    fn expect<'a>(&self, changed: &[(BorrowedFd<'_>, NodeKey, &'a [Edit<'a>])]) -> Expected<'a> {
        let mut expected = Expected::new();
        let Some(watcher) = &self.watcher else { return expected };
        for (_, dir, edits) in changed {
            for edit in *edits {
                let (name, added) = match edit {
                    Edit::Added(name) => (*name, true),
                    Edit::Removed(name) => (*name, false),
                };
                let number = watcher.expect(*dir, name, added);
                expected.extend(number.map(|number| (*dir, name, added, number)));
            }
        }
        expected
    }

    fn over(&self, expected: Expected<'_>, done: bool) {
        for (dir, name, added, number) in expected {
            self.watcher.iter().for_each(|watcher| watcher.over(dir, name, added, number, done));
        }
    }

    fn change_indexed<T>(
        &self,
        changed: &[(BorrowedFd<'_>, NodeKey, &[Edit<'_>])],
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mut held: SmallVec<[_; 2]> = {
            let slots = self.slots.lock();
            changed.iter().filter_map(|c| Some((*c, Arc::clone(slots.get(&c.1)?)))).collect()
        };
        // Always in the same order, so that two renames cannot wait for each other.
        held.sort_by_key(|(change, _)| change.1);
        held.dedup_by_key(|(change, _)| change.1);
        let mut guards: SmallVec<[_; 2]> = held.iter().map(|(_, slot)| slot.index.lock()).collect();
        for ((change, _), guard) in held.iter().zip(&mut guards) {
            let stands = guard.as_ref().is_some_and(|index| {
                sys::file::stat_fd(change.0).is_ok_and(|stx| Version::of(&stx) == index.version)
            });
            if !stands {
                **guard = None;
            }
        }
        let out = work()?;
        if let Some(tunnel) = &self.tunnel {
            for (_, key, edits) in changed {
                for edit in *edits {
                    if let Edit::Removed(name) = edit {
                        tunnel.removed(*key, name);
                    }
                }
            }
        }
        for ((change, slot), guard) in held.iter().zip(&mut guards) {
            let Some(index) = guard.as_mut() else { continue };
            match sys::file::stat_fd(change.0) {
                Ok(stx) => index.version = Version::of(&stx),
                Err(_) => {
                    **guard = None;
                    continue;
                }
            }
            // The same directory may be named twice (a rename within it).
            for (_, _, edits) in changed.iter().filter(|c| c.1 == change.1) {
                for edit in *edits {
                    self.edit(index, *edit);
                }
            }
            let grace = match self.clockwork {
                Clockwork::Foreign => FOREIGN_GRACE,
                _ => MAINTAINED_GRACE,
            };
            if slot.watch.lock().is_none() {
                index.grace = Some(index.grace.unwrap_or(grace).max(grace));
            }
            slot.size.store(index.count, Ordering::Relaxed);
        }
        Ok(out)
    }

    /// The directory is gone.
    pub(super) fn forget(&self, key: NodeKey) {
        self.slots.lock().remove(&key);
    }

    fn hash(&self, smb: &str) -> u64 {
        if smb.is_ascii() {
            // The same as of the folded string, without making it.
            let mut buf = [0u8; names::MAX_UNITS];
            if let Some(buf) = buf.get_mut(..smb.len()) {
                buf.copy_from_slice(smb.as_bytes());
                buf.make_ascii_uppercase();
                return self.hasher.hash_one(&*buf);
            }
        }
        self.hasher.hash_one(names::fold(smb).as_bytes())
    }

    fn search(&self, index: &mut Index, name: &str) -> Option<Vec<u8>> {
        // What differs in case only goes before what differs in the form of its accents too.
        let mut best: Option<(bool, &[u8])> = None;
        for disk in index.names.get(&self.hash(name)).into_iter().flatten() {
            let smb = names::to_smb(disk);
            if smb == name {
                return Some(disk.to_vec());
            }
            let rank = (!same_name(&smb, name), &**disk);
            if names::same(&smb, name) && best.is_none_or(|best| rank < best) {
                best = Some(rank);
            }
        }
        if best.is_some() || self.tunnel.is_none() || !short::may_be_made(name) {
            return best.map(|(_, disk)| disk.to_vec());
        }
        let names = &index.names;
        let shorts = index.shorts.get_or_insert_with(|| {
            let mut shorts = HashMap::<u64, Names>::new();
            for disk in names.values().flatten() {
                if let Some(hash) = self.hash_of_short(disk) {
                    shorts.entry(hash).or_default().push(disk.clone());
                }
            }
            shorts
        });
        let is_meant = |disk: &[u8]| {
            short::short_name(&names::to_smb(disk)).is_some_and(|short| short.eq_ignore_ascii_case(name))
        };
        let meant = shorts.get(&self.hash(name))?.iter().filter(|disk| is_meant(disk)).min();
        meant.map(|disk| disk.to_vec())
    }

    /// None: it has no other name than its own.
    fn hash_of_short(&self, disk: &[u8]) -> Option<u64> {
        short::short_name(&names::to_smb(disk)).map(|short| self.hash(&short))
    }

    fn edit(&self, index: &mut Index, edit: Edit<'_>) {
        let (Edit::Added(name) | Edit::Removed(name)) = edit;
        index.count = index.count.wrapping_add_signed(edit_names(
            &mut index.names,
            self.hash(&names::to_smb(name)),
            edit,
        ));
        if let Some(shorts) = &mut index.shorts
            && let Some(hash) = self.hash_of_short(name)
        {
            edit_names(shorts, hash, edit);
        }
    }

    /// Reads the directory.
    fn build(&self, dir: BorrowedFd<'_>) -> Result<Index> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        let built = Instant::now();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, c".", flags, Mode::empty())?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let before = sys::file::stat_fd(&fd)?;
        let mut index = Index {
            names: HashMap::new(),
            shorts: None,
            count: 0,
            version: Version::of(&before),
            built,
            cost: Duration::ZERO,
            grace: None,
        };
        let mut buf = sys::dir::DirBuf::new(64 << 10);
        let mut smb = String::new();
        while let Some(entry) = buf.next(&fd)? {
            if entry.name == b"." || entry.name == b".." {
                continue;
            }
            smb.clear();
            names::push_smb(entry.name, &mut smb);
            index.names.entry(self.hash(&smb)).or_default().push(entry.name.into());
            index.count += 1;
        }
        index.names.shrink_to_fit();
        let moved = Version::of(&sys::file::stat_fd(&fd)?) != index.version;
        index.cost = built.elapsed();
        let age = Duration::try_from_secs_f64(
            (now.tv_sec - before.stx_ctime.tv_sec) as f64
                + (now.tv_nsec as f64 - f64::from(before.stx_ctime.tv_nsec)) / 1e9,
        )
        .unwrap_or(Duration::ZERO);
        index.grace = match self.clockwork {
            Clockwork::Foreign => Some(FOREIGN_GRACE),
            _ if moved => Some(TICK),
            Clockwork::Fine => None,
            Clockwork::Ticks => (age < TICK).then_some(TICK),
        };
        Ok(index)
    }

    fn slot(&self, key: NodeKey) -> Arc<Slot> {
        let slot = Arc::clone(self.slots.lock().entry(key).or_default());
        slot.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        slot
    }

    /// Lets go of the indexes that were not used for longest, a quarter at a time.
    fn evict(&self) {
        let mut slots = self.slots.lock();
        let total: usize = slots.values().map(|s| s.size.load(Ordering::Relaxed)).sum();
        if slots.len() <= MAX_DIRECTORIES && total <= MAX_NAMES {
            return;
        }
        let mut by_age: Vec<_> = slots
            .iter()
            .map(|(key, s)| (s.used.load(Ordering::Relaxed), *key, s.size.load(Ordering::Relaxed)))
            .collect();
        by_age.sort_unstable();
        let (mut directories, mut names) = (slots.len(), total);
        // The last one is in use right now, however large it is.
        by_age.pop();
        for (_, key, size) in by_age {
            if directories <= MAX_DIRECTORIES * 3 / 4 && names <= MAX_NAMES * 3 / 4 {
                break;
            }
            slots.remove(&key);
            directories -= 1;
            names -= size;
        }
    }
}

/// How many more there are then.
fn edit_names(all: &mut HashMap<u64, Names>, hash: u64, edit: Edit<'_>) -> isize {
    match edit {
        Edit::Added(name) => {
            let names = all.entry(hash).or_default();
            if names.iter().any(|n| **n == *name) {
                return 0;
            }
            names.push(name.into());
            1
        }
        Edit::Removed(name) => {
            let Some(names) = all.get_mut(&hash) else { return 0 };
            let before = names.len();
            names.retain(|n| **n != *name);
            let gone = before - names.len();
            if names.is_empty() {
                all.remove(&hash);
            }
            -(gone as isize)
        }
    }
}

/// Our own changes that somebody is told of before they are made.
type Expected<'a> = SmallVec<[(NodeKey, &'a [u8], bool, u64); 2]>;

/// A directory that takes so long to read is worth a watch.
const WORTH: Duration = Duration::from_micros(500);
/// How long an index is trusted that our own changes have carried on.
const MAINTAINED_GRACE: Duration = Duration::from_secs(1);
/// How long one is trusted where change times say little.
const FOREIGN_GRACE: Duration = Duration::from_secs(2);
