//! A raw SMB2 client on smbgate's own wire code, blocking, one thread to a connection. For the protocol tests and
//! the load generator: it sends what it is told to, in any order, and hides nothing.
//!
//! ```text
//! let mut c = Client::connect(address);
//! c.negotiate(&Offer::default());
//! c.logon("user", "password").unwrap();
//! c.tree_connect("share").unwrap();
//! let id = c.send(&request);        // pipelined
//! let reply = c.wait(id);           // the final answer; interim ones are noted in c.interim
//! ```
//!
//! A connection that ends, or an answer that never comes, is a panic, except in `try_receive`.

#![allow(dead_code, unused_imports, reason = "no one test or bench uses all of it")]

mod commands;
mod negotiate;
mod notify;
mod request;
mod session;
mod transport;

pub use commands::{Opened, create, fsctl, listed};
pub use negotiate::{Negotiated, Offer};
pub use notify::{NAMES, Watched};
pub use request::{Compound, Request, encode};
pub use session::Session;
pub use transport::Reply;

use std::collections::{HashMap, VecDeque};
use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use smbgate::crypto::PreauthHash;
use smbgate::types::{AsyncId, SessionId, TreeId};

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    stream: BufReader<TcpStream>,
    /// What NEGOTIATE led to; defaults before it.
    pub negotiated: Negotiated,
    preauth: PreauthHash,
    sessions: HashMap<u64, Session>,
    /// Where requests go that do not say it themselves.
    pub session: SessionId,
    pub tree: TreeId,
    /// The next MessageId, and how many credits are left.
    pub next_id: u64,
    pub credits: i64,
    /// Requests ask for as many credits as lift the balance to this.
    pub target_credits: i64,
    /// Seal what is sent in a session that has keys for it.
    pub seal: bool,
    /// Check the signatures of answers. The load generator saves the time.
    pub verify: bool,
    /// The interim answers that came: message id to async id.
    pub interim: HashMap<u64, AsyncId>,
    /// What came while another answer was waited for.
    queue: VecDeque<Reply>,
    /// The transform header's flag of the message received last: whether it came sealed.
    pub came_sealed: bool,
    out: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("time limit");
        Client {
            stream: BufReader::with_capacity(1 << 16, stream),
            negotiated: Negotiated::default(),
            preauth: PreauthHash::new(),
            sessions: HashMap::new(),
            session: SessionId(0),
            tree: TreeId(0),
            next_id: 0,
            credits: 1,
            target_credits: 256,
            seal: false,
            verify: true,
            interim: HashMap::new(),
            queue: VecDeque::new(),
            came_sealed: false,
            out: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Negotiated, logged on and connected to the share.
    pub fn ready(address: SocketAddr, offer: &Offer, user: &str, password: &str, share: &str) -> Client {
        let mut c = Client::connect(address);
        c.negotiate(offer);
        c.logon(user, password).expect("logon");
        c.tree_connect(share).expect("tree connect");
        c
    }

    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// The session in use.
    pub fn current(&self) -> Option<&Session> {
        self.sessions.get(&self.session.0)
    }

    pub fn current_mut(&mut self) -> Option<&mut Session> {
        self.sessions.get_mut(&self.session.0)
    }
}
