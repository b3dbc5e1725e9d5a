//! QUERY_INFO and SET_INFO (MS-SMB2 3.3.5.20, 3.3.5.21), onto MS-FSA 2.1.5.12 to 2.1.5.17.

mod basic;
pub mod ea;
mod file;
mod name;
mod pipe;
mod quota;
mod security;
mod size;
mod volume;
mod way;

use super::{Ctx, Fail, Handled, Reply, times};
use crate::fsa::change::{Change, Facets, StreamChange, apply};
use crate::posix::SpecialKind;
use crate::posix::{self, Stat};
use crate::session::{Disk, FileOpen, Open, OpenKind};
use crate::types::{AccessMask, NodeKey, NtStatus};
use crate::wire::codec::{Reader, Writer};
use crate::wire::fscc::classes::QuerySize;
use crate::wire::fscc::reparse::ReparseTag;
use crate::wire::fscc::set_info::{SetFileInfo, SetFsInfo};
use crate::wire::fscc::{FileInfoClass, FsInfoClass, InfoType};
use crate::wire::query_info::{QueryInfoRequest, QueryInfoResponse};
use crate::wire::set_info::{SetInfoRequest, SetInfoResponse};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub fn query(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = QueryInfoRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    let payload = request.input_buffer.len().max(request.output_buffer_length as usize);
    ctx.check_payload(payload)?;
    let max = request.output_buffer_length as usize;
    match request.info_type {
        InfoType::FILE => {
            let class = FileInfoClass(request.file_info_class);
            let size = class.query_size().ok_or(NtStatus::INVALID_INFO_CLASS)?;
            let out = Out::new(reply, size, max)?;
            match &open.kind {
                OpenKind::File(file) => file::query(ctx, &open, file, &request, out),
                OpenKind::Pipe(open) => pipe::query(&open.pipe, class, out),
            }
        }
        InfoType::FILESYSTEM => {
            let class = FsInfoClass(request.file_info_class);
            let size = class.query_size().ok_or(NtStatus::INVALID_INFO_CLASS)?;
            volume::query(&open, class, Out::new(reply, size, max)?)
        }
        InfoType::SECURITY => security::query(&open, request.additional_information, max, reply),
        InfoType::QUOTA => quota::query(&open, request.input_buffer, max, reply),
        _ => Err(NtStatus::INVALID_PARAMETER.into()),
    }
}

/// What the kernel knows of an inode in memory, and of a local volume: on the reactor. None: it takes a worker.
pub fn try_query_inline(ctx: &mut Ctx<'_>, body: Reader<'_>, reply: &mut Reply) -> Option<Handled> {
    let request = QueryInfoRequest::decode(&mut body.clone()).ok()?;
    let open = ctx.open(request.file_id).ok()?;
    let quick = open.file().is_some_and(|file| file.object.is_quick());
    // Descriptors and attributes may have to be read from the disk.
    let in_memory = match request.info_type {
        InfoType::FILE => {
            !matches!(FileInfoClass(request.file_info_class), FileInfoClass::FULL_EA | FileInfoClass::STREAM)
        }
        // Quotas may have to be read from the disk, too.
        InfoType::FILESYSTEM => {
            let export = open.share().disk().and_then(|disk| disk.area.export_if_open());
            export.is_some_and(|export| !export.facts().quotas)
        }
        _ => false,
    };
    (quick && in_memory).then(|| query(ctx, body, reply))
}

