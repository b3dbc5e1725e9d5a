use super::*;
use crate::wire::dtyp::{Acl, Control, SecurityInformation};

const NONE: AceFlags = AceFlags::empty();
const OI: AceFlags = AceFlags::OBJECT_INHERIT;
const CI: AceFlags = AceFlags::CONTAINER_INHERIT;
const NP: AceFlags = AceFlags::NO_PROPAGATE_INHERIT;
const IO: AceFlags = AceFlags::INHERIT_ONLY;
const ID: AceFlags = AceFlags::INHERITED;

const ALICE: Sid = Sid::unix_user(1000);
const STAFF: Sid = Sid::unix_group(100);

fn alice() -> Token {
    Token::new(1000, 1000, [100].into(), true)
}

fn sd(owner: Sid, aces: Vec<Ace>) -> SecurityDescriptor {
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
        owner: Some(owner),
        dacl: Some(Acl { revision: 2, aces }),
        ..SecurityDescriptor::default()
    }
}

fn allowed_to(token: &Token, sd: &SecurityDescriptor) -> AccessMask {
    allowed(sd, &Bearer::new(token, sd, 0, 0))
}

#[test]
fn a_domain_vouches_for_accounts() {
    let [editors, readers] = [1104, 1105].map(|rid| Sid::new(5, &[21, 1, 2, 3, rid]));
    let token = alice().with([editors].into());
    assert!(token.has(&editors) && !token.has(&readers) && !alice().has(&editors));
}

#[test]
fn the_first_entry_that_speaks_of_a_right_decides() {
    let read = AccessMask::FILE_READ;
    let write = AccessMask::WRITE_DATA;
    let root = Sid::unix_user(0);
    let of = |aces| allowed_to(&alice(), &sd(root, aces));
    assert_eq!(of(vec![]), AccessMask::empty());
    assert_eq!(of(vec![Ace::allow(Sid::EVERYONE, read, NONE)]), read);
    assert_eq!(
        of(vec![Ace::deny(STAFF, write, NONE), Ace::allow(ALICE, read | write, NONE)]),
        read,
        "a group of hers"
    );
    assert_eq!(of(vec![Ace::allow(ALICE, read | write, NONE), Ace::deny(STAFF, write, NONE)]), read | write);
    assert_eq!(of(vec![Ace::allow(Sid::unix_group(7), read, NONE)]), AccessMask::empty());
    assert_eq!(of(vec![Ace::allow(ALICE, AccessMask::GENERIC_ALL, NONE)]), AccessMask::FILE_ALL);
    assert_eq!(of(vec![Ace::allow(ALICE, read, IO | OI)]), AccessMask::empty());
}

#[test]
fn without_a_dacl_everything_is_allowed() {
    let sd = SecurityDescriptor { dacl: None, ..sd(Sid::SYSTEM, vec![]) };
    assert_eq!(allowed_to(&alice(), &sd), AccessMask::FILE_ALL);
}

#[test]
fn an_owner_may_always_mend_the_dacl_unless_it_speaks_of_owners() {
    let implied = AccessMask::READ_CONTROL | AccessMask::WRITE_DAC;
    assert_eq!(allowed_to(&alice(), &sd(ALICE, vec![])), implied);
    assert_eq!(allowed_to(&alice(), &sd(STAFF, vec![])), implied, "as one of the group");
    let rights = |mask, flags| Ace::allow(Sid::OWNER_RIGHTS, mask, flags);
    let read = AccessMask::READ_DATA;
    assert_eq!(allowed_to(&alice(), &sd(ALICE, vec![rights(read, NONE)])), read);
    assert_eq!(allowed_to(&alice(), &sd(ALICE, vec![rights(read, IO | OI)])), implied);
    assert_eq!(allowed_to(&alice(), &sd(Sid::SYSTEM, vec![rights(read, NONE)])), AccessMask::empty());
}

