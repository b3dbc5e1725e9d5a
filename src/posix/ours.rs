//! Local views of this process, which it must not serve: a request that leads into one would wait for itself.

use std::os::fd::OwnedFd;

use parking_lot::RwLock;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::{Errno, Result};

/// Their devices.
static VIEWS: RwLock<Vec<u64>> = RwLock::new(Vec::new());

/// A mounted view. Until it is dropped, nothing in it is opened through an export.
#[derive(Debug)]
pub struct OwnView(u64);

impl OwnView {
    pub fn new(device: u64) -> OwnView {
        VIEWS.write().push(device);
        OwnView(device)
    }
}

impl Drop for OwnView {
    fn drop(&mut self) {
        let mut views = VIEWS.write();
        if let Some(at) = views.iter().position(|device| *device == self.0) {
            views.swap_remove(at);
        }
    }
}

/// `LOOP`: it is in a view of ours. The view itself is not asked.
pub(super) fn not_ours(fd: OwnedFd) -> Result<OwnedFd> {
    let views = VIEWS.read();
    if views.is_empty() {
        return Ok(fd);
    }
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stx = rustix::fs::statx(&fd, c"", flags, StatxFlags::TYPE)?;
    match views.contains(&rustix::fs::makedev(stx.stx_dev_major, stx.stx_dev_minor)) {
        true => Err(Errno::LOOP),
        false => Ok(fd),
    }
}
