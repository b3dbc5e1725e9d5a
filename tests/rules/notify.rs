//! CHANGE_NOTIFY: every watch asked about every event, by comparing strings.

use std::collections::VecDeque;

use smbgate::fsa::change::{self, Change, Facets, Kind, StreamChange};
use smbgate::fsa::{
    Disposition, DispositionAsk, Effect, Filter, Moment, Notified, NotifyAction, NotifyAsk, NotifyEvent,
    Notifying, OpenAsk, Opening, RelPath, Tree, WaiterId,
};
use smbgate::types::{AccessMask, NodeKey, NtStatus, OpenId, ShareAccess};

use crate::driver::{self, Rng, same};

const DIRS: [&str; 5] = ["", "d", "d/e", "d/e/f", "g"];
const PATHS: [&str; 9] = ["x", "d", "d/x", "d/e", "d/e/x", "d/e/f", "d/e/f/x", "g", "g/long name of a file"];

#[derive(Clone, Debug)]
pub enum Step {
    Open { id: u64, dir: &'static str },
    Close(u64),
    Notify { id: u64, waiter: u64, filter: Filter, recursive: bool, buffer: usize },
    Cancel(u64),
    Change(Change),
    Delete(u64, bool),
}

struct Open {
    id: u64,
    ino: u64,
    path: String,
    gone: bool,
    deleted: bool,
    watch: Option<Watch>,
}

struct Watch {
    filter: Filter,
    recursive: bool,
    limit: usize,
    events: Vec<NotifyEvent>,
    lost: bool,
    waiters: VecDeque<(u64, usize)>,
}

pub struct World {
    tree: Tree,
    opens: Vec<Open>,
    last_ino: u64,
}

const NOW: Moment = Moment(std::time::Duration::ZERO);

impl driver::World for World {
    type Step = Step;

    fn new() -> World {
        World { tree: Tree::new(), opens: vec![], last_ino: 0 }
    }

