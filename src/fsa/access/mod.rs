//! Security descriptors: who may do what (MS-DTYP 2.5.3.2), what a new object gets (2.5.3.4), what a set makes of
//! the descriptor that is there (MS-FSA 2.1.5.17).

mod inherit;
mod set;
#[cfg(test)]
mod tests;
mod token;

pub use inherit::new_descriptor;
pub use set::{merge, needed_to_read, needed_to_write};
pub use token::{Bearer, Token};

use crate::types::AccessMask;
use crate::wire::dtyp::{Ace, AceBody, AceFlags, AceType, SecurityDescriptor, Sid};

/// What an owner may do whatever the DACL says, unless it speaks of OWNER RIGHTS.
pub const IMPLIED_BY_OWNERSHIP: AccessMask = AccessMask::READ_CONTROL.union(AccessMask::WRITE_DAC);

/// What backup and restore privileges give to who opens with that intent (MS-FSA 2.1.5.1).
const BACKUP: AccessMask = AccessMask::FILE_READ
    .union(AccessMask::TRAVERSE)
    .union(AccessMask::READ_CONTROL)
    .union(AccessMask::ACCESS_SYSTEM_SECURITY);
const RESTORE: AccessMask = AccessMask::FILE_WRITE
    .union(AccessMask::DELETE)
    .union(AccessMask::WRITE_DAC)
    .union(AccessMask::WRITE_OWNER)
    .union(AccessMask::ACCESS_SYSTEM_SECURITY);

/// Everything that the descriptor allows the bearer, generic rights mapped: the first entry that speaks of a right
/// and of him decides on it. A request is granted when it asks for nothing more (2.5.3.2 with and without
/// MAXIMUM_ALLOWED come to this). Privileges are in [`privileged`].
///
/// Entries with a condition count where they deny, and are passed over where they allow: conditions are about
/// claims, and nobody here has any. Object entries and unknown ones are passed over.
pub fn allowed(descriptor: &SecurityDescriptor, bearer: &Bearer<'_>) -> AccessMask {
    let owner = descriptor.owner.is_some_and(|owner| bearer.has(&owner));
    let Some(dacl) = &descriptor.dacl else { return AccessMask::FILE_ALL };
    let effective = || dacl.aces.iter().filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY));
    let mut granted = AccessMask::empty();
    if owner && !effective().any(|ace| ace.body.sid() == Some(&Sid::OWNER_RIGHTS)) {
        granted = IMPLIED_BY_OWNERSHIP;
    }
    let mut denied = AccessMask::empty();
    for ace in effective() {
        let AceBody::Simple { mask, sid, .. } = &ace.body else { continue };
        let his = if *sid == Sid::OWNER_RIGHTS { owner } else { bearer.has(sid) };
        if !his {
            continue;
        }
        let mask = mask.map_generic() & AccessMask::FILE_ALL;
        match ace.kind {
            AceType::ACCESS_ALLOWED => granted |= mask - denied,
            AceType::ACCESS_DENIED | AceType::ACCESS_DENIED_CALLBACK => denied |= mask - granted,
            _ => {}
        }
    }
    granted
}

/// What privileges add, whatever the descriptor says: SeSecurity and SeTakeOwnership always, SeBackup and SeRestore
/// to an open with that intent.
pub fn privileged(token: &Token, backup_intent: bool) -> AccessMask {
    match (token.is_privileged(), backup_intent) {
        (false, _) => AccessMask::empty(),
        (true, false) => AccessMask::WRITE_OWNER | AccessMask::ACCESS_SYSTEM_SECURITY,
        (true, true) => AccessMask::WRITE_OWNER | BACKUP | RESTORE,
    }
}

/// What the directory above adds to what an object's own descriptor allows (MS-FSA 2.1.5.1.2.1).
pub fn from_above(directory: AccessMask) -> AccessMask {
    let mut out = AccessMask::empty();
    out.set(AccessMask::DELETE, directory.contains(AccessMask::DELETE_CHILD));
    out.set(AccessMask::READ_ATTRIBUTES, directory.contains(AccessMask::LIST_DIRECTORY));
    out
}

/// The right to add to a directory.
pub fn needed_to_add(directory: bool) -> AccessMask {
    if directory { AccessMask::ADD_SUBDIRECTORY } else { AccessMask::ADD_FILE }
}

/// What it takes to be shown in a directory with access based enumeration.
pub const NEEDED_TO_SEE: AccessMask = AccessMask::READ_DATA
    .union(AccessMask::READ_EA)
    .union(AccessMask::READ_ATTRIBUTES)
    .union(AccessMask::READ_CONTROL);

/// Generic rights replaced by what they stand for. Those that only wait to be inherited stay generic: what they
/// come to is known when they are.
fn mapped(ace: &Ace) -> Ace {
    let mut ace = ace.clone();
    if !ace.flags.contains(AceFlags::INHERIT_ONLY)
        && let AceBody::Simple { mask, .. } = &mut ace.body
    {
        *mask = mask.map_generic();
    }
    ace
}
