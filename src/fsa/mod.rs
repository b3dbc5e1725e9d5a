//! The rules of the object store (MS-FSA 2.1) as functions: `(state, event, now) -> (answer, effects)`.
//!
//! No packets, no I/O, no clock, no locks. One [`Tree`] per export holds every **node** (one file or
//! directory with everything open on it) and an ordered index of the paths that are open. The caller keeps
//! the tree behind one mutex: lock, call, take the [`Effects`], unlock, carry them out.
//!
//! - [`Tree::open`]: share modes and delete-pending; [`Tree::close`]: delete on close, locks and watches released;
//!   [`Tree::abandon`]: undo an open that came to nothing; [`Tree::may_create`]: before something new is made
//! - [`Tree::set_disposition`], [`Tree::deleted`]: who deletes what, and when
//! - [`Tree::rename`]: may this be renamed
//! - [`Tree::lock`], [`Tree::unlock`], [`Tree::may_read`], [`Tree::may_write`]: byte ranges;
//!   [`Tree::lock_refused_outside`], [`Tree::ask_lock_again`]: where local programs have a say
//! - [`Tree::request_oplock`], [`Tree::request_lease`]: what may be cached; [`Tree::acknowledge_break`],
//!   [`Tree::acknowledge_lease`]: opens wait for its breaks; [`Tree::clear_the_way`]: renames and deletions do
//! - [`Tree::wrote`], [`Tree::set_times`], [`Tree::told`], [`Tree::mend_at_close`]: what clients are told of a file's times
//! - [`Tree::notify`]: CHANGE_NOTIFY; [`Tree::cancel`]: any waiting request
//! - [`change::apply`]: **the one door**. Whoever changed the tree (an SMB command, the view, somebody outside)
//!   says so here after the fact, and notifications and breaks of what others have cached come from here only.
//! - [`change::announce`]: the same before the fact, for who can wait; [`Mirror`]: who else hears of every change
//! - [`Tree::kept`]: what outlives the process; [`Tree::restore_locks`], [`Tree::restore_deletion`]: how it comes back
//! - [`expression`]: wildcards of QUERY_DIRECTORY
//!
//! What the rules must know of the disk (read-only? directory empty? who is at the target name?) comes in as
//! facts from the caller, who asks the disk before it takes the lock.
//!
//! # From CREATE to CLOSE
//!
//! ```
//! use smbgate::fsa::{self, change::{self, Change}, Moment, OpenAsk, Opening, RelPath, Tree};
//! use smbgate::types::{AccessMask, NodeKey, OpenId, ShareAccess};
//!
//! let mut tree = Tree::new();
//! let now = Moment::default();
//! let path = RelPath::from("docs/a.txt");
//! let key = NodeKey { dev: 1, ino: 7 };
//!
//! // CREATE: resolve and, if new, create on disk; then register. Refused: undo and answer.
//! let ask = OpenAsk {
//!     access: AccessMask::FILE_READ | AccessMask::DELETE,
//!     share: ShareAccess::READ,
//!     delete_on_close: true,
//!     ..OpenAsk::new(OpenId(1), key, path.clone())
//! };
//! match tree.open(ask, now) {
//!     Opening::Granted(effects) => assert!(effects.is_empty()),
//!     Opening::Wait(_) => unreachable!("nobody has an oplock"),
//!     Opening::Refused(status) => panic!("{status}"),
//! }
//! // It was created, so say so. Everybody who watches `docs` hears of it.
//! let effects = change::apply(&mut tree, &Change::created(path, false).by(OpenId(1)), now);
//! # assert!(effects.is_empty());
//!
//! // READ
//! assert!(tree.may_read(OpenId(1), 0, 4096));
//!
//! // CLOSE: the file was opened delete-on-close and this is its last open.
//! let mut closed = tree.close(OpenId(1), true, now);
//! // drop the lock; carry out closed.effects; drop the descriptor; then
//! let deletion = closed.deletion.take().expect("delete on close");
//! let gone = true; // unlink(deletion.path()) worked
//! let effects = tree.deleted(deletion, gone, now); // opens the door itself: REMOVED is reported
//! # assert!(effects.is_empty() && tree.is_empty());
//! ```

pub mod access;
pub mod change;
pub mod expression;

mod delete;
mod effect;
mod index;
mod lease;
mod lock;
mod locks;
mod mirror;
mod notify;
mod path;
mod query;
mod rename;
mod reparse;
mod restore;
mod share;
mod times;
mod tree;

pub use delete::{Deletion, Disposition, DispositionAsk};
pub use effect::{Effect, Effects, Notified, NotifyAction, NotifyEvent, WaiterId};
pub use lease::{LeaseAsk, LeaseId, Leased, Way};
pub use lock::{Held as HeldLocks, LockAsk, LockRange, LockSequence, Locking};
pub use mirror::{Mirror, MirrorId};
pub use notify::{Filter, NotifyAsk, Notifying};
pub use path::RelPath;
pub use query::OpenView;
pub use rename::{RenameAsk, Renaming, Target};
pub use restore::{Kept, KeptLease};
pub use times::{FileTimes, FrozenTimes, FrozenWritten, Mend, TimeChange, TimesAsk};
pub use tree::{Closed, OpenAsk, Opening, Owner, Tree};

#[cfg(test)]
mod tests;

/// A point in monotonic time: since the start of the server. The rules never read a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment(pub std::time::Duration);
