//! Leases: several clients with several keys each, on two files and the directory they are in, against a model that goes
//! through all of them each time. Outside changes, acknowledgments that are wrong, late or lost.
//!
//! Beside what model and rules both say, two things hold after every step: nobody has a right that excludes another's; and
//! whatever was changed, everybody else who had it cached has been told.

use std::collections::BTreeMap;

use smbgate::fsa::change::{self, Change, Facets};
use smbgate::fsa::{Effect, LeaseAsk, LeaseId, Moment, OpenAsk, Opening, RelPath, Tree, WaiterId, Way};
use smbgate::types::{
    AccessMask, Guid, LeaseKey, LeaseState, NodeKey, NtStatus, OpenId, OplockLevel, ShareAccess,
};

use crate::driver::{self, Rng, same};

const NOW: Moment = Moment(std::time::Duration::ZERO);
const R: LeaseState = LeaseState::READ;
const H: LeaseState = LeaseState::HANDLE;
const W: LeaseState = LeaseState::WRITE;
const NONE: LeaseState = LeaseState::empty();
const ALL: LeaseState = R.union(H).union(W);
/// Files 0 and 1 are in directory 2.
const DIRECTORY: u64 = 2;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum How {
    Look,
    Read,
    /// Refuses everybody else.
    Alone,
    Overwrite,
}

#[derive(Clone, Debug)]
pub enum Step {
    Open {
        id: u64,
        file: u64,
        how: How,
        lease: Option<(u8, u8)>,
        parent: Option<u8>,
        version2: bool,
        wanted: LeaseState,
    },
    Oplock {
        id: u64,
        file: u64,
        level: OplockLevel,
    },
    Close(u64),
    Write(u64),
    Lock(u64),
    /// Renamed, or about to be deleted.
    Move(u64),
    /// The right answer, less some rights; or any.
    Acknowledge {
        client: u8,
        key: u8,
        of: LeaseState,
        right: bool,
    },
    AcknowledgeOplock(u64),
    Late(u8, u8),
    OutsideWrite(u64),
    OutsideOpen(u64),
    OutsideTouch(u64),
    OutsideEntry(bool),
    Lost,
}

#[derive(Clone, Debug)]
struct Held {
    file: u64,
    state: LeaseState,
    breaking: Option<(LeaseState, LeaseState)>,
    version2: bool,
    epoch: u16,
}

#[derive(Clone, Debug)]
struct Open {
    file: u64,
    lease: Option<LeaseId>,
    parent: Option<LeaseId>,
    /// Of its oplock.
    level: LeaseState,
    oplock_breaks_to: Option<LeaseState>,
    alone: bool,
    reads: bool,
    wrote: bool,
}

pub struct World {
    tree: Tree,
    opens: BTreeMap<u64, Open>,
    leases: BTreeMap<LeaseId, Held>,
    waiting: BTreeMap<u64, u64>,
    next_waiter: u64,
}

fn id_of(client: u8, key: u8) -> LeaseId {
    LeaseId { client: Guid([client; 16]), key: LeaseKey([key; 16]) }
}

fn path(file: u64) -> RelPath {
    RelPath::new(if file == DIRECTORY { "d".to_owned() } else { format!("d/f{file}") })
}

fn node(file: u64) -> NodeKey {
    NodeKey { dev: 1, ino: file + 10 }
}

fn kept(state: LeaseState, taken: LeaseState) -> LeaseState {
    let left = state & !taken;
    if left.contains(R) { left } else { NONE }
}

/// What was told in this step: of leases, and of oplocks.
type Told = Vec<String>;

impl driver::World for World {
    type Step = Step;

    fn new() -> World {
        World {
            tree: Tree::new(),
            opens: BTreeMap::new(),
            leases: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_waiter: 100,
        }
    }

