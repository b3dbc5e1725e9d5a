//! Privileges, and who has them (MS-LSAD 3.1.4.5, 3.1.4.8): administrators, who are root here, have those that
//! `fsa::access` lets them use; nobody else has any.

use super::Answer;
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;

/// A privilege: the low half of its LUID (the high one is zero), its name, and what it is called (MS-LSAD 3.1.1.2.1).
struct Privilege {
    luid: u32,
    name: &'static str,
    shown: &'static str,
    /// Administrators have it.
    held: bool,
}

const fn row(luid: u32, name: &'static str, shown: &'static str, held: bool) -> Privilege {
    Privilege { luid, name, shown, held }
}

static PRIVILEGES: [Privilege; 13] = [
    row(6, "SeMachineAccountPrivilege", "Add workstations to domain", false),
    row(8, "SeSecurityPrivilege", "Manage auditing and security log", true),
    row(9, "SeTakeOwnershipPrivilege", "Take ownership of files or other objects", true),
    row(10, "SeLoadDriverPrivilege", "Load and unload device drivers", false),
    row(12, "SeSystemtimePrivilege", "Change the system time", false),
    row(17, "SeBackupPrivilege", "Back up files and directories", true),
    row(18, "SeRestorePrivilege", "Restore files and directories", true),
    row(19, "SeShutdownPrivilege", "Shut down the system", false),
    row(20, "SeDebugPrivilege", "Debug programs", false),
    row(22, "SeSystemEnvironmentPrivilege", "Modify firmware environment values", false),
    row(23, "SeChangeNotifyPrivilege", "Bypass traverse checking", false),
    row(24, "SeRemoteShutdownPrivilege", "Force shutdown from a remote system", false),
    row(28, "SeManageVolumePrivilege", "Perform volume maintenance tasks", false),
];

/// The accounts that have rights: what `Token::is_privileged` means.
const HOLDERS: [Sid; 2] = [Sid::BUILTIN_ADMINISTRATORS, Sid::unix_user(0)];

pub fn has_any(sid: &Sid) -> bool {
    HOLDERS.contains(sid)
}

fn held(sid: &Sid) -> impl Iterator<Item = &'static Privilege> + use<> {
    let has = has_any(sid);
    PRIVILEGES.iter().filter(move |p| p.held && has)
}

fn by_name(name: &str) -> Option<&'static Privilege> {
    PRIVILEGES.iter().find(|p| p.name.eq_ignore_ascii_case(name))
}

/// What an enumeration tells from its context on: those left, and the status. All of them fit in one answer.
fn from<T>(all: &[T], context: u32) -> (&[T], NtStatus) {
    let left = all.get(context as usize..).unwrap_or_default();
    (left, if left.is_empty() { NtStatus::NO_MORE_ENTRIES } else { NtStatus::SUCCESS })
}

/// LsarEnumeratePrivileges from the context on.
pub fn privileges(r: &mut NdrReader<'_>) -> Answer {
    let (left, status) = from(&PRIVILEGES, r.u32()?);
    let mut w = NdrWriter::new();
    w.u32(PRIVILEGES.len() as u32);
    w.counted_array(left.iter(), |w, privilege| {
        w.unicode(privilege.name);
        w.u32(privilege.luid);
        w.u32(0);
    });
    Ok(w.done(status))
}

fn tell_accounts(w: &mut NdrWriter, accounts: &[Sid]) {
    w.counted_array(accounts.iter(), |w, sid| w.sid_pointer(Some(sid)));
}

/// LsarEnumerateAccounts from the context on.
pub fn accounts(r: &mut NdrReader<'_>) -> Answer {
    let (left, status) = from(&HOLDERS, r.u32()?);
    let mut w = NdrWriter::new();
    w.u32(HOLDERS.len() as u32);
    tell_accounts(&mut w, left);
    Ok(w.done(status))
}

