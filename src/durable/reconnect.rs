//! Whether a client that comes back gets its handle: one check after the other, in the order of MS-SMB2 3.3.5.9.7 (DHnC)
//! and 3.3.5.9.12 (DH2C). The first that fails says with which status; the handle stays as it was.
//!
//! One deviation: a handle of the last server comes back even if its batch oplock or its lease on the handle could not be
//! had again, or goes because others changed the file meanwhile. Nobody was there to tell its client, who would lose with the handle
//! the locks that he has not sent yet (Linux); while it waits it is in nobody's way (`Table::give_way`).

use crate::fsa::expression::same_name;
use crate::types::{Guid, LeaseKey, NtStatus};

/// A handle, as far as the checks look at it.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Open.IsDurable.
    pub durable: bool,
    /// Open.IsPersistent.
    pub persistent: bool,
    /// Open.Session is not NULL.
    pub connected: bool,
    /// Open.DurableOpenTimeout has passed, and nobody has closed it yet.
    pub expired: bool,
    /// It has a batch oplock or a lease on the handle, or needs none: it is persistent, or resilient, or of the last server.
    pub kept: bool,
    /// Open.ClientGuid.
    pub client: Guid,
    /// Open.CreateGuid. Zeros: none.
    pub create_guid: Guid,
    /// Open.DurableOwner.
    pub owner: String,
    pub share: String,
    pub lease: Option<Lease>,
}

/// Open.Lease.
#[derive(Clone, Debug)]
pub struct Lease {
    pub key: LeaseKey,
    /// Lease.Version is 2.
    pub v2: bool,
    /// Lease.FileName, as clients write it. None: it is not looked at (Lease.FileDeleteOnClose).
    pub name: Option<String>,
}

/// Who comes back, and with what.
#[derive(Clone, Debug)]
pub struct Ask {
    /// DH2C: CreateGuid, and whether SMB2_DHANDLE_FLAG_PERSISTENT is set. None: DHnC.
    pub v2: Option<(Guid, bool)>,
    /// TreeConnect.Share.IsCA, and SMB2_GLOBAL_CAP_PERSISTENT_HANDLES was agreed on: who asks for persistence may come
    /// by the CreateGuid alone.
    pub available: bool,
    pub client: Guid,
    /// None: a guest.
    pub user: Option<String>,
    pub share: String,
    /// The file's name in the request.
    pub name: String,
    /// The key of the lease context that came with it, and whether that is of version 2.
    pub lease: Option<(LeaseKey, bool)>,
    /// The share grants any. Where it does not, who asks for one is not heard, now as when he opened the file.
    pub leases: bool,
}

type Checked = Result<(), NtStatus>;
type Check = fn(&Handle, &Ask) -> Checked;

/// Of 3.3.5.9.7, in order, but for the name, at which Windows looks later. (Share and expiry are our own.)
pub const V1: [(&str, Check); 11] = [
    ("share", share),
    ("lease client", lease_client),
    ("lease on both sides", lease_on_both_sides),
    ("what keeps the handle", kept),
    ("durable", durable),
    ("connection state", not_connected),
    ("expiry", not_expired),
    ("lease key", lease_key),
    ("lease version", lease_version),
    ("name", name),
    ("security context", owner),
];

/// Of 3.3.5.9.12, in order.
pub const V2: [(&str, Check); 14] = [
    ("share", share),
    ("lease client", lease_client),
    ("persistence not asked for", persistence_not_asked),
    ("create guid", create_guid),
    ("durable", durable),
    ("connection state", not_connected),
    ("expiry", not_expired),
    ("lease on both sides", lease_on_both_sides),
    ("what keeps the handle", kept),
    ("lease key", lease_key),
    ("lease version", lease_version),
    ("name", name),
    ("persistence asked for", persistence_asked),
    ("security context", owner),
];

/// Every check. Err: which one refuses it, and how.
pub fn check(handle: &Handle, ask: &Ask) -> Result<(), (&'static str, NtStatus)> {
    let checks: &[_] = if ask.v2.is_some() { &V2 } else { &V1 };
    checks.iter().try_for_each(|(what, check)| check(handle, ask).map_err(|status| (*what, status)))
}

fn found(yes: bool) -> Checked {
    if yes { Ok(()) } else { Err(NtStatus::OBJECT_NAME_NOT_FOUND) }
}

/// A handle of another share is none that this tree connect knows.
fn share(handle: &Handle, ask: &Ask) -> Checked {
    found(handle.share.eq_ignore_ascii_case(&ask.share))
}

/// Lease keys mean something within one client only.
fn lease_client(handle: &Handle, ask: &Ask) -> Checked {
    found(handle.lease.is_none() || handle.client == ask.client)
}

fn persistence_asked(handle: &Handle, ask: &Ask) -> Checked {
    match ask.v2 {
        Some((_, true)) if !handle.persistent => Err(NtStatus::INVALID_PARAMETER),
        _ => Ok(()),
    }
}