    fn random(rng: &mut Rng) -> Step {
        let id = rng.below(5);
        match rng.below(24) {
            0..=3 => Step::Open { id, dir: rng.pick(&DIRS) },
            4 => Step::Close(id),
            5..=11 => Step::Notify {
                id,
                waiter: rng.next(),
                filter: match rng.below(4) {
                    0 => Filter::from_bits_retain(1 << rng.below(12)),
                    1 => Filter::FILE_NAME | Filter::DIR_NAME,
                    _ => Filter::from_bits_retain(0xFFF),
                },
                recursive: rng.one_in(2),
                buffer: rng.pick(&[0, 14, 16, 40, 100, 1000, 1000, 100_000]),
            },
            12 => Step::Cancel(rng.next()),
            13 => Step::Delete(id, !rng.one_in(3)),
            _ => Step::Change(random_change(rng)),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open { id, dir } => self.open(*id, dir),
            Step::Close(id) => {
                let real = self.tree.close(OpenId(*id), false, NOW);
                let mut model = Vec::new();
                if let Some(at) = self.opens.iter().position(|o| o.id == *id) {
                    end(&mut self.opens[at], NtStatus::NOTIFY_CLEANUP, &mut model);
                    let open = self.opens.remove(at);
                    if open.deleted
                        && !open.gone
                        && !self.opens.iter().any(|o| !o.gone && o.path == open.path)
                    {
                        same("close", real.effects, model)?;
                        let deletion = real.deletion.ok_or("no deletion")?;
                        let effects = self.tree.deleted(deletion, true, NOW);
                        let mut model = Vec::new();
                        self.report(&open.path, "", Filter::DIR_NAME, NotifyAction::REMOVED);
                        self.flush(&mut model);
                        return same("deleted", order(effects), order(model));
                    }
                }
                same("deletion", real.deletion.is_none(), true)?;
                same("close", real.effects, model)
            }
            Step::Notify { id, waiter, filter, recursive, buffer } => {
                let ask = NotifyAsk {
                    open: OpenId(*id),
                    waiter: WaiterId(*waiter),
                    filter: *filter,
                    recursive: *recursive,
                    buffer: *buffer,
                };
                let should = match self.opens.iter_mut().find(|o| o.id == *id) {
                    None => Notifying::Refused(NtStatus::FILE_CLOSED),
                    Some(open) if open.gone || open.deleted => Notifying::Refused(NtStatus::DELETE_PENDING),
                    Some(open) => {
                        let watch = open.watch.get_or_insert_with(|| Watch {
                            filter: *filter,
                            recursive: *recursive,
                            limit: (*buffer).min(65536),
                            events: vec![],
                            lost: false,
                            waiters: VecDeque::new(),
                        });
                        match watch.take(*buffer) {
                            Some(answer) => Notifying::Answered(answer),
                            None => {
                                watch.waiters.push_back((*waiter, *buffer));
                                Notifying::Waiting
                            }
                        }
                    }
                };
                same("notify", self.tree.notify(&ask, NOW), should)
            }
            Step::Cancel(number) => {
                let waiting: Vec<u64> = self
                    .opens
                    .iter()
                    .flat_map(|o| &o.watch)
                    .flat_map(|w| &w.waiters)
                    .map(|(w, _)| *w)
                    .collect();
                if waiting.is_empty() {
                    return same("cancel", self.tree.cancel(WaiterId(*number), NOW), vec![]);
                }
                let waiter = waiting[(*number % waiting.len() as u64) as usize];
                for watch in self.opens.iter_mut().flat_map(|o| &mut o.watch) {
                    watch.waiters.retain(|(w, _)| *w != waiter);
                }
                let model = vec![effect(waiter, Notified::Status(NtStatus::CANCELLED))];
                same("cancel", self.tree.cancel(WaiterId(waiter), NOW), model)
            }
            Step::Delete(id, delete) => {
                let Some(at) = self.opens.iter().position(|o| o.id == *id) else { return Ok(()) };
                let flags = if *delete { Disposition::DELETE } else { Disposition::empty() };
                let ask = DispositionAsk { open: OpenId(*id), flags, readonly: false, not_empty: false };
                let real = self.tree.set_disposition(&ask, NOW);
                let (path, gone) = (self.opens[at].path.clone(), self.opens[at].gone);
                if path.is_empty() && *delete {
                    return same("disposition", real, Err(NtStatus::CANNOT_DELETE));
                }
                let mut model = Vec::new();
                if !gone {
                    for open in self.opens.iter_mut().filter(|o| !o.gone && o.path == path) {
                        open.deleted = *delete;
                        if *delete {
                            end(open, NtStatus::DELETE_PENDING, &mut model);
                        }
                    }
                }
                same("disposition", real.map(order), Ok(order(model)))
            }
            Step::Change(change) => {
                let real = change::apply(&mut self.tree, change, NOW);
                same("change", order(real), order(self.change(change)))
            }
        }
    }
}

/// Watches of the same event are answered in no particular order.
fn order(mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.sort_by_key(|e| match e {
        Effect::Lock { waiter, .. } | Effect::Notify { waiter, .. } | Effect::Open { waiter, .. } => *waiter,
        Effect::LockAgain { .. } => unreachable!("nobody locks"),
        Effect::Break { .. } | Effect::BreakLease { .. } => unreachable!("nobody caches"),
    });
    effects
}

fn effect(waiter: u64, answer: Notified) -> Effect {
    Effect::Notify { waiter: WaiterId(waiter), answer }
}

fn end(open: &mut Open, status: NtStatus, effects: &mut Vec<Effect>) {
    for (waiter, _) in open.watch.take().into_iter().flat_map(|w| w.waiters) {
        effects.push(effect(waiter, Notified::Status(status)));
    }
}

impl Watch {
    fn take(&mut self, buffer: usize) -> Option<Notified> {
        let events = std::mem::take(&mut self.events);
        if std::mem::take(&mut self.lost) {
            return Some(Notified::Status(NtStatus::NOTIFY_ENUM_DIR));
        }
        if events.is_empty() {
            return None;
        }
        if encoded(&events) > buffer {
            return Some(Notified::Status(NtStatus::NOTIFY_ENUM_DIR));
        }
        Some(Notified::Events(events))
    }
}

/// MS-FSCC 2.7.1: all but the last entry padded to 4.
fn encoded(events: &[NotifyEvent]) -> usize {
    let mut out = Vec::new();
    for event in events {
        while out.len() % 4 != 0 {
            out.push(0);
        }
        out.extend([0; 12]);
        out.extend(event.name.encode_utf16().flat_map(u16::to_le_bytes));
    }
    out.len()
}

impl World {
    fn open(&mut self, id: u64, dir: &'static str) -> Result<(), String> {
        if self.opens.iter().any(|o| o.id == id) {
            return Ok(());
        }
        let here = self.opens.iter().find(|o| !o.gone && o.path == dir).map(|o| (o.ino, o.deleted));
        let (ino, going) = here.unwrap_or_else(|| {
            self.last_ino += 1;
            (self.last_ino, false)
        });
        let ask = OpenAsk {
            directory: true,
            access: AccessMask::LIST_DIRECTORY | AccessMask::DELETE,
            share: ShareAccess::all(),
            ..OpenAsk::new(OpenId(id), NodeKey { dev: 1, ino }, RelPath::new(dir))
        };
        if going {
            return same("open", self.tree.open(ask, NOW), Opening::Refused(NtStatus::DELETE_PENDING));
        }
        self.opens.push(Open { id, ino, path: dir.to_owned(), gone: false, deleted: false, watch: None });
        same("open", self.tree.open(ask, NOW), Opening::Granted(vec![]))
    }

