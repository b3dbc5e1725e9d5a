//! The state: opens, nodes, links and the index of open paths; open and close (MS-FSA 2.1.5.1, 2.1.5.5).

use std::collections::{BTreeMap, HashMap, HashSet};

use slab::Slab;
use smallvec::SmallVec;

use super::delete::{Deletion, Mark};
use super::lease::{Caching, LeaseAsk, LeaseId, OpenLease};
use super::lock::Sequences;
use super::locks::Locks;
use super::mirror::Mirrors;
use super::notify::Watch;
use super::path;
use super::share::ShareCounts;
use super::times::{NodeTimes, OpenTimes};
use super::{Effect, Effects, Moment, RelPath, WaiterId, expression};
use crate::types::{AccessMask, FileTime, Guid, NodeKey, NtStatus, OpenId, SessionId, ShareAccess};

/// Everything open on one export. See the module's documentation.
#[derive(Debug)]
pub struct Tree {
    // Boxed, as the nodes: a table that has just grown is more than half empty.
    pub(super) opens: HashMap<OpenId, Box<OpenEntry>>,
    pub(super) nodes: HashMap<NodeKey, Box<Node>>,
    pub(super) links: Slab<Link>,
    /// Links that are in the namespace, by path. A path has at most one.
    pub(super) paths: BTreeMap<RelPath, LinkNo>,
    pub(super) waiters: HashMap<WaiterId, Waiting>,
    /// Nodes of which other times are told than the disk has.
    pub(super) times: HashMap<NodeKey, NodeTimes>,
    /// Opens with a watch.
    pub(super) watches: usize,
    /// Those of them that watch the whole subtree.
    pub(super) deep_watches: usize,
    /// When a node was last changed through an open; none: nobody asks.
    pub(super) own_changes: Option<HashMap<NodeKey, Moment>>,
    /// Names that are gone, which nobody has been told: where they went is being looked for.
    pub(super) missing: HashSet<RelPath>,
    /// Leases, and which node they are for.
    pub(super) leases: HashMap<LeaseId, NodeKey>,
    /// Those of them that are for directories.
    pub(super) directory_leases: usize,
    /// One component on disk, as the wire calls it.
    pub(super) name_on_wire: fn(&[u8]) -> String,
    pub(super) mirrors: Mirrors,
}

pub(super) type LinkNo = usize;

#[derive(Debug)]
pub(super) struct OpenEntry {
    pub node: NodeKey,
    pub link: LinkNo,
    pub directory: bool,
    pub stream: Option<Box<str>>,
    pub access: AccessMask,
    pub share: ShareAccess,
    pub owner: Owner,
    /// Open.Mode.FILE_DELETE_ON_CLOSE
    pub delete_on_close: bool,
    /// Was opened with it, so that FILE_DISPOSITION_ON_CLOSE may set and clear it.
    pub born_to_delete: bool,
    pub watch: Option<Box<Watch>>,
    pub sequences: Option<Box<Sequences>>,
    pub times: OpenTimes,
    pub lease: Option<Box<OpenLease>>,
    /// The file was written through it.
    pub wrote: bool,
    /// See [`OpenAsk::local`].
    pub local: bool,
    /// [`Stream::renamed`] when it was opened.
    pub renamed: u32,
}

/// One file or directory.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub links: SmallVec<[LinkNo; 1]>,
    pub streams: SmallVec<[Stream; 1]>,
    pub opens: SmallVec<[OpenId; 2]>,
    /// The write time that was told last.
    pub written: FileTime,
}

/// One data stream that is open, or being deleted.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// None: the unnamed one, or a directory.
    pub name: Option<Box<str>>,
    pub share: ShareCounts,
    pub locks: Locks,
    pub caching: Caching,
    pub opens: u32,
    /// Those of them whose writes nobody tells of: while there are any, nothing of the stream can be cached.
    pub unseen_writers: u32,
    /// How often others than clients have taken a name away, or given it to something else: who was told of none of them
    /// because he had nothing yet is granted nothing under it.
    pub renamed: u32,
    /// MS-FSA Stream.IsDeleted
    pub deleted: bool,
    /// A [`Deletion`] is out.
    pub deleting: bool,
}

/// One name of a node through which it is open, or being deleted.
#[derive(Debug)]
pub(super) struct Link {
    pub path: RelPath,
    pub node: NodeKey,
    pub opens: u32,
    /// Deletions of streams that are out, and opens of local programs.
    pub holds: u32,
    /// MS-FSA Link.IsDeleted
    pub delete: Option<Mark>,
    /// A [`Deletion`] is out.
    pub deleting: bool,
    /// No longer in the namespace (nor in the index); `path` is what it was called last.
    pub gone: bool,
    /// Opens through this link that have a watch.
    pub watchers: SmallVec<[OpenId; 1]>,
}

