//! A thousand handles with leases and locks, and a server that is killed under load, again and again. Five times;
//! `SMBGATE_KILLS=50` for more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use smbgate::types::{FileId, Guid, LeaseKey, LeaseState, NtStatus, OplockLevel};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{CreateContext, Lease, LeaseFlags};

use crate::client::{Client, Offer, Opened, Reply, Request};
use crate::common::{OTHER, PASSWORD, Server, USER};
use crate::durable::{back_v2, v2};
use crate::leases::{RWH, file, state};
use crate::persistent::{asking, available, offer, returning};
use crate::restart::{EXCLUSIVE, lock};

const HANDLES: usize = 1000;
/// Requests on their way at a time.
const AT_ONCE: usize = 100;
const GONE: NtStatus = NtStatus::OBJECT_NAME_NOT_FOUND;

fn kills() -> usize {
    std::env::var("SMBGATE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5)
}

pub fn random(below: u64) -> u64 {
    getrandom::u64().expect("random bytes") % below
}

/// What a client has open, as far as the server has answered for it.
#[derive(Clone)]
pub struct Held {
    name: String,
    guid: Guid,
    persistent: bool,
    pub file_id: FileId,
    pub locked: bool,
}

impl Held {
    pub fn new(name: String, number: u64, persistent: bool) -> Held {
        let mut guid = [persistent as u8 + 1; 16];
        guid[..8].copy_from_slice(&number.to_le_bytes());
        Held { name, guid: Guid(guid), persistent, file_id: FileId::default(), locked: false }
    }

    fn request(&self, context: CreateContext<'static>) -> CreateRequest<'static> {
        let lease = Lease::V2 {
            lease_key: LeaseKey(self.guid.0),
            lease_state: RWH,
            flags: LeaseFlags::empty(),
            parent_lease_key: LeaseKey::default(),
            epoch: 0,
        };
        CreateRequest {
            requested_oplock_level: OplockLevel::LEASE,
            create_contexts: vec![lease.to_context(), context],
            ..file(&self.name)
        }
    }

    pub fn open(&self) -> CreateRequest<'static> {
        self.request(if self.persistent { asking(self.guid) } else { v2(self.guid, 60_000) })
    }

    fn back(&self) -> CreateRequest<'static> {
        if self.persistent {
            return self.request(returning(self.file_id, self.guid));
        }
        let mut plain = back_v2(self.file_id, self.guid);
        self.request(plain.create_contexts.remove(0))
    }

    /// An exclusive lock is not granted twice, not even to its owner.
    fn has_its_lock(&self, c: &mut Client) -> bool {
        c.call(&lock(self.file_id, 0, EXCLUSIVE)).status() == NtStatus::LOCK_NOT_GRANTED
    }
}

/// Sends all, so many at a time, and gives the answers in their order.
pub fn each<R: Request>(c: &mut Client, requests: &[R]) -> Vec<Reply> {
    let mut replies = Vec::new();
    for some in requests.chunks(AT_ONCE) {
        let ids: Vec<u64> = some.iter().map(|request| c.send(request)).collect();
        replies.extend(ids.into_iter().map(|id| c.wait(id)));
    }
    replies
}

/// The answer; none: the server is dead.
pub fn ask<R: Request>(c: &mut Client, request: &R) -> Option<Reply> {
    let id = c.next_id;
    let message = c.build(request);
    c.try_send_message(&message).ok()?;
    loop {
        let reply = c.try_receive().ok()?;
        if reply.header.message_id.0 == id && !reply.is_interim() {
            return Some(reply);
        }
    }
}

/// Opens, locks and closes until the server is dead. What it had been told that it has.
fn churn(mut c: Client, who: u64, persistent: bool) -> Vec<Held> {
    let mut all: Vec<Held> = Vec::new();
    for n in 0.. {
        let mut held = Held::new(format!("churn-{who}-{n}"), who << 32 | n, persistent);
        let Some(reply) = ask(&mut c, &held.open()) else { break };
        held.file_id = reply.opened().expect("nobody else has it").file_id;
        all.push(held);
        let last = all.len() - 1;
        let Some(reply) = ask(&mut c, &lock(all[last].file_id, 0, EXCLUSIVE)) else { break };
        assert_eq!(reply.status(), NtStatus::SUCCESS);
        all[last].locked = true;
        if n % 3 != 0 {
            let held = all.remove(random(all.len() as u64) as usize);
            // Closed or not, if no answer comes: it is not asked for again.
            let close = smbgate::wire::close::CloseRequest { file_id: held.file_id, ..Default::default() };
            if ask(&mut c, &close).is_none() {
                break;
            }
        }
    }
    all
}

/// Writes elsewhere, until the server is dead.
fn write(mut c: Client, dead: &AtomicBool) {
    let Some(opened) = ask(&mut c, &file("written")).and_then(|reply| reply.opened().ok()) else { return };
    let data = [7; 4096];
    while !dead.load(Ordering::Relaxed) {
        let write =
            smbgate::wire::write::WriteRequest { file_id: opened.file_id, data: &data, ..Default::default() };
        if ask(&mut c, &write).is_none() {
            return;
        }
    }
}

fn client(server: &Server, offer: &Offer, share: &str) -> Client {
    Client::ready(server.address, offer, USER, PASSWORD, share)
}

