//! The pipes: writes of any size (two bytes of length, then the data), and reads between them, some of which wait.
//! Context handles are what the server says they are: a client cannot guess them, so every run of eight 0xAA in a
//! handle's place stands for the last one that was given out.
#![no_main]
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use smbgate::auth::accounts::{Accounts, By, UnixGroup, UnixUser};
use smbgate::rpc::{Context, Modes, Pipe, ShareEntry, Waiter, open};

/// Every number and every short name is an account.
#[derive(Debug)]
struct Everybody;

impl Accounts for Everybody {
    fn user(&self, by: By<'_>) -> Option<UnixUser> {
        let (name, uid) = account(by)?;
        Some(UnixUser { full_name: name.clone(), name, uid, gid: uid / 2 })
    }

    fn group(&self, by: By<'_>) -> Option<UnixGroup> {
        account(by).map(|(name, gid)| UnixGroup { name, gid })
    }

    fn groups_of(&self, user: &UnixUser) -> Vec<u32> {
        vec![user.gid, 100]
    }

    fn users(&self) -> Vec<String> {
        ["alice", "bob", "a name that nobody has"].map(String::from).into()
    }

    fn is_disabled(&self, name: &str) -> bool {
        name.len() == 3
    }
}

fn account(by: By<'_>) -> Option<(String, u32)> {
    match by {
        By::Name(name) => (1..9).contains(&name.len()).then(|| (name.to_lowercase(), name.len() as u32)),
        By::Id(id) => (id % 7 != 3).then(|| (format!("account{id}"), id)),
    }
}

/// The last handle of an answer goes where the input has a placeholder.
fn filled(data: &[u8], handle: &[u8; 8]) -> Vec<u8> {
    let mut data = data.to_vec();
    let mut at = 0;
    while let Some(found) = data[at..].windows(8).position(|w| w == [0xAA; 8]) {
        data[at + found..at + found + 8].copy_from_slice(handle);
        at += found + 8;
    }
    data
}

/// Handles are 4 zeros, 8 bytes that are not, 8 zeros, and the status SUCCESS behind them.
fn handle_in(answer: &[u8]) -> Option<[u8; 8]> {
    let tail = answer.get(answer.len().checked_sub(24)?..)?;
    let id: [u8; 8] = tail[4..12].try_into().ok()?;
    (tail[..4] == [0; 4] && tail[12..] == [0; 12] && id != [0; 8]).then_some(id)
}

fn read(pipe: &Pipe, answered: &mut usize, handle: &mut [u8; 8], max: usize) {
    let Ok((answer, _)) = pipe.read(max) else { return };
    *answered += answer.len();
    if let Some(found) = handle_in(&answer) {
        *handle = found;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, mut rest)) = bytes.split_first() else { return };
    let shares = ["media", "IPC$"].map(|name| ShareEntry { name: name.to_owned(), ..ShareEntry::default() });
    let context = Context {
        server_name: "server".to_owned(),
        netbios_name: "SERVER".to_owned(),
        shares: shares.to_vec(),
        administrator: choice & 2 != 0,
        authenticated: choice & 64 == 0,
        user: "alice".to_owned(),
        accounts: Arc::new(Everybody),
        ..Context::default()
    };
    let name = ["srvsvc", "wkssvc", "lsarpc", "samr"][usize::from(choice & 1 | choice >> 3 & 2)];
    let pipe = open(name, Arc::new(context)).expect("a known pipe");
    pipe.set_modes(Modes { messages: choice & 32 == 0, waits: true });
    let (mut answered, mut handle, mut waiters) = (0, [0; 8], 0);
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (data, behind) = behind.split_at(behind.len().min(usize::from(u16::from_le_bytes(*len))));
        rest = behind;
        let data = filled(data, &handle);
        let mut served = Vec::new();
        waiters += 1;
        let waiter = Waiter { id: waiters, max: 4096, transceives: choice & 4 == 0 };
        if choice & 4 == 0 {
            let result = pipe.transceive(&data, waiter.max, || Ok(waiter), &mut served);
            if let Some(Ok((out, _))) = &result {
                answered += out.len();
                handle = handle_in(out).unwrap_or(handle);
            }
        } else {
            if choice & 8 != 0 {
                let _ = pipe.read_or_wait(waiter);
            }
            if pipe.write(&data, &mut served).is_err() {
                break;
            }
        }
        for out in served.iter().filter_map(|s| s.result.as_ref().ok()) {
            answered += out.0.len();
            handle = handle_in(&out.0).unwrap_or(handle);
        }
        read(&pipe, &mut answered, &mut handle, 1024);
    }
    // Nobody waits for ever.
    let ended = pipe.close();
    assert!(ended.iter().all(|s| s.result.is_err() && s.waiter.id <= waiters));
    assert!(pipe.close().is_empty());
    assert!(answered <= 64 * (bytes.len() + 4096), "an answer out of all proportion");
});
