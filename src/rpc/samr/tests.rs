//! Calls as clients send them, answers byte by byte.

use crate::rpc::Context;
use crate::rpc::ndr::NdrReader;
use crate::rpc::pdu::Fault;
use crate::rpc::tests::{Client, context, hex, status, with};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;
use proptest::prelude::*;

const SAMR: &str = "7857341234 12cdabef000123456789ac 01000000";

fn words(handle: &[u8], words: &[u32]) -> Vec<u8> {
    with(handle, |w| words.iter().for_each(|word| w.u32(*word)))
}

struct Sam {
    client: Client,
    server: Vec<u8>,
}

fn sam() -> Sam {
    let mut client = Client::bound_to("samr", SAMR, context());
    let server = handle(client.call(57, hex("00000000 00000002"))).unwrap();
    Sam { client, server }
}

/// The handle that an answer gives.
fn handle(stub: Result<Vec<u8>, Fault>) -> Result<Vec<u8>, NtStatus> {
    let stub = stub.expect("no fault");
    match status(&stub) {
        NtStatus::SUCCESS => Ok(stub[..stub.len() - 4].to_vec()),
        status => Err(status),
    }
}

impl Sam {
    fn domain(&mut self, sid: Sid) -> Result<Vec<u8>, NtStatus> {
        let server = self.server.clone();
        handle(self.client.call(
            7,
            with(&server, |w| {
                w.u32(0x0200_0000);
                w.sid(&sid);
            }),
        ))
    }

    /// OpenUser, OpenGroup or OpenAlias.
    fn open(&mut self, opnum: u16, domain: Sid, rid: u32) -> Result<Vec<u8>, NtStatus> {
        let domain = self.domain(domain).unwrap();
        handle(self.client.call(opnum, words(&domain, &[0x0200_0000, rid])))
    }

    fn query(&mut self, opnum: u16, handle: &[u8], class: u16) -> Vec<u8> {
        self.client.call(opnum, with(handle, |w| w.u16(class))).unwrap()
    }
}

/// RIDs and names of an enumeration.
fn entries(stub: &[u8]) -> Vec<(u32, String)> {
    let mut r = NdrReader::new(stub);
    r.u32().unwrap();
    assert_eq!(r.pointer(), Ok(true));
    let count = r.u32().unwrap();
    if !r.pointer().unwrap() {
        return Vec::new();
    }
    let count = r.conformant(count, 1000).unwrap();
    let rids: Vec<u32> =
        (0..count).map(|_| (r.u32().unwrap(), r.u32().unwrap(), r.u32().unwrap()).0).collect();
    rids.into_iter()
        .map(|rid| {
            // Maximum, offset, length, characters.
            let (_, _, len) = (r.u32().unwrap(), r.u32().unwrap(), r.u32().unwrap());
            let units: Vec<u16> = (0..len).map(|_| r.u16().unwrap()).collect();
            (rid, String::from_utf16(&units).unwrap())
        })
        .collect()
}

fn named(rids: &[(u32, &str)]) -> Vec<(u32, String)> {
    rids.iter().map(|(rid, name)| (*rid, (*name).to_owned())).collect()
}

#[test]
fn every_way_to_connect_gives_a_handle() {
    let mut client = Client::bound_to("samr", SAMR, context());
    let five = client.call(64, hex("00000000 00000002 01000000 01000000 03000000 00000000")).unwrap();
    assert_eq!(five[..16], hex("01000000 01000000 03000000 00000000"));
    assert_ne!(five[16..36], [0; 20]);
    assert_eq!(status(&five), NtStatus::SUCCESS);
    for (opnum, arguments) in [
        (0, "00000000 00000002"),
        (57, "00000000 00000002"),
        (61, "00000000 02000000 00000002"),
        (62, "00000000 02000000 00000002"),
    ] {
        let server = handle(client.call(opnum, hex(arguments))).unwrap();
        assert_eq!(client.call(1, server.clone()).unwrap(), [0; 24]);
        assert_eq!(client.call(1, server), Err(Fault::CONTEXT_MISMATCH));
    }
    let mut sam = sam();
    assert_eq!(sam.client.call(3, vec![0; 24]), Err(Fault::CONTEXT_MISMATCH));
    let security = words(&sam.server.clone(), &[5]);
    assert_eq!(status(&sam.client.call(3, security).unwrap()), NtStatus::SUCCESS);
    let guest = Context { authenticated: false, ..context() };
    let mut client = Client::bound_to("samr", SAMR, guest);
    assert_eq!(handle(client.call(57, hex("00000000 00000002"))), Err(NtStatus::ACCESS_DENIED));
}

