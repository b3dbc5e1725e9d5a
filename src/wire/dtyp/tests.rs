use super::*;
use crate::types::AccessMask;
use crate::wire::codec::{Reader, Writer};
use proptest::prelude::*;

#[test]
fn sids_read_as_they_are_written() {
    for text in ["S-1-1-0", "S-1-5-21-1-2-4294967295-500", "S-1-22-1-1000", "S-1-0x010000000000-7", "S-1-5"] {
        let sid: Sid = text.parse().unwrap();
        assert_eq!(sid.to_string(), text);
        let mut bytes = Vec::new();
        sid.encode(&mut Writer::new(&mut bytes));
        assert_eq!(bytes.len(), sid.size());
        assert_eq!(Sid::decode(&mut Reader::new(&bytes)), Ok(sid));
    }
    for text in ["", "S-1-", "S-2-1-0", "S-1-5-", "S-1-5-x", "S-1-5-4294967296", "S-1-5-+1", "S-1-0x1-1"] {
        assert!(text.parse::<Sid>().is_err(), "{text}");
    }
    let long = format!("S-1-5{}", "-1".repeat(16));
    assert!(long.parse::<Sid>().is_err());
}

#[test]
fn unix_ids_are_named_as_samba_names_them() {
    assert_eq!(Sid::unix_user(1000).to_string(), "S-1-22-1-1000");
    assert_eq!(Sid::unix_user(1000).as_unix_user(), Some(1000));
    assert_eq!(Sid::unix_user(1000).as_unix_group(), None);
    assert_eq!(Sid::unix_group(0).as_unix_group(), Some(0));
    assert_eq!(Sid::EVERYONE.as_unix_user(), None);
}

#[test]
fn more_than_15_sub_authorities_are_an_error() {
    let mut bytes = vec![1, 16, 0, 0, 0, 0, 0, 5];
    bytes.resize(100, 0);
    assert!(Sid::decode(&mut Reader::new(&bytes)).is_err());
}

fn descriptor() -> SecurityDescriptor {
    let everyone = Ace::allow(Sid::EVERYONE, AccessMask::FILE_READ, AceFlags::empty());
    let user = Ace::deny(Sid::unix_user(5), AccessMask::FILE_ALL, AceFlags::OBJECT_INHERIT);
    let object = Ace { kind: AceType(5), flags: AceFlags::empty(), body: AceBody::Opaque(vec![7; 12]) };
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT | Control::DACL_PROTECTED,
        owner: Some(Sid::unix_user(1000)),
        group: Some(Sid::unix_group(100)),
        sacl: None,
        dacl: Some(Acl { revision: 4, aces: vec![user, everyone, object] }),
    }
}

#[test]
fn a_descriptor_comes_back() {
    let sd = descriptor();
    let bytes = sd.to_bytes();
    assert_eq!(bytes.len(), sd.size());
    assert_eq!(SecurityDescriptor::decode(&bytes), Ok(sd));
}

#[test]
fn the_bytes_of_a_descriptor() {
    let sd = SecurityDescriptor {
        owner: Some(Sid::BUILTIN_ADMINISTRATORS),
        dacl: Some(Acl {
            aces: vec![Ace::allow(Sid::SYSTEM, AccessMask::FILE_ALL, AceFlags::empty())],
            ..Acl::default()
        }),
        ..SecurityDescriptor::default()
    };
    let expected: &[u8] = &[
        1, 0, 0x04, 0x80, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, // header
        2, 0, 28, 0, 1, 0, 0, 0, 0, 0, 20, 0, 0xFF, 0x01, 0x1F, 0, // ACL and ACE
        1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // S-1-5-18
        1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 0x02, 0, 0, // S-1-5-32-544
    ];
    assert_eq!(sd.to_bytes(), expected);
}

#[test]
fn a_null_dacl_is_not_an_empty_one() {
    let null = SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
        ..SecurityDescriptor::default()
    };
    let back = SecurityDescriptor::decode(&null.to_bytes()).unwrap();
    assert!(back.control.contains(Control::DACL_PRESENT) && back.dacl.is_none());
    let empty = SecurityDescriptor { dacl: Some(Acl::default()), ..SecurityDescriptor::default() };
    let back = SecurityDescriptor::decode(&empty.to_bytes()).unwrap();
    assert_eq!(back.dacl, Some(Acl::default()));
}

#[test]
fn parts_not_asked_for_are_left_out() {
    let owner = descriptor().select(SecurityInformation::OWNER);
    assert_eq!((owner.control, owner.group, owner.dacl), (Control::SELF_RELATIVE, None, None));
    assert!(owner.owner.is_some());
    let dacl = descriptor().select(SecurityInformation::DACL);
    assert_eq!((dacl.owner, dacl.dacl.is_some()), (None, true));
    assert_eq!(descriptor().select(SecurityInformation::BACKUP), descriptor());
}

#[test]
fn counts_are_checked_before_memory_is_taken() {
    let acl = [2, 0, 8, 0, 0xFF, 0xFF, 0, 0];
    assert!(Acl::decode(&mut Reader::new(&acl)).is_err());
    let mut sd = descriptor().to_bytes();
    sd[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(SecurityDescriptor::decode(&sd).is_err());
}

proptest! {
    #[test]
    fn mutated_descriptors_never_panic(
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = descriptor().to_bytes();
        for (at, value) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(sd) = SecurityDescriptor::decode(&bytes) {
            // What decodes can be said again, and means the same.
            prop_assert_eq!(SecurityDescriptor::decode(&sd.to_bytes()), Ok(SecurityDescriptor {
                control: sd.control | Control::SELF_RELATIVE,
                ..sd
            }));
        }
        let _ = SecurityDescriptor::decode(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = SecurityDescriptor::decode(&bytes);
        let _ = Acl::decode(&mut Reader::new(&bytes));
    }

    #[test]
    fn any_sid_comes_back(authority in 0u8.., parts in prop::collection::vec(any::<u32>(), 0..=15)) {
        let sid = Sid::new(authority, &parts);
        prop_assert_eq!(sid.to_string().parse::<Sid>(), Ok(sid));
    }
}

#[test]
fn a_sid_is_a_domain_and_a_relative_identifier() {
    let user = Sid::unix_user(1000);
    assert_eq!(user.split(), Some((Sid::UNIX_USERS, 1000)));
    assert_eq!(Sid::UNIX_USERS.child(1000), Some(user));
    assert_eq!(Sid::SYSTEM.split(), Some((Sid::NT_AUTHORITY, 18)));
    assert_eq!(Sid::NT_AUTHORITY.split(), None);
    assert_eq!(Sid::new(5, &[1; 15]).child(1), None);
}
