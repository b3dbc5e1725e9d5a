//! SIGBUS, where it is no reason to die: pages that went away (a file cut short, a disk that fails) while a thread looked at
//! them through a mapping. It sees zeros from then on, and is told afterwards.

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// What this thread looks at, from page to page. Atomic for the handler, which runs on the same thread.
struct Looking {
    start: AtomicUsize,
    end: AtomicUsize,
    failed: AtomicBool,
}

thread_local! {
    // Without a destructor and without a first time: the handler may ask for it.
    static LOOKING: Looking = const {
        Looking { start: AtomicUsize::new(0), end: AtomicUsize::new(0), failed: AtomicBool::new(false) }
    };
}

/// Runs `look`, which may touch the pages of `len` bytes from `start` on. `None`: some of them went away meanwhile; there is
/// memory of zeros in the place of all of them, to be unmapped. It cannot be used within itself.
///
/// # Safety
/// The pages are a mapping of the caller's that nobody else touches.
pub(super) unsafe fn survive<T>(start: *const c_void, len: usize, look: impl FnOnce() -> T) -> Option<T> {
    if !is_caught() {
        return None;
    }
    let watch = Watch::begin(start.addr(), start.addr() + len);
    let seen = look();
    (!watch.end()).then_some(seen)
}

/// Looks at nothing any more when dropped, by a panic too.
struct Watch;

impl Watch {
    fn begin(start: usize, end: usize) -> Watch {
        LOOKING.with(|looking| {
            debug_assert_eq!(looking.end.load(Ordering::Relaxed), 0, "looks at something already");
            looking.failed.store(false, Ordering::Relaxed);
            looking.start.store(start, Ordering::Relaxed);
            looking.end.store(end, Ordering::Relaxed);
        });
        compiler_fence(Ordering::SeqCst);
        Watch
    }

    /// Whether pages went away.
    fn end(self) -> bool {
        compiler_fence(Ordering::SeqCst);
        LOOKING.with(|looking| looking.failed.load(Ordering::Relaxed))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        LOOKING.with(|looking| {
            looking.end.store(0, Ordering::Relaxed);
            looking.start.store(0, Ordering::Relaxed);
        });
    }
}

impl Looking {
    /// Zeros for all of it; whatever the thread makes of it is of no use. False: it does not look there, or they cannot be had.
    fn save(&self, address: usize) -> bool {
        let (start, end) = (self.start.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        if !(start..end).contains(&address) {
            return false;
        }
        self.failed.store(true, Ordering::Relaxed);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        let place = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: these pages are a mapping that `survive` was given, and looked at as what may change.
        unsafe { mmap_anonymous(place, end - start, ProtFlags::READ, flags) }.is_ok()
    }
}

/// What was done about SIGBUS before.
static BEFORE: OnceLock<SigAction> = OnceLock::new();

/// The handler is there, from the first call on.
fn is_caught() -> bool {
    static CAUGHT: OnceLock<bool> = OnceLock::new();
    *CAUGHT.get_or_init(|| {
        // On the stack that the runtime gave the thread to tell of an overflow.
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESTART;
        let action = SigAction::new(SigHandler::SigAction(on_bus_error), flags, SigSet::empty());
        // SAFETY: the handler keeps to what a handler may do.
        match unsafe { sigaction(Signal::SIGBUS, &action) } {
            Ok(before) => BEFORE.set(before).is_ok(),
            Err(_) => false,
        }
    })
}

/// Makes system calls only, and none that leaves another errno to whom it interrupted and who goes on.
extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives what belongs to the signal.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // Not more than zero: somebody sent it, and there is no address.
    if code > 0 && LOOKING.with(|looking| looking.save(address)) {
        return;
    }
    // Not ours: as it would have been without us. What caused it is done again when this returns.
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: what was there before, or what is there at the start.
    let _ = unsafe { sigaction(Signal::SIGBUS, BEFORE.get().unwrap_or(&default)) };
    if code <= 0 {
        let _ = raise(Signal::SIGBUS);
    }
}
