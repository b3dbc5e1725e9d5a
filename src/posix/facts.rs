//! What is found out about a file system once, when the export opens; and its size, when asked.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, Statx};
use rustix::io::Errno;

use super::index::Clockwork;
use super::{Export, Result, of_errno};
use crate::sys;
use crate::types::FileTime;

/// How far a file system's changes can be seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locality {
    Local,
    Fuse,
    Remote,
}

impl Locality {
    fn of_type(fs_type: &str) -> Locality {
        if REMOTE.contains(&fs_type) {
            Locality::Remote
        } else if fs_type == "fuse" || fs_type.starts_with("fuse.") {
            Locality::Fuse
        } else {
            Locality::Local
        }
    }
}

/// Of another mount than the root's.
pub(super) fn locality(fd: BorrowedFd<'_>, mount: u64) -> Locality {
    mount_of(fd, mount).map_or(Locality::Remote, |(fs_type, _)| Locality::of_type(&fs_type))
}

/// Whether the file system itself tells `a` from `A`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaseRule {
    Sensitive,
    Insensitive,
}

/// Found out once, when the export opens.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As in mountinfo: `ext4`, `fuse.rclone`.
    pub fs_type: String,
    /// As in mountinfo: `/dev/sda1`, `remote:`.
    pub source: String,
    pub magic: u64,
    pub locality: Locality,
    pub xattrs: bool,
    /// `security.` ones too, for this process: what takes CAP_SYS_ADMIN.
    pub security_xattrs: bool,
    pub read_only: bool,
    /// Files can share blocks (FSCTL_DUPLICATE_EXTENTS_TO_FILE).
    pub shares_extents: bool,
    /// Single files can be compressed.
    pub compresses: bool,
    /// Quotas of users are on.
    pub quotas: bool,
    pub case: CaseRule,
    pub device: u64,
    /// The volume's serial number: the same every time this path is exported.
    pub serial: u32,
    /// When the root directory was made.
    pub created: FileTime,
}

/// MS-FSCC 2.5: what the volume classes are made of.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Bytes; `free` counts what is kept for root, `available` does not.
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub quotas: bool,
    pub sector_size: u32,
    pub cluster_size: u32,
    pub serial: u32,
    pub label: String,
    /// Told to clients: `NTFS`.
    pub fs_name: &'static str,
    /// MS-FSCC 2.5.1 FileSystemAttributes.
    pub flags: u32,
    /// Characters.
    pub max_name: u32,
    pub created: FileTime,
}

mod magic {
    pub const EXT4: u64 = 0xEF53;
    pub const XFS: u64 = 0x5846_5342;
    pub const BTRFS: u64 = 0x9123_683E;
    pub const F2FS: u64 = 0xF2F5_2010;
    pub const TMPFS: u64 = 0x0102_1994;
}

const REMOTE: [&str; 13] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "ceph",
    "afs",
    "lustre",
    "glusterfs",
    "beegfs",
    "ocfs2",
    "gfs2",
    "virtiofs",
];
const INSENSITIVE: [&str; 5] = ["vfat", "msdos", "exfat", "hfs", "hfsplus"];

/// `place`: the root's path without symlinks.
pub(super) fn find(root: BorrowedFd<'_>, stx: &Statx, place: &[u8]) -> io::Result<Facts> {
    let fs = rustix::fs::fstatfs(root)?;
    let vfs = rustix::fs::fstatvfs(root)?;
    let (fs_type, source) = mount_of(root, stx.stx_mnt_id).unwrap_or_default();
    let locality = Locality::of_type(&fs_type);
    let xattrs = match sys::xattr::get(root, c"user.smbgate.probe", &mut [0; 8]) {
        Ok(_) | Err(Errno::NODATA | Errno::RANGE | Errno::ACCESS) => true,
        Err(_) => false,
    };
    // Removing what is not there asks for every permission and changes nothing.
    let security_xattrs = match sys::xattr::remove(root, c"security.smbgate.probe") {
        Ok(()) | Err(Errno::NODATA | Errno::ROFS) => true,
        Err(_) => false,
    };
    let read_only = vfs.f_flag.contains(StatVfsMountFlags::RDONLY);
    let (shares_extents, compresses) = if locality == Locality::Local && !read_only {
        extents(root, fs.f_type as u64)
    } else {
        (false, false)
    };
    // The file system's own id where it lasts, else the names of both ends.
    let mut hash = crc32fast::Hasher::new();
    if let Some(id) = lasting_id(root) {
        hash.update(&id.to_le_bytes());
        hash.update(&stx.stx_ino.to_le_bytes());
    } else {
        hash.update(source.as_bytes());
        hash.update(place);
    }
    Ok(Facts {
        locality,
        xattrs,
        security_xattrs,
        case: match INSENSITIVE.contains(&fs_type.as_str()) {
            true => CaseRule::Insensitive,
            false => CaseRule::Sensitive,
        },
        fs_type,
        source,
        magic: fs.f_type as u64,
        read_only,
        shares_extents,
        compresses,
        quotas: sys::quota::of(root, sys::creds::current_uid()).is_ok(),
        device: super::stat::key(stx).dev,
        serial: hash.finalize(),
        created: super::Stat::new(stx, Default::default()).created,
    })
}

