//! CREATE (MS-SMB2 3.3.5.9), onto MS-FSA 2.1.5.1.
//!
//! ```text
//!   check the request -> look up -> found:   type, attributes, access -> rules (share modes) -> open -> overwrite
//!                                -> missing: create on disk -> rules -> tell the change
//!                     -> enter the tables -> contexts -> answer
//! ```
//!
//! The kernel checks permission when the object is opened, as the user; the rules are asked after that and
//! before anything is changed, so a refusal leaves nothing behind.

mod check;
mod contexts;
mod durable;
mod instance;
mod lease;
mod pipe;
mod stopped;
mod stream;

pub use lease::interest;

use super::wait::Wait;
use super::{Ctx, Fail, Handled, Post, Reply, close, info, recall, times};
use crate::fsa::{LeaseAsk, OpenAsk, Opening, Owner, RelPath, change};
use crate::posix::{self, DataAccess, Kind, Last, Lookup, Missing, NewFile, Object, SmbPath, Stat};
use crate::session::open::Held;
use crate::session::{Disk, FileOpen, Open, OpenKind};
use crate::types::{
    AccessMask, CreateDisposition, CreateOptions, FileAttributes, FileId, LeaseState, NodeKey, NtStatus,
    OpenId, OplockLevel,
};
use crate::watch::{Interest, NoWatch};
use crate::wire::codec::Reader;
use crate::wire::create::{CreateAction, CreateRequest, CreateResponse, CreateResponseFlags};
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
        return durable::back(ctx, &request, file_id, v2, reply);
    }
    check::request(&request, privileged)?;
    let contexts = contexts::Asked::read(&request.create_contexts, smb3)?;
    if let Some(open) = durable::claim(ctx, contexts.durable)? {
        return durable::replayed(ctx, &request, &contexts, &open, reply);
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
    let done = match done {
        Ok(done) => done,
        Err(failed) => return Err(recall::make_room(ctx, failed)),
    };
    finish(ctx, &request, &contexts, lease.as_ref(), done, reply)
}