    fn random(rng: &mut Rng) -> Step {
        let id = rng.below(7);
        let file = rng.pick(&[0, 0, 0, 1, DIRECTORY, DIRECTORY]);
        let (client, key) = (rng.below(2) as u8, rng.below(3) as u8);
        let any = |rng: &mut Rng| LeaseState::from_bits_retain(rng.below(8) as u32);
        match rng.below(24) {
            0..8 => Step::Open {
                id,
                file,
                how: rng.pick(&[How::Look, How::Read, How::Read, How::Read, How::Alone, How::Overwrite]),
                lease: (!rng.one_in(4)).then_some((client, key)),
                parent: rng.one_in(2).then(|| rng.below(3) as u8),
                version2: !rng.one_in(3),
                wanted: if rng.one_in(3) { any(rng) } else { ALL },
            },
            8 => {
                let level = rng.pick(&[OplockLevel::LEVEL_II, OplockLevel::EXCLUSIVE, OplockLevel::BATCH]);
                Step::Oplock { id, file, level }
            }
            9 | 10 => Step::Close(id),
            11 | 12 => Step::Write(id),
            13 => Step::Lock(id),
            14 | 15 => Step::Move(id),
            16 | 17 => Step::Acknowledge { client, key, of: any(rng), right: !rng.one_in(4) },
            18 => Step::AcknowledgeOplock(id),
            19 => Step::Late(client, key),
            20 => Step::OutsideWrite(rng.below(2)),
            21 => Step::OutsideOpen(rng.below(2)),
            22 if rng.one_in(4) => Step::Lost,
            22 => Step::OutsideTouch(rng.below(2)),
            _ => Step::OutsideEntry(rng.one_in(2)),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Open { id, file, how, lease, parent, version2, wanted } => {
                let lease = lease.map(|(client, key)| id_of(client, key));
                let parent = lease.and_then(|lease| Some(LeaseId { key: LeaseKey([parent?; 16]), ..lease }));
                self.open(id, file, how, lease, parent, version2, Ask::Lease(wanted))?;
            }
            Step::Oplock { id, file, level } => {
                self.open(id, file, How::Read, None, None, false, Ask::Oplock(level))?
            }
            Step::Close(id) => self.close(id)?,
            Step::Write(id) => {
                if let Some(open) = self.opens.get(&id).cloned().filter(|o| o.reads && o.file != DIRECTORY) {
                    let change = Change::modified(path(open.file), false, Facets::WRITTEN).by(OpenId(id));
                    let effects = change::apply(&mut self.tree, &change.of(node(open.file)), NOW);
                    self.opens.get_mut(&id).expect("it is there").wrote = true;
                    let mut told = Told::new();
                    self.take_read(open.file, open.lease, Some(id), &mut told);
                    self.told("write", effects, told)?;
                    self.nobody_else_reads(open.file, open.lease)?;
                }
            }
            Step::Lock(id) => {
                if let Some(open) = self.opens.get(&id).cloned().filter(|o| o.file != DIRECTORY) {
                    let effects = self.tree.break_for_lock(OpenId(id));
                    let mut told = Told::new();
                    self.take_read(open.file, open.lease, Some(id), &mut told);
                    self.told("lock", effects, told)?;
                }
            }
            Step::Move(id) => self.clear(id)?,
            Step::Acknowledge { client, key, of, right } => {
                self.acknowledge(id_of(client, key), of, right)?
            }
            Step::AcknowledgeOplock(id) => {
                let to = self.opens.get_mut(&id).and_then(|open| open.oplock_breaks_to.take());
                let Some(to) = to else { return Ok(()) };
                let level = if to.contains(R) { OplockLevel::LEVEL_II } else { OplockLevel::NONE };
                let (answer, effects) = self.tree.acknowledge_break(OpenId(id), level, NOW);
                let open = self.opens.get_mut(&id).expect("it is there");
                open.level = to;
                let file = open.file;
                same("acknowledged", answer, Ok(level))?;
                self.woken(file, effects)?;
            }
            Step::Late(client, key) => {
                let id = id_of(client, key);
                let effects = self.tree.lease_unanswered(id, NOW);
                let Some(held) = self.leases.get_mut(&id).filter(|h| h.breaking.is_some()) else {
                    return same("late", effects, vec![]);
                };
                (held.breaking, held.state) = (None, NONE);
                let file = held.file;
                self.woken(file, effects)?;
            }
            Step::OutsideWrite(file) => {
                let change = Change::modified(path(file), false, Facets::WRITTEN).of(node(file));
                self.outside(&change, file, true)?;
            }
            Step::OutsideTouch(file) => {
                let change = Change::modified(path(file), false, Facets::ATTRIBUTES).of(node(file));
                self.outside(&change, file, true)?;
            }
            Step::OutsideOpen(file) => {
                let change = Change::new(change::Kind::Opened, path(file), false).of(node(file));
                let effects = change::apply(&mut self.tree, &change, NOW);
                let mut told = Told::new();
                self.take(file, W, None, &mut told);
                self.told("opened outside", effects, told)?;
            }
            Step::OutsideEntry(created) => {
                let new = RelPath::new("d/new");
                let change = if created { Change::created(new, false) } else { Change::removed(new, false) };
                let effects = change::apply(&mut self.tree, &change, NOW);
                let mut told = Told::new();
                self.take(DIRECTORY, ALL, None, &mut told);
                self.told("entry", effects, told)?;
                self.nobody_else_reads(DIRECTORY, None)?;
            }
            Step::Lost => {
                let effects = change::apply(
                    &mut self.tree,
                    &Change::new(change::Kind::Lost, path(DIRECTORY), true),
                    NOW,
                );
                let mut told = Told::new();
                for file in [DIRECTORY, 0, 1] {
                    self.take(file, ALL, None, &mut told);
                }
                self.told("lost", effects, told)?;
                for file in [0, 1, DIRECTORY] {
                    self.nobody_else_reads(file, None)?;
                }
            }
        }
        self.invariants()
    }
}

