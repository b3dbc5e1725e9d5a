//! Resilient handles (MS-SMB2 3.3.5.15.9), and applications that take their files to another machine (3.3.5.9.13).

use smbgate::types::{
    AccessMask, CreateDisposition, CreateOptions, Dialect, FileId, Guid, NtStatus, OplockLevel, ShareAccess,
};
use smbgate::wire::codec::Writer;
use smbgate::wire::create::CreateRequest;
use smbgate::wire::create_context::{AppInstanceId, AppInstanceVersion};
use smbgate::wire::ioctl::{CtlCode, NetworkResiliencyRequest};
use smbgate::wire::lock::LockFlags;

use crate::client::{Client, Offer, create};
use crate::common::Server;
use crate::durable::{back_v1, keeping, returns, v2, wait_until};
use crate::leases::{NONE, RWH, leased, state};
use crate::restart::{EXCLUSIVE, lock};

const MINUTE: u32 = 60_000;
const VIOLATION: Option<NtStatus> = Some(NtStatus::SHARING_VIOLATION);

fn resilient(c: &mut Client, file: FileId, timeout: u32) -> Result<Vec<u8>, NtStatus> {
    let mut input = Vec::new();
    NetworkResiliencyRequest { timeout }.encode(&mut Writer::new(&mut input));
    c.ioctl(CtlCode::LMR_REQUEST_RESILIENCY, file, &input)
}

/// An open that shares nothing and caches nothing.
fn exclusive(name: &str) -> CreateRequest<'static> {
    let access = AccessMask::FILE_READ | AccessMask::FILE_WRITE;
    let request = create(name, access, CreateDisposition::OPEN_IF, CreateOptions::NON_DIRECTORY_FILE);
    CreateRequest { share_access: ShareAccess::empty(), ..request }
}

