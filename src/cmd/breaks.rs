//! Telling the holder of an oplock or a lease that it was broken (MS-SMB2 3.3.4.6, 3.3.4.7): on one of his connections,
//! and on another if that one is lost or silent.

use super::overdue::Overdue;
use super::{Gate, close, effects, reply};
use crate::conn::Connection;
use crate::fsa::LeaseId;
use crate::session::open::{Break, Breaks, Notice, Unheard};
use crate::session::{Lease, Open, Session};
use crate::sys::socket::unacknowledged;
use crate::types::{ConnId, LeaseState, MessageId, SessionId};
use crate::wire::header::{Command, Header};
use crate::wire::oplock_break::OplockBreak;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A client has this long to answer a break (MS-SMB2 3.3.2.1).
const TIMEOUT: Duration = Duration::from_secs(35);
/// With more than one connection, TCP has this long to deliver it on one of them.
const SILENCE: Duration = Duration::from_secs(2);

/// A directory's lease that is neither given up nor closed is asked for again after this, as often as it fits into the above:
/// Linux takes no notice of a break that comes before it has noted the lease down (`has_lease` in cached_dir.c; mended in
/// 6.1.191), and would believe that listing for good. Nobody else takes as long, and who is told twice answers twice.
const AGAIN: Duration = Duration::from_secs(1);
const TIMES: u64 = TIMEOUT.as_secs() - 1;

/// Whose rights are broken.
#[derive(Clone, Debug)]
enum Holder {
    /// Of an oplock.
    Open(Arc<Open>),
    Lease(Arc<Lease>),
}

/// Where he can be told something now.
struct Channel {
    conn: Arc<Connection>,
    /// The others.
    more: bool,
    /// Whose keys seal what is sent there, if anything has to be sealed.
    seal: Option<Arc<Session>>,
}

impl Holder {
    fn breaks(&self) -> &Breaks {
        match self {
            Holder::Open(open) => &open.breaks,
            Holder::Lease(lease) => &lease.breaks,
        }
    }

    fn opens(&self, gate: &Gate) -> Vec<Arc<Open>> {
        match self {
            Holder::Open(open) => vec![Arc::clone(open)],
            Holder::Lease(lease) => lease.opens(&gate.opens),
        }
    }

    fn is_directory(&self, gate: &Gate) -> bool {
        self.opens(gate).first().is_some_and(|open| open.file().is_some_and(|file| file.directory))
    }

    /// He does not answer.
    fn give_up(&self, gate: &Arc<Gate>) {
        let effects = match self {
            Holder::Open(open) => {
                let Some(disk) = open.share().disk() else { return };
                disk.area.rules.lock().break_unanswered(open.open_id(), disk.area.now())
            }
            Holder::Lease(lease) => lease.area.rules.lock().lease_unanswered(lease.id, lease.area.now()),
        };
        effects::carry_out(gate, effects);
        self.opens(gate).iter().for_each(|open| gate.keeper.changed(open));
    }

    /// He is away, and his handles are persistent: when he is back he gets what he had, and then the break. Linux 6.1 sends the
    /// locks that it kept to itself under a lease when that is broken, and not if it only finds it gone.
    fn put_off(&self, gate: &Gate) {
        let Holder::Lease(lease) = self else { return };
        for open in self.opens(gate).iter().filter(|open| open.session() == SessionId(0)) {
            let leased = lease.area.rules.lock().lease_of(open.open_id());
            if let (Some(leased), Some(durability)) = (leased, open.durability.get()) {
                durability.taken.fetch_or(leased.state.bits(), Ordering::SeqCst);
                durability.outdated.store(true, Ordering::SeqCst);
            }
        }
    }

    /// An oplock is the session's of its open, and any of its channels will do. A lease is the client's, and any of its
    /// connections will do, the oldest first as with Windows, unless what is said has to be sealed.
    fn channels(&self, gate: &Gate) -> Vec<Channel> {
        let mut conns = Vec::new();
        let mut seal = None;
        let mut reachable = false;
        for open in self.opens(gate) {
            let Some(session) = gate.sessions.get(open.session()) else { continue };
            reachable = true;
            let sealed = session.security().is_some_and(|s| s.encrypt || open.tree.encrypt);
            if sealed || matches!(self, Holder::Open(_)) {
                conns = session.conns();
                seal = sealed.then_some(session);
                break;
            }
        }
        // A client that is back and has not asked for its handles does not know what is broken.
        if let (Holder::Lease(lease), true) = (self, reachable && conns.is_empty()) {
            conns = gate.conns_of(lease.id.client);
        }
        let alive: Vec<_> = conns.into_iter().filter_map(|id| alive(gate, id)).collect();
        let more = alive.len() > 1;
        alive.into_iter().map(|conn| Channel { conn, more, seal: seal.clone() }).collect()
    }
}