/// What an open asks for beside itself.
enum Ask {
    Lease(LeaseState),
    Oplock(OplockLevel),
}

impl World {
    #[expect(clippy::too_many_arguments, reason = "one step's parts")]
    fn open(
        &mut self,
        id: u64,
        file: u64,
        how: How,
        lease: Option<LeaseId>,
        parent: Option<LeaseId>,
        version2: bool,
        wanted: Ask,
    ) -> Result<(), String> {
        let elsewhere =
            lease.is_some_and(|lease| self.leases.get(&lease).is_some_and(|held| held.file != file));
        if let Some(lease) = lease {
            same("elsewhere", self.tree.lease_is_elsewhere(lease, Some(node(file)), None), elsewhere)?;
        }
        if self.opens.contains_key(&id) || elsewhere || (how == How::Overwrite && file == DIRECTORY) {
            return Ok(());
        }
        self.next_waiter += 1;
        let waiter = self.next_waiter;
        let reads = how != How::Look;
        let ask = OpenAsk {
            directory: file == DIRECTORY,
            access: if reads { AccessMask::READ_DATA } else { AccessMask::READ_ATTRIBUTES },
            implied: if how == How::Overwrite { AccessMask::WRITE_DATA } else { AccessMask::empty() },
            share: if how == How::Alone { ShareAccess::empty() } else { ShareAccess::from_bits_retain(7) },
            lease: lease.map(|id| LeaseAsk { id, version2, epoch: 7, parent: parent.map(|p| p.key) }),
            waiter: Some(WaiterId(waiter)),
            ..OpenAsk::new(OpenId(id), node(file), path(file))
        };
        // Pair by pair: what is in the way, and is it waited for?
        let refused =
            reads && self.opens.values().any(|o| o.file == file && o.reads && (o.alone || how == How::Alone));
        let overwrites = how == How::Overwrite;
        let taken = if refused {
            H
        } else if overwrites {
            ALL
        } else {
            W
        };
        let waits_for = if refused { H } else { W };
        let harmless = !reads && !overwrites;
        let mut told = Told::new();
        let mut waits = false;
        for (lease_id, held) in self.leases.iter_mut().filter(|(_, held)| held.file == file) {
            if !harmless && Some(*lease_id) != lease && held.state.intersects(waits_for) {
                waits = true;
                told.extend(take_lease(*lease_id, held, taken));
            }
        }
        for (other, open) in self.opens.iter_mut().filter(|(_, o)| o.file == file) {
            if !harmless && open.level.intersects(waits_for) {
                waits = true;
                told.extend(take_oplock(*other, open, if overwrites { ALL } else { taken }));
            }
        }
        same("must wait", self.tree.must_wait(&ask), waits)?;
        match (self.tree.open(ask, NOW), waits, refused) {
            (Opening::Wait(effects), true, _) => {
                self.waiting.insert(waiter, file);
                return self.told("open waits", effects, told);
            }
            (Opening::Refused(NtStatus::SHARING_VIOLATION), false, true) => return Ok(()),
            (Opening::Granted(effects), false, false) => {
                if overwrites {
                    self.take(file, ALL, lease, &mut told);
                }
                self.told("open", effects, told)?;
            }
            (other, ..) => {
                return Err(format!("open: {other:?}, should wait: {waits}, be refused: {refused}"));
            }
        }
        if let Some(lease) = lease {
            let fresh = Held { file, state: NONE, breaking: None, version2, epoch: 7 };
            self.leases.entry(lease).or_insert(fresh);
        }
        let alone = how == How::Alone;
        self.opens.insert(
            id,
            Open { file, lease, parent, level: NONE, oplock_breaks_to: None, alone, reads, wrote: false },
        );
        match wanted {
            Ask::Lease(wanted) => self.request(id, wanted),
            Ask::Oplock(level) => self.request_oplock(id, level),
        }
    }