/// What a waiter waits for, and through which open.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    Lock(OpenId),
    Notify(OpenId),
    /// For the break of an oplock or lease on this stream.
    Open {
        node: NodeKey,
        stream: Option<Box<str>>,
    },
}

/// Whose open it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Owner {
    pub client: Guid,
    pub session: SessionId,
}

/// An open to register. The object exists on disk and the user's right to `access` has been checked.
#[derive(Clone, Debug)]
pub struct OpenAsk {
    /// New in this tree.
    pub open: OpenId,
    pub node: NodeKey,
    pub directory: bool,
    pub path: RelPath,
    /// Number of hard links, as stat has it. Tells a moved file from a second link of it.
    pub links: u32,
    /// What the open will be able to do: granted, no generic bits, no MAXIMUM_ALLOWED.
    pub access: AccessMask,
    /// What else the disposition does at once, for the share-mode check only: WRITE_DATA to overwrite an existing
    /// file, DELETE to supersede it.
    pub implied: AccessMask,
    pub share: ShareAccess,
    pub delete_on_close: bool,
    /// FILE_ATTRIBUTE_READONLY is set on the file.
    pub readonly: bool,
    /// When it was written last, as the disk has it.
    pub written: FileTime,
    /// The data stream's name, without `:` and `$DATA`. None: the unnamed one.
    pub stream: Option<String>,
    pub owner: Owner,
    /// The lease that it is to belong to.
    pub lease: Option<LeaseAsk>,
    /// Who waits if somebody has to give up what he caches first. None: the caller sees to it himself.
    pub waiter: Option<WaiterId>,
    /// A local program's, through the view: as POSIX has it, it holds up neither a rename nor a deletion. What it writes
    /// is not told of, so while it may write, nobody else caches the stream.
    pub local: bool,
}

impl OpenAsk {
    /// A file with one link, opened for nothing, sharing nothing.
    pub fn new(open: OpenId, node: NodeKey, path: RelPath) -> OpenAsk {
        OpenAsk {
            open,
            node,
            directory: false,
            path,
            links: 1,
            access: AccessMask::empty(),
            implied: AccessMask::empty(),
            share: ShareAccess::empty(),
            delete_on_close: false,
            readonly: false,
            written: FileTime::ZERO,
            stream: None,
            owner: Owner::default(),
            lease: None,
            waiter: None,
            local: false,
        }
    }
}

impl OpenAsk {
    pub(super) fn writes_unseen(&self) -> bool {
        self.local && may_write(self.access)
    }
}

impl OpenEntry {
    fn writes_unseen(&self) -> bool {
        self.local && may_write(self.access)
    }
}

fn may_write(access: AccessMask) -> bool {
    access.intersects(AccessMask::WRITE_DATA | AccessMask::APPEND_DATA)
}

/// The answer to an open.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Opening {
    /// Registered: there will be a [`Tree::close`].
    Granted(Effects),
    /// Not registered: somebody must give up what he caches first. The effects ask him to; ask again after
    /// [`Effect::Open`].
    Wait(Effects),
    /// Not registered. SHARING_VIOLATION, DELETE_PENDING or CANNOT_DELETE.
    Refused(NtStatus),
}

/// The answer to a close.
#[derive(Debug, Default)]
#[must_use]
pub struct Closed {
    /// No open is left on the node.
    pub last_of_node: bool,
    /// To be carried out now, and answered with [`Tree::deleted`].
    pub deletion: Option<Deletion>,
    pub effects: Effects,
}

impl Default for Tree {
    fn default() -> Self {
        Tree::new()
    }
}

