//! Setting times, and those that the file system cannot keep.
//!
//! Linux sets a change time by itself and to nothing but now; some file systems end in 2038, or count in seconds. What was
//! asked for is then kept in the side store beside what the file system made of it, and told for as long as the file
//! system has that: whoever changes the time, on either side, is believed from then on.

use rustix::fs::{AtFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::attr::{may_write, on_disk, with_process_rights};
use super::stat::KEPT;
use super::{Export, Kind, Object, Result, Stat, of_errno, stat};
use crate::sys;
use crate::types::FileTime;

/// Times to set; `None` leaves one as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    pub created: Option<FileTime>,
    pub accessed: Option<FileTime>,
    pub written: Option<FileTime>,
    pub changed: Option<FileTime>,
}

/// The name in the side store. Value: three pairs (access, write, change) of 16 bytes.
const NAME: &str = "smbgate.times";
const LEN: usize = 48;

/// `told` as long as the file system has `disk`. Zero: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Pair {
    told: FileTime,
    disk: FileTime,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Kept {
    accessed: Pair,
    written: Pair,
    changed: Pair,
}

impl Pair {
    /// None was asked for: what is kept stays, if it is still true.
    fn set(&mut self, asked: Option<FileTime>, disk: FileTime) {
        match asked {
            Some(told) if told != disk => *self = Pair { told, disk },
            None if self.disk == disk => {}
            _ => *self = Pair::default(),
        }
    }

    fn of(self, disk: FileTime) -> FileTime {
        if self.told != FileTime::ZERO && self.disk == disk { self.told } else { disk }
    }
}

impl Kept {
    fn decode(value: &[u8]) -> Option<Kept> {
        let value: &[u8; LEN] = value.try_into().ok()?;
        let time = |n: usize| {
            FileTime(value[n * 8..n * 8 + 8].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
        };
        let pair = |n| Pair { told: time(n), disk: time(n + 1) };
        Some(Kept { accessed: pair(0), written: pair(2), changed: pair(4) })
    }

    fn encode(&self) -> Vec<u8> {
        let pairs = [self.accessed, self.written, self.changed];
        pairs.iter().flat_map(|pair| [pair.told.0, pair.disk.0]).flat_map(u64::to_le_bytes).collect()
    }
}

impl Export {
    /// Puts what was asked for in the place of what the file system made of it.
    pub(super) fn as_kept(&self, stat: &mut Stat) {
        if let Some(kept) = self.kept(stat) {
            stat.accessed = kept.accessed.of(stat.accessed);
            stat.written = kept.written.of(stat.written);
            stat.changed = kept.changed.of(stat.changed);
        }
    }

    fn kept(&self, stat: &Stat) -> Option<Kept> {
        let side = &self.policy().side;
        // No share but those where it was needed pays for it.
        side.knows(NAME).then(|| side.get(stat.key, NAME)).flatten().and_then(|value| Kept::decode(&value))
    }

    pub fn set_times(&self, object: &Object, times: Times) -> Result<()> {
        if times.accessed.is_some() || times.written.is_some() {
            self.set_unix_times(object, times)?;
        }
        if let Some(created) = times.created
            && matches!(object.kind, Kind::File | Kind::Directory)
        {
            let stat = self.stat_file(object)?;
            if stat.created != created {
                let attributes = Some(on_disk(object.kind, stat.attributes & KEPT));
                self.put_dos_attrib(
                    object,
                    super::dosattrib::DosAttrib { attributes, created: Some(created) },
                )?;
            }
        }
        if times.accessed.is_some() || times.written.is_some() || times.changed.is_some() {
            self.keep(object, times)?;
        }
        Ok(())
    }

    /// After they were set as far as the file system can.
    fn keep(&self, object: &Object, times: Times) -> Result<()> {
        let stx = sys::file::stat_fd(&object.fd).map_err(of_errno)?;
        let disk = Stat::new(&stx, Default::default());
        let before = self.kept(&disk);
        let mut kept = before.unwrap_or_default();
        kept.accessed.set(times.accessed, disk.accessed);
        kept.written.set(times.written, disk.written);
        kept.changed.set(times.changed, disk.changed);
        if kept != before.unwrap_or_default() {
            self.policy().side.put(stat::key(&stx), NAME, &kept.encode());
        }
        Ok(())
    }

    fn set_unix_times(&self, object: &Object, times: Times) -> Result<()> {
        let stamp = |time: Option<FileTime>| match time {
            Some(time) => {
                let (seconds, nanos) = time.to_unix();
                Timespec { tv_sec: seconds, tv_nsec: nanos.into() }
            }
            None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        };
        let stamps =
            Timestamps { last_access: stamp(times.accessed), last_modification: stamp(times.written) };
        let set = || rustix::fs::utimensat(&object.fd, c"", &stamps, AtFlags::EMPTY_PATH);
        match set() {
            // The kernel keeps this for the owner; SMB grants it to whoever may write (FILE_WRITE_ATTRIBUTES).
            Err(Errno::PERM | Errno::ACCESS) if object.trusted || may_write(object) => {
                with_process_rights(set)
            }
            other => other.map_err(of_errno),
        }
    }
}
