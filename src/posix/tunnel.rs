//! What was removed a moment ago under which name: a program that saves a file by its short name removes the old one
//! and makes it anew, and it is to have its long name again, as on NTFS.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{names, short};
use crate::types::NodeKey;

/// As long as on NTFS.
const TIME: Duration = Duration::from_secs(15);
const MOST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Tunnel {
    removed: Mutex<VecDeque<Removed>>,
}

#[derive(Debug)]
struct Removed {
    directory: NodeKey,
    name: Box<[u8]>,
    short: String,
    at: Instant,
}

impl Tunnel {
    /// The name on disk has gone from the directory.
    pub fn removed(&self, directory: NodeKey, name: &[u8]) {
        let Some(short) = short::short_name(&names::to_smb(name)) else { return };
        let mut removed = self.removed.lock();
        if removed.len() == MOST {
            removed.pop_front();
        }
        removed.push_back(Removed { directory, name: name.into(), short, at: Instant::now() });
    }

    /// What is to be called so is called this.
    pub fn name(&self, directory: NodeKey, wanted: &str) -> Option<Vec<u8>> {
        if !short::may_be_made(wanted) {
            return None;
        }
        let removed = self.removed.lock();
        let mut recent = removed.iter().rev().take_while(|r| r.at.elapsed() < TIME);
        let found = recent.find(|r| r.directory == directory && r.short.eq_ignore_ascii_case(wanted))?;
        Some(found.name.to_vec())
    }
}
