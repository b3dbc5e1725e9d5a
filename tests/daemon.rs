//! The real binary as a process: start, readiness, users, reload, status, stop.

#[path = "proto/client/mod.rs"]
mod client;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn smbgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smbgate"));
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .env("SMBGATE_LOG", "info")
        .stdin(Stdio::null());
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A place with a configuration, a shared directory and a state directory.
struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().expect("a directory"), port: free_port() };
        std::fs::create_dir(place.path("share")).expect("made");
        std::fs::create_dir(place.path("other")).expect("made");
        place.configure("");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Owned by whoever runs the test, so that no account has to be there.
    fn owner() -> String {
        nix::unistd::User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten()
            .map_or("root".to_owned(), |user| user.name)
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "[server]\nname = \"test\"\nlisten = [\"127.0.0.1:{}\"]\nstate_dir = \"{}\"\n\n\
             [[share]]\nname = \"share\"\npath = \"{}\"\nowner = \"{}\"\n{more}",
            self.port,
            self.path("state").display(),
            self.path("share").display(),
            Place::owner(),
        );
        std::fs::write(self.path("smbgate.toml"), text).expect("writes");
    }

    fn config(&self) -> PathBuf {
        self.path("smbgate.toml")
    }

    /// Another command on this place's configuration.
    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Output {
        let mut child = smbgate()
            .args(args)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that does not read its input is fine.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("ends")
    }

    fn serve(&self) -> Server {
        Server::start(self, smbgate().arg("serve").arg("--config").arg(self.config()))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}

/// A server that said it is ready.
struct Server {
    child: Child,
    notify: UnixDatagram,
    log: PathBuf,
}

impl Server {
    fn start(place: &Place, command: &mut Command) -> Server {
        let socket = place.path("notify.sock");
        let _ = std::fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).expect("binds");
        notify.set_read_timeout(Some(PATIENCE)).expect("set");
        let log = place.path("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("opens");
        let child =
            command.env("NOTIFY_SOCKET", &socket).stdout(Stdio::null()).stderr(file).spawn().expect("starts");
        let mut server = Server { child, notify, log };
        server.wait_for("READY=1");
        server
    }

    /// Reads words to the service manager until one has `what`.
    #[track_caller]
    fn wait_for(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        self.notify.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        while Instant::now() < deadline {
            if let Ok(n) = self.notify.recv(&mut buffer)
                && text(&buffer[..n]).lines().any(|line| line == what)
            {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                // What it said last may still be in the socket.
                self.notify.set_nonblocking(true).expect("set");
                while let Ok(n) = self.notify.recv(&mut buffer) {
                    if text(&buffer[..n]).lines().any(|line| line == what) {
                        return;
                    }
                }
                panic!("ended ({status}) before {what}:\n{}", self.log());
            }
        }
        panic!("no {what}:\n{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("signals");
    }

    #[track_caller]
    fn wait(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            assert!(Instant::now() < deadline, "does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(place: &Place) -> Value {
    serde_json::from_str(&succeeded(&place.run(&["status", "--json"]))).expect("JSON")
}

#[test]
fn it_starts_tells_and_stops() {
    let place = Place::new();
    let mut server = place.serve();
    TcpStream::connect((Ipv4Addr::LOCALHOST, place.port)).expect("connects");
    let status = status(&place);
    assert_eq!(status["pid"], server.child.id());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["shares"][0]["name"], "share");
    let told = succeeded(&place.run(&["status"]));
    assert!(told.contains("SHARES\n") && told.contains(&place.path("share").display().to_string()), "{told}");
    server.signal(Signal::SIGTERM);
    server.wait_for("STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
    assert!(!place.path("state/control.sock").exists());
    let nobody = failed(&place.run(&["status"]));
    assert!(nobody.contains("no server runs with the state directory"), "{nobody}");
}

#[test]
fn sigint_stops_it_too() {
    let place = Place::new();
    let mut server = place.serve();
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait().code(), Some(0));
}

/// As systemd hands a socket over that it kept, or made.
#[test]
fn a_socket_that_it_is_given_is_listened_on() {
    let place = Place::new();
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, place.port)).expect("binds");
    let given = std::os::fd::OwnedFd::from(socket.try_clone().expect("clones"));
    let mut command = Command::new("sh");
    command
        .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --config \"$1\" 3<&0 </dev/null"])
        .args([env!("CARGO_BIN_EXE_smbgate").as_ref(), place.config().as_os_str()])
        .stdin(given);
    let early = TcpStream::connect((Ipv4Addr::LOCALHOST, place.port)).expect("the kernel holds it");
    let server = Server::start(&place, &mut command);
    drop(socket);
    // It was there before the server, and is served.
    early.set_read_timeout(Some(PATIENCE)).expect("set");
    (&early).write_all(&[0, 0, 0, 4, 1, 2, 3, 4]).expect("sent");
    assert_eq!((&early).read(&mut [0]).expect("an answer to nonsense"), 0, "the connection is ended");
    server.stop();
}

