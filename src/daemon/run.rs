//! The server process, from start to stop.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::control::Control;
use super::handover::{self, Left, Successor};
use super::listen::{Busy, bind_all};
use super::load::{Origin, load};
use super::paths::{self, About};
use super::side::SledSide;
use super::state::{Denied, State};
use super::{Failure, control, notify, process, tickets};
use crate::auth::UserDb;
use crate::config::{Guest, Problem, Problems, Settings, Severity};
use crate::posix::SideStore;
use crate::server::{Server, Setup};

/// How long a server that is told to stop waits for its clients' requests.
const STOP: Duration = Duration::from_secs(10);
/// How long a start waits for another process (a server that stops, `smbgate user`) to let go of the state directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Threads beside those that serve connections: they take these, answer `smbgate status`, and look after what is due.
const HELPERS: usize = 2;

/// Serves until told to stop. `with_state` runs once the user database is open, before anything listens.
pub fn serve(origin: &Origin, with_state: impl FnOnce(&State) -> Result<(), Failure>) -> Result<(), Failure> {
    let left = Left::take();
    let successor = Successor::find().map_err(|e| Failure(format!("cannot find the program itself: {e}")))?;
    let (settings, problems) = load(origin)?;
    if problems.any_error() {
        return Err(refusal(&problems));
    }
    report(&problems);
    tickets::look(&settings)?;
    process::raise_open_files(settings.server.max_connections);
    let state = open_state(&settings.server.state_dir)?;
    with_state(&state)?;
    // From here on: what is created has the mode that was asked for.
    let umask = process::take_umask();
    look_at_shares(&settings, &state)?;
    let listeners = bind_all(&settings.server, &[], left).map_err(|busy| Failure(busy.to_string()))?;

    let side = SledSide::open(&state)?;
    let handles = state.handles()?;

    // Connections are served elsewhere (the server's reactors).
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HELPERS)
        .enable_all()
        .thread_name("helper")
        .build()
        .map_err(|e| Failure(format!("cannot start: {e}")))?;
    let end = runtime.block_on(async {
        let server = Server::new(Setup {
            settings: Arc::new(settings.clone()),
            users: Arc::clone(&state.users) as Arc<dyn UserDb>,
            side: Arc::clone(&side) as Arc<dyn SideStore>,
            handles,
            umask,
        })
        .map_err(|e| Failure(format!("cannot start: {e}")))?;
        // Before anybody else gets at the files.
        server.restore().await;
        let mut daemon =
            Daemon { origin, server, settings, listening: Vec::new(), state: &state, successor: &successor };
        daemon.listen(listeners)?;
        let views = Arc::clone(&daemon.server);
        let _ = tokio::task::spawn_blocking(move || views.adjust_views()).await;
        let end = daemon.run().await;
        let views = Arc::clone(&daemon.server);
        let _ = tokio::task::spawn_blocking(move || views.end_views()).await;
        end
    });
    if let Err(e) = state.sync() {
        log::error!("the database could not be written: {e}");
    }
    // Threads that hang in a share must not keep the process.
    runtime.shutdown_background();
    match end? {
        End::Stopped => Ok(()),
        End::Replaced(sockets) => {
            drop(state);
            process::give_back_umask(umask);
            let failed = successor.start(&sockets).map(|never| match never {}).expect_err("else it is there");
            Err(Failure(format!("the program that was to take over did not start: {failed}")))
        }
    }
}

/// How a server's life ends.
enum End {
    Stopped,
    /// By the program on disk, which goes on with the sockets.
    Replaced(Vec<std::net::TcpListener>),
}

/// An address that is listened on.
struct Listening {
    address: SocketAddr,
    /// Accepts.
    task: JoinHandle<()>,
    /// The same socket once more, to be handed over.
    socket: std::net::TcpListener,
}

struct Daemon<'a> {
    origin: &'a Origin,
    server: Arc<Server>,
    settings: Settings,
    listening: Vec<Listening>,
    state: &'a State,
    successor: &'a Successor,
}