/// An open of what is there, as far as the kernel has it all in its caches: on the reactor. None: it takes a
/// worker.
pub fn try_inline(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Option<Handled> {
    let request = CreateRequest::decode(&mut body).ok()?;
    let opens = matches!(request.create_disposition, CreateDisposition::OPEN | CreateDisposition::OPEN_IF);
    // What is cached has to be watched first, which takes system calls.
    let oplock = !matches!(request.requested_oplock_level, OplockLevel::NONE | OplockLevel::LEASE);
    if !opens || oplock || request.create_options.contains(CreateOptions::DELETE_ON_CLOSE) {
        return None;
    }
    let tree = Arc::clone(ctx.tree().ok()?);
    check::request(&request, tree.token.is_privileged()).ok()?;
    let disk = tree.share.disk()?;
    let contexts = contexts::Asked::read(&request.create_contexts, is_smb3(ctx)).ok()?;
    // What is to be on disk before the answer waits for that.
    let leases = request.requested_oplock_level == OplockLevel::LEASE;
    let waits = disk.settings.continuous_availability && (leases || contexts.durable.is_some());
    if waits
        || contexts.instance.is_some()
        || matches!(contexts.durable, Some(durable::Asked::Reconnect { .. }))
    {
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
        existing => {
            Some(existing.and_then(|done| finish(ctx, &request, &contexts, lease.as_ref(), done, reply)))
        }
    }
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

    /// What the client wants to do, generic bits mapped. MAXIMUM_ALLOWED stays in.
    fn wanted(&self) -> AccessMask {
        self.request.desired_access.map_generic()
    }

    fn existing(&mut self, found: posix::Found) -> Result<Done, Fail> {
        let posix::Found { mut object, stat, path } = found;
        let options = self.request.create_options;
        let directory = stat.kind == Kind::Directory;
        check::kind(&stat, options, self.request.create_disposition)?;
        if directory && self.path.is_data() {
            return Err(NtStatus::FILE_IS_A_DIRECTORY.into());
        }
        let overwrites = matches!(
            self.request.create_disposition,
            CreateDisposition::SUPERSEDE | CreateDisposition::OVERWRITE | CreateDisposition::OVERWRITE_IF
        );
        if overwrites {
            check::overwrite(stat.attributes, self.request.file_attributes)?;
        }
        let lease = self.lease_ask(Some(stat.key), directory)?;
        let (access, described) = self.grant(&mut object, &path, &stat, overwrites)?;
        if let Some(asked) = self.asked.instance {
            let tree = self.ctx.tree()?;
            let may_read = || {
                let rights = self.export.rights(&object, &path, &stat, &tree.token, self.backup_intent())?;
                rights.most().map(|most| most.contains(AccessMask::FILE_READ))
            };
            instance::take_over(self.ctx, asked, &tree.share, stat.key, may_read)?;
        }

        let data = DataAccess {
            read: access.contains(AccessMask::READ_DATA)
                || (!directory && access.contains(AccessMask::EXECUTE)),
            write: !directory
                && (overwrites || access.intersects(AccessMask::WRITE_DATA | AccessMask::APPEND_DATA)),
        };
        let plain = matches!(stat.kind, Kind::File | Kind::Directory);
        if plain && (data.read || data.write) {
            self.open_data(&mut object, data, access, directory)?;
        }

        let id = self.ctx.gate.opens.new_id();
        let ask = self.ask(id, &stat, path.clone(), access, overwrites, lease);
        let leased = ask.lease.is_some();
        self.register(ask)?;
        let done = |object, stat, action| {
            let path = fsa_path(&path);
            Done { id, object, stat, path, access, action, described, leased }
        };
        if !overwrites {
            return Ok(done(object, stat, CreateAction::OPENED));
        }
        let supersede = self.request.create_disposition == CreateDisposition::SUPERSEDE;
        let overwritten = self
            .drop_streams(id, &object)
            .and_then(|()| self.export.overwrite(&object, self.how(), supersede));
        let done_to_it = overwritten.and_then(|stat| {
            info::ea::replace(self.export, &object, &self.asked.eas, supersede)?;
            match self.asked.allocation_size {
                Some(size) if size > 0 => {
                    object.set_allocation(size).and_then(|()| self.export.stat(&object))
                }
                _ => Ok(stat),
            }
        });
        match done_to_it {
            Ok(stat) => {
                let changed = change::Change::modified(
                    fsa_path(&path),
                    false,
                    change::Facets::WRITTEN | change::Facets::ATTRIBUTES,
                );
                self.tell(changed.by(OpenId(id.volatile)).of(stat.key));
                self.disk.area.rules.lock().show_times(OpenId(id.volatile), Some(times::now()));
                let action = if supersede { CreateAction::SUPERSEDED } else { CreateAction::OVERWRITTEN };
                Ok(done(object, stat, action))
            }
            Err(status) => {
                self.unregister(id);
                Err(status.into())
            }
        }
    }

    /// Opens for data, as the kernel allows. With MAXIMUM_ALLOWED or EXECUTE alone, data that cannot be had is
    /// simply not had.
    fn open_data(
        &self,
        object: &mut Object,
        data: DataAccess,
        access: AccessMask,
        directory: bool,
    ) -> Result<(), NtStatus> {
        match self.export.open_data(object, data) {
            Err(NtStatus::ACCESS_DENIED)
                if !access.contains(AccessMask::READ_DATA) && !data.write && !directory =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn new_file(&mut self, missing: &Missing) -> Result<Done, Fail> {
        match self.request.create_disposition {
            CreateDisposition::OPEN | CreateDisposition::OVERWRITE => {
                return Err(NtStatus::OBJECT_NAME_NOT_FOUND.into());
            }
            _ => {}
        }
        if !self.ctx.tree()?.maximal_access.contains(AccessMask::ADD_FILE) {
            return Err(NtStatus::ACCESS_DENIED.into());
        }
        let mut how = self.how();
        if how.attributes.contains(FileAttributes::ENCRYPTED) {
            // Better not at all than in the clear.
            return Err(NtStatus::ACCESS_DENIED.into());
        }
        if how.attributes.contains(FileAttributes::READONLY)
            && self.request.create_options.contains(CreateOptions::DELETE_ON_CLOSE)
        {
            return Err(NtStatus::CANNOT_DELETE.into());
        }
        let tree = Arc::clone(self.ctx.tree()?);
        let given = self.asked.descriptor.as_ref();
        if given.is_some_and(|sd| sd.sacl.is_some()) && !tree.token.is_privileged() {
            return Err(NtStatus::PRIVILEGE_NOT_HELD.into());
        }
        let lease = self.lease_ask(None, how.directory)?;
        let heritage = self.export.heritage(missing, how.directory, given, &tree.token)?;
        how.guarded = heritage.is_some();
        self.disk.area.rules.lock().may_create(&fsa_path(&missing.path))?;
        let mut made = self.export.create(missing, how)?;
        if let Some(heritage) = &heritage {
            let endowed = self.export.endow(&made.object, &made.stat, heritage, &tree.token);
            made.stat = match endowed.and_then(|()| self.export.stat(&made.object)) {
                Ok(stat) => stat,
                Err(status) => {
                    let _ = self.export.remove(&made.object, &made.path);
                    return Err(status.into());
                }
            };
        }
        let wanted = self.wanted();
        let access = if wanted.contains(AccessMask::MAXIMUM_ALLOWED) {
            AccessMask::FILE_ALL | (wanted & !AccessMask::MAXIMUM_ALLOWED)
        } else {
            wanted
        };
        let id = self.ctx.gate.opens.new_id();
        let stream = self.path.stream().map(|stream| stream.name.clone());
        let ask = self.ask(id, &made.stat, made.path.clone(), access, false, lease);
        let leased = ask.lease.is_some();
        if let Err(fail) = self.register(OpenAsk { stream: stream.clone(), ..ask }) {
            let _ = self.export.remove(&made.object, &made.path);
            return Err(fail);
        }
        let mut stat = made.stat;
        let allocation_size = self.asked.allocation_size.filter(|_| !how.directory && stream.is_none());
        if allocation_size.is_some() || !self.asked.eas.is_empty() || stream.is_some() {
            let equipped = allocation_size
                .map_or(Ok(()), |size| made.object.set_allocation(size))
                .and_then(|()| info::ea::replace(self.export, &made.object, &self.asked.eas, false))
                .and_then(|()| match &stream {
                    Some(name) => self.first_stream(&mut made.object, name),
                    None => self.export.stat(&made.object),
                });
            stat = match equipped {
                Ok(stat) => stat,
                Err(status) => {
                    self.unregister(id);
                    let _ = self.export.remove(&made.object, &made.path);
                    return Err(status.into());
                }
            };
        }
        // What the directory handed down is not wanted.
        let plain = self.request.create_options.contains(CreateOptions::NO_COMPRESSION);
        if plain && stat.attributes.contains(FileAttributes::COMPRESSED) {
            let done = self.export.set_compressed(&made.object, false);
            stat = done.and_then(|()| self.export.stat(&made.object)).unwrap_or(stat);
        }
        let path = fsa_path(&made.path);
        self.tell(change::Change::created(path.clone(), how.directory).by(OpenId(id.volatile)).of(stat.key));
        let described = heritage.is_some();
        let action = CreateAction::CREATED;
        Ok(Done { id, object: made.object, stat, path, access, action, described, leased })
    }

    fn how(&self) -> NewFile {
        NewFile {
            directory: self.request.create_options.contains(CreateOptions::DIRECTORY_FILE),
            attributes: self.request.file_attributes,
            guarded: false,
        }
    }

    fn backup_intent(&self) -> bool {
        self.request.create_options.contains(CreateOptions::OPEN_FOR_BACKUP_INTENT)
    }

    /// The granted access, or ACCESS_DENIED; and whether a security descriptor of the object's own had a say in it.
    /// Data access is left to the kernel beside it, which decides at the open; only what no open shows is asked for.
    fn grant(
        &self,
        object: &mut Object,
        path: &posix::RelPath,
        stat: &Stat,
        overwrites: bool,
    ) -> Result<(AccessMask, bool), Fail> {
        let tree = self.ctx.tree()?;
        let rights = self.export.rights(object, path, stat, &tree.token, self.backup_intent())?;
        let described = rights.are_stored();
        if described && self.ctx.flight.is_none() {
            return Err(Fail::Pending);
        }
        let granted = self.granted(&rights, stat, overwrites)?;
        if described {
            object.trust();
        }
        Ok((granted, described))
    }

    fn granted(
        &self,
        rights: &posix::Rights<'_>,
        stat: &Stat,
        overwrites: bool,
    ) -> Result<AccessMask, NtStatus> {
        let wanted = self.wanted();
        let share_allows = self.ctx.tree()?.maximal_access | AccessMask::ACCESS_SYSTEM_SECURITY;
        let readonly = stat.attributes.contains(FileAttributes::READONLY) && stat.kind != Kind::Directory;
        let writes = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
        if overwrites && (readonly || !share_allows.contains(AccessMask::WRITE_DATA)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        if wanted.contains(AccessMask::MAXIMUM_ALLOWED) {
            let mut most = rights.most()? & share_allows;
            if readonly {
                most &= !writes;
            }
            let rest = wanted & !(AccessMask::MAXIMUM_ALLOWED | AccessMask::ACCESS_SYSTEM_SECURITY);
            return if most.contains(rest) && rights.allow(rest | self.implied(overwrites))? {
                Ok(most | (wanted & AccessMask::ACCESS_SYSTEM_SECURITY))
            } else {
                Err(NtStatus::ACCESS_DENIED)
            };
        }
        if !share_allows.contains(wanted) || (readonly && wanted.intersects(writes)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let shown_by_open = AccessMask::READ_DATA
            | writes
            | AccessMask::READ_ATTRIBUTES
            | AccessMask::READ_CONTROL
            | AccessMask::READ_EA
            | AccessMask::SYNCHRONIZE
            | AccessMask::ACCESS_SYSTEM_SECURITY;
        let shown_by_open =
            if stat.kind == Kind::Directory { shown_by_open & !writes } else { shown_by_open };
        if !rights.allow(wanted | self.implied(overwrites))?
            || !rights.kernel_grants(wanted & !self.not_shown(shown_by_open))?
        {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(wanted)
    }

    /// What overwriting takes of a descriptor without being asked for (MS-FSA 2.1.5.1.2).
    fn implied(&self, overwrites: bool) -> AccessMask {
        match (overwrites, self.request.create_disposition) {
            (false, _) => AccessMask::empty(),
            (true, CreateDisposition::SUPERSEDE) => AccessMask::DELETE,
            (true, _) => AccessMask::WRITE_DATA | AccessMask::WRITE_EA | AccessMask::WRITE_ATTRIBUTES,
        }
    }

    fn ask(
        &self,
        id: FileId,
        stat: &Stat,
        path: posix::RelPath,
        access: AccessMask,
        overwrites: bool,
        lease: Option<LeaseAsk>,
    ) -> OpenAsk {
        let implied = match (overwrites, self.request.create_disposition) {
            (false, _) => AccessMask::empty(),
            (true, CreateDisposition::SUPERSEDE) => AccessMask::DELETE,
            (true, _) => AccessMask::WRITE_DATA,
        };
        OpenAsk {
            directory: stat.kind == Kind::Directory,
            links: stat.nlink,
            access,
            implied,
            share: self.request.share_access,
            delete_on_close: self.request.create_options.contains(CreateOptions::DELETE_ON_CLOSE),
            readonly: stat.attributes.contains(FileAttributes::READONLY),
            written: stat.written,
            owner: Owner {
                client: self.ctx.client_guid(),
                session: self.ctx.session.as_ref().map(|s| s.id).unwrap_or_default(),
            },
            lease,
            ..OpenAsk::new(OpenId(id.volatile), stat.key, fsa_path(&path))
        }
    }

    /// What of a lease the rules are asked for.
    fn lease_ask(&self, node: Option<NodeKey>, directory: bool) -> Result<Option<LeaseAsk>, NtStatus> {
        let stream = self.path.stream().map(|stream| stream.name.as_str());
        self.lease.map_or(Ok(None), |lease| lease.ask(self.disk, node, stream, directory))
    }

    /// Pending: somebody has to give up an oplock first; then all of it is done again. (Where nothing can wait, on the
    /// reactor, nothing has happened yet.)
    fn register(&mut self, mut ask: OpenAsk) -> Result<(), Fail> {
        let area = &self.disk.area;
        let mut rules = area.rules.lock();
        let mut wait = None;
        let node = ask.node;
        if rules.must_wait(&ask) {
            let others = rules.opens_of(node).to_vec();
            drop(rules);
            if durable::any_persistent(self.ctx.gate, &others) {
                return Err(NtStatus::FILE_NOT_AVAILABLE.into());
            }
            if self.ctx.flight.is_none() {
                return Err(Fail::Pending);
            }
            let begun = Wait::for_rules(self.ctx, area)?;
            ask.waiter = Some(begun.id());
            wait = Some(begun);
            rules = area.rules.lock();
        }
        let opening = rules.open(ask, area.now());
        drop(rules);
        if let Opening::Wait(effects) = opening {
            self.ctx.effects.extend(effects);
            return Err(Fail::Pending);
        }
        if let Some(wait) = wait {
            wait.over();
        }
        match opening {
            Opening::Refused(NtStatus::SHARING_VIOLATION) => {
                let others = area.rules.lock().opens_of(node).to_vec();
                self.again = durable::give_way(self.ctx.gate, &others);
                let waits = durable::any_persistent(self.ctx.gate, &others);
                Err(if waits { NtStatus::FILE_NOT_AVAILABLE } else { NtStatus::SHARING_VIOLATION }.into())
            }
            Opening::Refused(status) => Err(status.into()),
            Opening::Granted(effects) | Opening::Wait(effects) => {
                self.ctx.effects.extend(effects);
                Ok(())
            }
        }
    }

    fn unregister(&mut self, id: FileId) {
        let area = &self.disk.area;
        let closed = area.rules.lock().abandon(OpenId(id.volatile), area.now());
        self.ctx.effects.extend(closed.effects);
        if let Some(deletion) = closed.deletion {
            // It was to be deleted on close, but was never opened: it stays.
            let effects = area.rules.lock().deleted(deletion, false, area.now());
            self.ctx.effects.extend(effects);
        }
    }

    fn tell(&mut self, change: change::Change) {
        let area = &self.disk.area;
        let effects = change::apply(&mut area.rules.lock(), &change, area.now());
        self.ctx.effects.extend(effects);
    }
}

/// Enters the open into the tables and answers.
fn finish(
    ctx: &mut Ctx<'_>,
    request: &CreateRequest<'_>,
    asked: &contexts::Asked,
    lease: Option<&lease::Wanted>,
    done: Done,
    reply: &mut Reply,
) -> Handled {
    let tree = Arc::clone(ctx.tree()?);
    let disk = tree.disk()?;
    let session = Arc::clone(ctx.session()?);
    let backup = request.create_options.contains(CreateOptions::OPEN_FOR_BACKUP_INTENT);
    let Done { id, object, stat, path, access, action, described, leased } = done;
    let subject = contexts::Subject { object: &object, stat: &stat, path: &path, described, backup };
    let mut answers = contexts::answer(asked, &tree, &subject)?;
    let open = Arc::new(Open::new(
        id,
        session.id,
        session.who().map(|w| w.user.clone()).unwrap_or_default(),
        Arc::clone(&tree),
        OpenKind::File(FileOpen::new(
            Held::new(object, Arc::clone(&disk.area)),
            &stat,
            access,
            request.create_options,
        )),
        ctx.header.channel_sequence(),
    ));
    instance::enter(ctx, asked.instance, &open);
    let lease = lease.filter(|_| leased);
    lease.inspect(|lease| lease.enter(ctx.gate, &open));
    tree.share.opens.fetch_add(1, Ordering::Relaxed);
    ctx.gate.opens.add(Arc::clone(&open));
    ctx.file = Some(id);
    recall::consider(ctx.gate);
    if !session.add_open(&open) {
        close::close(ctx.gate, &session, &open);
        return Err(NtStatus::USER_SESSION_DELETED.into());
    }
    let granted = lease.and_then(|lease| Some((lease, lease.grant(ctx, &open)?)));
    let oplock_level = match granted {
        Some(_) => OplockLevel::LEASE,
        None => oplock(ctx, disk, &open, request.requested_oplock_level),
    };
    let handle_lease = granted.is_some_and(|(_, leased)| leased.state.contains(LeaseState::HANDLE));
    answers.extend(durable::made(ctx, asked.durable, disk, &open, (oplock_level, handle_lease), action));
    answers.extend(granted.map(|(lease, leased)| lease.context(leased)));
    let stat = times::told(disk, stat);
    let mut flags = CreateResponseFlags::empty();
    flags.set(CreateResponseFlags::REPARSEPOINT, stat.attributes.contains(FileAttributes::REPARSE_POINT));
    CreateResponse {
        oplock_level,
        flags,
        create_action: action,
        status: times::status(&stat),
        file_id: id,
        create_contexts: answers,
    }
    .encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// What the client may cache by an oplock.
fn oplock(ctx: &mut Ctx<'_>, disk: &Disk, open: &Arc<Open>, asked: OplockLevel) -> OplockLevel {
    if !disk.settings.leases || matches!(asked, OplockLevel::NONE | OplockLevel::LEASE) {
        return OplockLevel::NONE;
    }
    let path = disk.area.rules.lock().path_of(open.open_id());
    let (Some(file), Some(path)) = (open.file(), path) else { return OplockLevel::NONE };
    // What others do that no client sees coming is heard of from here on, or there is no oplock.
    let writes = if asked == OplockLevel::LEVEL_II { Interest::empty() } else { Interest::OPENS };
    let interest = Interest::NAMES | Interest::CONTENT | writes;
    let token = match disk.area.watch.ensure(&file.object, &path, interest) {
        Ok(token) => Some(token),
        Err(NoWatch::Off) => None,
        Err(_) => return OplockLevel::NONE,
    };
    // From the moment it is granted it may be broken.
    open.breaks.hold_back();
    let granted = disk.area.rules.lock().request_oplock(open.open_id(), asked, disk.area.now());
    if granted != OplockLevel::NONE {
        file.watched.lock().extend(token);
        ctx.post = Some(Post::Opened(Arc::clone(open)));
    }
    granted
}

/// The rules' form of a path on disk.
pub fn fsa_path(path: &posix::RelPath) -> RelPath {
    RelPath::new(path.as_bytes())
}

/// The disk's form of a path of the rules.
pub fn disk_path(path: &RelPath) -> posix::RelPath {
    posix::RelPath::root().join(path.as_bytes())
}
