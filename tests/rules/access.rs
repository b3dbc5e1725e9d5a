//! The access check and inheritance against the procedures of MS-DTYP 2.5.3.2 and 2.5.3.4, done literally: one right
//! asked for at a time, remaining rights crossed off.

use crate::driver::{Rng, World, same};
use smbgate::fsa::access::{Bearer, Token, allowed, new_descriptor};
use smbgate::types::AccessMask;
use smbgate::wire::dtyp::{Ace, AceBody, AceFlags, AceType, Acl, Control, SecurityDescriptor, Sid};

const UID: u32 = 1000;
const GID: u32 = 100;
const USER: Sid = Sid::unix_user(UID);
const GROUP: Sid = Sid::unix_group(GID);
const SIDS: [Sid; 9] = [
    USER,
    GROUP,
    Sid::unix_user(1001),
    Sid::unix_group(101),
    Sid::EVERYONE,
    Sid::ANONYMOUS,
    Sid::OWNER_RIGHTS,
    Sid::CREATOR_OWNER,
    Sid::CREATOR_GROUP,
];
/// What the token holds.
const HIS: [Sid; 3] = [USER, GROUP, Sid::EVERYONE];

pub struct Model;

#[derive(Clone, Debug)]
pub enum Step {
    Check { owner: Sid, aces: Vec<Ace>, asked: AccessMask },
    Inherit { control: Control, aces: Vec<Ace>, container: bool },
}

fn aces(rng: &mut Rng) -> Vec<Ace> {
    let one = |rng: &mut Rng| {
        let mask = match rng.below(4) {
            0 => AccessMask::GENERIC_READ,
            1 => AccessMask::GENERIC_ALL,
            _ => AccessMask::from_bits_retain(rng.next() as u32) & AccessMask::FILE_ALL,
        };
        let flags = AceFlags::from_bits_retain(rng.below(32) as u8);
        // Mostly in force.
        let flags = if rng.one_in(3) { flags } else { flags - AceFlags::INHERIT_ONLY };
        let kind = if rng.one_in(3) { AceType::ACCESS_DENIED } else { AceType::ACCESS_ALLOWED };
        Ace { kind, ..Ace::allow(rng.pick(&SIDS), mask, flags) }
    };
    (0..rng.below(6)).map(|_| one(rng)).collect()
}

fn parts(ace: &Ace) -> (AccessMask, Sid) {
    match &ace.body {
        AceBody::Simple { mask, sid, .. } => (*mask, *sid),
        AceBody::Opaque(_) => unreachable!("none are made"),
    }
}

/// 2.5.3.2 for a request without MAXIMUM_ALLOWED.
fn access_check(owner: Sid, aces: &[Ace], asked: AccessMask) -> bool {
    let in_token = |sid: Sid| HIS.contains(&sid) || (sid == Sid::OWNER_RIGHTS && HIS.contains(&owner));
    let in_force: Vec<&Ace> = aces.iter().filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY)).collect();
    let mut remaining = asked;
    if HIS.contains(&owner) && !in_force.iter().any(|ace| parts(ace).1 == Sid::OWNER_RIGHTS) {
        remaining &= !(AccessMask::READ_CONTROL | AccessMask::WRITE_DAC);
    }
    for ace in in_force {
        let (mask, sid) = parts(ace);
        if !in_token(sid) {
            continue;
        }
        if ace.kind == AceType::ACCESS_DENIED {
            if remaining.intersects(mask.map_generic()) {
                return false;
            }
        } else {
            remaining &= !mask.map_generic();
        }
    }
    remaining.is_empty()
}

/// What a child made with that list may do, entry by entry: who, what, whether it is in force on the child.
/// Inherited entries are looked at by what they mean to the child and to a file and a directory made in it.
fn meaning(aces: &[Ace], container: bool) -> Vec<(AceType, AccessMask, Sid)> {
    let mut out = Vec::new();
    for ace in aces {
        let applies = ace.flags.contains(if container {
            AceFlags::CONTAINER_INHERIT
        } else {
            AceFlags::OBJECT_INHERIT
        });
        if applies {
            let (mask, sid) = parts(ace);
            let sid = match sid {
                Sid::CREATOR_OWNER => USER,
                Sid::CREATOR_GROUP => GROUP,
                sid => sid,
            };
            out.push((ace.kind, mask.map_generic(), sid));
        }
    }
    out
}

