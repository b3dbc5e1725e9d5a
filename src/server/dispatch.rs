//! One row a command: what it needs, where it runs, who does it (MS-SMB2 3.3.5.2).

use crate::cmd::{self, Ctx, Handled, Handler, Reply};
use crate::types::NtStatus;
use crate::wire::codec::Reader;
use crate::wire::header::Command;

/// What must be there before the handler is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Needs {
    Nothing,
    /// A valid session that this connection reaches.
    Session,
    /// And a tree connect of it.
    Tree,
}

/// Where the handler runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On the reactor: never blocks.
    Reactor,
    /// The same, and it may wait for something to happen. A CLOSE that comes right after it does not overtake it.
    Waits,
    /// On the logon workers: account look-ups.
    Logon,
    /// On the workers of the tree's export; on the reactor if the tree has none (IPC$).
    Export,
}

/// An attempt on the reactor. None: it takes a worker.
pub type Inline = fn(&mut Ctx<'_>, Reader<'_>, &mut Reply) -> Option<Handled>;

pub struct Row {
    pub command: Command,
    pub needs: Needs,
    pub place: Place,
    pub handler: Handler,
    pub inline: Option<Inline>,
    /// Goes on when the session's ticket has run out (3.3.5.2.9): LOGOFF, CLOSE, unlocks, and what needs no session.
    pub when_expired: bool,
}

const fn row(command: Command, needs: Needs, place: Place, handler: Handler) -> Row {
    Row { command, needs, place, handler, inline: None, when_expired: false }
}

/// By command code. CANCEL has no row: it is no request of its own and never comes this far.
static TABLE: [Row; 19] = [
    Row {
        when_expired: true,
        ..row(Command::NEGOTIATE, Needs::Nothing, Place::Reactor, cmd::negotiate::handle)
    },
    Row {
        when_expired: true,
        ..row(Command::SESSION_SETUP, Needs::Nothing, Place::Logon, cmd::session_setup::handle)
    },
    Row { when_expired: true, ..row(Command::LOGOFF, Needs::Session, Place::Reactor, cmd::logoff::handle) },
    row(Command::TREE_CONNECT, Needs::Session, Place::Reactor, cmd::tree_connect::handle),
    Row {
        inline: Some(cmd::tree_disconnect::try_inline),
        ..row(Command::TREE_DISCONNECT, Needs::Tree, Place::Export, cmd::tree_disconnect::handle)
    },
    Row {
        inline: Some(cmd::create::try_inline),
        ..row(Command::CREATE, Needs::Tree, Place::Export, cmd::create::handle)
    },
    Row {
        when_expired: true,
        inline: Some(cmd::close::try_inline),
        ..row(Command::CLOSE, Needs::Tree, Place::Export, cmd::close::handle)
    },
    row(Command::FLUSH, Needs::Tree, Place::Export, cmd::flush::handle),
    Row {
        inline: Some(cmd::read::try_inline),
        ..row(Command::READ, Needs::Tree, Place::Export, cmd::read::handle)
    },
    row(Command::WRITE, Needs::Tree, Place::Export, cmd::write::handle),
    Row { when_expired: true, ..row(Command::LOCK, Needs::Tree, Place::Export, cmd::lock::handle) },
    row(Command::IOCTL, Needs::Tree, Place::Export, cmd::ioctl::handle),
    Row { when_expired: true, ..row(Command::CANCEL, Needs::Nothing, Place::Reactor, cmd::echo::handle) },
    Row { when_expired: true, ..row(Command::ECHO, Needs::Nothing, Place::Reactor, cmd::echo::handle) },
    row(Command::QUERY_DIRECTORY, Needs::Tree, Place::Export, cmd::query_directory::handle),
    row(Command::CHANGE_NOTIFY, Needs::Tree, Place::Waits, cmd::change_notify::handle),
    Row {
        inline: Some(cmd::info::try_query_inline),
        ..row(Command::QUERY_INFO, Needs::Tree, Place::Export, cmd::info::query)
    },
    row(Command::SET_INFO, Needs::Tree, Place::Export, cmd::info::set),
    row(Command::OPLOCK_BREAK, Needs::Tree, Place::Reactor, cmd::oplock_break::handle),
];

/// No command at all. It takes part in compounds and is signed like others.
static UNKNOWN: Row = row(Command(u16::MAX), Needs::Nothing, Place::Reactor, unknown);

fn unknown(_: &mut Ctx<'_>, _: Reader<'_>, _: &mut Reply) -> Handled {
    Err(NtStatus::INVALID_PARAMETER.into())
}

/// The row of a command.
pub fn of(command: Command) -> &'static Row {
    TABLE.get(usize::from(command.0)).unwrap_or(&UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_code() {
        for (code, row) in TABLE.iter().enumerate() {
            assert_eq!(usize::from(row.command.0), code);
        }
        assert_eq!(of(Command(19)).command, UNKNOWN.command);
    }
}
