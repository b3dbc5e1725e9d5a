//! Deletion and rename over a file system of a few names: the model knows paths, inodes and marks, nothing else.

use std::collections::BTreeMap;

use smbgate::fsa::change::{self, Change};
use smbgate::fsa::{Disposition, DispositionAsk, Moment, OpenAsk, Opening, RelPath, RenameAsk, Target, Tree};
use smbgate::types::{AccessMask, NodeKey, NtStatus, OpenId, ShareAccess};

use crate::driver::{self, Rng, same};

/// `d0a` sorts right behind everything beneath `d`.
const PATHS: [&str; 10] = ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d0a", "e", "e/a"];

#[derive(Clone, Debug)]
pub enum Step {
    Open(Ask),
    Close { id: u64, unlink_fails: bool },
    Dispose { id: u64, flags: Disposition, readonly: bool },
    Rename(How),
    Link(How),
    OutsideRemove(&'static str),
    OutsideRename(&'static str, &'static str),
}

/// A rename or a link. `readonly`: what stands there is.
#[derive(Clone, Copy, Debug)]
pub struct How {
    id: u64,
    to: &'static str,
    replace: bool,
    posix: bool,
    readonly: bool,
    ignore_readonly: bool,
}

#[derive(Clone, Debug)]
pub struct Ask {
    id: u64,
    path: &'static str,
    directory: bool,
    delete: bool,
    share_delete: bool,
    share_write: bool,
    on_close: bool,
    readonly: bool,
}

#[derive(Debug)]
struct Open {
    id: u64,
    ino: u64,
    path: String,
    directory: bool,
    gone: bool,
    delete: bool,
    share_delete: bool,
    share_write: bool,
    born_to_delete: bool,
    on_close: bool,
}

pub struct World {
    tree: Tree,
    disk: BTreeMap<String, (u64, bool)>,
    last_ino: u64,
    opens: Vec<Open>,
    /// Names marked for deletion, and by whose POSIX disposition.
    marks: BTreeMap<String, Option<u64>>,
}

const NOW: Moment = Moment(std::time::Duration::ZERO);

impl driver::World for World {
    type Step = Step;

    fn new() -> World {
        World { tree: Tree::new(), disk: BTreeMap::new(), last_ino: 0, opens: vec![], marks: BTreeMap::new() }
    }

