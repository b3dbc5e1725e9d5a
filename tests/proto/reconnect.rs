//! Who comes back for a handle with the wrong thing is refused, each by its check (MS-SMB2 3.3.5.9.7, 3.3.5.9.12); and who
//! comes with the right one afterwards gets it as it was.

use smbgate::types::{FileId, Guid, LeaseKey, NtStatus};
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{
    CreateContext, DurableHandleReconnect, DurableHandleReconnectV2, DurableHandleRequest, Lease, LeaseFlags,
};
use smbgate::wire::lock::LockFlags;

use crate::client::{Client, Offer};
use crate::common::{OTHER, PASSWORD, Server, USER};
use crate::durable::{ended, v2, wait_until};
use crate::leases::{RWH, file, leased, state};
use crate::persistent::{asking, available, offer, returning};
use crate::restart::{EXCLUSIVE, lock};

const GUID: Guid = Guid([7; 16]);
const KEY: u8 = 1;
const GONE: NtStatus = NtStatus::OBJECT_NAME_NOT_FOUND;
const WRONG: NtStatus = NtStatus::INVALID_PARAMETER;

/// One who comes back.
#[derive(Clone)]
struct Comer {
    offer: Offer,
    user: &'static str,
    share: &'static str,
    request: CreateRequest<'static>,
}

impl Comer {
    fn asks(&self, server: &Server) -> (Client, Result<crate::client::Opened, NtStatus>) {
        let mut c = Client::ready(server.address, &self.offer, self.user, PASSWORD, self.share);
        let answer = c.create(&self.request);
        (c, answer)
    }

    fn with(&self, change: impl FnOnce(&mut Comer)) -> Comer {
        let mut comer = self.clone();
        change(&mut comer);
        comer
    }

    /// With these contexts.
    fn giving(&self, contexts: impl IntoIterator<Item = CreateContext<'static>>) -> Comer {
        self.with(|comer| comer.request.create_contexts = contexts.into_iter().collect())
    }
}

/// The connection is gone, and the server knows.
fn leave(server: &Server, c: Client) {
    let before = ended(server);
    drop(c);
    wait_until(|| ended(server) > before);
}

