//! The coherence test: a client caches all of a tree by its leases, somebody changes the tree outside SMB, and after each
//! change what the client is entitled to believe is what the disk has, or it has been told within the bound.
//!
//! `COHERENCE_CHANGES=n` sets the number of changes, `COHERENCE_SEED=n` the seed. Prints how long it took from a change to
//! the break on the wire.

mod changes;
mod limits;
mod mounts;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, LeaseKey, LeaseState, NtStatus};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::oplock_break::{LeaseBreakAck, LeaseBreakFlags};
use smbgate::wire::query_directory::QueryDirectoryFlags;

use crate::client::{Client, Opened, PATIENCE, create};
use crate::common::Server;
use crate::leases::{broken, leased, state};
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
    granted: usize,
}

/// Where somebody changes the tree, and what there is to be changed.
struct Place {
    at: PathBuf,
    truth: Vec<PathBuf>,
}

/// What is on disk, by path. Of a name that is in several of the directories the first one counts.
fn on_disk(roots: &[PathBuf]) -> BTreeMap<String, Belief> {
    fn walk(at: &Path, name: &str, out: &mut BTreeMap<String, Belief>) {
        let mut listing = BTreeMap::new();
        for entry in fs::read_dir(at).expect("a directory").map(|e| e.expect("an entry")) {
            let entry_name = entry.file_name().into_string().expect("a name");
            let inner = if name.is_empty() { entry_name.clone() } else { format!("{name}\\{entry_name}") };
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
            granted: 0,
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
        loop {
            let wrong: Vec<_> = self
                .cache
                .iter()
                .filter(|(name, cached)| cached.entitled && disk.get(*name) != Some(&cached.belief))
                .map(|(name, _)| name.clone())
                .collect();
            if wrong.is_empty() {
                return;
            }
            assert!(
                changed.elapsed() < self.bound,
                "{what}: the client still believes what it has of {wrong:?}"
            );
            self.hear(changed);
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
    /// One change at a time, and a file has one name: of what directories see that nobody watches, less is promised.
    plain: bool,
    rng: Rng,
    seed: u64,
}

impl Scene {
    fn new(server: Server, truth: &[PathBuf], bound: Duration) -> Scene {
        let world = World::new(&server, truth, bound);
        let places = vec![Place { at: truth[0].clone(), truth: truth.to_owned() }];
        let seed = setting("COHERENCE_SEED").unwrap_or(1);
        Scene { server, world, places, waits_for_client: false, plain: false, rng: Rng(seed), seed }
    }

    /// One change, `n`th of all. None: there was nothing to be done.
    fn change(&mut self, n: usize) -> Option<String> {
        let place = &self.places[n % self.places.len()];
        let (root, disk) = (place.at.clone(), on_disk(&place.truth));
        mutate(&root, &disk, &mut self.rng, n, !self.plain)
    }

    /// As many; the client is told what it has to be after each of them, or after some in a row.
    fn play(&mut self, name: &str, changes: usize) {
        let changes = setting("COHERENCE_CHANGES").map_or(changes, |n| n as usize);
        self.world.fill();
        for n in 0..changes {
            let changed = Instant::now();
            let what = if self.waits_for_client { self.change_and_hear(n) } else { self.change(n) };
            if let Some(what) = what {
                if !self.plain && self.rng.below(4) == 0 {
                    // On to the next one, with what has been heard so far.
                    self.world.hear(changed);
                    self.world.fill();
                    continue;
                }
                self.world.settle(changed, &format!("seed {}, change {n}: {what}", self.seed));
                self.world.fill();
            }
        }
        self.world.settle(Instant::now(), "the end");
        println!("{name}: {changes} changes, {}", spread(std::mem::take(&mut self.world.waits)));
    }

    fn change_and_hear(&mut self, n: usize) -> Option<String> {
        let place = &self.places[n % self.places.len()];
        let (root, disk) = (place.at.clone(), on_disk(&place.truth));
        let mut rng = Rng(self.rng.0);
        let changed = Instant::now();
        let program = std::thread::spawn(move || (mutate(&root, &disk, &mut rng, n, true), rng));
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
    scene.play(keys, changes);
}

#[test]
fn what_the_kernel_tells_of() {
    run("", None, 10_000, Duration::from_secs(10));
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
