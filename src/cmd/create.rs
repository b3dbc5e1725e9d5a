//! CREATE (MS-SMB2 3.3.5.9), onto MS-FSA 2.1.5.1.
//!
//! ```text
//!   check the request --> it was done before, or is about a handle that is there           (back)
//!        |
//!     look up -> found:   type, attributes, access -> rules (share modes) -> open -> overwrite   (existing, stream)
//!             -> missing: create on disk -> rules -> tell the change                            (new, stream)
//!        |                         '-- what is granted (access), asked and told (rules)
//!     enter the tables -> what is cached (lease, oplock) -> what survives (durable) -> answer   (finish)
//! ```
//!
//! The kernel checks permission when the object is opened, as the user; the rules are asked after that and
//! before anything is changed, so a refusal leaves nothing behind.

mod access;
mod back;
mod check;
mod contexts;
mod durable;
mod existing;
mod finish;
mod instance;
mod lease;
mod new;
mod oplock;
mod pipe;
mod rules;
mod stopped;
mod stream;

pub use lease::interest;

use super::{Ctx, Fail, Handled, Reply, recall};
use crate::fsa::RelPath;
use crate::posix::{self, Last, Lookup, Object, SmbPath, Stat};
use crate::session::Disk;
use crate::types::{AccessMask, CreateDisposition, CreateOptions, FileId, NtStatus, OplockLevel};
use crate::wire::codec::Reader;
use crate::wire::create::{CreateAction, CreateRequest};
use std::sync::Arc;

/// How often a name may be taken by somebody else between look-up and creation.
const RACES: usize = 8;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = CreateRequest::decode(&mut body)?;
    let tree = Arc::clone(ctx.tree()?);
    let privileged = tree.token.is_privileged();
    let Some(disk) = tree.share.disk() else {
        check::request(&request, privileged)?;
        return pipe::open(ctx, &request, reply);
    };
    let smb3 = is_smb3(ctx);
    if let Some(durable::Asked::Reconnect { file_id, v2 }) = durable::read(&request.create_contexts, smb3)? {
        return back::returned(ctx, &request, file_id, v2, reply);
    }
    check::request(&request, privileged)?;
    let contexts = contexts::Asked::read(&request.create_contexts, smb3)?;
    if let Some(open) = durable::claim(ctx, contexts.durable)? {
        return back::replayed(ctx, &request, &contexts, &open, reply);
    }
    stream::allowed(disk, &request.name)?;
    let path = SmbPath::parse(&request.name)?;
    let export = disk.area.export()?;
    stream::name(&path, request.create_options)?;
    let lease = lease::read(ctx, &request, disk)?;
    let mut opening = Create {
        ctx,
        request: &request,
        disk,
        export: &export,
        path: &path,
        asked: &contexts,
        lease: lease.as_ref(),
        again: false,
    };
    let mut done = opening.run();
    if std::mem::take(&mut opening.again) {
        done = opening.run();
    }
    match done {
        Ok(done) => opening.finish(done, reply),
        Err(failed) => Err(recall::make_room(ctx, failed)),
    }
}

