//! QUERY_DIRECTORY (MS-SMB2 3.3.5.18), onto MS-FSA 2.1.5.6. Entries are written straight into the answer.

use super::info::{file_id, reparse_tag};
use super::{Ctx, Handled, Reply, times};
use crate::fsa::access::Token;
use crate::fsa::expression::{Expression, has_wildcard};
use crate::posix::{DirScan, Entry, Export, Kind, Last, Lookup, Object, SmbPath, Stat, name_to_smb};
use crate::session::{Disk, Listing};
use crate::types::{AccessMask, FileAttributes, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::fscc::FileInfoClass;
use crate::wire::fscc::dir_info::{self, DirEntry, DirWriter, ShortName};
use crate::wire::query_directory::{
    PATTERN, QueryDirectoryFlags, QueryDirectoryRequest, QueryDirectoryResponse,
};

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = QueryDirectoryRequest::decode(&mut body)
        .map_err(|e| if e.what == PATTERN { NtStatus::OBJECT_NAME_INVALID } else { e.into() })?;
    let open = ctx.open(request.file_id)?;
    let Some(file) = open.file().filter(|f| f.directory) else {
        return Err(NtStatus::INVALID_PARAMETER.into());
    };
    let max = request.output_buffer_length as usize;
    ctx.check_payload(max)?;
    let class = request.file_information_class;
    let least = dir_info::fixed_size(class).ok_or(NtStatus::INVALID_INFO_CLASS)?;
    if max < least {
        return Err(NtStatus::INFO_LENGTH_MISMATCH.into());
    }
    if !file.access.contains(AccessMask::LIST_DIRECTORY) {
        return Err(NtStatus::ACCESS_DENIED.into());
    }
    let export = open.tree.disk()?.area.export()?;
    // One query at a time on one open: they move one position.
    let mut slot = file.listing.lock();
    let nothing = begin(&mut slot, request.flags, &request.file_name)?;
    let listing = slot.as_mut().ok_or(NtStatus::INTERNAL_ERROR)?;

    let mut w = reply.body();
    let mark = QueryDirectoryResponse::encode_prefix(&mut w);
    let mut out = DirWriter::new(&mut w, class, max).ok_or(NtStatus::INVALID_INFO_CLASS)?;
    let walk = Walk {
        disk: open.tree.disk()?,
        export: &export,
        directory: &file.object,
        device: export.facts().device,
        names_only: class == FileInfoClass::NAMES,
        shorts: dir_info::has_short_name(class) && export.has_short_names(),
        token: open.tree.disk()?.settings.hide_unreadable.then_some(&open.tree.token),
        single: request.flags.contains(QueryDirectoryFlags::RETURN_SINGLE_ENTRY),
    };
    let full = walk.fill(listing, &mut out)?;
    if out.is_empty() {
        // An entry that did not fit waits for a larger buffer.
        return Err(if full { NtStatus::BUFFER_OVERFLOW } else { nothing }.into());
    }
    QueryDirectoryResponse::patch(&mut w, mark);
    Ok(NtStatus::SUCCESS)
}

/// Begins a listing, or begins it again, as the flags say. A pattern counts only then (MS-FSA 2.1.5.6.3). Returns
/// what to say when nothing is found. (INDEX_SPECIFIED is ignored, as by NTFS: entries have no index.)
fn begin(
    slot: &mut Option<Box<Listing>>,
    flags: QueryDirectoryFlags,
    pattern: &str,
) -> Result<NtStatus, NtStatus> {
    if flags.contains(QueryDirectoryFlags::REOPEN) {
        *slot = None;
    }
    match slot {
        None => {
            *slot = Some(Box::new(listing(if pattern.is_empty() { "*" } else { pattern })?));
            Ok(NtStatus::NO_SUCH_FILE)
        }
        Some(present) => {
            if flags.contains(QueryDirectoryFlags::RESTART_SCANS) {
                if pattern.is_empty() {
                    present.scan.rewind();
                    present.done = false;
                } else {
                    **present = listing(pattern)?;
                }
            }
            Ok(NtStatus::NO_MORE_FILES)
        }
    }
}

fn listing(pattern: &str) -> Result<Listing, NtStatus> {
    if pattern.contains(['\\', '/', ':', '\0']) {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    let by_name = !has_wildcard(pattern) && pattern != "." && pattern != "..";
    Ok(Listing {
        expression: Expression::new(pattern),
        name: by_name.then(|| pattern.to_owned()),
        scan: DirScan::new(),
        done: false,
    })
}

/// What a query looks at.
struct Walk<'a> {
    disk: &'a Disk,
    export: &'a Export,
    directory: &'a Object,
    device: u64,
    names_only: bool,
    shorts: bool,
    /// Only what its bearer may read is shown.
    token: Option<&'a Token>,
    single: bool,
}