    fn random(rng: &mut Rng) -> Step {
        let id = rng.below(6);
        match rng.below(20) {
            0..=7 => {
                let path = rng.pick(&PATHS);
                Step::Open(Ask {
                    id,
                    path,
                    directory: rng.one_in(8) || !path.ends_with(['a', 'b']),
                    delete: !rng.one_in(3),
                    share_delete: !rng.one_in(4),
                    share_write: !rng.one_in(8),
                    on_close: rng.one_in(4),
                    readonly: rng.one_in(8),
                })
            }
            8..=11 => Step::Close { id, unlink_fails: rng.one_in(8) },
            12..=14 => Step::Dispose {
                id,
                flags: Disposition::from_bits_retain(rng.below(32) as u32 | u32::from(!rng.one_in(3))),
                readonly: rng.one_in(8),
            },
            n @ 15..=17 => {
                let how = How {
                    id,
                    to: rng.pick(&PATHS),
                    replace: !rng.one_in(3),
                    posix: rng.one_in(2),
                    readonly: rng.one_in(4),
                    ignore_readonly: rng.one_in(2),
                };
                if n == 17 { Step::Link(how) } else { Step::Rename(how) }
            }
            18 => Step::OutsideRemove(rng.pick(&PATHS)),
            _ => Step::OutsideRename(rng.pick(&PATHS), rng.pick(&PATHS)),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open(ask) => self.open(ask)?,
            Step::Close { id, unlink_fails } => self.close(*id, *unlink_fails)?,
            Step::Dispose { id, flags, readonly } => self.dispose(*id, *flags, *readonly)?,
            Step::Rename(how) => self.rename(*how)?,
            Step::Link(how) => self.link(*how)?,
            Step::OutsideRemove(path) => {
                if let Some(&(_, directory)) = self.disk.get(*path) {
                    self.remove(path);
                    let change = Change::removed(RelPath::new(path), directory);
                    same("removal", change::apply(&mut self.tree, &change, NOW), vec![])?;
                }
            }
            Step::OutsideRename(from, to) => self.outside_rename(from, to)?,
        }
        self.compare()
    }
}

impl World {
    fn open(&mut self, ask: &Ask) -> Result<(), String> {
        let Some(parent) = self.parent(ask.path) else { return Ok(()) };
        if self.opens.iter().any(|o| o.id == ask.id) {
            return Ok(());
        }
        let directory = match self.disk.get(ask.path) {
            Some((_, directory)) => *directory,
            None => {
                let parent_goes = self.marks.contains_key(parent);
                let should = if parent_goes { Err(NtStatus::DELETE_PENDING) } else { Ok(()) };
                same("may create", self.tree.may_create(&RelPath::new(ask.path)), should)?;
                if parent_goes {
                    return Ok(());
                }
                self.last_ino += 1;
                self.disk.insert(ask.path.to_owned(), (self.last_ino, ask.directory));
                ask.directory
            }
        };
        let ino = self.disk[ask.path].0;
        let delete = ask.delete || ask.on_close;
        let share = [
            (ShareAccess::READ, true),
            (ShareAccess::WRITE, ask.share_write),
            (ShareAccess::DELETE, ask.share_delete),
        ];
        let real = self.tree.open(
            OpenAsk {
                directory,
                access: AccessMask::READ_DATA | if delete { AccessMask::DELETE } else { AccessMask::empty() },
                share: share.into_iter().filter(|(_, yes)| *yes).map(|(bit, _)| bit).collect(),
                links: self.disk.values().filter(|(i, _)| *i == ino).count() as u32,
                delete_on_close: ask.on_close,
                readonly: ask.readonly,
                ..OpenAsk::new(OpenId(ask.id), key(ino), RelPath::new(ask.path))
            },
            NOW,
        );
        let mut others = self.opens.iter().filter(|o| o.ino == ino);
        let should = if ask.on_close && ask.readonly {
            Opening::Refused(NtStatus::CANNOT_DELETE)
        } else if self.marks.contains_key(ask.path) {
            Opening::Refused(NtStatus::DELETE_PENDING)
        } else if others.any(|o| delete && !o.share_delete || o.delete && !ask.share_delete) {
            Opening::Refused(NtStatus::SHARING_VIOLATION)
        } else {
            self.opens.push(Open {
                id: ask.id,
                ino,
                path: ask.path.to_owned(),
                directory,
                gone: false,
                delete,
                share_delete: ask.share_delete,
                share_write: ask.share_write,
                born_to_delete: ask.on_close,
                on_close: ask.on_close,
            });
            Opening::Granted(vec![])
        };
        same("open", real, should)
    }

    fn close(&mut self, id: u64, unlink_fails: bool) -> Result<(), String> {
        let Some(at) = self.opens.iter().position(|o| o.id == id) else {
            let closed = self.tree.close(OpenId(id), true, NOW);
            return same("close of nothing", closed.deletion.is_none(), true);
        };
        let open = self.opens.remove(at);
        let empty = self.is_empty(&open.path);
        let closed = self.tree.close(OpenId(id), empty, NOW);
        same("last of node", closed.last_of_node, self.opens.iter().all(|o| o.ino != open.ino))?;
        if open.on_close && !open.gone && (empty || !open.directory) {
            self.marks.entry(open.path.clone()).or_insert(None);
        }
        let goes = !open.gone
            && self.marks.get(&open.path).is_some_and(|by| {
                *by == Some(id) || !self.opens.iter().any(|o| !o.gone && o.path == open.path)
            });
        let real = closed.deletion.as_ref().map(|d| (d.path().clone(), d.node(), d.directory()));
        let should = goes.then(|| (RelPath::new(&open.path), key(open.ino), open.directory));
        same("deletion", real, should)?;
        if let Some(deletion) = closed.deletion {
            let ask = OpenAsk::new(OpenId(99), key(open.ino), RelPath::new(&open.path));
            same("open meanwhile", self.tree.open(ask, NOW), Opening::Refused(NtStatus::DELETE_PENDING))?;
            let fails = unlink_fails || !empty && open.directory;
            if fails {
                self.marks.remove(&open.path);
            } else {
                self.remove(&open.path);
            }
            same("after deletion", self.tree.deleted(deletion, !fails, NOW), vec![])?;
        }
        Ok(())
    }

    fn dispose(&mut self, id: u64, flags: Disposition, readonly: bool) -> Result<(), String> {
        let at = self.opens.iter().position(|o| o.id == id);
        let not_empty = at.is_some_and(|at| !self.is_empty(&self.opens[at].path) && !self.opens[at].gone);
        let ask = DispositionAsk { open: OpenId(id), flags, readonly, not_empty };
        let real = self.tree.set_disposition(&ask, NOW).map(|effects| assert!(effects.is_empty()));
        same("disposition", real, self.dispose_in_model(at, flags, readonly, not_empty))
    }

