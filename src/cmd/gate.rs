//! What the whole server shares: the tables, the settings in force, the shares.

use super::breaks;
use crate::auth::accounts::{Accounts, Nss};
use crate::auth::{self, Identity, Tickets, UserDb, kerberos, throttle::Throttle};
use crate::config::{Encryption, Settings, Signing};
use crate::conn::Connection;
use crate::conn::flight::{self, Flight, Wake};
use crate::durable;
use crate::posix;
use crate::session::instance::Instances;
use crate::session::{ActsAs, Area, Disk, Leases, Opens, Sessions, Share, ShareKind, Workers};
use crate::types::{ConnId, FileTime, Guid};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Instant, SystemTime};

/// What a reload replaces.
#[derive(Clone)]
pub struct Live {
    pub settings: Arc<Settings>,
    /// By lower-case name.
    pub shares: HashMap<String, Arc<Share>>,
    pub auth: Arc<auth::Policy>,
}

pub struct Gate {
    pub guid: Guid,
    pub started: Instant,
    pub started_at: FileTime,
    live: RwLock<Arc<Live>>,
    pub users: Arc<dyn UserDb>,
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Sessions,
    pub opens: Opens,
    pub leases: Leases,
    /// Breaks that clients have been told of.
    pub breaks: breaks::Pending,
    /// As many as the process may have.
    pub open_files: usize,
    /// Clients are being asked for handles that they only keep.
    pub recalling: AtomicBool,
    pub durable: durable::Table,
    /// Has what is durable on disk, too.
    pub keeper: durable::Keeper,
    pub instances: Arc<Instances>,
    /// The addresses that are listened on.
    pub listening: Mutex<Vec<SocketAddr>>,
    conns: RwLock<HashMap<ConnId, Arc<Connection>>>,
    next_conn: AtomicU64,
    /// Who waits for an effect: requests by the id of their flight, threads by one of their own.
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// Account look-ups and authentication.
    pub logons: Workers,
    /// Account look-ups for who shows names: slow ones hold up no logon.
    pub look_ups: Workers,
    pub throttle: Mutex<Throttle>,
    areas: Mutex<Vec<Weak<Area>>>,
    /// Where DOS attributes live when a file system has no xattrs.
    side: Arc<dyn posix::SideStore>,
    umask: u32,
    pub watchdog: Arc<tokio::sync::Notify>,
    pub runtime: tokio::runtime::Handle,
    /// For what begins elsewhere than in a request.
    me: Weak<Gate>,
}

enum Waiting {
    Flight(Arc<Flight>),
    Thread(mpsc::Sender<()>),
}

/// What [`Gate::new`] needs.
pub struct Parts {
    pub settings: Arc<Settings>,
    pub users: Arc<dyn UserDb>,
    pub side: Arc<dyn posix::SideStore>,
    pub handles: Arc<dyn durable::HandleStore>,
    pub umask: u32,
    pub runtime: tokio::runtime::Handle,
}

