//! Security Account Manager (MS-SAMR), the part that reads: who is there, for the dialogs in which Windows picks users
//! and groups. The picture is that of `names`. What changes something is refused.
//!
//! The account domain has the Unix users; the group None with the RID 513, which every stand-alone Windows server has
//! and whose members are all users; and no aliases. "Unix Group" has the groups of those users as aliases, and BUILTIN
//! its own.

mod domain;
mod enumerate;
mod groups;
#[cfg(test)]
mod tests;
mod user;

use super::association::{Calls, Service};
use super::handles::{Handle, Handles, NULL};
use super::ndr::{NdrReader, NdrWriter};
use super::pdu::{Fault, Syntax};
use super::{Context, names, security};
use crate::auth::accounts::{By, UnixUser};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;

/// MS-SAMR 1.9.
pub static SERVICE: Service = Service {
    interface: Syntax::new(0x1234_5778, 0x1234, 0xABCD, [0xEF, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAC], 1),
    blocks: true,
    calls: || Box::new(Sam::default()),
};

/// The highest opnum of MS-SAMR 3.1.5.
const LAST_OPNUM: u16 = 73;

/// The group that has every user (MS-SAMR's DOMAIN_GROUP_RID_USERS), as it is called where there is no domain.
const NONE_RID: u32 = 513;
const NONE_NAME: &str = "None";
/// SE_GROUP_MANDATORY, SE_GROUP_ENABLED_BY_DEFAULT, SE_GROUP_ENABLED.
const MEMBERSHIP: u32 = 7;

/// What a handle stands for.
#[derive(Debug)]
enum Object {
    Server,
    Domain(Sid),
    /// By its uid: looked up anew by each call.
    User(u32),
    /// The group None.
    Group,
    Alias(Sid),
}

impl Object {
    /// What reading comes to: the READ and EXECUTE rights of its type (MS-SAMR 2.2.1.3 to 2.2.1.7).
    fn readable(&self) -> u32 {
        match self {
            Object::Server => 0x0002_0031,
            Object::Domain(_) => 0x0002_0385,
            Object::User(_) => 0x0002_035B,
            Object::Group => 0x0002_0011,
            Object::Alias(_) => 0x0002_000C,
        }
    }
}

#[derive(Debug, Default)]
struct Sam {
    handles: Handles<Object>,
}

type Answer = Result<Vec<u8>, Fault>;

impl Calls for Sam {
    fn call(&mut self, context: &Context, opnum: u16, r: &mut NdrReader<'_>) -> Answer {
        match opnum {
            // SamrConnect, SamrConnect2, SamrConnect3, SamrConnect4: the server is this one, whatever it is called.
            0 | 57 | 61 | 62 => Ok(opened(self.connect(context))),
            1 => self.close(r),
            3 => {
                let mask = self.handles.get(&r.handle()?)?.readable();
                security::query(r, mask)
            }
            5 => {
                self.server(r)?;
                domain::look_up(context, r)
            }
            6 => {
                self.server(r)?;
                enumerate::domains(context, r)
            }
            7 => self.open_domain(context, r),
            8 | 46 => domain::query(context, &self.domain(r)?, r),
            11 => enumerate::groups(&self.domain(r)?, r),
            13 => enumerate::users(context, &self.domain(r)?, r),
            15 => enumerate::aliases(context, &self.domain(r)?, r),
            16 => groups::aliases_of(context, &self.domain(r)?, r),
            17 => domain::names(context, &self.domain(r)?, r),
            18 => domain::ids(context, &self.domain(r)?, r),
            19 => self.open_group(r),
            20 => {
                self.group(r)?;
                groups::query_none(context, r)
            }
            25 => {
                self.group(r)?;
                groups::members_of_none(context)
            }
            27 => self.open_alias(context, r),
            28 => groups::query_alias(context, &self.alias(r)?, r),
            33 => groups::members_of_alias(context, &self.alias(r)?),
            34 => self.open_user(context, r),
            36 | 47 => user::query(context, self.user(r)?, r),
            39 => {
                self.user(r)?;
                user::groups()
            }
            // SamrQueryDisplayInformation and its later forms.
            40 | 48 | 51 => enumerate::display(context, &self.domain(r)?, r),
            44 => {
                self.user(r)?;
                domain::password_rules()
            }
            56 => domain::password_rules(),
            64 => self.connect5(context, r),
            65 => self.rid_to_sid(r),
            // Not used on the wire.
            42 | 43 | 59 | 60 | 63 | 68..=72 => Err(Fault::OP_RNG_ERROR),
            2..=LAST_OPNUM => Err(Fault::ACCESS_DENIED),
            _ => Err(Fault::OP_RNG_ERROR),
        }
    }
}

impl Sam {
    /// Whatever access is asked for: what it does not cover is refused when it is tried. Guests learn nothing.
    fn connect(&mut self, context: &Context) -> Result<Handle, NtStatus> {
        if context.authenticated { self.handles.open(Object::Server) } else { Err(NtStatus::ACCESS_DENIED) }
    }

    /// SamrConnect5: revision 3, no features (MS-SAMR 2.2.7.15).
    fn connect5(&mut self, context: &Context, r: &mut NdrReader<'_>) -> Answer {
        r.unique_string()?;
        r.u32()?;
        let version = r.u32()?;
        let handle = if version == 1 { self.connect(context) } else { Err(NtStatus::NOT_SUPPORTED) };
        let mut w = NdrWriter::new();
        for field in [1, 1, 3, 0] {
            w.u32(field);
        }
        w.handle(&handle.unwrap_or(NULL));
        Ok(w.done(handle.err().unwrap_or(NtStatus::SUCCESS)))
    }

