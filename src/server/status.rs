//! What the server holds, for `smbgate status`.

use super::Server;
use crate::session::{OpenKind, Who};
use crate::view::State;
use crate::watch::Level;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_seconds: u64,
    pub listen: Vec<String>,
    pub connections: Vec<ConnectionStatus>,
    pub sessions: Vec<SessionStatus>,
    pub opens: Vec<OpenStatus>,
    pub shares: Vec<ShareStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionStatus {
    pub id: u64,
    pub peer: String,
    /// None: not negotiated yet.
    pub dialect: Option<String>,
    pub sessions: usize,
    pub since_seconds: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionStatus {
    pub id: u64,
    pub user: String,
    pub peer: String,
    pub dialect: String,
    pub signing: String,
    pub cipher: Option<String>,
    /// Connections that reach it.
    pub channels: usize,
    pub guest: bool,
    /// By whose ticket the user is here.
    pub principal: Option<String>,
    /// How much longer that holds.
    pub ticket_seconds: Option<u64>,
    pub opens: usize,
    pub since_seconds: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenStatus {
    pub id: u64,
    /// Zero: it waits for its client.
    pub session: u64,
    /// How long it would wait for its client. None: it closes with its session.
    pub durable_seconds: Option<u64>,
    /// How much longer it waits.
    pub waits_seconds: Option<u64>,
    /// It is on disk, and yields to nobody while it waits.
    #[serde(default)]
    pub persistent: bool,
    pub user: String,
    pub share: String,
    /// As the client would write it; a pipe's name on IPC$.
    pub path: String,
    /// The granted access, in hex.
    pub access: String,
    pub since_seconds: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShareStatus {
    pub name: String,
    pub path: String,
    pub file_system: String,
    /// `sync`, `async`, `poll` or `none`.
    pub coherence: String,
    pub why: String,
    pub opens: usize,
    pub workers_busy: usize,
    pub workers: usize,
    pub queue: usize,
}

impl Server {
    pub fn status(&self) -> Status {
        let gate = &self.gate;
        let now = Instant::now();
        let since = |then: Instant| now.saturating_duration_since(then).as_secs();
        let sessions = gate.sessions.all();
        let mut connections: Vec<_> = gate
            .conns()
            .iter()
            .map(|c| ConnectionStatus {
                id: c.id.0,
                peer: c.peer.to_string(),
                dialect: c.dialect().map(|d| d.dotted().to_owned()),
                sessions: sessions.iter().filter(|s| s.has_channel(c.id)).count(),
                since_seconds: since(c.since),
            })
            .collect();
        connections.sort_by_key(|c| c.id);
        let mut session_list: Vec<_> = sessions
            .iter()
            .filter_map(|s| {
                let who = s.who()?;
                Some(SessionStatus {
                    id: s.id.0,
                    user: shown(&who),
                    principal: who.principal.clone(),
                    ticket_seconds: who.expires.map(|at| at.saturating_duration_since(now).as_secs()),
                    peer: s.peer.to_string(),
                    dialect: s.origin.dialect.dotted().to_owned(),
                    signing: s.own_signing_key().map_or("none".into(), |k| format!("{:?}", k.algorithm())),
                    cipher: s.origin.cipher.map(|c| format!("{c:?}")),
                    channels: s.conns().len(),
                    guest: who.guest,
                    opens: s.open_count(),
                    since_seconds: since(s.since),
                })
            })
            .collect();
        session_list.sort_by_key(|s| s.id);
        let mut opens: Vec<_> = gate
            .opens
            .all()
            .iter()
            .map(|o| {
                let (path, access) = match (&o.kind, o.share().disk()) {
                    (OpenKind::File(file), Some(disk)) => {
                        let path = disk.area.rules.lock().path_of(o.open_id());
                        (path.map(|p| p.to_string()).unwrap_or_default(), file.access.bits())
                    }
                    (OpenKind::Pipe(pipe), _) => (pipe.name.clone(), 0x12_019F),
                    (OpenKind::File(_), None) => (String::new(), 0),
                };
                OpenStatus {
                    id: o.id.volatile,
                    session: o.session().0,
                    durable_seconds: o
                        .durability
                        .get()
                        .and_then(|d| d.timeout())
                        .map(|timeout| timeout.as_secs()),
                    waits_seconds: gate
                        .durable
                        .waits_until(o)
                        .map(|t| t.saturating_duration_since(now).as_secs()),
                    persistent: o.is_persistent(),
                    user: o.user.clone(),
                    share: o.share().name.clone(),
                    path,
                    access: format!("{access:#x}"),
                    since_seconds: since(o.since),
                }
            })
            .collect();
        opens.sort_by_key(|o| o.id);
        let live = gate.live();
        let mut shares: Vec<_> = live
            .shares
            .values()
            .filter_map(|s| {
                let disk = s.disk()?;
                let load = disk.area.workers.load();
                let (coherence, why) = coherence(&self.views.state(&s.name), &disk.area.watch.status());
                Some(ShareStatus {
                    name: s.name.clone(),
                    path: disk.settings.path.display().to_string(),
                    file_system: disk
                        .area
                        .export_if_open()
                        .map_or("not opened yet".into(), |e| e.facts().fs_type.clone()),
                    coherence,
                    why,
                    opens: s.opens.load(std::sync::atomic::Ordering::Relaxed),
                    workers_busy: load.busy,
                    workers: load.threads,
                    queue: load.queued,
                })
            })
            .collect();
        shares.sort_by_key(|s| s.name.to_lowercase());
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_seconds: since(gate.started),
            listen: gate.listening.lock().iter().map(ToString::to_string).collect(),
            connections,
            sessions: session_list,
            opens,
            shares,
        }
    }
}

/// The level at which changes made outside SMB are seen, and why. A view makes it the best there is, for who uses it.
fn coherence(view: &State, watch: &crate::watch::Status) -> (String, String) {
    let (beside, why) = beside_the_view(watch);
    match view {
        State::None => (beside, why),
        State::Mounted(point) => {
            ("sync".into(), format!("through the local view {}; beside it {beside}: {why}", point.display()))
        }
        State::Failed(trouble) => (beside, format!("{why}; {trouble}")),
    }
}

fn beside_the_view(watch: &crate::watch::Status) -> (String, String) {
    // Not less than it is.
    let poll = |bound: Duration| format!("poll <= {} s", bound.as_millis().div_ceil(100) as f64 / 10.0);
    let level = match watch.level {
        Level::Async => "async".to_owned(),
        Level::Poll(bound) => poll(bound),
        Level::None => "none".to_owned(),
    };
    let mut why: Vec<String> = watch.sources.iter().map(|source| (*source).to_owned()).collect();
    match &watch.trouble {
        Some(trouble) => why.push(trouble.to_string()),
        None => why.push(format!("{} watched", watch.watched)),
    }
    if let Some((count, bound)) = watch.polled {
        why.push(format!("{count} of them on mounts within: {}", poll(bound)));
    }
    if watch.remote && watch.level == Level::Async {
        why.push("what happens elsewhere is not seen".to_owned());
    }
    (level, why.join(", "))
}

fn shown(who: &Who) -> String {
    match (who.guest, who.anonymous) {
        (true, _) => "guest".into(),
        (_, true) => "anonymous".into(),
        _ => who.user.clone(),
    }
}