impl Daemon<'_> {
    async fn run(&mut self) -> Result<End, Failure> {
        let failed = |e: std::io::Error| Failure(format!("cannot start: {e}"));
        let mut reload = signal(SignalKind::hangup()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut replace = signal(SignalKind::user_defined2()).map_err(failed)?;
        let control =
            Control::start(&self.state.dir, Arc::clone(&self.server), Arc::clone(&self.state.users))
                .map_err(|e| {
                    Failure(format!("cannot make the control socket in {}: {e}", self.state.dir.display()))
                })?;
        let mut watchdog = notify::watchdog_period().map(tokio::time::interval);
        log::info!("smbgate {} serves {}", env!("CARGO_PKG_VERSION"), self.summary());
        notify::ready(&self.summary());
        self.listening.iter().for_each(|it| handover::keep(it.address, it.socket.as_fd()));
        let mut sockets = Vec::new();
        let (why, replaced) = loop {
            tokio::select! {
                _ = reload.recv() => self.reload().await,
                _ = terminate.recv() => break ("SIGTERM", false),
                _ = interrupt.recv() => break ("SIGINT", false),
                _ = replace.recv() => if self.may_be_replaced().await {
                    break ("SIGUSR2", true);
                },
                () = tick(&mut watchdog) => notify::alive(),
            }
        };
        if replaced {
            notify::reloading()
        } else {
            notify::stopping()
        }
        log::info!("stopping ({why})");
        for Listening { task, socket, .. } in self.listening.drain(..) {
            task.abort();
            sockets.extend(replaced.then_some(socket));
        }
        tokio::select! {
            () = self.server.stop() => log::info!("stopped"),
            () = tokio::time::sleep(STOP) => log::warn!("some requests did not end within {} s; stopped without them", STOP.as_secs()),
            () = either(&mut terminate, &mut interrupt) => log::warn!("told twice: stopped at once"),
        }
        drop(control);
        Ok(if replaced { End::Replaced(sockets) } else { End::Stopped })
    }

    /// Before anything is given up: would what is on disk start with what is configured?
    async fn may_be_replaced(&self) -> bool {
        let refused = |why: &dyn std::fmt::Display| {
            log::error!("this server goes on, and is not replaced (SIGUSR2): {why}");
            false
        };
        match load(self.origin) {
            Err(failure) => return refused(&failure),
            Ok((_, problems)) if problems.any_error() => {
                return refused(&refusal(&problems).0.replace('\n', "; "));
            }
            Ok(_) => {}
        }
        let successor = self.successor.clone();
        match tokio::task::spawn_blocking(move || successor.version()).await {
            Ok(Ok(version)) => {
                log::info!("{version} takes over");
                true
            }
            Ok(Err(e)) => refused(&e),
            Err(e) => refused(&e),
        }
    }

    fn listen(&mut self, listeners: Vec<(SocketAddr, std::net::TcpListener)>) -> Result<(), Failure> {
        for (address, listener) in listeners {
            let failed = |e: std::io::Error| Failure(format!("cannot listen on {address}: {e}"));
            let socket = listener.try_clone().map_err(failed)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            let server = Arc::clone(&self.server);
            let task = tokio::spawn(async move {
                server.serve(listener).await;
            });
            self.listening.push(Listening { address, task, socket });
        }
        Ok(())
    }

    /// All of the new configuration, or nothing of it and one line that says why.
    async fn reload(&mut self) {
        notify::reloading();
        match self.try_reload().await {
            Ok(()) => log::info!("read the configuration again: {}", self.summary()),
            Err(why) => log::error!("the configuration was not changed: {}", why.0.replace('\n', "; ")),
        }
        notify::ready(&self.summary());
    }

    async fn try_reload(&mut self) -> Result<(), Failure> {
        let (settings, problems) = load(self.origin)?;
        if problems.any_error() {
            return Err(refusal(&problems));
        }
        if settings.server.state_dir != self.settings.server.state_dir {
            return Err(Failure::new("state_dir cannot change while the server runs; restart it"));
        }
        let have: Vec<SocketAddr> = self.listening.iter().map(|it| it.address).collect();
        let listeners = bind_all(&settings.server, &have, Left::default())
            .map_err(|busy: Busy| Failure(busy.to_string()))?;
        self.listen(listeners)?;
        self.listening[have.len()..].iter().for_each(|it| handover::keep(it.address, it.socket.as_fd()));
        self.listening.retain(|it| {
            let keep = settings.server.listen.contains(&it.address);
            if !keep {
                it.task.abort();
                handover::drop_kept(it.address);
            }
            keep
        });
        report(&problems);
        tickets::look(&settings)?;
        let users = user_names(self.state);
        let shares = settings.shares.clone();
        // It may take seconds; what it finds is for the log.
        tokio::task::spawn_blocking(move || log_findings(&paths::inspect(&shares, Some(&users))));
        self.settings = settings;
        let (server, settings) = (Arc::clone(&self.server), Arc::new(self.settings.clone()));
        // It looks up accounts.
        if tokio::task::spawn_blocking(move || server.reload(settings)).await.is_err() {
            return Err(Failure::new("the server failed while it took the new settings"));
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let shares: Vec<&str> = self.settings.shares.iter().map(|share| share.name.as_str()).collect();
        let listen: Vec<String> = self.listening.iter().map(|it| it.address.to_string()).collect();
        format!("{} on {}", shares.join(", "), listen.join(", "))
    }
}

async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
    }
}