#[test]
fn what_is_of_no_use_does_not_replace_it() {
    let place = Place::new();
    let server = place.serve();
    place.configure("nonsense = 1\n");
    server.signal(Signal::SIGUSR2);
    let deadline = Instant::now() + PATIENCE;
    while !server.log().contains("is not replaced (SIGUSR2)") {
        assert!(Instant::now() < deadline, "{}", server.log());
        std::thread::yield_now();
    }
    assert_eq!(status(&place)["pid"], server.child.id());
    server.stop();
}

#[test]
fn the_state_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let server = place.serve();
    let mode =
        |path: &str| std::fs::metadata(place.path(path)).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode("state"), 0o700);
    assert_eq!(mode("state/control.sock"), 0o600);
    server.stop();
}

/// The same commands do the same with a server and without.
fn users_come_and_go(place: &Place) {
    let added = succeeded(&place.run_with(&["user", "add", "alice", "--password-stdin"], "secret\n"));
    assert_eq!(added, "added alice\n");
    std::fs::write(place.path("password"), "other\n").expect("writes");
    let file = place.path("password");
    let file = file.to_str().expect("text");
    succeeded(&place.run(&["user", "add", "bob", "--password-file", file]));
    assert_eq!(succeeded(&place.run(&["user", "list"])), "alice\nbob\n");

    let twice = failed(&place.run_with(&["user", "add", "Alice", "--password-stdin"], "secret\n"));
    assert!(twice.contains("exists; to change the password: smbgate user passwd Alice"), "{twice}");
    succeeded(&place.run_with(&["user", "passwd", "alice", "--password-stdin"], "new\n"));
    let nobody = failed(&place.run_with(&["user", "passwd", "carol", "--password-stdin"], "new\n"));
    assert!(nobody.contains("no user carol"), "{nobody}");
    let empty = failed(&place.run_with(&["user", "add", "dave", "--password-stdin"], "\n"));
    assert!(empty.contains("empty"), "{empty}");
    let bad = failed(&place.run_with(&["user", "add", "a/b", "--password-stdin"], "x\n"));
    assert!(bad.contains("cannot be in the name of a user"), "{bad}");
    let blind = failed(&place.run(&["user", "add", "dave"]));
    assert!(blind.contains("--password-stdin"), "{blind}");

    // MD4 of "password" in UTF-16LE.
    let smbpasswd = "# a comment\n\
        alice:1000:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:8846F7EAEE8FB117AD06BDD830B7586C:[U          ]:LCT-0:\n\
        erin:1001:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:8846F7EAEE8FB117AD06BDD830B7586C:[UD         ]:LCT-0:\n";
    let imported = succeeded(&place.run_with(&["user", "import", "-"], smbpasswd));
    assert_eq!(imported, "added: erin\nleft alone (--replace overwrites): alice\n");
    assert_eq!(succeeded(&place.run(&["user", "list"])), "alice\nbob\nerin  (disabled)\n");
    let torn = failed(&place.run_with(&["user", "import", "-"], "frank:1000:zz\n"));
    assert!(torn.contains("-:1: ") && torn.contains("nothing was imported"), "{torn}");

    assert_eq!(succeeded(&place.run(&["user", "remove", "erin"])), "removed erin\n");
    let gone = failed(&place.run(&["user", "remove", "erin"]));
    assert!(gone.contains("no user erin"), "{gone}");
}

#[test]
fn users_are_kept_without_a_server() {
    let place = Place::new();
    users_come_and_go(&place);
    // And the server that starts then has them.
    let server = place.serve();
    assert_eq!(succeeded(&place.run(&["user", "list"])), "alice\nbob\n");
    server.stop();
}

#[test]
fn users_are_kept_by_the_server_that_runs() {
    let place = Place::new();
    let mut server = place.serve();
    users_come_and_go(&place);
    // What was acknowledged survives the worst end.
    server.signal(Signal::SIGKILL);
    server.wait();
    assert_eq!(succeeded(&place.run(&["user", "list"])), "alice\nbob\n");
}