    fn request(&mut self, id: u64, wanted: LeaseState) -> Result<(), String> {
        let open = self.opens[&id].clone();
        let real = self.tree.request_lease(OpenId(id), wanted, NOW);
        let Some(lease) = open.lease else { return same("no lease", real, None) };
        let wanted = if open.file == DIRECTORY { wanted & !W } else { wanted };
        let wanted = kept(wanted, NONE);
        let others: Vec<_> =
            self.opens.values().filter(|o| o.file == open.file && o.lease != open.lease).collect();
        let mut can = if others.is_empty() { wanted } else { wanted & !W };
        if others.iter().any(|o| !o.level.is_empty()) {
            can &= !H;
        }
        let writer = others.iter().any(|o| o.level.contains(W))
            || self.leases.iter().any(|(id, h)| *id != lease && h.file == open.file && h.state.contains(W));
        if writer {
            // Whoever only looks does not disturb him, and gets nothing.
            can = NONE;
        }
        let held = self.leases.get_mut(&lease).expect("it was entered");
        let old = held.state;
        let new = if held.breaking.is_some() || wanted == old || !wanted.contains(old) {
            old
        } else if old.is_empty() || can == wanted {
            can
        } else {
            old
        };
        if new != old {
            (held.state, held.epoch) = (new, held.epoch.wrapping_add(1));
        }
        let real = real.ok_or("the lease is not known")?;
        same("lease", (real.state, real.breaking), (held.state, held.breaking.is_some()))?;
        same(
            "version and epoch",
            (real.version2, real.epoch),
            (held.version2, if held.version2 { held.epoch } else { 0 }),
        )
    }

    fn request_oplock(&mut self, id: u64, level: OplockLevel) -> Result<(), String> {
        let file = self.opens[&id].file;
        let real = self.tree.request_oplock(OpenId(id), level, NOW);
        let alone = self.opens.values().filter(|o| o.file == file).count() == 1;
        let mut states = self.leases.values().filter(|h| h.file == file).map(|h| h.state);
        let strong = states.any(|state| state.intersects(H | W))
            || self.opens.values().any(|o| o.file == file && o.level.contains(W));
        let should = if file == DIRECTORY {
            OplockLevel::NONE
        } else if alone {
            level
        } else if strong {
            OplockLevel::NONE
        } else {
            OplockLevel::LEVEL_II
        };
        self.opens.get_mut(&id).expect("it was opened").level = match should {
            OplockLevel::BATCH => ALL,
            OplockLevel::EXCLUSIVE => R | W,
            OplockLevel::LEVEL_II => R,
            _ => NONE,
        };
        same("oplock", real, should)
    }