/// A directory also takes what only files made in it are to get.
fn passes(further: &[Ace], container: bool) -> bool {
    container && !meaning(further, false).is_empty()
}

fn in_force(sd: &SecurityDescriptor) -> Vec<(AceType, AccessMask, Sid)> {
    let aces = &sd.dacl.as_ref().expect("always one").aces;
    let here = aces.iter().filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY));
    here.map(|ace| (ace.kind, parts(ace).0, parts(ace).1)).collect()
}

fn default() -> Vec<(AceType, AccessMask, Sid)> {
    [USER, Sid::SYSTEM].map(|sid| (AceType::ACCESS_ALLOWED, AccessMask::FILE_ALL, sid)).to_vec()
}

fn descriptor(owner: Sid, control: Control, aces: Vec<Ace>) -> SecurityDescriptor {
    SecurityDescriptor {
        control: control | Control::DACL_PRESENT,
        owner: Some(owner),
        dacl: Some(Acl { revision: 2, aces }),
        ..SecurityDescriptor::default()
    }
}

fn check_inheritance(control: Control, aces: &[Ace], container: bool) -> Result<(), String> {
    let parent = descriptor(Sid::SYSTEM, control, aces.to_vec());
    let child = new_descriptor(Some(&parent), None, container, USER, GROUP);
    let passes_on = |ace: &&Ace| !ace.flags.contains(AceFlags::NO_PROPAGATE_INHERIT);
    let further: Vec<Ace> = aces.iter().filter(passes_on).cloned().collect();
    let direct = meaning(aces, container);
    let nothing = direct.is_empty() && !passes(&further, container);
    let want = if nothing { default() } else { direct };
    same("in force on the child", in_force(&child), want)?;
    if nothing {
        return Ok(());
    }
    let auto = control.contains(Control::DACL_AUTO_INHERITED);
    let list = &child.dacl.as_ref().expect("always one").aces;
    same("marked as inherited", list.iter().all(|a| a.flags.contains(AceFlags::INHERITED) == auto), true)?;
    same("AUTO_INHERITED", child.control.contains(Control::DACL_AUTO_INHERITED), auto)?;
    if !container {
        return same(
            "a file passes nothing on",
            list.iter().all(|a| (a.flags - AceFlags::INHERITED).is_empty()),
            true,
        );
    }
    // Two steps down is as one step from those that pass on.
    for grandchild in [false, true] {
        let made = new_descriptor(Some(&child), None, grandchild, USER, GROUP);
        let direct = meaning(&further, grandchild);
        let nothing = direct.is_empty() && !passes(&further, grandchild);
        same("in force two steps down", in_force(&made), if nothing { default() } else { direct })?;
    }
    Ok(())
}

impl World for Model {
    type Step = Step;

    fn new() -> Model {
        Model
    }

    fn random(rng: &mut Rng) -> Step {
        if rng.one_in(2) {
            let asked =
                AccessMask::from_bits_retain(rng.next() as u32 & rng.next() as u32) & AccessMask::FILE_ALL;
            return Step::Check { owner: rng.pick(&SIDS), aces: aces(rng), asked };
        }
        let auto = if rng.one_in(2) { Control::DACL_AUTO_INHERITED } else { Control::empty() };
        Step::Inherit { control: auto | Control::DACL_PROTECTED, aces: aces(rng), container: rng.one_in(2) }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Check { owner, aces, asked } => {
                let sd = descriptor(*owner, Control::empty(), aces.clone());
                let token = Token::new(UID, GID, [].into(), true);
                let most = allowed(&sd, &Bearer::new(&token, &sd, 0, 0));
                same("granted", most.contains(*asked), access_check(*owner, aces, *asked))?;
                let each = (0..32).map(|bit| AccessMask::from_bits_retain(1 << bit));
                let single = each.filter(|bit| AccessMask::FILE_ALL.contains(*bit));
                let sum = single.filter(|bit| access_check(*owner, aces, *bit));
                same("MAXIMUM_ALLOWED", most, sum.fold(AccessMask::empty(), |all, bit| all | bit))
            }
            Step::Inherit { control, aces, container } => check_inheritance(*control, aces, *container),
        }
    }
}
