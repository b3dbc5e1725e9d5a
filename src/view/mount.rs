//! The mount point: is it fit, and what is in the way.

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sys::creds;

/// What mounts of ours are called in the table of mounts, before the name of the share.
pub const SOURCE: &str = "smbgate:";
/// What is at the mount point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    Free,
    /// What a server left that ended without unmounting.
    Stale,
    /// A view that is alive.
    Alive,
}

/// Looks at a mount point. Why a view cannot be mounted there, and what to do.
pub fn look(point: &Path, exported: &Path) -> Result<Point, String> {
    let shown = point.display();
    let flags = StatxFlags::TYPE | StatxFlags::MNT_ID;
    // Whoever serves it is to answer, not the kernel's cache.
    let stx = match rustix::fs::statx(rustix::fs::CWD, point, AtFlags::STATX_FORCE_SYNC, flags) {
        Ok(stx) => stx,
        Err(Errno::NOTCONN | Errno::CONNABORTED) => return Ok(Point::Stale),
        Err(Errno::NOENT) => {
            return Err(format!("view {shown}: there is no such directory (mkdir -p {shown})"));
        }
        Err(e) => return Err(format!("view {shown}: {e}")),
    };
    if rustix::fs::FileType::from_raw_mode(stx.stx_mode.into()) != rustix::fs::FileType::Directory {
        return Err(format!("view {shown}: not a directory; name an empty one"));
    }
    if stx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return match source_at(point) {
            Some(source) if source.starts_with(SOURCE) => Ok(Point::Alive),
            source => Err(format!(
                "view {shown}: {} is mounted there already; umount {shown}, or name an empty directory",
                source.as_deref().unwrap_or("something")
            )),
        };
    }
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (real_point, real_export) = (real(point), real(exported));
    if real_point.starts_with(&real_export) || real_export.starts_with(&real_point) {
        return Err(format!(
            "view {shown}: it and the shared path {} lie one in the other; mount the view elsewhere",
            exported.display()
        ));
    }
    match std::fs::read_dir(point).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(Point::Free),
        Ok(false) => Err(format!("view {shown}: the directory is not empty; name an empty one")),
        Err(e) => Err(format!("view {shown}: {e}")),
    }
}

/// What the topmost mount at a path is of.
fn source_at(point: &Path) -> Option<String> {
    at(point)?.split(" - ").nth(1)?.split(' ').nth(1).map(unescape)
}

/// The device of the topmost mount at a path, without asking it.
pub fn device_at(point: &Path) -> Option<u64> {
    let line = at(point)?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// Its line in the table of mounts.
fn at(point: &Path) -> Option<String> {
    let point = std::fs::canonicalize(point).ok()?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let is = |line: &&str| line.split(' ').nth(4).map(unescape).as_deref() == point.to_str();
    table.lines().rev().find(is).map(str::to_owned)
}

/// Blanks and the like stand as `\040` in the table.
fn unescape(field: &str) -> String {
    let mut out = String::new();
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out += &rest[..at];
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

/// Takes what is mounted there away, at once, whoever uses it.
pub fn unmount(point: &Path) -> Result<(), String> {
    let failed = match creds::as_process(|| nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH)) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(errno)) => errno.to_string(),
        Err(e) => e.to_string(),
    };
    // Who is not root has a helper for that.
    let helped = ["fusermount3", "fusermount"].iter().any(|helper| {
        let mut command = Command::new(helper);
        command.args(["-u", "-z", "-q", "--"]).arg(point).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if helped { Ok(()) } else { Err(failed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_an_empty_directory_elsewhere() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for name in ["export", "export/in", "full", "full/x", "free"] {
            std::fs::create_dir(at(name)).expect("a directory");
        }
        std::fs::write(at("file"), "").expect("a file");
        std::os::unix::fs::symlink(at("export/in"), at("link")).expect("a link");
        let look = |name: &str| look(&at(name), &at("export"));
        assert_eq!(look("free"), Ok(Point::Free));
        for (name, what) in [
            ("missing", "mkdir -p"),
            ("file", "not a directory"),
            ("full", "not empty"),
            ("export", "one in the other"),
            ("link", "one in the other"),
        ] {
            let why = look(name).expect_err(name);
            assert!(why.contains(what), "{why}");
        }
        let above = super::look(dir.path(), &at("export")).expect_err("it holds the export");
        assert!(above.contains("one in the other"), "{above}");
        let mounted = super::look(Path::new("/proc"), &at("export")).expect_err("a mount");
        assert!(mounted.contains("umount /proc"), "{mounted}");
    }

    #[test]
    fn paths_in_the_table_of_mounts() {
        assert_eq!(unescape(r"/a\040b\134c\"), r"/a b\c\");
    }
}