/// A handle with a lease and a lock, its client gone, is asked for in each of the wrong ways.
fn refusals(
    server: &Server,
    share: &'static str,
    asked: CreateContext<'static>,
    right: impl Fn(FileId) -> CreateContext<'static>,
    wrong: impl Fn(&Comer, FileId) -> Vec<(&'static str, Comer, NtStatus)>,
) {
    let mut request = leased(file("file"), KEY, RWH, None);
    request.create_contexts.push(asked);
    let owner = Comer { offer: offer(), user: USER, share, request };
    let (mut c, opened) = owner.asks(server);
    let opened = opened.unwrap();
    assert!(opened.durable.is_some());
    let file = opened.file_id;
    assert_eq!(c.call(&lock(file, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    let lease = owner.request.create_contexts[0].clone();
    let returns = owner.giving([lease, right(file)]);
    assert_eq!(returns.asks(server).1.err(), Some(GONE), "connection state");
    leave(server, c);

    for (what, comer, status) in wrong(&returns, file) {
        let mut refused = comer.asks(server).1.err();
        // Until all of the last one is cleaned up.
        wait_until(|| {
            let early = refused == Some(GONE) && status != GONE;
            if early {
                refused = comer.asks(server).1.err();
            }
            !early
        });
        assert_eq!(refused, Some(status), "{what}");
        let (mut c, mut back) = returns.asks(server);
        wait_until(|| {
            if back.is_err() {
                back = c.create(&returns.request);
            }
            back.is_ok()
        });
        let back = back.unwrap();
        assert_eq!((back.file_id.persistent, state(&back)), (file.persistent, RWH), "after {what}");
        let again = c.call(&lock(back.file_id, 0, EXCLUSIVE)).status();
        assert_eq!(again, NtStatus::LOCK_NOT_GRANTED, "after {what}: it has its lock");
        leave(server, c);
    }
    let (mut c, back) = returns.asks(server);
    let unlock = lock(back.unwrap().file_id, 0, LockFlags::UNLOCK);
    assert_eq!(c.call(&unlock).status(), NtStatus::SUCCESS);
}

fn first_version(key: u8) -> CreateContext<'static> {
    Lease::V1 { lease_key: LeaseKey([key; 16]), lease_state: RWH, lease_flags: LeaseFlags::empty() }
        .to_context()
}

fn second_version(key: u8) -> CreateContext<'static> {
    leased(file("file"), key, RWH, None).create_contexts.remove(0)
}

/// What both versions look at.
fn of_both(returns: &Comer, right: CreateContext<'static>) -> Vec<(&'static str, Comer, NtStatus)> {
    vec![
        ("share", returns.with(|comer| comer.share = "second"), GONE),
        ("lease client", returns.with(|comer| comer.offer.client_guid = Guid([0x55; 16])), GONE),
        ("name", returns.with(|comer| comer.request.name = "another".to_owned()), WRONG),
        ("no lease", returns.giving([right.clone()]), GONE),
        ("lease key", returns.giving([second_version(KEY + 1), right.clone()]), GONE),
        ("lease version", returns.giving([first_version(KEY), right]), GONE),
        ("security context", returns.with(|comer| comer.user = OTHER), NtStatus::ACCESS_DENIED),
    ]
}

#[test]
fn of_the_first_version() {
    let server = Server::start("signing = \"offered\"", &[("share", ""), ("second", "")]);
    server.add_user(OTHER);
    let right = |file_id| DurableHandleReconnect { file_id }.to_context();
    refusals(&server, "share", DurableHandleRequest.to_context(), right, |returns, file| {
        let mut wrong = of_both(returns, right(file));
        let unknown = FileId { persistent: file.persistent ^ 0x55, ..file };
        let second =
            DurableHandleReconnectV2 { file_id: file, create_guid: GUID, ..Default::default() }.to_context();
        wrong.push(("file id", returns.giving([second_version(KEY), right(unknown)]), GONE));
        let both = returns.giving([second_version(KEY), right(file), v2(GUID, 0)]);
        wrong.push(("with DH2Q", both, WRONG));
        wrong.push(("with DH2C", returns.giving([second_version(KEY), right(file), second]), WRONG));
        wrong
    });
}

#[test]
fn of_the_second_version() {
    let server = Server::start("signing = \"offered\"", &[("share", ""), ("second", "")]);
    server.add_user(OTHER);
    let right =
        |file_id| DurableHandleReconnectV2 { file_id, create_guid: GUID, ..Default::default() }.to_context();
    refusals(&server, "share", v2(GUID, 60_000), right, |returns, file| {
        let mut wrong = of_both(returns, right(file));
        let unknown = FileId { persistent: file.persistent ^ 0x55, ..file };
        let other =
            DurableHandleReconnectV2 { file_id: file, create_guid: Guid([8; 16]), ..Default::default() };
        let with = |context| returns.giving([second_version(KEY), context]);
        wrong.push(("file id", with(right(unknown)), GONE));
        wrong.push(("create guid", with(other.to_context()), GONE));
        wrong.push(("persistence asked for", with(returning(file, GUID)), WRONG));
        let both = returns.giving([second_version(KEY), right(file), DurableHandleRequest.to_context()]);
        wrong.push(("with DHnQ", both, WRONG));
        wrong
    });
}

#[test]
fn of_persistent_handles() {
    let server = available();
    server.add_user(OTHER);
    let right = |file_id| returning(file_id, GUID);
    refusals(&server, "share", asking(GUID), right, |returns, file| {
        let unasked =
            DurableHandleReconnectV2 { file_id: file, create_guid: GUID, ..Default::default() }.to_context();
        let unknown = FileId { persistent: file.persistent ^ 0x55, ..file };
        let with = |context| returns.giving([second_version(KEY), context]);
        let plain = Offer { client_guid: returns.offer.client_guid, ..Offer::default() };
        vec![
            ("persistence not asked for", with(unasked), GONE),
            ("create guid", with(returning(file, Guid([8; 16]))), GONE),
            // Who has not agreed on persistent handles has to know the id.
            ("by its guid", with(right(unknown)).with(|comer| comer.offer = plain), GONE),
            ("share", returns.with(|comer| comer.share = "plain"), GONE),
            ("security context", returns.with(|comer| comer.user = OTHER), NtStatus::ACCESS_DENIED),
        ]
    });
}
