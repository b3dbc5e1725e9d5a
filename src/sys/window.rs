//! A file's pages where they are already, in the kernel's cache: mapped, so that who wants the bytes looks at them there and
//! copies them on its way, where `read` would have copied them before.
//!
//! Only what can be looked at without waiting is shown. mincore(2) tells that pages are there and up to date, in 2 us a MiB
//! where they have been looked at before. The first time costs 20 to 40, in mincore, page faults and unmapping, by the size of
//! the folios; in a fault the kernel would wait for a page that is on its way to the disk, so cachestat(2) (Linux 6.5)
//! has to say that none is. Between that and the look a page can still go: then the thread waits for it.
//!
//! MADV_POPULATE_READ was measured, and is not quicker than the faults.

#[cfg(test)]
mod tests;

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::source::Source;
use super::{bus_error, check, creds};

/// What is mapped at once. Unmapping it takes up to half a millisecond.
const PANE: usize = 64 << 20;
/// So many to a window, the one used last first: a file of 256 MiB that is read again and again is mapped once.
const PANES: usize = 4;
/// Panes begin at multiples of it, in the file; the kernel finds an address to match. What is that large can be mapped as one.
const HUGE: u64 = 2 << 20;
/// What a pane remembers to have been looked at: as much as the kernel maps in one page fault.
const UNIT: usize = 64 << 10;
/// How far behind a file's end there is nothing of it in the cache. (What verifies a file, fs-verity's tree, is closer.)
const BEYOND: u64 = 1 << 40;

/// Of a process: each takes address space, and is two mappings of the 65530 there may be.
static ROOM: Room = Room::new(256);

/// How many panes there may be, and are.
struct Room {
    most: usize,
    taken: AtomicUsize,
}

impl Room {
    const fn new(most: usize) -> Room {
        Room { most, taken: AtomicUsize::new(0) }
    }

    fn take(&'static self) -> Option<Place> {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Place(self))
    }
}

