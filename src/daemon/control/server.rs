//! The answering side, in the server.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{MAX_LINE, Reply, Request, SOCKET, UserRequest, change_users, socket_path};
use crate::auth::users::Users;
use crate::server::Server;

/// How long one side may keep the other waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// The listening socket; its name goes when this does.
pub struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Starts to answer. The caller has the lock of `dir`, so a socket that is there is a dead server's.
    pub fn start(dir: &Path, server: Arc<Server>, users: Arc<Users>) -> io::Result<Control> {
        let (path, _open) = socket_path(dir)?;
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(answer_all(stream, Arc::clone(&server), Arc::clone(&users)));
                    }
                    Err(e) => {
                        log::warn!("the control socket: {e}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            }
        });
        Ok(Control { path: dir.join(SOCKET), task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn answer_all(stream: UnixStream, server: Arc<Server>, users: Arc<Users>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(MAX_LINE));
    let mut line = String::new();
    loop {
        line.clear();
        match tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await {
            Ok(Ok(n)) if n > 0 => {}
            _ => return,
        }
        let reply = match serde_json::from_str(&line) {
            Ok(request) => answer(request, &server, &users).await,
            Err(e) => Reply::Failed {
                why: format!("the server does not understand: {e} (are both of one version?)"),
            },
        };
        let Ok(mut bytes) = serde_json::to_vec(&reply) else { return };
        bytes.push(b'\n');
        match tokio::time::timeout(PATIENCE, write.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

async fn answer(request: Request, server: &Arc<Server>, users: &Arc<Users>) -> Reply {
    match request {
        Request::Status => Reply::Status { status: Box::new(server.status()) },
        Request::CloseSession { id } if server.close_session(id) => Reply::Done,
        Request::CloseSession { id } => {
            Reply::Failed { why: format!("no session {id}; `smbgate status` shows those there are") }
        }
        Request::CloseOpen { id } if server.close_open(id) => Reply::Done,
        Request::CloseOpen { id } => {
            Reply::Failed { why: format!("no open {id}; `smbgate status` shows those there are") }
        }
        Request::User(request) => {
            let removed = match &request {
                UserRequest::Remove { name } => Some(name.to_lowercase()),
                _ => None,
            };
            let users = Arc::clone(users);
            // It waits for the disk.
            let reply = tokio::task::spawn_blocking(move || change_users(&users, request)).await;
            let reply = reply.unwrap_or_else(|_| Reply::Failed {
                why: "the user database failed; see the log".to_owned(),
            });
            if let (Some(name), Reply::Done) = (removed, &reply) {
                end_sessions(server, &name);
            }
            reply
        }
    }
}

/// Who is no user any more does not stay connected.
fn end_sessions(server: &Server, name: &str) {
    for session in server.status().sessions {
        if !session.guest && session.user.to_lowercase() == name {
            server.close_session(session.id);
        }
    }
}