    fn change(&mut self, change: &Change) -> Vec<Effect> {
        let path = String::from_utf8(change.path.as_bytes().to_vec()).unwrap();
        let name = if change.directory { Filter::DIR_NAME } else { Filter::FILE_NAME };
        let mut effects = Vec::new();
        match &change.kind {
            Kind::Created => self.report(&path, "", name, NotifyAction::ADDED),
            Kind::Removed => self.removed(&path, name, &mut effects),
            Kind::Renamed { to, replaced } => {
                let to = String::from_utf8(to.as_bytes().to_vec()).unwrap();
                if replaced.is_some() {
                    self.removed(&to, name, &mut effects);
                } else if self.is_late(change, &path, &to) {
                    // What is open there may be what was renamed.
                } else {
                    for o in self.opens.iter_mut().filter(|o| !o.gone && at_or_beneath(&o.path, &to)) {
                        end(o, NtStatus::DELETE_PENDING, &mut effects);
                        o.gone = true;
                    }
                }
                for o in self.opens.iter_mut().filter(|o| !o.gone && at_or_beneath(&o.path, &path)) {
                    o.path = format!("{to}{}", &o.path[path.len()..]);
                }
                let parent = |p: &str| p.rsplit_once('/').map(|(d, _)| d.to_owned());
                let within = parent(&path) == parent(&to);
                let (old, new) = match within {
                    true => (NotifyAction::RENAMED_OLD_NAME, NotifyAction::RENAMED_NEW_NAME),
                    false => (NotifyAction::REMOVED, NotifyAction::ADDED),
                };
                self.report(&path, "", name, old);
                self.report(&to, "", name, new);
                if !change.directory {
                    let filter = Filter::ATTRIBUTES | Filter::CREATION;
                    self.report_unless(&to, "", filter, name, NotifyAction::MODIFIED);
                }
            }
            Kind::Modified(facets) => {
                let mut filter = Filter::empty();
                for (facet, bit) in [
                    (Facets::SIZE, Filter::SIZE),
                    (Facets::ATTRIBUTES, Filter::ATTRIBUTES),
                    (Facets::LAST_WRITE, Filter::LAST_WRITE),
                    (Facets::LAST_ACCESS, Filter::LAST_ACCESS),
                    (Facets::CREATION, Filter::CREATION),
                    (Facets::SECURITY, Filter::SECURITY),
                    (Facets::EA, Filter::EA),
                ] {
                    if facets.contains(facet) {
                        filter |= bit;
                    }
                }
                self.report(&path, "", filter, NotifyAction::MODIFIED);
            }
            Kind::Stream { name, what } => {
                let (filter, action) = match what {
                    StreamChange::Added => (Filter::STREAM_NAME, NotifyAction::ADDED_STREAM),
                    StreamChange::Removed => (Filter::STREAM_NAME, NotifyAction::REMOVED_STREAM),
                    StreamChange::Written => (Filter::STREAM_WRITE, NotifyAction::MODIFIED_STREAM),
                    StreamChange::Resized => (Filter::STREAM_SIZE, NotifyAction::MODIFIED_STREAM),
                };
                self.report(&path, &format!(":{name}"), filter, action);
            }
            // Nothing that a listing shows.
            Kind::Opened => {}
            Kind::Lost => {
                for o in self.opens.iter_mut().filter(|o| !o.gone) {
                    let above = at_or_beneath(&path, &o.path);
                    let within = at_or_beneath(&o.path, &path);
                    if let Some(watch) = &mut o.watch
                        && (within || above && watch.recursive)
                    {
                        watch.lost = true;
                        watch.events.clear();
                    }
                }
            }
        }
        self.flush(&mut effects);
        effects
    }

