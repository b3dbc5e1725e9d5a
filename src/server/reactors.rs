//! The threads that connections live on: one for each processor, and each asks the kernel itself what has come.
//!
//! A connection stays with the reactor that it was given to, so its state stays in one processor's cache. With one runtime
//! for all, whoever found an event worked on it for milliseconds (READs of a megabyte are answered where they are found), and
//! nobody looked for the next: half of the machine slept while other connections had requests waiting.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Stopped when dropped; what runs on them is dropped then.
#[derive(Debug)]
pub struct Reactors(Vec<Reactor>);

#[derive(Debug)]
struct Reactor {
    runtime: Handle,
    /// Connections it has.
    load: Arc<AtomicUsize>,
    /// The thread ends with it.
    _alive: oneshot::Sender<()>,
}

/// A connection's place on a reactor, for as long as it is kept.
#[derive(Debug)]
pub struct Place {
    runtime: Handle,
    load: Arc<AtomicUsize>,
}

impl Reactors {
    /// One for each processor that the process may use.
    pub fn start() -> io::Result<Reactors> {
        let many = thread::available_parallelism().map_or(1, usize::from);
        (0..many).map(|_| Reactor::start()).collect::<io::Result<_>>().map(Reactors)
    }

    /// With whoever has the fewest connections.
    pub fn place(&self) -> Place {
        let least =
            self.0.iter().min_by_key(|reactor| reactor.load.load(Ordering::Relaxed)).expect("one at least");
        least.load.fetch_add(1, Ordering::Relaxed);
        Place { runtime: least.runtime.clone(), load: Arc::clone(&least.load) }
    }
}

impl Reactor {
    fn start() -> io::Result<Reactor> {
        let runtime = Builder::new_current_thread().enable_all().thread_name("reactor-aid").build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("reactor".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            // Threads that hang in a share must not keep it.
            runtime.shutdown_background();
        })?;
        Ok(Reactor { runtime: handle, load: Arc::default(), _alive: alive })
    }
}

impl Place {
    /// The socket, waited for by this reactor.
    pub fn adopt(&self, stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
        let _within = self.runtime.enter();
        tokio::net::TcpStream::from_std(stream)
    }

    pub fn runtime(&self) -> Handle {
        self.runtime.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_and_make_room_when_they_end() {
        let reactors = Reactors((0..3).map(|_| Reactor::start().expect("starts")).collect());
        let loads = || reactors.0.iter().map(|r| r.load.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let places: Vec<_> = (0..7).map(|_| reactors.place()).collect();
        assert_eq!(loads(), [3, 2, 2]);
        drop(places);
        assert_eq!(loads(), [0, 0, 0]);
    }

    #[test]
    fn a_reactor_that_is_busy_keeps_no_other_from_working() {
        let reactors = Reactors((0..2).map(|_| Reactor::start().expect("starts")).collect());
        let (busy, other) = (reactors.place(), reactors.place());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (done, ended) = std::sync::mpsc::channel();
        busy.runtime.spawn(async move { wait.recv().expect("the other goes on") });
        other.runtime.spawn(async move {
            go.send(()).expect("the first one waits");
            done.send(()).expect("the test waits");
        });
        ended.recv().expect("it ran");
    }
}
