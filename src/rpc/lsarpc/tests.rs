//! Calls as clients send them, answers byte by byte.

use crate::auth::accounts::NoAccounts;
use crate::rpc::Context;
use crate::rpc::ndr::NdrReader;
use crate::rpc::pdu::Fault;
use crate::rpc::tests::{Client, context, hex, status, with};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;
use proptest::prelude::*;
use std::sync::Arc;

const LSARPC: &str = "7857341234 12cdabef000123456789ab 00000000";
const DSSETUP: &str = "6a2819390cb1d0119ba800c04fd92ef5 00000000";

/// The client, and its policy handle.
fn policy(context: Context) -> (Client, Vec<u8>) {
    let mut client = Client::bound_to("lsarpc", LSARPC, context);
    // No name; object attributes of 24 bytes that say nothing; MAXIMUM_ALLOWED.
    let stub =
        client.call(44, hex("00000000 18000000 00000000 00000000 00000000 00000000 00000000 00000002"));
    let stub = stub.unwrap();
    assert_eq!(status(&stub), NtStatus::SUCCESS);
    (client, stub[..20].to_vec())
}

fn sids(handle: &[u8], sids: &[&str]) -> Vec<u8> {
    with(handle, |w| {
        w.counted_array(sids.iter(), |w, sid| w.sid_pointer(Some(&sid.parse().unwrap())));
        w.pointees();
        // No names yet, LsapLookupWksta, none mapped.
        [0, 0, 1, 0].into_iter().for_each(|v| w.u32(v));
    })
}

fn names(handle: &[u8], names: &[&str]) -> Vec<u8> {
    with(handle, |w| {
        w.u32(names.len() as u32);
        w.u32(names.len() as u32);
        names.iter().for_each(|name| w.unicode(name));
        w.pointees();
        [0, 0, 1, 0].into_iter().for_each(|v| w.u32(v));
    })
}

