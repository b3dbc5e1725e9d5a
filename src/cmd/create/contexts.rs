//! Create contexts (MS-SMB2 2.2.13.2): those that are acted on. The others are ignored, as 3.3.5.9 says of
//! unknown ones; a lease is then simply not granted.

use super::{durable, instance};
use crate::fsa::RelPath;
use crate::posix;
use crate::session::TreeConnect;
use crate::session::instance::Instance;
use crate::types::{AccessMask, NtStatus};
use crate::wire::create_context::{
    AllocationSize, CreateContext, CreateContexts, MaximalAccessResponse, QueryOnDiskIdResponse, find, name,
};
use crate::wire::dtyp::SecurityDescriptor;

/// What the client asks for beside the open itself.
pub struct Asked {
    pub maximal_access: bool,
    pub on_disk_id: bool,
    pub allocation_size: Option<u64>,
    /// For a file that is created or overwritten.
    pub eas: Vec<posix::Ea>,
    /// For a file that is created.
    pub descriptor: Option<SecurityDescriptor>,
    pub durable: Option<durable::Asked>,
    pub instance: Option<Instance>,
}

impl Asked {
    pub fn read(contexts: &[CreateContext<'_>], smb3: bool) -> Result<Asked, NtStatus> {
        if find(contexts, name::TIMEWARP_TOKEN).is_some_and(|stamp| stamp.iter().any(|&b| b != 0)) {
            // No previous versions are kept.
            return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
        }
        let eas = match find(contexts, name::EA_BUFFER) {
            Some(list) => crate::cmd::info::ea::parse(list)?,
            None => Vec::new(),
        };
        let allocation_size = match find(contexts, name::ALLOCATION_SIZE) {
            Some(data) => Some(AllocationSize::decode(data)?.allocation_size),
            None => None,
        };
        let descriptor = match find(contexts, name::SD_BUFFER) {
            Some(data) => {
                Some(SecurityDescriptor::decode(data).map_err(|_| NtStatus::INVALID_SECURITY_DESCR)?)
            }
            None => None,
        };
        Ok(Asked {
            maximal_access: find(contexts, name::QUERY_MAXIMAL_ACCESS).is_some(),
            on_disk_id: find(contexts, name::QUERY_ON_DISK_ID).is_some(),
            allocation_size,
            eas,
            descriptor,
            durable: durable::read(contexts, smb3)?,
            instance: if smb3 { instance::read(contexts)? } else { None },
        })
    }
}

/// An object that was opened.
pub struct Subject<'a> {
    pub object: &'a posix::Object,
    pub stat: &'a posix::Stat,
    pub path: &'a RelPath,
    /// It may have a security descriptor of its own.
    pub described: bool,
    /// FILE_OPEN_FOR_BACKUP_INTENT.
    pub backup: bool,
}

/// What is known of an open object, as far as it was asked.
pub fn answer(
    asked: &Asked,
    tree: &TreeConnect,
    subject: &Subject<'_>,
) -> Result<CreateContexts<'static>, NtStatus> {
    let disk = tree.disk()?;
    let mut out = CreateContexts::new();
    if asked.maximal_access {
        let export = disk.area.export()?;
        let path = super::disk_path(subject.path);
        let most = if subject.described {
            export
                .rights(subject.object, &path, subject.stat, &tree.token, subject.backup)
                .and_then(|rights| rights.most())
        } else {
            export.granted(subject.object, &path, AccessMask::FILE_ALL)
        };
        let (query_status, maximal_access) = match most {
            Ok(access) => (NtStatus::SUCCESS, access),
            Err(status) => (status, AccessMask::empty()),
        };
        out.push(MaximalAccessResponse { query_status, maximal_access }.to_context());
    }
    if asked.on_disk_id {
        let facts = disk.area.export()?.facts();
        let file_id = crate::cmd::info::file_id(facts.device, subject.stat.key);
        out.push(QueryOnDiskIdResponse { file_id, volume_id: facts.serial.into() }.to_context());
    }
    Ok(out)
}
