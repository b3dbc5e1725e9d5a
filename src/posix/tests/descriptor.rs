use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::*;
use crate::config::Acls;
use crate::fsa::access::Token;
use crate::types::AccessMask;
use crate::wire::dtyp::{Ace, AceFlags, Acl, Control, SecurityDescriptor, Sid};

const NONE: AceFlags = AceFlags::empty();
const DEEP: AceFlags = AceFlags::OBJECT_INHERIT.union(AceFlags::CONTAINER_INHERIT);

/// A share whose directory `d` belongs to user 4711, with a file of his in it.
fn share(policy: Policy) -> Share {
    let s = Share::with(policy);
    for dir in [s.at(".."), s.at("")] {
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    }
    s.mkdir("d");
    s.write("d/f", "x");
    for path in ["d", "d/f"] {
        chown(s.at(path), Some(4711), Some(4711)).unwrap();
    }
    s
}

fn token(uid: u32) -> Token {
    Token::new(uid, uid, [].into(), true)
}

fn described(aces: Vec<Ace>) -> SecurityDescriptor {
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
        owner: Some(Sid::unix_user(4711)),
        group: Some(Sid::unix_group(4711)),
        sacl: None,
        dacl: Some(Acl { revision: 2, aces }),
    }
}

fn allow(uid: u32, mask: AccessMask) -> Ace {
    Ace::allow(Sid::unix_user(uid), mask, NONE)
}

/// As the user. False: the test's file system has no ACLs.
fn set(s: &Share, path: &str, uid: u32, sd: &SecurityDescriptor) -> Result<()> {
    as_user(uid, || {
        let mut found = s.found(path);
        found.object.trust();
        s.export.set_descriptor(&found.object, &found.stat, sd, &token(uid))
    })
}

fn shown(s: &Share, path: &str) -> SecurityDescriptor {
    let found = s.found(path);
    s.export.security_descriptor(&found.object, &found.stat).unwrap()
}

fn is_known(s: &Share) -> bool {
    s.export.root().unstored.knows(&s.found("d\\f").stat)
}

/// It is remembered that the file has none.
fn until_known(s: &Share) {
    let none = shown(s, "d\\f");
    while s.export.facts().locality == Locality::Local && !is_known(s) {
        assert_eq!(shown(s, "d\\f"), none);
        std::thread::yield_now();
    }
}

fn most(s: &Share, path: &str, uid: u32) -> AccessMask {
    as_user(uid, || {
        let found = s.found(path);
        let token = token(uid);
        s.export.rights(&found.object, &found.path, &found.stat, &token, false).unwrap().most().unwrap()
    })
}

fn can_open(s: &Share, path: &str, uid: u32) -> bool {
    as_user(uid, || {
        let mut object = s.found(path).object;
        s.export.open_data(&mut object, DataAccess { read: true, write: false }).is_ok()
    })
}

fn mode(s: &Share, path: &str) -> u32 {
    std::fs::metadata(s.at(path)).unwrap().mode() & 0o777
}

#[test]
fn a_descriptor_comes_back_and_the_kernel_is_told_of_it() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let deny = Ace::deny(Sid::unix_user(4711), AccessMask::APPEND_DATA, NONE);
    let mut sd = described(vec![deny, allow(4711, AccessMask::FILE_ALL), allow(4712, AccessMask::FILE_READ)]);
    sd.control |= Control::DACL_PROTECTED;
    set(&s, "d\\f", 4711, &sd).unwrap();
    assert_eq!(shown(&s, "d\\f"), sd);
    assert!(can_open(&s, "d\\f", 4712) && !can_open(&s, "d\\f", 4713));
    let rights = most(&s, "d\\f", 4711);
    assert!(rights.contains(AccessMask::WRITE_DATA) && !rights.contains(AccessMask::APPEND_DATA));
    assert!(most(&s, "d\\f", 4712).contains(AccessMask::FILE_READ));
    assert!(!most(&s, "d\\f", 4713).intersects(AccessMask::READ_DATA | AccessMask::READ_CONTROL));
}

/// ext4 takes 4 KiB beside a file.
#[test]
fn a_descriptor_that_the_file_system_does_not_take_is_kept_all_the_same() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let strangers = (0..1000).map(|n| format!("S-1-5-21-1-2-3-{n}").parse().unwrap());
    let aces = strangers.map(|sid| Ace::allow(sid, AccessMask::FILE_READ, NONE)).collect();
    let (small, large) = (described(vec![allow(4711, AccessMask::FILE_READ)]), described(aces));
    // So that nothing of the file changes with it, and that there was none is remembered.
    std::fs::set_permissions(s.at("d/f"), PermissionsExt::from_mode(0o000)).unwrap();
    until_known(&s);
    for sd in [&large, &small, &large] {
        set(&s, "d\\f", 4711, sd).unwrap();
        assert_eq!(shown(&s, "d\\f"), *sd);
    }
    std::fs::rename(s.at("d/f"), s.at("d/g")).unwrap();
    assert_eq!(shown(&s, "d\\g"), large);
    std::fs::set_permissions(s.at("d/g"), PermissionsExt::from_mode(0o644)).unwrap();
    assert_ne!(shown(&s, "d\\g"), large, "it is ended like any");
}

