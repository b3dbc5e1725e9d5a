//! Names of SIDs and SIDs of names: one picture for lsarpc and samr.
//!
//! ```text
//!   S-1-22-1   the server's account domain, by the server's name or "Unix User": Unix users, by uid
//!   S-1-22-2   "Unix Group": Unix groups, by gid
//!   S-1-5-32   "BUILTIN": the aliases every machine has
//!   S-1-5      "NT AUTHORITY", and those of Everyone, CREATOR OWNER ..., which have no name: well-known groups
//! ```
//!
//! So an account has the SID here that it has in the security descriptors of files.

use super::Context;
use crate::auth::accounts::By;
use crate::types::open_enum;
use crate::wire::dtyp::Sid;

open_enum! {
    /// SID_NAME_USE (MS-LSAT 2.2.13, MS-SAMR 2.2.2.3).
    pub struct Kind(u16) {
        USER = 1,
        GROUP = 2,
        DOMAIN = 3,
        ALIAS = 4,
        WELL_KNOWN_GROUP = 5,
        UNKNOWN = 8,
    }
}

/// A SID with its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    pub sid: Sid,
    pub kind: Kind,
    /// A domain's is empty: `domain` says it.
    pub name: String,
    pub domain: String,
}

impl Named {
    /// The domain it is of, or is.
    pub fn domain_sid(&self) -> Sid {
        match self.sid.split() {
            Some((domain, _)) if self.kind != Kind::DOMAIN => domain,
            _ => self.sid,
        }
    }

    /// All ones: a domain has none.
    pub fn rid(&self) -> u32 {
        match self.sid.split() {
            Some((_, rid)) if self.kind != Kind::DOMAIN => rid,
            _ => u32::MAX,
        }
    }
}

const UNIX_USER: &str = "Unix User";
const UNIX_GROUP: &str = "Unix Group";
const BUILTIN: &str = "BUILTIN";
const NT_AUTHORITY: &str = "NT AUTHORITY";

struct Row {
    sid: Sid,
    domain: &'static str,
    name: &'static str,
}

const fn row(authority: u8, parts: &[u32], domain: &'static str, name: &'static str) -> Row {
    Row { sid: Sid::new(authority, parts), domain, name }
}

/// MS-DTYP 2.4.2.4.
static WELL_KNOWN: [Row; 33] = [
    row(0, &[0], "", "NULL SID"),
    row(1, &[0], "", "Everyone"),
    row(2, &[0], "", "LOCAL"),
    row(2, &[1], "", "CONSOLE LOGON"),
    row(3, &[0], "", "CREATOR OWNER"),
    row(3, &[1], "", "CREATOR GROUP"),
    row(3, &[4], "", "OWNER RIGHTS"),
    row(5, &[1], NT_AUTHORITY, "DIALUP"),
    row(5, &[2], NT_AUTHORITY, "NETWORK"),
    row(5, &[3], NT_AUTHORITY, "BATCH"),
    row(5, &[4], NT_AUTHORITY, "INTERACTIVE"),
    row(5, &[6], NT_AUTHORITY, "SERVICE"),
    row(5, &[7], NT_AUTHORITY, "ANONYMOUS LOGON"),
    row(5, &[9], NT_AUTHORITY, "ENTERPRISE DOMAIN CONTROLLERS"),
    row(5, &[10], NT_AUTHORITY, "SELF"),
    row(5, &[11], NT_AUTHORITY, "Authenticated Users"),
    row(5, &[12], NT_AUTHORITY, "RESTRICTED"),
    row(5, &[13], NT_AUTHORITY, "TERMINAL SERVER USER"),
    row(5, &[14], NT_AUTHORITY, "REMOTE INTERACTIVE LOGON"),
    row(5, &[15], NT_AUTHORITY, "This Organization"),
    row(5, &[17], NT_AUTHORITY, "IUSR"),
    row(5, &[18], NT_AUTHORITY, "SYSTEM"),
    row(5, &[19], NT_AUTHORITY, "LOCAL SERVICE"),
    row(5, &[20], NT_AUTHORITY, "NETWORK SERVICE"),
    row(5, &[32, 544], BUILTIN, "Administrators"),
    row(5, &[32, 545], BUILTIN, "Users"),
    row(5, &[32, 546], BUILTIN, "Guests"),
    row(5, &[32, 547], BUILTIN, "Power Users"),
    row(5, &[32, 548], BUILTIN, "Account Operators"),
    row(5, &[32, 549], BUILTIN, "Server Operators"),
    row(5, &[32, 550], BUILTIN, "Print Operators"),
    row(5, &[32, 551], BUILTIN, "Backup Operators"),
    row(5, &[32, 552], BUILTIN, "Replicator"),
];