impl Gate {
    pub fn new(parts: Parts) -> std::io::Result<Arc<Gate>> {
        let mut guid = [0; 16];
        getrandom::fill(&mut guid).map_err(|e| std::io::Error::other(e.to_string()))?;
        let distance = getrandom::u64().map_err(|e| std::io::Error::other(e.to_string()))?;
        let watchdog = Arc::new(tokio::sync::Notify::new());
        let settings = Arc::clone(&parts.settings);
        let keeper = durable::Keeper::new(parts.handles)?;
        let gate = Arc::new_cyclic(|me| Gate {
            guid: Guid(guid),
            started: Instant::now(),
            started_at: now(),
            live: RwLock::new(Arc::new(Live {
                auth: Arc::new(auth::Policy::new(&parts.settings.server.name, Arc::clone(&parts.users))),
                settings: Arc::clone(&parts.settings),
                shares: HashMap::new(),
            })),
            accounts: Arc::new(Nss { users: Arc::clone(&parts.users) }),
            users: parts.users,
            sessions: Sessions::default(),
            opens: Opens::new(distance),
            leases: Leases::default(),
            breaks: breaks::Pending::default(),
            open_files: crate::sys::process::open_files_limit(),
            recalling: AtomicBool::new(false),
            durable: durable::Table::default(),
            keeper,
            instances: Arc::default(),
            listening: Mutex::default(),
            conns: RwLock::default(),
            next_conn: AtomicU64::new(1),
            waiting: Mutex::default(),
            logons: Workers::new("logon", 8, 1024, Arc::clone(&watchdog)),
            look_ups: Workers::new("look-up", 4, 256, Arc::clone(&watchdog)),
            throttle: Mutex::new(Throttle::new()),
            areas: Mutex::default(),
            side: parts.side,
            umask: parts.umask,
            watchdog,
            runtime: parts.runtime,
            me: Weak::clone(me),
        });
        gate.reload(settings);
        Ok(gate)
    }

    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read())
    }

    /// Puts new settings in force. Sessions and opens stay; a share that is gone takes no new connects.
    pub fn reload(&self, settings: Arc<Settings>) {
        let old = self.live();
        let mut shares = HashMap::new();
        let ipc = old.shares.get("ipc$").cloned().unwrap_or_else(|| {
            Arc::new(Share { name: "IPC$".into(), kind: ShareKind::Pipes, opens: AtomicUsize::new(0) })
        });
        shares.insert("ipc$".into(), ipc);
        for wanted in &settings.shares {
            let key = wanted.name.to_lowercase();
            let kept =
                old.shares.get(&key).filter(|s| s.disk().is_some_and(|d| d.settings == *wanted)).cloned();
            let share: Arc<Share> = kept.unwrap_or_else(|| {
                Arc::new(Share {
                    name: wanted.name.clone(),
                    opens: AtomicUsize::new(0),
                    kind: ShareKind::Disk(Box::new(Disk {
                        area: self.area(wanted),
                        acts_as: wanted
                            .owner
                            .as_ref()
                            .map_or(ActsAs::User, |o| owner_identity(&wanted.name, o)),
                        settings: wanted.clone(),
                    })),
                })
            });
            share.disk().inspect(|disk| disk.area.watch.configure(wanted.watch, wanted.poll_interval));
            shares.insert(key, share);
        }
        let auth = Arc::new(auth_policy(&settings, &self.users, &self.accounts));
        *self.live.write() = Arc::new(Live { settings, shares, auth });
    }

    /// The area of a share's path. Two shares of one path and policy have one, so that share modes, locks and
    /// notifications hold across them.
    fn area(&self, share: &crate::config::Share) -> Arc<Area> {
        let policy = posix::Policy {
            symlinks: match share.symlinks {
                crate::config::Symlinks::Inside => posix::Symlinks::Inside,
                crate::config::Symlinks::Never => posix::Symlinks::Never,
                crate::config::Symlinks::Outside => posix::Symlinks::Outside,
            },
            file_mode: share.file_mode,
            dir_mode: share.dir_mode,
            umask: self.umask,
            side: Arc::clone(&self.side),
            acls: share.acls,
            short_names: share.short_names,
            watcher: None,
        };
        let mut areas = self.areas.lock();
        areas.retain(|area| area.strong_count() > 0);
        let same = |area: &Arc<Area>| area.path() == share.path && area.same_policy(&policy);
        if let Some(area) = areas.iter().filter_map(Weak::upgrade).find(same) {
            return area;
        }
        let watchdog = Arc::clone(&self.watchdog);
        let me = Weak::clone(&self.me);
        let carry_out = move |done| {
            if let Some(gate) = me.upgrade() {
                super::effects::carry_out(&gate, done);
            }
        };
        let area =
            Arc::new(Area::new(share.path.clone(), policy, &share.name, watchdog, Box::new(carry_out)));
        areas.push(Arc::downgrade(&area));
        area
    }

    pub fn share(&self, name: &str) -> Option<Arc<Share>> {
        self.live.read().shares.get(&name.to_lowercase()).cloned()
    }

    pub fn new_conn_id(&self) -> ConnId {
        ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed))
    }

    pub fn add_conn(&self, conn: &Arc<Connection>) {
        self.conns.write().insert(conn.id, Arc::clone(conn));
    }

    pub fn remove_conn(&self, id: ConnId) {
        let mut conns = self.conns.write();
        conns.remove(&id);
        if conns.capacity() > 64 && conns.len() < conns.capacity() / 4 {
            conns.shrink_to_fit();
        }
    }

    pub fn conn(&self, id: ConnId) -> Option<Arc<Connection>> {
        self.conns.read().get(&id).cloned()
    }

    pub fn conns(&self) -> Vec<Arc<Connection>> {
        self.conns.read().values().cloned().collect()
    }

    /// Since the start.
    pub fn milliseconds(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The connections of one client, the oldest first.
    pub fn conns_of(&self, client: Guid) -> Vec<ConnId> {
        let conns = self.conns.read();
        let own = |conn: &Connection| conn.negotiated.get().is_some_and(|n| n.client_guid == client);
        let mut ids: Vec<_> = conns.iter().filter(|(_, conn)| own(conn)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub fn conn_count(&self) -> usize {
        self.conns.read().len()
    }

    /// A request is going to wait under its flight's id.
    pub fn wait(&self, flight: &Arc<Flight>) {
        self.waiting.lock().insert(flight.id, Waiting::Flight(Arc::clone(flight)));
    }

    /// A thread is going to wait: the id to wait under, and what hears once that is over.
    pub fn wait_here(&self) -> (u64, mpsc::Receiver<()>) {
        let (id, (tell, hear)) = (flight::new_id(), mpsc::channel());
        self.waiting.lock().insert(id, Waiting::Thread(tell));
        (id, hear)
    }

    /// The wait is over, or there was none.
    pub fn answer(&self, waiter: u64, wake: impl Into<Wake>) {
        let waiting = self.waiting.lock().remove(&waiter);
        match waiting {
            Some(Waiting::Flight(flight)) => flight.resume(wake),
            // Gone: it has given up.
            Some(Waiting::Thread(thread)) => drop(thread.send(())),
            None => {}
        }
    }

    pub fn stop_waiting(&self, waiter: u64) {
        self.waiting.lock().remove(&waiter);
    }
}

impl Gate {
    fn pools(&self) -> Vec<Workers> {
        let mut out = vec![self.logons.clone(), self.look_ups.clone()];
        out.extend(self.areas.lock().iter().filter_map(Weak::upgrade).map(|area| area.workers.clone()));
        out
    }

    /// See [`Workers::relieve`]. False: nothing waits anywhere.
    pub fn relieve(&self, now: Instant) -> bool {
        self.pools().iter().filter(|pool| pool.relieve(now)).count() > 0
    }

    /// Some worker has something to do.
    pub fn busy(&self) -> bool {
        self.pools().iter().any(|pool| pool.load().busy > 0 || pool.load().queued > 0)
    }
}

/// The wall clock as the wire has it.
pub fn now() -> FileTime {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(d) => FileTime::from_unix(d.as_secs() as i64, d.subsec_nanos()),
        Err(_) => FileTime::from_unix(0, 0),
    }
}

fn auth_policy(settings: &Settings, users: &Arc<dyn UserDb>, accounts: &Arc<dyn Accounts>) -> auth::Policy {
    let guests = settings.shares.iter().any(|s| s.guest_access().is_some());
    let mut policy = auth::Policy::new(&settings.server.name, Arc::clone(users));
    policy.guest = guests;
    policy.anonymous = guests;
    policy.ntlm = settings.server.ntlm;
    policy.kerberos = tickets(settings, users, accounts);
    policy
}

/// Kerberos, where it is asked for and can be had. Without it the server goes on: users may have passwords as well.
fn tickets(
    settings: &Settings,
    users: &Arc<dyn UserDb>,
    accounts: &Arc<dyn Accounts>,
) -> Option<Arc<dyn Tickets>> {
    let asked = &settings.kerberos;
    let rules = kerberos::Rules {
        keytab: asked.keytab.clone()?,
        replays: settings.server.state_dir.join("krb5.rcache"),
        realms: asked.realms.clone(),
        map: asked.map.clone(),
    };
    match kerberos::Kerberos::new(rules, Arc::clone(users), Arc::clone(accounts)) {
        Ok(kerberos) => Some(Arc::new(kerberos)),
        Err(why) => {
            log::error!("nobody can log on with Kerberos: {why}");
            None
        }
    }
}

fn owner_identity(share: &str, owner: &crate::config::Owner) -> ActsAs {
    if !nix::unistd::geteuid().is_root() {
        return ActsAs::User;
    }
    match look_up_owner(owner) {
        Ok(Some(identity)) => ActsAs::Owner(Arc::new(identity)),
        Ok(None) => {
            log::error!(
                "share {share}: owner {owner} is no account of this machine; nobody can connect to it"
            );
            ActsAs::Nobody
        }
        Err(e) => {
            log::error!("share {share}: owner {owner} cannot be looked up ({e}); nobody can connect to it");
            ActsAs::Nobody
        }
    }
}

fn look_up_owner(owner: &crate::config::Owner) -> std::io::Result<Option<Identity>> {
    let Some(mut identity) = Identity::of_account(&owner.user)? else { return Ok(None) };
    if let Some(group) = &owner.group {
        let Some(group) = nix::unistd::Group::from_name(group)? else { return Ok(None) };
        identity.gid = group.gid.as_raw();
    }
    Ok(Some(identity))
}

/// Whether sessions of users have to be signed.
pub fn signing_required(settings: &Settings) -> bool {
    settings.server.signing == Signing::Required
}

/// Whether everything of everybody has to be sealed.
pub fn sealing_required(settings: &Settings) -> bool {
    settings.server.encryption == Encryption::Required
}
