//! `smbgate user`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::{Which, password};
use crate::auth::{Identity, NtHash, users::parse_smbpasswd};
use crate::config::check_user_name;
use crate::daemon::control::{HexHash, ImportedUser, Reply, Request, UserRequest, ask, change_users};
use crate::daemon::{Denied, Failure, State};

/// How long to try for a state directory that another command holds for a moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// Add, change, remove and list those who can log on
#[derive(Args, Debug)]
pub(super) struct User {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a user
    Add(WithPassword),
    /// Change a user's password
    Passwd(WithPassword),
    /// Remove a user and end the user's sessions
    Remove {
        /// Upper and lower case are the same
        name: String,
        #[command(flatten)]
        which: Which,
    },
    /// List the users
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Add the users of an smbpasswd file, passwords included (`pdbedit --list --smbpasswd-style` of Samba writes one)
    Import {
        /// The file; `-`: standard input
        file: PathBuf,
        /// Overwrite users who are there already
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args, Debug)]
struct WithPassword {
    /// The name to log on with; upper and lower case are the same
    name: String,
    #[command(flatten)]
    password: password::Source,
    #[command(flatten)]
    which: Which,
}

impl User {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self.what {
            What::Add(args) => {
                let (name, nt_hash, dir) = args.resolve()?;
                done(change(&dir, UserRequest::Add { name: name.clone(), nt_hash })?)?;
                println!("added {name}");
                mention_account(&name);
            }
            What::Passwd(args) => {
                let (name, nt_hash, dir) = args.resolve()?;
                done(change(&dir, UserRequest::SetPassword { name: name.clone(), nt_hash })?)?;
                println!("changed the password of {name}");
            }
            What::Remove { name, which } => {
                done(change(&which.dir()?, UserRequest::Remove { name: name.clone() })?)?;
                println!("removed {name}");
            }
            What::List { json, which } => list(change(&which.dir()?, UserRequest::List)?, json)?,
            What::Import { file, replace, which } => {
                let users = read_smbpasswd(&file)?;
                report_import(change(&which.dir()?, UserRequest::Import { users, replace })?)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl WithPassword {
    fn resolve(&self) -> Result<(String, HexHash, PathBuf), Failure> {
        check_user_name(&self.name).map_err(Failure)?;
        let dir = self.which.dir()?;
        let password = self.password.get(&self.name)?;
        Ok((self.name.clone(), HexHash(NtHash::of_password(&password)), dir))
    }
}

/// Has the server do it that runs on this state directory; without one does it here.
fn change(dir: &Path, request: UserRequest) -> Result<Reply, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(reply) = ask(dir, &Request::User(request.clone()))? {
            return Ok(reply);
        }
        match State::open(dir, Duration::from_millis(100)) {
            Ok(state) => {
                let reply = change_users(&state.users, request);
                state.sync().map_err(|e| Failure(format!("cannot write the user database: {e}")))?;
                return Ok(reply);
            }
            // A server that is just starting answers soon, another command ends soon.
            Err(Denied::InUse(_)) if Instant::now() < deadline => {}
            Err(Denied::InUse(pid)) => {
                let who = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
                return Err(Failure(format!(
                    "{who} has the state directory {} and does not answer",
                    dir.display()
                )));
            }
            Err(Denied::Failed(failure)) => return Err(failure),
        }
    }
}

fn done(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: Reply) -> Failure {
    match reply {
        Reply::Failed { why } => Failure(why),
        _ => Failure::new("the server answered something else; are both of one version?"),
    }
}

fn list(reply: Reply, json: bool) -> Result<(), Failure> {
    let Reply::Users { users } = reply else {
        return Err(unexpected(reply));
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&users).map_err(|e| Failure(e.to_string()))?);
        return Ok(());
    }
    for user in &users {
        println!("{}{}", user.name, if user.disabled { "  (disabled)" } else { "" });
    }
    if users.is_empty() {
        eprintln!("no users yet; smbgate user add NAME");
    }
    Ok(())
}

/// As root a user acts as the Unix account of the same name, which may not be there.
fn mention_account(name: &str) {
    if nix::unistd::geteuid().is_root() && matches!(Identity::of_account(name), Ok(None)) {
        eprintln!(
            "note: there is no Unix account {name}. Shares with `owner` work without; for the others: \
             useradd --no-create-home --shell /usr/sbin/nologin {name}"
        );
    }
}

fn read_smbpasswd(file: &Path) -> Result<Vec<ImportedUser>, Failure> {
    let failed = |e: std::io::Error| Failure(format!("cannot read {}: {e}", file.display()));
    let mut text = zeroize::Zeroizing::new(String::new());
    match file.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    }
    .map_err(failed)?;
    let mut users = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match parse_smbpasswd(line) {
            Ok(Some(user)) => {
                users.push(ImportedUser {
                    name: user.name,
                    nt_hash: HexHash(user.nt_hash),
                    disabled: user.disabled,
                });
            }
            Ok(None) => {}
            Err(why) => {
                return Err(Failure(format!("{}:{}: {why}; nothing was imported", file.display(), at + 1)));
            }
        }
    }
    Ok(users)
}

fn report_import(reply: Reply) -> Result<(), Failure> {
    let Reply::Imported { added, replaced, kept } = reply else {
        return Err(unexpected(reply));
    };
    for (what, names) in
        [("added", added), ("replaced", replaced), ("left alone (--replace overwrites)", kept)]
    {
        if !names.is_empty() {
            println!("{what}: {}", names.join(", "));
        }
    }
    Ok(())
}
