//! Stands in for `server` until it is there: the same signatures, and connections are closed at once.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::auth::UserDb;
use crate::config::Settings;

pub struct Setup {
    pub name: String,
    pub settings: Arc<Settings>,
    pub users: Arc<dyn UserDb>,
    pub state: sled::Db,
}

pub struct Server {
    settings: parking_lot::Mutex<Arc<Settings>>,
    start: Instant,
}

impl Server {
    pub fn new(setup: Setup) -> std::io::Result<Arc<Server>> {
        let _ = (setup.name, setup.users, setup.state);
        Ok(Arc::new(Server { settings: parking_lot::Mutex::new(setup.settings), start: Instant::now() }))
    }

    pub async fn serve(self: Arc<Self>, listener: tokio::net::TcpListener) {
        loop {
            let _ = listener.accept().await;
        }
    }

    pub fn reload(&self, settings: Arc<Settings>) {
        *self.settings.lock() = settings;
    }

    pub async fn stop(&self) {}

    pub fn status(&self) -> Status {
        let settings = self.settings.lock();
        let share = |share: &crate::config::Share| ShareStatus {
            name: share.name.clone(),
            path: share.path.display().to_string(),
            coherence: "none".to_owned(),
            why: "not built yet".to_owned(),
            ..ShareStatus::default()
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.start.elapsed().as_secs(),
            listen: settings.server.listen.iter().map(ToString::to_string).collect(),
            shares: settings.shares.iter().map(share).collect(),
            ..Status::default()
        }
    }

    pub fn close_session(&self, _id: u64) -> bool {
        false
    }

    pub fn close_open(&self, _id: u64) -> bool {
        false
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    pub id: u64,
    pub peer: String,
    pub dialect: Option<String>,
    pub sessions: usize,
    pub since_seconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    pub id: u64,
    pub user: String,
    pub peer: String,
    pub dialect: String,
    pub signing: String,
    pub cipher: Option<String>,
    pub guest: bool,
    pub opens: usize,
    pub since_seconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenStatus {
    pub id: u64,
    pub session: u64,
    pub user: String,
    pub share: String,
    pub path: String,
    pub access: String,
    pub since_seconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShareStatus {
    pub name: String,
    pub path: String,
    pub file_system: String,
    pub coherence: String,
    pub why: String,
    pub opens: usize,
    pub workers_busy: usize,
    pub workers: usize,
    pub queue: usize,
}
