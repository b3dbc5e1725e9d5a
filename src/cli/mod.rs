//! The command line. One file per subcommand; each returns its exit code or a [`Failure`], which is printed and exits 1.

mod check;
mod close;
mod password;
mod serve;
mod status;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::daemon::{Failure, Origin, tickets};

/// Share directories with SMB3 clients: Windows, macOS, Linux.
#[derive(Debug, Parser)]
#[command(name = "smbgate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    User(user::User),
    Check(check::Check),
    Status(status::Status),
    Close(close::Close),
}

/// Which server (or which state directory) a command is about.
#[derive(Args, Clone, Debug, Default)]
struct Which {
    /// The configuration file. Without it: /etc/smbgate/smbgate.toml, if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory. Without it: as the configuration says, else /var/lib/smbgate for root and
    /// $XDG_STATE_HOME/smbgate for everybody else
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Which {
    /// The same, with paths that hold wherever the process goes.
    fn origin(&self) -> Result<Origin, Failure> {
        let mut origin =
            Origin { config: self.config.as_deref().map(absolute).transpose()?, ..Origin::default() };
        origin.overrides.state_dir = self.state_dir.as_deref().map(absolute).transpose()?;
        origin.overrides.current_dir = current_dir()?;
        Ok(origin)
    }

    fn dir(&self) -> Result<PathBuf, Failure> {
        crate::daemon::state_dir(&self.origin()?)
    }
}

fn current_dir() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|e| Failure(format!("the current directory is gone: {e}")))
}

fn absolute(path: &std::path::Path) -> Result<PathBuf, Failure> {
    Ok(current_dir()?.join(path))
}

/// The definition of the command line, for the manual page and for tests.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut definition = command();
    // What the library finds here takes a look that only this flag asks for.
    if args.iter().any(|arg| arg == "--version") {
        definition = definition
            .long_version(format!("{}\n{}", env!("CARGO_PKG_VERSION"), tickets::version()).leak() as &str);
    }
    let cli = match definition.try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to standard output and are no failure.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.command {
        Command::Serve(args) => args.run(),
        Command::User(args) => args.run(),
        Command::Check(args) => args.run(),
        Command::Status(args) => args.run(),
        Command::Close(args) => args.run(),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("smbgate: {failure}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_contract_parse() {
        for line in [
            "smbgate serve",
            "smbgate serve --config f --share a=/x --share b=/y,ro,guest --user alice --user bob --view a=/v --listen [::]:4450 --listen 1.2.3.4:445 --state-dir s",
            "smbgate user add alice",
            "smbgate user add alice --password-stdin --config f",
            "smbgate user passwd alice --password-file p --state-dir s",
            "smbgate user remove alice",
            "smbgate user list",
            "smbgate user import smbpasswd",
            "smbgate user import - --replace",
            "smbgate check",
            "smbgate check --config f",
            "smbgate status",
            "smbgate status --json --state-dir s",
            "smbgate status --watch",
            "smbgate close session 12",
            "smbgate close open 0x1f",
        ] {
            if let Err(e) = parse(line) {
                panic!("{line}: {e}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "smbgate",
            "smbgate serv",
            "smbgate serve --listen 445",
            "smbgate user add",
            "smbgate user add alice --password-stdin --password-file p",
            "smbgate close session",
            "smbgate close session twelve",
            "smbgate close tree 1",
            "smbgate status --json --watch=x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        let told = parse("smbgate serve --listen 445").expect_err("refused").to_string();
        assert!(told.contains("did you mean \"[::]:445\"?"), "{told}");
    }
}