#[test]
fn what_is_not_there_cannot_be_closed() {
    let place = Place::new();
    let server = place.serve();
    let told = failed(&place.run(&["close", "session", "12345"]));
    assert!(told.contains("no session 12345"), "{told}");
    let told = failed(&place.run(&["close", "open", "0x10"]));
    assert!(told.contains("no open 16"), "{told}");
    server.stop();
    let told = failed(&place.run(&["close", "open", "1"]));
    assert!(told.contains("no server runs"), "{told}");
}

impl Place {
    /// A client of that user, connected to the share.
    fn client(&self, user: &str, password: &str) -> client::Client {
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        client::Client::ready(address, &client::Offer::default(), user, password, "share")
    }

    /// Waits until the server's status is as wanted.
    #[track_caller]
    fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = status(self);
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what}: {status:#}");
        }
    }
}

fn count(status: &Value, list: &str) -> usize {
    status[list].as_array().map_or(0, Vec::len)
}

#[test]
fn sessions_and_opens_are_shown_and_closed() {
    let place = Place::new();
    let server = place.serve();
    succeeded(&place.run_with(&["user", "add", "alice", "--password-stdin"], "secret\n"));
    let mut client = place.client("alice", "secret");
    let file = client.make("file").expect("made");
    let status = place.wait_for("one of each", |status| count(status, "opens") == 1);
    assert_eq!((count(&status, "connections"), count(&status, "sessions")), (1, 1));
    assert_eq!(status["sessions"][0]["user"], "alice");
    assert_eq!(status["sessions"][0]["dialect"], "3.1.1");
    assert_eq!(status["opens"][0]["path"], "file");
    assert_eq!(status["opens"][0]["share"], "share");

    let open = status["opens"][0]["id"].to_string();
    assert_eq!(succeeded(&place.run(&["close", "open", &open])), format!("closed open {open}\n"));
    place.wait_for("closed", |status| count(status, "opens") == 0);
    client.read(file, 0, 1).expect_err("it was closed under its client");

    let session = status["sessions"][0]["id"].to_string();
    assert_eq!(succeeded(&place.run(&["close", "session", &session])), format!("closed session {session}\n"));
    place.wait_for("ended", |status| count(status, "sessions") == 0);
    server.stop();
}

#[test]
fn what_a_shell_makes_is_told_to_who_watches() {
    use smbgate::wire::fscc::notify::NotifyAction;

    let place = Place::new();
    let server = place.serve();
    succeeded(&place.run_with(&["user", "add", "alice", "--password-stdin"], "secret\n"));
    let mut client = place.client("alice", "secret");
    let mut root = client::Watched::new(&mut client, "", client::NAMES, true);
    let touched = Command::new("touch").arg(place.path("share").join("from a shell")).status();
    assert!(touched.expect("runs").success());
    root.expect(&mut client, &[(NotifyAction::ADDED, "from a shell")]);
    let share = &status(&place)["shares"][0];
    assert_eq!((&share["coherence"], &share["why"]), (&"async".into(), &"fanotify, 1 watched".into()));
    server.stop();
    // Nobody promises what is not watched.
    place.configure("watch = \"off\"\n");
    let server = place.serve();
    assert_eq!(status(&place)["shares"][0]["coherence"], "none");
    server.stop();
}

/// The limit is that of a user namespace of its own; in a second one the server is nobody in particular, and must do with
/// what the kernel lets everybody do.
#[test]
fn watches_that_run_out_are_told() {
    const LIMITED: &str =
        "echo 2 > /proc/sys/user/max_fanotify_marks && exec unshare -U \"$0\" serve --config \"$1\"";
    if !Command::new("unshare").args(["-rU", "true"]).status().is_ok_and(|status| status.success()) {
        return; // not allowed here
    }
    let place = Place::new();
    succeeded(&place.run_with(&["user", "add", "alice", "--password-stdin"], "secret\n"));
    let mut command = Command::new("unshare");
    command.args(["-rU", "sh", "-c", LIMITED, env!("CARGO_BIN_EXE_smbgate")]).arg(place.config());
    let server = Server::start(&place, command.env("SMBGATE_LOG", "info").stdin(Stdio::null()));
    let mut client = place.client("alice", "secret");
    for name in ["a", "b"] {
        std::fs::create_dir(place.path("share").join(name)).expect("made");
        drop(client::Watched::new(&mut client, name, client::NAMES, false));
    }
    let share = &status(&place)["shares"][0];
    assert_eq!(share["coherence"], "none");
    let why = "no watches are left: raise fs.fanotify.max_user_marks";
    assert!(share["why"].as_str().is_some_and(|told| told.contains(why)), "{share}");
    let log = server.log();
    assert_eq!(log.lines().filter(|line| line.contains(why)).count(), 1, "{log}");
    drop(client);
    server.stop();
}

