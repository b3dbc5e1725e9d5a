//! Settings given on the command line, added to those of the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::problem::{Problems, Severity, Spot, nearest};
use super::read::{self, Part, Spots};
use super::settings::{Access, Guest, Place, Settings, Share};
use super::values;

/// What flags of `smbgate serve` (and its siblings) say. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `NAME=PATH[,ro][,guest]`, as typed. A share of the file with the same name is replaced.
    pub shares: Vec<String>,
    /// `NAME=PATH`, as typed: where the local view of that share is mounted. Replaces the file's.
    pub views: Vec<String>,
    /// The only users of the shares given here; empty: every user.
    pub users: Vec<String>,
    /// Replaces the file's `listen`.
    pub listen: Vec<SocketAddr>,
    /// Replaces the file's `state_dir`; absolute.
    pub state_dir: Option<PathBuf>,
    /// What relative paths of `shares` and `views` are relative to.
    pub current_dir: PathBuf,
}

pub(super) fn apply(
    overrides: &Overrides,
    settings: &mut Settings,
    spots: &mut Spots,
    problems: &mut Problems,
) {
    if !overrides.listen.is_empty() {
        settings.server.listen = overrides.listen.clone();
        settings.server.listen_is_default = false;
    }
    if let Some(dir) = &overrides.state_dir {
        settings.server.state_dir = dir.clone();
    }
    for user in &overrides.users {
        if let Err(message) = values::check_user_name(user) {
            problems.push(Severity::Error, Spot::Flag(format!("--user {user}")), message);
        }
    }
    for text in &overrides.shares {
        let spot = Spot::Flag(format!("--share {text}"));
        match share(text, &overrides.users, &overrides.current_dir) {
            Ok(share) => {
                let same =
                    settings.shares.iter().position(|s| s.name.to_lowercase() == share.name.to_lowercase());
                match same {
                    // Given twice on the command line: the cross-field check says so.
                    Some(index) if !matches!(spots.of(Part::Share(index), ""), Spot::Flag(_)) => {
                        settings.shares[index] = share;
                        spots.replace_part(Part::Share(index), spot);
                    }
                    _ => {
                        spots.replace_part(Part::Share(settings.shares.len()), spot);
                        settings.shares.push(share);
                    }
                }
            }
            Err(message) => problems.push(Severity::Error, spot, message),
        }
    }
    for text in &overrides.views {
        let spot = Spot::Flag(format!("--view {text}"));
        match view(text, &overrides.current_dir, settings) {
            Ok(index) => spots.set_key(Part::Share(index), "view", spot),
            Err(message) => problems.push(Severity::Error, spot, message),
        }
    }
}

/// Reads `NAME=PATH` and gives it to the share of that name.
fn view(text: &str, current_dir: &Path, settings: &mut Settings) -> Result<usize, String> {
    let (name, path) = text
        .split_once('=')
        .filter(|(_, path)| !path.is_empty())
        .ok_or("wants NAME=PATH: the share, and where to mount its view")?;
    let index = settings.shares.iter().position(|share| share.name.to_lowercase() == name.to_lowercase());
    let Some(index) = index else {
        let near = nearest(name, settings.shares.iter().map(|share| share.name.as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("there is no share `{name}`{near}"));
    };
    settings.shares[index].view = Some(current_dir.join(path));
    Ok(index)
}

/// Reads `NAME=PATH[,ro][,guest]`.
fn share(text: &str, users: &[String], current_dir: &Path) -> Result<Share, String> {
    let Some((name, rest)) = text.split_once('=') else {
        let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        return Err(format!("wants NAME=PATH; did you mean --share {name}={text}?"));
    };
    values::check_share_name(name)?;
    let (mut path, mut read_only, mut guest) = (rest, false, false);
    while let Some((before, option)) = path.rsplit_once(',') {
        match option {
            "ro" => read_only = true,
            "guest" => guest = true,
            _ => match nearest(option, ["ro", "guest"]) {
                Some(near) => return Err(format!("unknown option `{option}`; did you mean `{near}`?")),
                None => break, // a comma in the path
            },
        }
        path = before;
    }
    if path.is_empty() {
        return Err("wants NAME=PATH; the path is missing".to_owned());
    }
    let mut share =
        read::default_share(name.to_owned(), current_dir.join(path), Place(format!("--share {text}").into()));
    share.read_only = read_only;
    share.guest = match (guest, read_only) {
        (false, _) => Guest::Off,
        (true, true) => Guest::ReadOnly,
        (true, false) => Guest::ReadWrite,
    };
    if !users.is_empty() {
        let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
        share.allow =
            Some(users.iter().map(|user| (user.to_lowercase(), access)).collect::<BTreeMap<_, _>>());
    }
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Share, String> {
        share(text, &[], Path::new("/here"))
    }

    #[test]
    fn a_share_is_a_name_a_path_and_options() {
        let share = read("media=/srv/media").expect("reads");
        assert_eq!((share.name.as_str(), share.path.as_path()), ("media", Path::new("/srv/media")));
        assert_eq!((share.read_only, share.guest, share.allow), (false, Guest::Off, None));
        let share = read("m=/srv/a,b,ro,guest").expect("reads");
        assert_eq!(
            (share.path.as_path(), share.read_only, share.guest),
            (Path::new("/srv/a,b"), true, Guest::ReadOnly)
        );
        assert_eq!(read("m=/srv,guest").expect("reads").guest, Guest::ReadWrite);
        assert_eq!(
            read("m=films").expect("reads").path,
            Path::new("/here/films"),
            "relative to the shell's directory"
        );
        assert_eq!(read("m=/a=b").expect("reads").path, Path::new("/a=b"));
    }

    #[test]
    fn what_is_wrong_with_a_share_is_said() {
        assert_eq!(
            read("/srv/media").unwrap_err(),
            "wants NAME=PATH; did you mean --share media=/srv/media?"
        );
        assert_eq!(read("m=/srv,gest").unwrap_err(), "unknown option `gest`; did you mean `guest`?");
        assert_eq!(read("m=").unwrap_err(), "wants NAME=PATH; the path is missing");
        assert!(read("a/b=/srv").unwrap_err().contains("cannot be in the name of a share"));
        assert!(read("IPC$=/srv").unwrap_err().contains("protocol's own"));
    }

    #[test]
    fn a_view_is_of_a_share_there_is() {
        let mut settings = read::defaults(&read::Host {
            name: "h".to_owned(),
            root: true,
            state_dir: "/nonexistent".into(),
        });
        settings.shares = vec![read("media=/srv/media").expect("reads")];
        let mut view =
            |text| view(text, Path::new("/here"), &mut settings).map(|at| settings.shares[at].view.clone());
        assert_eq!(view("MEDIA=/mnt/m"), Ok(Some("/mnt/m".into())));
        assert_eq!(view("media=m"), Ok(Some("/here/m".into())));
        assert_eq!(view("medai=/m").unwrap_err(), "there is no share `medai`; did you mean `media`?");
        assert!(view("/mnt").unwrap_err().contains("wants NAME=PATH"));
    }

    #[test]
    fn users_named_on_the_command_line_are_the_only_ones() {
        let share = share("m=/srv", &["Alice".to_owned()], Path::new("/")).expect("reads");
        assert_eq!(share.access_of("alice"), Some(Access::ReadWrite));
        assert_eq!(share.access_of("ALICE"), Some(Access::ReadWrite));
        assert_eq!(share.access_of("bob"), None);
    }
}
