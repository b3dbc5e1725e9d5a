//! Listening sockets that outlive a server, so that who connects while it is replaced waits and is not refused: kept by
//! the service manager (sd_notify(3), FDSTORE) for the next one, or handed to it across `exec`.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sd_notify::NotifyState;
use socket2::Socket;

use crate::sys;

/// What the process was given when it started.
#[derive(Debug, Default)]
pub struct Left(Vec<Socket>);

impl Left {
    /// To be called once, before anything else opens descriptors.
    pub fn take() -> Left {
        let given = sys::process::given_descriptors().unwrap_or_else(|e| {
            log::warn!("the sockets that the service manager hands over cannot be used: {e}");
            Vec::new()
        });
        Left(given.into_iter().map(Socket::from).filter(listens).collect())
    }

    /// The one that listens on the address. Of an unspecified IPv6 address: with IPv4, or without.
    pub fn claim(&mut self, address: SocketAddr, v6_only: bool) -> Option<TcpListener> {
        let fits = |socket: &Socket| {
            let there = socket.local_addr().ok().and_then(|there| there.as_socket());
            let both = address.is_ipv6() && address.ip().is_unspecified();
            there == Some(address) && (!both || socket.only_v6().is_ok_and(|only| only == v6_only))
        };
        let socket = self.0.swap_remove(self.0.iter().position(fits)?);
        // The manager may have made it.
        socket.set_nonblocking(true).ok()?;
        Some(socket.into())
    }
}

fn listens(socket: &Socket) -> bool {
    socket.is_listener().unwrap_or(false)
}

/// A word that the service manager takes as the name of a descriptor.
fn name(address: SocketAddr) -> String {
    format!("smb-{address}").replace(':', "-")
}

/// Gives the socket to the service manager to keep. Without one, or if it keeps none (FileDescriptorStoreMax=), nothing
/// happens.
pub fn keep(address: SocketAddr, socket: BorrowedFd<'_>) {
    let name = name(address);
    if let Err(e) = sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(&name)], &[socket])
    {
        log::debug!("the service manager does not keep {address}: {e}");
    }
}

/// The socket is not needed any more.
pub fn drop_kept(address: SocketAddr) {
    let name = name(address);
    if let Err(e) = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name)]) {
        log::debug!("the service manager does not listen: {e}");
    }
}

/// The program of this process, as it is on disk by now.
#[derive(Clone)]
pub struct Successor(PathBuf);

impl Successor {
    /// To be called at the start: later its path may be that of a deleted file.
    pub fn find() -> io::Result<Successor> {
        std::env::current_exe().map(Successor)
    }

    /// What it calls itself. An error: it is not a program that runs here. Blocks.
    pub fn version(&self) -> io::Result<String> {
        let answer = Command::new(&self.0).arg("-V").stdin(Stdio::null()).stderr(Stdio::null()).output()?;
        match String::from_utf8_lossy(&answer.stdout).lines().next() {
            Some(line) if answer.status.success() => Ok(line.to_owned()),
            _ => Err(io::Error::other(format!("{} -V: {}", self.0.display(), answer.status))),
        }
    }

    /// Takes this process's place, with the same arguments, and the sockets.
    pub fn start(&self, sockets: &[TcpListener]) -> io::Result<Infallible> {
        let mut command = Command::new(&self.0);
        command
            .args(std::env::args_os().skip(1))
            .env("LISTEN_PID", std::process::id().to_string())
            .env("LISTEN_FDS", sockets.len().to_string())
            .env_remove("LISTEN_FDNAMES");
        let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
        sys::process::place_given(&sockets)?;
        Err(command.exec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_goes_to_the_address_it_listens_on() {
        let make = |address: &str| -> Socket { TcpListener::bind(address).expect("binds").into() };
        let here = make("127.0.0.1:0");
        let address = here.local_addr().unwrap().as_socket().unwrap();
        let quiet = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        assert!(listens(&here) && !listens(&quiet));
        let mut left = Left(vec![make("127.0.0.1:0"), here]);
        let other: SocketAddr = "127.0.0.2:445".parse().unwrap();
        assert!(left.claim(other, false).is_none());
        assert_eq!(left.claim(address, false).unwrap().local_addr().unwrap(), address);
        assert!(left.claim(address, false).is_none(), "once");
    }

    #[test]
    fn names_are_such_as_the_manager_takes() {
        assert_eq!(name("[fe80::1]:445".parse().unwrap()), "smb-[fe80--1]-445");
    }

    #[test]
    fn what_does_not_run_is_no_successor() {
        assert!(Successor(PathBuf::from("/dev/null")).version().is_err());
        assert!(Successor(PathBuf::from("/bin/false")).version().is_err());
    }
}