#[test]
fn well_known_groups() {
    let guest = Token::new(65534, 65534, [].into(), false);
    assert!(guest.has(&Sid::EVERYONE) && guest.has(&Sid::ANONYMOUS) && !guest.has(&Sid::AUTHENTICATED_USERS));
    assert!(alice().has(&Sid::AUTHENTICATED_USERS) && !alice().has(&Sid::BUILTIN_ADMINISTRATORS));
    let root = Token::new(0, 0, [].into(), true);
    assert!(root.has(&Sid::BUILTIN_ADMINISTRATORS));
    assert_eq!(privileged(&alice(), true), AccessMask::empty());
    assert!(privileged(&root, false).contains(AccessMask::WRITE_OWNER | AccessMask::ACCESS_SYSTEM_SECURITY));
    assert!(!privileged(&root, false).contains(AccessMask::READ_DATA));
    assert!(privileged(&root, true).contains(AccessMask::FILE_READ | AccessMask::FILE_WRITE));
    assert_eq!(privileged(&Token::new(0, 0, [].into(), false), true), AccessMask::empty(), "a guest");
}

#[test]
fn what_samba_calls_the_owner_is_the_files_owner() {
    let theirs: Sid = "S-1-5-21-1-2-3-1000".parse().unwrap();
    let sd = sd(theirs, vec![Ace::allow(theirs, AccessMask::READ_DATA, NONE)]);
    let token = alice();
    let at = |uid| allowed(&sd, &Bearer::new(&token, &sd, uid, 0));
    assert_eq!(at(1000), IMPLIED_BY_OWNERSHIP | AccessMask::READ_DATA);
    assert_eq!(at(1001), AccessMask::empty());
}

#[test]
fn conditions_deny_and_never_allow() {
    let callback = |kind, mask| Ace { kind, ..Ace::allow(ALICE, mask, NONE) };
    let read = AccessMask::READ_DATA;
    let sd = |kind| sd(Sid::SYSTEM, vec![callback(kind, read), Ace::allow(ALICE, read, NONE)]);
    assert_eq!(allowed_to(&alice(), &sd(AceType::ACCESS_DENIED_CALLBACK)), AccessMask::empty());
    let mut only = sd(AceType::ACCESS_ALLOWED_CALLBACK);
    only.dacl.as_mut().unwrap().aces.truncate(1);
    assert_eq!(allowed_to(&alice(), &only), AccessMask::empty());
}

fn inherited(flags: AceFlags, container: bool) -> Vec<(Sid, AceFlags)> {
    let parent = sd(Sid::SYSTEM, vec![Ace::allow(Sid::CREATOR_OWNER, AccessMask::WRITE_DATA, flags)]);
    let made = new_descriptor(Some(&parent), None, container, ALICE, STAFF);
    assert_eq!((made.owner, made.group), (Some(ALICE), Some(STAFF)));
    made.dacl.unwrap().aces.iter().map(|ace| (*ace.body.sid().unwrap(), ace.flags)).collect()
}

#[test]
fn what_files_inherit() {
    let default = vec![(ALICE, NONE), (Sid::SYSTEM, NONE)];
    for flags in [NONE, CI, NP, CI | NP, IO, CI | IO] {
        assert_eq!(inherited(flags, false), default, "{flags:?}");
    }
    for flags in [OI, OI | CI, OI | NP, OI | IO, OI | CI | NP | IO] {
        assert_eq!(inherited(flags, false), vec![(ALICE, NONE)], "{flags:?}");
    }
}

#[test]
fn what_directories_inherit() {
    let default = vec![(ALICE, NONE), (Sid::SYSTEM, NONE)];
    for flags in [NONE, NP, NP | OI, IO, IO | NP | OI] {
        assert_eq!(inherited(flags, true), default, "{flags:?}");
    }
    assert_eq!(inherited(OI, true), vec![(Sid::CREATOR_OWNER, OI | IO)]);
    assert_eq!(inherited(CI, true), vec![(ALICE, NONE), (Sid::CREATOR_OWNER, CI | IO)]);
    assert_eq!(inherited(CI | OI | IO, true), vec![(ALICE, NONE), (Sid::CREATOR_OWNER, CI | OI | IO)]);
    assert_eq!(inherited(CI | NP, true), vec![(ALICE, NONE)]);
}