fn persistence_not_asked(handle: &Handle, ask: &Ask) -> Checked {
    found(!handle.persistent || !matches!(ask.v2, Some((_, false))))
}

/// Who comes back with DH2C has the CreateGuid, if there was one. DHnC has none; Windows takes it all the same.
fn create_guid(handle: &Handle, ask: &Ask) -> Checked {
    found(ask.v2.is_none_or(|(given, _)| given == handle.create_guid))
}

fn durable(handle: &Handle, _: &Ask) -> Checked {
    found(handle.durable)
}

/// Nobody takes a handle away from a session that has it.
fn not_connected(handle: &Handle, _: &Ask) -> Checked {
    found(!handle.connected)
}

fn not_expired(handle: &Handle, _: &Ask) -> Checked {
    found(!handle.expired)
}

/// Open.IsDurable, and neither Open.OplockLevel is BATCH nor has Open.Lease.LeaseState HANDLE_CACHING.
fn kept(handle: &Handle, _: &Ask) -> Checked {
    found(handle.kept)
}

fn lease_on_both_sides(handle: &Handle, ask: &Ask) -> Checked {
    match (&handle.lease, ask.lease) {
        (None, Some(_)) => found(!ask.leases),
        (held, asked) => found(held.is_some() == asked.is_some()),
    }
}

fn lease_key(handle: &Handle, ask: &Ask) -> Checked {
    match (&handle.lease, ask.lease) {
        (Some(held), Some((key, _))) => found(held.key == key),
        _ => Ok(()),
    }
}

fn lease_version(handle: &Handle, ask: &Ask) -> Checked {
    match (&handle.lease, ask.lease) {
        (Some(held), Some((_, v2))) => found(held.v2 == v2),
        _ => Ok(()),
    }
}

/// Only a lease ties a handle to its name.
fn name(handle: &Handle, ask: &Ask) -> Checked {
    match handle.lease.as_ref().and_then(|lease| lease.name.as_ref()) {
        Some(name) if !same_name(name, &ask.name) => Err(NtStatus::INVALID_PARAMETER),
        _ => Ok(()),
    }
}

