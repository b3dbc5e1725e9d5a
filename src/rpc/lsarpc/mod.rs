//! Local Security Authority (MS-LSAD, MS-LSAT): names of SIDs for the Security tab, SIDs of names for its "Add", and
//! what the server's domain is. Everything is read only.

mod lookup;
mod policy;
mod rights;
mod role;
#[cfg(test)]
mod tests;

pub use role::SERVICE as ROLE_SERVICE;

use super::association::{Calls, Service};
use super::handles::{Handle, Handles, NULL};
use super::ndr::{NdrReader, NdrWriter};
use super::pdu::{Fault, Syntax};
use super::{Context, security};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;
use lookup::{Shape, lookup_names, lookup_sids};

/// MS-LSAD 1.9.
pub static SERVICE: Service = Service {
    interface: Syntax::new(0x1234_5778, 0x1234, 0xABCD, [0xEF, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB], 0),
    blocks: true,
    calls: || Box::new(Lsa::default()),
};

/// The highest opnum of MS-LSAD 3.1.4 and MS-LSAT 3.1.4 that every version has.
const LAST_OPNUM: u16 = 77;

/// What reading comes to: POLICY_READ and POLICY_EXECUTE, ACCOUNT_READ (MS-LSAD 2.2.1.1).
const POLICY_READ: u32 = 0x0002_0807;
const ACCOUNT_READ: u32 = 0x0002_0001;

/// What a handle stands for.
#[derive(Debug)]
enum Object {
    Policy,
    /// One that has rights.
    Account(Sid),
}

#[derive(Debug, Default)]
struct Lsa {
    handles: Handles<Object>,
}

type Answer = Result<Vec<u8>, Fault>;

impl Calls for Lsa {
    fn call(&mut self, context: &Context, opnum: u16, r: &mut NdrReader<'_>) -> Answer {
        match opnum {
            0 => self.close(r),
            2 => {
                self.policy(r)?;
                rights::privileges(r)
            }
            3 => {
                let mask = match self.handles.get(&r.handle()?)? {
                    Object::Policy => POLICY_READ,
                    Object::Account(_) => ACCOUNT_READ,
                };
                security::query(r, mask)
            }
            6 | 44 => self.open_policy(context),
            7 | 46 => {
                self.policy(r)?;
                policy::query(context, r)
            }
            11 => {
                self.policy(r)?;
                rights::accounts(r)
            }
            13 | 50 => {
                self.policy(r)?;
                policy::trusted_domains(r)
            }
            14 => self.names(context, r, Shape::Rid),
            15 => self.sids(context, r, Shape::Rid),
            17 => self.open_account(r),
            18 => rights::of_account(self.account(r)?),
            23 => rights::system_access(self.account(r)?),
            31 => {
                self.policy(r)?;
                rights::value(r)
            }
            32 => {
                self.policy(r)?;
                rights::name(r)
            }
            33 => {
                self.policy(r)?;
                rights::display_name(r)
            }
            35 => {
                self.policy(r)?;
                rights::accounts_with(r)
            }
            36 => {
                self.policy(r)?;
                rights::of_sid(r)
            }
            45 => policy::user_name(context, r),
            57 => self.sids(context, r, Shape::RidAndFlags),
            58 => self.names(context, r, Shape::RidAndFlags),
            68 => self.names(context, r, Shape::Sid),
            // These take no handle: MS-LSAT has them for domain members over TCP, and clients try them here too.
            76 if context.authenticated => lookup_sids(context, r, Shape::RidAndFlags),
            77 if context.authenticated => lookup_names(context, r, Shape::Sid),
            // Not used on the wire.
            5 | 9 | 21 | 22 | 52 | 56 | 60..=67 | 69..=72 | 75 => Err(Fault::OP_RNG_ERROR),
            // What sets something, and secrets and trusts, of which there are none.
            1..=LAST_OPNUM => Err(Fault::ACCESS_DENIED),
            _ => Err(Fault::OP_RNG_ERROR),
        }
    }
}

impl Lsa {
    /// LsarOpenPolicy, LsarOpenPolicy2. Whatever access is asked for: what it does not cover is refused when it is
    /// tried. Guests learn no names.
    fn open_policy(&mut self, context: &Context) -> Answer {
        let handle = if context.authenticated {
            self.handles.open(Object::Policy)
        } else {
            Err(NtStatus::ACCESS_DENIED)
        };
        Ok(opened(handle))
    }

    /// LsarClose.
    fn close(&mut self, r: &mut NdrReader<'_>) -> Answer {
        self.handles.close(&r.handle()?)?;
        Ok(opened(Ok(NULL)))
    }

    /// LsarOpenAccount.
    fn open_account(&mut self, r: &mut NdrReader<'_>) -> Answer {
        self.policy(r)?;
        let sid = r.sid()?;
        let handle = match rights::has_any(&sid) {
            true => self.handles.open(Object::Account(sid)),
            false => Err(NtStatus::OBJECT_NAME_NOT_FOUND),
        };
        Ok(opened(handle))
    }

    /// The policy handle that most calls begin with.
    fn policy(&self, r: &mut NdrReader<'_>) -> Result<(), Fault> {
        match self.handles.get(&r.handle()?)? {
            Object::Policy => Ok(()),
            Object::Account(_) => Err(Fault::CONTEXT_MISMATCH),
        }
    }

    fn account(&self, r: &mut NdrReader<'_>) -> Result<&Sid, Fault> {
        match self.handles.get(&r.handle()?)? {
            Object::Account(sid) => Ok(sid),
            Object::Policy => Err(Fault::CONTEXT_MISMATCH),
        }
    }

    fn names(&self, context: &Context, r: &mut NdrReader<'_>, shape: Shape) -> Answer {
        self.policy(r)?;
        lookup_names(context, r, shape)
    }

    fn sids(&self, context: &Context, r: &mut NdrReader<'_>, shape: Shape) -> Answer {
        self.policy(r)?;
        lookup_sids(context, r, shape)
    }
}

/// The answer of calls that give a handle, or take it back.
fn opened(handle: Result<Handle, NtStatus>) -> Vec<u8> {
    let mut w = NdrWriter::new();
    w.handle(&handle.unwrap_or(NULL));
    w.done(handle.err().unwrap_or(NtStatus::SUCCESS))
}