#[test]
fn a_sid_is_answered_with_its_domain_and_name() {
    let (mut client, handle) = policy(context());
    let stub = client.call(15, sids(&handle, &["S-1-22-1-1000"])).unwrap();
    let expected = hex("
        00000200 01000000 04000200 01000000  01000000
        0600 0600 08000200 0c000200
        03000000 00000000 03000000 4e00 4100 5300 0000
        01000000 01 01 000000000016 01000000
        01000000 10000200  01000000
        0100 0000 0a00 0a00 14000200 00000000
        05000000 00000000 05000000 6100 6c00 6900 6300 6500 0000
        01000000 00000000");
    assert_eq!(stub, expected);
    // The later form has flags.
    let stub = client.call(57, sids(&handle, &["S-1-22-1-1000"])).unwrap();
    assert_eq!(stub.len(), expected.len() + 4);
}

#[test]
fn what_has_no_name_is_told_as_it_is() {
    let (mut client, handle) = policy(context());
    let stub = client.call(15, sids(&handle, &["S-1-9-7", "S-1-1-0"])).unwrap();
    assert_eq!(status(&stub), NtStatus::SOME_NOT_MAPPED);
    let found = hex("
        0800 0000 0e00 0e00 10000200 ffffffff
        0500 0000 1000 1000 14000200 00000000
        07000000 00000000 07000000 5300 2d00 3100 2d00 3900 2d00 3700 0000
        08000000 00000000 08000000 4500 7600 6500 7200 7900 6f00 6e00 6500
        01000000 07010000");
    assert_eq!(stub[stub.len() - found.len()..], found);
    let stub = client.call(15, sids(&handle, &["S-1-9-7"])).unwrap();
    assert_eq!(status(&stub), NtStatus::NONE_MAPPED);
    assert_eq!(stub[..16], hex("00000200 00000000 00000000 00000000"), "no domains");
}

#[test]
fn a_name_is_answered_by_rid_or_by_sid() {
    let (mut client, handle) = policy(context());
    let asked = ["alice", "mallory", "Everyone"];
    let stub = client.call(14, names(&handle, &asked)).unwrap();
    let found = hex("
        03000000 14000200 03000000
        0100 0000 e8030000 00000000
        0800 0000 00000000 ffffffff
        0500 0000 00000000 01000000
        02000000 07010000");
    assert_eq!(stub[stub.len() - found.len()..], found);

    let stub = client.call(58, names(&handle, &asked)).unwrap();
    let found = hex("
        0100 0000 e8030000 00000000 00000000
        0800 0000 00000000 ffffffff 00000000
        0500 0000 00000000 01000000 00000000
        02000000 07010000");
    assert_eq!(stub[stub.len() - found.len()..], found);

    for (opnum, handle) in [(68, &handle[..]), (77, &[])] {
        let arguments =
            if handle.is_empty() { names(&[0; 20], &asked)[20..].to_vec() } else { names(handle, &asked) };
        let stub = client.call(opnum, arguments).unwrap();
        let found = hex("
            0100 0000 18000200 00000000 00000000
            0800 0000 00000000 ffffffff 00000000
            0500 0000 1c000200 01000000 00000000
            02000000 0102 0000 00000016 01000000 e8030000
            01000000 0101 0000 00000001 00000000
            02000000 07010000");
        assert_eq!(stub[stub.len() - found.len()..], found, "{opnum}");
    }
}

#[test]
fn as_many_as_the_interface_allows_and_no_more() {
    let (mut client, handle) = policy(context());
    let stub = client.call(14, names(&handle, &vec!["alice"; 1000])).unwrap();
    assert_eq!(status(&stub), NtStatus::SUCCESS);
    assert_eq!(client.call(14, names(&handle, &vec!["alice"; 1001])), Err(Fault::BAD_STUB_DATA));
    assert_eq!(status(&client.call(15, sids(&handle, &[])).unwrap()), NtStatus::SUCCESS);
}

#[test]
fn the_domain_of_accounts_is_the_server_and_the_primary_one_the_workgroup() {
    let (mut client, handle) = policy(context());
    for opnum in [7, 46] {
        let stub = client.call(opnum, with(&handle, |w| w.u16(5))).unwrap();
        assert_eq!(
            stub,
            hex("00000200 0500 0000 0600 0600 04000200 08000200
            03000000 00000000 03000000 4e00 4100 5300 0000
            01000000 01 01 000000000016 01000000 00000000")
        );
    }
    let stub = client.call(7, with(&handle, |w| w.u16(3))).unwrap();
    assert_eq!(stub[..20], hex("00000200 0300 0000 1200 1200 04000200 00000000"));
    assert_eq!(
        client.call(7, with(&handle, |w| w.u16(6))).unwrap(),
        hex("00000200 0600 0000 0300 0000 00000000")
    );
    let stub = client.call(7, with(&handle, |w| w.u16(12))).unwrap();
    assert_eq!(status(&stub), NtStatus::SUCCESS);
    assert_eq!(client.call(7, with(&handle, |w| w.u16(2))).unwrap(), hex("00000000 220000c0"));
    // A descriptor by its DACL alone: users may read.
    assert_eq!(
        client.call(3, with(&handle, |w| w.u32(4))).unwrap(),
        hex("00000200 30000000 04000200 30000000
             01 00 0480 00000000 00000000 00000000 14000000
             0200 1c00 01000000 0000 1400 07080200 01 01 000000000005 0b000000 00000000")
    );
    assert_eq!(client.call(3, with(&handle, |w| w.u32(8))).unwrap(), hex("00000000 220000c0"));
    assert_eq!(client.call(7, with(&handle, |w| w.u16(77))).unwrap(), hex("00000000 0d0000c0"));
}

#[test]
fn privileges_have_names_and_administrators_have_them() {
    let (mut client, handle) = policy(context());
    let name = |name: &'static str| {
        with(&handle, move |w| {
            w.unicode(name);
            w.pointees();
        })
    };
    assert_eq!(client.call(31, name("SeRestorePrivilege")).unwrap(), hex("12000000 00000000 00000000"));
    assert_eq!(client.call(31, name("SeNothing")).unwrap(), hex("00000000 00000000 600000c0"));
    let stub = client
        .call(
            32,
            with(&handle, |w| {
                w.u32(18);
                w.u32(0);
            }),
        )
        .unwrap();
    let mut r = NdrReader::new(&stub);
    assert_eq!((r.pointer(), r.unicode().as_deref()), (Ok(true), Ok("SeRestorePrivilege")));
    assert_eq!(status(&client.call(33, name("SeBackupPrivilege")).unwrap()), NtStatus::SUCCESS);

    let rights = |client: &mut Client, sid: Sid| {
        let stub = client.call(36, with(&handle, |w| w.sid(&sid))).unwrap();
        let mut r = NdrReader::new(&stub);
        let count = r.u32().unwrap();
        let names = if r.pointer().unwrap() {
            let count = r.conformant(count, 99).unwrap();
            r.unicodes(count).unwrap()
        } else {
            Vec::new()
        };
        (names, status(&stub))
    };
    assert_eq!(rights(&mut client, Sid::unix_user(1000)), (vec![], NtStatus::OBJECT_NAME_NOT_FOUND));
    let (names, said) = rights(&mut client, Sid::BUILTIN_ADMINISTRATORS);
    assert_eq!(said, NtStatus::SUCCESS);
    assert_eq!(
        names,
        ["SeSecurityPrivilege", "SeTakeOwnershipPrivilege", "SeBackupPrivilege", "SeRestorePrivilege"]
    );

    // All of them, and none after them.
    let enumerate = |client: &mut Client, opnum, from: u32| {
        let stub = client
            .call(
                opnum,
                with(&handle, |w| {
                    w.u32(from);
                    w.u32(u32::MAX);
                }),
            )
            .unwrap();
        (u32::from_le_bytes(stub[..4].try_into().unwrap()), status(&stub))
    };
    for opnum in [2, 11] {
        let (next, said) = enumerate(&mut client, opnum, 0);
        assert_eq!(said, NtStatus::SUCCESS);
        assert_eq!(enumerate(&mut client, opnum, next), (next, NtStatus::NO_MORE_ENTRIES));
    }
    assert_eq!(enumerate(&mut client, 13, 0).1, NtStatus::NO_MORE_ENTRIES, "no trusts");

    let open = |client: &mut Client, sid: Sid| {
        let stub = client
            .call(
                17,
                with(&handle, |w| {
                    w.sid(&sid);
                    w.u32(1);
                }),
            )
            .unwrap();
        (stub[..20].to_vec(), status(&stub))
    };
    assert_eq!(open(&mut client, Sid::EVERYONE), (vec![0; 20], NtStatus::OBJECT_NAME_NOT_FOUND));
    let (account, said) = open(&mut client, Sid::BUILTIN_ADMINISTRATORS);
    assert_eq!(said, NtStatus::SUCCESS);
    let stub = client.call(18, account.clone()).unwrap();
    assert_eq!(stub[..28], hex("00000200 04000000 04000000 00000000 08000000 00000000 03000000"));
    assert_eq!(client.call(18, handle.clone()), Err(Fault::CONTEXT_MISMATCH), "no account");
    assert_eq!(client.call(7, account), Err(Fault::CONTEXT_MISMATCH), "no policy");
}

#[test]
fn who_asks_is_told_who_he_is() {
    let mut client = Client::bound_to("lsarpc", LSARPC, context());
    // No server, no user; a domain is wanted.
    let stub = client.call(45, hex("00000000 00000000 01000000 00000000")).unwrap();
    let mut r = NdrReader::new(&stub);
    assert_eq!((r.pointer(), r.unicode().as_deref()), (Ok(true), Ok("alice")));
    assert_eq!((r.pointer(), r.pointer(), r.unicode().as_deref()), (Ok(true), Ok(true), Ok("NAS")));
    assert_eq!(r.u32(), Ok(0));
    let stub = client.call(45, hex("00000000 00000000 00000000")).unwrap();
    assert_eq!(stub[stub.len() - 8..], [0; 8], "no domain, success");
}

#[test]
fn guests_and_lost_handles_get_nothing() {
    let guest = Context { authenticated: false, accounts: Arc::new(NoAccounts), ..context() };
    let mut client = Client::bound_to("lsarpc", LSARPC, guest);
    let stub = client
        .call(6, hex("00000000 18000000 00000000 00000000 00000000 00000000 00000000 00000002"))
        .unwrap();
    assert_eq!(stub, [vec![0; 20], hex("220000c0")].concat());
    assert_eq!(client.call(76, vec![0; 16]), Err(Fault::ACCESS_DENIED));

    let (mut client, handle) = policy(context());
    assert_eq!(client.call(0, handle.clone()).unwrap(), [0; 24]);
    assert_eq!(client.call(0, handle.clone()), Err(Fault::CONTEXT_MISMATCH));
    assert_eq!(client.call(15, sids(&handle, &["S-1-1-0"])), Err(Fault::CONTEXT_MISMATCH));
}

#[test]
fn what_changes_something_is_refused() {
    let (mut client, handle) = policy(context());
    for opnum in [8, 10, 16, 19, 37, 38, 47] {
        assert_eq!(client.call(opnum, handle.clone()), Err(Fault::ACCESS_DENIED), "{opnum}");
    }
    for opnum in [5, 9, 78, 500] {
        assert_eq!(client.call(opnum, handle.clone()), Err(Fault::OP_RNG_ERROR), "{opnum}");
    }
}

#[test]
fn the_machine_is_a_server_that_stands_alone() {
    let mut client = Client::bound_to("lsarpc", DSSETUP, context());
    let stub = client.call(0, hex("0100")).unwrap();
    assert_eq!(stub[..12], hex("00000200 0100 0000 0200 0000"));
    assert_eq!(status(&stub), NtStatus::SUCCESS);
    assert_eq!(client.call(0, hex("0400")).unwrap(), hex("00000000 57000000"));
    assert_eq!(client.call(3, vec![]), Err(Fault::ACCESS_DENIED));
}

proptest! {
    #[test]
    fn any_arguments_are_answered(
        opnum in 0u16..80,
        cut in 0usize..200,
        stub in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..200),
    ) {
        let (mut client, handle) = policy(context());
        let _ = client.call(opnum, [&handle[..], &stub].concat());
        let mut real = sids(&handle, &["S-1-22-1-1000", "S-1-1-0"]);
        real.truncate(20 + cut);
        let _ = client.call(opnum, real);
    }
}
