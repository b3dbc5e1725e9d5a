//! Single rules, where a random walk would not say what went wrong (the walks: `tests/rules`).

mod deletion;
mod local;
mod notices;
mod opening;
mod oplocks;
mod reparse;
mod streams;
mod times;

use super::change::{self, Change};
use super::*;
use crate::types::{AccessMask, NodeKey, NtStatus, OpenId, ShareAccess};

const NOW: Moment = Moment(std::time::Duration::ZERO);

fn key(ino: u64) -> NodeKey {
    NodeKey { dev: 1, ino }
}

/// Reads, and may delete; shares everything.
fn ask(open: u64, ino: u64, path: &str) -> OpenAsk {
    OpenAsk {
        access: AccessMask::READ_DATA | AccessMask::DELETE,
        share: ShareAccess::READ | ShareAccess::WRITE | ShareAccess::DELETE,
        ..OpenAsk::new(OpenId(open), key(ino), RelPath::new(path))
    }
}

fn dir(open: u64, ino: u64, path: &str) -> OpenAsk {
    OpenAsk { directory: true, ..ask(open, ino, path) }
}

fn stream(open: u64, ino: u64, path: &str, name: &str) -> OpenAsk {
    OpenAsk { stream: Some(name.to_owned()), ..ask(open, ino, path) }
}

fn opened(tree: &mut Tree, ask: OpenAsk) -> Effects {
    match tree.open(ask, NOW) {
        Opening::Granted(effects) => effects,
        other => panic!("{other:?}"),
    }
}

fn refused(tree: &mut Tree, ask: OpenAsk) -> NtStatus {
    match tree.open(ask, NOW) {
        Opening::Refused(status) => status,
        other => panic!("{other:?}"),
    }
}

fn disposition(tree: &mut Tree, open: u64, flags: Disposition) -> Result<Effects, NtStatus> {
    tree.set_disposition(
        &DispositionAsk { open: OpenId(open), flags, readonly: false, not_empty: false },
        NOW,
    )
}

/// A notify on everything beneath, that waits.
fn watch(tree: &mut Tree, open: u64, waiter: u64) {
    assert_eq!(tree.notify(&everything(open, waiter), NOW), Notifying::Waiting);
}

fn everything(open: u64, waiter: u64) -> NotifyAsk {
    NotifyAsk {
        open: OpenId(open),
        waiter: WaiterId(waiter),
        filter: Filter::all(),
        recursive: true,
        buffer: 1000,
    }
}

fn status(waiter: u64, status: NtStatus) -> Effect {
    Effect::Notify { waiter: WaiterId(waiter), answer: Notified::Status(status) }
}

fn events(waiter: u64, list: &[(NotifyAction, &str)]) -> Effect {
    let list = list.iter().map(|(action, name)| NotifyEvent { action: *action, name: (*name).to_owned() });
    Effect::Notify { waiter: WaiterId(waiter), answer: Notified::Events(list.collect()) }
}

fn tell(tree: &mut Tree, change: Change) -> Effects {
    change::apply(tree, &change, NOW)
}