/// One of those there may be.
struct Place(&'static Room);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Stretches of one file, mapped read-only, to be looked at where their pages are in the cache. While it is open the file is
/// not closed, whoever closes its descriptor.
pub struct Window {
    room: &'static Room,
    panes: Vec<Pane>,
}

impl Default for Window {
    fn default() -> Window {
        Window::within(&ROOM)
    }
}

impl Window {
    const fn within(room: &'static Room) -> Window {
        Window { room, panes: Vec::new() }
    }

    /// Something is mapped.
    pub fn is_open(&self) -> bool {
        !self.panes.is_empty()
    }

    /// Unmaps it all.
    pub fn close(&mut self) {
        self.panes = Vec::new();
    }

    /// `with` need not map more for that.
    pub fn shows(&self, offset: u64, len: usize) -> bool {
        self.panes.iter().any(|pane| pane.shows(offset, len))
    }

    /// Runs `take` over the file's bytes from `offset` on, when that waits for nothing: all of them lie within the file and in
    /// the page cache. `None`: it is not so, or cannot be known (this thread's user neither owns nor may write the file, and the
    /// process is not root), or they went away under `take`, and whatever that made of them is of no use.
    ///
    /// `fd` is always that of the same file, open for reading.
    pub fn with<R>(
        &mut self,
        fd: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        take: impl FnOnce(Source<'_>) -> R,
    ) -> Option<R> {
        let end = offset.checked_add(len as u64)?;
        if len == 0 {
            return None;
        }
        let mut pane = self.pane(fd, offset, len, end)?;
        let (page, from) = (rustix::param::page_size(), (offset - pane.offset) as usize);
        let first = from - from % page;
        let whole = (from + len).next_multiple_of(page) - first;
        if !pane.is_at_hand(fd, first, whole) {
            self.panes.insert(0, pane);
            return None;
        }
        let (pages, start) = (pane.map.at(first), pane.map.at(from).cast());
        // SAFETY: they are mapped for as long as there is the pane, and have something to read whatever happens to the file.
        // Nobody else has it; where they went away, or `take` panics, it is not used again.
        let seen = unsafe { bus_error::survive(pages, whole, || take(Source::new(start, len))) }?;
        self.panes.insert(0, pane);
        // What was cut off since shows as zeros up to the end of its page.
        (size(fd).ok()? >= end).then_some(seen)
    }

    /// Takes out the pane that shows so much.
    fn pane(&mut self, fd: BorrowedFd<'_>, offset: u64, len: usize, end: u64) -> Option<Pane> {
        if let Some(at) = self.panes.iter().position(|pane| pane.shows(offset, len)) {
            return Some(self.panes.remove(at));
        }
        let (start, size) = (offset - offset % HUGE, size(fd).ok()?);
        if size < end || end - start > PANE as u64 {
            return None;
        }
        self.panes.truncate(PANES - 1);
        Pane::new(fd, start, size, self.room.take()?).ok()
    }
}

/// One stretch.
struct Pane {
    map: Map,
    /// Where in the file it begins.
    offset: u64,
    /// A page of the file that is not in the cache.
    absent: Map,
    /// The user whom mincore told that it is not: of what others neither own nor may write it says that all is there.
    told: Option<u32>,
    /// Units that have been looked at.
    seen: [u64; PANE / UNIT / 64],
    _place: Place,
}

impl Pane {
    fn new(fd: BorrowedFd<'_>, offset: u64, size: u64, place: Place) -> Result<Pane> {
        let absent = Map::new(fd, size.next_multiple_of(HUGE) + BEYOND, rustix::param::page_size())?;
        let map = Map::new(fd, offset, PANE)?;
        Ok(Pane { map, offset, absent, told: None, seen: [0; _], _place: place })
    }

    fn shows(&self, offset: u64, len: usize) -> bool {
        offset.checked_sub(self.offset).is_some_and(|from| from.saturating_add(len as u64) <= PANE as u64)
    }

    /// These pages can be looked at without waiting.
    fn is_at_hand(&mut self, fd: BorrowedFd<'_>, first: usize, whole: usize) -> bool {
        let units = first / UNIT..(first + whole).div_ceil(UNIT);
        let new = units.clone().any(|unit| self.seen[unit / 64] >> (unit % 64) & 1 == 0);
        if new && !is_settled(fd, self.offset + first as u64, whole as u64) {
            return false;
        }
        let there = match self.is_there(first, whole) {
            None if creds::can_switch() => {
                creds::as_process(|| self.is_there(first, whole)).unwrap_or_default()
            }
            told => told,
        };
        if there == Some(true) {
            units.for_each(|unit| self.seen[unit / 64] |= 1 << (unit % 64));
        }
        there == Some(true)
    }

    /// Whether all these pages are in the cache and up to date; `None`: this thread is not told.
    fn is_there(&mut self, first: usize, whole: usize) -> Option<bool> {
        let user = creds::current_uid();
        if self.told != Some(user) {
            if self.absent.is_in_core(0, self.absent.len) {
                return None;
            }
            self.told = Some(user);
        }
        Some(self.map.is_in_core(first, whole))
    }
}

/// Part of a file in memory, until it is dropped.
struct Map {
    start: *mut c_void,
    len: usize,
}

// SAFETY: the whole process sees a mapping.
unsafe impl Send for Map {}

impl Map {
    fn new(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Result<Map> {
        // SAFETY: a new mapping, wherever the kernel finds room.
        let start = unsafe { mmap(null_mut(), len, ProtFlags::READ, MapFlags::SHARED, fd, offset)? };
        // The handler of bus errors has only the address.
        start.expose_provenance();
        Ok(Map { start, len })
    }

    fn at(&self, offset: usize) -> *const c_void {
        self.start.wrapping_byte_add(offset)
    }

    /// mincore(2) of whole pages of it, all of them.
    fn is_in_core(&self, first: usize, whole: usize) -> bool {
        debug_assert!(first + whole <= self.len);
        let page = rustix::param::page_size();
        let mut core = [0u8; 512];
        let mut at = first;
        while at < first + whole {
            let pages = ((first + whole - at) / page).min(core.len());
            // SAFETY: it only reads the page table of our mapping, and writes a byte for each page.
            let told = unsafe {
                libc::mincore(self.start.wrapping_byte_add(at), pages * page, core.as_mut_ptr().cast())
            };
            if told < 0 || core[..pages].iter().any(|core| core & 1 == 0) {
                return false;
            }
            at += pages * page;
        }
        true
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: ours, and a `Source` does not outlive the borrow of the window.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}

fn size(fd: BorrowedFd<'_>) -> Result<u64> {
    Ok(rustix::fs::fstat(fd)?.st_size as u64)
}

/// include/uapi/linux/mman.h, struct cachestat
#[repr(C)]
struct CacheStat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// cachestat(2), of the same number everywhere.
fn cache_stat(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<CacheStat> {
    const CACHESTAT: libc::c_long = 451;
    let range = [offset, len];
    let mut stat = MaybeUninit::<CacheStat>::uninit();
    // SAFETY: two numbers to read, room for five.
    check(unsafe { libc::syscall(CACHESTAT, fd.as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0) })?;
    // SAFETY: the kernel has filled it in.
    Ok(unsafe { stat.assume_init() })
}

/// Nothing of it is being written to the disk, or has to be. Where the user is not told (or the kernel is too old) it is not.
fn is_settled(fd: BorrowedFd<'_>, offset: u64, len: u64) -> bool {
    let stat = match cache_stat(fd, offset, len) {
        Err(Errno::PERM) if creds::can_switch() => {
            creds::as_process(|| cache_stat(fd, offset, len)).unwrap_or(Err(Errno::PERM))
        }
        other => other,
    };
    stat.is_ok_and(|stat| stat.dirty == 0 && stat.writeback == 0)
}
