//! The sockets that clients connect to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::handover::Left;
use super::ports;
use crate::config::Server;

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: i32 = 1024;

/// An address that cannot be listened on, why, and how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct Busy {
    pub address: SocketAddr,
    pub why: String,
}

/// Binds every address of the settings that is not among `have`, unless it was `left`; all or none.
pub fn bind_all(
    server: &Server,
    have: &[SocketAddr],
    mut left: Left,
) -> Result<Vec<(SocketAddr, std::net::TcpListener)>, Busy> {
    // 0.0.0.0 beside [::] on one port: each takes its own family.
    let v4_beside = |address: SocketAddr| {
        let mut others = server.listen.iter();
        others.any(|other| other.is_ipv4() && other.ip().is_unspecified() && other.port() == address.port())
    };
    let without_v6 = |address: SocketAddr| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    let wanted: Vec<SocketAddr> =
        server.listen.iter().copied().filter(|address| !have.contains(address)).collect();
    let mut listeners = Vec::new();
    for &address in &wanted {
        let found = left.claim(address, v4_beside(address));
        let found =
            found.or_else(|| left.claim(without_v6(address), false).filter(|_| server.listen_is_default));
        listeners.extend(found.map(|listener| (address, listener)));
    }
    // They would stand in the way.
    drop(left);
    for address in wanted {
        if listeners.iter().any(|(there, _)| *there == address) {
            continue;
        }
        let listener = match bind(address, v4_beside(address)) {
            Err(e) if server.listen_is_default && lacks_ipv6(&e) => {
                let v4 = without_v6(address);
                log::info!("this machine has no IPv6: listening on {v4} instead of {address}");
                bind(v4, false).map_err(|e| Busy { address: v4, why: explain(v4, &e) })?
            }
            Err(e) => return Err(Busy { address, why: explain(address, &e) }),
            Ok(listener) => listener,
        };
        listeners.push((address, listener));
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, v6_only: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Whatever net.ipv6.bindv6only says.
        socket.set_only_v6(v6_only)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn errno(e: &io::Error) -> Errno {
    Errno::from_raw(e.raw_os_error().unwrap_or(0))
}

fn lacks_ipv6(e: &io::Error) -> bool {
    matches!(errno(e), Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT)
}

fn explain(address: SocketAddr, e: &io::Error) -> String {
    let port = address.port();
    let other = SocketAddr::new(address.ip(), if port == 4450 { 4451 } else { 4450 });
    let elsewhere = format!("listen elsewhere (--listen {other}, or `listen` in [server])");
    match errno(e) {
        Errno::EADDRINUSE => {
            let by = ports::holder(port).map(|who| format!(" by {who}")).unwrap_or_default();
            let stop = match by.contains(" smbd ") {
                true => "stop it (systemctl disable --now smbd)".to_owned(),
                false if by.is_empty() => {
                    format!("stop what uses it (`ss -ltnp 'sport = {port}'` as root shows it)")
                }
                false => "stop it".to_owned(),
            };
            format!("the port is in use{by}; {stop}, or {elsewhere}")
        }
        Errno::EACCES | Errno::EPERM => {
            format!(
                "ports below 1024 are root's; run as root, give the process CAP_NET_BIND_SERVICE, or {elsewhere}"
            )
        }
        Errno::EADDRNOTAVAIL => {
            "this machine has no such address (`ip address` shows those it has); correct `listen` in [server]"
                .to_owned()
        }
        Errno::EAFNOSUPPORT => {
            "this machine has no IPv6; listen on an IPv4 address, such as 0.0.0.0:445".to_owned()
        }
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_who_has_it() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = held.local_addr().expect("bound");
        let why = explain(address, &bind(address, false).expect_err("in use"));
        assert!(why.contains("the port is in use by ") && why.contains("--listen 127.0.0.1:4450"), "{why}");
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let address: SocketAddr = "192.0.2.1:4450".parse().expect("an address");
        let why = explain(address, &bind(address, false).expect_err("not ours"));
        assert!(why.contains("no such address"), "{why}");
    }

    #[test]
    fn the_unspecified_ipv6_address_takes_ipv4_too() {
        let Ok(listener) = bind("[::]:0".parse().expect("an address"), false) else {
            return; // no IPv6 here
        };
        let port = listener.local_addr().expect("bound").port();
        std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
    }
}
