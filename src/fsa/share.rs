//! Share modes (MS-FSA 2.1.5.1.2.2).

use crate::types::{AccessMask, ShareAccess};

/// What the opens of one stream do and allow, as counts: a check costs the same with one open and with a
/// thousand. Opens without data or delete access (attributes, security, synchronize) count nowhere and
/// conflict with nobody.
#[derive(Default, Debug)]
pub(super) struct ShareCounts {
    opens: u32,
    readers: u32,
    writers: u32,
    deleters: u32,
    share_read: u32,
    share_write: u32,
    share_delete: u32,
}

/// The part of an access mask that share modes speak of.
#[derive(Clone, Copy)]
struct Use {
    read: bool,
    write: bool,
    delete: bool,
}

impl Use {
    fn of(access: AccessMask) -> Use {
        Use {
            read: access.intersects(AccessMask::READ_DATA | AccessMask::EXECUTE),
            write: access.intersects(AccessMask::WRITE_DATA | AccessMask::APPEND_DATA),
            delete: access.contains(AccessMask::DELETE),
        }
    }

    fn any(self) -> bool {
        self.read || self.write || self.delete
    }
}

impl ShareCounts {
    /// Would an open with this access and share mode go together with those there are?
    pub fn admits(&self, access: AccessMask, share: ShareAccess) -> bool {
        let new = Use::of(access);
        if self.opens == 0 || !new.any() {
            return true;
        }
        !(new.read && self.share_read < self.opens
            || new.write && self.share_write < self.opens
            || new.delete && self.share_delete < self.opens
            || self.readers > 0 && !share.contains(ShareAccess::READ)
            || self.writers > 0 && !share.contains(ShareAccess::WRITE)
            || self.deleters > 0 && !share.contains(ShareAccess::DELETE))
    }

    /// Every counted open shares delete.
    pub fn all_share_delete(&self) -> bool {
        self.share_delete == self.opens
    }

    pub fn add(&mut self, access: AccessMask, share: ShareAccess) {
        self.count(access, share, |n| *n += 1);
    }

    pub fn remove(&mut self, access: AccessMask, share: ShareAccess) {
        self.count(access, share, |n| *n -= 1);
    }

    fn count(&mut self, access: AccessMask, share: ShareAccess, step: impl Fn(&mut u32)) {
        let used = Use::of(access);
        if !used.any() {
            return;
        }
        step(&mut self.opens);
        for (yes, n) in [
            (used.read, &mut self.readers),
            (used.write, &mut self.writers),
            (used.delete, &mut self.deleters),
            (share.contains(ShareAccess::READ), &mut self.share_read),
            (share.contains(ShareAccess::WRITE), &mut self.share_write),
            (share.contains(ShareAccess::DELETE), &mut self.share_delete),
        ] {
            if yes {
                step(n);
            }
        }
    }
}
