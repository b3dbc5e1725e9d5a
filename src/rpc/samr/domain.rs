//! A domain, and what it calls its accounts (MS-SAMR 3.1.5.1.5, 3.1.5.5.1, 3.1.5.11).

use super::{Answer, NONE_NAME, NONE_RID, enumerate, informed, users};
use crate::auth::accounts::By;
use crate::rpc::Context;
use crate::rpc::names::{self, Kind, Named};
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::types::{NtStatus, open_enum};
use crate::wire::dtyp::Sid;

open_enum! {
    /// DOMAIN_INFORMATION_CLASS (MS-SAMR 2.2.3.16).
    pub struct Class(u16) {
        PASSWORD = 1,
        GENERAL = 2,
        LOGOFF = 3,
        OEM = 4,
        NAME = 5,
        REPLICATION = 6,
        SERVER_ROLE = 7,
        MODIFIED = 8,
        STATE = 9,
        GENERAL2 = 11,
        LOCKOUT = 12,
        MODIFIED2 = 13,
    }
}

/// DomainServerRolePrimary, DomainServerEnabled (MS-SAMR 2.2.3.6, 2.2.3.2).
const PRIMARY: u32 = 3;
const ENABLED: u32 = 1;
/// A span of time that never ends.
const NEVER: u64 = 0x8000_0000_0000_0000;
/// The most names or RIDs of one call.
const MOST: u32 = 1000;

/// SamrLookupDomainInSamServer.
pub fn look_up(context: &Context, r: &mut NdrReader<'_>) -> Answer {
    let name = r.unicode()?;
    let mut w = NdrWriter::new();
    if name.is_empty() {
        w.pointer(false);
        return Ok(w.done(NtStatus::INVALID_PARAMETER));
    }
    let domain = names::domain_of_name(context, &name).filter(|domain| domain.sid != Sid::NT_AUTHORITY);
    match &domain {
        Some(domain) => w.parameter(|w| w.sid(&domain.sid)),
        None => w.pointer(false),
    }
    Ok(w.done(if domain.is_some() { NtStatus::SUCCESS } else { NtStatus::NO_SUCH_DOMAIN }))
}

/// No rules for passwords: whoever sets one here is the administrator.
fn password(w: &mut NdrWriter) {
    w.align(4);
    w.u16(0);
    w.u16(0);
    w.u32(0);
    w.old_large(NEVER);
    w.old_large(0);
}

fn general(w: &mut NdrWriter, context: &Context, domain: &Sid) {
    w.old_large(NEVER);
    w.unicode("");
    w.unicode(&name_of(context, domain));
    w.unicode("");
    w.old_large(0);
    w.u32(ENABLED);
    w.u32(PRIMARY);
    w.u8(0);
    let own = *domain == Sid::UNIX_USERS;
    w.u32(if own { users(context).len() as u32 } else { 0 });
    w.u32(u32::from(own));
    w.u32(enumerate::aliases_of(context, domain).len() as u32);
}

/// Accounts are not locked out: failed logons are slowed down instead.
fn lockout(w: &mut NdrWriter) {
    w.u64(0);
    w.u64(0);
    w.u16(0);
}

fn name_of(context: &Context, domain: &Sid) -> String {
    names::domains(context).into_iter().find(|d| d.sid == *domain).map_or_else(String::new, |d| d.domain)
}

/// SamrQueryInformationDomain, SamrQueryInformationDomain2 from the class on.
pub fn query(context: &Context, domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let class = Class(r.u16()?);
    Ok(informed(class.0, class.name().is_some(), |w| match class {
        Class::PASSWORD => password(w),
        Class::GENERAL => general(w, context, domain),
        Class::LOGOFF => w.old_large(NEVER),
        Class::OEM | Class::REPLICATION => w.unicode(""),
        Class::NAME => w.unicode(&name_of(context, domain)),
        Class::SERVER_ROLE => w.u32(PRIMARY),
        Class::STATE => w.u32(ENABLED),
        Class::GENERAL2 => {
            w.align(8);
            general(w, context, domain);
            lockout(w);
        }
        Class::LOCKOUT => lockout(w),
        Class::MODIFIED | Class::MODIFIED2 => {
            let times = if class == Class::MODIFIED { 2 } else { 3 };
            (0..times).for_each(|_| w.old_large(0));
        }
        _ => unreachable!("a class without a name"),
    }))
}

/// SamrGetUserDomainPasswordInformation, SamrGetDomainPasswordInformation.
pub fn password_rules() -> Answer {
    let mut w = NdrWriter::new();
    w.u16(0);
    w.u32(0);
    Ok(w.done(NtStatus::SUCCESS))
}

fn none() -> Option<Named> {
    Some(Named {
        sid: Sid::UNIX_USERS.child(NONE_RID)?,
        kind: Kind::GROUP,
        name: NONE_NAME.into(),
        domain: String::new(),
    })
}

/// An account of the domain by its name; the group None if no user has that name.
fn of_name(context: &Context, domain: &Sid, name: &str) -> Option<Named> {
    let is_none = *domain == Sid::UNIX_USERS && name.eq_ignore_ascii_case(NONE_NAME);
    names::in_domain(context, domain, name).or_else(|| if is_none { none() } else { None })
}

fn of_rid(context: &Context, domain: &Sid, rid: u32) -> Option<Named> {
    let found = match *domain {
        Sid::UNIX_USERS => names::user(context, By::Id(rid)),
        Sid::UNIX_GROUPS => names::group(context, By::Id(rid)),
        _ => domain.child(rid).and_then(|sid| names::of_sid(context, &sid)),
    };
    let is_none = *domain == Sid::UNIX_USERS && rid == NONE_RID;
    found.or_else(|| if is_none { none() } else { None })
}

fn mapped(found: &[Option<Named>]) -> NtStatus {
    match found.iter().flatten().count() {
        n if n == found.len() => NtStatus::SUCCESS,
        0 => NtStatus::NONE_MAPPED,
        _ => NtStatus::SOME_NOT_MAPPED,
    }
}

fn kinds(w: &mut NdrWriter, found: &[Option<Named>]) {
    w.counted_array(found.iter(), |w, named| {
        w.u32(named.as_ref().map_or(Kind::UNKNOWN, |n| n.kind).0.into());
    });
    w.pointees();
}

/// SamrLookupNamesInDomain.
pub fn names(context: &Context, domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let count = r.u32()?;
    let count = r.varying(count, MOST)?;
    let found: Vec<Option<Named>> =
        r.unicodes(count)?.iter().map(|name| of_name(context, domain, name)).collect();
    let mut w = NdrWriter::new();
    w.counted_array(found.iter(), |w, named| w.u32(named.as_ref().map_or(0, Named::rid)));
    w.pointees();
    kinds(&mut w, &found);
    Ok(w.done(mapped(&found)))
}

/// SamrLookupIdsInDomain.
pub fn ids(context: &Context, domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let count = r.u32()?;
    let count = r.varying(count, MOST)?;
    let rids = r.each(count, 4, NdrReader::u32)?;
    let found: Vec<Option<Named>> = rids.iter().map(|rid| of_rid(context, domain, *rid)).collect();
    let mut w = NdrWriter::new();
    w.counted_array(found.iter(), |w, named| w.unicode(named.as_ref().map_or("", |n| &n.name)));
    w.pointees();
    kinds(&mut w, &found);
    Ok(w.done(mapped(&found)))
}