/// Those that come back. Persistent ones must; the others may be unknown.
pub fn come_back(c: &mut Client, held: &mut Vec<Held>) {
    let requests: Vec<_> = held.iter().map(Held::back).collect();
    let answers = each(c, &requests);
    let mut left = Vec::new();
    for (mut one, answer) in held.drain(..).zip(answers) {
        match answer.opened() {
            Ok(opened) => {
                assert_eq!(opened.file_id.persistent, one.file_id.persistent, "{}", one.name);
                assert_eq!(state(&opened), RWH, "{}: its lease", one.name);
                one.file_id = opened.file_id;
                left.push(one);
            }
            Err(GONE) if !one.persistent => {}
            Err(status) => panic!("{} (persistent: {}): {status}", one.name, one.persistent),
        }
    }
    for one in left.iter().filter(|one| one.persistent && one.locked) {
        assert!(one.has_its_lock(c), "{}: its lock", one.name);
    }
    *held = left;
}

/// Whoever else asks for some of them.
fn strangers(server: &Server, offer: &Offer, share: &str, held: &[Held]) {
    let mut user = Client::ready(server.address, offer, OTHER, PASSWORD, share);
    let elsewhere = Offer { client_guid: Guid([0x77; 16]), ..offer.clone() };
    let mut another = client(server, &elsewhere, share);
    for _ in 0..20 {
        let one = &held[random(held.len() as u64) as usize];
        let refused = user.create(&one.back()).expect_err("another user");
        assert!(refused == NtStatus::ACCESS_DENIED || (!one.persistent && refused == GONE), "{refused}");
        assert_eq!(another.create(&one.back()).expect_err("another client"), GONE);
    }
}

/// Opens those that are missing, and locks every third.
fn open_all(c: &mut Client, held: &mut Vec<Held>, persistent: bool, round: usize) {
    let missing = HANDLES / 2 - held.len();
    let new: Vec<_> = (0..missing as u64)
        .map(|n| {
            let number = (round as u64) << 16 | n;
            Held::new(format!("{persistent}-{number}"), number, persistent)
        })
        .collect();
    let requests: Vec<_> = new.iter().map(Held::open).collect();
    let from = held.len();
    for (mut one, answer) in new.into_iter().zip(each(c, &requests)) {
        let opened: Opened = answer.opened().expect("nobody else has it");
        assert_eq!((opened.durable, opened.persistent), (Some(60_000), persistent));
        assert_eq!(state(&opened), RWH | LeaseState::READ);
        one.file_id = opened.file_id;
        held.push(one);
    }
    let to_lock: Vec<usize> = (from..held.len()).filter(|n| n % 3 == 0).collect();
    let requests: Vec<_> = to_lock.iter().map(|n| lock(held[*n].file_id, 0, EXCLUSIVE)).collect();
    for (n, answer) in to_lock.into_iter().zip(each(c, &requests)) {
        assert_eq!(answer.status(), NtStatus::SUCCESS);
        held[n].locked = true;
    }
}

#[test]
fn a_thousand_handles_survive_a_server_that_is_killed_again_and_again() {
    let mut server = available();
    server.add_user(OTHER);
    let (mut persistent, mut durable) = (Vec::new(), Vec::new());
    let offers = [offer(), offer(), offer()];
    let mut kept = 0;
    for round in 0..kills() {
        let mut c = client(&server, &offers[0], "share");
        open_all(&mut c, &mut persistent, true, round);
        let mut d = client(&server, &offers[0], "plain");
        open_all(&mut d, &mut durable, false, round);
        let churns: Vec<_> = (1..3)
            .map(|n| {
                let c = client(&server, &offers[n], "share");
                let who = (round as u64) << 8 | n as u64;
                thread::spawn(move || churn(c, who, true))
            })
            .collect();
        let dead = AtomicBool::new(false);
        let plain = client(&server, &offer(), "plain");
        let writer = client(&server, &offer(), "plain");
        let mut churned: Vec<Vec<Held>> = thread::scope(|scope| {
            scope.spawn(|| churn(plain, (round as u64) << 8, false));
            scope.spawn(|| write(writer, &dead));
            thread::sleep(Duration::from_millis(random(400)));
            server.kill();
            dead.store(true, Ordering::Relaxed);
            churns.into_iter().map(|thread| thread.join().expect("a client")).collect()
        });
        drop((c, d));
        server.start_again();

        strangers(&server, &offers[0], "share", &persistent);
        strangers(&server, &offers[0], "plain", &durable);
        let mut c = client(&server, &offers[0], "share");
        come_back(&mut c, &mut persistent);
        assert_eq!(persistent.len(), HANDLES / 2);
        let mut d = client(&server, &offers[0], "plain");
        come_back(&mut d, &mut durable);
        kept += durable.len();
        for (held, offer) in churned.iter_mut().zip(&offers[1..]) {
            let had = held.len();
            let mut c = client(&server, offer, "share");
            come_back(&mut c, held);
            assert_eq!(held.len(), had);
            // They are closed with their tree.
            assert_eq!(c.tree_disconnect(), NtStatus::SUCCESS);
        }
    }
    eprintln!("{kept} of {} durable handles came back", kills() * HANDLES / 2);
}
