//! Looks at what is to be shared: is the path there, can its users read it, do their accounts exist.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;

use crate::auth::Identity;
use crate::config::{Guest, Owner, Place, Severity, Share};
use crate::sys::creds::{self, Creds};

/// How long a path may take to answer before it is called hung.
const PATIENCE: Duration = Duration::from_secs(3);
/// Users looked at for each share; the rest is like them.
const MAX_USERS: usize = 64;

/// Something about a share that its users will run into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub about: About,
    pub place: Place,
    pub message: String,
}

/// What a [`Finding`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Path,
    /// The path is fine, and some who may connect cannot work there.
    Users,
    /// Where it is to be mounted for local programs.
    View,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}: {word}: {}", self.place, self.message)
    }
}

/// Looks at each share. `users`: the names in the user database, if it can be read. Blocks, for a bounded time.
pub fn inspect(shares: &[Share], users: Option<&[String]>) -> Vec<Finding> {
    let jobs: Vec<_> = shares
        .iter()
        .map(|share| {
            let (send, receive) = mpsc::channel();
            let (job, users) = (share.clone(), users.map(<[String]>::to_vec));
            // A thread of its own: the path may hang for ever, and the thread changes its identity.
            let started = std::thread::Builder::new().name("look".to_owned()).spawn(move || {
                let _ = send.send(look(&job, users.as_deref()));
            });
            (share, started.map(|_| receive))
        })
        .collect();
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut findings = Vec::new();
    for (share, job) in jobs {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        match job.map(|receive| receive.recv_timeout(left)) {
            Ok(Ok(found)) => findings.extend(found),
            Ok(Err(mpsc::RecvTimeoutError::Timeout)) => findings.push(finding(
                share,
                About::Path,
                Severity::Error,
                format!(
                    "{} does not answer; if it is a remote or FUSE mount, its far side hangs: mount it again",
                    share.path.display()
                ),
            )),
            Ok(Err(mpsc::RecvTimeoutError::Disconnected)) | Err(_) => {
                findings.push(finding(
                    share,
                    About::Path,
                    Severity::Warning,
                    "could not be looked at".to_owned(),
                ));
            }
        }
    }
    findings
}

fn finding(share: &Share, about: About, severity: Severity, message: String) -> Finding {
    Finding {
        severity,
        about,
        place: share.place.clone(),
        message: format!("share \"{}\": {message}", share.name),
    }
}

fn look(share: &Share, users: Option<&[String]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match std::fs::metadata(&share.path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            let message =
                format!("{} is not a directory; share the directory it is in", share.path.display());
            return vec![finding(share, About::Path, Severity::Error, message)];
        }
        Err(e) => return vec![finding(share, About::Path, Severity::Error, absent(&share.path, &e))],
    }
    if let Some(Err(message)) = share.view.as_ref().map(|view| crate::view::look(view, &share.path)) {
        findings.push(finding(share, About::View, Severity::Error, message));
    }
    if !nix::unistd::geteuid().is_root() {
        let own = as_ourselves(share).map(|message| finding(share, About::Path, Severity::Error, message));
        findings.extend(own);
    }
    let mut say = |severity, message| findings.push(finding(share, About::Users, severity, message));
    if !nix::unistd::geteuid().is_root() {
        // Nobody else acts here.
    } else if let Some(owner) = &share.owner {
        match owner_identity(owner) {
            Ok(identity) => {
                if let Some(message) = cannot_read(&share.path, &identity) {
                    say(Severity::Error, message);
                }
            }
            Err(message) => say(Severity::Error, message),
        }
    } else {
        as_users(share, users, &mut say);
    }
    if let (Some(allow), Some(users)) = (&share.allow, users) {
        for name in allow.keys().filter(|name| !users.iter().any(|user| user.to_lowercase() == **name)) {
            say(Severity::Warning, format!("allows {name}, who is not a user yet: smbgate user add {name}"));
        }
    }
    findings
}

/// Without root there is one identity. What is wrong with it, if anything is.
fn as_ourselves(share: &Share) -> Option<String> {
    let me = Identity::process();
    if let Some(owner) = &share.owner
        && owner.user != me.name
    {
        return Some(format!("owner = \"{owner}\" needs root; without it everything is done as {}", me.name));
    }
    let e = std::fs::read_dir(&share.path).err()?;
    Some(format!("{}; or serve as root", denied(&share.path, &me.name, &e)))
}

fn as_users(share: &Share, users: Option<&[String]>, say: &mut impl FnMut(Severity, String)) {
    let names: Vec<&String> = match (&share.allow, users) {
        (Some(allow), Some(users)) => {
            users.iter().filter(|user| allow.contains_key(&user.to_lowercase())).collect()
        }
        (Some(allow), None) => allow.keys().collect(),
        (None, users) => users.unwrap_or_default().iter().collect(),
    };
    for name in names.into_iter().take(MAX_USERS) {
        match Identity::of_account(name) {
            Ok(Some(identity)) => {
                if let Some(message) = cannot_read(&share.path, &identity) {
                    say(Severity::Error, message);
                }
            }
            Ok(None) => say(
                Severity::Error,
                format!(
                    "{name} has no Unix account of that name to act as: make one \
                     (useradd --no-create-home --shell /usr/sbin/nologin {name}), or set owner = \"ACCOUNT:GROUP\""
                ),
            ),
            Err(e) => say(Severity::Warning, format!("the account of {name} cannot be looked up: {e}")),
        }
    }
    if share.guest != Guest::Off {
        match Identity::of_account("nobody") {
            Ok(Some(identity)) => {
                if let Some(message) = cannot_read(&share.path, &identity) {
                    say(Severity::Error, format!("guests act as nobody, and {message}"));
                }
            }
            _ => say(
                Severity::Error,
                "guests need an account `nobody`, or owner = \"ACCOUNT:GROUP\"".to_owned(),
            ),
        }
    }
}

