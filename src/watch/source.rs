//! Where kernel events come from: fanotify, or inotify where there is no fanotify. Both speak of watched objects by
//! their [`NodeKey`], and both are tested by the same tests.

use std::os::fd::BorrowedFd;

use rustix::io::Result;

use super::Interest;
use crate::fsa::change::Facets;
use crate::sys::handle::FileHandle;
use crate::types::NodeKey;

pub(super) type Name = Box<[u8]>;

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// This process: it has passed the door.
    Own,
    Outside,
    /// The kernel does not say.
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Event {
    pub origin: Origin,
    /// What it happened to is a directory.
    pub directory: bool,
    /// What it happened to, if that is watched itself.
    pub node: Option<NodeKey>,
    pub what: What,
}

/// `(NodeKey, Name)`: a watched directory and a name in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// `moved`: it was elsewhere before, in a directory that is not watched.
    Created {
        at: (NodeKey, Name),
        moved: bool,
    },
    Removed {
        at: (NodeKey, Name),
        moved: bool,
    },
    Renamed {
        from: (NodeKey, Name),
        to: (NodeKey, Name),
    },
    /// `at`: where its directory is watched.
    Modified {
        at: Option<(NodeKey, Name)>,
        facets: Facets,
    },
    /// A directory in a watched one was modified, and this is all that is known of it.
    Stranger(FileHandle),
    /// The node was opened.
    Opened,
    /// The node has another name now, or in another place.
    Moved,
    /// There will be no events for the node any more: it is deleted, or its file system unmounted.
    Gone,
    /// Events were lost.
    Lost,
}

/// What a modification of attributes may have been.
pub(super) const ATTRIBUTES: Facets = Facets::ATTRIBUTES
    .union(Facets::LAST_WRITE)
    .union(Facets::LAST_ACCESS)
    .union(Facets::CREATION)
    .union(Facets::SECURITY)
    .union(Facets::EA);

pub(super) trait Source: Send + Sync {
    fn name(&self) -> &'static str;

    /// Hears of `interest` in the object from the moment this returns, beside what was heard before.
    fn add(&self, object: BorrowedFd<'_>, key: NodeKey, directory: bool, interest: Interest) -> Result<()>;

    /// Hears nothing of it any more. `object`: if it could be opened.
    fn remove(&self, object: Option<BorrowedFd<'_>>, key: NodeKey, directory: bool);

    /// What the object can be opened by, whatever it is called.
    fn handle(&self, key: NodeKey) -> Option<FileHandle>;

    /// Readable when there are events.
    fn fd(&self) -> BorrowedFd<'_>;

    /// What waits, without blocking. None: nothing does.
    fn read(&self) -> Result<Option<Vec<Event>>>;
}

impl Event {
    pub fn lost() -> Event {
        Event { origin: Origin::Outside, directory: false, node: None, what: What::Lost }
    }
}
