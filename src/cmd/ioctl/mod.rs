//! IOCTL (MS-SMB2 3.3.5.15): one row a control code.

mod copy;
mod extents;
mod file;
mod interfaces;
mod negotiate;
mod pipe;
mod ranges;
mod reparse;
mod resiliency;

pub use reparse::symlink as link_of;

use super::{Ctx, Fail, Handled, Reply, file_of, times};
use crate::fsa::change::{Change, Facets, apply};
use crate::session::{FileOpen, Open};
use crate::types::{AccessMask, Dialect, FileId, NtStatus};
use crate::wire::codec::{Reader, Writer};
use crate::wire::ioctl::{CtlCode, IoctlFlags, IoctlRequest, IoctlResponse};
use std::sync::Arc;

/// What goes back. The status may be an error: some answers tell more than that.
#[derive(Debug)]
struct Output {
    status: NtStatus,
    data: Vec<u8>,
}

type Done = Result<Output, Fail>;

impl Output {
    fn none() -> Done {
        Ok(Output { status: NtStatus::SUCCESS, data: Vec::new() })
    }

    fn new(data: Vec<u8>) -> Done {
        Ok(Output { status: NtStatus::SUCCESS, data })
    }
}

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = IoctlRequest::decode(&mut body)?;
    if !request.flags.contains(IoctlFlags::IS_FSCTL) {
        return Err(NtStatus::NOT_SUPPORTED.into());
    }
    let sizes =
        [request.input.len(), request.max_input_response as usize, request.max_output_response as usize];
    let largest = sizes.into_iter().max().unwrap_or_default();
    ctx.check_payload(largest)?;
    let Output { status, data } = if takes_no_file(request.ctl_code) {
        without_file(ctx, &request)?
    } else {
        with_file(ctx, &request)?
    };
    let file_id = ctx.file.unwrap_or(request.file_id);
    IoctlResponse { ctl_code: request.ctl_code, file_id, input: &[], output: &data }
        .encode(&mut reply.body());
    Ok(status)
}

fn takes_no_file(code: CtlCode) -> bool {
    matches!(
        code,
        CtlCode::DFS_GET_REFERRALS
            | CtlCode::DFS_GET_REFERRALS_EX
            | CtlCode::QUERY_NETWORK_INTERFACE_INFO
            | CtlCode::VALIDATE_NEGOTIATE_INFO
            | CtlCode::PIPE_WAIT
    )
}

fn without_file(ctx: &mut Ctx<'_>, request: &IoctlRequest<'_>) -> Done {
    if request.file_id != FileId::RELATED {
        return Err(NtStatus::INVALID_PARAMETER.into());
    }
    match request.ctl_code {
        CtlCode::VALIDATE_NEGOTIATE_INFO => negotiate::validate(ctx, request),
        CtlCode::PIPE_WAIT => pipe::wait(ctx, request),
        // 3.3.5.15.2: this is no DFS server.
        CtlCode::DFS_GET_REFERRALS | CtlCode::DFS_GET_REFERRALS_EX => {
            Err(NtStatus::FS_DRIVER_REQUIRED.into())
        }
        CtlCode::QUERY_NETWORK_INTERFACE_INFO if has_channels(ctx) => interfaces::query(ctx, request),
        _ => Err(NtStatus::NOT_SUPPORTED.into()),
    }
}

/// What was negotiated allows several channels in a session.
fn has_channels(ctx: &Ctx<'_>) -> bool {
    ctx.conn.dialect().is_some_and(Dialect::is_smb3)
}

