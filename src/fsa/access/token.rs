//! Who asks.

use std::sync::Arc;

use crate::wire::dtyp::{SecurityDescriptor, Sid};

/// A Unix account as a security token: its own SID, those of its groups, the well-known ones, and those that a domain
/// vouches for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    uid: u32,
    gid: u32,
    groups: Arc<[u32]>,
    /// A user, not a guest.
    authenticated: bool,
    /// Sorted.
    domain: Arc<[Sid]>,
    everybodys: bool,
}

impl Token {
    pub fn new(uid: u32, gid: u32, groups: Arc<[u32]>, authenticated: bool) -> Token {
        Token { uid, gid, groups, authenticated, domain: [].into(), everybodys: false }
    }

    /// The same, being these accounts of domains as well; sorted.
    pub fn with(self, domain: Arc<[Sid]>) -> Token {
        Token { domain, ..self }
    }

    /// The same where whoever comes acts as this account.
    pub fn of_everybody(self) -> Token {
        Token { everybodys: true, ..self }
    }

    /// Everybody here acts as this account.
    pub fn is_everybodys(&self) -> bool {
        self.everybodys
    }

    pub fn uid(&self) -> u32 {
        self.uid
    }

    pub fn in_group(&self, gid: u32) -> bool {
        gid == self.gid || self.groups.contains(&gid)
    }

    /// Whether it has the privileges of an administrator: root's, who needs no leave of the kernel's either.
    pub fn is_privileged(&self) -> bool {
        self.uid == 0 && self.authenticated
    }

    pub fn has(&self, sid: &Sid) -> bool {
        match *sid {
            Sid::EVERYONE | Sid::NETWORK => true,
            Sid::AUTHENTICATED_USERS | Sid::BUILTIN_USERS => self.authenticated,
            Sid::ANONYMOUS | Sid::BUILTIN_GUESTS => !self.authenticated,
            Sid::BUILTIN_ADMINISTRATORS => self.is_privileged(),
            _ => {
                sid.as_unix_user() == Some(self.uid)
                    || sid.as_unix_group().is_some_and(|gid| self.in_group(gid))
                    || self.domain.binary_search(sid).is_ok()
            }
        }
    }
}

/// A token before one object. Descriptors that Samba stored name owner and group by the SIDs of its own machine or
/// domain (`S-1-5-21-...`). The file's uid and gid tell whom those mean.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    token: &'a Token,
    also: [Option<Sid>; 2],
}

impl<'a> Bearer<'a> {
    /// `uid`, `gid`: of the object.
    pub fn new(token: &'a Token, descriptor: &SecurityDescriptor, uid: u32, gid: u32) -> Bearer<'a> {
        let foreign = |sid: Option<Sid>, is_his: bool| sid.filter(|sid| is_his && sid.is_domain_account());
        Bearer {
            token,
            also: [
                foreign(descriptor.owner, uid == token.uid),
                foreign(descriptor.group, token.in_group(gid)),
            ],
        }
    }

    pub fn has(&self, sid: &Sid) -> bool {
        self.token.has(sid) || self.also.contains(&Some(*sid))
    }
}
