//! The coherence test: a client caches all of a tree by its leases, somebody changes the tree outside SMB, and after each
//! change what the client is entitled to believe is what the disk has, or it has been told within the bound.
//!
//! `COHERENCE_CHANGES=n` sets the number of changes, `COHERENCE_SEED=n` the seed. Prints how long it took from a change to
//! the break on the wire.

mod changes;
mod limits;
mod mounts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, LeaseKey, LeaseState, NtStatus};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::oplock_break::{LeaseBreakAck, LeaseBreakFlags};
use smbgate::wire::query_directory::QueryDirectoryFlags;

use crate::client::{Client, NAMES, Opened, PATIENCE, Watched, create};
use crate::common::Server;
use crate::leases::{RH, broken, leased, state};
use changes::{Rng, mutate};

/// FileFullDirectoryInformation: sizes are at 40, the length of the name at 60, the name at 68.
const FULL: u8 = 2;

/// What the client believes: of a directory its names with sizes, of a file its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Belief {
    Listing(BTreeMap<String, u64>),
    Content(Vec<u8>),
}

struct Cached {
    file_id: FileId,
    key: u8,
    belief: Belief,
    /// The lease says so still.
    entitled: bool,
}

struct World {
    /// What the tree really is: one directory, or several laid over each other.
    truth: Vec<PathBuf>,
    client: Client,
    /// By path from the root of the share.
    cache: BTreeMap<String, Cached>,
    keys: Vec<u8>,
    waits: Vec<Duration>,
    bound: Duration,
    /// There are not watches enough for all: how many leases were refused.
    refused: Option<usize>,
    /// Files, by path, that have or had another name. Names are not used twice.
    linked: BTreeSet<String>,
    granted: usize,
    /// The last changes, for who has to find out what went wrong.
    recent: VecDeque<String>,
    /// How long this process took at most to listen once more, after the last change.
    turn: Duration,
}

/// How many.
const RECENT: usize = 60;

/// Where somebody changes the tree, and what there is to be changed.
struct Place {
    at: PathBuf,
    truth: Vec<PathBuf>,
}

/// How often the tests have the server look.
const INTERVAL: Duration = Duration::from_millis(100);

fn within(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}\\{name}") }
}

/// Files that have another name.
fn names_of_links(at: &Path, name: &str, out: &mut BTreeSet<String>) {
    for entry in fs::read_dir(at).expect("a directory").map(|e| e.expect("an entry")) {
        let inner = within(name, &entry.file_name().into_string().expect("a name"));
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            names_of_links(&entry.path(), &inner, out);
        } else if meta.nlink() > 1 {
            out.insert(inner);
        }
    }
}

/// What is on disk, by path. Of a name that is in several of the directories the first one counts.
fn on_disk(roots: &[PathBuf]) -> BTreeMap<String, Belief> {
    fn walk(at: &Path, name: &str, out: &mut BTreeMap<String, Belief>) {
        let mut listing = BTreeMap::new();
        for entry in fs::read_dir(at).expect("a directory").map(|e| e.expect("an entry")) {
            let entry_name = entry.file_name().into_string().expect("a name");
            let inner = within(name, &entry_name);
            // A name that FUSE gives to what is removed while it is open (.fuse_hidden) goes by itself.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                walk(&entry.path(), &inner, out);
                listing.insert(entry_name, 0);
            } else {
                let Ok(bytes) = fs::read(entry.path()) else { continue };
                out.insert(inner, Belief::Content(bytes));
                listing.insert(entry_name, meta.size());
            }
        }
        out.insert(name.to_owned(), Belief::Listing(listing));
    }
    let mut all = BTreeMap::new();
    for root in roots {
        let mut out = BTreeMap::new();
        walk(root, "", &mut out);
        for (name, belief) in out {
            match (all.get_mut(&name), belief) {
                (Some(Belief::Listing(before)), Belief::Listing(more)) => {
                    for (name, size) in more {
                        before.entry(name).or_insert(size);
                    }
                }
                (Some(_), _) => {}
                (None, belief) => drop(all.insert(name, belief)),
            }
        }
    }
    all
}

impl World {
    fn new(server: &Server, truth: &[PathBuf], bound: Duration) -> World {
        for (root, d) in truth.iter().flat_map(|root| ["a", "b", "a/c"].map(|d| (root, d))) {
            fs::create_dir(root.join(d)).expect("a directory");
        }
        World {
            truth: truth.to_owned(),
            client: server.client(),
            cache: BTreeMap::new(),
            keys: (1..=250).rev().collect(),
            waits: Vec::new(),
            bound,
            refused: None,
            linked: BTreeSet::new(),
            granted: 0,
            recent: VecDeque::new(),
            turn: Duration::ZERO,
        }
    }

