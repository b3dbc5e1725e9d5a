//! Files that are read from front to back, in large pieces, out of the cache: through a window (`sys::window`), which saves to
//! copy the data once. To open one costs something, and so a file that is read here and there, or seldom, gets none.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::sys::source::Source;
use crate::sys::window::Window;

/// A window is opened at the third read in a row.
const ROW: u8 = 3;
/// A read that begins so far from where the last one ended goes on with it: several channels do not keep the order.
const NEAR: u64 = 8 << 20;

/// Those that have a window, for [`tidy`].
static OPEN: Mutex<Vec<Weak<Mutex<Reading>>>> = Mutex::new(Vec::new());

/// What is remembered of how a file is read, and its window, from the first large read on.
#[derive(Default)]
pub(super) struct Cached(OnceLock<Arc<Mutex<Reading>>>);

#[derive(Default)]
struct Reading {
    /// Where the last read ended.
    next: u64,
    /// How many have gone on with the one before, and the first of them.
    row: u8,
    /// Since the last [`tidy`].
    used: bool,
    window: Window,
}

impl Cached {
    /// `None` too where another thread is at it.
    pub(super) fn with<R>(
        &self,
        fd: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        take: impl FnOnce(Source<'_>) -> R,
    ) -> Option<R> {
        let reading = self.0.get_or_init(Arc::default);
        let mut now = reading.try_lock()?;
        let goes_on = offset.abs_diff(now.next) <= NEAR;
        now.row = if goes_on { now.row.saturating_add(1) } else { 1 };
        now.next = offset.saturating_add(len as u64);
        if now.row < ROW && !now.window.shows(offset, len) {
            return None;
        }
        now.used = true;
        let was_open = now.window.is_open();
        let out = now.window.with(fd, offset, len, take);
        if !was_open && now.window.is_open() {
            note(reading);
        }
        out
    }

    /// There is one, or may be.
    pub(super) fn has_window(&self) -> bool {
        self.0.get().is_some_and(|reading| may_be_open(reading))
    }
}

impl Drop for Cached {
    /// The file is closed with the descriptor, not when `tidy` is through with it.
    fn drop(&mut self) {
        if let Some(reading) = self.0.get() {
            reading.lock().window.close();
        }
    }
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cached")
    }
}

/// Where somebody is at it, it may.
fn may_be_open(reading: &Mutex<Reading>) -> bool {
    reading.try_lock().is_none_or(|now| now.window.is_open())
}

fn note(reading: &Arc<Mutex<Reading>>) {
    let reading = Arc::downgrade(reading);
    let mut open = OPEN.lock();
    open.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&reading));
    open.push(reading);
}

/// Whether there is something to do for [`tidy`].
pub fn any() -> bool {
    !OPEN.lock().is_empty()
}

/// Closes the windows that nobody has looked through since the last call: what was seen through one counts as the process's
/// memory. Takes milliseconds.
pub fn tidy() {
    let open: Vec<_> = OPEN.lock().iter().filter_map(Weak::upgrade).collect();
    for reading in open {
        // Somebody is at it.
        let Some(mut now) = reading.try_lock() else { continue };
        if !std::mem::take(&mut now.used) {
            now.window.close();
        }
    }
    OPEN.lock().retain(|reading| reading.upgrade().is_some_and(|reading| may_be_open(&reading)));
}