    fn close(&mut self, id: u64) -> Result<(), String> {
        let effects = self.tree.close(OpenId(id), false, NOW).effects;
        let Some(open) = self.opens.remove(&id) else { return same("close", effects, vec![]) };
        if let Some(lease) = open.lease
            && !self.opens.values().any(|o| o.lease == Some(lease))
        {
            self.leases.remove(&lease);
        }
        let mut told = Told::new();
        if open.wrote {
            self.take(DIRECTORY, ALL, open.parent, &mut told);
        }
        let (woken, breaks): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|e| matches!(e, Effect::Open { .. }));
        self.told("close", breaks, told)?;
        // Who waits for something else is asked again when that is over.
        for effect in &woken {
            let Effect::Open { waiter, .. } = effect else { continue };
            same("woken waits", self.waiting.remove(&waiter.0), Some(open.file))?;
        }
        Ok(())
    }

    fn clear(&mut self, id: u64) -> Result<(), String> {
        let Some(open) = self.opens.get(&id).cloned() else { return Ok(()) };
        let beneath = open.file == DIRECTORY;
        let way = Way { open: OpenId(id), target: None, beneath };
        self.next_waiter += 1;
        let mut told = Told::new();
        let mut waits = false;
        let concerned = |file: u64| file == open.file || beneath;
        for (lease, held) in self.leases.iter_mut().filter(|(_, held)| concerned(held.file)) {
            if Some(*lease) != open.lease && held.state.contains(H) {
                waits = true;
                told.extend(take_lease(*lease, held, H));
            }
        }
        for (other, held) in self.opens.iter_mut().filter(|(_, o)| concerned(o.file)) {
            if *other != id && held.level.contains(H) {
                waits = true;
                told.extend(take_oplock(*other, held, H));
            }
        }
        same("in the way", self.tree.is_in_the_way(&way), waits)?;
        let cleared = self.tree.clear_the_way(&way, WaiterId(self.next_waiter));
        same("cleared", cleared.is_none(), !waits)?;
        let Some(effects) = cleared else { return Ok(()) };
        // Where exactly it waits is the rules' business.
        let cancelled = Effect::Open { waiter: WaiterId(self.next_waiter), status: NtStatus::CANCELLED };
        same("cancelled", self.tree.cancel(WaiterId(self.next_waiter), NOW), vec![cancelled])?;
        self.told("cleared", effects, told)
    }

    fn acknowledge(&mut self, id: LeaseId, of: LeaseState, right: bool) -> Result<(), String> {
        let Some(held) = self.leases.get_mut(&id) else {
            let answer = self.tree.acknowledge_lease(id, of, NOW);
            return same("unknown", answer, Err(NtStatus::OBJECT_NAME_NOT_FOUND));
        };
        let Some((to, required)) = held.breaking else {
            let answer = self.tree.acknowledge_lease(id, of, NOW);
            return same("unasked", answer, Err(NtStatus::UNSUCCESSFUL));
        };
        let state = if right { to & of } else { of };
        let answer = self.tree.acknowledge_lease(id, state, NOW);
        if !to.contains(state) {
            return same("too much", answer, Err(NtStatus::REQUEST_NOT_ACCEPTED));
        }
        let effects = answer.map_err(|status| format!("acknowledge: {status}"))?;
        (held.breaking, held.state) = (None, kept(state, NONE));
        let mut told = Told::new();
        while held.breaking.is_none() && !required.contains(held.state) {
            // READ goes last, by itself.
            let to = if held.state != R && !required.contains(R) { R } else { held.state & required };
            told.push(tell(id, held, to, required));
        }
        let file = held.file;
        let (woken, breaks): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|e| matches!(e, Effect::Open { .. }));
        self.told("acknowledge", breaks, told)?;
        self.woken(file, woken)
    }

    /// All who wait for the file are asked again, once nothing of it is breaking.
    fn woken(&mut self, file: u64, effects: Vec<Effect>) -> Result<(), String> {
        let breaking = self.leases.values().any(|h| h.file == file && h.breaking.is_some())
            || self.opens.values().any(|o| o.file == file && o.oplock_breaks_to.is_some());
        let mut should = Vec::new();
        if !breaking {
            should.extend(self.waiting.iter().filter(|(_, at)| **at == file).map(|(waiter, _)| *waiter));
            self.waiting.retain(|_, at| *at != file);
        }
        let should: Vec<_> = should
            .into_iter()
            .map(|waiter| Effect::Open { waiter: WaiterId(waiter), status: NtStatus::SUCCESS })
            .collect();
        same("woken", effects, should)
    }

    fn take(&mut self, file: u64, taken: LeaseState, except: Option<LeaseId>, told: &mut Told) {
        for (id, held) in
            self.leases.iter_mut().filter(|(id, held)| held.file == file && Some(**id) != except)
        {
            told.extend(take_lease(*id, held, taken));
        }
        for (id, open) in self.opens.iter_mut().filter(|(_, open)| open.file == file) {
            told.extend(take_oplock(*id, open, taken));
        }
    }

    fn take_read(&mut self, file: u64, except: Option<LeaseId>, by: Option<u64>, told: &mut Told) {
        for (id, held) in
            self.leases.iter_mut().filter(|(id, held)| held.file == file && Some(**id) != except)
        {
            told.extend(take_lease(*id, held, ALL));
        }
        for (id, open) in self.opens.iter_mut().filter(|(_, open)| open.file == file) {
            if !(by == Some(*id) && open.level.contains(W)) {
                told.extend(take_oplock(*id, open, ALL));
            }
        }
    }

    fn outside(&mut self, change: &Change, file: u64, data: bool) -> Result<(), String> {
        let effects = change::apply(&mut self.tree, change, NOW);
        let mut told = Told::new();
        if data {
            self.take(file, ALL, None, &mut told);
        }
        self.take(DIRECTORY, ALL, None, &mut told);
        self.told("outside", effects, told)?;
        self.nobody_else_reads(file, None)?;
        self.nobody_else_reads(DIRECTORY, None)
    }

    /// What was told is what the model says, in any order.
    fn told(&self, what: &str, effects: Vec<Effect>, mut told: Told) -> Result<(), String> {
        let mut real: Told = effects.iter().map(|effect| format!("{effect:?}")).collect();
        real.sort();
        told.sort();
        same(what, real, told)
    }

    /// Who had it cached has been told that it is no longer so.
    fn nobody_else_reads(&self, file: u64, author: Option<LeaseId>) -> Result<(), String> {
        for (id, held) in self.leases.iter().filter(|(id, held)| held.file == file && Some(**id) != author) {
            let told = held.breaking.map_or(held.state, |(_, required)| required);
            if told.contains(R) {
                return Err(format!("{id:?} still believes what it has read of {file}"));
            }
        }
        Ok(())
    }

    fn invariants(&self) -> Result<(), String> {
        let open_of =
            |id: LeaseId| self.opens.iter().find(|(_, o)| o.lease == Some(id)).map(|(open, _)| *open);
        let mut rights = Vec::new();
        for (id, held) in &self.leases {
            let open = open_of(*id).ok_or("a lease without opens")?;
            let real = self.tree.lease_of(OpenId(open)).ok_or("a lease that is not known")?;
            same("state", (*id, real.state, real.breaking), (*id, held.state, held.breaking.is_some()))?;
            rights.push((held.file, real.state));
        }
        for (id, open) in &self.opens {
            let level = self.tree.oplock_of(OpenId(*id));
            let state = if level == OplockLevel::NONE { NONE } else { open.level };
            same("oplock held", (*id, state), (*id, open.level))?;
            rights.push((open.file, state));
        }
        for (n, (file, state)) in rights.iter().enumerate() {
            let others = rights.iter().enumerate().filter(|(m, (at, _))| *m != n && at == file);
            if state.contains(W) && others.into_iter().any(|(_, (_, other))| !other.is_empty()) {
                return Err(format!(
                    "file {file}: somebody may write in its cache, and another has it cached"
                ));
            }
        }
        same("opens", self.tree.len(), self.opens.len())
    }
}