    /// Opens and reads whatever is not cached; forgets what is no longer there.
    fn fill(&mut self) {
        let disk = on_disk(&self.truth);
        let stale: Vec<_> =
            self.cache.iter().filter(|(_, c)| !c.entitled).map(|(name, _)| name.clone()).collect();
        for name in stale {
            let cached = self.cache.remove(&name).expect("it was there");
            self.client.close(cached.file_id);
            self.keys.push(cached.key);
        }
        for (name, there) in &disk {
            if self.cache.contains_key(name) {
                continue;
            }
            let directory = matches!(there, Belief::Listing(_));
            let options =
                if directory { CreateOptions::DIRECTORY_FILE } else { CreateOptions::NON_DIRECTORY_FILE };
            let request = create(name, AccessMask::FILE_READ, CreateDisposition::OPEN, options);
            let key = self.keys.pop().expect("keys enough");
            let wanted = LeaseState::READ | LeaseState::HANDLE;
            let Some(opened) = self.open(&leased(request, key, wanted, None), wanted) else {
                self.keys.push(key);
                continue;
            };
            let belief = if directory { self.list(opened.file_id) } else { self.read(opened.file_id) };
            let entitled = state(&opened) == wanted;
            self.cache.insert(name.clone(), Cached { file_id: opened.file_id, key, belief, entitled });
        }
    }

    /// Opens with a lease; None: it is gone since, or not seen yet. A file that a program wrote to through a view can be cached once that has closed it, of which the
    /// kernel tells in its own time.
    fn open(&mut self, request: &CreateRequest<'_>, wanted: LeaseState) -> Option<Opened> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let opened = match self.client.create(request) {
                Err(NtStatus::OBJECT_NAME_NOT_FOUND) => return None,
                opened => opened.expect("an open"),
            };
            if state(&opened) == wanted {
                self.granted += 1;
                return Some(opened);
            }
            if let Some(refused) = &mut self.refused {
                *refused += 1;
                return Some(opened);
            }
            assert!(Instant::now() < end, "{}: {:?}", request.name, opened.lease);
            self.client.close(opened.file_id);
        }
    }

    fn list(&mut self, file_id: FileId) -> Belief {
        let mut listing = BTreeMap::new();
        let mut flags = QueryDirectoryFlags::RESTART_SCANS;
        while let Ok(buffer) = self.client.query_directory(file_id, FULL, "*", flags, 65536) {
            flags = QueryDirectoryFlags::empty();
            let mut at = &buffer[..];
            loop {
                let word =
                    |n: usize| u32::from_le_bytes(at[n..n + 4].try_into().expect("four bytes")) as usize;
                let name =
                    smbgate::wire::codec::decode_utf16(&at[68..68 + word(60)], "name").expect("a name");
                let size = u64::from_le_bytes(at[40..48].try_into().expect("eight bytes"));
                if name != "." && name != ".." {
                    listing.insert(name, size);
                }
                match word(0) {
                    0 => break,
                    next => at = &at[next..],
                }
            }
        }
        Belief::Listing(listing)
    }

    fn read(&mut self, file_id: FileId) -> Belief {
        Belief::Content(self.client.read(file_id, 0, 1 << 20).unwrap_or_default())
    }

    /// Takes in what the server has to say until nothing that the client may believe is wrong.
    fn settle(&mut self, changed: Instant, what: &str) {
        let disk = on_disk(&self.truth);
        if self.refused.is_some() {
            self.truth.iter().for_each(|root| names_of_links(root, "", &mut self.linked));
        }
        self.turn = Duration::ZERO;
        loop {
            let began = Instant::now();
            let wrong = self.cache.iter().find(|(name, cached)| {
                let is = |there| self.is_believed(name, there, &cached.belief);
                cached.entitled && !disk.get(*name).is_some_and(is)
            });
            let Some((name, cached)) = wrong else { return };
            assert!(
                changed.elapsed() < self.bound,
                "{what}: the client still believes {:?} of {name:?}, which is {:?}; before: {:#?}",
                cached.belief,
                disk.get(name),
                self.recent
            );
            self.hear(changed);
            self.turn = self.turn.max(began.elapsed());
        }
    }

    /// In a listing, the size of a file that is written by another of its names is seen where that one is watched; there are
    /// not watches enough for that if some leases were refused.
    fn is_believed(&self, name: &str, there: &Belief, belief: &Belief) -> bool {
        let (Belief::Listing(there), Belief::Listing(belief)) = (there, belief) else {
            return there == belief;
        };
        let is_linked = |entry: &String| self.refused.is_some() && self.linked.contains(&within(name, entry));
        there.len() == belief.len()
            && there.iter().all(|(entry, size)| {
                belief.get(entry).is_some_and(|believed| believed == size || is_linked(entry))
            })
    }

    fn note(&mut self, what: &str) {
        self.recent.push_back(what.to_owned());
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// One message, if there is one.
    fn hear(&mut self, changed: Instant) {
        self.client.stream().set_read_timeout(Some(Duration::from_millis(4))).expect("a time-out");
        let got = self.client.try_receive();
        self.client.stream().set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let Ok(reply) = got else { return };
        let Some(told) = broken(&reply) else { return };
        self.waits.push(changed.elapsed());
        let key = told.lease_key.0[0];
        if told.flags.contains(LeaseBreakFlags::ACK_REQUIRED) {
            let ack = LeaseBreakAck { lease_key: LeaseKey([key; 16]), lease_state: told.new_lease_state };
            self.client.send(&ack);
        }
        if let Some(cached) = self.cache.values_mut().find(|cached| cached.key == key)
            && !told.new_lease_state.contains(LeaseState::READ)
        {
            cached.entitled = false;
        }
    }
}

