//! Power cuts: state directory and share on a device that is looked at under load, at moments of chance, as a cut would leave
//! it. Whatever was answered before that moment is there when a server starts on it. Eight times; `SMBGATE_CUTS=96` for more.

mod device;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use smbgate::types::{FileId, NtStatus};
use smbgate::wire::close::CloseRequest;
use smbgate::wire::flush::FlushRequest;
use smbgate::wire::lock::LockFlags;
use smbgate::wire::write::{WriteFlags, WriteRequest};

use crate::client::{Client, Offer};
use crate::common::{PASSWORD, Server, USER};
use crate::killed::{Held, ask, come_back, random};
use crate::leases::file;
use crate::persistent::offer;
use crate::restart::{EXCLUSIVE, lock};
use device::{Device, Mounted, run};

const MKFS: &str = "/usr/sbin/mkfs.ext4";
const IMAGE: u64 = 96 << 20;
const BLOCK: usize = 4096;
const BLOCKS: u64 = 40;
/// Cuts of one load.
const AT_ONCE: usize = 4;
/// So much is promised from one to the next, at least.
const MORE: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// Those who open and lock.
const HOLDERS: usize = 3;

fn cuts() -> usize {
    std::env::var("SMBGATE_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(8)
}

/// What the server has answered for. Locked while what it says may be on its way to become otherwise: so a cut under the
/// lock leaves all of it.
#[derive(Clone, Default)]
struct Promised {
    held: [Vec<Held>; HOLDERS],
    /// By file, what each of its blocks was filled with when it was flushed. Later there are only greater numbers.
    data: BTreeMap<String, Vec<u64>>,
    /// How often something was added to this.
    count: u64,
}

impl Promised {
    /// What one of the holders has.
    fn held_by(&mut self, who: usize) -> &mut Vec<Held> {
        self.count += 1;
        &mut self.held[who]
    }
}

#[derive(Default)]
struct Shared {
    promised: Mutex<Promised>,
    /// Somebody is about to add something.
    more: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Promised> {
        let promised = self.promised.lock().expect("nobody has panicked");
        self.more.notify_one();
        promised
    }

    /// Once so much more was added.
    fn after(&self, more: u64) -> MutexGuard<'_, Promised> {
        let promised = self.promised.lock().expect("nobody has panicked");
        let until = promised.count + more;
        let (promised, waited) = self
            .more
            .wait_timeout_while(promised, PATIENCE, |promised| promised.count < until)
            .expect("nobody has panicked");
        assert!(!waited.timed_out(), "nothing is answered any more");
        promised
    }
}

/// Opens, locks, unlocks and closes. None: the server is gone.
fn hold(c: &mut Client, who: usize, n: u64, promised: &Shared) -> Option<()> {
    let mut held = Held::new(format!("held-{who}-{n}"), (who as u64) << 32 | n, true);
    held.file_id = ask(c, &held.open())?.opened().expect("nobody else has it").file_id;
    promised.lock().held_by(who).push(held.clone());
    if !n.is_multiple_of(4) {
        assert_eq!(ask(c, &lock(held.file_id, 0, EXCLUSIVE))?.status(), NtStatus::SUCCESS);
        promised.lock().held_by(who).last_mut().expect("it").locked = true;
    }
    if n % 8 == 1 {
        promised.lock().held_by(who).last_mut().expect("it").locked = false;
        assert_eq!(ask(c, &lock(held.file_id, 0, LockFlags::UNLOCK))?.status(), NtStatus::SUCCESS);
    }
    if !n.is_multiple_of(3) {
        let one = {
            let mut promised = promised.lock();
            let all = promised.held_by(who);
            all.remove(random(all.len() as u64) as usize)
        };
        ask(c, &CloseRequest { file_id: one.file_id, ..CloseRequest::default() })?;
    }
    Some(())
}

fn put(c: &mut Client, file_id: FileId, block: u64, number: u64, flags: WriteFlags) -> Option<()> {
    let data = number.to_le_bytes().repeat(BLOCK / 8);
    let write =
        WriteRequest { file_id, offset: block * BLOCK as u64, data: &data, flags, ..Default::default() };
    assert_eq!(ask(c, &write)?.status(), NtStatus::SUCCESS);
    Some(())
}

/// A new file, its blocks written and written again, each time with write-through or a flush.
fn write(c: &mut Client, name: &str, through: bool, promised: &Shared) -> Option<()> {
    let file_id = ask(c, &file(name))?.opened().expect("a file").file_id;
    for n in 1..3 * BLOCKS {
        let block = if n < BLOCKS { n - 1 } else { random(BLOCKS - 1) };
        let flags = if through { WriteFlags::WRITE_THROUGH } else { WriteFlags::empty() };
        put(c, file_id, block, n, flags)?;
        if !through {
            assert_eq!(ask(c, &FlushRequest { file_id })?.status(), NtStatus::SUCCESS);
        }
        let mut promised = promised.lock();
        let blocks = promised.data.entry(name.to_owned()).or_default();
        blocks.resize(blocks.len().max(block as usize + 1), 0);
        blocks[block as usize] = n;
        promised.count += 1;
    }
    ask(c, &CloseRequest { file_id, ..CloseRequest::default() }).map(drop)
}

