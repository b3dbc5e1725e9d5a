//! Disk quotas of users, where the file system has them and they are on.

use rustix::io::Errno;

use super::{Export, Result, of_errno, status};
use crate::sys;
use crate::types::NtStatus;

/// Bytes; a limit of 0 is none.
pub use crate::sys::quota::UserQuota as Quota;

impl Export {
    /// Of one user. The caller checks who may know. `NOT_SUPPORTED`: there are no quotas here.
    pub fn quota(&self, uid: u32) -> Result<Quota> {
        self.ask_quota(|fd| sys::quota::of(fd, uid))
    }

    /// Of the first user from this one on who has one.
    pub fn next_quota(&self, uid: u32) -> Result<Option<Quota>> {
        self.ask_quota(|fd| match sys::quota::next(fd, uid) {
            Err(Errno::NOENT) => Ok(None),
            other => other.map(Some),
        })
    }

    /// The kernel keeps quotas for their user and for root; acting for somebody is being neither to it.
    fn ask_quota<T>(
        &self,
        ask: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let root = self.root();
        if !root.facts.quotas {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let answer = sys::creds::as_process(|| ask(root.fd())).map_err(|e| status::of_io(&e))?;
        answer.map_err(|errno| match errno {
            Errno::SRCH | Errno::NOSYS | Errno::OPNOTSUPP => NtStatus::NOT_SUPPORTED,
            other => of_errno(other),
        })
    }
}

/// What a user sees of a volume of this size, and with this much to be had: no more than he may use.
pub(super) fn limited(quota: &Quota, total: u64, available: u64) -> (u64, u64) {
    let limit = [quota.hard, quota.soft].into_iter().filter(|limit| *limit > 0).min();
    match limit {
        Some(limit) => (total.min(limit), available.min(limit.saturating_sub(quota.used))),
        None => (total, available),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_shown_more_than_he_may_use() {
        let quota = |used, soft, hard| Quota { uid: 1, used, soft, hard };
        for (quota, shown) in [
            (quota(5, 0, 0), (1000, 400)),
            (quota(5, 0, 100), (100, 95)),
            (quota(5, 80, 100), (80, 75)),
            (quota(90, 80, 100), (80, 0)),
            (quota(5, 0, 5000), (1000, 400)),
        ] {
            assert_eq!(limited(&quota, 1000, 400), shown, "{quota:?}");
        }
    }

    #[test]
    fn where_there_are_none_there_are_none() {
        let share = crate::posix::tests::Share::new();
        if !share.export.facts().quotas {
            assert_eq!(share.export.quota(1), Err(NtStatus::NOT_SUPPORTED));
            assert_eq!(share.export.next_quota(1), Err(NtStatus::NOT_SUPPORTED));
            assert!(!share.export.volume().unwrap().quotas);
        }
    }
}