#[test]
fn an_entry_that_means_the_same_with_each_child_stays_one() {
    let parent = sd(Sid::SYSTEM, vec![Ace::allow(STAFF, AccessMask::FILE_READ, OI | CI)]);
    let made = new_descriptor(Some(&parent), None, true, ALICE, STAFF);
    assert_eq!(made.dacl.unwrap().aces, vec![Ace::allow(STAFF, AccessMask::FILE_READ, OI | CI)]);
    let parent = sd(Sid::SYSTEM, vec![Ace::allow(STAFF, AccessMask::GENERIC_READ, OI | CI | IO)]);
    let made = new_descriptor(Some(&parent), None, true, ALICE, STAFF);
    let want = vec![
        Ace::allow(STAFF, AccessMask::FILE_READ, NONE),
        Ace::allow(STAFF, AccessMask::GENERIC_READ, OI | CI | IO),
    ];
    assert_eq!(made.dacl.unwrap().aces, want);
}

#[test]
fn inherited_lists_are_marked_where_the_parents_is() {
    let mut parent = sd(Sid::SYSTEM, vec![Ace::allow(STAFF, AccessMask::FILE_READ, OI | ID)]);
    let made = |parent: &SecurityDescriptor| new_descriptor(Some(parent), None, false, ALICE, STAFF);
    assert_eq!(made(&parent).dacl.unwrap().aces[0].flags, NONE);
    parent.control |= Control::DACL_AUTO_INHERITED | Control::DACL_PROTECTED;
    let made = made(&parent);
    assert_eq!(made.dacl.as_ref().unwrap().aces[0].flags, ID);
    assert!(made.control.contains(Control::DACL_AUTO_INHERITED));
    assert!(!made.control.contains(Control::DACL_PROTECTED), "that is the parent's own");
}

#[test]
fn a_descriptor_that_is_given() {
    let mut parent = sd(Sid::SYSTEM, vec![Ace::allow(STAFF, AccessMask::FILE_READ, OI)]);
    parent.control |= Control::DACL_AUTO_INHERITED;
    let mut given = sd(Sid::EVERYONE, vec![Ace::allow(ALICE, AccessMask::GENERIC_READ, ID)]);
    let made = |given: &SecurityDescriptor| new_descriptor(Some(&parent), Some(given), false, ALICE, STAFF);
    let explicit = Ace::allow(ALICE, AccessMask::FILE_READ, ID);
    assert_eq!(made(&given).owner, Some(Sid::EVERYONE));
    assert_eq!(made(&given).dacl.unwrap().aces, vec![explicit]);
    // Merged where that is asked for: what was inherited before is inherited anew.
    given.control |= Control::DACL_AUTO_INHERIT_REQ;
    let own = Ace::deny(ALICE, AccessMask::WRITE_DATA, NONE);
    given.dacl.as_mut().unwrap().aces.push(own.clone());
    let merged = made(&given);
    assert_eq!(merged.dacl.unwrap().aces, vec![own, Ace::allow(STAFF, AccessMask::FILE_READ, ID)]);
    assert!(!merged.control.contains(Control::DACL_AUTO_INHERIT_REQ));
    given.control |= Control::DACL_PROTECTED;
    assert_eq!(made(&given).dacl.unwrap().aces.len(), 2);
    // A null DACL is one; none given is none.
    given.dacl = None;
    assert_eq!(made(&given).dacl, None);
    given.control -= Control::DACL_PRESENT;
    assert_eq!(made(&given).dacl.unwrap().aces[0].body.sid(), Some(&STAFF));
}

#[test]
fn a_sacl_is_inherited_too() {
    let audit = Ace { kind: AceType::SYSTEM_AUDIT, ..Ace::allow(Sid::EVERYONE, AccessMask::DELETE, OI) };
    let parent = SecurityDescriptor {
        sacl: Some(Acl { revision: 2, aces: vec![audit] }),
        control: Control::SACL_PRESENT,
        ..SecurityDescriptor::default()
    };
    let made = new_descriptor(Some(&parent), None, false, ALICE, STAFF);
    assert_eq!(made.sacl.unwrap().aces.len(), 1);
    assert!(made.control.contains(Control::SACL_PRESENT));
}

