//! Opening beneath the root, symlinks by the share's policy.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

use super::export::{Root, resolve_flags};
use super::{Export, Symlinks};
use crate::sys;

/// As the kernel's own limit.
const MAX_LINKS: usize = 40;

impl Export {
    /// Opens `path` (on-disk names, `/` between them, empty for the root) for `O_PATH` and the flags given.
    /// `XDEV`: a symlink leads out; `LOOP`: one is in the way and the policy is `Never`, or the way leads into a view of ours.
    pub(super) fn open_beneath(&self, root: &Root, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let name = if path.is_empty() { b"." } else { path };
        let resolve = resolve_flags(self.policy().symlinks);
        let opened = match sys::file::open_beneath(root.fd(), name, OFlags::PATH | flags, resolve) {
            // The kernel takes every absolute symlink as leading out; those into the export are followed by hand.
            Err(Errno::XDEV) if self.policy().symlinks == Symlinks::Inside => {
                let real = expand(root, path, flags.contains(OFlags::NOFOLLOW))?;
                let real = if real.is_empty() { b"." } else { &real[..] };
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                sys::file::open_beneath(root.fd(), real, OFlags::PATH | flags, resolve)
            }
            other => other,
        };
        opened.and_then(super::ours::not_ours)
    }
}

/// The path without symlinks that `path` stands for at this moment. What is opened by it is opened without
/// following any, so a race can lose a file but not leave the export.
fn expand(root: &Root, path: &[u8], keep_last: bool) -> Result<Vec<u8>> {
    let mut todo: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
    let mut real: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        match &*name {
            b"." => continue,
            b".." => {
                real.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        real.push(name);
        if keep_last && todo.is_empty() {
            break;
        }
        let here = real.join(&b'/');
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let fd = sys::file::open_beneath(root.fd(), &here, OFlags::PATH | OFlags::NOFOLLOW, resolve)?;
        let stx = rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::TYPE)?;
        if super::stat::kind(&stx) != super::Kind::Symlink {
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(&fd, c"", Vec::new())?.into_bytes();
        real.pop();
        let target = match target.first() {
            Some(b'/') => {
                real.clear();
                inside(&root.place, &target).ok_or(Errno::XDEV)?
            }
            _ => &target[..],
        };
        todo.extend(components(target).rev().map(<[u8]>::to_vec));
    }
    Ok(real.join(&b'/'))
}

/// What an absolute path is relative to the root's own.
fn inside<'a>(place: &[u8], target: &'a [u8]) -> Option<&'a [u8]> {
    let rest = target.strip_prefix(place)?;
    match rest.first() {
        None => Some(rest),
        Some(b'/') => Some(&rest[1..]),
        Some(_) if place == b"/" => Some(rest),
        Some(_) => None,
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty())
}
