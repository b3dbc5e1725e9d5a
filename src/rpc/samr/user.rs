//! One user (MS-SAMR 3.1.5.5.5, 3.1.5.9.1).

use super::{Answer, MEMBERSHIP, NONE_RID, informed};
use crate::auth::accounts::{By, UnixUser};
use crate::rpc::Context;
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::types::{NtStatus, open_enum};

open_enum! {
    /// USER_INFORMATION_CLASS (MS-SAMR 2.2.6.28).
    pub struct Class(u16) {
        GENERAL = 1,
        PREFERENCES = 2,
        LOGON = 3,
        LOGON_HOURS = 4,
        ACCOUNT = 5,
        NAME = 6,
        ACCOUNT_NAME = 7,
        FULL_NAME = 8,
        PRIMARY_GROUP = 9,
        HOME = 10,
        SCRIPT = 11,
        PROFILE = 12,
        ADMIN_COMMENT = 13,
        WORK_STATIONS = 14,
        CONTROL = 16,
        EXPIRES = 17,
        PARAMETERS = 20,
        ALL = 21,
    }
}

/// USER_ACCOUNT codes (MS-SAMR 2.2.1.12).
pub const ACCOUNT_DISABLED: u32 = 0x0000_0001;
pub const NORMAL_ACCOUNT: u32 = 0x0000_0010;
pub const DONT_EXPIRE_PASSWORD: u32 = 0x0000_0200;

/// A point in time that never comes.
const NEVER: u64 = 0x7FFF_FFFF_FFFF_FFFF;
/// Hours of a week.
const HOURS: u16 = 168;
/// Every field of SAMPR_USER_ALL_INFORMATION that is told (MS-SAMR 2.2.1.8): all but passwords, private data and the
/// security descriptor.
const TOLD: u32 = 0x00FF_FFFF;

pub fn control(context: &Context, user: &UnixUser) -> u32 {
    let disabled = if context.accounts.is_disabled(&user.name) { ACCOUNT_DISABLED } else { 0 };
    NORMAL_ACCOUNT | DONT_EXPIRE_PASSWORD | disabled
}

/// Strings that nothing stands in here: home, profile, comments.
fn blanks(w: &mut NdrWriter, count: usize) {
    (0..count).for_each(|_| w.unicode(""));
}

fn names(w: &mut NdrWriter, user: &UnixUser) {
    w.unicode(&user.name);
    w.unicode(&user.full_name);
}

/// SAMPR_LOGON_HOURS: every hour. The array's size is fixed at 1260, a byte for eight hours is sent.
fn logon_hours(w: &mut NdrWriter) {
    w.align(4);
    w.u16(HOURS);
    w.embedded(|w| {
        for field in [1260, 0, u32::from(HOURS / 8)] {
            w.u32(field);
        }
        (0..HOURS / 8).for_each(|_| w.u8(0xFF));
    });
}

/// BadPasswordCount and LogonCount, which nobody counts.
fn counts(w: &mut NdrWriter) {
    w.u16(0);
    w.u16(0);
}

/// SAMPR_USER_ALL_INFORMATION.
fn all(w: &mut NdrWriter, context: &Context, user: &UnixUser) {
    // Last logon and logoff, password set, account expires, password can and must change.
    for time in [0, 0, 0, NEVER, 0, NEVER] {
        w.old_large(time);
    }
    names(w, user);
    blanks(w, 8);
    // Two short blobs for hashes, a string of private data.
    blanks(w, 3);
    w.sized_bytes(&[]);
    w.u32(user.uid);
    w.u32(NONE_RID);
    w.u32(control(context, user));
    w.u32(TOLD);
    logon_hours(w);
    counts(w);
    // Country and code page; flags about passwords and private data.
    w.u16(0);
    w.u16(0);
    (0..4).for_each(|_| w.u8(0));
}

/// SamrQueryInformationUser, SamrQueryInformationUser2 from the class on.
pub fn query(context: &Context, uid: u32, r: &mut NdrReader<'_>) -> Answer {
    let class = Class(r.u16()?);
    let Some(user) = context.accounts.user(By::Id(uid)) else {
        let mut w = NdrWriter::new();
        w.pointer(false);
        return Ok(w.done(NtStatus::NO_SUCH_USER));
    };
    Ok(informed(class.0, class.name().is_some(), |w| {
        w.align(4);
        match class {
            Class::GENERAL => {
                names(w, &user);
                w.u32(NONE_RID);
                blanks(w, 2);
            }
            Class::PREFERENCES => {
                blanks(w, 2);
                w.u16(0);
                w.u16(0);
            }
            Class::LOGON => {
                names(w, &user);
                w.u32(user.uid);
                w.u32(NONE_RID);
                blanks(w, 5);
                for time in [0, 0, 0, 0, NEVER] {
                    w.old_large(time);
                }
                logon_hours(w);
                counts(w);
                w.u32(control(context, &user));
            }
            Class::LOGON_HOURS => logon_hours(w),
            Class::ACCOUNT => {
                names(w, &user);
                w.u32(user.uid);
                w.u32(NONE_RID);
                blanks(w, 6);
                w.old_large(0);
                w.old_large(0);
                logon_hours(w);
                counts(w);
                w.old_large(0);
                w.old_large(NEVER);
                w.u32(control(context, &user));
            }
            Class::NAME => names(w, &user),
            Class::ACCOUNT_NAME => w.unicode(&user.name),
            Class::FULL_NAME => w.unicode(&user.full_name),
            Class::PRIMARY_GROUP => w.u32(NONE_RID),
            Class::HOME => blanks(w, 2),
            Class::CONTROL => w.u32(control(context, &user)),
            Class::EXPIRES => w.old_large(NEVER),
            Class::ALL => all(w, context, &user),
            Class::SCRIPT
            | Class::PROFILE
            | Class::ADMIN_COMMENT
            | Class::WORK_STATIONS
            | Class::PARAMETERS => blanks(w, 1),
            _ => unreachable!("a class without a name"),
        }
    }))
}

/// SamrGetGroupsForUser: SAMPR_GET_GROUPS_BUFFER. Everybody is in None; Unix groups are aliases.
pub fn groups() -> Answer {
    let mut w = NdrWriter::new();
    w.parameter(|w| {
        w.counted_array([NONE_RID].iter(), |w, rid| {
            w.u32(*rid);
            w.u32(MEMBERSHIP);
        });
    });
    Ok(w.done(NtStatus::SUCCESS))
}
