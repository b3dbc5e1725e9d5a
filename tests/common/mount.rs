//! File systems for tests: one in a file, and FUSE ones that show directories of this machine. Unmounted when dropped.
//!
//! What they show is changed behind their back in [`Mount::far`].

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";

pub struct Mount {
    directory: TempDir,
    /// Those that serve it; they end when it is unmounted.
    servers: Vec<Child>,
}

/// Why it cannot be had on this machine.
pub type Missing = String;

impl Mount {
    fn new() -> Mount {
        let directory =
            tempfile::Builder::new().prefix("smbgate-mount-").tempdir_in("/var/tmp").expect("a directory");
        let mount = Mount { directory, servers: Vec::new() };
        for path in [mount.directory.path().to_owned(), mount.path(), mount.far(0), mount.far(1)] {
            fs::create_dir_all(&path).expect("a directory");
            fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("permissions");
        }
        mount
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// The directories that it shows. Only mergerfs has more than one.
    pub fn far(&self, n: usize) -> PathBuf {
        self.directory.path().join(["far", "far2"][n])
    }

    /// A new btrfs in a file. Takes root.
    pub fn btrfs() -> Result<Mount, Missing> {
        if !is_root() {
            return Err("only root mounts a file system in a file".to_owned());
        }
        tools(&["/usr/sbin/mkfs.btrfs"])?;
        let mount = Mount::new();
        let image = mount.directory.path().join("image");
        fs::File::create(&image).and_then(|file| file.set_len(512 << 20)).expect("an image");
        run(Command::new("/usr/sbin/mkfs.btrfs").arg("-q").arg(&image)).expect("mkfs.btrfs");
        // A kernel without btrfs or loop devices, or a container that may not.
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(mount.path()))?;
        fs::set_permissions(mount.path(), Permissions::from_mode(0o777)).expect("permissions");
        Ok(mount)
    }

    /// One directory shown in another place.
    pub fn bindfs() -> Result<Mount, Missing> {
        tools(&["bindfs"])?;
        let mount = Mount::new();
        let mut command = Command::new("bindfs");
        command.arg("-f").args(options(&[])).arg(mount.far(0)).arg(mount.path());
        mount.fuse(command)
    }

    /// A directory by SFTP, over a socket instead of a network.
    pub fn sshfs(keys: &[&str]) -> Result<Mount, Missing> {
        tools(&["sshfs", SFTP_SERVER])?;
        let mut mount = Mount::new();
        let (near, far) = UnixStream::pair().expect("a socket pair");
        let pipe =
            |socket: &UnixStream| Stdio::from(OwnedFd::from(socket.try_clone().expect("a descriptor")));
        let server = Command::new(SFTP_SERVER).stdin(pipe(&far)).stdout(pipe(&far)).spawn();
        mount.servers.push(server.expect("sftp-server"));
        let mut command = Command::new("sshfs");
        command.arg("-f").args(options(&[&["passive"], keys].concat()));
        command.arg(format!("here:{}", mount.far(0).display())).arg(mount.path());
        command.stdin(pipe(&near)).stdout(pipe(&near));
        mount.fuse(command)
    }

    /// Two directories as one.
    pub fn mergerfs() -> Result<Mount, Missing> {
        tools(&["mergerfs"])?;
        let mount = Mount::new();
        let mut command = Command::new("mergerfs");
        command.arg("-f").args(options(&[]));
        command.arg(format!("{}:{}", mount.far(0).display(), mount.far(1).display())).arg(mount.path());
        mount.fuse(command)
    }

    fn fuse(mut self, mut command: Command) -> Result<Mount, Missing> {
        if !Path::new("/dev/fuse").exists() {
            return Err("there is no /dev/fuse".to_owned());
        }
        self.servers.push(command.spawn().expect("the file system's process"));
        let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
        let end = Instant::now() + Duration::from_secs(20);
        while device(&self.path()) == device(self.directory.path()) {
            let ended = self.servers.last_mut().and_then(|child| child.try_wait().expect("its state"));
            assert!(ended.is_none() && Instant::now() < end, "{command:?} does not mount: {ended:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(self)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Whoever still has something open there: nothing stays.
        if nix::mount::umount2(&self.path(), nix::mount::MntFlags::MNT_DETACH).is_err()
            && !self.servers.is_empty()
        {
            let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(self.path()).status();
        }
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// As root the server acts as its users, whom FUSE does not let in by itself.
fn options(keys: &[&str]) -> Vec<String> {
    let all: &[&str] = if is_root() { &["allow_other"] } else { &[] };
    let keys = [keys, all].concat();
    if keys.is_empty() { Vec::new() } else { vec!["-o".to_owned(), keys.join(",")] }
}

fn tools(names: &[&str]) -> Result<(), Missing> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |name: &str| path.split(':').any(|dir| Path::new(dir).join(name).exists());
    match names.iter().find(|name| !found(name)) {
        Some(name) => Err(format!("there is no {name}")),
        None => Ok(()),
    }
}

fn run(command: &mut Command) -> Result<(), Missing> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
