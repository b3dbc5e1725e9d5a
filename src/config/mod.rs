//! The configuration: one table of keys ([`keys`]), a reader that says what is wrong and where, and the typed
//! [`Settings`] that come out.

mod check;
mod flags;
pub mod keys;
mod man;
mod problem;
mod read;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use flags::Overrides;
pub use man::{example, manual};
pub use problem::{Problem, Problems, Severity, Spot, nearest};
pub use read::Host;
pub use settings::{
    Access, Acls, Encryption, Guest, Kerberos, Owner, Place, Server, Settings, Share, Signing, Symlinks,
    Watch,
};
pub use values::{check_share_name, check_user_name, parse_address, parse_duration, show_duration};

use std::path::Path;

/// Where the configuration is looked for when nobody says.
pub const DEFAULT_PATH: &str = "/etc/smbgate/smbgate.toml";

/// Reads settings from the text of a file (`None`: no file) and the flags that add to it.
/// The settings are fit to act on only if `problems` holds no error.
pub fn parse(file: Option<(&Path, &str)>, overrides: &Overrides, host: &Host) -> (Settings, Problems) {
    let mut problems = Problems::default();
    let (mut settings, mut spots) = match file {
        Some((path, text)) => read::read(problem::Source { path, text }, host, &mut problems),
        None => (read::defaults(host), read::Spots::default()),
    };
    flags::apply(overrides, &mut settings, &mut spots, &mut problems);
    if !problems.any_error() {
        check::cross(&settings, &spots, &mut problems);
        if settings.shares.is_empty() {
            let spot = file.map_or(Spot::Nowhere, |(path, _)| Spot::WholeFile(path.to_path_buf()));
            let message = "nothing to share: add a [[share]] section, or give --share NAME=PATH";
            problems.push(Severity::Error, spot, message);
        }
    }
    problems.sort();
    (settings, problems)
}

/// The state directory alone, for those who speak with a server: other faults of the file are not their concern.
pub fn state_dir(file: Option<(&Path, &str)>, host: &Host) -> Result<std::path::PathBuf, Problems> {
    match file {
        Some((path, text)) => read::state_dir(problem::Source { path, text }, host),
        None => Ok(host.state_dir.clone()),
    }
}