    fn close(&mut self, r: &mut NdrReader<'_>) -> Answer {
        self.handles.close(&r.handle()?)?;
        Ok(opened(Ok(NULL)))
    }

    fn open_domain(&mut self, context: &Context, r: &mut NdrReader<'_>) -> Answer {
        self.server(r)?;
        r.u32()?;
        let sid = r.sid()?;
        let known = names::domains(context).iter().any(|domain| domain.sid == sid);
        Ok(opened(if known { self.handles.open(Object::Domain(sid)) } else { Err(NtStatus::NO_SUCH_DOMAIN) }))
    }

    /// The domain and the RID that a call to open something names.
    fn rid(&self, r: &mut NdrReader<'_>) -> Result<(Sid, u32), Fault> {
        let domain = self.domain(r)?;
        r.u32()?;
        Ok((domain, r.u32()?))
    }

    fn open_user(&mut self, context: &Context, r: &mut NdrReader<'_>) -> Answer {
        let (domain, uid) = self.rid(r)?;
        // Clients that do not know a RID try zero, which no account of Windows has, and must not find root.
        let known = domain == Sid::UNIX_USERS && uid != 0 && context.accounts.user(By::Id(uid)).is_some();
        Ok(opened(if known { self.handles.open(Object::User(uid)) } else { Err(NtStatus::NO_SUCH_USER) }))
    }

    fn open_group(&mut self, r: &mut NdrReader<'_>) -> Answer {
        let known = self.rid(r)? == (Sid::UNIX_USERS, NONE_RID);
        Ok(opened(if known { self.handles.open(Object::Group) } else { Err(NtStatus::NO_SUCH_GROUP) }))
    }

    fn open_alias(&mut self, context: &Context, r: &mut NdrReader<'_>) -> Answer {
        let (domain, rid) = self.rid(r)?;
        let sid = domain.child(rid).filter(|sid| groups::alias(context, sid).is_some());
        Ok(opened(match sid {
            Some(sid) => self.handles.open(Object::Alias(sid)),
            None => Err(NtStatus::NO_SUCH_ALIAS),
        }))
    }

    /// SamrRidToSid: by a handle of any object in the domain.
    fn rid_to_sid(&self, r: &mut NdrReader<'_>) -> Answer {
        let domain = match self.handles.get(&r.handle()?)? {
            Object::Server => return Err(Fault::CONTEXT_MISMATCH),
            Object::Domain(domain) => Some(*domain),
            Object::User(_) | Object::Group => Some(Sid::UNIX_USERS),
            Object::Alias(sid) => sid.split().map(|(domain, _)| domain),
        };
        let rid = r.u32()?;
        let sid = domain.and_then(|domain| domain.child(rid));
        let mut w = NdrWriter::new();
        match &sid {
            Some(sid) => w.parameter(|w| w.sid(sid)),
            None => w.pointer(false),
        }
        Ok(w.done(if sid.is_some() { NtStatus::SUCCESS } else { NtStatus::NOT_FOUND }))
    }

    fn server(&self, r: &mut NdrReader<'_>) -> Result<(), Fault> {
        match self.handles.get(&r.handle()?)? {
            Object::Server => Ok(()),
            _ => Err(Fault::CONTEXT_MISMATCH),
        }
    }

    fn domain(&self, r: &mut NdrReader<'_>) -> Result<Sid, Fault> {
        match self.handles.get(&r.handle()?)? {
            Object::Domain(sid) => Ok(*sid),
            _ => Err(Fault::CONTEXT_MISMATCH),
        }
    }

    fn user(&self, r: &mut NdrReader<'_>) -> Result<u32, Fault> {
        match self.handles.get(&r.handle()?)? {
            Object::User(uid) => Ok(*uid),
            _ => Err(Fault::CONTEXT_MISMATCH),
        }
    }

    fn group(&self, r: &mut NdrReader<'_>) -> Result<(), Fault> {
        match self.handles.get(&r.handle()?)? {
            Object::Group => Ok(()),
            _ => Err(Fault::CONTEXT_MISMATCH),
        }
    }

    fn alias(&self, r: &mut NdrReader<'_>) -> Result<Sid, Fault> {
        match self.handles.get(&r.handle()?)? {
            Object::Alias(sid) => Ok(*sid),
            _ => Err(Fault::CONTEXT_MISMATCH),
        }
    }
}

/// The answer of calls that give a handle, or take it back.
fn opened(handle: Result<Handle, NtStatus>) -> Vec<u8> {
    let mut w = NdrWriter::new();
    w.handle(&handle.unwrap_or(NULL));
    w.done(handle.err().unwrap_or(NtStatus::SUCCESS))
}

/// The answer of a query: a pointer to a union, by its class. None: there is no such class.
fn informed(class: u16, known: bool, write: impl FnOnce(&mut NdrWriter)) -> Vec<u8> {
    let mut w = NdrWriter::new();
    if !known {
        w.pointer(false);
        return w.done(NtStatus::INVALID_INFO_CLASS);
    }
    w.parameter(|w| {
        w.u16(class);
        write(w);
    });
    w.done(NtStatus::SUCCESS)
}

/// Those who can log on and have a Unix account, by uid.
fn users(context: &Context) -> Vec<UnixUser> {
    let mut users: Vec<UnixUser> =
        context.accounts.users().iter().filter_map(|name| context.accounts.user(By::Name(name))).collect();
    users.sort_by_key(|user| user.uid);
    users.dedup_by_key(|user| user.uid);
    users
}
