//! One connection: framing, buffers, credits, and what is under way on it.
//!
//! ```text
//!   socket -> reader (frames) -> [server: unseal, verify, dispatch] -> writer -> socket
//!                                       |
//!                                    flights: requests that a worker has, or that wait
//! ```

pub mod credits;
pub mod flight;
pub mod pool;
pub mod reader;
pub mod writer;

use crate::crypto::{Cipher, PreauthHash, SigningAlgorithm};
use crate::types::{ConnId, Dialect, Guid};
use crate::wire::negotiate::{Capabilities, SecurityMode};
use credits::Window;
use flight::Flights;
use parking_lot::Mutex;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use writer::{Outgoing, Writer};

/// A connection is lost when the client's machine has acknowledged nothing for so long of what it was sent (TCP_USER_TIMEOUT):
/// before a break runs out (35 s), so that who waits for one hears that its holder is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// The congestion control of connections that leave no network card. Where the system's default is BBR it spreads out what
/// is sent by timers, for a network that is not there: a fifth of the processor time of large READs. Every kernel has this one.
const UNPACED: &[u8] = b"reno";

fn is_same_machine(peer: IpAddr, local: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || peer == local.to_canonical()
}

/// What NEGOTIATE settled (MS-SMB2 3.3.1.7). Fixed for the life of the connection.
#[derive(Clone, Debug)]
pub struct Negotiated {
    pub dialect: Dialect,
    pub client_guid: Guid,
    pub client_capabilities: Capabilities,
    pub client_security_mode: SecurityMode,
    /// As they were on the wire, for FSCTL_VALIDATE_NEGOTIATE_INFO.
    pub client_dialects: Vec<Dialect>,
    pub server_capabilities: Capabilities,
    pub server_security_mode: SecurityMode,
    pub signing: SigningAlgorithm,
    pub cipher: Option<Cipher>,
    /// The connection's preauthentication hash after NEGOTIATE (3.1.1 only).
    pub preauth: Option<PreauthHash>,
}

/// One TCP connection.
#[derive(Debug)]
pub struct Connection {
    pub id: ConnId,
    pub peer: SocketAddr,
    /// The address that the client reached us at.
    pub local: SocketAddr,
    pub since: Instant,
    pub stream: TcpStream,
    pub writer: Writer,
    pub negotiated: OnceLock<Negotiated>,
    /// SMB1 NEGOTIATE was answered with the wildcard dialect: a second one, in SMB2, is to come.
    pub multi_protocol: AtomicBool,
    /// A session was set up here: from now on the limits of known clients hold.
    pub authenticated: AtomicBool,
    pub window: Mutex<Window>,
    pub flights: Flights,
    ending: Notify,
    ended: AtomicBool,
    bye: OnceLock<String>,
}

impl Connection {
    pub fn new(id: ConnId, stream: TcpStream) -> std::io::Result<Connection> {
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        if is_same_machine(peer.ip(), local.ip())
            && let Err(e) = socket.set_tcp_congestion(UNPACED)
        {
            log::debug!("{peer}: keeps the system's congestion control: {e}");
        }
        Ok(Connection {
            id,
            peer,
            local,
            since: Instant::now(),
            stream,
            writer: Writer::default(),
            negotiated: OnceLock::new(),
            multi_protocol: AtomicBool::new(false),
            authenticated: AtomicBool::new(false),
            window: Mutex::default(),
            flights: Flights::default(),
            ending: Notify::new(),
            ended: AtomicBool::new(false),
            bye: OnceLock::new(),
        })
    }

    /// The dialect, once negotiated.
    pub fn dialect(&self) -> Option<Dialect> {
        self.negotiated.get().map(|n| n.dialect)
    }

    pub fn send(&self, messages: impl IntoIterator<Item = Outgoing>) {
        self.writer.send(&self.stream, messages);
    }

    /// Ends the connection; the first reason is the one that is told.
    pub fn end(&self, why: impl Into<String>) {
        let _ = self.bye.set(why.into());
        self.ended.store(true, Ordering::Release);
        self.writer.close();
        // Not left to the last holder: a request that a dead backend does not let go of may be that.
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
        self.ending.notify_one();
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub fn reason(&self) -> Option<&str> {
        self.bye.get().map(String::as_str)
    }

    /// Returns when [`Connection::end`] was called.
    pub async fn ended(&self) {
        if !self.is_ended() {
            self.ending.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_machine() {
        let same = |peer: &str, local: &str| {
            is_same_machine(peer.parse().expect("an address"), local.parse().expect("an address"))
        };
        assert!(same("127.0.0.1", "127.0.0.1"));
        assert!(same("::ffff:127.0.0.1", "::ffff:127.0.0.1"));
        assert!(same("::1", "::1"));
        assert!(same("192.0.2.7", "192.0.2.7"));
        assert!(same("::ffff:192.0.2.7", "192.0.2.7"));
        assert!(!same("192.0.2.8", "192.0.2.7"));
        assert!(!same("2001:db8::1", "2001:db8::2"));
    }

    #[tokio::test]
    async fn what_leaves_no_network_card_is_not_paced() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let _theirs = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
        let (ours, _) = listener.accept().await.expect("accepts");
        let conn = Connection::new(ConnId(1), ours).expect("a connection");
        let name = socket2::SockRef::from(&conn.stream).tcp_congestion().expect("has one");
        assert!(name.starts_with(UNPACED), "{name:?}");
    }
}
