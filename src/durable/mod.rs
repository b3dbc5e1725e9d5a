//! Handles that survive their connection (MS-SMB2 3.3.5.9.6, 3.3.5.9.7, 3.3.5.9.10, 3.3.5.9.12).
//!
//! ```text
//!   CREATE with DHnQ, DH2Q --[grant]--> durable, in its session
//!                                           |  connection lost, LOGOFF, previous-session id
//!                                           v
//!                                       waiting ----[reconnect: every check passes]----> in another session
//!                                           |
//!                                           '-- its time is up, or somebody's open conflicts --> closed
//! ```
//!
//! [`grant`] and [`reconnect`] are rules without state; [`Table`] knows which opens there are. [`store`] keeps them on disk, for
//! a process that comes after this one.

pub mod grant;
pub mod reconnect;
pub mod store;
mod table;

pub use store::{HandleStore, Keeper};
pub use table::{Asked, Claim, Table, place_of};
