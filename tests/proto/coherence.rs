//! The coherence test: a client caches all of a tree by its leases, somebody changes the tree outside SMB, and after each
//! change what the client is entitled to believe is what the disk has, or it has been told within the bound.
//!
//! `COHERENCE_CHANGES=n` sets the number of changes, `COHERENCE_SEED=n` the seed. Prints how long it took from a change to
//! the break on the wire.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, LeaseKey, LeaseState};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::oplock_break::{LeaseBreakAck, LeaseBreakFlags};
use smbgate::wire::query_directory::QueryDirectoryFlags;

use crate::client::{Client, Opened, PATIENCE, create};
use crate::common::Server;
use crate::leases::{broken, leased, state};

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

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n.max(1) as u64) as usize
    }
}

struct World {
    root: PathBuf,
    client: Client,
    /// By path from the root of the share.
    cache: BTreeMap<String, Cached>,
    keys: Vec<u8>,
    waits: Vec<Duration>,
    bound: Duration,
}

/// What is on disk: by path, directories first.
fn on_disk(root: &Path) -> BTreeMap<String, Belief> {
    fn walk(at: &Path, name: &str, out: &mut BTreeMap<String, Belief>) {
        let mut listing = BTreeMap::new();
        for entry in fs::read_dir(at).expect("a directory").map(|e| e.expect("an entry")) {
            let entry_name = entry.file_name().into_string().expect("a name");
            let inner = if name.is_empty() { entry_name.clone() } else { format!("{name}\\{entry_name}") };
            let meta = entry.metadata().expect("metadata");
            if meta.is_dir() {
                walk(&entry.path(), &inner, out);
                listing.insert(entry_name, 0);
            } else {
                out.insert(inner, Belief::Content(fs::read(entry.path()).expect("a file")));
                listing.insert(entry_name, meta.size());
            }
        }
        out.insert(name.to_owned(), Belief::Listing(listing));
    }
    let mut out = BTreeMap::new();
    walk(root, "", &mut out);
    out
}

impl World {
    fn new(server: &Server, bound: Duration) -> World {
        let root = server.path("share");
        for d in ["a", "b", "a/c"] {
            fs::create_dir(root.join(d)).expect("a directory");
        }
        let client = server.client();
        World {
            root,
            client,
            cache: BTreeMap::new(),
            keys: (1..=250).rev().collect(),
            waits: Vec::new(),
            bound,
        }
    }

    /// Opens and reads whatever is not cached; forgets what is no longer there.
    fn fill(&mut self) {
        let disk = on_disk(&self.root);
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
            let opened = self.open(&leased(request, key, wanted, None), wanted);
            let belief = if directory { self.list(opened.file_id) } else { self.read(opened.file_id) };
            self.cache.insert(name.clone(), Cached { file_id: opened.file_id, key, belief, entitled: true });
        }
    }

    /// Opens with a lease. A file that a program wrote to through a view can be cached once that has closed it, of which the
    /// kernel tells in its own time.
    fn open(&mut self, request: &CreateRequest<'_>, wanted: LeaseState) -> Opened {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let opened = self.client.create(request).expect("an open");
            if state(&opened) == wanted {
                return opened;
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
        let disk = on_disk(&self.root);
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

/// One change that a program makes in the tree at `root`, in which there is `disk`.
fn mutate(root: &Path, disk: &BTreeMap<String, Belief>, rng: &mut Rng, n: usize) -> Option<String> {
    let local = |name: &str| root.join(name.replace('\\', "/"));
    let pick = |rng: &mut Rng, directories: bool| {
        let of_kind: Vec<_> = disk
            .iter()
            .filter(|(_, b)| matches!(b, Belief::Listing(_)) == directories)
            .map(|(n, _)| n)
            .collect();
        of_kind.get(rng.below(of_kind.len())).map(|name| (*name).clone())
    };
    let files = disk.values().filter(|b| matches!(b, Belief::Content(_))).count();
    let directories = disk.len() - files;
    let directory = pick(rng, true)?;
    let new = local(&directory).join(format!("n{n}"));
    let step = rng.below(if files < 4 { 2 } else { 12 });
    match step {
        0 | 1 => {
            fs::write(&new, format!("{n}")).expect("a new file");
            Some(format!("create {new:?}"))
        }
        2 => {
            let name = local(&pick(rng, false)?);
            fs::write(&name, vec![b'x'; rng.below(3000)]).expect("a write");
            Some(format!("write {name:?}"))
        }
        3 => {
            let name = local(&pick(rng, false)?);
            let mut f = fs::OpenOptions::new().append(true).open(&name).expect("a file");
            f.write_all(b"more").expect("an append");
            Some(format!("append {name:?}"))
        }
        4 => {
            let name = local(&pick(rng, false)?);
            let f = fs::OpenOptions::new().write(true).open(&name).expect("a file");
            f.set_len(rng.below(100) as u64).expect("a truncate");
            Some(format!("truncate {name:?}"))
        }
        5 | 6 => {
            let name = local(&pick(rng, false)?);
            fs::rename(&name, &new).expect("a rename");
            Some(format!("rename {name:?} {new:?}"))
        }
        7 | 8 if files > 12 => {
            let name = local(&pick(rng, false)?);
            fs::remove_file(&name).expect("an unlink");
            Some(format!("unlink {name:?}"))
        }
        7 | 8 => None,
        9 => {
            let name = local(&pick(rng, false)?);
            fs::set_permissions(&name, fs::Permissions::from_mode(0o644 | (n as u32 & 0o22)))
                .expect("a chmod");
            Some(format!("chmod {name:?}"))
        }
        10 if directories < 6 => {
            fs::create_dir(&new).expect("a directory");
            Some(format!("mkdir {new:?}"))
        }
        10 => {
            let name = disk
                .iter()
                .find(|(name, b)| !name.is_empty() && matches!(b, Belief::Listing(l) if l.is_empty()))?;
            fs::remove_dir(local(name.0)).expect("an rmdir");
            Some(format!("rmdir {:?}", name.0))
        }
        _ if files > 20 => None,
        _ => {
            let name = local(&pick(rng, false)?);
            fs::hard_link(&name, &new).expect("a link");
            Some(format!("link {name:?} {new:?}"))
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

/// `through`: where the programs work, if not on the share's directory itself.
fn run(keys: &str, through: Option<&Path>, changes: usize, bound: Duration) {
    let env = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let changes = env("COHERENCE_CHANGES").map_or(changes, |n| n as usize);
    let seed = env("COHERENCE_SEED").unwrap_or(1);
    let server = Server::start("signing = \"offered\"", &[("share", keys)]);
    let mut world = World::new(&server, bound);
    let mut rng = Rng(seed);
    world.fill();
    for n in 0..changes {
        let (root, disk) = (through.unwrap_or(&world.root).to_owned(), on_disk(&world.root));
        let changed = Instant::now();
        // It may have to wait for the client.
        let program = std::thread::spawn(move || (mutate(&root, &disk, &mut rng, n), rng));
        while through.is_some() && !program.is_finished() {
            world.hear(changed);
        }
        let (what, next) = program.join().expect("a change");
        rng = next;
        if let Some(what) = what {
            world.settle(changed, &format!("seed {seed}, change {n}: {what}"));
            world.fill();
        }
    }
    println!("{keys}: {changes} changes, {}", spread(world.waits));
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