/// p50, p99 and the longest.
fn spread(mut waits: Vec<Duration>) -> String {
    waits.sort();
    let at = |part: usize| waits.get((waits.len() * part / 100).min(waits.len().saturating_sub(1))).copied();
    let max = waits.last().copied();
    let show = |d: Option<Duration>| d.map_or("-".into(), |d| format!("{:.2} ms", d.as_secs_f64() * 1000.0));
    format!("{} breaks: p50 {}, p99 {}, max {}", waits.len(), show(at(50)), show(at(99)), show(max))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

/// A server, and programs that change what it shares.
struct Scene {
    server: Server,
    world: World,
    places: Vec<Place>,
    /// The change may have to wait for the client.
    waits_for_client: bool,
    /// One change at a time: of what directories see that nobody watches, less is promised.
    plain: bool,
    /// Each change is held against the bound that the server states.
    stated: bool,
    /// What the file system itself keeps for so long comes on top of it.
    keeps: Duration,
    rng: Rng,
    seed: u64,
}

impl Scene {
    fn new(server: Server, truth: &[PathBuf], bound: Duration) -> Scene {
        let world = World::new(&server, truth, bound);
        let places = vec![Place { at: truth[0].clone(), truth: truth.to_owned() }];
        let seed = setting("COHERENCE_SEED").unwrap_or(1);
        Scene {
            server,
            world,
            places,
            waits_for_client: false,
            plain: false,
            stated: false,
            keeps: Duration::ZERO,
            rng: Rng(seed),
            seed,
        }
    }

    /// One change, `n`th of all. None: there was nothing to be done.
    fn change(&mut self, n: usize) -> Option<String> {
        let place = &self.places[n % self.places.len()];
        let (root, disk) = (place.at.clone(), on_disk(&place.truth));
        mutate(&root, &disk, &mut self.rng, n)
    }

    /// As many; the client is told what it has to be after each of them, or after some in a row.
    fn play(&mut self, name: &str, changes: usize) {
        let changes = setting("COHERENCE_CHANGES").map_or(changes, |n| n as usize);
        self.world.fill();
        for n in 0..changes {
            let changed = Instant::now();
            let what = if self.waits_for_client { self.change_and_hear(n) } else { self.change(n) };
            if let Some(what) = what {
                let what = format!("seed {}, change {n}: {what}", self.seed);
                self.world.note(&what);
                if !self.plain && self.rng.below(4) == 0 {
                    // On to the next one, with what has been heard so far.
                    self.world.hear(changed);
                    self.world.fill();
                    continue;
                }
                let done = Instant::now();
                self.world.settle(changed, &what);
                self.hold_against_status(done.elapsed(), &what);
                self.read_again(&what);
                self.world.fill();
            }
        }
        self.world.settle(Instant::now(), "the end");
        println!("{name}: {changes} changes, {}", spread(std::mem::take(&mut self.world.waits)));
    }

    /// The client was told of what it has so long after it was done.
    fn hold_against_status(&self, took: Duration, what: &str) {
        if !self.stated || took < INTERVAL {
            return;
        }
        let bound = self.stated_bound();
        // What this process took to listen is none of the server's.
        let most = bound + self.keeps + self.world.turn;
        assert!(took <= most, "{what}: told after {took:?}, status says {bound:?}; {:?}", self.world.turn);
    }

    /// `poll <= 0.2 s`.
    fn stated_bound(&self) -> Duration {
        let status = self.server.status();
        let seconds = status.split_once("poll <= ").and_then(|(_, rest)| rest.split_once(" s"));
        let seconds = seconds.and_then(|(seconds, _)| seconds.parse().ok());
        Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("no bound is stated: {status}")))
    }

    /// Clients keep files open when they give up what they cache, and read again through the same handle: what the kernel
    /// of this machine has in its cache of a FUSE file system is old then.
    fn read_again(&mut self, what: &str) {
        let disk = on_disk(&self.world.truth);
        let given_up = self.world.cache.iter().filter(|(_, cached)| !cached.entitled);
        let given_up: Vec<_> = given_up.map(|(name, cached)| (name.clone(), cached.file_id)).collect();
        for (name, open) in given_up {
            let Some(there @ Belief::Content(_)) = disk.get(&name) else { continue };
            let began = Instant::now();
            let mut read = self.world.read(open);
            while read != *there {
                let most = if self.stated { self.stated_bound() + self.keeps } else { Duration::ZERO };
                assert!(began.elapsed() <= most, "{what}: {name} is {there:?}, and is read as {read:?}");
                read = self.world.read(open);
            }
        }
    }

    fn change_and_hear(&mut self, n: usize) -> Option<String> {
        let place = &self.places[n % self.places.len()];
        let (root, disk) = (place.at.clone(), on_disk(&place.truth));
        let mut rng = Rng(self.rng.0);
        let changed = Instant::now();
        let program = std::thread::spawn(move || (mutate(&root, &disk, &mut rng, n), rng));
        while !program.is_finished() {
            self.world.hear(changed);
        }
        let (what, rng) = program.join().expect("a change");
        self.rng = rng;
        what
    }
}