pub fn set(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = SetInfoRequest::decode(&mut body)?;
    let open = ctx.open(request.file_id)?;
    ctx.check_payload(request.buffer.len())?;
    match request.info_type {
        InfoType::FILE => {
            let class = FileInfoClass(request.file_info_class);
            let info = SetFileInfo::decode(class, request.buffer)?;
            match &open.kind {
                OpenKind::File(file) => set_file(ctx, &open, file, info)?,
                OpenKind::Pipe(open) => pipe::set(&open.pipe, &info)?,
            }
        }
        InfoType::FILESYSTEM => {
            // The label is the directory's name, and quotas are the administrator's.
            SetFsInfo::decode(FsInfoClass(request.file_info_class), request.buffer)?;
            return Err(NtStatus::ACCESS_DENIED.into());
        }
        InfoType::SECURITY => {
            let mut subject = Subject::new(&open, super::file_of(&open)?)?;
            security::set(&mut subject, request.additional_information, request.buffer)?;
            ctx.effects.append(&mut subject.effects);
        }
        InfoType::QUOTA => return Err(NtStatus::NOT_SUPPORTED.into()),
        _ => return Err(NtStatus::INVALID_PARAMETER.into()),
    }
    SetInfoResponse.encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

fn set_file(ctx: &mut Ctx<'_>, open: &Arc<Open>, file: &FileOpen, info: SetFileInfo<'_>) -> Result<(), Fail> {
    let needed = needed_to_set(&info);
    if !file.access.contains(needed) {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let mut subject = Subject::new(open, file)?;
    way::clear(ctx, &subject, &info)?;
    let deletes = match &info {
        SetFileInfo::Disposition(flags) => Some(flags.contains(crate::fsa::Disposition::DELETE)),
        _ => None,
    };
    match info {
        SetFileInfo::Basic(info) => {
            if basic::set(&mut subject, &info)? {
                // What the disk has no room for it hears of later.
                let _ = ctx.gate.keeper.note(open);
            }
        }
        SetFileInfo::EndOfFile(size) => size::set_end_of_file(&mut subject, size)?,
        SetFileInfo::Allocation(size) => size::set_allocation(&mut subject, size)?,
        SetFileInfo::ValidDataLength(_) => return Err(NtStatus::PRIVILEGE_NOT_HELD.into()),
        SetFileInfo::Disposition(flags) => {
            name::set_disposition(&mut subject, flags)?;
            way::give_up_waiting(ctx.gate, &subject, flags);
            let others = subject.disk.area.rules.lock().others_of(open.open_id());
            others.into_iter().filter_map(|id| ctx.gate.opens.by_volatile(id.0)).for_each(|other| {
                ctx.gate.keeper.changed(&other);
            });
        }
        SetFileInfo::Rename(info) => name::rename(&mut subject, &info)?,
        SetFileInfo::Link(info) => name::link(&mut subject, &info)?,
        SetFileInfo::Position(at) => {
            let at = u64::try_from(at).map_err(|_| NtStatus::INVALID_PARAMETER)?;
            file.position.store(at, Ordering::Relaxed);
        }
        SetFileInfo::Mode(mode) => basic::set_mode(file, mode)?,
        SetFileInfo::FullEa(list) => ea::set(&mut subject, list)?,
        SetFileInfo::ShortName(_) | SetFileInfo::CaseSensitive(_) => {
            return Err(NtStatus::NOT_SUPPORTED.into());
        }
        SetFileInfo::Pipe(_) => return Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
    }
    ctx.effects.append(&mut subject.effects);
    match deletes {
        // A disk without room for it is a reason to delete: after a crash the file is still there.
        Some(true) => {
            let _ = ctx.gate.keeper.note(open);
        }
        Some(false) => ctx.gate.keeper.note(open)?,
        None => ctx.gate.keeper.changed(open),
    }
    Ok(())
}

/// MS-SMB2 3.3.5.21.1: what the open must have been granted.
fn needed_to_set(info: &SetFileInfo<'_>) -> AccessMask {
    match info {
        SetFileInfo::Basic(_) | SetFileInfo::CaseSensitive(_) => AccessMask::WRITE_ATTRIBUTES,
        SetFileInfo::EndOfFile(_) | SetFileInfo::Allocation(_) | SetFileInfo::ValidDataLength(_) => {
            AccessMask::WRITE_DATA
        }
        SetFileInfo::Rename(_) | SetFileInfo::Disposition(_) | SetFileInfo::ShortName(_) => {
            AccessMask::DELETE
        }
        SetFileInfo::FullEa(_) => AccessMask::WRITE_EA,
        SetFileInfo::Link(_) | SetFileInfo::Position(_) | SetFileInfo::Mode(_) | SetFileInfo::Pipe(_) => {
            AccessMask::empty()
        }
    }
}

/// The file that a request is about, and what the request brings about.
struct Subject<'a> {
    open: &'a Open,
    file: &'a FileOpen,
    disk: &'a Disk,
    export: Arc<posix::Export>,
    effects: Vec<crate::fsa::Effect>,
}

impl<'a> Subject<'a> {
    fn new(open: &'a Open, file: &'a FileOpen) -> Result<Subject<'a>, NtStatus> {
        let disk = open.tree.disk()?;
        Ok(Subject { open, file, disk, export: disk.area.export()?, effects: Vec::new() })
    }

    fn stat(&self) -> Result<Stat, NtStatus> {
        Ok(times::told(self.disk, self.export.stat(&self.file.object)?))
    }

    /// Through the one door.
    fn tell(&mut self, change: Change) {
        let change = change.by(self.open.open_id()).of(self.file.key);
        self.effects.extend(apply(&mut self.disk.area.rules.lock(), &change, self.disk.area.now()));
    }

    fn tell_modified(&mut self, facets: Facets) {
        let path = self.disk.area.rules.lock().path_of(self.open.open_id());
        if let Some(path) = path.filter(|_| !facets.is_empty()) {
            let data = Facets::DATA | Facets::SIZE;
            let change = match self.file.object.stream().filter(|_| facets.intersects(data)) {
                Some(name) => Change::stream(path, name, StreamChange::Resized),
                None => Change::modified(path, self.file.object.kind() == posix::Kind::Directory, facets),
            };
            self.tell(change);
        }
        if facets.intersects(Facets::DATA | Facets::SIZE) {
            times::show(self.disk, self.open, self.file, true);
        }
    }

    /// The same without a stream.
    fn smb_path_of_file(&self) -> String {
        let path = self.disk.area.rules.lock().path_of(self.open.open_id());
        path.map(|path| super::create::disk_path(&path).to_smb()).unwrap_or_default()
    }

    /// As SMB spells it, from the root of the share, without a leading `\`.
    fn smb_path(&self) -> String {
        let mut name = self.smb_path_of_file();
        if let Some(stream) = self.file.object.stream() {
            name.push(':');
            name.push_str(&stream);
        }
        name
    }
}

