//! Groups and aliases, and who is in them (MS-SAMR 3.1.5.5.2, 3.1.5.5.3, 3.1.5.8, 3.1.5.9).

use super::{Answer, MEMBERSHIP, NONE_NAME, informed, users};
use crate::auth::accounts::By;
use crate::rpc::Context;
use crate::rpc::names::{self, Kind, Named};
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;
use std::collections::BTreeSet;

/// The most SIDs of one call.
const MOST_SIDS: u32 = 1024;

/// SamrQueryInformationGroup of None: general, name, attributes, comment, and general again for replication.
pub fn query_none(context: &Context, r: &mut NdrReader<'_>) -> Answer {
    let class = r.u16()?;
    Ok(informed(class, (1..=5).contains(&class), |w| match class {
        2 => w.unicode(NONE_NAME),
        3 => w.u32(MEMBERSHIP),
        4 => w.unicode(""),
        _ => {
            w.unicode(NONE_NAME);
            w.u32(MEMBERSHIP);
            w.u32(users(context).len() as u32);
            w.unicode("");
        }
    }))
}

/// SamrGetMembersInGroup of None: SAMPR_GET_MEMBERS_BUFFER.
pub fn members_of_none(context: &Context) -> Answer {
    let users = users(context);
    let mut w = NdrWriter::new();
    w.parameter(|w| {
        w.counted_array(users.iter(), |w, user| w.u32(user.uid));
        w.array(users.iter(), |w, _| w.u32(MEMBERSHIP));
    });
    Ok(w.done(NtStatus::SUCCESS))
}

/// An alias by its SID.
pub fn alias(context: &Context, sid: &Sid) -> Option<Named> {
    names::of_sid(context, sid).filter(|named| named.kind == Kind::ALIAS)
}

/// Of Unix groups and of Users: those who can log on. Of Administrators: root. Of the others: nobody. It is what
/// `Token::has` says of them.
fn members(context: &Context, alias: &Sid) -> Vec<Sid> {
    match *alias {
        Sid::BUILTIN_ADMINISTRATORS => vec![Sid::unix_user(0)],
        Sid::BUILTIN_USERS => users(context).iter().map(|user| Sid::unix_user(user.uid)).collect(),
        _ => match alias.as_unix_group() {
            Some(gid) => users(context)
                .iter()
                .filter(|user| context.accounts.groups_of(user).contains(&gid))
                .map(|user| Sid::unix_user(user.uid))
                .collect(),
            None => Vec::new(),
        },
    }
}

/// SamrGetMembersInAlias: SAMPR_PSID_ARRAY_OUT.
pub fn members_of_alias(context: &Context, alias: &Sid) -> Answer {
    let members = members(context, alias);
    let mut w = NdrWriter::new();
    w.counted_array(members.iter(), |w, sid| w.sid_pointer(Some(sid)));
    Ok(w.done(NtStatus::SUCCESS))
}

/// SamrQueryInformationAlias: general, name, comment.
pub fn query_alias(context: &Context, sid: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let class = r.u16()?;
    let name = alias(context, sid).map_or_else(String::new, |named| named.name);
    Ok(informed(class, (1..=3).contains(&class), |w| match class {
        1 => {
            w.unicode(&name);
            w.u32(members(context, sid).len() as u32);
            w.unicode("");
        }
        2 => w.unicode(&name),
        _ => w.unicode(""),
    }))
}

/// SamrGetAliasMembership: the aliases of the domain that any of these accounts is in.
pub fn aliases_of(context: &Context, domain: &Sid, r: &mut NdrReader<'_>) -> Answer {
    let mut found = BTreeSet::new();
    for sid in r.sids(MOST_SIDS)? {
        let Some(user) = sid.as_unix_user().and_then(|uid| context.accounts.user(By::Id(uid))) else {
            continue;
        };
        match *domain {
            Sid::UNIX_GROUPS => found.extend(context.accounts.groups_of(&user)),
            Sid::BUILTIN => {
                let aliases = [Sid::BUILTIN_ADMINISTRATORS, Sid::BUILTIN_USERS];
                let of = aliases.iter().filter(|alias| members(context, alias).contains(&sid));
                found.extend(of.filter_map(|alias| alias.split()).map(|(_, rid)| rid));
            }
            _ => {}
        }
    }
    let mut w = NdrWriter::new();
    w.counted_array(found.iter(), |w, rid| w.u32(*rid));
    Ok(w.done(NtStatus::SUCCESS))
}
