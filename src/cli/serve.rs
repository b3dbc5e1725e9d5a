//! `smbgate serve`.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;

use super::{Which, password};
use crate::auth::{NtHash, UserDb};
use crate::config::parse_address;
use crate::daemon::{self, Failure, State};

/// Serve the shares of the configuration, and those given here
#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    which: Which,
    /// Share the directory PATH as NAME; `ro`: read only, `guest`: also for those without a user. Replaces the share of
    /// that name in the configuration. Needs no configuration file
    #[arg(long = "share", value_name = "NAME=PATH[,ro][,guest]")]
    shares: Vec<String>,
    /// Only these users may connect to the shares given by --share. A user who is not there yet is added; the password is
    /// asked for on the terminal
    #[arg(long = "user", value_name = "NAME")]
    users: Vec<String>,
    /// Mount a local view of the share NAME at the empty directory PATH, for programs of this machine
    #[arg(long = "view", value_name = "NAME=PATH")]
    views: Vec<String>,
    /// Listen here and not where the configuration says. Default: [::]:445 for root, [::]:4450 for everybody else
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    listen: Vec<SocketAddr>,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        daemon::init_logging();
        let mut origin = self.which.origin()?;
        origin.overrides.shares = self.shares;
        origin.overrides.users.clone_from(&self.users);
        origin.overrides.views = self.views;
        origin.overrides.listen = self.listen;
        daemon::serve(&origin, |state| ensure_users(state, &self.users))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn ensure_users(state: &State, names: &[String]) -> Result<(), Failure> {
    for name in names.iter().filter(|name| state.users.find(name).is_none()) {
        if !password::has_terminal() {
            return Err(Failure(format!(
                "there is no user {name}, and no terminal to ask for a password; first: smbgate user add {name} --state-dir {}",
                state.dir.display()
            )));
        }
        eprintln!("There is no user {name} yet.");
        let password = password::prompt(name)?;
        let hash = NtHash::of_password(&password);
        state.users.add(name, hash).map_err(|e| Failure(e.to_string()))?;
    }
    Ok(())
}