fn with_file(ctx: &mut Ctx<'_>, request: &IoctlRequest<'_>) -> Done {
    let open = ctx.open(request.file_id)?;
    match request.ctl_code {
        CtlCode::PIPE_TRANSCEIVE => return pipe::transceive(ctx, &open, request),
        CtlCode::PIPE_PEEK => return pipe::peek(&open, request),
        _ => {}
    }
    let mut target = Target { file: file_of(&open)?, ctx, open: &open, request };
    match request.ctl_code {
        CtlCode::SRV_REQUEST_RESUME_KEY => copy::resume_key(&target),
        CtlCode::SRV_COPYCHUNK | CtlCode::SRV_COPYCHUNK_WRITE => copy::chunks(&mut target),
        CtlCode::DUPLICATE_EXTENTS_TO_FILE => extents::duplicate(&mut target, false),
        CtlCode::DUPLICATE_EXTENTS_TO_FILE_EX => extents::duplicate(&mut target, true),
        CtlCode::SRV_ENUMERATE_SNAPSHOTS => file::snapshots(&target),
        CtlCode::SET_SPARSE => file::set_sparse(&mut target),
        CtlCode::GET_COMPRESSION => file::compression(&target),
        CtlCode::SET_COMPRESSION => file::set_compression(&mut target),
        CtlCode::CREATE_OR_GET_OBJECT_ID | CtlCode::GET_OBJECT_ID => file::object_id(&target),
        CtlCode::SET_OBJECT_ID => file::set_object_id(&target),
        CtlCode::GET_INTEGRITY_INFORMATION => file::integrity(&target),
        CtlCode::SET_INTEGRITY_INFORMATION => file::set_integrity(&target),
        CtlCode::QUERY_FILE_REGIONS => ranges::regions(&target),
        CtlCode::SET_ZERO_DATA => ranges::zero(&mut target),
        CtlCode::QUERY_ALLOCATED_RANGES => ranges::allocated(&target),
        CtlCode::FILE_LEVEL_TRIM => ranges::trim(&mut target),
        CtlCode::GET_REPARSE_POINT => reparse::get(&target),
        CtlCode::SET_REPARSE_POINT => reparse::set(&mut target),
        CtlCode::DELETE_REPARSE_POINT => reparse::delete(&mut target),
        CtlCode::IS_PATHNAME_VALID => Output::none(),
        CtlCode::LMR_REQUEST_RESILIENCY => resiliency::request(&target),
        CtlCode::SRV_READ_HASH | CtlCode::LMR_SET_LINK_TRACKING_INFORMATION => {
            Err(NtStatus::NOT_SUPPORTED.into())
        }
        _ => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
    }
}

/// A control of an open file or directory.
struct Target<'a, 'c> {
    ctx: &'a mut Ctx<'c>,
    open: &'a Arc<Open>,
    file: &'a FileOpen,
    request: &'a IoctlRequest<'a>,
}

impl Target<'_, '_> {
    /// ACCESS_DENIED without any of these rights.
    fn needs(&self, any_of: AccessMask) -> Result<(), NtStatus> {
        if self.file.access.intersects(any_of) { Ok(()) } else { Err(NtStatus::ACCESS_DENIED) }
    }

    /// MEDIA_WRITE_PROTECTED where nothing can be written.
    fn writable(&self) -> Result<(), NtStatus> {
        let facts = self.open.tree.disk()?.area.export()?.facts();
        if self.open.tree.read_only() || facts.read_only {
            return Err(NtStatus::MEDIA_WRITE_PROTECTED);
        }
        Ok(())
    }

    /// INVALID_PARAMETER if the answer does not fit.
    fn room(&self, bytes: usize) -> Result<(), NtStatus> {
        if (self.request.max_output_response as usize) < bytes {
            Err(NtStatus::INVALID_PARAMETER)
        } else {
            Ok(())
        }
    }

    fn may_write(&self, offset: u64, len: u64) -> Result<(), NtStatus> {
        let rules = self.open.tree.disk()?.area.rules.lock();
        if rules.may_write(self.open.open_id(), offset, len) {
            Ok(())
        } else {
            Err(NtStatus::FILE_LOCK_CONFLICT)
        }
    }

    /// It was changed, through this open.
    fn changed(&mut self, facets: Facets) -> Result<(), NtStatus> {
        let area = &self.open.tree.disk()?.area;
        let mut rules = area.rules.lock();
        if let Some(path) = rules.path_of(self.open.open_id()) {
            let change = Change::modified(path, self.file.directory, facets);
            let change = change.by(self.open.open_id()).of(self.file.key);
            self.ctx.effects.extend(apply(&mut rules, &change, area.now()));
        }
        drop(rules);
        if facets.intersects(Facets::DATA | Facets::SIZE) {
            times::show(self.open.tree.disk()?, self.open, self.file, true);
        }
        Ok(())
    }
}

fn encoded(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}