/// Where the buffer of an answer goes.
struct Out<'r> {
    reply: &'r mut Reply,
    max: usize,
}

impl<'r> Out<'r> {
    fn new(reply: &'r mut Reply, size: QuerySize, max: usize) -> Result<Out<'r>, NtStatus> {
        if max < size.min {
            return Err(NtStatus::INFO_LENGTH_MISMATCH);
        }
        Ok(Out { reply, max })
    }

    /// Writes the whole buffer; what is more than the client takes is cut off.
    fn put(self, write: impl FnOnce(&mut Writer<'_>)) -> Handled {
        let max = self.max;
        self.put_list(|w, _| {
            let start = w.pos();
            write(w);
            let all = w.pos() - start <= max;
            w.truncate((start + max).min(w.pos()));
            all
        })
    }

    /// `write` keeps to the size it is given and says whether all of it fitted.
    fn put_list(self, write: impl FnOnce(&mut Writer<'_>, usize) -> bool) -> Handled {
        let mut w = self.reply.body();
        let mark = QueryInfoResponse::encode_prefix(&mut w);
        let all = write(&mut w, self.max);
        QueryInfoResponse::patch(&mut w, mark);
        Ok(if all { NtStatus::SUCCESS } else { NtStatus::BUFFER_OVERFLOW })
    }
}

/// The 64-bit id of a file: its inode number; on a file system mounted beneath the export, mixed with the device
/// so that ids do not meet.
pub fn file_id(export_device: u64, key: NodeKey) -> u64 {
    if key.dev == export_device {
        key.ino
    } else {
        key.ino ^ key.dev.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// FileId of 128 bits (MS-FSCC 2.1.10).
fn file_id_128(export_device: u64, key: NodeKey) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&file_id(export_device, key).to_le_bytes());
    id
}

/// Zero for what is no reparse point. Special files have the tags of WSL, which Windows and every Linux client know; older
/// Linux clients take NFS's tag for a symlink's.
pub fn reparse_tag(stat: &posix::Stat) -> ReparseTag {
    match stat.special() {
        Some(SpecialKind::Fifo) => ReparseTag::LX_FIFO,
        Some(SpecialKind::Socket) => ReparseTag::AF_UNIX,
        Some(SpecialKind::Character) => ReparseTag::LX_CHR,
        Some(SpecialKind::Block) => ReparseTag::LX_BLK,
        None if stat.kind == posix::Kind::Symlink => ReparseTag::SYMLINK,
        None => ReparseTag(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header;

    fn answer(size: QuerySize, max: usize, bytes: &[u8]) -> Result<(NtStatus, Vec<u8>), NtStatus> {
        let mut reply = Reply::default();
        reply.begin();
        let status = match Out::new(&mut reply, size, max)?.put(|w| w.bytes(bytes)) {
            Ok(status) => status,
            other => panic!("{other:?}"),
        };
        let message = reply.message_mut().to_vec();
        let body = QueryInfoResponse::decode(&mut Reader::at(&message, header::LEN)).unwrap();
        Ok((status, body.buffer.to_vec()))
    }

    #[test]
    fn a_short_buffer_is_refused_or_cuts_the_answer() {
        let size = QuerySize { min: 4, variable: true };
        assert_eq!(answer(size, 3, b"abcdef"), Err(NtStatus::INFO_LENGTH_MISMATCH));
        assert_eq!(answer(size, 5, b"abcdef"), Ok((NtStatus::BUFFER_OVERFLOW, b"abcde".to_vec())));
        assert_eq!(answer(size, 6, b"abcdef"), Ok((NtStatus::SUCCESS, b"abcdef".to_vec())));
        assert_eq!(answer(size, 4, b"ab"), Ok((NtStatus::SUCCESS, b"ab".to_vec())));
    }

    #[test]
    fn ids_of_another_device_do_not_meet_those_of_the_export() {
        let (here, there) = (NodeKey { dev: 7, ino: 2 }, NodeKey { dev: 8, ino: 2 });
        assert_eq!(file_id(7, here), 2);
        assert_ne!(file_id(7, here), file_id(7, there));
    }

    #[test]
    fn what_it_takes_to_set() {
        let needs = |info: SetFileInfo<'_>| needed_to_set(&info);
        assert_eq!(needs(SetFileInfo::EndOfFile(0)), AccessMask::WRITE_DATA);
        assert_eq!(needs(SetFileInfo::Disposition(Default::default())), AccessMask::DELETE);
        assert_eq!(needs(SetFileInfo::Basic(Default::default())), AccessMask::WRITE_ATTRIBUTES);
        assert_eq!(needs(SetFileInfo::Position(0)), AccessMask::empty());
    }
}
