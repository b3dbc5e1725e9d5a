//! Quotas of users (MS-SMB2 3.3.5.20.4, onto MS-FSA 2.1.5.21). Setting them is the file system's administrator's.

use super::Out;
use crate::cmd::{Handled, Reply, file_of};
use crate::posix::Quota;
use crate::session::Open;
use crate::types::{FileTime, NtStatus};
use crate::wire::codec::Writer;
use crate::wire::dtyp::Sid;
use crate::wire::fscc::classes::QuerySize;
use crate::wire::fscc::quota::{QueryQuota, QuotaInfo, QuotaWriter, Whose};
use std::sync::atomic::Ordering;

/// Everybody may know his own, and who has the privileges of an administrator those of all.
pub fn query(open: &Open, input: &[u8], max: usize, reply: &mut Reply) -> Handled {
    let file = file_of(open)?;
    let export = open.tree.disk()?.area.export()?;
    if !export.facts().quotas {
        return Err(NtStatus::NOT_SUPPORTED.into());
    }
    let asked = QueryQuota::decode(input)?;
    let token = &open.tree.token;
    let may_know = |uid: u32| token.is_privileged() || token.uid() == uid;
    let mut found: Vec<Quota> = Vec::new();
    let begin = match &asked.whose {
        Whose::Only(sids) => {
            for uid in sids.iter().filter_map(Sid::as_unix_user).filter(|uid| may_know(*uid)) {
                found.push(export.quota(uid)?);
            }
            None
        }
        Whose::From(sid) => Some(sid.as_unix_user().ok_or(NtStatus::INVALID_PARAMETER)?.into()),
        Whose::All if asked.restart => Some(0),
        Whose::All => Some(file.quotas_told.load(Ordering::Relaxed)),
    };
    if let Some(begin) = begin {
        if !token.is_privileged() {
            if begin <= u64::from(token.uid()) {
                found.push(export.quota(token.uid())?);
            }
        } else {
            let room = if asked.single { 1 } else { max / LEAST };
            let mut next = u32::try_from(begin).ok();
            while let Some(uid) = next.filter(|_| found.len() < room) {
                let Some(quota) = export.next_quota(uid)? else { break };
                next = quota.uid.checked_add(1);
                found.push(quota);
            }
        }
    }
    if asked.single {
        found.truncate(1);
    }
    if found.is_empty() {
        return Err(NtStatus::NO_MORE_ENTRIES.into());
    }
    let mut told = 0;
    let out = Out::new(reply, QuerySize { min: LEAST, variable: true }, max)?;
    let handled = out.put_list(|w: &mut Writer<'_>, max| {
        let mut list = QuotaWriter::new(w, max);
        told = found.iter().take_while(|quota| list.push(&on_wire(quota))).count();
        told == found.len() || begin.is_some()
    });
    let Some(last) = told.checked_sub(1) else { return Err(NtStatus::BUFFER_TOO_SMALL.into()) };
    if begin.is_some() {
        file.quotas_told.store(u64::from(found[last].uid) + 1, Ordering::Relaxed);
    }
    handled
}

/// Bytes of an entry with a Unix user's SID.
const LEAST: usize = 56;

fn on_wire(quota: &Quota) -> QuotaInfo {
    let limit = |bytes: u64| if bytes == 0 { u64::MAX } else { bytes };
    QuotaInfo {
        sid: Sid::unix_user(quota.uid),
        change_time: FileTime::ZERO,
        used: quota.used,
        threshold: limit(quota.soft),
        limit: limit(quota.hard),
    }
}