#[test]
fn who_is_removed_is_logged_off() {
    let place = Place::new();
    let server = place.serve();
    for user in ["alice", "bob"] {
        succeeded(&place.run_with(&["user", "add", user, "--password-stdin"], "secret\n"));
    }
    let _alice = place.client("alice", "secret");
    let _bob = place.client("bob", "secret");
    place.wait_for("both", |status| count(status, "sessions") == 2);
    succeeded(&place.run(&["user", "remove", "Alice"]));
    let status = place.wait_for("one", |status| count(status, "sessions") == 1);
    assert_eq!(status["sessions"][0]["user"], "bob");
    server.stop();
}

#[test]
fn a_reload_drops_no_connection() {
    let place = Place::new();
    let mut server = place.serve();
    succeeded(&place.run_with(&["user", "add", "alice", "--password-stdin"], "secret\n"));
    let mut client = place.client("alice", "secret");
    let file = client.make("file").expect("made");
    place.configure("comment = \"new\"\n");
    server.signal(Signal::SIGHUP);
    server.wait_for("RELOADING=1");
    server.wait_for("READY=1");
    assert_eq!(client.write(file, 0, b"still here"), Ok(10));
    server.stop();
}

/// The mount at this path, if there is one.
fn is_mounted(path: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("the table of mounts");
    table.lines().any(|line| line.split(' ').nth(4) == path.to_str())
}

#[test]
fn views_come_and_go_with_the_configuration() {
    let place = Place::new();
    let (one, two) = (place.path("one"), place.path("two"));
    for directory in [&one, &two] {
        std::fs::create_dir(directory).expect("a directory");
    }
    std::fs::write(place.path("share").join("file"), "text").expect("a file");
    let coherence = |status: &Value| status["shares"][0]["coherence"].as_str().map(str::to_owned);
    let mut server = place.serve();
    assert_ne!(coherence(&status(&place)).as_deref(), Some("sync"));
    for (there, gone) in [(&one, &two), (&two, &one)] {
        place.configure(&format!("view = {there:?}\n"));
        server.signal(Signal::SIGHUP);
        server.wait_for("RELOADING=1");
        server.wait_for("READY=1");
        assert!(is_mounted(there) && !is_mounted(gone));
        assert_eq!(std::fs::read(there.join("file")).expect("reads"), b"text");
        let told = status(&place);
        assert_eq!(coherence(&told).as_deref(), Some("sync"));
        let why = told["shares"][0]["why"].as_str().expect("text");
        assert!(why.contains(there.to_str().expect("text")), "{why}");
        // That it is mounted already is no mistake.
        let told = text(&place.run(&["check"]).stdout);
        assert!(!told.contains("view"), "{told}");
    }
    // A program that has something open there does not keep it, and what it closes later is not of the next view.
    let used = std::fs::File::open(two.join("file")).expect("opens");
    for view in [String::new(), format!("view = {two:?}\n")] {
        place.configure(&view);
        server.signal(Signal::SIGHUP);
        server.wait_for("RELOADING=1");
        server.wait_for("READY=1");
        assert_eq!((is_mounted(&one), is_mounted(&two)), (false, !view.is_empty()));
    }
    drop(used);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(std::fs::read(two.join("file")).expect("reads"), b"text");
    place.configure("");
    server.signal(Signal::SIGHUP);
    server.wait_for("RELOADING=1");
    server.wait_for("READY=1");
    assert!(!is_mounted(&one) && !is_mounted(&two));
    assert!(!server.log().contains("umount"), "{}", server.log());
    server.stop();
    let view = format!("share={}", one.display());
    let server =
        Server::start(&place, smbgate().args(["serve", "--view", &view, "--config"]).arg(place.config()));
    assert!(is_mounted(&one));
    server.stop();
    assert!(!is_mounted(&one));
    std::fs::write(one.join("x"), "").expect("a file");
    place.configure(&format!("view = {one:?}\n"));
    let checked = place.run(&["check"]);
    let told = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(told.contains("the directory is not empty; name an empty one"), "{told}");
}

