//! What leases cost that are only held: every file and directory of a tree is opened with a lease and stays so. Then
//! nothing happens, then much happens elsewhere, then a local program writes to each of the files.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use smbgate::types::{AccessMask, CreateDisposition, CreateOptions, LeaseKey, LeaseState, OplockLevel};
use smbgate::wire::create_context::{Lease, LeaseFlags};
use smbgate::wire::header::Command;
use smbgate::wire::oplock_break::{LeaseBreakAck, LeaseBreakFlags, OplockBreakMessage};

use crate::client::{Client, Opened, Reply, create};
use crate::{Args, server};

/// `benches/run` lays out `directory/file`, numbers both, so many of them.
#[derive(clap::Args, Clone)]
pub struct Tree {
    #[arg(long, default_value_t = 10_000)]
    directories: usize,
    /// In each.
    #[arg(long, default_value_t = 10)]
    files: usize,
    /// Where the tree is on the disk.
    #[arg(long)]
    tree: Option<PathBuf>,
    /// A directory that no client knows of.
    #[arg(long)]
    elsewhere: Option<PathBuf>,
    /// Changes to make there.
    #[arg(long, default_value_t = 1_000_000)]
    changes: u64,
    /// Write to every file in the end, and wait for what is told of it.
    #[arg(long)]
    broken: bool,
}

const RH: LeaseState = LeaseState::READ.union(LeaseState::HANDLE);
/// What was put off, by either side, is done after this.
const SETTLED: Duration = Duration::from_secs(3);

/// Number 0 is the directory, the others are what stands in it.
fn key(directory: usize, number: usize) -> LeaseKey {
    let mut key = [0x11; 16];
    key[..4].copy_from_slice(&(directory as u32).to_le_bytes());
    key[4..8].copy_from_slice(&(number as u32).to_le_bytes());
    LeaseKey(key)
}

/// Opens with a lease.
fn open(c: &mut Client, directory: usize, number: usize) -> u64 {
    let (name, kind) = match number {
        0 => (format!("{directory}"), CreateOptions::DIRECTORY_FILE),
        file => (format!(r"{directory}\{}", file - 1), CreateOptions::NON_DIRECTORY_FILE),
    };
    let flags = if number > 0 { LeaseFlags::PARENT_LEASE_KEY_SET } else { LeaseFlags::empty() };
    let lease = Lease::V2 {
        lease_key: key(directory, number),
        lease_state: RH,
        flags,
        parent_lease_key: key(directory, 0),
        epoch: 0,
    };
    let mut request = create(&name, AccessMask::FILE_READ, CreateDisposition::OPEN, kind);
    request.requested_oplock_level = OplockLevel::LEASE;
    request.create_contexts = vec![lease.to_context()];
    c.send(&request)
}

fn granted(opened: &Opened) -> bool {
    opened.lease.is_some_and(|lease| lease.lease_state() == RH)
}

/// Every `step`-th directory from `first`, and what stands in it. How many leases were granted: of files, of directories.
fn open_all(c: &mut Client, args: &Args, first: usize) -> (u64, u64) {
    let tree = &args.leases;
    let all = (first..tree.directories)
        .step_by(args.connections)
        .flat_map(|directory| (0..=tree.files).map(move |number| (directory, number)));
    let mut todo = all.peekable();
    let mut under_way = HashMap::new();
    let mut got = (0, 0);
    while todo.peek().is_some() || !under_way.is_empty() {
        while under_way.len() < args.depth
            && let Some((directory, number)) = todo.next()
        {
            under_way.insert(open(c, directory, number), number);
        }
        let reply = c.receive();
        if reply.is_interim() {
            continue;
        }
        let number = under_way.remove(&reply.header.message_id.0).expect("an answer to an open");
        let opened = reply.opened().expect("CREATE");
        *(if number > 0 { &mut got.0 } else { &mut got.1 }) += u64::from(granted(&opened));
    }
    got
}

