//! The descriptor of a new object (MS-DTYP 2.5.3.4).

use super::mapped;
use crate::types::AccessMask;
use crate::wire::dtyp::{Ace, AceBody, AceFlags, Acl, Control, SecurityDescriptor, Sid};

const HOW: AceFlags = AceFlags::OBJECT_INHERIT
    .union(AceFlags::CONTAINER_INHERIT)
    .union(AceFlags::NO_PROPAGATE_INHERIT)
    .union(AceFlags::INHERIT_ONLY);

/// What an object made beneath `parent` gets, by a creator who sent `given` or nothing; `owner` and `group` are what
/// he did not send. Without an entry to inherit it is the owner's own (2.5.3.4.1 with the default DACL of Windows: he
/// and the system).
///
/// As NTFS does, inherited entries are merged with those given only where that is asked for (AUTO_INHERIT_REQ), and
/// are marked as inherited where the parent's ACL is.
pub fn new_descriptor(
    parent: Option<&SecurityDescriptor>,
    given: Option<&SecurityDescriptor>,
    container: bool,
    owner: Sid,
    group: Sid,
) -> SecurityDescriptor {
    let owner = given.and_then(|sd| sd.owner).unwrap_or(owner);
    let group = given.and_then(|sd| sd.group).unwrap_or(group);
    let control = |sd: Option<&SecurityDescriptor>| sd.map_or(Control::empty(), |sd| sd.control);
    let new = New { container, owner, group };
    let list = |which: Which| {
        new.acl(
            which,
            (control(parent), parent.and_then(|sd| which.of(sd))),
            (control(given), given.and_then(|sd| which.of(sd))),
        )
    };
    let (dacl_control, dacl) = list(Which::Dacl);
    let (sacl_control, sacl) = list(Which::Sacl);
    let default = || Acl {
        revision: 2,
        aces: [owner, Sid::SYSTEM].map(|sid| Ace::allow(sid, AccessMask::FILE_ALL, AceFlags::empty())).into(),
    };
    let settled = dacl_control.contains(Control::DACL_PRESENT);
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT | dacl_control | sacl_control,
        owner: Some(owner),
        group: Some(group),
        sacl,
        dacl: if settled { dacl } else { Some(default()) },
    }
}

#[derive(Clone, Copy)]
enum Which {
    Dacl,
    Sacl,
}

/// The same bits of either list.
struct Bits {
    present: Control,
    defaulted: Control,
    request: Control,
    inherited: Control,
    protected: Control,
}

impl Which {
    fn of(self, sd: &SecurityDescriptor) -> Option<&Acl> {
        match self {
            Which::Dacl => sd.dacl.as_ref(),
            Which::Sacl => sd.sacl.as_ref(),
        }
    }

    fn bits(self) -> Bits {
        match self {
            Which::Dacl => Bits {
                present: Control::DACL_PRESENT,
                defaulted: Control::DACL_DEFAULTED,
                request: Control::DACL_AUTO_INHERIT_REQ,
                inherited: Control::DACL_AUTO_INHERITED,
                protected: Control::DACL_PROTECTED,
            },
            Which::Sacl => Bits {
                present: Control::SACL_PRESENT,
                defaulted: Control::SACL_DEFAULTED,
                request: Control::SACL_AUTO_INHERIT_REQ,
                inherited: Control::SACL_AUTO_INHERITED,
                protected: Control::SACL_PROTECTED,
            },
        }
    }
}

struct New {
    container: bool,
    owner: Sid,
    group: Sid,
}

impl New {
    /// ComputeACL (2.5.3.4.2): the control bits, and the list if there is one. PRESENT without a list: a null DACL
    /// was given.
    fn acl(
        &self,
        which: Which,
        parent: (Control, Option<&Acl>),
        given: (Control, Option<&Acl>),
    ) -> (Control, Option<Acl>) {
        let bits = which.bits();
        let auto = parent.0.contains(bits.inherited);
        let inherited = || -> Vec<Ace> {
            let aces = parent.1.into_iter().flat_map(|acl| &acl.aces);
            aces.flat_map(|ace| self.inherit(ace, auto)).flatten().collect()
        };
        if given.0.contains(bits.present) && !given.0.contains(bits.defaulted) {
            let keep = bits.present | bits.protected | bits.inherited;
            let Some(acl) = given.1 else { return (given.0 & keep, None) };
            let mut aces: Vec<Ace> = acl.aces.iter().map(mapped).collect();
            let mut control = given.0 & keep;
            if given.0.contains(bits.request) && !given.0.contains(bits.protected) {
                aces.retain(|ace| !ace.flags.contains(AceFlags::INHERITED));
                aces.extend(inherited());
                control |= bits.inherited;
            }
            return (control, Some(Acl { revision: acl.revision, aces }));
        }
        let aces = inherited();
        if aces.is_empty() {
            return (Control::empty(), None);
        }
        let revision = parent.1.map_or(2, |acl| acl.revision);
        let mut control = bits.present;
        control.set(bits.inherited, auto);
        (control, Some(Acl { revision, aces }))
    }

    /// What becomes of one entry of the parent (2.5.3.4.4): at most one that is in force and one that goes on to
    /// children.
    fn inherit(&self, ace: &Ace, auto: bool) -> [Option<Ace>; 2] {
        let flags = ace.flags;
        let mark = if auto { AceFlags::INHERITED } else { AceFlags::empty() };
        let others = flags - HOW - AceFlags::INHERITED;
        if !self.container {
            let in_force = flags.contains(AceFlags::OBJECT_INHERIT);
            return [in_force.then(|| self.in_force(ace, others | mark)), None];
        }
        let goes_on = !flags.contains(AceFlags::NO_PROPAGATE_INHERIT);
        let both = flags & (AceFlags::OBJECT_INHERIT | AceFlags::CONTAINER_INHERIT);
        if !flags.contains(AceFlags::CONTAINER_INHERIT) {
            let passed = goes_on && flags.contains(AceFlags::OBJECT_INHERIT);
            let ace = || Ace { flags: others | mark | both | AceFlags::INHERIT_ONLY, ..ace.clone() };
            return [None, passed.then(ace)];
        }
        if !goes_on {
            return [Some(self.in_force(ace, others | mark)), None];
        }
        let here = self.in_force(ace, others | mark);
        if here.body == ace.body {
            return [Some(Ace { flags: here.flags | both, ..here }), None];
        }
        // Creators and generic rights mean something else with each child.
        let on = Ace { flags: others | mark | both | AceFlags::INHERIT_ONLY, ..ace.clone() };
        [Some(here), Some(on)]
    }

    fn in_force(&self, ace: &Ace, flags: AceFlags) -> Ace {
        let mut ace = mapped(&Ace { flags, ..ace.clone() });
        if let AceBody::Simple { sid, .. } = &mut ace.body {
            match *sid {
                Sid::CREATOR_OWNER => *sid = self.owner,
                Sid::CREATOR_GROUP => *sid = self.group,
                _ => {}
            }
        }
        ace
    }
}