impl Tree {
    pub fn new() -> Tree {
        Tree::with_names(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// `name_on_wire` says what one component of an on-disk path is called on the wire. Notifications carry wire
    /// names, and their length counts against the buffer.
    pub fn with_names(name_on_wire: fn(&[u8]) -> String) -> Tree {
        Tree {
            opens: HashMap::new(),
            nodes: HashMap::new(),
            links: Slab::new(),
            paths: BTreeMap::new(),
            waiters: HashMap::new(),
            times: HashMap::new(),
            watches: 0,
            deep_watches: 0,
            own_changes: None,
            missing: HashSet::new(),
            leases: HashMap::new(),
            directory_leases: 0,
            name_on_wire,
            mirrors: Mirrors::default(),
        }
    }

    /// MS-FSA 2.1.5.1.2, from the delete-pending check on. Also for an object that the caller has just created.
    pub fn open(&mut self, ask: OpenAsk, _now: Moment) -> Opening {
        debug_assert!(!self.opens.contains_key(&ask.open), "{} is open already", ask.open);
        if let Err(status) = self.going(&ask) {
            return Opening::Refused(status);
        }
        let shares = self.shares(&ask);
        // Who caches handles may keep the one open that is in the way, with nobody using it.
        if self.blocked(&ask, shares.is_ok()) {
            return Opening::Wait(self.wait_for_break(&ask, shares.is_ok()));
        }
        if let Err(status) = shares {
            return Opening::Refused(status);
        }
        let mut effects = self.break_for_open(&ask);
        effects.extend(self.reconcile(&ask));
        self.register(ask);
        Opening::Granted(effects)
    }

    /// Is it being deleted?
    pub(super) fn going(&self, ask: &OpenAsk) -> Result<(), NtStatus> {
        if ask.delete_on_close && ask.readonly {
            return Err(NtStatus::CANNOT_DELETE);
        }
        let Some(node) = self.nodes.get(&ask.node) else { return Ok(()) };
        if self.known_link(ask).is_some_and(|no| self.links[no].is_delete_pending()) {
            return Err(NtStatus::DELETE_PENDING);
        }
        match node.stream(ask.stream.as_deref()) {
            Some(stream) if stream.deleted || stream.deleting => Err(NtStatus::DELETE_PENDING),
            _ => Ok(()),
        }
    }

    /// Do the share modes go together?
    pub(super) fn shares(&self, ask: &OpenAsk) -> Result<(), NtStatus> {
        let Some(node) = self.nodes.get(&ask.node) else { return Ok(()) };
        let wanted = ask.access | ask.implied;
        if node.stream(ask.stream.as_deref()).is_some_and(|s| !s.share.admits(wanted, ask.share)) {
            return Err(NtStatus::SHARING_VIOLATION);
        }
        // To delete the file is to delete its streams.
        let takes_streams = ask.stream.is_none() && wanted.contains(AccessMask::DELETE);
        if takes_streams && node.streams.iter().any(|s| s.name.is_some() && !s.share.all_share_delete()) {
            return Err(NtStatus::SHARING_VIOLATION);
        }
        Ok(())
    }

    pub(super) fn register(&mut self, ask: OpenAsk) {
        let unseen = ask.writes_unseen();
        let link = match self.paths.get(&ask.path) {
            Some(&no) => no,
            None => {
                let no = self.links.insert(Link {
                    path: ask.path.clone(),
                    node: ask.node,
                    opens: 0,
                    holds: 0,
                    delete: None,
                    deleting: false,
                    gone: false,
                    watchers: SmallVec::new(),
                });
                self.paths.insert(ask.path, no);
                self.nodes.entry(ask.node).or_default().links.push(no);
                no
            }
        };
        match ask.local {
            true => self.links[link].holds += 1,
            false => self.links[link].opens += 1,
        }
        let stream_name = ask.stream.map(String::into_boxed_str);
        let node = self.nodes.entry(ask.node).or_default();
        node.opens.push(ask.open);
        if !self.times.contains_key(&ask.node) {
            node.written = ask.written;
        }
        let at = node.stream_at(stream_name.as_deref()).unwrap_or_else(|| {
            node.streams.push(Stream { name: stream_name.clone(), ..Stream::default() });
            node.streams.len() - 1
        });
        let stream = &mut node.streams[at];
        stream.opens += 1;
        let renamed = stream.renamed;
        stream.unseen_writers += u32::from(unseen);
        stream.share.add(ask.access, ask.share);
        if let Some(lease) = &ask.lease {
            stream.caching.enter(lease);
            if self.leases.insert(lease.id, ask.node).is_none() && ask.directory {
                self.directory_leases += 1;
            }
        }
        self.opens.insert(
            ask.open,
            Box::new(OpenEntry {
                node: ask.node,
                link,
                directory: ask.directory,
                stream: stream_name,
                access: ask.access,
                share: ask.share,
                owner: ask.owner,
                delete_on_close: ask.delete_on_close,
                born_to_delete: ask.delete_on_close,
                watch: None,
                sequences: None,
                times: OpenTimes::default(),
                lease: ask.lease.map(|ask| Box::new(OpenLease { id: ask.id, parent: ask.parent })),
                wrote: false,
                local: ask.local,
                renamed,
            }),
        );
    }

    /// MS-FSA 2.1.5.5. `empty`: of a directory for which [`Tree::deletes_on_close`] says yes, whether it is empty
    /// (if not, it stays); else ignored. An open that is not known is closed already.
    pub fn close(&mut self, open: OpenId, empty: bool, now: Moment) -> Closed {
        let mut effects = self.unwatch(open);
        let Some(entry) = self.opens.remove(&open) else { return Closed::default() };
        let node = self.nodes.get_mut(&entry.node).expect("an open has a node");
        node.opens.retain(|o| *o != open);
        let last_of_node = node.opens.is_empty();
        if last_of_node {
            self.times.remove(&entry.node);
        }
        let at = node.stream_at(entry.stream.as_deref()).expect("an open has a stream");
        let stream = &mut node.streams[at];
        stream.opens -= 1;
        stream.unseen_writers -= u32::from(entry.writes_unseen());
        stream.share.remove(entry.access, entry.share);
        let granted = if stream.locks.is_empty() {
            Vec::new()
        } else {
            for waiter in stream.locks.withdraw_all(open) {
                self.waiters.remove(&waiter);
                effects.push(Effect::Lock { waiter, status: NtStatus::RANGE_NOT_LOCKED });
            }
            stream.locks.release_all(open);
            stream.locks.settle()
        };
        let lease = entry.lease.as_ref().map(|lease| lease.id);
        let (woken, ended) = stream.caching.leave(open, lease);
        if let Some(id) = lease.filter(|_| ended) {
            self.leases.remove(&id);
            self.directory_leases -= usize::from(entry.directory);
        }
        effects.extend(self.woken(woken));
        effects.extend(self.granted(granted));
        match entry.local {
            true => self.links[entry.link].holds -= 1,
            false => self.links[entry.link].opens -= 1,
        }
        if entry.wrote && self.directory_leases > 0 {
            let path = self.links[entry.link].path.clone();
            effects.extend(self.break_listings(Some(entry.node), &path, entry.parents_lease()));
        }
        let deletion = self.delete_at_close(open, &entry, empty, now, &mut effects);
        self.forget_unused(entry.node, entry.link);
        Closed { last_of_node, deletion, effects }
    }

    /// Takes an open back that was granted but came to nothing (the data could not be opened, the session is gone):
    /// a close that never was, so that delete-on-close does not count.
    pub fn abandon(&mut self, open: OpenId, now: Moment) -> Closed {
        if let Some(entry) = self.opens.get_mut(&open) {
            entry.delete_on_close = false;
        }
        self.close(open, false, now)
    }

    /// Drops what nothing refers to any more.
    pub(super) fn forget_unused(&mut self, key: NodeKey, link: LinkNo) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        node.streams.retain(|s| s.opens > 0 || s.deleting);
        let entry = &self.links[link];
        if entry.opens == 0 && entry.holds == 0 && !entry.deleting {
            node.links.retain(|no| *no != link);
            let entry = self.links.remove(link);
            if !entry.gone {
                self.paths.remove(&entry.path);
            }
        }
        if node.opens.is_empty() && node.links.is_empty() && node.streams.is_empty() {
            self.nodes.remove(&key);
        }
    }

    /// May something be created at this path? DELETE_PENDING if its directory, or what stands there, is going.
    pub fn may_create(&self, path: &RelPath) -> Result<(), NtStatus> {
        let going = |p: &[u8]| self.paths.get(p).is_some_and(|&no| self.links[no].is_delete_pending());
        if going(path.as_bytes()) || path::parent(path.as_bytes()).is_some_and(going) {
            return Err(NtStatus::DELETE_PENDING);
        }
        Ok(())
    }

    /// Withdraws a waiting request, with status CANCELLED. Nothing happens if it has been answered.
    #[must_use]
    pub fn cancel(&mut self, waiter: WaiterId, _now: Moment) -> Effects {
        match self.waiters.remove(&waiter) {
            Some(Waiting::Lock(open)) => {
                let found = self.stream_of_mut(open).is_some_and(|s| s.locks.withdraw(waiter));
                debug_assert!(found);
                vec![Effect::Lock { waiter, status: NtStatus::CANCELLED }]
            }
            Some(Waiting::Notify(open)) => self.cancel_notify(open, waiter),
            Some(Waiting::Open { node, stream }) => self.cancel_open(node, stream.as_deref(), waiter),
            None => Effects::new(),
        }
    }

    pub(super) fn stream_of(&self, open: OpenId) -> Option<&Stream> {
        let entry = self.opens.get(&open)?;
        self.nodes.get(&entry.node)?.stream(entry.stream.as_deref())
    }

    pub(super) fn stream_of_mut(&mut self, open: OpenId) -> Option<&mut Stream> {
        let entry = self.opens.get(&open)?;
        let node = self.nodes.get_mut(&entry.node)?;
        let at = node.stream_at(entry.stream.as_deref())?;
        node.streams.get_mut(at)
    }
}

impl Node {
    pub fn stream_at(&self, name: Option<&str>) -> Option<usize> {
        self.streams.iter().position(|s| match (&s.name, name) {
            (None, None) => true,
            (Some(a), Some(b)) => expression::same_name(a, b),
            _ => false,
        })
    }

    pub fn has_open_streams(&self) -> bool {
        self.streams.iter().any(|s| s.name.is_some() && s.opens > 0)
    }

    pub fn stream(&self, name: Option<&str>) -> Option<&Stream> {
        self.stream_at(name).map(|at| &self.streams[at])
    }
}

impl Link {
    pub fn is_delete_pending(&self) -> bool {
        self.delete.is_some() || self.deleting
    }
}