#[test]
fn domains_are_listed_and_found_by_name() {
    let mut sam = sam();
    let server = sam.server.clone();
    let stub = sam.client.call(6, words(&server, &[0, 8192])).unwrap();
    assert_eq!(entries(&stub), named(&[(0, "NAS"), (0, "BUILTIN"), (0, "Unix Group")]));
    // One at a time.
    let stub = sam.client.call(6, words(&server, &[1, 1])).unwrap();
    assert_eq!((entries(&stub), status(&stub)), (named(&[(0, "BUILTIN")]), NtStatus::MORE_ENTRIES));
    assert_eq!(stub[..4], [2, 0, 0, 0]);
    let stub = sam.client.call(6, words(&server, &[99, 8192])).unwrap();
    assert_eq!((entries(&stub), status(&stub)), (vec![], NtStatus::SUCCESS));

    let mut look_up = |name: &str| {
        sam.client
            .call(
                5,
                with(&server, |w| {
                    w.unicode(name);
                    w.pointees();
                }),
            )
            .unwrap()
    };
    assert_eq!(look_up("nas"), hex("00000200 01000000 0101 0000 00000016 01000000 00000000"));
    assert_eq!(look_up("builtin"), hex("00000200 01000000 0101 0000 00000005 20000000 00000000"));
    assert_eq!(look_up(""), hex("00000000 0d0000c0"));
    assert_eq!(look_up("elsewhere"), hex("00000000 df0000c0"));
    assert_eq!(sam.domain(Sid::NT_AUTHORITY), Err(NtStatus::NO_SUCH_DOMAIN));
}

#[test]
fn accounts_are_listed_by_domain() {
    let mut sam = sam();
    let mut list = |opnum: u16, domain: Sid, arguments: &[u32]| {
        let domain = sam.domain(domain).unwrap();
        entries(&sam.client.call(opnum, words(&domain, arguments)).unwrap())
    };
    // Only those who can log on, and have an account.
    let users = named(&[(1000, "alice"), (1001, "media")]);
    assert_eq!(list(13, Sid::UNIX_USERS, &[0, 0, 65535]), users);
    assert_eq!(list(13, Sid::UNIX_USERS, &[0, 0x10, 65535]), users, "normal accounts");
    assert_eq!(list(13, Sid::UNIX_USERS, &[0, 0x80, 65535]), [], "machines");
    assert_eq!(list(13, Sid::BUILTIN, &[0, 0, 65535]), []);
    assert_eq!(list(11, Sid::UNIX_USERS, &[0, 65535]), named(&[(513, "None")]));
    assert_eq!(list(15, Sid::UNIX_USERS, &[0, 65535]), []);
    assert_eq!(list(15, Sid::UNIX_GROUPS, &[0, 65535]), named(&[(100, "users"), (1001, "media")]));
    assert_eq!(list(15, Sid::BUILTIN, &[0, 65535])[0], (544, "Administrators".into()));
}

