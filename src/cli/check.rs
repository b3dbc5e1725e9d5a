//! `smbgate check`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::Which;
use crate::config::{DEFAULT_PATH, Settings, Severity};
use crate::daemon::control::{Reply, Request, UserRequest, ask};
use crate::daemon::{self, Failure, State, paths, tickets};

/// Say what is wrong with the configuration, where, and how to mend it; exit 1 if anything is
#[derive(Args, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    which: Which,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let origin = self.which.origin()?;
        let Some(file) = origin.file() else {
            return Err(Failure(format!(
                "there is no {DEFAULT_PATH}; name a configuration with --config FILE"
            )));
        };
        let (settings, problems) = daemon::load(&origin)?;
        for problem in &problems.0 {
            println!("{problem}");
        }
        let mut errors = problems.errors().count();
        let mut warnings = problems.0.iter().filter(|problem| problem.severity == Severity::Warning).count();
        if errors == 0 {
            for finding in paths::inspect(&settings.shares, users(&settings).as_deref()) {
                println!("{finding}");
                match finding.severity {
                    Severity::Error => errors += 1,
                    Severity::Warning => warnings += 1,
                    Severity::Note => {}
                }
            }
            match settings.kerberos.keytab.as_deref().map(tickets::inspect) {
                Some(Ok(services)) => println!("{}: note: tickets are taken for {services}", file.display()),
                Some(Err(why)) => {
                    println!("{}: error: [kerberos]: {why}", file.display());
                    errors += 1;
                }
                None => {}
            }
            if let Err(busy) = listen(&settings) {
                println!("{}: error: {busy}", file.display());
                errors += 1;
            }
        }
        match (errors, warnings) {
            (0, 0) => println!("{}: right", file.display()),
            (0, n) => {
                println!("{}: right, with {n} warning{}", file.display(), if n == 1 { "" } else { "s" })
            }
            (n, _) => println!("{}: {n} error{}", file.display(), if n == 1 { "" } else { "s" }),
        }
        Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The users of the server that runs, else of the database. A check makes nothing: no database, no users known.
fn users(settings: &Settings) -> Option<Vec<String>> {
    let dir = &settings.server.state_dir;
    if let Ok(Some(Reply::Users { users })) = ask(dir, &Request::User(UserRequest::List)) {
        return Some(users.into_iter().map(|user| user.name).collect());
    }
    if !dir.join("db").is_dir() {
        return None;
    }
    match State::open(dir, Duration::ZERO) {
        Ok(state) => Some(state.users.list().into_iter().map(|user| user.name).collect()),
        Err(_) => None,
    }
}

/// Whether the server could listen where it should. One that runs with this state directory does so already.
fn listen(settings: &Settings) -> Result<(), daemon::Busy> {
    if let Ok(Some(_)) = ask(&settings.server.state_dir, &Request::Status) {
        return Ok(());
    }
    daemon::bind_all(&settings.server, &[], daemon::Left::default()).map(drop)
}
