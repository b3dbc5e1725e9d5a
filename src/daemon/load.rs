//! Where settings come from: the machine, a file, flags.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{self, DEFAULT_PATH, Host, Overrides, Problems, Settings};

/// What the command line says of the configuration. A reload reads the same origin again.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// `--config`.
    pub config: Option<PathBuf>,
    pub overrides: Overrides,
}

impl Origin {
    /// The file to read: the one that was named; else, unless shares were given by flags, the usual one if it is there.
    pub fn file(&self) -> Option<PathBuf> {
        match &self.config {
            Some(path) => Some(path.clone()),
            None if !self.overrides.shares.is_empty() => None,
            None => Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists()),
        }
    }
}

/// Settings to serve with. What is wrong with them is in the problems; failing means there was nothing to read.
pub fn load(origin: &Origin) -> Result<(Settings, Problems), Failure> {
    let file = read(origin)?;
    if file.is_none() && origin.overrides.shares.is_empty() {
        return Err(Failure(format!(
            "nothing to share: give --share NAME=PATH, or --config FILE (there is no {DEFAULT_PATH})"
        )));
    }
    let file = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    Ok(config::parse(file, &origin.overrides, &host()))
}

/// The state directory that the server of that origin uses.
pub fn state_dir(origin: &Origin) -> Result<PathBuf, Failure> {
    if let Some(dir) = &origin.overrides.state_dir {
        return Ok(dir.clone());
    }
    let file = read(origin)?;
    let file = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    config::state_dir(file, &host())
        .map_err(|problems| Failure(format!("{problems}\n(or name the state directory with --state-dir)")))
}

fn read(origin: &Origin) -> Result<Option<(PathBuf, String)>, Failure> {
    let Some(path) = origin.file() else {
        return Ok(None);
    };
    match std::fs::read(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some((path, text))),
            Err(e) => {
                let line =
                    e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
                Err(Failure(format!("{}:{line}: error: not UTF-8 text", path.display())))
            }
        },
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Err(Failure(format!("there is no configuration file {}", path.display())))
        }
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Err(Failure(format!("{}: permission denied; only its owner or root may read it", path.display())))
        }
        Err(e) => Err(Failure(format!("cannot read {}: {e}", path.display()))),
    }
}

/// What the defaults depend on, here and now.
fn host() -> Host {
    let root = nix::unistd::geteuid().is_root();
    let name = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    Host { name: host_name(&name), root, state_dir: default_state_dir(root, |name| std::env::var_os(name)) }
}

fn host_name(full: &str) -> String {
    let short = full.split('.').next().unwrap_or_default();
    let short: String =
        short.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(63).collect();
    if short.is_empty() { "smbgate".to_owned() } else { short }
}

fn default_state_dir(root: bool, env: impl Fn(&str) -> Option<std::ffi::OsString>) -> PathBuf {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if root {
        return PathBuf::from("/var/lib/smbgate");
    }
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .unwrap_or_else(|| Path::new("/var/tmp").join(nix::unistd::geteuid().to_string()))
        .join("smbgate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_goes_where_the_base_directory_specification_says() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
        };
        assert_eq!(default_state_dir(true, env(&[("HOME", "/root")])), Path::new("/var/lib/smbgate"));
        assert_eq!(
            default_state_dir(false, env(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")])),
            Path::new("/s/smbgate")
        );
        assert_eq!(
            default_state_dir(false, env(&[("HOME", "/home/a")])),
            Path::new("/home/a/.local/state/smbgate")
        );
        let relative = env(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "s")]);
        assert_eq!(default_state_dir(false, relative), Path::new("/home/a/.local/state/smbgate"));
    }

    #[test]
    fn a_host_name_loses_its_domain() {
        assert_eq!(host_name("nas.example.org"), "nas");
        assert_eq!(host_name("(none)"), "none");
        assert_eq!(host_name(""), "smbgate");
    }
}