/// An open of what is there, as far as the kernel has it all in its caches: on the reactor. None: it takes a
/// worker.
pub fn try_inline(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Option<Handled> {
    let request = CreateRequest::decode(&mut body).ok()?;
    if !only_opens(&request) {
        return None;
    }
    let tree = Arc::clone(ctx.tree().ok()?);
    check::request(&request, tree.token.is_privileged()).ok()?;
    let disk = tree.share.disk()?;
    let contexts = contexts::Asked::read(&request.create_contexts, is_smb3(ctx)).ok()?;
    if waits_for_the_disk(disk, &request, &contexts) || contexts.instance.is_some() {
        return None;
    }
    recall::admit(ctx).ok()?;
    let lease = lease::read(ctx, &request, disk).ok()?;
    if lease.as_ref().is_some_and(|lease| !lease.may_be_quick()) {
        return None;
    }
    let path =
        SmbPath::parse(&request.name).ok().filter(|path| path.stream().is_none() && !path.is_data())?;
    let export = disk.area.export_if_open()?;
    let _guard = crate::sys::creds::assume(&super::creds(&tree.identity)).ok()?;
    let reparse = request.create_options.contains(CreateOptions::OPEN_REPARSE_POINT);
    let found = export.lookup_cached(&path, if reparse { Last::Keep } else { Last::Follow })?;
    if lease.as_ref().is_some_and(|lease| !lease.is_quick(found.stat.key)) {
        return None;
    }
    match durable::claim(ctx, contexts.durable) {
        Ok(None) => {}
        Ok(Some(_)) => return None,
        Err(status) => return Some(Err(status.into())),
    }
    let mut opening = Create {
        ctx,
        request: &request,
        disk,
        export: &export,
        path: &path,
        asked: &contexts,
        lease: lease.as_ref(),
        again: false,
    };
    let existing = opening.existing(found);
    if opening.again {
        return None;
    }
    match existing {
        // Somebody has to give up an oplock first, or a security descriptor has to be looked into.
        Err(Fail::Pending) => None,
        existing => Some(existing.and_then(|done| opening.finish(done, reply))),
    }
}

fn only_opens(request: &CreateRequest<'_>) -> bool {
    let opens = matches!(request.create_disposition, CreateDisposition::OPEN | CreateDisposition::OPEN_IF);
    // What is cached has to be watched first, which takes system calls.
    let oplock = !matches!(request.requested_oplock_level, OplockLevel::NONE | OplockLevel::LEASE);
    opens && !oplock && !request.create_options.contains(CreateOptions::DELETE_ON_CLOSE)
}

/// Something of it is to be on disk before the answer, or the file behind a handle has to be looked at.
fn waits_for_the_disk(disk: &Disk, request: &CreateRequest<'_>, asked: &contexts::Asked) -> bool {
    let leases = request.requested_oplock_level == OplockLevel::LEASE;
    (disk.settings.continuous_availability && (leases || asked.durable.is_some()))
        || matches!(asked.durable, Some(durable::Asked::Reconnect { .. }))
}

fn is_smb3(ctx: &Ctx<'_>) -> bool {
    ctx.conn.dialect().is_some_and(crate::types::Dialect::is_smb3)
}

/// A CREATE on its way.
struct Create<'a, 'c, 'm> {
    ctx: &'a mut Ctx<'c>,
    request: &'a CreateRequest<'m>,
    disk: &'a Disk,
    export: &'a posix::Export,
    path: &'a SmbPath,
    asked: &'a contexts::Asked,
    lease: Option<&'a lease::Wanted>,
    /// What was in the way has gone, and it is worth another try.
    again: bool,
}

/// An object that is open and registered with the rules.
struct Done {
    id: FileId,
    object: Object,
    stat: Stat,
    path: RelPath,
    access: AccessMask,
    action: CreateAction,
    /// It has a security descriptor of its own.
    described: bool,
    /// It is in the lease that was asked for.
    leased: bool,
}

impl Create<'_, '_, '_> {
    fn run(&mut self) -> Result<Done, Fail> {
        recall::admit(self.ctx)?;
        let reparse = self.request.create_options.contains(CreateOptions::OPEN_REPARSE_POINT);
        let last = if reparse { Last::Keep } else { Last::Follow };
        for _ in 0..RACES {
            let lookup = self.export.lookup(self.path, last);
            let lookup = lookup.map_err(|status| stopped::or_stopped(self.export, self.path, status))?;
            match self.as_new(lookup)? {
                Lookup::Found(found) => match self.path.stream() {
                    None => return self.existing(found),
                    Some(stream) => match self.existing_stream(found, &stream.name) {
                        Err(Fail::Status(NtStatus::OBJECT_NAME_COLLISION))
                            if self.request.create_disposition != CreateDisposition::CREATE => {}
                        other => return other,
                    },
                },
                Lookup::Missing(missing) => match self.new_file(&missing) {
                    // Somebody was first: now it exists.
                    Err(Fail::Status(NtStatus::OBJECT_NAME_COLLISION))
                        if self.request.create_disposition != CreateDisposition::CREATE => {}
                    other => return other,
                },
            }
        }
        Err(NtStatus::OBJECT_NAME_COLLISION.into())
    }

    /// A file that is to be new is not taken for one that has its name with other accents.
    fn as_new(&self, lookup: Lookup) -> Result<Lookup, NtStatus> {
        match &lookup {
            Lookup::Found(found)
                if self.request.create_disposition == CreateDisposition::CREATE
                    && self.path.stream().is_none() =>
            {
                Ok(self.export.apart(found, self.path)?.map_or(lookup, Lookup::Missing))
            }
            _ => Ok(lookup),
        }
    }
}

/// The rules' form of a path on disk.
pub fn fsa_path(path: &posix::RelPath) -> RelPath {
    RelPath::new(path.as_bytes())
}

/// The disk's form of a path of the rules.
pub fn disk_path(path: &RelPath) -> posix::RelPath {
    posix::RelPath::root().join(path.as_bytes())
}