/// On the share's own directory. `through`: where the programs work, if not there.
fn run(keys: &str, through: Option<&Path>, changes: usize, bound: Duration) {
    let server = Server::start("signing = \"offered\"", &[("share", keys)]);
    let truth = [server.path("share")];
    let mut scene = Scene::new(server, &truth, bound);
    if let Some(through) = through {
        scene.places[0].at = through.to_owned();
        scene.waits_for_client = true;
    }
    scene.stated = keys.contains("poll");
    scene.play(keys, changes);
}

#[test]
fn what_the_kernel_tells_of() {
    run("", None, 10_000, Duration::from_secs(10));
}

/// The file is opened by its new name before the server has heard of that.
#[test]
fn what_is_opened_right_after_it_was_renamed() {
    let server = Server::plain();
    let at = |n: usize| server.path("share").join(format!("n{n}"));
    fs::write(at(0), "").expect("a file");
    let (mut c, mut other) = (server.client(), server.client());
    // So that renames are heard of at all.
    let _watched = Watched::new(&mut other, "", NAMES, false);
    let mut granted = 0;
    for n in 1..=500 {
        let (key, name) = ((n % 250) as u8 + 1, format!("n{n}"));
        let request =
            create(&name, AccessMask::FILE_READ, CreateDisposition::OPEN, CreateOptions::NON_DIRECTORY_FILE);
        // Both are there when it goes on.
        server.freeze();
        fs::rename(at(n - 1), at(n)).expect("a rename");
        let asked = c.send(&leased(request, key, RH, None));
        server.thaw();
        let opened = c.wait(asked).opened().expect("an open");
        if state(&opened) == RH {
            granted += 1;
            // What is late of the last one may take it already.
            fs::rename(at(n), at(0)).expect("a rename");
            let told = c.wait_for(|reply| broken(reply).is_some());
            assert_eq!(broken(&told).map(|told| told.lease_key), Some(LeaseKey([key; 16])));
            fs::rename(at(0), at(n)).expect("a rename");
        }
        c.close(opened.file_id);
    }
    println!("{granted} leases were granted");
    assert!(granted > 0);
}

#[test]
fn what_is_done_through_the_view() {
    let mount = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let keys = format!("view = {:?}", mount.path());
    run(&keys, Some(mount.path()), 1_000, Duration::from_secs(10));
}

/// Where the kernel is blind: each change within the interval and what a look takes.
#[test]
fn what_polling_finds() {
    run("watch = \"poll\"\npoll_interval = \"100ms\"", None, 200, Duration::from_secs(20));
}
