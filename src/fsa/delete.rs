//! Deletion: dispositions, delete on close, and who carries it out when (MS-FSA 2.1.5.5, 2.1.5.15.3, 2.1.5.15.4).

use super::change::{self, Change, StreamChange};
use super::tree::{LinkNo, OpenEntry};
use super::{Effects, LeaseId, Moment, RelPath, Tree};
use crate::types::{AccessMask, NodeKey, NtStatus, OpenId};
pub use crate::wire::fscc::set_info::DispositionFlags as Disposition;

/// A disposition to set, with the facts.
#[derive(Clone, Copy, Debug)]
pub struct DispositionAsk {
    pub open: OpenId,
    pub flags: Disposition,
    /// FILE_ATTRIBUTE_READONLY is set.
    pub readonly: bool,
    /// It is a directory with entries.
    pub not_empty: bool,
}

/// Why a link is going.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mark {
    /// It goes when this open closes, whoever else has it open.
    pub posix: Option<OpenId>,
}

/// Leave to delete, and the duty to: made only by [`Tree::close`], given back by [`Tree::deleted`]. Until then nobody
/// can open what it names (DELETE_PENDING).
#[derive(Debug)]
#[must_use = "delete it, then tell Tree::deleted"]
pub struct Deletion {
    link: LinkNo,
    path: RelPath,
    node: NodeKey,
    directory: bool,
    stream: Option<Box<str>>,
    /// The directory lease that it leaves alone.
    parents_lease: Option<LeaseId>,
}

impl Deletion {
    /// What to unlink (rmdir, if a directory), unless `stream` says otherwise.
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// What must be found there.
    pub fn node(&self) -> NodeKey {
        self.node
    }

    pub fn directory(&self) -> bool {
        self.directory
    }

    /// Only this stream of it.
    pub fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }
}

impl Tree {
    /// FileDispositionInformation(Ex). FILE_CLOSED, ACCESS_DENIED (no DELETE access), CANNOT_DELETE (read-only, or the
    /// root), DIRECTORY_NOT_EMPTY, NOT_SUPPORTED (ON_CLOSE for an open that was not opened delete-on-close).
    pub fn set_disposition(&mut self, ask: &DispositionAsk, _now: Moment) -> Result<Effects, NtStatus> {
        let entry = self.opens.get_mut(&ask.open).ok_or(NtStatus::FILE_CLOSED)?;
        if !entry.access.contains(AccessMask::DELETE) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let (link, named) = (entry.link, entry.stream.is_some());
        let delete = ask.flags.contains(Disposition::DELETE);
        if delete {
            if ask.readonly && !ask.flags.contains(Disposition::IGNORE_READONLY_ATTRIBUTE) {
                return Err(NtStatus::CANNOT_DELETE);
            }
            if self.links[link].path.is_root() && !named {
                return Err(NtStatus::CANNOT_DELETE);
            }
            if ask.not_empty && entry.directory && !named {
                return Err(NtStatus::DIRECTORY_NOT_EMPTY);
            }
        }
        if ask.flags.contains(Disposition::ON_CLOSE) {
            if !entry.born_to_delete {
                return Err(NtStatus::NOT_SUPPORTED);
            }
            entry.delete_on_close = delete;
            return Ok(Effects::new());
        }
        if named {
            if let Some(stream) = self.stream_of_mut(ask.open) {
                stream.deleted = delete;
            }
            return Ok(Effects::new());
        }
        if !delete {
            self.links[link].delete = None;
            return Ok(Effects::new());
        }
        let mark = self.links[link].delete.get_or_insert_default();
        if ask.flags.contains(Disposition::POSIX_SEMANTICS) {
            mark.posix.get_or_insert(ask.open);
        }
        Ok(self.end_watches(link))
    }

    /// The file is overwritten: its named streams go. Those that are open go with their last open; their names.
    pub fn drop_streams(&mut self, open: OpenId) -> Vec<String> {
        let Some(entry) = self.opens.get(&open) else { return Vec::new() };
        let Some(node) = self.nodes.get_mut(&entry.node) else { return Vec::new() };
        let named = node.streams.iter_mut().filter_map(|stream| {
            let name = stream.name.as_ref()?.to_string();
            stream.deleted |= stream.opens > 0;
            Some(name)
        });
        named.collect()
    }

    /// Phases 1 to 3 of MS-FSA 2.1.5.5, after the open has been taken out of the counts.
    pub(super) fn delete_at_close(
        &mut self,
        open: OpenId,
        entry: &OpenEntry,
        empty: bool,
        _now: Moment,
        effects: &mut Effects,
    ) -> Option<Deletion> {
        let link = &mut self.links[entry.link];
        let whole = entry.stream.is_none();
        if entry.delete_on_close && whole && (empty || !entry.directory) && !link.path.is_root() {
            link.delete.get_or_insert_default();
            effects.extend(self.end_watches(entry.link));
        }
        let link = &mut self.links[entry.link];
        if let Some(mark) = link.delete.filter(|_| !entry.local)
            && (link.opens == 0 || mark.posix == Some(open))
            && !link.deleting
            && !link.gone
        {
            link.deleting = true;
            return Some(Deletion {
                link: entry.link,
                path: link.path.clone(),
                node: entry.node,
                directory: entry.directory,
                stream: None,
                parents_lease: entry.parents_lease(),
            });
        }
        if whole {
            return None;
        }
        let (gone, path) = (link.gone, link.path.clone());
        let node = self.nodes.get_mut(&entry.node)?;
        let at = node.stream_at(entry.stream.as_deref())?;
        let stream = &mut node.streams[at];
        stream.deleted |= entry.delete_on_close;
        if !stream.deleted || stream.opens > 0 || stream.deleting || gone {
            return None;
        }
        stream.deleting = true;
        self.links[entry.link].holds += 1;
        Some(Deletion {
            link: entry.link,
            path,
            node: entry.node,
            directory: entry.directory,
            stream: entry.stream.clone(),
            parents_lease: entry.parents_lease(),
        })
    }

    /// The end of a deletion. `done`: it is no longer there; this goes through the one door, so the caller does not
    /// report it again. Otherwise it stays, and is not marked for deletion any more.
    #[must_use]
    pub fn deleted(&mut self, deletion: Deletion, done: bool, now: Moment) -> Effects {
        let Deletion { link: no, node, directory, stream, parents_lease, .. } = deletion;
        let link = &mut self.links[no];
        let path = link.path.clone();
        let effects = if let Some(name) = stream {
            link.holds -= 1;
            if let Some(node) = self.nodes.get_mut(&node)
                && let Some(at) = node.stream_at(Some(&name))
            {
                node.streams[at].deleting = false;
                node.streams[at].deleted = false;
            }
            let change = Change::stream(path, name.into_string(), StreamChange::Removed).of(node);
            if done { change::apply(self, &change, now) } else { Effects::new() }
        } else {
            link.deleting = false;
            link.delete = None;
            if !done {
                Effects::new()
            } else {
                // Somebody else may stand at the path already: only this link goes.
                self.reflect(&Change::removed(path.clone(), directory).of(node));
                let mut effects = self.detach(no);
                effects.extend(self.break_listing(&path, parents_lease));
                effects.extend(change::report_removed(self, &path, directory));
                effects
            }
        };
        self.forget_unused(node, no);
        effects
    }
}