#[test]
fn it_waits_for_its_client_whoever_wants_the_file() {
    for (offer, crash) in [(Offer::dialect(Dialect::SMB2_10), false), (Offer::default(), true)] {
        let mut server = Server::plain();
        let mut c = server.client_with(&offer);
        let file = c.create(&exclusive("file")).unwrap().file_id;
        assert_eq!(resilient(&mut c, file, MINUTE), Ok(vec![]));
        assert_eq!(c.write(file, 0, b"before the cut"), Ok(14));
        assert_eq!(c.call(&lock(file, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
        drop(c);
        wait_until(|| server.log().contains("connection closed:"));
        let mut other = server.client();
        assert_eq!(other.create(&exclusive("file")).err(), VIOLATION);
        if crash {
            // As after any change, its record is on disk a moment later.
            server.restart();
            assert_eq!(server.client().create(&exclusive("file")).err(), VIOLATION);
        }
        let mut c = server.client_with(&offer);
        let back = returns(&mut c, &back_v1(file));
        assert_eq!((back.file_id.persistent, back.end_of_file), (file.persistent, 14));
        assert_eq!(c.read(back.file_id, 0, 14).unwrap(), b"before the cut");
        assert_eq!(c.close(back.file_id), NtStatus::SUCCESS);
        assert!(server.client().create(&exclusive("file")).is_ok(), "and it ends with its close");
    }
}

/// As Linux does: the lease is asked for again, though there was none.
#[test]
fn a_share_without_leases_does_not_hear_who_asks_for_one() {
    let mut server = Server::start("signing = \"offered\"", &[("share", "leases = false")]);
    let offer = Offer::default();
    let mut c = server.client_with(&offer);
    let opened = c.create(&leased(exclusive("file"), 1, RWH, None)).unwrap();
    assert_eq!((state(&opened), opened.oplock), (NONE, OplockLevel::NONE));
    assert_eq!(resilient(&mut c, opened.file_id, MINUTE), Ok(vec![]));
    assert_eq!(c.call(&lock(opened.file_id, 0, EXCLUSIVE)).status(), NtStatus::SUCCESS);
    server.restart();
    let mut c = server.client_with(&offer);
    let mut again = leased(exclusive("file"), 1, RWH, None);
    again.create_contexts.extend(back_v1(opened.file_id).create_contexts);
    let back = c.create(&again).unwrap();
    assert_eq!((back.file_id.persistent, back.oplock), (opened.file_id.persistent, OplockLevel::NONE));
    assert_eq!(c.call(&lock(back.file_id, 0, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS);
}

#[test]
fn it_ends_in_its_time() {
    let server = Server::plain();
    let mut c = server.client();
    let file = c.create(&exclusive("file")).unwrap().file_id;
    assert_eq!(resilient(&mut c, file, 50), Ok(vec![]));
    drop(c);
    wait_until(|| server.log().contains("was not claimed in time"));
    assert!(server.client().create(&exclusive("file")).is_ok());
}

#[test]
fn what_is_not_asked_for_rightly_is_not_resilient() {
    let server =
        Server::start("signing = \"offered\"", &[("share", ""), ("never", "durable_timeout = \"0s\"")]);
    let mut c = server.client();
    let file = c.create(&exclusive("file")).unwrap().file_id;
    assert_eq!(resilient(&mut c, file, 300_001), Err(NtStatus::INVALID_PARAMETER));
    let short = c.ioctl(CtlCode::LMR_REQUEST_RESILIENCY, file, &[0; 7]);
    assert_eq!(short, Err(NtStatus::INVALID_PARAMETER));
    c.tree_connect("never").unwrap();
    let file = c.create(&exclusive("file")).unwrap().file_id;
    assert_eq!(resilient(&mut c, file, 0), Err(NtStatus::NOT_SUPPORTED));
    let mut old = server.client_with(&Offer::dialect(Dialect::SMB2_02));
    let file = old.create(&exclusive("old")).unwrap().file_id;
    assert_eq!(resilient(&mut old, file, 0), Err(NtStatus::INVALID_DEVICE_REQUEST));
}

/// An open of the application's, durable and shared with nobody.
fn of_application(guid: u8, version: Option<(u64, u64)>) -> CreateRequest<'static> {
    let mut request = keeping("disk", v2(Guid([guid; 16]), MINUTE));
    request.create_contexts.push(AppInstanceId { app_instance_id: Guid([5; 16]) }.to_context());
    if let Some((app_instance_version_high, app_instance_version_low)) = version {
        let version = AppInstanceVersion { app_instance_version_high, app_instance_version_low };
        request.create_contexts.push(version.to_context());
    }
    request
}

#[test]
fn an_application_takes_its_files_to_another_machine() {
    let mut server = Server::plain();
    let offers = [Offer::default(), Offer::default(), Offer::default()];
    let mut a = server.client_with(&offers[0]);
    let first = a.create(&of_application(1, None)).unwrap().file_id;
    let mut b = server.client_with(&offers[1]);
    let second = b.create(&of_application(3, Some((1, 1)))).unwrap();
    assert_eq!(second.oplock, OplockLevel::BATCH);
    assert_eq!(a.close(first), NtStatus::FILE_CLOSED, "nobody asked for it, and it is closed");

    // From here on it has versions: who is not after the last one comes too late.
    let late = Some(NtStatus::FILE_FORCED_CLOSED);
    for version in [None, Some((1, 1)), Some((1, 0)), Some((0, 9))] {
        assert_eq!(a.create(&of_application(4, version)).err(), late, "{version:?}");
    }
    // Lost, or known only from the last life of the server: all the same.
    drop(b);
    server.restart();
    let mut c = server.client_with(&offers[2]);
    assert_eq!(c.create(&of_application(4, Some((1, 1)))).err(), late);
    let third = c.create(&of_application(5, Some((1, 2)))).unwrap().file_id;
    assert_eq!(c.write(third, 0, b"here"), Ok(4));
    let mut b = server.client_with(&offers[1]);
    let gone = b.create(&crate::durable::back_v2(second.file_id, Guid([3; 16]))).err();
    assert_eq!(gone, Some(NtStatus::OBJECT_NAME_NOT_FOUND));
}
