//! The state directory: one process at a time, its database, its users.
//!
//! ```text
//! lock           flock(2) of the process that uses the directory; its process id
//! db/            sled
//! serial         the number of the last change of handles that was answered for
//! ballast        room that is given up while the database is opened: sled writes then, too
//! control.sock   where the server that runs is asked things
//! db.corrupt-*   databases that did not open any more
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::Failure;
use crate::auth::users::Users;
use crate::durable::store::SledHandles;
use crate::sys;
use crate::sys::room::ROOM;

const LOCK: &str = "lock";
const DB: &str = "db";
const BALLAST: &str = "ballast";

/// The open state directory. Nobody else has it while this lives.
pub struct State {
    pub dir: PathBuf,
    pub db: sled::Db,
    pub users: Arc<Users>,
    _lock: Flock<File>,
}

/// Why the state directory cannot be had.
#[derive(Debug)]
pub enum Denied {
    /// By the process with this id, if it said so.
    InUse(Option<u32>),
    Failed(Failure),
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Denied {
        Denied::Failed(failure)
    }
}

impl State {
    /// Opens the directory, making it where it is missing. Waits for at most `patience` until another process lets go of it.
    pub fn open(dir: &Path, patience: Duration) -> Result<State, Denied> {
        prepare(dir)?;
        let lock = lock(dir, patience)?;
        let path = dir.join(DB);
        let ballast = dir.join(BALLAST);
        // So that a disk that is full keeps no server from starting.
        let _ = std::fs::remove_file(&ballast);
        let db = open_database(&path)?;
        if let Err(e) = load(&ballast) {
            log::debug!("no room is kept back in {}: {e}", dir.display());
        }
        let users = Users::open(&db, &path)
            .map_err(|e| Failure(format!("cannot read the users in {}: {e}", dir.display())))?;
        Ok(State { dir: dir.to_path_buf(), db, users: Arc::new(users), _lock: lock })
    }

    /// Everything that was written is on the disk afterwards.
    pub fn sync(&self) -> std::io::Result<()> {
        self.disk().sync()
    }

    /// The handles of the last time, and where those of this time are kept.
    pub fn handles(&self) -> Result<Arc<SledHandles>, Failure> {
        let store = SledHandles::open(&self.db, &self.dir.join(DB));
        store
            .map(Arc::new)
            .map_err(|e| Failure(format!("cannot read the handles in {}: {e}", self.dir.display())))
    }

    /// For those who write on their own.
    pub fn disk(&self) -> Disk {
        Disk { db: self.db.clone(), file: self.dir.join(DB).join("db") }
    }
}

/// The database and the file it lives in: what it takes to have writes on the disk.
pub struct Disk {
    db: sled::Db,
    file: PathBuf,
}

impl Disk {
    /// For a write of so many bytes: sled takes none any more after one that failed.
    pub fn reserve(&self, bytes: usize) -> std::io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.file)?;
        sys::room::reserve(&file, ROOM + 2 * bytes as u64)
    }

    /// sled's own flush leaves the data where a power cut still takes it; fdatasync does not.
    pub fn sync(&self) -> std::io::Result<()> {
        self.db.flush().map_err(std::io::Error::from)?;
        File::open(&self.file)?.sync_data()
    }
}