/// The file system's own id, where it has one that is the same after the next mount.
pub(super) fn lasting_id(fd: BorrowedFd<'_>) -> Option<u64> {
    let lasts =
        matches!(rustix::fs::fstatfs(fd).ok()?.f_type as u64, magic::EXT4 | magic::XFS | magic::BTRFS);
    lasts.then(|| rustix::fs::fstatvfs(fd).ok()).flatten().map(|vfs| vfs.f_fsid).filter(|id| *id != 0)
}

/// Whether files here can share blocks, and be compressed. Tried on files that never get a name: nothing is left,
/// nothing is written. Where the process may make none it is not found out, and the answer is no.
fn extents(root: BorrowedFd<'_>, magic: u64) -> (bool, bool) {
    let unnamed = || {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::openat(root, c".", flags, Mode::from_raw_mode(0o600))
    };
    let (Ok(one), Ok(two)) = (unnamed(), unnamed()) else { return (false, false) };
    let shares = sys::extents::share(&one, 0, &two, 0, 0).is_ok();
    // ext4 keeps the flag and does nothing about it.
    let compresses = matches!(magic, magic::BTRFS | magic::F2FS)
        && sys::extents::set_compressed(&one, true).is_ok()
        && sys::extents::is_compressed(&one).unwrap_or(false);
    (shares, compresses)
}

/// File system type and source of a mount.
fn mount_of(fd: BorrowedFd<'_>, mount: u64) -> Option<(String, String)> {
    let mut id = mount;
    if id == 0 {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
        id = info.lines().find_map(|l| l.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
    }
    let table = std::fs::read("/proc/self/mountinfo").ok()?;
    let table = String::from_utf8_lossy(&table);
    let line = table.lines().find(|l| l.split(' ').next().and_then(|n| n.parse().ok()) == Some(id))?;
    let mut tail = line.split(" - ").nth(1)?.split(' ');
    Some((tail.next()?.to_owned(), tail.next().unwrap_or_default().to_owned()))
}

/// Whether change times tell every change.
pub(super) fn clockwork(facts: &Facts) -> Clockwork {
    if facts.locality != Locality::Local {
        Clockwork::Foreign
    } else if multigrain() && matches!(facts.magic, magic::EXT4 | magic::XFS | magic::BTRFS | magic::TMPFS) {
        Clockwork::Fine
    } else {
        Clockwork::Ticks
    }
}

/// Linux 6.13 gave these file systems multigrain timestamps.
fn multigrain() -> bool {
    linux() >= (6, 13)
}

/// Whether a file's pages are better looked at where they are in the cache than copied by `read`: they are mapped coherently
/// (not so with ZFS), and in large folios. In single pages that costs 120 us a MiB the first time, and copying 40.
pub(super) fn is_better_mapped(facts: &Facts) -> bool {
    // xfs has had large folios for longer, cachestat(2) came then.
    let since = match facts.magic {
        magic::EXT4 => (6, 16),
        magic::XFS => (6, 6),
        _ => return false,
    };
    facts.locality == Locality::Local && linux() >= since
}

/// The kernel's version.
fn linux() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

impl Export {
    /// Sizes now, as the user this thread acts for sees them.
    pub fn volume(&self) -> Result<Volume> {
        self.check_now_and_then()?;
        let root = self.root();
        let vfs = rustix::fs::fstatvfs(root.fd()).map_err(of_errno)?;
        let facts = &root.facts;
        let unit = vfs.f_frsize.max(1);
        let cluster = u32::try_from(unit).unwrap_or(4096).clamp(512, 1 << 20).next_power_of_two();
        // CASE_SENSITIVE_SEARCH, CASE_PRESERVED_NAMES, UNICODE_ON_DISK, PERSISTENT_ACLS, SPARSE_FILES, REPARSE_POINTS,
        // NAMED_STREAMS
        let mut flags = 0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x4_0000;
        if facts.compresses {
            // FILE_COMPRESSION
            flags |= 0x10;
        }
        if facts.shares_extents {
            // SUPPORTS_BLOCK_REFCOUNTING
            flags |= 0x0800_0000;
        }
        if facts.read_only {
            flags |= 0x8_0000;
        }
        if facts.xattrs {
            // SUPPORTS_EXTENDED_ATTRIBUTES
            flags |= 0x80_0000;
        }
        if facts.case == CaseRule::Sensitive {
            // SUPPORTS_HARD_LINKS: what has no case here (FAT, exFAT) has none.
            flags |= 0x40_0000;
        }
        if facts.quotas {
            // FILE_VOLUME_QUOTAS
            flags |= 0x20;
        }
        let (total, available) = (vfs.f_blocks.saturating_mul(unit), vfs.f_bavail.saturating_mul(unit));
        // Root is held by none.
        let user = sys::creds::current_uid();
        let (total, available) = match facts.quotas && user != 0 {
            true => {
                self.quota(user).map_or((total, available), |q| super::quota::limited(&q, total, available))
            }
            false => (total, available),
        };
        let label = self.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Volume {
            total,
            free: vfs.f_bfree.saturating_mul(unit),
            available,
            quotas: facts.quotas,
            sector_size: 512,
            cluster_size: cluster,
            serial: facts.serial,
            label: label.chars().take(32).collect(),
            fs_name: "NTFS",
            flags,
            max_name: 255,
            created: facts.created,
        })
    }
}
