//! What changes names: rename, link, disposition (MS-FSA 2.1.5.15.3, 2.1.5.15.6, 2.1.5.15.11).

use super::Subject;
use crate::cmd::create::{disk_path, fsa_path};
use crate::fsa::change::Change;
use crate::fsa::{Disposition, DispositionAsk, RenameAsk, Target};
use crate::posix::{self, Kind, SmbPath};
use crate::types::{AccessMask, FileAttributes, NtStatus};
use crate::wire::fscc::set_info::{RenameFlags, RenameInfo};

pub fn set_disposition(subject: &mut Subject<'_>, flags: Disposition) -> Result<(), NtStatus> {
    let delete = flags.contains(Disposition::DELETE);
    let readonly = delete && subject.stat()?.attributes.contains(FileAttributes::READONLY);
    let not_empty = delete && subject.file.directory && !subject.export.is_empty(&subject.file.object)?;
    let ask = DispositionAsk { open: subject.open.open_id(), flags, readonly, not_empty };
    let area = &subject.disk.area;
    let effects = area.rules.lock().set_disposition(&ask, area.now())?;
    subject.effects.extend(effects);
    Ok(())
}

pub fn rename(subject: &mut Subject<'_>, info: &RenameInfo) -> Result<(), NtStatus> {
    if info.file_name.starts_with(':') || subject.file.object.is_stream() {
        return rename_stream(subject, info);
    }
    let (target, ask) = facts(subject, info, subject.file.directory)?;
    let renaming = subject.disk.area.rules.lock().rename(&ask)?;
    let from = disk_path(&renaming.from);
    let to = subject.export.rename(&subject.file.object, &from, &target, ask.replace)?;
    let mut change = renaming.change();
    if let crate::fsa::change::Kind::Renamed { to: told, .. } = &mut change.kind {
        *told = fsa_path(&to);
    }
    subject.tell(change);
    Ok(())
}

/// MS-FSA 2.1.5.15.11.1. To become the unnamed stream, or to have been it, is not supported.
fn rename_stream(subject: &mut Subject<'_>, info: &RenameInfo) -> Result<(), NtStatus> {
    // The file cannot be renamed through its stream: the stream is open.
    let name = info.file_name.strip_prefix(':').ok_or(NtStatus::SHARING_VIOLATION)?;
    let bad = |_| NtStatus::INVALID_PARAMETER;
    let to = posix::parse_stream(name).map_err(bad)?.ok_or(NtStatus::NOT_SUPPORTED)?.name;
    let (area, open) = (&subject.disk.area, subject.open.open_id());
    area.rules.lock().rename_stream(open, &to)?;
    let replace = info.flags.contains(RenameFlags::REPLACE_IF_EXISTS);
    subject.export.rename_stream(&subject.file.object, &to, replace)?;
    let effects = area.rules.lock().renamed_stream(open, &to, area.now());
    subject.effects.extend(effects);
    Ok(())
}

pub fn link(subject: &mut Subject<'_>, info: &RenameInfo) -> Result<(), NtStatus> {
    if subject.open.tree.read_only() {
        return Err(NtStatus::ACCESS_DENIED);
    }
    if subject.file.directory {
        return Err(NtStatus::FILE_IS_A_DIRECTORY);
    }
    let (target, ask) = facts(subject, info, false)?;
    let linking = subject.disk.area.rules.lock().link(&ask)?;
    let to = subject.export.link(&subject.file.object, &target, ask.replace)?;
    if let Some(replaced) = linking.replaces {
        let area = &subject.disk.area;
        let change = Change::removed(replaced.path, false).of(replaced.node).by(subject.open.open_id());
        subject.effects.extend(crate::fsa::change::apply(&mut area.rules.lock(), &change, area.now()));
    }
    subject.tell(Change::created(fsa_path(&to), false));
    Ok(())
}

/// Where it goes, and what the rules must know of that place. ACCESS_DENIED: the security descriptor of the directory,
/// or of what is to be replaced, forbids it (the kernel is asked later).
fn facts(
    subject: &Subject<'_>,
    info: &RenameInfo,
    directory: bool,
) -> Result<(posix::Target, RenameAsk), NtStatus> {
    let path = destination(info)?;
    let target = subject.export.target(&path)?;
    subject.export.check_add(&target.parent, directory, &subject.open.tree.token)?;
    let replace = info.flags.contains(RenameFlags::REPLACE_IF_EXISTS);
    let there = match &target.existing {
        Some((node, path)) => target_facts(subject, *node, path, replace)?,
        None => None,
    };
    let ask = RenameAsk {
        open: subject.open.open_id(),
        to: fsa_path(&target.path),
        replace,
        posix: info.flags.contains(RenameFlags::POSIX_SEMANTICS),
        ignore_readonly: info.flags.contains(RenameFlags::IGNORE_READONLY_ATTRIBUTE),
        target: there,
    };
    Ok((target, ask))
}

/// None: it has vanished meanwhile.
fn target_facts(
    subject: &Subject<'_>,
    node: crate::types::NodeKey,
    path: &posix::RelPath,
    replace: bool,
) -> Result<Option<Target>, NtStatus> {
    match subject.export.open_rel(path) {
        Ok(found) => {
            let token = &subject.open.tree.token;
            if replace && node != subject.file.key {
                let rights = subject.export.rights(&found.object, path, &found.stat, token, false)?;
                if !rights.allow(AccessMask::DELETE)? {
                    return Err(NtStatus::ACCESS_DENIED);
                }
            }
            Ok(Some(Target {
                path: fsa_path(path),
                node,
                directory: found.stat.kind == Kind::Directory,
                readonly: found.stat.attributes.contains(FileAttributes::READONLY),
            }))
        }
        Err(NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND) => Ok(None),
        Err(status) => Err(status),
    }
}

/// The new path counts from the root of the share (MS-FSCC 2.4.43.2).
fn destination(info: &RenameInfo) -> Result<SmbPath, NtStatus> {
    if info.root_directory != 0 || info.file_name.is_empty() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let path = SmbPath::parse(&info.file_name)?;
    if path.stream().is_some() {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &str, root_directory: u64) -> Result<Vec<u8>, NtStatus> {
        let info = RenameInfo { root_directory, file_name: name.into(), ..RenameInfo::default() };
        destination(&info).map(|path| path.as_rel().as_bytes().to_vec())
    }

    #[test]
    fn a_destination_counts_from_the_root_of_the_share() {
        assert_eq!(to("dir\\new", 0).unwrap(), b"dir/new");
        assert_eq!(to("new", 7), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(to("", 0), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(to("\\new", 0), Err(NtStatus::OBJECT_NAME_INVALID));
        assert_eq!(to("..\\new", 0), Err(NtStatus::OBJECT_PATH_SYNTAX_BAD));
        assert_eq!(to("dir\\..\\new", 0).unwrap(), b"new");
        assert_eq!(to("new:stream", 0), Err(NtStatus::OBJECT_NAME_INVALID));
    }
}