/// What nobody flushes.
fn scribble(c: &mut Client) -> Option<()> {
    let file_id = ask(c, &file("scribbled"))?.opened().expect("a file").file_id;
    loop {
        put(c, file_id, random(500), 1, WriteFlags::empty())?;
    }
}

fn client(server: &Server, offer: &Offer) -> Client {
    Client::ready(server.address, offer, USER, PASSWORD, "share")
}

/// Cuts under load. `alone`: there is one client, so that nobody's flush makes up for what another has forgotten.
fn under_load(
    server: &mut Server,
    device: &Device,
    offers: &[Offer; HOLDERS],
    alone: bool,
) -> Vec<(Vec<u8>, Promised)> {
    let promised = Shared::default();
    thread::scope(|scope| {
        for (who, offer) in offers.iter().enumerate().take(if alone { 1 } else { HOLDERS }) {
            let (mut c, promised) = (client(server, offer), &promised);
            scope.spawn(move || (0..).try_for_each(|n| hold(&mut c, who, n, promised)));
        }
        for through in [true, false].into_iter().filter(|_| !alone) {
            let (mut c, promised) = (client(server, &offer()), &promised);
            scope.spawn(move || {
                (0..).try_for_each(|n| write(&mut c, &format!("data-{through}-{n}"), through, promised))
            });
        }
        if !alone {
            let mut c = client(server, &offer());
            scope.spawn(move || scribble(&mut c));
        }
        let images = (0..AT_ONCE).map(|_| {
            let promised = promised.after(MORE + random(10 * MORE));
            (device.cut(), promised.clone())
        });
        let images = images.collect();
        server.kill();
        images
    })
}

/// All of it is there.
fn kept(server: &Server, offers: &[Offer; HOLDERS], promised: &mut Promised) {
    let log = server.log();
    eprintln!("{log}");
    assert!(!log.contains(" ERROR"), "the database");
    for (held, offer) in promised.held.iter_mut().zip(offers) {
        let had = held.len();
        come_back(&mut client(server, offer), held);
        assert_eq!(held.len(), had);
    }
    for (name, blocks) in &promised.data {
        let data = fs::read(server.path("share").join(name)).expect(name);
        for (n, (number, block)) in blocks.iter().zip(data.chunks(BLOCK)).enumerate() {
            let words = block.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
            assert!(words.clone().count() == BLOCK / 8, "{name}: it ends in block {n}");
            let old = words.filter(|word| word < number).count();
            assert_eq!(old, 0, "{name}: words of block {n} that are older than {number}");
        }
        assert!(
            data.len() >= blocks.len() * BLOCK,
            "{name}: {} bytes of {} blocks",
            data.len(),
            blocks.len()
        );
    }
}

fn new_file_system(at: &Path) -> Vec<u8> {
    let image = at.join("image");
    fs::File::create(&image).and_then(|file| file.set_len(IMAGE)).expect("an image");
    let options = ["-q", "-F", "-b", "4096", "-J", "size=8", "-E", "nodiscard,lazy_itable_init=0"];
    run(Command::new(MKFS).args(options).arg(&image));
    fs::read(&image).expect("an image")
}

/// Load on a new file system, and cuts.
fn round(directory: &Path, alone: bool) {
    let (at, image) = (directory.join("mount"), directory.join("image"));
    let device = Device::new(new_file_system(directory));
    let mounted = device.mount(&at);
    fs::set_permissions(&at, fs::Permissions::from_mode(0o777)).expect("permissions");
    let keys = ("share", "continuous_availability = true");
    let mut server = Server::start_in(&at, "signing = \"offered\"", &[keys]);
    run(Command::new("sync").arg("-f").arg(&at));
    let offers = [offer(), offer(), offer()];
    let images = under_load(&mut server, &device, &offers, alone);
    drop(mounted);
    for (data, mut promised) in images {
        fs::write(&image, data).expect("an image");
        let mounted = Mounted::new(&image, &at);
        let handles: usize = promised.held.iter().map(Vec::len).sum();
        eprintln!("--- a cut: {handles} handles, {} files", promised.data.len());
        server.start_again();
        kept(&server, &offers, &mut promised);
        server.kill();
        drop(mounted);
    }
}

#[test]
fn nothing_that_was_answered_is_lost_in_a_power_cut() {
    let root = nix::unistd::geteuid().is_root();
    if !root || [MKFS, "/dev/fuse", "/dev/loop-control"].iter().any(|path| !Path::new(path).exists()) {
        return eprintln!("skipped: it takes root, ext4, FUSE and loop devices");
    }
    let directory =
        tempfile::Builder::new().prefix("smbgate-cut-").tempdir_in("/var/tmp").expect("a directory");
    let at = directory.path().join("mount");
    fs::create_dir(&at).expect("a directory");
    for path in [directory.path(), &at] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("permissions");
    }
    for n in 0..cuts().div_ceil(AT_ONCE) {
        round(directory.path(), n % 2 == 1);
    }
}
