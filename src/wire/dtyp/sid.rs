//! SID (MS-DTYP 2.4.2).

use crate::wire::codec::{DecodeError, Reader, Result, Writer};

/// A security identifier: an authority and up to 15 sub-authorities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    authority: [u8; 6],
    count: u8,
    /// Zero from `count` on, so that equality is by field.
    sub: [u32; Sid::MAX_SUB],
}

impl Sid {
    pub const MAX_SUB: usize = 15;

    /// `S-1-authority-sub...`; at most [`Sid::MAX_SUB`] parts (more is a bug of the caller).
    pub const fn new(authority: u8, parts: &[u32]) -> Sid {
        assert!(parts.len() <= Sid::MAX_SUB);
        let mut sub = [0; Sid::MAX_SUB];
        let mut i = 0;
        while i < parts.len() {
            sub[i] = parts[i];
            i += 1;
        }
        Sid { authority: [0, 0, 0, 0, 0, authority], count: parts.len() as u8, sub }
    }

    pub const EVERYONE: Sid = Sid::new(1, &[0]);
    pub const CREATOR_OWNER: Sid = Sid::new(3, &[0]);
    pub const CREATOR_GROUP: Sid = Sid::new(3, &[1]);
    pub const OWNER_RIGHTS: Sid = Sid::new(3, &[4]);
    pub const NETWORK: Sid = Sid::new(5, &[2]);
    pub const ANONYMOUS: Sid = Sid::new(5, &[7]);
    pub const AUTHENTICATED_USERS: Sid = Sid::new(5, &[11]);
    pub const SYSTEM: Sid = Sid::new(5, &[18]);
    pub const BUILTIN_ADMINISTRATORS: Sid = Sid::new(5, &[32, 544]);
    pub const BUILTIN_USERS: Sid = Sid::new(5, &[32, 545]);
    pub const BUILTIN_GUESTS: Sid = Sid::new(5, &[32, 546]);

    /// The domain of Unix users, and that of Unix groups.
    pub const UNIX_USERS: Sid = Sid::new(22, &[1]);
    pub const UNIX_GROUPS: Sid = Sid::new(22, &[2]);
    pub const NT_AUTHORITY: Sid = Sid::new(5, &[]);
    pub const BUILTIN: Sid = Sid::new(5, &[32]);

    /// `S-1-22-1-uid`: a Unix user, as Samba names it.
    pub const fn unix_user(uid: u32) -> Sid {
        Sid::new(22, &[1, uid])
    }

    /// `S-1-22-2-gid`: a Unix group, as Samba names it.
    pub const fn unix_group(gid: u32) -> Sid {
        Sid::new(22, &[2, gid])
    }

    /// The user id of [`Sid::unix_user`].
    pub fn as_unix_user(&self) -> Option<u32> {
        (*self == Sid::unix_user(self.sub[1])).then_some(self.sub[1])
    }

    /// The group id of [`Sid::unix_group`].
    pub fn as_unix_group(&self) -> Option<u32> {
        (*self == Sid::unix_group(self.sub[1])).then_some(self.sub[1])
    }

    /// An account of a domain. None: the domain has as many parts as a SID can have.
    pub fn child(&self, rid: u32) -> Option<Sid> {
        let mut out = *self;
        *out.sub.get_mut(usize::from(self.count))? = rid;
        out.count += 1;
        Some(out)
    }

    /// The domain and the relative identifier. None: there is no sub-authority.
    pub fn split(&self) -> Option<(Sid, u32)> {
        let last = usize::from(self.count.checked_sub(1)?);
        let mut domain = *self;
        domain.count -= 1;
        domain.sub[last] = 0;
        Some((domain, self.sub[last]))
    }

    /// `S-1-5-21-...`: an account or group of some machine or domain.
    pub fn is_domain_account(&self) -> bool {
        self.authority == [0, 0, 0, 0, 0, 5] && self.count == 5 && self.sub[0] == 21
    }

    pub fn sub_authorities(&self) -> &[u32] {
        &self.sub[..usize::from(self.count)]
    }

    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        8 + 4 * usize::from(self.count)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u8(1);
        w.u8(self.count);
        w.bytes(&self.authority);
        self.sub_authorities().iter().for_each(|s| w.u32(*s));
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Sid> {
        if r.u8("SID Revision")? != 1 {
            return Err(DecodeError::new("SID Revision"));
        }
        let count = r.u8("SubAuthorityCount")?;
        let mut out = Sid { authority: r.array("IdentifierAuthority")?, count, sub: [0; Sid::MAX_SUB] };
        let parts = out.sub.get_mut(..usize::from(count)).ok_or(DecodeError::new("SubAuthorityCount"))?;
        for part in parts {
            *part = r.u32("SubAuthority")?;
        }
        Ok(out)
    }
}

impl std::fmt::Display for Sid {
    /// The authority in hex from 2^32 on (MS-DTYP 2.4.2.1).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authority = self.authority.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        if authority > u64::from(u32::MAX) {
            write!(f, "S-1-{authority:#014x}")?;
        } else {
            write!(f, "S-1-{authority}")?;
        }
        self.sub_authorities().iter().try_for_each(|s| write!(f, "-{s}"))
    }
}

impl std::fmt::Debug for Sid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Sid {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Sid> {
        const BAD: DecodeError = DecodeError::new("SID string");
        let decimal = |s: &str| {
            let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| s.parse::<u64>().ok()).flatten().ok_or(BAD)
        };
        let rest = text.strip_prefix("S-1-").or_else(|| text.strip_prefix("s-1-")).ok_or(BAD)?;
        let mut parts = rest.split('-');
        let authority = parts.next().ok_or(BAD)?;
        let value = match authority.strip_prefix("0x").or_else(|| authority.strip_prefix("0X")) {
            Some(hex) if hex.len() == 12 => u64::from_str_radix(hex, 16).map_err(|_| BAD)?,
            Some(_) => return Err(BAD),
            None => decimal(authority)?,
        };
        if value >> 48 != 0 {
            return Err(BAD);
        }
        let mut out = Sid { authority: [0; 6], count: 0, sub: [0; Sid::MAX_SUB] };
        out.authority.copy_from_slice(&value.to_be_bytes()[2..]);
        for part in parts {
            let slot = out.sub.get_mut(usize::from(out.count)).ok_or(BAD)?;
            *slot = u32::try_from(decimal(part)?).map_err(|_| BAD)?;
            out.count += 1;
        }
        Ok(out)
    }
}