/// The account that owns a share, or what is wrong with it.
fn owner_identity(owner: &Owner) -> Result<Identity, String> {
    let mut identity = match Identity::of_account(&owner.user) {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            return Err(format!(
                "owner = \"{owner}\": there is no account {name}; correct it, or make one \
                 (useradd --system --no-create-home --shell /usr/sbin/nologin {name})",
                name = owner.user
            ));
        }
        Err(e) => return Err(format!("owner = \"{owner}\": the account cannot be looked up: {e}")),
    };
    if let Some(group) = &owner.group {
        match nix::unistd::Group::from_name(group) {
            Ok(Some(found)) => identity.gid = found.gid.as_raw(),
            Ok(None) => {
                return Err(format!("owner = \"{owner}\": there is no group {group}; groupadd {group}"));
            }
            Err(e) => return Err(format!("owner = \"{owner}\": the group cannot be looked up: {e}")),
        }
    }
    Ok(identity)
}

/// Why this account cannot list the directory; `None`: it can.
fn cannot_read(path: &Path, identity: &Identity) -> Option<String> {
    let creds = Creds { uid: identity.uid, gid: identity.gid, groups: identity.groups.clone() };
    let opened = creds::assume(&creds).and_then(|_as_user| std::fs::read_dir(path).map(drop));
    let e = opened.err()?;
    let _ = creds::assume_process().map(drop);
    Some(format!("{}, or set `owner` to an account that can", denied(path, &identity.name, &e)))
}

fn denied(path: &Path, who: &str, e: &io::Error) -> String {
    if e.kind() != io::ErrorKind::PermissionDenied {
        return format!("{who} cannot read {}: {e}", path.display());
    }
    let parents: Vec<&Path> = path.ancestors().collect();
    // Outermost first: a directory that only some may pass, else the path itself.
    let barrier = parents.iter().rev().find_map(|dir| {
        let metadata = std::fs::metadata(dir).ok()?;
        let needed = if *dir == path { 0o005 } else { 0o001 };
        (metadata.mode() & needed != needed)
            .then(|| (dir.to_path_buf(), metadata.mode() & 0o7777, metadata.uid(), metadata.gid()))
    });
    let (dir, mode, uid, gid) = match barrier {
        Some(barrier) => barrier,
        None => return format!("{who} cannot read {}: {e}", path.display()),
    };
    let owner =
        nix::unistd::User::from_uid(uid.into()).ok().flatten().map_or(uid.to_string(), |user| user.name);
    let group =
        nix::unistd::Group::from_gid(gid.into()).ok().flatten().map_or(gid.to_string(), |group| group.name);
    let verb = if dir == path { "read" } else { "pass through" };
    format!(
        "{who} cannot read {}: {} has mode {mode:04o}, owner {owner}:{group}; let {who} {verb} it (chmod, chgrp or setfacl)",
        path.display(),
        dir.display()
    )
}

fn absent(path: &Path, e: &io::Error) -> String {
    let shown = path.display();
    match e.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => {
            let there: PathBuf =
                path.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/")).to_path_buf();
            let near = nearest_entry(&there, path).map(|near| format!("; did you mean {}?", near.display()));
            format!(
                "{shown} does not exist{}",
                near.unwrap_or_else(|| format!(
                    " ({} does); make it (mkdir -p {shown}), or correct the path",
                    there.display()
                ))
            )
        }
        Some(Errno::ENOTCONN) => format!("{shown} is a dead mount ({e}); unmount it and mount it again"),
        Some(Errno::EACCES) => {
            format!("{shown} cannot be reached: {e}; the process may not pass one of its parents")
        }
        Some(Errno::ENOTDIR) => format!("{shown} does not exist: a part of it is a file; correct the path"),
        _ => format!("{shown} cannot be used: {e}"),
    }
}

/// The directory beside the missing part of `path` whose name is nearly that.
fn nearest_entry(there: &Path, path: &Path) -> Option<PathBuf> {
    let missing = path.strip_prefix(there).ok()?.components().next()?.as_os_str().to_str()?;
    let names: Vec<String> = std::fs::read_dir(there)
        .ok()?
        .take(1000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    crate::config::nearest(missing, names.iter().map(String::as_str)).map(|name| there.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, Overrides, parse};

    fn shares(flags: &[String]) -> Vec<Share> {
        let host = Host { name: "h".to_owned(), root: true, state_dir: "/nonexistent".into() };
        let overrides = Overrides { shares: flags.to_vec(), ..Overrides::default() };
        parse(None, &overrides, &host).0.shares
    }

    fn messages(path: &Path) -> Vec<String> {
        inspect(&shares(&[format!("m={}", path.display())]), Some(&[]))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_directory_that_is_there_is_fine() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(messages(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn a_missing_path_comes_with_its_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("media")).expect("made");
        let missing = dir.path().join("meida");
        let found = messages(&missing);
        assert!(
            found[0].contains("does not exist; did you mean ") && found[0].ends_with("/media?"),
            "{found:?}"
        );
        let found = messages(&dir.path().join("films/new"));
        assert!(found[0].contains("make it (mkdir -p "), "{found:?}");
    }

    #[test]
    fn a_file_is_no_share() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let found = messages(file.path());
        assert!(found[0].contains("is not a directory"), "{found:?}");
    }
}