/// The client knows of the open: what was broken meanwhile is told now.
pub fn announced(gate: &Arc<Gate>, open: &Arc<Open>) {
    for due in open.breaks.announced() {
        send(gate, &Holder::Open(Arc::clone(open)), due, None);
    }
    if let Some(lease) = open.lease.get() {
        for due in lease.breaks.announced() {
            send(gate, &Holder::Lease(Arc::clone(lease)), due, None);
        }
    }
}

/// A connection is lost that its session outlives: what was sent there and may not have arrived goes to another.
pub fn told_again(gate: &Arc<Gate>, session: &Session, lost: ConnId) {
    for open in session.opens().into_iter().filter_map(|id| gate.opens.get(id)) {
        if let Some(unheard) = open.breaks.unheard(lost) {
            send(gate, &Holder::Open(open), unheard.what, Some(unheard));
        }
    }
}

/// The same for the leases of the client whose connection it was.
pub fn leases_told_again(gate: &Arc<Gate>, lost: &Connection) {
    let Some(negotiated) = lost.negotiated.get() else { return };
    for lease in gate.leases.of(negotiated.client_guid) {
        if let Some(unheard) = lease.breaks.unheard(lost.id) {
            send(gate, &Holder::Lease(lease), unheard.what, Some(unheard));
        }
    }
}

/// Tells of a break for the first time, unless the client is about to learn of what is broken.
pub fn oplock(gate: &Arc<Gate>, open: &Arc<Open>, due: Break) {
    gate.keeper.changed(open);
    if let Some(due) = open.breaks.due(due) {
        send(gate, &Holder::Open(Arc::clone(open)), due, None);
    }
}

/// The same of a lease.
pub fn lease(gate: &Arc<Gate>, id: LeaseId, due: Break) {
    // Else its last open is being closed.
    let Some(lease) = gate.leases.get(id) else { return };
    if let Notice::Lease(told) = due.notice
        && !told.new_lease_state.contains(LeaseState::HANDLE)
    {
        // Handles that wait for the client were kept by that. (Those that he has yet to be told of wait without.)
        for open in lease.opens(&gate.opens).iter().filter(|open| !open.is_outdated()) {
            close::give_way(gate, open);
        }
    }
    lease.opens(&gate.opens).iter().for_each(|open| gate.keeper.changed(open));
    if let Some(due) = lease.breaks.due(due) {
        send(gate, &Holder::Lease(lease), due, None);
    }
}

/// A handle that waits for its client stands in nobody's way: it is closed, or if it is persistent what it cached ends.
fn send(gate: &Arc<Gate>, holder: &Holder, due: Break, mut before: Option<Unheard>) {
    let first = before.is_none();
    while let Some(channel) = holder.channels(gate).into_iter().next() {
        let serial = transmit(holder, &channel, due, before);
        // Whoever ends the connection sees that it was sent there, unless it had ended before.
        if channel.conn.is_ended() {
            before = holder.breaks().unheard(channel.conn.id);
            if before.is_some() {
                continue;
            }
        }
        if due.acknowledge && first {
            expect_answer(gate, holder, serial);
            if holder.is_directory(gate) {
                ask_again(gate, Told::new(holder, serial), TIMES);
            }
        }
        if channel.more {
            expect_delivery(gate, holder, &channel.conn, serial);
        }
        return;
    }
    let opens = holder.opens(gate);
    if opens.iter().filter(|open| close::give_way(gate, open)).count() > 0 {
        // With the last of them the right ends.
    } else if holder.breaks().due(due).is_none() {
        // Its client is coming back this moment, and is told after the answer.
    } else if !holder.channels(gate).is_empty() {
        send(gate, holder, due, before);
    } else if let (true, Some(session)) =
        (due.acknowledge, opens.iter().find_map(|open| gate.sessions.get(open.session())))
    {
        // Its last connection is lost this moment: an open that is being broken ends with it.
        let serial = holder.breaks().sent(session.conn, due, before);
        expect_answer(gate, holder, serial);
    } else if due.acknowledge {
        holder.put_off(gate);
        holder.give_up(gate);
    }
}

/// The number that this break goes by.
fn transmit(holder: &Holder, channel: &Channel, due: Break, before: Option<Unheard>) -> u64 {
    let serial = holder.breaks().sent(channel.conn.id, due, before);
    say(holder, channel, due);
    serial
}

fn say(holder: &Holder, channel: &Channel, due: Break) {
    let header =
        Header { command: Command::OPLOCK_BREAK, message_id: MessageId(u64::MAX), ..Header::default() };
    let sealing = channel.seal.as_ref().and_then(|session| Some((session.id, session.security()?)));
    let body = |w: &mut crate::wire::codec::Writer<'_>| match (due.notice, holder) {
        (Notice::Lease(message), _) => message.encode(w),
        (Notice::Oplock(oplock_level), Holder::Open(open)) => {
            OplockBreak { oplock_level, file_id: open.id }.encode(w);
        }
        (Notice::Oplock(_), Holder::Lease(_)) => unreachable!("leases are not told of levels"),
    };
    channel.conn.send(reply::single(&header, body, None, sealing));
}