/// LsarEnumerateAccountsWithUserRight.
pub fn accounts_with(r: &mut NdrReader<'_>) -> Answer {
    let name = if r.pointer()? { Some(r.unicode()?) } else { None };
    let (holders, status) = match name.as_deref().map(by_name) {
        Some(None) => (&[][..], NtStatus::NO_SUCH_PRIVILEGE),
        Some(Some(privilege)) if !privilege.held => (&[][..], NtStatus::NO_MORE_ENTRIES),
        _ => (&HOLDERS[..], NtStatus::SUCCESS),
    };
    let mut w = NdrWriter::new();
    tell_accounts(&mut w, holders);
    Ok(w.done(status))
}

/// LsarEnumerateAccountRights.
pub fn of_sid(r: &mut NdrReader<'_>) -> Answer {
    let rights: Vec<_> = held(&r.sid()?).collect();
    let mut w = NdrWriter::new();
    w.counted_array(rights.iter(), |w, privilege| w.unicode(privilege.name));
    Ok(w.done(if rights.is_empty() { NtStatus::OBJECT_NAME_NOT_FOUND } else { NtStatus::SUCCESS }))
}

/// LsarEnumeratePrivilegesAccount: LSAPR_PRIVILEGE_SET.
pub fn of_account(sid: &Sid) -> Answer {
    const ENABLED_BY_DEFAULT: u32 = 3;
    let rights: Vec<_> = held(sid).collect();
    let mut w = NdrWriter::new();
    w.parameter(|w| {
        w.u32(rights.len() as u32);
        w.u32(rights.len() as u32);
        w.u32(0);
        for privilege in &rights {
            w.u32(privilege.luid);
            w.u32(0);
            w.u32(ENABLED_BY_DEFAULT);
        }
    });
    Ok(w.done(NtStatus::SUCCESS))
}

/// LsarGetSystemAccessAccount.
pub fn system_access(_: &Sid) -> Answer {
    /// POLICY_MODE_NETWORK (MS-LSAD 2.2.1.2).
    const NETWORK: u32 = 2;
    let mut w = NdrWriter::new();
    w.u32(NETWORK);
    Ok(w.done(NtStatus::SUCCESS))
}

/// LsarLookupPrivilegeValue.
pub fn value(r: &mut NdrReader<'_>) -> Answer {
    let privilege = by_name(&r.unicode()?);
    let mut w = NdrWriter::new();
    w.u32(privilege.map_or(0, |p| p.luid));
    w.u32(0);
    Ok(w.done(if privilege.is_some() { NtStatus::SUCCESS } else { NtStatus::NO_SUCH_PRIVILEGE }))
}

/// A name as LsarLookupPrivilegeName and LsarLookupPrivilegeDisplayName give it.
fn tell(w: &mut NdrWriter, name: Option<&str>) -> NtStatus {
    match name {
        Some(name) => {
            w.parameter(|w| w.unicode(name));
            NtStatus::SUCCESS
        }
        None => {
            w.pointer(false);
            NtStatus::NO_SUCH_PRIVILEGE
        }
    }
}

/// LsarLookupPrivilegeName.
pub fn name(r: &mut NdrReader<'_>) -> Answer {
    let (low, high) = (r.u32()?, r.u32()?);
    let privilege = PRIVILEGES.iter().find(|p| (p.luid, 0) == (low, high));
    let mut w = NdrWriter::new();
    let status = tell(&mut w, privilege.map(|p| p.name));
    Ok(w.done(status))
}

/// LsarLookupPrivilegeDisplayName: in English, whatever was asked for.
pub fn display_name(r: &mut NdrReader<'_>) -> Answer {
    const ENGLISH: u16 = 0x0409;
    let privilege = by_name(&r.unicode()?);
    let mut w = NdrWriter::new();
    let status = tell(&mut w, privilege.map(|p| p.shown));
    w.u16(ENGLISH);
    Ok(w.done(status))
}
