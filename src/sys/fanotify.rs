//! fanotify without descriptors: events carry the handle of a directory and a name (FAN_REPORT_DFID_NAME_TARGET,
//! Linux 5.17). Needs no privilege for marks of single inodes.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};
use smallvec::SmallVec;

use super::check;
use super::file::{FdName, proc_fds};
use super::handle::FileHandle;

bitflags::bitflags! {
    /// What to hear of, and what was heard.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Mask: u64 {
        const MODIFY = libc::FAN_MODIFY;
        const ATTRIB = libc::FAN_ATTRIB;
        const OPEN = libc::FAN_OPEN;
        const CREATE = libc::FAN_CREATE;
        const DELETE = libc::FAN_DELETE;
        const DELETE_SELF = libc::FAN_DELETE_SELF;
        const MOVE_SELF = libc::FAN_MOVE_SELF;
        const Q_OVERFLOW = libc::FAN_Q_OVERFLOW;
        const EVENT_ON_CHILD = libc::FAN_EVENT_ON_CHILD;
        const RENAME = libc::FAN_RENAME;
        const ONDIR = libc::FAN_ONDIR;
    }
}

/// A new group; reading from it does not block.
pub fn group() -> Result<OwnedFd> {
    let flags =
        libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_CLASS_NOTIF | libc::FAN_REPORT_DFID_NAME_TARGET;
    // SAFETY: a plain system call without pointers.
    let fd = check(unsafe { libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC) as u32) }.into())?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Adds to what is heard of the inode behind `object`, which may be an `O_PATH` descriptor.
pub fn add<G: AsFd, Fd: AsFd>(group: G, object: Fd, mask: Mask) -> Result<()> {
    mark(group, libc::FAN_MARK_ADD, object, mask)
}

/// Takes away from it.
pub fn remove<G: AsFd, Fd: AsFd>(group: G, object: Fd, mask: Mask) -> Result<()> {
    mark(group, libc::FAN_MARK_REMOVE, object, mask)
}

fn mark<G: AsFd, Fd: AsFd>(group: G, flags: u32, object: Fd, mask: Mask) -> Result<()> {
    let name = FdName::of(object);
    let (group, fds) = (group.as_fd().as_raw_fd(), proc_fds()?.as_raw_fd());
    loop {
        // SAFETY: the name is NUL-terminated and lives through the call.
        let ret = unsafe { libc::fanotify_mark(group, flags, mask.bits(), fds, name.as_c_str().as_ptr()) };
        match check(ret.into()) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// An inode as events name it: the file system's id and the handle.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fid {
    /// As `statvfs` has it.
    pub fsid: u64,
    pub handle: FileHandle,
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub mask: Mask,
    /// Zero: another process's, and this one may not know whose.
    pub pid: i32,
    /// The object itself, or of a change of names what it is about.
    pub object: Option<Fid>,
    /// The directory and the name in it; the old ones of a rename.
    pub name: Option<(Fid, Box<[u8]>)>,
    /// The new ones of a rename.
    pub to: Option<(Fid, Box<[u8]>)>,
}

/// Reads what waits into `buf` and takes it apart. Empty: nothing waits.
pub fn read<G: AsFd>(group: G, buf: &mut [u8]) -> Result<Vec<Event>> {
    match rustix::io::read(group, &mut *buf) {
        Ok(n) => Ok(parse(&buf[..n])),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
        Err(errno) => Err(errno),
    }
}

/// `struct fanotify_event_metadata`: event_len 4, vers 1, reserved 1, metadata_len 2, mask 8, fd 4, pid 4; then records
/// of `struct fanotify_event_info_header`: info_type 1, pad 1, len 2.
fn parse(mut buf: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(length) = u32_at(buf, 0)
        && let Some(event) = buf.get(..length as usize)
        && let (Some(start), Some(mask), Some(pid)) = (u16_at(event, 6), u64_at(event, 8), u32_at(event, 20))
    {
        let mask = Mask::from_bits_retain(mask);
        let mut out = Event { mask, pid: pid as i32, object: None, name: None, to: None };
        let mut rest = event.get(usize::from(start)..).unwrap_or_default();
        while let (Some(&kind), Some(length)) = (rest.first(), u16_at(rest, 2))
            && length >= 4
            && let Some(record) = rest.get(4..usize::from(length))
        {
            match kind {
                libc::FAN_EVENT_INFO_TYPE_FID | libc::FAN_EVENT_INFO_TYPE_DFID => {
                    out.object = out.object.or_else(|| fid(record).map(|(fid, _)| fid));
                }
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME | libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => {
                    out.name = named(record);
                    // A directory's own event.
                    if let Some((fid, _)) = out.name.take_if(|(_, name)| **name == *b".") {
                        out.object = Some(fid);
                    }
                }
                libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => out.to = named(record),
                _ => {}
            }
            rest = &rest[usize::from(length)..];
        }
        events.push(out);
        buf = &buf[length as usize..];
    }
    events
}

/// fsid 8; `struct file_handle`: handle_bytes 4, handle_type 4, the handle. And what follows.
fn fid(record: &[u8]) -> Option<(Fid, &[u8])> {
    let fsid = u64::from(u32_at(record, 0)?) | u64::from(u32_at(record, 4)?) << 32;
    let size = u32_at(record, 8)? as usize;
    let kind = u32_at(record, 12)? as i32;
    let bytes = SmallVec::from_slice(record.get(16..16 + size)?);
    Some((Fid { fsid, handle: FileHandle { kind, bytes } }, &record[16 + size..]))
}

fn named(record: &[u8]) -> Option<(Fid, Box<[u8]>)> {
    let (fid, name) = fid(record)?;
    let name = CStr::from_bytes_until_nul(name).ok()?;
    Some((fid, name.to_bytes().into()))
}

fn u16_at(buf: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(buf.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(buf: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(buf.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(buf: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(buf.get(at..at + 8)?.try_into().ok()?))
}