impl Row {
    fn named(&self) -> Named {
        let kind = if self.domain == BUILTIN { Kind::ALIAS } else { Kind::WELL_KNOWN_GROUP };
        Named { sid: self.sid, kind, name: self.name.into(), domain: self.domain.into() }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase()
}

/// The aliases of BUILTIN, by name.
pub fn builtin() -> impl Iterator<Item = Named> {
    WELL_KNOWN.iter().filter(|row| row.domain == BUILTIN).map(Row::named)
}

/// The domains that have accounts, the server's own first.
pub fn domains(context: &Context) -> [Named; 3] {
    let domain =
        |sid, name: &str| Named { sid, kind: Kind::DOMAIN, name: String::new(), domain: name.into() };
    [
        domain(Sid::UNIX_USERS, &context.netbios_name),
        domain(Sid::BUILTIN, BUILTIN),
        domain(Sid::UNIX_GROUPS, UNIX_GROUP),
    ]
}

/// A domain by its name; the account domain has three.
pub fn domain_of_name(context: &Context, name: &str) -> Option<Named> {
    let names_us = |n: &str| same(n, UNIX_USER) || same(n, &context.server_name);
    let name = if names_us(name) { &context.netbios_name } else { name };
    if same(name, NT_AUTHORITY) {
        let (sid, name) = (Sid::NT_AUTHORITY, String::new());
        return Some(Named { sid, kind: Kind::DOMAIN, name, domain: NT_AUTHORITY.into() });
    }
    domains(context).into_iter().find(|d| same(&d.domain, name))
}

/// Looks up accounts: may block.
pub fn user(context: &Context, by: By<'_>) -> Option<Named> {
    let user = context.accounts.user(by)?;
    let domain = context.netbios_name.clone();
    Some(Named { sid: Sid::unix_user(user.uid), kind: Kind::USER, name: user.name, domain })
}

/// Looks up accounts: may block.
pub fn group(context: &Context, by: By<'_>) -> Option<Named> {
    let group = context.accounts.group(by)?;
    // An alias: a group of this machine's own, as Windows calls them.
    Some(Named {
        sid: Sid::unix_group(group.gid),
        kind: Kind::ALIAS,
        name: group.name,
        domain: UNIX_GROUP.into(),
    })
}

/// Looks up accounts: may block.
pub fn of_sid(context: &Context, sid: &Sid) -> Option<Named> {
    if let Some(uid) = sid.as_unix_user() {
        return user(context, By::Id(uid));
    }
    if let Some(gid) = sid.as_unix_group() {
        return group(context, By::Id(gid));
    }
    if let Some(row) = WELL_KNOWN.iter().find(|row| row.sid == *sid) {
        return Some(row.named());
    }
    let authority = domain_of_name(context, NT_AUTHORITY);
    domains(context).into_iter().chain(authority).find(|d| d.sid == *sid)
}

/// `NAME` or `DOMAIN\NAME`, without case (MS-LSAT 3.1.4.5). Of what has one name, well-known groups come first, then
/// aliases, domains, users, groups. Looks up accounts: may block.
pub fn of_name(context: &Context, name: &str) -> Option<Named> {
    let (domain, name) = match name.split_once('\\') {
        Some(("", name)) => (None, name),
        Some((domain, name)) => (Some(domain), name),
        None => (None, name),
    };
    match domain {
        // No name at all is BUILTIN's, as Windows has it.
        None if name.is_empty() => domain_of_name(context, BUILTIN),
        None => well_known(|row| same(row.name, name))
            .or_else(|| domain_of_name(context, name))
            .or_else(|| user(context, By::Name(name)))
            .or_else(|| group(context, By::Name(name))),
        Some(domain) => match domain_of_name(context, domain) {
            Some(domain) if name.is_empty() => Some(domain),
            Some(domain) => in_domain(context, &domain.sid, name),
            None => None,
        },
    }
}

/// A name of one domain. Looks up accounts: may block.
pub fn in_domain(context: &Context, domain: &Sid, name: &str) -> Option<Named> {
    match *domain {
        Sid::UNIX_USERS => user(context, By::Name(name)),
        Sid::UNIX_GROUPS => group(context, By::Name(name)),
        _ => well_known(|row| row.sid.split().is_some_and(|(d, _)| d == *domain) && same(row.name, name)),
    }
}

fn well_known(is_it: impl Fn(&Row) -> bool) -> Option<Named> {
    WELL_KNOWN.iter().find(|row| is_it(row)).map(Row::named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::tests::context;

    #[test]
    fn every_name_leads_back_to_its_sid() {
        let context = context();
        let named = |sid: &str| of_sid(&context, &sid.parse().unwrap()).map(|n| (n.domain, n.name, n.kind));
        for (sid, domain, name, kind) in [
            ("S-1-1-0", "", "Everyone", Kind::WELL_KNOWN_GROUP),
            ("S-1-3-0", "", "CREATOR OWNER", Kind::WELL_KNOWN_GROUP),
            ("S-1-5-18", "NT AUTHORITY", "SYSTEM", Kind::WELL_KNOWN_GROUP),
            ("S-1-5-11", "NT AUTHORITY", "Authenticated Users", Kind::WELL_KNOWN_GROUP),
            ("S-1-5-32-544", "BUILTIN", "Administrators", Kind::ALIAS),
            ("S-1-22-1-1000", "NAS", "alice", Kind::USER),
            ("S-1-22-2-100", "Unix Group", "users", Kind::ALIAS),
            ("S-1-22-1", "NAS", "", Kind::DOMAIN),
            ("S-1-5", "NT AUTHORITY", "", Kind::DOMAIN),
        ] {
            assert_eq!(named(sid), Some((domain.into(), name.into(), kind)), "{sid}");
            let whole = if domain.is_empty() { name.to_owned() } else { format!("{domain}\\{name}") };
            for spelled in [whole.clone(), whole.to_uppercase(), whole.to_lowercase()] {
                assert_eq!(
                    of_name(&context, &spelled).map(|n| n.sid.to_string()),
                    Some(sid.into()),
                    "{spelled}"
                );
            }
        }
        for sid in ["S-1-22-1-7", "S-1-22-2-7", "S-1-5-21-1-2-3-1000", "S-1-22-3", "S-1-5-32-9"] {
            assert_eq!(named(sid), None, "{sid}");
        }
    }

    #[test]
    fn names_without_a_domain_and_domains_by_other_names() {
        let context = context();
        let sid = |name: &str| of_name(&context, name).map(|n| n.sid.to_string());
        for (name, want) in [
            ("alice", "S-1-22-1-1000"),
            ("\\alice", "S-1-22-1-1000"),
            ("Unix User\\alice", "S-1-22-1-1000"),
            ("nas.example.org\\Alice", "S-1-22-1-1000"),
            // A user and a group of one name.
            ("media", "S-1-22-1-1001"),
            ("Unix Group\\media", "S-1-22-2-1001"),
            ("users", "S-1-5-32-545"),
            ("nas", "S-1-22-1"),
            ("", "S-1-5-32"),
        ] {
            assert_eq!(sid(name).as_deref(), Some(want), "{name}");
        }
        for name in ["mallory", "NAS\\users", "OTHER\\alice", "BUILTIN\\alice", "alice\\", "NAS\\a\\b"] {
            assert_eq!(sid(name), None, "{name}");
        }
    }
}
