//! MS-SMB2 3.3.5.16: what waits goes STATUS_PENDING, and can be cancelled.

use smbgate::types::{FileId, NtStatus};
use smbgate::wire::cancel::CancelRequest;
use smbgate::wire::change_notify::{ChangeNotifyRequest, CompletionFilter};
use smbgate::wire::header::HeaderFlags;
use smbgate::wire::lock::{LockElement, LockFlags, LockRequest};

use crate::client::Client;
use crate::common::Server;

fn watch(c: &mut Client, directory: FileId) -> u64 {
    c.send(&ChangeNotifyRequest {
        output_buffer_length: 1024,
        file_id: directory,
        completion_filter: CompletionFilter::FILE_NAME,
        ..ChangeNotifyRequest::default()
    })
}

/// Cancels by async id, or by message id where the interim answer is not known.
pub fn cancel(c: &mut Client, id: u64, by_async_id: bool) {
    let mut header = c.header(&CancelRequest);
    header.message_id.0 = id;
    header.credits = 0;
    if by_async_id {
        header.flags |= HeaderFlags::ASYNC;
        header.async_id = c.interim[&id];
    }
    c.send_as(&header, &CancelRequest);
}

#[test]
fn a_waiting_request_is_pending_and_can_be_cancelled() {
    let server = Server::plain();
    for (by_async_id, seal) in [(true, false), (false, false), (true, true)] {
        let mut c = server.client();
        c.seal = seal;
        let directory = c.make_directory("watched").unwrap();
        let id = watch(&mut c, directory);
        let interim = c.wait_interim(id);
        assert_eq!(interim.status(), NtStatus::PENDING);
        assert_ne!(interim.header.async_id.0, 0);
        assert_eq!(c.echo(), NtStatus::SUCCESS, "the connection goes on");
        cancel(&mut c, id, by_async_id);
        let reply = c.wait(id);
        assert_eq!(reply.status(), NtStatus::CANCELLED);
        assert_eq!(reply.header.async_id, interim.header.async_id);
        assert!(reply.header.flags.contains(HeaderFlags::ASYNC));
        assert_eq!(c.close(directory), NtStatus::SUCCESS);
    }
}

#[test]
fn cancelling_nothing_does_nothing() {
    let server = Server::plain();
    let mut c = server.client();
    cancel(&mut c, 77_777, false);
    assert_eq!(c.echo(), NtStatus::SUCCESS);
}

#[test]
fn closing_the_directory_ends_its_watch() {
    let server = Server::plain();
    let mut c = server.client();
    let directory = c.make_directory("watched").unwrap();
    let id = watch(&mut c, directory);
    c.wait_interim(id);
    assert_eq!(c.close(directory), NtStatus::SUCCESS);
    assert_eq!(c.wait(id).status(), NtStatus::NOTIFY_CLEANUP);
}

#[test]
fn what_waits_is_bounded() {
    let server = Server::plain();
    let mut c = server.client();
    c.target_credits = 1024;
    let directory = c.make_directory("watched").unwrap();
    let mut refused = 0;
    for _ in 0..600 {
        let id = watch(&mut c, directory);
        match c.wait_for(|r| r.header.message_id.0 == id).status() {
            NtStatus::PENDING => assert_eq!(refused, 0),
            NtStatus::INSUFFICIENT_RESOURCES => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused >= 600 - 512, "{refused} refused");
    assert_eq!(c.echo(), NtStatus::SUCCESS);
}

#[test]
fn a_cancel_right_behind_its_request_is_not_lost() {
    let server = Server::plain();
    let mut c = server.client();
    let directory = c.make_directory("watched").unwrap();
    for _ in 0..50 {
        let id = watch(&mut c, directory);
        cancel(&mut c, id, false);
        assert_eq!(c.wait(id).status(), NtStatus::CANCELLED);
    }
}

#[test]
fn a_lock_waits_until_the_range_is_free() {
    let server = Server::plain();
    let (mut a, mut b) = (server.client(), server.client());
    let held = a.make("file").unwrap();
    let wanted = b.open("file").unwrap();
    let lock = |file_id, flags| LockRequest {
        file_id,
        locks: smallvec::smallvec![LockElement { offset: 0, length: 8, flags }],
        ..LockRequest::default()
    };
    let exclusive = LockFlags::EXCLUSIVE_LOCK;
    assert_eq!(a.call(&lock(held, exclusive)).status(), NtStatus::SUCCESS);
    let at_once = lock(wanted, exclusive | LockFlags::FAIL_IMMEDIATELY);
    assert_eq!(b.call(&at_once).status(), NtStatus::LOCK_NOT_GRANTED);

    // Given up: it is not granted to somebody who no longer wants it.
    let id = b.send(&lock(wanted, exclusive));
    b.wait_interim(id);
    cancel(&mut b, id, true);
    assert_eq!(b.wait(id).status(), NtStatus::CANCELLED);

    let id = b.send(&lock(wanted, exclusive));
    b.wait_interim(id);
    assert_eq!(a.call(&lock(held, LockFlags::UNLOCK)).status(), NtStatus::SUCCESS);
    assert_eq!(b.wait(id).status(), NtStatus::SUCCESS);
    assert_eq!(
        a.call(&lock(held, exclusive | LockFlags::FAIL_IMMEDIATELY)).status(),
        NtStatus::LOCK_NOT_GRANTED
    );
    assert_eq!(b.close(wanted), NtStatus::SUCCESS);
    assert_eq!(a.call(&lock(held, exclusive)).status(), NtStatus::SUCCESS);
}
