//! The load generator of `make bench`: several connections to one server, each a thread that keeps a number of
//! operations in flight. Measures a window of time and prints one line of JSON: operations, bytes, seconds, and the
//! processor time that the server's processes took.
//!
//! ```text
//! load --address 127.0.0.1:4450 --user u --password p --share bench --pid 4711 --protect gmac --op read-seq
//! ```

#[path = "../../tests/proto/client/mod.rs"]
mod client;
mod leases;
mod ops;
mod server;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use clap::Parser;
use client::{Client, Offer};
use smbgate::crypto::{Cipher, SigningAlgorithm};
use smbgate::types::Dialect;
use smbgate::wire::negotiate::Capabilities;

#[derive(Parser, Clone)]
struct Args {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    user: String,
    #[arg(long)]
    password: String,
    #[arg(long)]
    share: String,
    /// The server's process; its children count too.
    #[arg(long)]
    pid: u32,
    /// gmac, cmac or hmac: signed; gcm or ccm: sealed.
    #[arg(long, default_value = "gmac")]
    protect: String,
    #[arg(long, value_enum)]
    op: ops::Name,
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Operations in flight on each connection.
    #[arg(long)]
    depth: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    #[command(flatten)]
    leases: leases::Tree,
}

impl Args {
    fn offer(&self) -> Offer {
        let signing = |algorithm| Offer { dialects: vec![Dialect::SMB3_11], ..Offer::signing(algorithm) };
        let cipher = |cipher| Offer { dialects: vec![Dialect::SMB3_11], ..Offer::cipher(cipher) };
        let offer = match self.protect.as_str() {
            "gmac" => signing(SigningAlgorithm::AesGmac),
            "cmac" => signing(SigningAlgorithm::AesCmac),
            "hmac" => signing(SigningAlgorithm::HmacSha256),
            "gcm" => cipher(Cipher::Aes128Gcm),
            "ccm" => cipher(Cipher::Aes128Ccm),
            other => panic!("--protect {other}: gmac, cmac, hmac, gcm or ccm"),
        };
        Offer { capabilities: offer.capabilities | Capabilities::PERSISTENT_HANDLES, ..offer }
    }

    fn seals(&self) -> bool {
        matches!(self.protect.as_str(), "gcm" | "ccm")
    }

    fn client(&self) -> Client {
        let offer = self.offer();
        let mut c = Client::ready(self.address, &offer, &self.user, &self.password, &self.share);
        let n = &c.negotiated;
        assert!(offer.signing.contains(&n.signing), "the server signs with {:?}", n.signing);
        c.verify = false;
        c.target_credits = 512;
        if self.seals() {
            assert_eq!(n.cipher, offer.ciphers.first().copied(), "the server's cipher");
            c.seal = true;
        }
        c
    }
}

/// What all threads count into.
#[derive(Default)]
struct Count {
    operations: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl Count {
    fn add(&self, bytes: u64) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn now(&self) -> (u64, u64) {
        (self.operations.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn main() {
    // A connection that fails ends all of them, wherever the others wait.
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        shown(info);
        std::process::exit(1);
    }));
    let args = Args::parse();
    if args.op == ops::Name::Idle {
        return idle(&args);
    }
    if args.op == ops::Name::Leases {
        return leases::run(&args);
    }
    let count = Arc::new(Count::default());
    let ready = Arc::new(Barrier::new(args.connections + 1));
    let threads: Vec<_> = (0..args.connections)
        .map(|index| {
            let (args, count, ready) = (args.clone(), count.clone(), ready.clone());
            std::thread::spawn(move || match args.op {
                ops::Name::Logon => logons(&args, &count, &ready),
                op => {
                    let mut c = args.client();
                    let mut load = ops::start(op, &mut c, index, args.depth);
                    ready.wait();
                    drive(&mut c, load.as_mut(), args.depth, &count);
                }
            })
        })
        .collect();
    ready.wait();
    // A moment to fill the pipelines and to warm both sides up.
    std::thread::sleep(Duration::from_millis(400));
    let (start, cpu, (operations, bytes)) = (Instant::now(), server::cpu_seconds(args.pid), count.now());
    std::thread::sleep(Duration::from_secs_f64(args.seconds));
    let (elapsed, cpu, after) = (start.elapsed(), server::cpu_seconds(args.pid) - cpu, count.now());
    count.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("a connection failed");
    }
    println!(
        "{{\"operations\": {}, \"bytes\": {}, \"seconds\": {:.4}, \"cpu\": {cpu:.4}}}",
        after.0 - operations,
        after.1 - bytes,
        elapsed.as_secs_f64()
    );
}

/// Keeps `depth` operations in flight until told to stop, then lets them come to their end.
fn drive(c: &mut Client, load: &mut dyn ops::Load, depth: usize, count: &Count) {
    let mut slots = std::collections::HashMap::with_capacity(depth * 2);
    for slot in 0..depth {
        slots.insert(load.begin(c, slot), slot);
    }
    while !slots.is_empty() {
        let reply = c.receive();
        if reply.is_interim() {
            continue;
        }
        let Some(slot) = slots.remove(&reply.header.message_id.0) else {
            // The first parts of a compound.
            reply.ok().expect("a success");
            continue;
        };
        match load.proceed(c, slot, &reply) {
            ops::Step::Next(id) => {
                slots.insert(id, slot);
            }
            ops::Step::Done(bytes) => {
                count.add(bytes);
                if !count.stopped() {
                    slots.insert(load.begin(c, slot), slot);
                }
            }
        }
        c.recycle(reply);
    }
}

/// One operation: connect, negotiate, log on, log off.
fn logons(args: &Args, count: &Count, ready: &Barrier) {
    ready.wait();
    while !count.stopped() {
        let mut c = Client::connect(args.address);
        c.negotiate(&args.offer());
        c.logon(&args.user, &args.password).expect("logon");
        c.call(&smbgate::wire::logoff::LogoffRequest);
        count.add(0);
    }
}

/// `--depth` connections, logged on and connected to the share; then the server's memory.
fn idle(args: &Args) {
    let before = server::memory(args.pid);
    let clients: Vec<Client> = (0..args.depth).map(|_| args.client()).collect();
    let after = server::memory(args.pid);
    println!("{{\"connections\": {}, \"before\": {before}, \"memory\": {after}}}", clients.len());
}
