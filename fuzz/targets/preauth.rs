//! What anybody can send to the port before logon, to a whole server: one connection an input. The first byte chooses;
//! then each message is two bytes of length and the message. Framing is added, and (unless chosen otherwise) message
//! ids and the session's id are made right, so that more than one message gets somewhere.
#![no_main]
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use smbgate::auth::{NtHash, UserDb, UserRecord};
use smbgate::config::{self, Host, Overrides};
use smbgate::durable::store::{Done, Edit, HandleStore, Record};
use smbgate::posix::MemorySide;
use smbgate::server::{Server, Setup};
use smbgate::wire::frame;
use smbgate::wire::header::{LEN, offset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// An answer comes at once, or it is held back, or there is none.
const PATIENCE: Duration = Duration::from_millis(5);
const MESSAGES: usize = 8;

struct Somebody;

impl UserDb for Somebody {
    fn find(&self, name: &str) -> Option<UserRecord> {
        Some(UserRecord { name: name.to_owned(), nt_hash: NtHash::new([7; 16]), disabled: false })
    }
}

/// The server's tasks and the client's run on one thread: as alike as can be from one run to the next.
struct World {
    runtime: Runtime,
    address: SocketAddr,
    clients: u32,
}

fn world() -> World {
    let host = Host { name: "server".into(), root: false, state_dir: PathBuf::from("/nonexistent") };
    let overrides =
        Overrides { shares: vec!["media=/tmp".into()], current_dir: "/".into(), ..Overrides::default() };
    let (settings, problems) = config::parse(None, &overrides, &host);
    assert!(!problems.any_error(), "{problems:?}");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let address = runtime.block_on(async {
        let setup = Setup {
            settings: Arc::new(settings),
            users: Arc::new(Somebody),
            side: Arc::new(MemorySide::default()),
            handles: Arc::new(Forgotten),
            umask: 0o022,
        };
        let server = Server::new(setup).expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(server.serve(listener));
        address
    });
    World { runtime, address, clients: 0 }
}

impl World {
    async fn connect(address: SocketAddr, client: u32) -> TcpStream {
        // From another address each time, or failed logons soon shut us out.
        let from = Ipv4Addr::from_bits(0x7F00_0000 | (client % 0x00FF_FFF0 + 2));
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("a local address");
        socket.connect(address).await.expect("the server takes connections")
    }
}

/// The next answer from the server. None: it has closed, or has nothing to say yet.
async fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; frame::LEN];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.ok()?.ok()?;
    let mut message = vec![0; frame::decode(head).expect("a frame of the server's")];
    timeout(PATIENCE, stream.read_exact(&mut message)).await.ok()?.ok()?;
    Some(message)
}

async fn converse(mut stream: TcpStream, choice: u8, mut rest: &[u8]) {
    let mut session = [0; 8];
    for id in 0..MESSAGES as u64 {
        let Some((len, behind)) = rest.split_first_chunk() else { break };
        let (message, behind) = behind.split_at(behind.len().min(usize::from(u16::from_le_bytes(*len))));
        rest = behind;
        let mut message = message.to_vec();
        if choice & 1 == 0 && message.len() >= LEN && message.starts_with(b"\xFESMB") {
            message[offset::MESSAGE_ID..][..8].copy_from_slice(&id.to_le_bytes());
            message[offset::SESSION_ID..][..8].copy_from_slice(&session);
        }
        let framed = [&frame::encode(message.len())[..], &message].concat();
        if stream.write_all(&framed).await.is_err() {
            return;
        }
        let Some(answer) = answer(&mut stream).await else { continue };
        if answer.len() >= LEN {
            session.copy_from_slice(&answer[offset::SESSION_ID..][..8]);
        }
    }
    let _ = stream.shutdown().await;
    let mut left = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut left)).await;
}

/// Nobody comes so far as to open a file.
struct Forgotten;

impl HandleStore for Forgotten {
    fn load(&self) -> Vec<Record> {
        Vec::new()
    }

    fn write(&self, _: Vec<Edit>, done: Option<Done>) {
        done.into_iter().for_each(|done| done(Ok(())));
    }
}

fuzz_target!(|bytes: &[u8]| {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let mut world = WORLD.get_or_init(|| Mutex::new(world())).lock().expect("one input at a time");
    world.clients += 1;
    let World { runtime, address, clients } = &*world;
    runtime.block_on(async { converse(World::connect(*address, *clients).await, choice, rest).await });
});
