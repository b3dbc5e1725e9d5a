//! May this be renamed, or linked, to there (MS-FSA 2.1.5.15.11, 2.1.5.15.6)?

use super::change::{self, Change, StreamChange};
use super::{Effects, Moment, RelPath, Tree, expression};
use crate::types::{AccessMask, NodeKey, NtStatus, OpenId, ShareAccess};

/// What stands at the target name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// In the case in which it is on disk.
    pub path: RelPath,
    pub node: NodeKey,
    pub directory: bool,
    /// FILE_ATTRIBUTE_READONLY is set.
    pub readonly: bool,
}

/// A rename to decide, with the facts.
#[derive(Clone, Debug)]
pub struct RenameAsk {
    pub open: OpenId,
    /// In the case in which it is to be written.
    pub to: RelPath,
    /// ReplaceIfExists, FILE_RENAME_REPLACE_IF_EXISTS.
    pub replace: bool,
    /// FILE_RENAME_POSIX_SEMANTICS: what is replaced may be open, if all its opens share delete.
    pub posix: bool,
    /// FILE_RENAME_IGNORE_READONLY_ATTRIBUTE
    pub ignore_readonly: bool,
    /// What is found under that name, whatever its case. The file itself, if only the case changes.
    pub target: Option<Target>,
}

/// Leave to rename. Once done on disk, report [`Renaming::change`] (for a link, [`Change::created`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renaming {
    pub from: RelPath,
    pub to: RelPath,
    pub directory: bool,
    pub node: NodeKey,
    /// Another file has that name and loses it. If it is written in another case, removing it is the caller's.
    pub replaces: Option<Target>,
}

impl Renaming {
    /// To be reported once it is done.
    pub fn change(&self) -> Change {
        let replaced = self.replaces.as_ref().map(|t| t.path.clone());
        Change::renamed(self.from.clone(), self.to.clone(), self.directory, replaced).of(self.node)
    }
}

impl Tree {
    /// FileRenameInformation(Ex) of the file itself. FILE_CLOSED; ACCESS_DENIED (no DELETE access; delete pending; a
    /// directory with something open beneath it; a named stream of it is open; the target is a directory, read-only or open); INVALID_PARAMETER
    /// (into itself); SHARING_VIOLATION (the target's directory is open in a way that excludes it);
    /// OBJECT_NAME_COLLISION; DELETE_PENDING (the target's directory is going).
    pub fn rename(&self, ask: &RenameAsk) -> Result<Renaming, NtStatus> {
        let entry = self.opens.get(&ask.open).ok_or(NtStatus::FILE_CLOSED)?;
        if !entry.access.contains(AccessMask::DELETE) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let renaming = self.link(ask)?;
        let streams = self.nodes.get(&entry.node).is_some_and(|node| node.has_open_streams());
        if streams || (renaming.directory && self.has_open_descendants(&renaming.from)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(renaming)
    }

    /// FileRenameInformation of a named stream (MS-FSA 2.1.5.15.11.1). FILE_CLOSED; ACCESS_DENIED (no DELETE access,
    /// delete pending); INVALID_PARAMETER (not a named stream, or the target is open). The name it has now; once it
    /// is done, report [`Tree::renamed_stream`].
    pub fn rename_stream(&self, open: OpenId, to: &str) -> Result<String, NtStatus> {
        let entry = self.opens.get(&open).ok_or(NtStatus::FILE_CLOSED)?;
        if !entry.access.contains(AccessMask::DELETE) || self.is_delete_pending(open) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let (Some(from), Some(node)) = (&entry.stream, self.nodes.get(&entry.node)) else {
            return Err(NtStatus::INVALID_PARAMETER);
        };
        let source = node.stream_at(Some(from));
        if node.stream_at(Some(to)).is_some_and(|at| Some(at) != source) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        Ok(from.to_string())
    }

    /// It is called so now, for all its opens.
    #[must_use]
    pub fn renamed_stream(&mut self, open: OpenId, to: &str, now: Moment) -> Effects {
        let Some(entry) = self.opens.get(&open) else { return Effects::new() };
        let (key, from, path) = (entry.node, entry.stream.clone(), self.links[entry.link].path.clone());
        let Some(node) = self.nodes.get_mut(&key) else { return Effects::new() };
        let Some(from) = from else { return Effects::new() };
        if let Some(at) = node.stream_at(Some(&from)) {
            node.streams[at].name = Some(to.into());
        }
        for other in &node.opens {
            if let Some(entry) = self.opens.get_mut(other)
                && entry.stream.as_deref().is_some_and(|name| expression::same_name(name, &from))
            {
                entry.stream = Some(to.into());
            }
        }
        let tell = |name: &str, what| Change::stream(path.clone(), name.to_owned(), what).by(open).of(key);
        let mut effects = change::apply(self, &tell(&from, StreamChange::Removed), now);
        effects.extend(change::apply(self, &tell(to, StreamChange::Added), now));
        effects
    }

    /// FileLinkInformation: as [`Tree::rename`], but the old name stays.
    pub fn link(&self, ask: &RenameAsk) -> Result<Renaming, NtStatus> {
        let entry = self.opens.get(&ask.open).ok_or(NtStatus::FILE_CLOSED)?;
        let link = &self.links[entry.link];
        if link.gone || link.is_delete_pending() || link.path.is_root() || ask.to.is_root() {
            return Err(NtStatus::ACCESS_DENIED);
        }
        if entry.directory && ask.to.is_beneath(&link.path) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        self.check_target_directory(&ask.to, entry.directory)?;
        let target = ask.target.as_ref().filter(|t| t.node != entry.node);
        if let Some(target) = target {
            self.check_target(ask, target, entry.directory)?;
        }
        Ok(Renaming {
            from: link.path.clone(),
            to: ask.to.clone(),
            directory: entry.directory,
            node: entry.node,
            replaces: target.cloned(),
        })
    }

    /// The server opens the target's directory to add an entry (MS-FSA 2.1.5.1.2.2 applies): who has it open without
    /// sharing write is in the way. To add a file it does not share delete, so who has it open with DELETE access is, too;
    /// a directory goes in beside him.
    fn check_target_directory(&self, to: &RelPath, directory: bool) -> Result<(), NtStatus> {
        let Some(link) = to.parent().and_then(|dir| self.paths.get(&dir)).map(|&no| &self.links[no]) else {
            return Ok(());
        };
        if link.is_delete_pending() {
            return Err(NtStatus::DELETE_PENDING);
        }
        let mut share = ShareAccess::READ | ShareAccess::WRITE;
        share.set(ShareAccess::DELETE, directory);
        match self.nodes.get(&link.node).and_then(|n| n.stream(None)) {
            Some(stream) if !stream.share.admits(AccessMask::ADD_FILE, share) => {
                Err(NtStatus::SHARING_VIOLATION)
            }
            _ => Ok(()),
        }
    }

    fn check_target(&self, ask: &RenameAsk, target: &Target, directory: bool) -> Result<(), NtStatus> {
        if !ask.replace {
            return Err(NtStatus::OBJECT_NAME_COLLISION);
        }
        if target.directory || directory || (target.readonly && !ask.ignore_readonly) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let Some(node) = self.nodes.get(&target.node) else { return Ok(()) };
        let going = node.links.iter().map(|&no| &self.links[no]).any(|l| !l.gone && l.is_delete_pending());
        let may_stay_open = ask.posix && node.streams.iter().all(|s| s.share.all_share_delete());
        let open = node.opens.iter().filter_map(|id| self.opens.get(id)).any(|entry| !entry.local);
        if going || (open && !may_stay_open) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(())
    }
}