/// Makes the directory, private to its owner. One that holds something else is refused, since its mode would be changed.
fn prepare(dir: &Path) -> Result<(), Failure> {
    let told = |what: &str, e: std::io::Error| {
        let remedy = match e.kind() {
            ErrorKind::PermissionDenied => "; run as root, or choose another with --state-dir",
            ErrorKind::ReadOnlyFilesystem => "; choose one that can be written with --state-dir",
            _ => "",
        };
        Failure(format!("cannot {what} the state directory {}: {e}{remedy}", dir.display()))
    };
    if let Some(parent) = dir.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(|e| told("make", e))?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(told("make", e)),
    }
    let metadata = std::fs::metadata(dir).map_err(|e| told("use", e))?;
    if !metadata.is_dir() {
        return Err(Failure(format!(
            "the state directory {} is a file; choose another with --state-dir",
            dir.display()
        )));
    }
    let ours = dir.join(LOCK).exists() || dir.join(DB).exists();
    let empty = || std::fs::read_dir(dir).map(|mut entries| entries.next().is_none());
    if !ours && !empty().map_err(|e| told("use", e))? {
        return Err(Failure(format!(
            "{} holds files that are not smbgate's; choose an empty or new directory with --state-dir",
            dir.display()
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
            .map_err(|e| told("make private", e))?;
    }
    Ok(())
}

fn lock(dir: &Path, patience: Duration) -> Result<Flock<File>, Denied> {
    let path = dir.join(LOCK);
    let failed = |e: std::io::Error| Failure(format!("cannot lock {}: {e}", path.display()));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    let deadline = Instant::now() + patience;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // The id is for messages only.
                let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
                return Ok(lock);
            }
            Err((back, Errno::EWOULDBLOCK)) => {
                file = back;
                if Instant::now() >= deadline {
                    let mut text = String::new();
                    let _ = file.read_to_string(&mut text);
                    return Err(Denied::InUse(text.trim().parse().ok()));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Err((_, errno)) => return Err(failed(errno.into()).into()),
        }
    }
}

fn load(ballast: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(ballast)?;
    sys::room::reserve(&file, ROOM)
}

fn config(path: &Path) -> sled::Config {
    sled::Config::new().path(path).cache_capacity(16 << 20).flush_every_ms(None)
}

/// Opens the database. One that does not open any more is set aside, loudly, and an empty one takes its place: a server
/// without users can be helped, a server that does not start cannot.
fn open_database(path: &Path) -> Result<sled::Db, Failure> {
    let why = match try_open(path) {
        Ok(db) => return Ok(db),
        Err(Broken::Otherwise(e)) => {
            return Err(Failure(format!("cannot open the database {}: {e}", path.display())));
        }
        Err(Broken::Corrupt(why)) => why,
    };
    let aside = aside(path);
    std::fs::rename(path, &aside).map_err(|e| {
        Failure(format!("the database {} is corrupt ({why}) and cannot be set aside: {e}", path.display()))
    })?;
    log::error!(
        "the database {} is corrupt: {why}. It was moved to {} and an empty one takes its place: there are no users until you \
         add them again (smbgate user add NAME), or stop the server and put back a copy of the directory",
        path.display(),
        aside.display()
    );
    config(path).open().map_err(|e| Failure(format!("cannot make the database {}: {e}", path.display())))
}

enum Broken {
    Corrupt(String),
    Otherwise(sled::Error),
}

fn try_open(path: &Path) -> Result<sled::Db, Broken> {
    let was_there = std::fs::metadata(path.join("db")).is_ok_and(|file| file.len() > 0);
    // On some damage sled panics instead of returning an error; on other damage it begins anew without a word.
    let opened = std::panic::catch_unwind(|| {
        let db = config(path).open()?;
        if was_there && !db.was_recovered() {
            return Err(sled::Error::ReportableBug("nothing in it could be read".to_owned()));
        }
        for name in db.tree_names() {
            // Reading through every page is what finds damage; the database is small.
            for entry in &db.open_tree(&name)? {
                entry?;
            }
        }
        Ok(db)
    });
    match opened {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(e @ sled::Error::Corruption { .. })) => Err(Broken::Corrupt(e.to_string())),
        Ok(Err(sled::Error::ReportableBug(bug))) => Err(Broken::Corrupt(bug)),
        Ok(Err(sled::Error::Io(e)))
            if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            Err(Broken::Corrupt(e.to_string()))
        }
        Ok(Err(e)) => Err(Broken::Otherwise(e)),
        Err(_) => Err(Broken::Corrupt("sled panicked while it read it".to_owned())),
    }
}

/// A name beside `path` that is free: `db.corrupt-20261123T080000Z`.
fn aside(path: &Path) -> PathBuf {
    let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let stamp = timestamp(seconds);
    (0..)
        .map(|n| match n {
            0 => path.with_extension(format!("corrupt-{stamp}")),
            n => path.with_extension(format!("corrupt-{stamp}.{n}")),
        })
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| path.with_extension("corrupt"))
}

/// Seconds since 1970 as `20261123T080000Z`.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from a day count: eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_civil_dates() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(951_782_400), "20000229T000000Z");
        assert_eq!(timestamp(1_795_420_799), "20261123T075959Z");
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("letter"), "dear").expect("writes");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let refused = prepare(dir.path()).expect_err("refused");
        assert!(refused.0.contains("holds files that are not smbgate's"), "{refused}");
        assert_eq!(std::fs::metadata(dir.path()).expect("is there").mode() & 0o777, 0o755);
    }

    #[test]
    fn the_directory_is_made_private() {
        let top = tempfile::tempdir().expect("a directory");
        let dir = top.path().join("a/b");
        prepare(&dir).expect("made");
        assert_eq!(std::fs::metadata(&dir).expect("is there").mode() & 0o777, 0o700);
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        prepare(&dir).expect("mended");
        assert_eq!(std::fs::metadata(&dir).expect("is there").mode() & 0o777, 0o700);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let held = lock(dir.path(), Duration::ZERO).expect("locks");
        match lock(dir.path(), Duration::ZERO) {
            Err(Denied::InUse(pid)) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(held);
        lock(dir.path(), Duration::ZERO).expect("free again");
    }

    #[test]
    fn a_database_that_does_not_open_is_set_aside() {
        for damage in ["db", "conf"] {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join(DB);
            let db = open_database(&path).expect("opens");
            for n in 0..2000_u32 {
                db.insert(n.to_be_bytes(), vec![7_u8; 100]).expect("inserts");
            }
            db.flush().expect("flushes");
            drop(db);
            let file = path.join(damage);
            let mut bytes = std::fs::read(&file).expect("reads");
            bytes.iter_mut().for_each(|byte| *byte ^= 0x5A);
            std::fs::write(&file, bytes).expect("writes");
            let db = open_database(&path).expect("an empty one");
            assert_eq!(db.len(), 0);
            let kept = std::fs::read_dir(dir.path())
                .expect("lists")
                .filter_map(Result::ok)
                .any(|entry| entry.file_name().to_string_lossy().starts_with("db.corrupt-"));
            assert!(kept, "{damage}: the old one is kept");
        }
    }
}