#[test]
fn setting_parts() {
    let present = sd(ALICE, vec![]);
    let mut sent = sd(Sid::EVERYONE, vec![Ace::allow(ALICE, AccessMask::GENERIC_READ, NONE)]);
    sent.control |= Control::DACL_AUTO_INHERITED | Control::DACL_PROTECTED;
    let set = |sent: &SecurityDescriptor, parts| merge(&present, sent, parts, false);
    let dacl = set(&sent, SecurityInformation::DACL);
    assert_eq!(dacl.owner, Some(ALICE));
    assert_eq!(dacl.dacl.as_ref().unwrap().aces, vec![Ace::allow(ALICE, AccessMask::FILE_READ, NONE)]);
    assert!(dacl.control.contains(Control::DACL_PROTECTED));
    assert!(!dacl.control.contains(Control::DACL_AUTO_INHERITED), "without the request for it");
    assert!(
        merge(&present, &sent, SecurityInformation::DACL, true)
            .control
            .contains(Control::DACL_AUTO_INHERITED)
    );
    sent.control |= Control::DACL_AUTO_INHERIT_REQ;
    let requested = set(&sent, SecurityInformation::DACL).control;
    assert!(requested.contains(Control::DACL_AUTO_INHERITED));
    assert!(!requested.contains(Control::DACL_AUTO_INHERIT_REQ));
    assert_eq!(
        set(&sent, SecurityInformation::OWNER),
        SecurityDescriptor { owner: sent.owner, ..present.clone() }
    );
    let nothing = SecurityDescriptor::default();
    assert_eq!(set(&nothing, SecurityInformation::OWNER), present, "what is not sent stays");
    assert_eq!(set(&nothing, SecurityInformation::DACL).dacl, None, "a null DACL");
    assert_eq!(
        set(&nothing, SecurityInformation::PROTECTED_DACL).control,
        present.control | Control::DACL_PROTECTED
    );
}

#[test]
fn labels_and_audit_entries_are_set_apart() {
    let of = |kind| Ace { kind, ..Ace::allow(Sid::EVERYONE, AccessMask::DELETE, NONE) };
    let with = |aces| SecurityDescriptor { sacl: Some(Acl { revision: 2, aces }), ..sd(ALICE, vec![]) };
    let (audit, label) = (of(AceType::SYSTEM_AUDIT), of(AceType::SYSTEM_MANDATORY_LABEL));
    let present = with(vec![audit.clone()]);
    let both = merge(&present, &with(vec![label.clone(), audit.clone()]), SecurityInformation::LABEL, false);
    assert_eq!(both.sacl.clone().unwrap().aces, vec![audit.clone(), label.clone()]);
    assert_eq!(both.clone().select(SecurityInformation::LABEL).sacl.unwrap().aces, vec![label.clone()]);
    assert_eq!(both.clone().select(SecurityInformation::SACL).sacl.unwrap().aces, vec![audit]);
    let cleared = merge(&both, &SecurityDescriptor::default(), SecurityInformation::SACL, false);
    assert_eq!(cleared.sacl.unwrap().aces, vec![label]);
}

#[test]
fn what_it_takes() {
    use SecurityInformation as Part;
    assert_eq!(needed_to_read(Part::empty()), AccessMask::empty());
    assert_eq!(needed_to_read(Part::DACL), AccessMask::READ_CONTROL);
    assert_eq!(needed_to_read(Part::SACL), AccessMask::ACCESS_SYSTEM_SECURITY);
    assert_eq!(needed_to_read(Part::LABEL), AccessMask::READ_CONTROL);
    assert_eq!(needed_to_write(Part::DACL), AccessMask::WRITE_DAC);
    assert_eq!(needed_to_write(Part::OWNER | Part::LABEL), AccessMask::WRITE_OWNER);
    assert_eq!(needed_to_write(Part::SACL), AccessMask::ACCESS_SYSTEM_SECURITY);
}
