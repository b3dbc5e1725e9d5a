//! Around the server: what has to be there before it starts, what it listens on, how it is told things while it runs, how it stops.
//!
//! [`serve`] is the process. The rest is shared with the other subcommands: [`load`] reads settings, [`State`] is the state
//! directory, [`control`] speaks with a server that runs, [`paths`] looks at what is to be shared.

pub mod control;
mod handover;
mod listen;
mod load;
mod logging;
mod notify;
pub mod paths;
mod ports;
mod process;
mod records;
mod run;
mod side;
mod state;
#[cfg(test)]
mod tests;
pub mod tickets;

pub use handover::Left;
pub use listen::{Busy, bind_all};
pub use load::{Origin, load, state_dir};
pub use logging::init as init_logging;
pub use run::serve;
pub use state::{Denied, State};

/// Why a command cannot go on; a sentence or more for the person who typed it, remedy included.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }
}