/// Open.DurableOwner.
fn owner(handle: &Handle, ask: &Ask) -> Checked {
    match &ask.user {
        Some(user) if user.eq_ignore_ascii_case(&handle.owner) => Ok(()),
        _ => Err(NtStatus::ACCESS_DENIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Guid = Guid([1; 16]);
    const OTHER: Guid = Guid([2; 16]);
    const GUID: Guid = Guid([3; 16]);
    const KEY: LeaseKey = LeaseKey([4; 16]);
    const GONE: Result<(), NtStatus> = Err(NtStatus::OBJECT_NAME_NOT_FOUND);

    fn handle() -> Handle {
        Handle {
            durable: true,
            persistent: false,
            connected: false,
            expired: false,
            kept: true,
            client: CLIENT,
            create_guid: GUID,
            owner: "alice".into(),
            share: "media".into(),
            lease: None,
        }
    }

    fn leased() -> Handle {
        Handle { lease: Some(Lease { key: KEY, v2: true, name: Some("a.txt".into()) }), ..handle() }
    }

    fn ask() -> Ask {
        Ask {
            v2: Some((GUID, false)),
            available: false,
            client: CLIENT,
            user: Some("alice".into()),
            share: "media".into(),
            name: "a.txt".into(),
            lease: None,
            leases: true,
        }
    }

    fn with_lease() -> Ask {
        Ask { lease: Some((KEY, true)), ..ask() }
    }

    #[test]
    fn the_right_client_gets_the_right_handle() {
        assert_eq!(check(&handle(), &ask()), Ok(()));
        assert_eq!(check(&leased(), &with_lease()), Ok(()));
        let old = Handle { create_guid: Guid::default(), ..handle() };
        assert_eq!(check(&old, &Ask { v2: None, ..ask() }), Ok(()));
        // As Windows has it: without a lease neither the client nor the name is looked at.
        let elsewhere = Ask { client: OTHER, name: "b.txt".into(), ..ask() };
        assert_eq!(check(&handle(), &elsewhere), Ok(()));
        // A handle without a CreateGuid comes back by DH2C with an empty one, too.
        assert_eq!(check(&old, &Ask { v2: Some((Guid::default(), false)), ..ask() }), Ok(()));
    }

    #[test]
    fn another_share() {
        assert_eq!(share(&handle(), &Ask { share: "Media".into(), ..ask() }), Ok(()));
        assert_eq!(share(&handle(), &Ask { share: "other".into(), ..ask() }), GONE);
    }

    #[test]
    fn the_lease_of_another_client() {
        assert_eq!(lease_client(&leased(), &with_lease()), Ok(()));
        assert_eq!(lease_client(&leased(), &Ask { client: OTHER, ..with_lease() }), GONE);
        assert_eq!(lease_client(&handle(), &Ask { client: OTHER, ..ask() }), Ok(()));
    }

    #[test]
    fn persistence_is_what_both_say_or_neither() {
        let persistent = Handle { persistent: true, ..handle() };
        let asks = Ask { v2: Some((GUID, true)), ..ask() };
        assert_eq!(persistence_asked(&handle(), &asks), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(persistence_asked(&handle(), &Ask { v2: None, ..ask() }), Ok(()));
        assert_eq!(persistence_asked(&persistent, &asks), Ok(()));
        assert_eq!(persistence_not_asked(&persistent, &ask()), GONE);
        assert_eq!(persistence_not_asked(&handle(), &ask()), Ok(()));
    }

    #[test]
    fn another_create_guid() {
        assert_eq!(create_guid(&handle(), &Ask { v2: Some((OTHER, false)), ..ask() }), GONE);
        assert_eq!(create_guid(&handle(), &Ask { v2: Some((Guid::default(), false)), ..ask() }), GONE);
        assert_eq!(create_guid(&handle(), &Ask { v2: None, ..ask() }), Ok(()));
    }

    #[test]
    fn an_open_that_is_not_durable() {
        assert_eq!(durable(&Handle { durable: false, ..handle() }, &ask()), GONE);
    }

    #[test]
    fn a_handle_in_use() {
        assert_eq!(not_connected(&Handle { connected: true, ..handle() }, &ask()), GONE);
    }

    #[test]
    fn a_handle_whose_time_is_up() {
        assert_eq!(not_expired(&Handle { expired: true, ..handle() }, &ask()), GONE);
    }

    #[test]
    fn a_handle_that_has_lost_what_kept_it() {
        assert_eq!(kept(&Handle { kept: false, ..handle() }, &ask()), GONE);
        let lost = Handle { kept: false, ..leased() };
        for v2 in [None, Some((GUID, false))] {
            let refused = check(&lost, &Ask { v2, ..with_lease() });
            assert_eq!(refused.map_err(|(what, _)| what), Err("what keeps the handle"));
        }
    }

    #[test]
    fn a_lease_on_one_side_only() {
        assert_eq!(lease_on_both_sides(&leased(), &ask()), GONE);
        assert_eq!(lease_on_both_sides(&handle(), &with_lease()), GONE);
        let not_granted_here = Ask { leases: false, ..with_lease() };
        assert_eq!(lease_on_both_sides(&handle(), &not_granted_here), Ok(()));
        assert_eq!(lease_on_both_sides(&leased(), &not_granted_here), Ok(()), "from before a reload");
    }

    #[test]
    fn another_lease_key() {
        assert_eq!(lease_key(&leased(), &Ask { lease: Some((LeaseKey([9; 16]), true)), ..ask() }), GONE);
    }

    #[test]
    fn a_lease_of_another_version() {
        assert_eq!(lease_version(&leased(), &Ask { lease: Some((KEY, false)), ..ask() }), GONE);
    }

    #[test]
    fn another_name_under_a_lease() {
        let other = Ask { name: "b.txt".into(), ..with_lease() };
        assert_eq!(name(&leased(), &other), Err(NtStatus::INVALID_PARAMETER));
        let nameless = Handle { lease: Some(Lease { key: KEY, v2: true, name: None }), ..handle() };
        assert_eq!(name(&nameless, &other), Ok(()));
    }

    #[test]
    fn another_user_or_a_guest() {
        let denied = Err(NtStatus::ACCESS_DENIED);
        assert_eq!(owner(&handle(), &Ask { user: Some("ALICE".into()), ..ask() }), Ok(()));
        assert_eq!(owner(&handle(), &Ask { user: Some("bob".into()), ..ask() }), denied);
        assert_eq!(owner(&handle(), &Ask { user: None, ..ask() }), denied);
    }

    #[test]
    fn the_first_check_that_fails_decides() {
        let bob = Ask { user: Some("bob".into()), ..ask() };
        let in_use = Handle { connected: true, ..handle() };
        assert_eq!(check(&in_use, &bob), Err(("connection state", NtStatus::OBJECT_NAME_NOT_FOUND)));
        assert_eq!(check(&handle(), &bob), Err(("security context", NtStatus::ACCESS_DENIED)));
        // The name is looked at late, with a CreateGuid or without.
        for v2 in [None, Some((GUID, false))] {
            let name = Ask { name: "b.txt".into(), v2, ..with_lease() };
            assert_eq!(check(&leased(), &name), Err(("name", NtStatus::INVALID_PARAMETER)));
            let none = Ask { lease: None, ..name };
            assert_eq!(check(&leased(), &none).map_err(|(what, _)| what), Err("lease on both sides"));
        }
    }
}