    /// Nobody knows the old name.
    fn is_late(&self, change: &Change, path: &str, to: &str) -> bool {
        let mut there = self.opens.iter().filter(|o| !o.gone);
        change.author == change::Author::Outside
            && there.clone().any(|o| o.path == to)
            && !there.any(|o| at_or_beneath(&o.path, path))
    }

    fn removed(&mut self, path: &str, name: Filter, effects: &mut Vec<Effect>) {
        for o in self.opens.iter_mut().filter(|o| !o.gone && at_or_beneath(&o.path, path)) {
            end(o, NtStatus::DELETE_PENDING, effects);
            o.gone = true;
        }
        self.report(path, "", name, NotifyAction::REMOVED);
        self.flush(effects);
    }

    fn report(&mut self, path: &str, suffix: &str, filter: Filter, action: NotifyAction) {
        self.report_unless(path, suffix, filter, Filter::empty(), action);
    }

    fn report_unless(
        &mut self,
        path: &str,
        suffix: &str,
        filter: Filter,
        unless: Filter,
        action: NotifyAction,
    ) {
        for o in self.opens.iter_mut().filter(|o| !o.gone) {
            let Some(watch) = &mut o.watch else { continue };
            let relative = if o.path.is_empty() {
                path
            } else {
                match path.strip_prefix(&format!("{}/", o.path)) {
                    Some(relative) => relative,
                    None => continue,
                }
            };
            let interested = watch.filter.intersects(filter) && !watch.filter.intersects(unless);
            if !interested || relative.contains('/') && !watch.recursive || watch.lost {
                continue;
            }
            let event = NotifyEvent { action, name: relative.replace('/', "\\") + suffix };
            if action == NotifyAction::MODIFIED && watch.events.last() == Some(&event) {
                continue;
            }
            watch.events.push(event);
            if encoded(&watch.events) > watch.limit {
                watch.events.clear();
                watch.lost = true;
            }
        }
    }

    fn flush(&mut self, effects: &mut Vec<Effect>) {
        for watch in self.opens.iter_mut().filter_map(|o| o.watch.as_mut()) {
            while let Some(&(waiter, buffer)) = watch.waiters.front() {
                let Some(answer) = watch.take(buffer) else { break };
                watch.waiters.pop_front();
                effects.push(effect(waiter, answer));
            }
        }
    }
}

fn at_or_beneath(path: &str, dir: &str) -> bool {
    dir.is_empty() || path == dir || path.starts_with(&format!("{dir}/"))
}

fn random_change(rng: &mut Rng) -> Change {
    let path = rng.pick(&PATHS);
    let directory = !path.ends_with('x') && !path.ends_with("file");
    let kind = match rng.below(17) {
        0..=3 => Kind::Created,
        4 => Kind::Removed,
        5 | 6 => {
            let to = rng.pick(&PATHS);
            if to.starts_with(path) || path.starts_with(to) {
                Kind::Created
            } else {
                Kind::Renamed { to: RelPath::new(to), replaced: rng.one_in(3).then(|| RelPath::new(to)) }
            }
        }
        7..=12 => Kind::Modified(Facets::from_bits_truncate(rng.next() as u32 & rng.next() as u32)),
        13 | 14 => Kind::Stream {
            name: "s".to_owned(),
            what: rng.pick(&[
                StreamChange::Added,
                StreamChange::Removed,
                StreamChange::Written,
                StreamChange::Resized,
            ]),
        },
        15 => Kind::Opened,
        _ => Kind::Lost,
    };
    Change::new(kind, RelPath::new(path), directory)
}
