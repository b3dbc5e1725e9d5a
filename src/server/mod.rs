//! The server: accepts connections, runs their requests, and says what it holds.
//!
//! ```text
//!   accept -> reactor: receive (one task a connection) -> chain -> dispatch -> cmd::*
//!                                                           '-> workers of the export
//! ```

mod bytes;
mod chain;
pub mod dispatch;
mod reactors;
mod receive;
pub mod status;

use crate::auth::UserDb;
use crate::cmd;
use crate::cmd::gate::{Gate, Parts};
use crate::config::Settings;
use crate::conn::Connection;
use crate::durable::HandleStore;
use crate::posix;
use crate::types::SessionId;
use crate::view::Views;
use reactors::Reactors;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request that has run this long is told to the client as STATUS_PENDING.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often that is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// How often memory that nobody needs any more is given back.
const TIDY: Duration = Duration::from_secs(5);
/// How long an orderly stop waits for requests under way.
const STOP: Duration = Duration::from_secs(5);

/// What [`Server::new`] needs.
pub struct Setup {
    pub settings: Arc<Settings>,
    pub users: Arc<dyn UserDb>,
    /// Where DOS attributes live when a file system has no xattrs.
    pub side: Arc<dyn posix::SideStore>,
    /// Where durable handles are kept beyond the life of the process.
    pub handles: Arc<dyn HandleStore>,
    /// What the process had before it was set to 0.
    pub umask: u32,
}

pub struct Server {
    gate: Arc<Gate>,
    reactors: Reactors,
    stopping: Notify,
    views: Views,
}

impl Server {
    /// Must be called within the tokio runtime that takes connections and looks after what is due. They are served on
    /// threads of their own.
    pub fn new(setup: Setup) -> std::io::Result<Arc<Server>> {
        let gate = Gate::new(Parts {
            settings: setup.settings,
            users: setup.users,
            side: setup.side,
            handles: setup.handles,
            umask: setup.umask,
            runtime: tokio::runtime::Handle::current(),
        })?;
        tokio::spawn(relieve(Arc::clone(&gate)));
        tokio::spawn(hurry(Arc::clone(&gate)));
        tokio::spawn(tidy());
        tokio::spawn(scavenge(Arc::clone(&gate)));
        let reactors = Reactors::start()?;
        Ok(Arc::new(Server { gate, reactors, stopping: Notify::new(), views: Views::default() }))
    }

    /// Opens again what clients of the last process had open and may come back for. Before anybody can connect.
    pub async fn restore(&self) {
        let gate = Arc::clone(&self.gate);
        if tokio::task::spawn_blocking(move || cmd::restore::all(&gate)).await.is_err() {
            log::error!("handles of the last time are not restored");
        }
    }

    /// Takes connections until [`Server::stop`], or until this is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let _listed = Listed::new(&self, &listener);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stopping.notified() => return,
            };
            match accepted {
                Ok((stream, _)) => self.take(stream),
                Err(e) => {
                    // Out of descriptors, mostly: those that are there must end first.
                    log::error!("a connection cannot be accepted: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream) {
        let most = self.gate.live().settings.server.max_connections;
        if self.gate.conn_count() >= most {
            log::warn!("a connection was refused: there are {most} already (max_connections)");
            return;
        }
        let place = self.reactors.place();
        let stream = stream.into_std().and_then(|stream| place.adopt(stream));
        match stream.and_then(|stream| Connection::new(self.gate.new_conn_id(), stream)) {
            Ok(conn) => {
                let conn = Arc::new(conn);
                self.gate.add_conn(&conn);
                let (writer, reader) = (Arc::clone(&conn), receive::run(Arc::clone(&self.gate), conn));
                place.runtime().spawn(async move { writer.writer.run(&writer.stream).await });
                place.runtime().spawn(async move {
                    reader.await;
                    drop(place);
                });
            }
            Err(e) => log::debug!("a connection was gone before it began: {e}"),
        }
    }

    /// Puts new settings in force without dropping a connection. May look up accounts: blocks.
    pub fn reload(&self, settings: Arc<Settings>) {
        self.gate.reload(settings);
        self.adjust_views();
    }

    /// Mounts the local views that the settings ask for, and takes others away. Blocks.
    pub fn adjust_views(&self) {
        self.views.adjust(&self.gate, &self.gate.live());
    }

    /// Takes all local views away. Blocks for a bounded time.
    pub fn end_views(&self) {
        self.views.end();
    }

    /// Takes no more connections, lets requests under way finish for a while, and closes what is open.
    pub async fn stop(&self) {
        self.stopping.notify_waiters();
        for conn in self.gate.conns() {
            conn.end("the server stops");
        }
        let until = Instant::now() + STOP;
        // What waits for its client goes on waiting, for the next server.
        while self.gate.conn_count() > 0 || self.gate.opens.len() > self.gate.durable.waiting() {
            if Instant::now() >= until {
                log::warn!("{} opens were still closing at the end", self.gate.opens.len());
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while self.gate.busy() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let gate = Arc::clone(&self.gate);
        let _ = tokio::task::spawn_blocking(move || gate.keeper.flush(gate.durable.all())).await;
    }

    /// Ends a session; false: there is none.
    pub fn close_session(&self, id: u64) -> bool {
        let Some(session) = self.gate.sessions.get(SessionId(id)) else { return false };
        cmd::logoff::end_session(&self.gate, &session, cmd::logoff::Durable::Close);
        true
    }

    /// Closes an open under its client; false: there is none.
    pub fn close_open(&self, id: u64) -> bool {
        let Some(open) = self.gate.opens.by_volatile(id) else { return false };
        cmd::close::close_any(&self.gate, &open);
        true
    }
}

/// An address among those that are listened on, for as long as it is.
struct Listed<'a> {
    server: &'a Server,
    address: Option<SocketAddr>,
}

impl Listed<'_> {
    fn new<'a>(server: &'a Server, listener: &TcpListener) -> Listed<'a> {
        let address =
            listener.local_addr().inspect_err(|e| log::error!("listening on nothing known: {e}")).ok();
        server.gate.listening.lock().extend(address);
        Listed { server, address }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut listening = self.server.gate.listening.lock();
        if let Some(at) = listening.iter().position(|address| Some(*address) == self.address) {
            listening.remove(at);
        }
    }
}

/// Puts more workers to work where jobs wait for stuck ones.
async fn relieve(gate: Arc<Gate>) {
    loop {
        gate.watchdog.notified().await;
        loop {
            tokio::time::sleep(Duration::from_millis(4)).await;
            if !gate.relieve(Instant::now()) {
                break;
            }
        }
    }
}

/// Closes handles that wait for a client who does not come.
async fn scavenge(gate: Arc<Gate>) {
    loop {
        gate.durable.due().await;
        cmd::logoff::give_up(&gate, Instant::now());
    }
}

/// Tells clients of requests that take long.
async fn hurry(gate: Arc<Gate>) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let now = Instant::now();
        for conn in gate.conns() {
            conn.flights.hurry(now, PATIENCE);
        }
    }
}

/// Gives back the memory of a busy time that is over.
async fn tidy() {
    let mut tick = tokio::time::interval(TIDY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if posix::any_cached() {
            let _ = tokio::task::spawn_blocking(posix::tidy_cached).await;
        }
        if crate::conn::pool::tidy() > 0 {
            let _ = tokio::task::spawn_blocking(crate::sys::process::give_memory_back).await;
        }
    }
}