/// The errors, one a line, and what to do.
fn refusal(problems: &Problems) -> Failure {
    let errors: Vec<String> = problems.errors().map(ToString::to_string).collect();
    Failure(errors.join("\n"))
}

/// What is worth knowing about a configuration that works.
fn report(problems: &Problems) {
    for problem @ Problem { severity, .. } in &problems.0 {
        match severity {
            Severity::Note => log::info!("{problem}"),
            Severity::Warning => log::warn!("{problem}"),
            Severity::Error => log::error!("{problem}"),
        }
    }
}

fn open_state(dir: &Path) -> Result<State, Failure> {
    // A server that answers will not go away while we wait.
    let patience = match control::ask(dir, &control::Request::Status) {
        Ok(Some(_)) => Duration::ZERO,
        _ => LOCK_PATIENCE,
    };
    State::open(dir, patience).map_err(|denied| match denied {
        Denied::Failed(failure) => failure,
        Denied::InUse(pid) => {
            let who = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            Failure(format!(
                "another smbgate{who} uses the state directory {}; stop it, or give this one a directory of its own with --state-dir",
                dir.display()
            ))
        }
    })
}

fn user_names(state: &State) -> Vec<String> {
    state.users.list().into_iter().map(|user| user.name).collect()
}

/// Logs what is wrong with the shares. A share of the file that is missing may still come (a mount); one that was typed
/// wrongly on the command line is refused.
fn look_at_shares(settings: &Settings, state: &State) -> Result<(), Failure> {
    let users = user_names(state);
    let findings = paths::inspect(&settings.shares, Some(&users));
    let typed = findings.iter().find(|finding| {
        finding.severity == Severity::Error
            && finding.about == About::Path
            && finding.place.0.starts_with("--share")
    });
    if let Some(finding) = typed {
        return Err(Failure(finding.to_string()));
    }
    log_findings(&findings);
    if users.is_empty() && settings.shares.iter().all(|share| share.guest == Guest::Off) {
        log::warn!("there are no users, so nobody can log on: smbgate user add NAME");
    }
    Ok(())
}

fn log_findings(findings: &[paths::Finding]) {
    // Who mounts says what is wrong with it.
    for finding in findings.iter().filter(|finding| finding.about != About::View) {
        match finding.severity {
            Severity::Note => log::info!("{finding}"),
            Severity::Warning => log::warn!("{finding}"),
            Severity::Error => log::error!("{finding}"),
        }
    }
}