fn alive(gate: &Gate, id: ConnId) -> Option<Arc<Connection>> {
    gate.conn(id).filter(|conn| !conn.is_ended())
}

/// Breaks that were sent.
pub struct Pending {
    answers: Overdue<Told>,
    deliveries: Overdue<(Told, Weak<Connection>)>,
    /// And how often they may still be told.
    again: Overdue<(Told, u64)>,
}

impl Default for Pending {
    fn default() -> Pending {
        Pending {
            answers: Overdue::new(TIMEOUT),
            deliveries: Overdue::new(SILENCE),
            again: Overdue::new(AGAIN),
        }
    }
}

/// Who was told, and the number of the break. He is not held on to: the key of a lease that ends is free again.
struct Told {
    holder: WeakHolder,
    serial: u64,
}

enum WeakHolder {
    Open(Weak<Open>),
    Lease(Weak<Lease>),
}

impl Told {
    fn new(holder: &Holder, serial: u64) -> Told {
        let holder = match holder {
            Holder::Open(open) => WeakHolder::Open(Arc::downgrade(open)),
            Holder::Lease(lease) => WeakHolder::Lease(Arc::downgrade(lease)),
        };
        Told { holder, serial }
    }

    /// Whose break it is, if he is still there and has not answered.
    fn waited_for(&self) -> Option<Holder> {
        let holder = match &self.holder {
            WeakHolder::Open(open) => open.upgrade().map(Holder::Open),
            WeakHolder::Lease(lease) => lease.upgrade().map(Holder::Lease),
        };
        holder.filter(|holder| holder.breaks().is_waited_for(self.serial))
    }
}

/// The right ends if the client does not answer in time, on whatever connection he was told.
fn expect_answer(gate: &Arc<Gate>, holder: &Holder, serial: u64) {
    let matters = |told: &Told| told.waited_for().is_some();
    Overdue::put(
        gate,
        |gate| &gate.breaks.answers,
        Told::new(holder, serial),
        matters,
        |gate, told| {
            if let Some(holder) = told.waited_for() {
                holder.give_up(gate);
            }
        },
    );
}

fn ask_again(gate: &Arc<Gate>, told: Told, times: u64) {
    Overdue::put(
        gate,
        |gate| &gate.breaks.again,
        (told, times),
        |(told, _)| told.waited_for().is_some(),
        |gate, (told, times)| {
            let Some(holder) = told.waited_for() else { return };
            if let Some((on, what)) = holder.breaks().told(told.serial)
                && let Some(channel) = holder.channels(gate).into_iter().find(|channel| channel.conn.id == on)
            {
                log::debug!("{}: a listing was not given up; asked again", channel.conn.peer);
                say(&holder, &channel, what);
            }
            if times > 1 {
                ask_again(gate, told, times - 1);
            }
        },
    );
}

/// What the client's side does not acknowledge on one connection is sent on the next, until there is none.
fn expect_delivery(gate: &Arc<Gate>, holder: &Holder, conn: &Arc<Connection>, serial: u64) {
    let sent = (Told::new(holder, serial), Arc::downgrade(conn));
    let matters =
        |(told, conn): &(Told, Weak<Connection>)| conn.strong_count() > 0 && told.waited_for().is_some();
    Overdue::put(
        gate,
        |gate| &gate.breaks.deliveries,
        sent,
        matters,
        |gate, (told, conn)| {
            // With a connection that is lost, it goes to another anyway.
            let (Some(holder), Some(conn)) = (told.waited_for(), conn.upgrade()) else { return };
            deliver(gate, &holder, &conn, told.serial);
        },
    );
}

fn deliver(gate: &Arc<Gate>, holder: &Holder, conn: &Connection, serial: u64) {
    if !holder.breaks().is_on(conn.id, serial) || unacknowledged(&conn.stream).is_ok_and(|n| n == 0) {
        return;
    }
    let behind = holder.channels(gate).into_iter().skip_while(|c| c.conn.id != conn.id).skip(1);
    let Some(next) = behind.into_iter().next() else { return };
    let Some(unheard) = holder.breaks().unheard(conn.id) else { return };
    log::info!("{}: silent; a break goes by {}", conn.peer, next.conn.peer);
    transmit(holder, &next, unheard.what, Some(unheard));
    if !next.conn.is_ended() {
        expect_delivery(gate, holder, &next.conn, serial);
    } else if let Some(unheard) = holder.breaks().unheard(next.conn.id) {
        send(gate, holder, unheard.what, Some(unheard));
    }
}