/// Answers breaks until all leases are gone.
fn answer_all(c: &mut Client, mut left: u64) {
    let mut due = VecDeque::new();
    while left > 0 || !due.is_empty() {
        while c.credits > 0
            && let Some(answer) = due.pop_front()
        {
            c.send::<LeaseBreakAck>(&answer);
        }
        let reply = c.receive();
        if let Some((lease_key, lease_state, wanted)) = broken(&reply) {
            left -= u64::from(lease_state.is_empty());
            due.extend(wanted.then_some(LeaseBreakAck { lease_key, lease_state }));
        }
        c.recycle(reply);
    }
}

fn broken(reply: &Reply) -> Option<(LeaseKey, LeaseState, bool)> {
    let unasked = reply.header.command == Command::OPLOCK_BREAK && reply.header.message_id.0 == u64::MAX;
    match OplockBreakMessage::decode(&mut reply.reader()) {
        Ok(OplockBreakMessage::LeaseNotification(told)) if unasked => {
            Some((told.lease_key, told.new_lease_state, told.flags.contains(LeaseBreakFlags::ACK_REQUIRED)))
        }
        _ => None,
    }
}

/// Makes files and deletes them.
fn change(directory: &Path, changes: u64) {
    let path = directory.join("changed");
    for _ in 0..changes / 2 {
        fs::File::create(&path).expect("create");
        fs::remove_file(&path).expect("delete");
    }
}

/// A byte to each file.
fn write_all(tree: &Tree, top: &Path) {
    for directory in 0..tree.directories {
        for file in 0..tree.files {
            let path = top.join(directory.to_string()).join(file.to_string());
            let mut file = fs::OpenOptions::new().append(true).open(path).expect("open");
            file.write_all(b"x").expect("write");
        }
    }
}

/// Seconds, and the server's processor time.
fn timed<T>(args: &Args, what: impl FnOnce() -> T) -> (T, f64, f64) {
    let (start, cpu) = (Instant::now(), server::cpu_seconds(args.pid));
    let result = what();
    (result, start.elapsed().as_secs_f64(), server::cpu_seconds(args.pid) - cpu)
}

/// The same done by each client at a time.
fn each<T: Send>(clients: &mut [Client], what: impl Fn(usize, &mut Client) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(index, c)| {
                let what = &what;
                scope.spawn(move || what(index, c))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a connection failed")).collect()
    })
}

/// Prints one line of JSON.
pub fn run(args: &Args) {
    let tree = &args.leases;
    let mut clients: Vec<Client> = (0..args.connections).map(|_| args.client()).collect();
    let before = server::memory(args.pid);
    let (got, seconds, cpu) = timed(args, || each(&mut clients, |index, c| open_all(c, args, index)));
    let (files, directories) = got.iter().fold((0, 0), |all, got| (all.0 + got.0, all.1 + got.1));
    thread::sleep(SETTLED);
    let memory = server::memory(args.pid).saturating_sub(before);
    let ((), _, rest) = timed(args, || thread::sleep(Duration::from_secs(10)));
    print!(
        "{{\"files\": {files}, \"directories\": {directories}, \"seconds\": {seconds:.3}, \"cpu\": {cpu:.2}, \
         \"memory\": {memory}, \"rest\": {rest:.2}"
    );
    if let Some(elsewhere) = &tree.elsewhere {
        let ((), seconds, cpu) = timed(args, || change(elsewhere, tree.changes));
        print!(", \"change_seconds\": {seconds:.2}, \"change_cpu\": {cpu:.2}");
    }
    if let (true, Some(top)) = (tree.broken, &tree.tree) {
        let work = || {
            thread::scope(|scope| {
                scope.spawn(|| write_all(tree, top));
                each(&mut clients, |index, c| answer_all(c, got[index].0 + got[index].1));
            });
        };
        let ((), seconds, cpu) = timed(args, work);
        let memory = server::memory(args.pid).saturating_sub(before);
        print!(", \"break_seconds\": {seconds:.3}, \"break_cpu\": {cpu:.2}, \"break_memory\": {memory}");
    }
    println!("}}");
}