#[test]
fn a_reload_takes_all_or_nothing() {
    let place = Place::new();
    let mut server = place.serve();
    let shares = || {
        let status = status(&place);
        let shares = status["shares"].as_array().expect("a list").iter();
        shares.map(|share| share["name"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let other = format!(
        "\n[[share]]\nname = \"other\"\npath = \"{}\"\nowner = \"{}\"\n",
        place.path("other").display(),
        Place::owner()
    );
    place.configure(&other);
    server.signal(Signal::SIGHUP);
    server.wait_for("RELOADING=1");
    server.wait_for("READY=1");
    assert_eq!(shares(), ["other", "share"]);

    place.configure("lease = true\n");
    server.signal(Signal::SIGHUP);
    server.wait_for("RELOADING=1");
    server.wait_for("READY=1");
    assert_eq!(shares(), ["other", "share"], "the old configuration stays");
    let log = server.log();
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("the configuration was not changed")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(
        told[0]
            .contains("smbgate.toml:10:1: error: unknown key `lease` in [[share]]; did you mean `leases`?"),
        "{log}"
    );
    server.stop();
}

#[test]
fn a_reload_moves_to_another_port() {
    let mut place = Place::new();
    let mut server = place.serve();
    let old = place.port;
    place.port = free_port();
    place.configure("");
    server.signal(Signal::SIGHUP);
    server.wait_for("RELOADING=1");
    server.wait_for("READY=1");
    TcpStream::connect((Ipv4Addr::LOCALHOST, place.port)).expect("the new port answers");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, old)).is_ok() {
        assert!(Instant::now() < deadline, "the old port closes");
        std::thread::sleep(Duration::from_millis(5));
    }
    let listen = status(&place)["listen"].clone();
    assert_eq!(listen, serde_json::json!([format!("127.0.0.1:{}", place.port)]), "the old one is gone");
    server.stop();
}

#[test]
fn a_second_server_is_refused() {
    let place = Place::new();
    let server = place.serve();
    let told = failed(&place.run(&["serve", "--listen", "127.0.0.1:0"]));
    assert!(
        told.contains(&format!("another smbgate (process {}) uses the state directory", server.child.id())),
        "{told}"
    );
    server.stop();
}

#[test]
fn a_port_in_use_is_explained() {
    let place = Place::new();
    let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, place.port)).expect("binds");
    for told in [failed(&place.run(&["serve"])), text(&place.run(&["check"]).stdout)] {
        assert!(
            told.contains(&format!("cannot listen on 127.0.0.1:{}: the port is in use by ", place.port)),
            "{told}"
        );
        assert!(told.contains("--listen 127.0.0.1:4450"), "{told}");
    }
}

#[test]
fn a_check_says_what_is_wrong_and_makes_nothing() {
    let place = Place::new();
    let right = succeeded(&place.run(&["check"]));
    assert!(right.ends_with("smbgate.toml: right\n"), "{right}");
    assert!(!place.path("state").exists(), "a check leaves no traces");

    std::fs::remove_dir(place.path("share")).expect("removed");
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(
        told.contains("smbgate.toml:6: error: share \"share\": ") && told.contains("does not exist"),
        "{told}"
    );

    std::fs::write(place.config(), "[server]\nlisten = [\n").expect("writes");
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("smbgate.toml:"), "{}", text(&output.stdout));

    let missing = smbgate().args(["check", "--config", "/nonexistent/smbgate.toml"]).output().expect("runs");
    assert!(failed(&missing).contains("there is no configuration file /nonexistent/smbgate.toml"));
}

#[test]
fn a_share_on_the_command_line_needs_no_file() {
    let place = Place::new();
    let share = |path: &Path| format!("--share=quick={}", path.display());
    let mut command = smbgate();
    command
        .arg("serve")
        .arg(share(&place.path("share")))
        .arg(format!("--listen=127.0.0.1:{}", place.port))
        .arg("--state-dir")
        .arg(place.path("state"));
    let server = Server::start(&place, &mut command);
    assert_eq!(status(&place)["shares"][0]["name"], "quick");
    assert!(
        server.log().contains("there are no users, so nobody can log on: smbgate user add NAME"),
        "{}",
        server.log()
    );
    server.stop();

    let mut wrong = smbgate();
    wrong
        .arg("serve")
        .arg(share(&place.path("shrae")))
        .arg("--listen=127.0.0.1:0")
        .arg("--state-dir")
        .arg(place.path("state"));
    let told = failed(&wrong.output().expect("runs"));
    assert!(told.contains("does not exist; did you mean "), "{told}");

    let mut unknown = smbgate();
    unknown
        .args(["serve", "--user", "zoe"])
        .arg(share(&place.path("share")))
        .arg("--state-dir")
        .arg(place.path("state"));
    let told = failed(&unknown.output().expect("runs"));
    assert!(told.contains("there is no user zoe") && told.contains("smbgate user add zoe"), "{told}");
}