/// Told once, until it is answered.
fn take_lease(id: LeaseId, held: &mut Held, taken: LeaseState) -> Option<String> {
    if let Some((_, required)) = &mut held.breaking {
        *required = kept(*required, taken);
        return None;
    }
    let to = if held.state.intersects(taken) { kept(held.state, taken) } else { held.state };
    if to == held.state {
        return None;
    }
    held.epoch = held.epoch.wrapping_add(1);
    Some(tell(id, held, to, to))
}

fn tell(id: LeaseId, held: &mut Held, to: LeaseState, required: LeaseState) -> String {
    let (from, acknowledge) = (held.state, held.state.intersects(W | H));
    if acknowledge {
        held.breaking = Some((to, required));
    } else {
        held.state = to;
    }
    let epoch = if held.version2 { held.epoch } else { 0 };
    format!("{:?}", Effect::BreakLease { id, from, to, acknowledge, epoch })
}

fn take_oplock(id: u64, open: &mut Open, taken: LeaseState) -> Option<String> {
    if open.oplock_breaks_to.is_some() || !open.level.intersects(taken) {
        return None;
    }
    let to = if taken.contains(R) { NONE } else { R };
    let acknowledge = open.level.intersects(W | H);
    if acknowledge {
        open.oplock_breaks_to = Some(to);
    } else {
        open.level = to;
    }
    let level = if to.is_empty() { OplockLevel::NONE } else { OplockLevel::LEVEL_II };
    Some(format!("{:?}", Effect::Break { open: OpenId(id), to: level, acknowledge }))
}