#[test]
fn what_was_changed_behind_it_ends_it() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let sd = described(vec![allow(4711, AccessMask::FILE_READ)]);
    let ends = |change: &dyn Fn()| {
        set(&s, "d\\f", 4711, &sd).unwrap();
        assert_eq!(shown(&s, "d\\f"), sd);
        change();
        assert_ne!(shown(&s, "d\\f"), sd);
    };
    ends(&|| std::fs::set_permissions(s.at("d/f"), PermissionsExt::from_mode(0o644)).unwrap());
    assert!(most(&s, "d\\f", 4712).contains(AccessMask::READ_DATA), "the mode counts");
    ends(&|| chown(s.at("d/f"), None, Some(7)).unwrap());
    set(&s, "d\\f", 4711, &sd).unwrap();
    std::fs::write(s.at("d/f"), "other data").unwrap();
    assert_eq!(shown(&s, "d\\f"), sd, "data are not permissions");
}

#[test]
fn entries_about_nobody_here_are_kept() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let stranger: Sid = "S-1-5-21-1-2-3-1104".parse().unwrap();
    let aces = vec![Ace::allow(stranger, AccessMask::FILE_ALL, NONE), allow(4711, AccessMask::FILE_READ)];
    set(&s, "d\\f", 4711, &described(aces.clone())).unwrap();
    assert_eq!(shown(&s, "d\\f").dacl.unwrap().aces, aces);
    assert_eq!(mode(&s, "d/f"), 0o400);
}

#[test]
fn new_files_inherit() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let creator = Ace::allow(Sid::CREATOR_OWNER, AccessMask::FILE_ALL, DEEP | AceFlags::INHERIT_ONLY);
    let reader = Ace::allow(Sid::unix_user(4712), AccessMask::FILE_READ, DEEP);
    set(&s, "d", 4711, &described(vec![allow(4711, AccessMask::FILE_ALL), creator, reader])).unwrap();
    let make = |path: &str, uid, directory| {
        as_user(uid, || {
            let at = s.missing(path);
            let token = token(uid);
            let heritage = s.export.heritage(&at, directory, None, &token)?.expect("something");
            let made = s.export.create(&at, NewFile { directory, guarded: true, ..NewFile::default() })?;
            s.export.endow(&made.object, &made.stat, &heritage, &token)
        })
    };
    make("d\\new", 4711, false).unwrap();
    let aces = shown(&s, "d\\new").dacl.unwrap().aces;
    assert_eq!(aces, vec![allow(4711, AccessMask::FILE_ALL), allow(4712, AccessMask::FILE_READ)]);
    assert!(can_open(&s, "d\\new", 4712));
    assert_eq!(err(as_user(4713, || s.look("d\\new"))), NtStatus::ACCESS_DENIED);
    make("d\\sub", 4711, true).unwrap();
    make("d\\sub\\deep", 4711, false).unwrap();
    assert_eq!(shown(&s, "d\\sub\\deep").dacl.unwrap().aces, aces);
    assert_eq!(make("d\\his", 4712, false), Err(NtStatus::ACCESS_DENIED), "he may only read there");
}

#[test]
fn who_was_granted_it_takes_ownership_and_nobody_gives_files_away() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let full = described(vec![allow(4712, AccessMask::FILE_ALL)]);
    set(&s, "d\\f", 4711, &full).unwrap();
    assert!(most(&s, "d\\f", 4712).contains(AccessMask::WRITE_OWNER | AccessMask::WRITE_DAC));
    let owned_by = |sid| SecurityDescriptor { owner: Some(sid), ..full.clone() };
    assert_eq!(set(&s, "d\\f", 4712, &owned_by(Sid::unix_user(4713))), Err(NtStatus::INVALID_OWNER));
    let in_group = SecurityDescriptor { group: Some(Sid::unix_group(4713)), ..full.clone() };
    assert_eq!(set(&s, "d\\f", 4712, &in_group), Err(NtStatus::INVALID_PRIMARY_GROUP));
    set(&s, "d\\f", 4712, &owned_by(Sid::unix_user(4712))).unwrap();
    assert_eq!(std::fs::metadata(s.at("d/f")).unwrap().uid(), 4712);
    // An owner who is nobody here is only noted.
    set(&s, "d\\f", 4712, &owned_by(Sid::EVERYONE)).unwrap();
    assert_eq!(std::fs::metadata(s.at("d/f")).unwrap().uid(), 4712);
    assert_eq!(shown(&s, "d\\f").owner, Some(Sid::EVERYONE));
    set(&s, "d\\f", 0, &owned_by(Sid::unix_user(4713))).unwrap();
    assert_eq!(std::fs::metadata(s.at("d/f")).unwrap().uid(), 4713);
}

#[test]
fn without_trust_the_kernel_has_the_last_word() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let full = described(vec![allow(4712, AccessMask::FILE_ALL)]);
    let done = as_user(4712, || {
        let found = s.found("d\\f");
        s.export.set_descriptor(&found.object, &found.stat, &full, &token(4712))
    });
    assert_eq!(done, Err(NtStatus::ACCESS_DENIED));
    assert_ne!(shown(&s, "d\\f"), full);
}