    fn dispose_in_model(
        &mut self,
        at: Option<usize>,
        flags: Disposition,
        readonly: bool,
        not_empty: bool,
    ) -> Result<(), NtStatus> {
        let open = &mut self.opens[at.ok_or(NtStatus::FILE_CLOSED)?];
        let delete = flags.contains(Disposition::DELETE);
        match () {
            () if !open.delete => return Err(NtStatus::ACCESS_DENIED),
            () if delete && readonly && !flags.contains(Disposition::IGNORE_READONLY_ATTRIBUTE) => {
                return Err(NtStatus::CANNOT_DELETE);
            }
            () if delete && open.directory && not_empty => return Err(NtStatus::DIRECTORY_NOT_EMPTY),
            () if flags.contains(Disposition::ON_CLOSE) => {
                if !open.born_to_delete {
                    return Err(NtStatus::NOT_SUPPORTED);
                }
                open.on_close = delete;
            }
            () if open.gone => {}
            () if delete => {
                let by = self.marks.entry(open.path.clone()).or_insert(None);
                if flags.contains(Disposition::POSIX_SEMANTICS) && by.is_none() {
                    *by = Some(open.id);
                }
            }
            () => {
                self.marks.remove(&open.path);
            }
        }
        Ok(())
    }

    fn rename(&mut self, how: How) -> Result<(), String> {
        let at = self.opens.iter().position(|o| o.id == how.id);
        if let Some(o) = at.map(|at| &self.opens[at])
            && !o.gone
        {
            let target = self.disk.get(how.to);
            let same_file = target.is_some_and(|(ino, _)| *ino == o.ino) && how.to != o.path;
            if same_file || self.parent(how.to).is_none() {
                return Ok(());
            }
        }
        let should = self.may_rename(at, how, true);
        match self.tree.rename(&self.ask(how)) {
            Err(status) => same("rename", Err(status), should),
            Ok(renaming) => {
                same("rename", Ok(()), should)?;
                let from = self.opens[at.expect("renamed")].path.clone();
                same("rename from", renaming.from.clone(), RelPath::new(&from))?;
                self.moved(&from, how.to);
                same("renamed", change::apply(&mut self.tree, &renaming.change(), NOW), vec![])
            }
        }
    }

    fn ask(&self, how: How) -> RenameAsk {
        let target = self.disk.get(how.to).map(|&(ino, directory)| Target {
            path: RelPath::new(how.to),
            node: key(ino),
            directory,
            readonly: how.readonly,
        });
        RenameAsk {
            open: OpenId(how.id),
            to: RelPath::new(how.to),
            replace: how.replace,
            posix: how.posix,
            ignore_readonly: how.ignore_readonly,
            target,
        }
    }

