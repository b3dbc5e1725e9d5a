//! What the kernel alone takes to read a file and to send it: one `pread` and one `write` to a loopback socket for each
//! mebibyte, on several connections with several under way, and nothing else. No server that copies what it sends
//! can do with less; `make bench` prints it beside the sequential reads.
//!
//! ```text
//! floor FILE SECONDS DEPTH    (a connection for each FILE: A,B)
//! ```
//!
//! Prints one line of JSON: operations, seconds, and the processor time of the sending threads.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

const LEN: usize = 1 << 20;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [files, seconds, depth] = &args[..] else { panic!("floor FILE,FILE SECONDS DEPTH") };
    let time = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let depth: usize = depth.parse().expect("depth");
    let senders: Vec<_> = files
        .split(',')
        .map(|name| {
            let file = File::open(name).expect("a file to read");
            let (ours, theirs) = pair();
            let receiver = thread::spawn(move || receive(theirs));
            (thread::spawn(move || send(&file, ours, depth, time)), receiver)
        })
        .collect();
    let (mut operations, mut cpu) = (0, Duration::ZERO);
    for (sender, receiver) in senders {
        let (n, took) = sender.join().expect("the sender ended");
        receiver.join().expect("the receiver ended");
        operations += n;
        cpu += took;
    }
    println!(
        "{{\"operations\": {operations}, \"seconds\": {}, \"cpu\": {:.4}}}",
        time.as_secs_f64(),
        cpu.as_secs_f64()
    );
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("loopback");
    let (ours, _) = listener.accept().expect("loopback");
    ours.set_nodelay(true).expect("a TCP socket");
    (ours, theirs)
}

/// Reads and sends, at most `depth` ahead of the receiver. How often, and the processor time it took.
fn send(file: &File, mut stream: TcpStream, depth: usize, time: Duration) -> (u64, Duration) {
    let blocks = file.metadata().expect("stat").len() / LEN as u64;
    let mut buf = vec![0; LEN];
    let mut one = [0];
    let (start, cpu) = (Instant::now(), thread_time());
    let mut n = 0;
    while start.elapsed() < time {
        file.read_exact_at(&mut buf, n % blocks * LEN as u64).expect("read");
        stream.write_all(&buf).expect("send");
        n += 1;
        if n >= depth as u64 {
            stream.read_exact(&mut one).expect("the receiver lives");
        }
    }
    (n, thread_time() - cpu)
}

/// Says of each block that it came.
fn receive(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut buf = vec![0; LEN];
    while stream.read_exact(&mut buf).is_ok() {
        if stream.get_mut().write_all(&[1]).is_err() {
            return;
        }
    }
}

fn thread_time() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}
