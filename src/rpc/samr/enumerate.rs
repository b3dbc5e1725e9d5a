//! Lists of domains and accounts (MS-SAMR 3.1.5.2, 3.1.5.3).

use super::{Answer, MEMBERSHIP, NONE_NAME, NONE_RID, user};
use crate::auth::accounts::{By, UnixUser};
use crate::rpc::Context;
use crate::rpc::names::{self, Named};
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;
use std::collections::BTreeSet;

/// What one answer may take, whatever the client would take: answers wait in memory.
const MAX_ANSWER: u32 = 256 * 1024;

/// What an entry takes on the wire besides its text.
const ENTRY: usize = 64;

/// How many of the entries, whose texts have these lengths, fit into `budget` bytes; one at least, or a client with a
/// small budget would ask for ever.
fn fitting(texts: impl Iterator<Item = usize>, budget: u32) -> usize {
    let mut room = budget.min(MAX_ANSWER) as usize;
    let mut fits = |text: usize| {
        let left = room.checked_sub(ENTRY + 2 * text);
        room = left.unwrap_or(0);
        left.is_some()
    };
    texts.enumerate().take_while(|(i, text)| fits(*text) || *i == 0).count()
}

/// An enumeration of RIDs and names from its context on: the number of those already told.
fn told(entries: &[(u32, String)], context: u32, budget: u32) -> Vec<u8> {
    let left = entries.get(context as usize..).unwrap_or_default();
    let count = fitting(left.iter().map(|(_, name)| name.len()), budget);
    let mut w = NdrWriter::new();
    w.u32((entries.len() - left.len() + count) as u32);
    w.parameter(|w| {
        w.counted_array(left[..count].iter(), |w, (rid, name)| {
            w.u32(*rid);
            w.unicode(name);
        });
    });
    w.u32(count as u32);
    w.done(if count == left.len() { NtStatus::SUCCESS } else { NtStatus::MORE_ENTRIES })
}

/// SamrEnumerateDomainsInSamServer.
pub fn domains(context: &Context, r: &mut NdrReader<'_>) -> Answer {
    let (resume, budget) = (r.u32()?, r.u32()?);
    let entries: Vec<_> = names::domains(context).into_iter().map(|domain| (0, domain.domain)).collect();
    Ok(told(&entries, resume, budget))
}

/// The users of a domain.
pub fn users_of(context: &Context, domain: &Sid) -> Vec<UnixUser> {
    if *domain == Sid::UNIX_USERS { super::users(context) } else { Vec::new() }
}

/// SamrEnumerateUsersInDomain. All are normal accounts: a filter that does not let them through leaves none.
pub fn users(context: &Context, domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let (resume, filter, budget) = (r.u32()?, r.u32()?, r.u32()?);
    let wanted = filter == 0 || filter & user::NORMAL_ACCOUNT != 0;
    let users = if wanted { users_of(context, domain) } else { Vec::new() };
    let entries: Vec<_> = users.into_iter().map(|user| (user.uid, user.name)).collect();
    Ok(told(&entries, resume, budget))
}

fn groups_of(domain: &Sid) -> &'static [(u32, &'static str)] {
    if *domain == Sid::UNIX_USERS { &[(NONE_RID, NONE_NAME)] } else { &[] }
}

/// SamrEnumerateGroupsInDomain.
pub fn groups(domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let (resume, budget) = (r.u32()?, r.u32()?);
    let entries: Vec<_> = groups_of(domain).iter().map(|(rid, name)| (*rid, (*name).to_owned())).collect();
    Ok(told(&entries, resume, budget))
}

/// The aliases of a domain. Of Unix groups those that some user is in: all that a directory has may be many.
pub fn aliases_of(context: &Context, domain: &Sid) -> Vec<Named> {
    match *domain {
        Sid::BUILTIN => names::builtin().collect(),
        Sid::UNIX_GROUPS => {
            let gids: BTreeSet<u32> =
                super::users(context).iter().flat_map(|user| context.accounts.groups_of(user)).collect();
            gids.into_iter().filter_map(|gid| names::group(context, By::Id(gid))).collect()
        }
        _ => Vec::new(),
    }
}

/// SamrEnumerateAliasesInDomain.
pub fn aliases(context: &Context, domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let (resume, budget) = (r.u32()?, r.u32()?);
    let entries: Vec<_> =
        aliases_of(context, domain).into_iter().map(|alias| (alias.rid(), alias.name)).collect();
    Ok(told(&entries, resume, budget))
}

/// SamrQueryDisplayInformation* from the class on: 1 users, 2 machines, 3 groups, 4 and 5 the names of the first and
/// the third (MS-SAMR 2.2.8.12).
pub fn display(context: &Context, domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let class = r.u16()?;
    let (start, most, budget) = (r.u32()?, r.u32()?, r.u32()?);
    let mut w = NdrWriter::new();
    if !(1..=5).contains(&class) {
        w.u32(0);
        w.u32(0);
        w.u16(1);
        w.u32(0);
        w.pointer(false);
        return Ok(w.done(NtStatus::INVALID_INFO_CLASS));
    }
    let users = if matches!(class, 1 | 4) { users_of(context, domain) } else { Vec::new() };
    let groups = if matches!(class, 3 | 5) { groups_of(domain) } else { &[] };
    let texts: Vec<usize> = users
        .iter()
        .map(|user| user.name.len() + user.full_name.len())
        .chain(groups.iter().map(|(_, name)| name.len()))
        .collect();
    let start = (start as usize).min(texts.len());
    let left = texts.len() - start;
    let count = fitting(texts[start..].iter().copied(), budget).min(most as usize);
    let bytes = |texts: &[usize]| texts.iter().map(|text| (ENTRY + 2 * text) as u32).sum::<u32>();
    w.u32(bytes(&texts));
    w.u32(bytes(&texts[start..start + count]));
    w.u16(class);
    w.align(4);
    let chosen = |len: usize| if len == 0 { 0..0 } else { start..start + count };
    let index = |at: usize| (start + at + 1) as u32;
    let oem = |w: &mut NdrWriter, at: usize, name: &str| {
        w.u32(index(at));
        w.ansi(name);
    };
    let users = &users[chosen(users.len())];
    let groups = &groups[chosen(groups.len())];
    match class {
        1 => w.counted_array(users.iter().enumerate(), |w, (at, user)| {
            w.u32(index(at));
            w.u32(user.uid);
            w.u32(user::control(context, user));
            w.unicode(&user.name);
            w.unicode("");
            w.unicode(&user.full_name);
        }),
        3 => w.counted_array(groups.iter().enumerate(), |w, (at, (rid, name))| {
            w.u32(index(at));
            w.u32(*rid);
            w.u32(MEMBERSHIP);
            w.unicode(name);
            w.unicode("");
        }),
        4 => w.counted_array(users.iter().enumerate(), |w, (at, user)| oem(w, at, &user.name)),
        5 => w.counted_array(groups.iter().enumerate(), |w, (at, (_, name))| oem(w, at, name)),
        _ => w.counted_array([].iter(), |_, _: &()| ()),
    }
    Ok(w.done(if count == left { NtStatus::SUCCESS } else { NtStatus::MORE_ENTRIES }))
}
