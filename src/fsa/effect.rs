//! What the rules want done. Carried out by the caller once the tree's lock is dropped, in order.

use super::LeaseId;
use crate::types::{LeaseState, NtStatus, OpenId, OplockLevel};
pub use crate::wire::fscc::notify::NotifyAction;

/// A request that waits for an answer, named by the caller; unique for the life of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WaiterId(pub u64);

/// In the order in which they are to be carried out. An empty one costs nothing.
pub type Effects = Vec<Effect>;

/// One thing to do. A `waiter` named in an effect is forgotten by the tree: it is answered exactly once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A waiting LOCK is decided: SUCCESS, or why not.
    Lock { waiter: WaiterId, status: NtStatus },
    /// A waiting LOCK that somebody outside has a say in is to be asked again.
    LockAgain { waiter: WaiterId },
    /// An open, rename or deletion that waits is to be asked again (SUCCESS), or is CANCELLED.
    Open { waiter: WaiterId, status: NtStatus },
    /// The holder of an oplock is told that it has come down to this level. `acknowledge`: only once he says so, with
    /// [`super::Tree::acknowledge_break`]; if he does not in time, [`super::Tree::break_unanswered`].
    Break { open: OpenId, to: OplockLevel, acknowledge: bool },
    /// The same of a lease: [`super::Tree::acknowledge_lease`], [`super::Tree::lease_unanswered`]. `epoch`: zero for a
    /// lease of version 1.
    BreakLease { id: LeaseId, from: LeaseState, to: LeaseState, acknowledge: bool, epoch: u16 },
    /// A waiting CHANGE_NOTIFY is answered.
    Notify { waiter: WaiterId, answer: Notified },
}

/// The answer to a CHANGE_NOTIFY.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notified {
    /// At least one event; they fit the request's buffer.
    Events(Vec<NotifyEvent>),
    /// NOTIFY_ENUM_DIR (more happened than fits), NOTIFY_CLEANUP (closed), DELETE_PENDING (the directory goes),
    /// CANCELLED.
    Status(NtStatus),
}

/// One FILE_NOTIFY_INFORMATION (MS-FSCC 2.7.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyEvent {
    pub action: NotifyAction,
    /// Relative to the watched directory, as the wire has it: components divided by `\`.
    pub name: String,
}