#[test]
fn the_side_store_holds_what_the_file_system_cannot() {
    if !is_root() {
        return;
    }
    let mut s = share(Policy::default());
    s.export = Export::open_without_xattrs(&s.at(""), s.export.policy().clone()).unwrap();
    let sd = described(vec![allow(4711, AccessMask::FILE_READ)]);
    set(&s, "d\\f", 4711, &sd).unwrap();
    assert_eq!(shown(&s, "d\\f"), sd);
    let place = std::ffi::CString::new(s.at("d/f").to_str().unwrap()).unwrap();
    assert!(rustix::fs::getxattr(place, c"security.NTACL", &mut [0u8; 1024][..]).is_err());
    // Whoever gets the inode next does not get the descriptor.
    let key = s.found("d\\f").object.key();
    std::fs::remove_file(s.at("d/f")).unwrap();
    for n in 0..64 {
        s.write("d/f", "another");
        chown(s.at("d/f"), Some(4711), Some(4711)).unwrap();
        std::fs::set_permissions(s.at("d/f"), PermissionsExt::from_mode(0o400)).unwrap();
        if s.found("d\\f").object.key() == key {
            assert_ne!(shown(&s, "d\\f").dacl, sd.dacl);
            return;
        }
        std::fs::rename(s.at("d/f"), s.at(&format!("d/{n}"))).unwrap();
    }
}

#[test]
fn the_account_of_everybody_gets_what_domain_accounts_are_granted() {
    if !is_root() {
        return;
    }
    let editors = Sid::new(5, &[21, 1, 2, 3, 1104]);
    let sd = described(vec![Ace::allow(editors, AccessMask::FILE_READ | AccessMask::FILE_WRITE, NONE)]);
    let sd = SecurityDescriptor { owner: None, ..sd };
    let mode_after = |owner: u32, token: Token| {
        let s = share(Policy::default());
        chown(s.at("d/f"), Some(owner), Some(4711)).unwrap();
        as_user(0, || {
            let mut found = s.found("d\\f");
            found.object.trust();
            s.export.set_descriptor(&found.object, &found.stat, &sd, &token).unwrap();
        });
        let bearer = |token: Token| {
            let found = s.found("d\\f");
            let sd = s.export.security_descriptor(&found.object, &found.stat).unwrap();
            crate::fsa::access::allowed(&sd, &crate::fsa::access::Bearer::new(&token, &sd, owner, 4711))
        };
        assert!(bearer(token.clone().with([editors].into())).contains(AccessMask::WRITE_DATA), "an editor");
        assert!(!bearer(token).contains(AccessMask::READ_DATA), "anybody else with the same account");
        std::fs::metadata(s.at("d/f")).unwrap().mode() & 0o777
    };
    assert_eq!(mode_after(4711, token(4711)), 0, "who has an account of his own needs its rights");
    assert_eq!(mode_after(4711, token(4711).of_everybody()), 0o600);
    // With a POSIX ACL: the mask stands where the group's bits do.
    assert_eq!(mode_after(4712, token(4711).of_everybody()), 0o060);
}

#[test]
fn nothing_is_stored_with_posix_acls() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    let sd = described(vec![allow(4711, AccessMask::FILE_READ)]);
    set(&s, "d\\f", 4711, &sd).unwrap();
    let plain = Export::open(&s.at(""), Policy { acls: Acls::Posix, ..Policy::default() }).unwrap();
    let s = Share { export: plain, ..s };
    assert_ne!(shown(&s, "d\\f"), sd, "nor is it looked at");
    assert_eq!(set(&s, "d\\f", 4711, &sd), Err(NtStatus::NOT_SUPPORTED));
    let found = s.found("d");
    let mirrored = s.export.security_descriptor(&found.object, &found.stat).unwrap().dacl.unwrap();
    assert!(mirrored.aces.iter().all(|ace| ace.flags == NONE));
}

#[test]
fn the_kernel_grants_all_that_the_groups_of_a_user_are_granted() {
    if !is_root() {
        return;
    }
    let Ok(Some(user)) = crate::auth::Identity::of_account("nobody") else { return };
    let s = share(Policy::default());
    let group = Ace::allow(Sid::unix_group(user.gid), AccessMask::FILE_READ, NONE);
    let himself = allow(user.uid, AccessMask::WRITE_DATA);
    set(&s, "d\\f", 4711, &described(vec![himself, group])).unwrap();
    assert!(can_open(&s, "d\\f", user.uid), "a POSIX ACL looks at the user's own entry only");
}

#[test]
fn that_there_was_none_is_remembered_until_there_is_one() {
    if !is_root() {
        return;
    }
    let s = share(Policy::default());
    if s.export.facts().locality != Locality::Local {
        return;
    }
    until_known(&s);
    let sd = described(vec![allow(4711, AccessMask::FILE_READ)]);
    set(&s, "d\\f", 4711, &sd).unwrap();
    assert_eq!(shown(&s, "d\\f"), sd);
    assert!(!is_known(&s));
}
