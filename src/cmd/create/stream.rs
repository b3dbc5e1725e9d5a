//! Opening named streams (MS-FSA 2.1.5.1 with a StreamNameToOpen). The file around them is found, or made, as ever;
//! the disposition is about the stream.

use super::{Create, Done, fsa_path};
use crate::cmd::Fail;
use crate::fsa::OpenAsk;
use crate::fsa::change::{Change, StreamChange};
use crate::posix::{self, Kind, Object, SmbPath, Stat};
use crate::session::Disk;
use crate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus, OpenId, same_name};
use crate::wire::create::CreateAction;

/// A share may have no streams, not even by the name of the data.
pub fn allowed(disk: &Disk, name: &str) -> Result<(), NtStatus> {
    if disk.settings.streams || !name.contains(':') { Ok(()) } else { Err(NtStatus::OBJECT_NAME_INVALID) }
}

/// What a stream's name asks for by itself.
pub fn name(path: &SmbPath, options: CreateOptions) -> Result<(), NtStatus> {
    if path.stream().is_none() && !path.is_data() {
        return Ok(());
    }
    if options.contains(CreateOptions::DIRECTORY_FILE) {
        return Err(NtStatus::NOT_A_DIRECTORY);
    }
    Ok(())
}

/// What is to become of the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    Create,
    Overwrite,
}

impl Step {
    fn of(disposition: CreateDisposition, exists: bool) -> Result<Step, NtStatus> {
        match (disposition, exists) {
            (CreateDisposition::CREATE, true) => Err(NtStatus::OBJECT_NAME_COLLISION),
            (CreateDisposition::OPEN | CreateDisposition::OVERWRITE, false) => {
                Err(NtStatus::OBJECT_NAME_NOT_FOUND)
            }
            (CreateDisposition::OPEN | CreateDisposition::OPEN_IF, true) => Ok(Step::Open),
            (_, true) => Ok(Step::Overwrite),
            (_, false) => Ok(Step::Create),
        }
    }
}

impl Create<'_, '_, '_> {
    /// A stream of a file or directory that is there.
    pub(super) fn existing_stream(&mut self, found: posix::Found, wanted: &str) -> Result<Done, Fail> {
        let posix::Found { mut object, stat, path } = found;
        if !matches!(stat.kind, Kind::File | Kind::Directory) {
            return Err(NtStatus::OBJECT_NAME_NOT_FOUND.into());
        }
        let there = self.export.find_stream(&object, wanted)?;
        let step = Step::of(self.request.create_disposition, there.is_some())?;
        let (access, described) = self.grant(&mut object, &path, &stat, step != Step::Open)?;
        let name = there.as_deref().unwrap_or(wanted);
        let id = self.ctx.gate.opens.new_id();
        let lease = self.lease_ask(Some(stat.key), false)?;
        let leased = lease.is_some();
        let ask = self.ask(id, &stat, path.clone(), access, step == Step::Overwrite, lease);
        self.register(OpenAsk { stream: Some(name.to_owned()), ..ask })?;
        let done = match step {
            Step::Create => self.export.create_stream(&object, name),
            Step::Open | Step::Overwrite => Ok(()),
        };
        let done = done.and_then(|()| {
            self.export.open_stream(&mut object, name);
            if step == Step::Overwrite {
                object.set_size(0)?;
            }
            self.export.stat(&object)
        });
        let stat = match done {
            Ok(stat) => stat,
            Err(status) => {
                self.unregister(id);
                return Err(status.into());
            }
        };
        let path = fsa_path(&path);
        let (action, change) = match step {
            Step::Open => (CreateAction::OPENED, None),
            Step::Create => (CreateAction::CREATED, Some(StreamChange::Added)),
            Step::Overwrite if self.request.create_disposition == CreateDisposition::SUPERSEDE => {
                (CreateAction::SUPERSEDED, Some(StreamChange::Written))
            }
            Step::Overwrite => (CreateAction::OVERWRITTEN, Some(StreamChange::Written)),
        };
        if let Some(change) = change {
            let change = Change::stream(path.clone(), name.to_owned(), change);
            self.tell(change.by(OpenId(id.volatile)).of(stat.key));
        }
        Ok(Done { id, object, stat, path, access, action, described, leased })
    }

    /// The stream that a file was made for.
    pub(super) fn first_stream(&self, object: &mut Object, name: &str) -> Result<Stat, NtStatus> {
        self.export.create_stream(object, name)?;
        self.export.open_stream(object, name);
        self.export.stat(object)
    }

    /// A file that is overwritten loses its named streams (MS-FSA 2.1.5.1.2); those that are open, when they are
    /// closed.
    pub(super) fn drop_streams(&self, id: FileId, object: &Object) -> Result<(), NtStatus> {
        let there = self.export.streams(object)?;
        if there.is_empty() {
            return Ok(());
        }
        let open = self.disk.area.rules.lock().drop_streams(OpenId(id.volatile));
        for stream in there.iter().filter(|s| !open.iter().any(|name| same_name(name, &s.name))) {
            match self.export.remove_stream(object, &stream.name) {
                Ok(()) | Err(NtStatus::OBJECT_NAME_NOT_FOUND) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// What an open of the file's data would show has to be asked for: a stream is not opened by the kernel.
    pub(super) fn not_shown(&self, shown: AccessMask) -> AccessMask {
        let data = AccessMask::READ_DATA | AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
        if self.path.stream().is_some() { shown & !data } else { shown }
    }
}
