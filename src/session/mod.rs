//! The tables of MS-SMB2 3.3.1: sessions, tree connects, opens, shares. Each table owns its lock.

pub mod durability;
pub mod instance;
pub mod lease;
pub mod open;
pub mod sequence;
#[expect(clippy::module_inception, reason = "the table's main entry has the module's name")]
pub mod session;
pub mod share;
pub mod tree;
pub mod workers;

pub use durability::{Durability, Grant, Keeping};
pub use lease::{Lease, Leases};
pub use open::{FileOpen, Listing, Open, OpenKind, Opens, PipeOpen};
pub use sequence::Sequenced;
pub use session::{Channel, Origin, Security, Session, Sessions, Setup, Who};
pub use share::{ActsAs, Area, Disk, Share, ShareKind};
pub use tree::TreeConnect;
pub use workers::{Strand, Workers};