#[test]
fn a_missing_share_of_the_file_does_not_stop_the_others() {
    let place = Place::new();
    place.configure("\n[[share]]\nname = \"later\"\npath = \"/nonexistent/later\"\n");
    let server = place.serve();
    assert!(server.log().contains("/nonexistent/later does not exist"), "{}", server.log());
    server.stop();
}

#[test]
fn a_keytab_that_is_not_there_is_told_and_passwords_go_on() {
    let place = Place::new();
    place.configure("[kerberos]\nkeytab = \"/nonexistent/smbgate.keytab\"\n");
    let server = place.serve();
    // Which of the two depends on the machine.
    let told = |said: &str| {
        said.contains("there is no keytab /nonexistent/smbgate.keytab: make it with")
            || said.contains("there is no Kerberos")
    };
    assert!(told(&server.log()), "{}", server.log());
    server.stop();
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&String::from_utf8_lossy(&output.stdout)), "{output:?}");
}

#[test]
fn a_server_without_passwords_and_tickets_does_not_start() {
    let place = Place::new();
    std::fs::write(place.config(), "[server]\nntlm = false\n[[share]]\nname = \"m\"\npath = \"/\"\n")
        .expect("writes");
    let output = place.run(&["serve"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ntlm = false leaves Kerberos, and [kerberos] names no `keytab`"), "{said}");
}

#[test]
fn a_damaged_database_is_set_aside() {
    let place = Place::new();
    succeeded(&place.run_with(&["user", "add", "alice", "--password-stdin"], "secret\n"));
    let file = place.path("state/db/db");
    let mut bytes = std::fs::read(&file).expect("reads");
    bytes.iter_mut().for_each(|byte| *byte ^= 0x5A);
    std::fs::write(&file, bytes).expect("writes");
    let server = place.serve();
    assert!(server.log().contains("is corrupt") && server.log().contains("db.corrupt-"), "{}", server.log());
    assert_eq!(succeeded(&place.run(&["user", "list"])), "");
    server.stop();
}

#[test]
fn the_watchdog_is_fed() {
    let place = Place::new();
    let mut command = smbgate();
    command.arg("serve").arg("--config").arg(place.config()).env("WATCHDOG_USEC", "100000");
    let mut server = Server::start(&place, &mut command);
    server.wait_for("WATCHDOG=1");
    server.wait_for("WATCHDOG=1");
    server.stop();
}

#[test]
fn a_long_state_directory_still_has_its_socket() {
    let place = Place::new();
    let long = place.path(&"d".repeat(120));
    let mut command = smbgate();
    command.arg("serve").arg("--config").arg(place.config()).arg("--state-dir").arg(&long);
    let server = Server::start(&place, &mut command);
    let output = smbgate().args(["status", "--json", "--state-dir"]).arg(&long).output().expect("runs");
    succeeded(&output);
    server.stop();
}

#[test]
fn wrong_usage_is_not_a_failure_of_the_server() {
    let output = smbgate().args(["serv"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
    let output = smbgate().arg("--version").output().expect("runs");
    let said = succeeded(&output);
    assert!(said.starts_with(&format!("smbgate {}\nKerberos: ", env!("CARGO_PKG_VERSION"))), "{said}");
    let output = smbgate().arg("-V").output().expect("runs");
    assert_eq!(succeeded(&output), format!("smbgate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_log_filter_of_ones_own_is_heeded() {
    let place = Place::new();
    let mut command = smbgate();
    command.arg("serve").arg("--config").arg(place.config()).env("SMBGATE_LOG", "off");
    let server = Server::start(&place, &mut command);
    let mut log = String::new();
    std::fs::File::open(&server.log).and_then(|mut file| file.read_to_string(&mut log)).expect("reads");
    assert_eq!(log, "");
    server.stop();
}
