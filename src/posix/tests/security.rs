use std::os::unix::fs::{PermissionsExt, chown};

use super::*;
use crate::types::AccessMask;
use crate::wire::dtyp::{Ace, AceFlags, Acl, SecurityDescriptor, Sid};

fn share(mode: u32) -> Share {
    let s = Share::new();
    for dir in [s.at(".."), s.at("")] {
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    }
    s.mkdir("d");
    s.write("d/f", "x");
    std::fs::set_permissions(s.at("d/f"), PermissionsExt::from_mode(mode)).unwrap();
    s
}

fn granted(s: &Share, path: &str, uid: u32) -> AccessMask {
    as_user(uid, || {
        let found = s.found(path);
        s.export.granted(&found.object, &found.path, AccessMask::MAXIMUM_ALLOWED).unwrap()
    })
}

#[test]
fn the_kernel_decides() {
    if !is_root() {
        return;
    }
    let s = share(0o644);
    assert_eq!(granted(&s, "d\\f", 0), AccessMask::FILE_ALL);
    let other = granted(&s, "d\\f", 4711);
    assert_eq!(other, AccessMask::FILE_READ | AccessMask::EXECUTE);
    chown(s.at("d/f"), Some(4711), None).unwrap();
    assert_eq!(granted(&s, "d\\f", 4711), AccessMask::FILE_ALL - AccessMask::DELETE, "not its directory");
    chown(s.at("d"), Some(4711), None).unwrap();
    assert_eq!(granted(&s, "d\\f", 4711), AccessMask::FILE_ALL);
    let found = s.found("d\\f");
    let wanted = AccessMask::READ_DATA | AccessMask::DELETE;
    assert_eq!(s.export.granted(&found.object, &found.path, wanted), Ok(wanted));
}

#[test]
fn the_sticky_bit_keeps_others_from_deleting() {
    if !is_root() {
        return;
    }
    let s = share(0o666);
    std::fs::set_permissions(s.at("d"), PermissionsExt::from_mode(0o1777)).unwrap();
    assert!(!granted(&s, "d\\f", 4711).contains(AccessMask::DELETE));
    chown(s.at("d/f"), Some(4711), None).unwrap();
    assert!(granted(&s, "d\\f", 4711).contains(AccessMask::DELETE));
}

#[test]
fn users_cannot_reach_what_they_may_not() {
    if !is_root() {
        return;
    }
    let s = share(0o600);
    let found = s.found("d\\f");
    drop(found);
    let open = |access| {
        as_user(4711, || {
            let mut object = s.found("d\\f").object;
            s.export.open_data(&mut object, access)
        })
    };
    assert_eq!(open(DataAccess { read: true, write: false }), Err(NtStatus::ACCESS_DENIED));
    std::fs::set_permissions(s.at("d/f"), PermissionsExt::from_mode(0o604)).unwrap();
    open(DataAccess { read: true, write: false }).unwrap();
    assert_eq!(open(DataAccess { read: true, write: true }), Err(NtStatus::ACCESS_DENIED));
    std::fs::set_permissions(s.at("d"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(err(as_user(4711, || s.look("d\\f"))), NtStatus::ACCESS_DENIED);
    assert_eq!(err(as_user(4711, || s.look("d\\new"))), NtStatus::ACCESS_DENIED);
    // Passing through without listing: exact names only.
    std::fs::set_permissions(s.at("d"), PermissionsExt::from_mode(0o711)).unwrap();
    as_user(4711, || {
        assert_eq!(s.found("d\\f").stat.size, 1);
        assert!(s.is_missing("d\\F"));
        assert_eq!(err(s.export.create(&s.missing("d\\new"), new_file())), NtStatus::ACCESS_DENIED);
    });
}

#[test]
fn a_descriptor_from_the_mode() {
    if !is_root() {
        return;
    }
    let s = share(0o640);
    chown(s.at("d/f"), Some(4711), Some(4712)).unwrap();
    let found = s.found("d\\f");
    let sd = s.export.security_descriptor(&found.object, &found.stat).unwrap();
    assert_eq!(sd.owner, Some(Sid::unix_user(4711)));
    assert_eq!(sd.group, Some(Sid::unix_group(4712)));
    assert_eq!(sd.dacl.unwrap().aces.len(), 3);
}

#[test]
fn a_dacl_becomes_an_acl_and_comes_back() {
    if !is_root() {
        return;
    }
    let s = share(0o640);
    chown(s.at("d/f"), Some(4711), Some(4712)).unwrap();
    let found = s.found("d\\f");
    let dacl = |sd: SecurityDescriptor| sd.dacl.unwrap();
    let mut wanted = dacl(s.export.security_descriptor(&found.object, &found.stat).unwrap());
    wanted.aces.push(Ace::allow(Sid::unix_user(4713), AccessMask::FILE_READ, AceFlags::empty()));
    match s.export.set_dacl(&found.object, &found.stat, Some(&wanted)) {
        // A file system without ACLs.
        Err(NtStatus::NOT_SUPPORTED) => return,
        other => other.unwrap(),
    }
    assert!(granted(&s, "d\\f", 4713).contains(AccessMask::READ_DATA));
    assert!(!granted(&s, "d\\f", 4714).contains(AccessMask::READ_DATA));
    let stat = s.export.stat(&found.object).unwrap();
    let shown = dacl(s.export.security_descriptor(&found.object, &stat).unwrap());
    assert!(shown.aces.iter().any(|ace| ace.body.sid() == Some(&Sid::unix_user(4713))));
    // Without him it is a mode again.
    let less = Acl {
        aces: shown.aces.into_iter().filter(|a| a.body.sid() != Some(&Sid::unix_user(4713))).collect(),
        ..wanted
    };
    s.export.set_dacl(&found.object, &stat, Some(&less)).unwrap();
    assert_eq!(s.export.stat(&found.object).unwrap().mode & 0o777, 0o640);
    assert!(!granted(&s, "d\\f", 4713).contains(AccessMask::READ_DATA));
}
