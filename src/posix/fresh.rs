//! Reading what the file system has, where others may change a file and the kernel of this machine goes on remembering what
//! it was (FUSE).

use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rustix::fs::Advice;

use super::Object;

/// Times of whole seconds, as some file systems keep them, hide a second change for so long, if clocks agree.
const SECOND: Duration = Duration::from_secs(2);

/// What an open file was like when it was looked at last.
#[derive(Debug, Default)]
pub struct Freshness(Mutex<Option<Box<Seen>>>);

#[derive(Debug)]
struct Seen {
    at: Instant,
    print: Print,
}

/// Size, and when content and anything else of it were changed.
type Print = (u64, (i64, u32), (i64, u32));

impl Freshness {
    /// It was looked at a short time ago.
    pub fn is_recent(&self, every: Duration) -> bool {
        self.0.lock().as_ref().is_some_and(|seen| seen.at.elapsed() < every)
    }

    /// From here on reads find what the file has now, unless it was looked at a short time ago. Blocks.
    pub fn renew(&self, object: &Object, every: Duration) {
        if object.is_stream() || self.is_recent(every) {
            return;
        }
        let at = Instant::now();
        // The read will say what is wrong.
        let Ok(stx) = crate::sys::file::stat_anew(object.as_fd()) else { return };
        let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
        let print = (stx.stx_size, time(stx.stx_mtime), time(stx.stx_ctime));
        let before = self.0.lock().replace(Box::new(Seen { at, print }));
        if before.is_some_and(|before| before.print != print) || may_hide(&print) {
            // Should it fail, they are as old as the file system lets them be.
            let _ = rustix::fs::fadvise(object.as_fd(), 0, None, Advice::DontNeed);
        }
    }
}

/// The times are of now, and of whole seconds.
fn may_hide((_, written, changed): &Print) -> bool {
    if (written.1, changed.1) != (0, 0) {
        return false;
    }
    let Ok(since) = u64::try_from(written.0.max(changed.0)) else { return false };
    let (time, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(since), SystemTime::now());
    now.duration_since(time).unwrap_or_else(|ahead| ahead.duration()) < SECOND
}