    fn may_rename(&self, at: Option<usize>, how: How, moves: bool) -> Result<(), NtStatus> {
        let open = &self.opens[at.ok_or(NtStatus::FILE_CLOSED)?];
        if moves && !open.delete || open.gone || self.marks.contains_key(&open.path) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        if open.directory && how.to.starts_with(&format!("{}/", open.path)) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let parent = self.parent(how.to).expect("checked");
        if self.marks.contains_key(parent) {
            return Err(NtStatus::DELETE_PENDING);
        }
        // Whoever may delete the directory keeps files from being put there, and not directories.
        let keeps_out = |o: &Open| o.delete && !open.directory || !o.share_write;
        if let Some((dir, _)) = self.disk.get(parent)
            && self.opens.iter().any(|o| o.ino == *dir && keeps_out(o))
        {
            return Err(NtStatus::SHARING_VIOLATION);
        }
        if let Some(&(ino, directory)) = self.disk.get(how.to)
            && ino != open.ino
        {
            if !how.replace {
                return Err(NtStatus::OBJECT_NAME_COLLISION);
            }
            let marked = self.disk.iter().any(|(path, (i, _))| *i == ino && self.marks.contains_key(path));
            let busy = self.opens.iter().any(|o| o.ino == ino && !(how.posix && o.share_delete));
            let readonly = how.readonly && !how.ignore_readonly;
            if directory || open.directory || readonly || marked || busy {
                return Err(NtStatus::ACCESS_DENIED);
            }
        }
        let beneath = format!("{}/", open.path);
        if moves && open.directory && self.opens.iter().any(|o| !o.gone && o.path.starts_with(&beneath)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(())
    }

    fn link(&mut self, how: How) -> Result<(), String> {
        let at = self.opens.iter().position(|o| o.id == how.id);
        let fit = at.is_some_and(|at| {
            let open = &self.opens[at];
            !open.directory && self.disk.get(how.to).is_none_or(|(ino, _)| *ino != open.ino)
        });
        if !fit || self.parent(how.to).is_none() {
            return Ok(());
        }
        let should = self.may_rename(at, how, false);
        let real = self.tree.link(&self.ask(how));
        if let Ok(link) = &real {
            if let Some(replaced) = &link.replaces {
                self.remove(how.to);
                let change = Change::removed(replaced.path.clone(), false).of(replaced.node);
                same("replaced", change::apply(&mut self.tree, &change, NOW), vec![])?;
            }
            let ino = self.opens[at.expect("linked")].ino;
            self.disk.insert(how.to.to_owned(), (ino, false));
            let change = Change::created(link.to.clone(), false).of(link.node);
            same("linked", change::apply(&mut self.tree, &change, NOW), vec![])?;
        }
        same("link", real.map(|_| ()), should)
    }

    fn outside_rename(&mut self, from: &str, to: &str) -> Result<(), String> {
        let Some(&(ino, directory)) = self.disk.get(from) else { return Ok(()) };
        let target = self.disk.get(to).copied();
        let works = self.parent(to).is_some()
            && !to.starts_with(&format!("{from}/"))
            && target.is_none_or(|(i, d)| i != ino && d == directory && (!d || self.is_empty(to)));
        if !works {
            return Ok(());
        }
        self.moved(from, to);
        let replaced = target.map(|_| RelPath::new(to));
        let change = Change::renamed(RelPath::new(from), RelPath::new(to), directory, replaced);
        same("outside rename", change::apply(&mut self.tree, &change, NOW), vec![])
    }

    // ---- the disk of the model ----

    /// The directory of a path, if it is there.
    fn parent<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Some("") };
        self.disk.get(parent).is_some_and(|(_, directory)| *directory).then_some(parent)
    }

    fn is_empty(&self, path: &str) -> bool {
        !self.disk.keys().any(|p| p.starts_with(&format!("{path}/")))
    }

    fn remove(&mut self, path: &str) {
        let beneath = format!("{path}/");
        let hit = |p: &str| p == path || p.starts_with(&beneath);
        self.disk.retain(|p, _| !hit(p));
        self.marks.retain(|p, _| !hit(p));
        for o in &mut self.opens {
            o.gone |= hit(&o.path);
        }
    }

    fn moved(&mut self, from: &str, to: &str) {
        if from == to {
            return;
        }
        self.remove(to);
        let moved = |p: &str| -> String {
            match p.strip_prefix(from) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
                _ => p.to_owned(),
            }
        };
        self.disk = self.disk.iter().map(|(p, v)| (moved(p), *v)).collect();
        self.marks = self.marks.iter().map(|(p, v)| (moved(p), *v)).collect();
        for o in self.opens.iter_mut().filter(|o| !o.gone) {
            o.path = moved(&o.path);
        }
    }

    fn compare(&self) -> Result<(), String> {
        for o in &self.opens {
            let id = OpenId(o.id);
            same("path", self.tree.path_of(id), Some(RelPath::new(&o.path)))?;
            same("gone", self.tree.is_gone(id), o.gone)?;
            same(
                "delete pending",
                self.tree.is_delete_pending(id),
                o.gone || self.marks.contains_key(&o.path),
            )?;
            same("deletes on close", self.tree.deletes_on_close(id), o.on_close)?;
            let others = self.opens.iter().filter(|p| p.ino == o.ino).count() > 1;
            same("other opens", self.tree.has_other_opens(id), others)?;
        }
        for dir in ["d", "d/e", "e"] {
            let any = self.opens.iter().any(|o| !o.gone && o.path.starts_with(&format!("{dir}/")));
            same("open descendants", self.tree.has_open_descendants(&RelPath::new(dir)), any)?;
        }
        same("opens", self.tree.len(), self.opens.len())?;
        same("empty", self.tree.is_empty(), self.opens.is_empty())
    }
}

fn key(ino: u64) -> NodeKey {
    NodeKey { dev: 1, ino }
}