#[test]
fn names_and_rids_lead_to_each_other() {
    let mut sam = sam();
    let domain = sam.domain(Sid::UNIX_USERS).unwrap();
    let names = with(&domain, |w| {
        [3, 1000, 0, 3].into_iter().for_each(|v| w.u32(v));
        ["ALICE", "mallory", "none"].into_iter().for_each(|name| w.unicode(name));
        w.pointees();
    });
    assert_eq!(
        sam.client.call(17, names).unwrap(),
        hex("03000000 00000200 03000000 e8030000 00000000 01020000
             03000000 04000200 03000000 01000000 08000000 02000000 07010000")
    );
    let rids = words(&domain, &[2, 1000, 0, 2, 1000, 7]);
    assert_eq!(
        sam.client.call(18, rids).unwrap(),
        hex("02000000 00000200 02000000 0a00 0a00 04000200 0000 0000 00000000
             05000000 00000000 05000000 6100 6c00 6900 6300 6500 0000
             02000000 08000200 02000000 01000000 08000000 07010000")
    );
    let nobody = words(&domain, &[1, 1000, 0, 1, 7]);
    assert_eq!(status(&sam.client.call(18, nobody).unwrap()), NtStatus::NONE_MAPPED);
    let too_many = words(&domain, &[1001, 1001, 0, 1001]);
    assert_eq!(sam.client.call(18, too_many), Err(Fault::BAD_STUB_DATA));
    let stub = sam.client.call(65, words(&domain, &[1000])).unwrap();
    assert_eq!(stub, hex("00000200 02000000 0102 0000 00000016 01000000 e8030000 00000000"));
}

#[test]
fn a_user_is_told_by_every_class() {
    let mut sam = sam();
    assert_eq!(sam.open(34, Sid::UNIX_USERS, 7), Err(NtStatus::NO_SUCH_USER));
    assert_eq!(sam.open(34, Sid::UNIX_USERS, 0), Err(NtStatus::NO_SUCH_USER));
    assert_eq!(sam.open(34, Sid::UNIX_GROUPS, 1000), Err(NtStatus::NO_SUCH_USER));
    let alice = sam.open(34, Sid::UNIX_USERS, 1000).unwrap();
    for class in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 20, 21] {
        for opnum in [36, 47] {
            let stub = sam.query(opnum, &alice, class);
            assert_eq!(status(&stub), NtStatus::SUCCESS, "{class}");
            assert_eq!(stub[4..6], class.to_le_bytes());
        }
    }
    assert_eq!(sam.query(36, &alice, 18), hex("00000000 030000c0"), "passwords are not told");
    assert_eq!(
        sam.query(36, &alice, 6),
        hex("00000200 0600 0000 0a00 0a00 04000200 1a00 1a00 08000200
             05000000 00000000 05000000 6100 6c00 6900 6300 6500 0000
             0d000000 00000000 0d000000 4100 6c00 6900 6300 6500 2000 4c00 6900 6400 6400 6500 6c00 6c00 0000
             00000000")
    );
    assert_eq!(sam.query(36, &alice, 16), hex("00000200 1000 0000 10020000 00000000"));
    let media = sam.open(34, Sid::UNIX_USERS, 1001).unwrap();
    assert_eq!(sam.query(36, &media, 16), hex("00000200 1000 0000 11020000 00000000"), "disabled");
    // SAMPR_USER_ALL_INFORMATION behind pointer and tag: six times, ten names, three secrets, a descriptor; the ids.
    let all = sam.query(36, &alice, 21);
    assert_eq!(all[8 + 160..8 + 176], hex("e8030000 01020000 10020000 ffffff00"));
    let hours = [hex("ec040000 00000000 15000000"), vec![0xFF; 21]].concat();
    assert!(all.windows(hours.len()).any(|w| w == hours));
    assert_eq!(
        sam.client.call(39, alice).unwrap(),
        hex("00000200 01000000 04000200 01000000 01020000 07000000 00000000")
    );
}

#[test]
fn groups_and_aliases_have_members() {
    let mut sam = sam();
    assert_eq!(sam.open(19, Sid::UNIX_USERS, 100), Err(NtStatus::NO_SUCH_GROUP));
    let none = sam.open(19, Sid::UNIX_USERS, 513).unwrap();
    for class in 1..=5 {
        assert_eq!(status(&sam.query(20, &none, class)), NtStatus::SUCCESS);
    }
    assert_eq!(sam.query(20, &none, 6), hex("00000000 030000c0"));
    assert_eq!(
        sam.client.call(25, none).unwrap(),
        hex(
            "00000200 02000000 04000200 08000200 02000000 e8030000 e9030000 02000000 07000000 07000000 00000000"
        )
    );
    assert_eq!(sam.open(27, Sid::UNIX_GROUPS, 7), Err(NtStatus::NO_SUCH_ALIAS));
    assert_eq!(sam.open(27, Sid::UNIX_USERS, 1000), Err(NtStatus::NO_SUCH_ALIAS));
    let mut members = |domain: Sid, rid: u32| {
        let alias = sam.open(27, domain, rid).unwrap();
        for class in 1..=3 {
            assert_eq!(status(&sam.query(28, &alias, class)), NtStatus::SUCCESS);
        }
        let stub = sam.client.call(33, alias).unwrap();
        NdrReader::new(&stub).sids(100).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(members(Sid::UNIX_GROUPS, 1001), ["S-1-22-1-1000", "S-1-22-1-1001"]);
    assert_eq!(members(Sid::UNIX_GROUPS, 100), ["S-1-22-1-1000"]);
    assert_eq!(members(Sid::BUILTIN, 544), ["S-1-22-1-0"]);
    assert_eq!(members(Sid::BUILTIN, 546), [""; 0]);

    let mut memberships = |domain: Sid, who: &[Sid]| {
        let domain = sam.domain(domain).unwrap();
        sam.client
            .call(
                16,
                with(&domain, |w| {
                    w.counted_array(who.iter(), |w, sid| w.sid_pointer(Some(sid)));
                }),
            )
            .unwrap()
    };
    let alice = [Sid::unix_user(1000), Sid::EVERYONE];
    assert_eq!(
        memberships(Sid::UNIX_GROUPS, &alice),
        hex("02000000 00000200 02000000 64000000 e9030000 00000000")
    );
    assert_eq!(memberships(Sid::BUILTIN, &alice), hex("01000000 00000200 01000000 21020000 00000000"));
    assert_eq!(memberships(Sid::UNIX_USERS, &alice), hex("00000000 00000000 00000000"));
}

#[test]
fn a_domain_is_told_by_every_class() {
    let mut sam = sam();
    for domain in [Sid::UNIX_USERS, Sid::UNIX_GROUPS, Sid::BUILTIN] {
        let domain = sam.domain(domain).unwrap();
        for class in [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13] {
            for opnum in [8, 46] {
                let stub = sam.query(opnum, &domain, class);
                assert_eq!(status(&stub), NtStatus::SUCCESS, "{class}");
            }
        }
        assert_eq!(sam.query(8, &domain, 10), hex("00000000 030000c0"));
    }
    let own = sam.domain(Sid::UNIX_USERS).unwrap();
    assert_eq!(
        sam.query(8, &own, 1),
        hex("00000200 0100 0000 0000 0000 00000000 0000000000000080 0000000000000000 00000000")
    );
    assert_eq!(
        sam.query(8, &own, 2),
        hex("00000200 0200 0000 0000000000000080 0000 0000 00000000 0600 0600 04000200 0000 0000 00000000
             0000000000000000 01000000 03000000 00 000000 02000000 01000000 00000000
             03000000 00000000 03000000 4e00 4100 5300 0000 00000000")
    );
    assert_eq!(
        sam.query(8, &own, 12),
        hex("00000200 0c00 0000 0000000000000000 0000000000000000 0000 0000 00000000")
    );
    assert_eq!(sam.client.call(56, hex("00000000 00000000")).unwrap(), hex("0000 0000 00000000 00000000"));
}

#[test]
fn users_are_displayed_in_parts() {
    let mut sam = sam();
    let own = sam.domain(Sid::UNIX_USERS).unwrap();
    let mut display = |class: u32, start: u32, most: u32| {
        sam.client.call(40, words(&own, &[class, start, most, 65535])).unwrap()
    };
    let one = display(1, 0, 1);
    assert_eq!(status(&one), NtStatus::MORE_ENTRIES);
    assert_eq!(
        one[8..60],
        hex("
        0100 0000 01000000 00000200 01000000
        01000000 e8030000 10020000 0a00 0a00 04000200 0000 0000 00000000 1a00 1a00 08000200")
    );
    let rest = display(1, 1, 100);
    assert_eq!(status(&rest), NtStatus::SUCCESS);
    assert_eq!(rest[24..36], hex("02000000 e9030000 11020000"));
    for class in 2..=5 {
        assert_eq!(status(&display(class, 0, 100)), NtStatus::SUCCESS, "{class}");
    }
    assert_eq!(
        display(4, 0, 1)[8..36],
        hex("0400 0000 01000000 00000200 01000000 01000000 0500 0500 04000200")
    );
    assert_eq!(status(&display(6, 0, 100)), NtStatus::INVALID_INFO_CLASS);
    assert_eq!(status(&display(1, 77, 100)), NtStatus::SUCCESS, "nothing is left");
}

#[test]
fn what_changes_something_is_refused() {
    let mut sam = sam();
    for opnum in [2, 4, 9, 10, 12, 14, 21, 22, 35, 37, 38, 50, 55, 58] {
        assert_eq!(sam.client.call(opnum, vec![0; 40]), Err(Fault::ACCESS_DENIED), "{opnum}");
    }
    for opnum in [42, 59, 74, 500] {
        assert_eq!(sam.client.call(opnum, vec![0; 40]), Err(Fault::OP_RNG_ERROR), "{opnum}");
    }
    let server = sam.server.clone();
    assert_eq!(sam.client.call(13, words(&server, &[0, 0, 1])), Err(Fault::CONTEXT_MISMATCH), "no domain");
}

proptest! {
    #[test]
    fn any_arguments_are_answered(
        opnum in 0u16..75,
        which in 0usize..5,
        stub in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..200),
    ) {
        let mut sam = sam();
        let handle = match which {
            0 => sam.server.clone(),
            1 => sam.domain(Sid::UNIX_USERS).unwrap(),
            2 => sam.domain(Sid::BUILTIN).unwrap(),
            3 => sam.open(34, Sid::UNIX_USERS, 1000).unwrap(),
            _ => sam.open(27, Sid::UNIX_GROUPS, 100).unwrap(),
        };
        let _ = sam.client.call(opnum, [&handle[..], &stub].concat());
    }
}