impl Walk<'_> {
    /// Writes entries until there are no more (false) or no more fit (true).
    fn fill(&self, listing: &mut Listing, out: &mut DirWriter<'_, '_>) -> Result<bool, NtStatus> {
        if let Some(name) = &listing.name {
            if listing.done {
                return Ok(false);
            }
            match self.by_name(name)? {
                ByName::Found(entry) => {
                    if !self.push(&entry, out)?.unwrap_or(true) {
                        return Ok(true);
                    }
                    listing.done = true;
                    return Ok(false);
                }
                ByName::Nothing => {
                    listing.done = true;
                    return Ok(false);
                }
                // The directory is not where it can be asked by path.
                ByName::Unknown => listing.name = None,
            }
        }
        while let Some(entry) = listing.scan.next(self.directory)? {
            if !listing.expression.matches(&entry.name) {
                continue;
            }
            match self.push(&entry, out) {
                Ok(Some(true)) if self.single => return Ok(true),
                // It has vanished, or is written.
                Ok(None | Some(true)) => {}
                Ok(Some(false)) => {
                    listing.scan.unread(entry);
                    return Ok(true);
                }
                // What was found so far is told first.
                Err(_) if !out.is_empty() => {
                    listing.scan.unread(entry);
                    return Ok(true);
                }
                Err(status) => return Err(status),
            }
        }
        Ok(false)
    }

    /// Writes one entry. Some(false): it does not fit. None: it is not there any more, or is not shown to this user.
    fn push(&self, entry: &Entry, out: &mut DirWriter<'_, '_>) -> Result<Option<bool>, NtStatus> {
        let seen = match self.token {
            Some(token) if !matches!(entry.name.as_str(), "." | "..") => match self.look(entry, token) {
                Ok(Some(stat)) => Some(stat),
                Ok(None) | Err(NtStatus::ACCESS_DENIED) => return Ok(None),
                Err(status) => return Err(status),
            },
            _ => None,
        };
        if self.names_only {
            return Ok(Some(out.push(&DirEntry::default(), &entry.name)));
        }
        let stat = seen.map_or_else(|| self.export.stat_entry(self.directory, entry), |stat| Ok(Some(stat)));
        let mut facts = match stat {
            Ok(Some(stat)) => facts(self.device, &times::told(self.disk, stat)),
            Ok(None) => return Ok(None),
            // The name may be seen all the same.
            Err(NtStatus::ACCESS_DENIED) => bare(entry),
            Err(status) => return Err(status),
        };
        if self.shorts && !matches!(entry.name.as_str(), "." | "..") {
            let short = self.export.other_short_name(&entry.name);
            facts.short_name = short.and_then(|name| ShortName::new(&name)).unwrap_or_default();
        }
        Ok(Some(out.push(&facts, &entry.name)))
    }

    /// None: it is not there, or the user may not read it.
    fn look(&self, entry: &Entry, token: &Token) -> Result<Option<Stat>, NtStatus> {
        let Some((object, stat)) = self.export.object_of_entry(self.directory, entry)? else {
            return Ok(None);
        };
        Ok(self.export.may_see(&object, &stat, token)?.then_some(stat))
    }

    /// One name is looked up, not searched for.
    fn by_name(&self, name: &str) -> Result<ByName, NtStatus> {
        let Some(directory) = self.export.path_now(self.directory) else { return Ok(ByName::Unknown) };
        let name = SmbPath::parse(name)?;
        let path = SmbPath::of_rel(&directory.join(name.as_rel().as_bytes()));
        match self.export.lookup(&path, Last::Keep) {
            Ok(Lookup::Found(found)) => {
                let disk = found.path.name();
                Ok(ByName::Found(Entry {
                    name: name_to_smb(disk),
                    disk: disk.into(),
                    kind: Some(found.object.kind()),
                    ino: found.stat.key.ino,
                }))
            }
            Ok(Lookup::Missing(_)) | Err(NtStatus::OBJECT_NAME_NOT_FOUND) => Ok(ByName::Nothing),
            Err(NtStatus::OBJECT_PATH_NOT_FOUND) => Ok(ByName::Unknown),
            Err(status) => Err(status),
        }
    }
}

enum ByName {
    Found(Entry),
    Nothing,
    Unknown,
}

fn facts(device: u64, stat: &Stat) -> DirEntry {
    DirEntry {
        creation_time: stat.created,
        last_access_time: stat.accessed,
        last_write_time: stat.written,
        change_time: stat.changed,
        end_of_file: stat.size,
        allocation_size: stat.allocation,
        file_attributes: stat.attributes,
        reparse_point_tag: reparse_tag(stat).0,
        file_id: file_id(device, stat.key),
        ..DirEntry::default()
    }
}

/// What the directory itself tells of an entry.
fn bare(entry: &Entry) -> DirEntry {
    let file_attributes = match entry.kind {
        Some(Kind::Directory) => FileAttributes::DIRECTORY,
        _ => FileAttributes::NORMAL,
    };
    DirEntry { file_attributes, file_id: entry.ino, ..DirEntry::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_counts_only_at_the_start() {
        let none = QueryDirectoryFlags::empty();
        let mut slot = None;
        assert_eq!(begin(&mut slot, none, ""), Ok(NtStatus::NO_SUCH_FILE));
        assert!(slot.as_ref().unwrap().expression.is_everything());
        assert_eq!(begin(&mut slot, none, "a*"), Ok(NtStatus::NO_MORE_FILES));
        assert!(slot.as_ref().unwrap().expression.is_everything());
        assert_eq!(begin(&mut slot, QueryDirectoryFlags::RESTART_SCANS, "a*"), Ok(NtStatus::NO_MORE_FILES));
        assert!(!slot.as_ref().unwrap().expression.matches("b"));
        assert_eq!(begin(&mut slot, QueryDirectoryFlags::RESTART_SCANS, ""), Ok(NtStatus::NO_MORE_FILES));
        assert!(!slot.as_ref().unwrap().expression.matches("b"));
        assert_eq!(begin(&mut slot, QueryDirectoryFlags::REOPEN, ""), Ok(NtStatus::NO_SUCH_FILE));
        assert!(slot.unwrap().expression.matches("b"));
    }

    #[test]
    fn one_name_is_looked_up() {
        assert_eq!(listing("Foo.txt").unwrap().name.as_deref(), Some("Foo.txt"));
        for searched in ["*", "foo?", "..", "<.txt"] {
            assert_eq!(listing(searched).unwrap().name, None, "{searched}");
        }
        assert_eq!(listing("a\\b").err(), Some(NtStatus::OBJECT_NAME_INVALID));
    }
}
