//! A server of one's own for a test: the built binary on a loopback address, in a temporary directory.
//!
//! ```text
//! let server = Server::start("signing = \"offered\"", &[("share", "")]);
//! let mut c = server.client();
//! ```

#![allow(dead_code, reason = "no one test uses all of it")]

pub mod mount;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The user of every test: there is a Unix account of that name everywhere, so root need not make one.
pub const USER: &str = "nobody";
/// Another one, for [`Server::add_user`].
pub const OTHER: &str = "daemon";
pub const PASSWORD: &str = "correct horse";

pub struct Server {
    pub address: SocketAddr,
    pub directory: TempDir,
    child: Child,
    by: Vec<String>,
}

impl Server {
    /// Starts a server with more keys for `[server]`, and shares with more keys for each. A share without a
    /// `path` key gets a directory of its name that everybody may write to.
    pub fn start(keys: &str, shares: &[(&str, &str)]) -> Server {
        Server::start_by(&[], keys, shares)
    }

    /// The same by a command that sets the stage and then becomes the program that its further arguments name.
    pub fn start_by(by: &[&str], keys: &str, shares: &[(&str, &str)]) -> Server {
        Server::start_all(Path::new("/var/tmp"), by, keys, shares)
    }

    /// The same as [`Server::start`], all of it in this directory.
    pub fn start_in(parent: &Path, keys: &str, shares: &[(&str, &str)]) -> Server {
        Server::start_all(parent, &[], keys, shares)
    }

    fn start_all(parent: &Path, by: &[&str], keys: &str, shares: &[(&str, &str)]) -> Server {
        let directory =
            tempfile::Builder::new().prefix("smbgate-proto-").tempdir_in(parent).expect("a directory");
        open_to_all(directory.path());
        let address = address();
        let state = directory.path().join("state");
        let mut config = format!(
            "[server]\nname = \"testserver\"\nlisten = [\"{address}\"]\nstate_dir = {state:?}\n{keys}\n"
        );
        for (name, keys) in shares {
            let path = directory.path().join(name);
            config += &format!("\n[[share]]\nname = {name:?}\n{keys}\n");
            if !keys.contains("path =") {
                fs::create_dir(&path).expect("the share's directory");
                open_to_all(&path);
                config += &format!("path = {path:?}\n");
            }
        }
        fs::create_dir(&state).expect("the state directory");
        fs::write(directory.path().join("smbgate.toml"), config).expect("the configuration");
        add_user(directory.path(), USER, PASSWORD);
        let by: Vec<String> = by.iter().map(|&word| word.to_owned()).collect();
        let child = run(directory.path(), &by);
        Server { address, directory, child, by }
    }

    /// With signing as the client wants it, and one share of the name `share`.
    pub fn plain() -> Server {
        Server::start("signing = \"offered\"", &[("share", "")])
    }

    /// A further user, with the same password.
    pub fn add_user(&self, name: &str) {
        add_user(self.directory.path(), name, PASSWORD);
    }

    /// A user of a server that does not run.
    pub fn remove_user(&self, name: &str) {
        let removed = smbgate(self.directory.path())
            .args(["user", "remove", name, "--config", "smbgate.toml"])
            .stdout(Stdio::null())
            .status();
        assert!(removed.expect("smbgate user remove").success(), "smbgate user remove {name}");
    }

    pub fn path(&self, share: &str) -> PathBuf {
        self.directory.path().join(share)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// What `smbgate status` says.
    pub fn status(&self) -> String {
        let status = smbgate(self.directory.path()).args(["status", "--config", "smbgate.toml"]).output();
        String::from_utf8(status.expect("smbgate status").stdout).expect("text")
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("the server runs");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("statm") * 4096
    }

    /// It gets no processor until [`Server::thaw`].
    pub fn freeze(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGSTOP).expect("the server runs");
    }

    pub fn thaw(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGCONT).expect("the server runs");
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        // Gone already: nothing to end.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
    }

    /// Whether it ends within the time.
    pub fn ends(&mut self, within: Duration) -> bool {
        let end = Instant::now() + within;
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// `kill -9`, and a start on what it left.
    pub fn crash(&mut self) {
        self.kill();
        self.start_again();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// On what the last one left, at the same address.
    pub fn start_again(&mut self) {
        fs::remove_file(self.directory.path().join("notify")).expect("the old socket");
        self.child = run(self.directory.path(), &self.by);
    }

    /// By the same program, in the same process.
    pub fn replace(&mut self) {
        fs::remove_file(self.directory.path().join("notify")).expect("the old socket");
        let socket = notifications(self.directory.path());
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGUSR2).expect("the server runs");
        wait_until_ready(self.directory.path(), &socket, &mut self.child);
    }

    /// As `systemctl restart` does it.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    pub fn stop(&mut self) {
        self.terminate();
        assert!(self.ends(PATIENCE), "the server did not stop on SIGTERM:\n{}", self.log());
    }
}

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
            assert!(!self.log().contains("panicked at"), "the server panicked:\n{}", self.log());
            return;
        }
        let _ = self.child.kill();
        // Who hangs in a dead backend cannot even be killed, and must not hang the tests too.
        self.ends(Duration::from_secs(5));
        eprintln!("--- the server's log\n{}", self.log());
    }
}

/// An address no other test process has: all of 127.0.0.0/8 is loopback, and process ids differ.
fn address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(4450);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, a.max(1), b, c], NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("permissions");
}

fn smbgate(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smbgate"));
    command.current_dir(directory).env_remove("NOTIFY_SOCKET");
    command
}

fn add_user(directory: &Path, name: &str, password: &str) {
    let mut child = smbgate(directory)
        .args(["user", "add", name, "--password-stdin", "--config", "smbgate.toml"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("smbgate user add");
    child.stdin.take().expect("a pipe").write_all(format!("{password}\n").as_bytes()).expect("the password");
    assert!(child.wait().expect("smbgate user add").success(), "smbgate user add {name}");
}

/// Starts it and waits for READY=1 on its notification socket.
fn run(directory: &Path, by: &[String]) -> Child {
    let socket = notifications(directory);
    let log = fs::File::create(directory.join("log")).expect("a log");
    let mut command = smbgate(directory);
    if let [first, rest @ ..] = by {
        command = Command::new(first);
        command.current_dir(directory).args(rest).arg(env!("CARGO_BIN_EXE_smbgate"));
    }
    let mut child = command
        .args(["serve", "--config", "smbgate.toml"])
        .env("NOTIFY_SOCKET", directory.join("notify"))
        .env("SMBGATE_LOG", std::env::var("SMBGATE_LOG").unwrap_or_else(|_| "debug".to_owned()))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("smbgate serve");
    wait_until_ready(directory, &socket, &mut child);
    child
}

/// Where a server says that it is ready.
fn notifications(directory: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(directory.join("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time limit");
    socket
}

fn wait_until_ready(directory: &Path, socket: &UnixDatagram, child: &mut Child) {
    let end = Instant::now() + PATIENCE;
    let mut message = [0; 4096];
    loop {
        let n = socket.recv(&mut message).unwrap_or(0);
        if message[..n].split(|&b| b == b'\n').any(|line| line == b"READY=1") {
            return;
        }
        let ended = child.try_wait().expect("the server's state");
        if ended.is_some() || Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "the server did not come up:\n{}",
                fs::read_to_string(directory.join("log")).unwrap_or_default()
            );
        }
    }
}
