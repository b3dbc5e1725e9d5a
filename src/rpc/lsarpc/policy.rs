//! What the server's domain is, and who the caller is (MS-LSAD 3.1.4.4, MS-LSAT 3.1.4.4).

use super::Answer;
use crate::rpc::Context;
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::types::{Guid, NtStatus, open_enum};
use crate::wire::dtyp::Sid;

open_enum! {
    /// POLICY_INFORMATION_CLASS (MS-LSAD 2.2.4.1).
    pub struct Class(u16) {
        AUDIT_LOG = 1,
        AUDIT_EVENTS = 2,
        PRIMARY_DOMAIN = 3,
        ACCOUNT_DOMAIN = 5,
        SERVER_ROLE = 6,
        REPLICA_SOURCE = 7,
        DEFAULT_QUOTA = 8,
        DNS_DOMAIN = 12,
        DNS_DOMAIN_INT = 13,
        LOCAL_ACCOUNT_DOMAIN = 14,
    }
}

/// PolicyServerRolePrimary (MS-LSAD 2.2.4.8).
const PRIMARY: u16 = 3;

/// LsarQueryInformationPolicy, LsarQueryInformationPolicy2 from the class on.
pub fn query(context: &Context, r: &mut NdrReader<'_>) -> Answer {
    let class = Class(r.u16()?);
    let mut w = NdrWriter::new();
    let refused = match class {
        Class::PRIMARY_DOMAIN
        | Class::ACCOUNT_DOMAIN
        | Class::LOCAL_ACCOUNT_DOMAIN
        | Class::SERVER_ROLE
        | Class::DNS_DOMAIN
        | Class::DNS_DOMAIN_INT => None,
        // Of what is audited only administrators with the right to it learn.
        Class::AUDIT_LOG | Class::AUDIT_EVENTS => Some(NtStatus::ACCESS_DENIED),
        Class::REPLICA_SOURCE | Class::DEFAULT_QUOTA => Some(NtStatus::NOT_SUPPORTED),
        // Others exist and are never told (MS-LSAD 3.1.4.4.4).
        _ => Some(NtStatus::INVALID_PARAMETER),
    };
    if let Some(status) = refused {
        w.pointer(false);
        return Ok(w.done(status));
    }
    w.parameter(|w| {
        w.u16(class.0);
        w.align(4);
        match class {
            // A workgroup has no SID.
            Class::PRIMARY_DOMAIN => {
                w.unicode(&context.domain);
                w.sid_pointer(None);
            }
            Class::ACCOUNT_DOMAIN | Class::LOCAL_ACCOUNT_DOMAIN => {
                w.unicode(&context.netbios_name);
                w.sid_pointer(Some(&Sid::UNIX_USERS));
            }
            Class::SERVER_ROLE => w.u16(PRIMARY),
            _ => {
                w.unicode(&context.domain);
                w.unicode("");
                w.unicode("");
                w.guid(Guid::default());
                w.sid_pointer(None);
            }
        }
    });
    Ok(w.done(NtStatus::SUCCESS))
}

/// LsarEnumerateTrustedDomains, LsarEnumerateTrustedDomainsEx: none.
pub fn trusted_domains(r: &mut NdrReader<'_>) -> Answer {
    let context = r.u32()?;
    let mut w = NdrWriter::new();
    w.u32(context);
    w.u32(0);
    w.pointer(false);
    Ok(w.done(NtStatus::NO_MORE_ENTRIES))
}

/// LsarGetUserName: the names that came in are placeholders.
pub fn user_name(context: &Context, r: &mut NdrReader<'_>) -> Answer {
    r.unique_string()?;
    if r.pointer()? {
        r.unicode()?;
    }
    let wants_domain = r.pointer()?;
    let (name, domain) = match context.user.as_str() {
        "" => ("ANONYMOUS LOGON", "NT AUTHORITY"),
        user => (user, context.netbios_name.as_str()),
    };
    let mut w = NdrWriter::new();
    w.parameter(|w| w.unicode(name));
    w.pointer(wants_domain);
    if wants_domain {
        w.parameter(|w| w.unicode(domain));
    }
    Ok(w.done(NtStatus::SUCCESS))
}
