//! Who gets a durable handle, and for how long (MS-SMB2 3.3.5.9.6, 3.3.5.9.10).

use crate::session::Grant;
use crate::types::{AccessMask, OplockLevel};
use std::time::Duration;

/// What an open is, as far as durability goes.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub directory: bool,
    /// Guests cannot be told from each other when they come back.
    pub nobody: bool,
    pub oplock: OplockLevel,
    /// A lease lets the client keep its handle.
    pub handle_lease: bool,
    /// `durable_timeout` of its share. Zero: none are granted.
    pub share_timeout: Duration,
    /// It is asked to be persistent, and its share and connection have that.
    pub persistent: bool,
}

/// Milliseconds that a client asked for; zero leaves it to the server. DHnQ cannot say.
pub type Wanted = u32;

/// The longest that a client gets by asking for it, unless the share gives more by itself.
const LONGEST: Duration = Duration::from_secs(300);

pub fn grant(candidate: &Candidate, wanted: Wanted) -> Option<Grant> {
    let keeps_handle = candidate.oplock == OplockLevel::BATCH || candidate.handle_lease;
    if !(keeps_handle || candidate.persistent)
        || candidate.directory
        || candidate.nobody
        || candidate.share_timeout.is_zero()
    {
        return None;
    }
    let timeout = match wanted {
        0 => candidate.share_timeout,
        ms => Duration::from_millis(ms.into()).min(LONGEST.max(candidate.share_timeout)),
    };
    Some(Grant { timeout })
}

/// Open.IsReplayEligible of an open that was made with a CreateGuid (3.3.5.9.10): its CREATE, sent once more, is answered
/// with it. What is done once more does no harm where it only looks.
pub fn is_replay_eligible(persistent: bool, directory: bool, access: AccessMask) -> bool {
    const USES: AccessMask = AccessMask::READ_DATA
        .union(AccessMask::EXECUTE)
        .union(AccessMask::WRITE_DATA)
        .union(AccessMask::APPEND_DATA)
        .union(AccessMask::DELETE);
    persistent || (!directory && access.intersects(USES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Candidate = Candidate {
        directory: false,
        nobody: false,
        oplock: OplockLevel::BATCH,
        handle_lease: false,
        share_timeout: Duration::from_secs(60),
        persistent: false,
    };

    #[test]
    fn who_keeps_the_handle_by_an_oplock_or_a_lease() {
        assert!(grant(&BATCH, 0).is_some());
        for oplock in [OplockLevel::NONE, OplockLevel::LEVEL_II, OplockLevel::EXCLUSIVE, OplockLevel::LEASE] {
            assert_eq!(grant(&Candidate { oplock, ..BATCH }, 0), None);
            assert!(grant(&Candidate { oplock, handle_lease: true, ..BATCH }, 0).is_some());
        }
    }

    #[test]
    fn what_is_persistent_needs_neither() {
        let persistent = Candidate { oplock: OplockLevel::NONE, persistent: true, ..BATCH };
        assert!(grant(&persistent, 0).is_some());
        assert_eq!(grant(&Candidate { nobody: true, ..persistent }, 0), None);
        assert_eq!(grant(&Candidate { directory: true, ..persistent }, 0), None);
    }

    #[test]
    fn no_directories_no_guests_and_no_share_that_does_not_want_it() {
        assert_eq!(grant(&Candidate { directory: true, ..BATCH }, 0), None);
        assert_eq!(grant(&Candidate { nobody: true, ..BATCH }, 0), None);
        assert_eq!(grant(&Candidate { share_timeout: Duration::ZERO, ..BATCH }, 1000), None);
    }

    #[test]
    fn who_only_looks_is_not_answered_again_and_nobody_is_of_a_directory() {
        let looks = AccessMask::READ_ATTRIBUTES | AccessMask::READ_CONTROL | AccessMask::SYNCHRONIZE;
        assert!(is_replay_eligible(false, false, looks | AccessMask::DELETE));
        assert!(is_replay_eligible(false, false, AccessMask::EXECUTE));
        assert!(!is_replay_eligible(false, false, looks));
        assert!(is_replay_eligible(true, false, looks));
        assert!(!is_replay_eligible(false, true, AccessMask::FILE_ALL));
    }

    #[test]
    fn for_as_long_as_is_asked_up_to_the_longest() {
        let secs = |wanted, share| {
            let share_timeout = Duration::from_secs(share);
            grant(&Candidate { share_timeout, ..BATCH }, wanted).expect("granted").timeout.as_secs()
        };
        assert_eq!((secs(0, 60), secs(10_000, 60), secs(u32::MAX, 60)), (60, 10, 300));
        assert_eq!((secs(0, 900), secs(u32::MAX, 900)), (900, 900));
    }
}
