//! FSCTL_QUERY_NETWORK_INTERFACE_INFO (MS-SMB2 3.3.5.15.11): by which addresses this client can reach the server beside
//! the one it came by.

use super::{Done, Output, encoded};
use crate::cmd::Ctx;
use crate::types::NtStatus;
use crate::wire::ioctl::{InterfaceCapability, IoctlRequest, NetworkInterfaceInfo};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// What is assumed of a link that does not say how fast it is (MS-SMB2 appendix A, note on 2.2.32.5): 1 Gbit/s.
const SPEED: u64 = 1_000_000_000;

/// Blocks for a little while.
pub fn query(ctx: &Ctx<'_>, request: &IoctlRequest<'_>) -> Done {
    let listening = ctx.gate.listening.lock().clone();
    let there = interfaces().map_err(|e| {
        log::error!("the network interfaces cannot be listed: {e}");
        NtStatus::INSUFFICIENT_RESOURCES
    })?;
    let list = reachable(&there, &listening, ctx.conn.local);
    let answer = encoded(|w| NetworkInterfaceInfo::encode_list(&list, w));
    if answer.len() > request.max_output_response as usize {
        return Err(NtStatus::BUFFER_TOO_SMALL.into());
    }
    Output::new(answer)
}

/// One address of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Interface {
    index: u32,
    address: IpAddr,
    loopback: bool,
    /// Bits per second.
    speed: u64,
    /// Its receive queues share the work among processors.
    rss: bool,
}

/// Those that are listened on at the port that the client came to, and that it can reach: from outside, loopback is
/// somebody else's, and a link-local address of another link is nobody's.
fn reachable(there: &[Interface], listening: &[SocketAddr], local: SocketAddr) -> Vec<NetworkInterfaceInfo> {
    let local = canonical(local);
    let at_home = local.ip().is_loopback();
    let own = there.iter().find(|i| i.address == local.ip());
    let listened = |address: IpAddr| {
        address == local.ip()
            || listening.iter().filter(|l| l.port() == local.port()).any(|l| match l.ip().to_canonical() {
                IpAddr::V4(v4) => v4 == address || (v4.is_unspecified() && address.is_ipv4()),
                // The unspecified address of IPv6 takes IPv4 as well.
                IpAddr::V6(v6) => v6 == address || v6.is_unspecified(),
            })
    };
    let near = |i: &Interface| match i.address {
        // Who did not come by one does not know on which of his links it is.
        IpAddr::V6(v6) if v6.is_unicast_link_local() => own.is_some_and(|own| own.address == i.address),
        IpAddr::V4(v4) if v4.is_link_local() => own.is_some_and(|own| own.address == i.address),
        _ => at_home || !i.loopback,
    };
    there
        .iter()
        .filter(|i| listened(i.address) && near(i))
        .map(|i| NetworkInterfaceInfo {
            if_index: i.index,
            capability: if i.rss { InterfaceCapability::RSS_CAPABLE } else { InterfaceCapability::empty() },
            link_speed: i.speed,
            address: i.address,
        })
        .collect()
}

/// A client that came by IPv4 to a socket of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Every address of an interface that is up.
fn interfaces() -> std::io::Result<Vec<Interface>> {
    use nix::net::if_::InterfaceFlags;
    let mut links: HashMap<String, (u32, u64, bool)> = HashMap::new();
    let mut out = Vec::new();
    for entry in nix::ifaddrs::getifaddrs()? {
        let up = entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING);
        let Some(address) = entry.address.as_ref().and_then(ip_of).filter(|_| up) else { continue };
        let name = entry.interface_name;
        let (index, speed, rss) = *links.entry(name).or_insert_with_key(|name| {
            (nix::net::if_::if_nametoindex(name.as_str()).unwrap_or(0), speed_of(name), queues_of(name) > 1)
        });
        let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        out.push(Interface { index, address, loopback, speed, rss });
    }
    Ok(out)
}

fn ip_of(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
}

/// Bits per second, as the driver says.
fn speed_of(interface: &str) -> u64 {
    let told = std::fs::read_to_string(format!("/sys/class/net/{interface}/speed")).ok();
    speed(told.as_deref())
}

/// Mbit/s; not a number above zero if the driver does not know.
fn speed(told: Option<&str>) -> u64 {
    let megabits = told.and_then(|text| text.trim().parse::<i64>().ok());
    megabits.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).map_or(SPEED, |n| n * 1_000_000)
}

/// How many receive queues it has.
fn queues_of(interface: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(format!("/sys/class/net/{interface}/queues")) else { return 0 };
    entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u32, address: &str) -> Interface {
        let address: IpAddr = address.parse().expect("an address");
        Interface { index, address, loopback: address.is_loopback(), speed: SPEED, rss: index == 2 }
    }

    fn machine() -> Vec<Interface> {
        [
            (1, "127.0.0.1"),
            (1, "::1"),
            (2, "192.0.2.7"),
            (2, "2001:db8::7"),
            (2, "fe80::7"),
            (3, "198.51.100.7"),
        ]
        .map(|(index, address)| at(index, address))
        .to_vec()
    }

    fn told(listening: &[&str], local: &str) -> Vec<String> {
        let listening: Vec<SocketAddr> = listening.iter().map(|l| l.parse().expect("an address")).collect();
        let list = reachable(&machine(), &listening, local.parse().expect("an address"));
        list.iter().map(|i| i.address.to_string()).collect()
    }

    #[test]
    fn what_listens_everywhere_is_reached_everywhere_but_on_loopback() {
        let all = ["192.0.2.7", "2001:db8::7", "198.51.100.7"];
        assert_eq!(told(&["[::]:445"], "192.0.2.7:445"), all);
        assert_eq!(told(&["[::]:445"], "[::ffff:192.0.2.7]:445"), all, "IPv4 by a socket of IPv6");
        assert_eq!(told(&["0.0.0.0:445"], "192.0.2.7:445"), ["192.0.2.7", "198.51.100.7"]);
    }

    #[test]
    fn what_listens_on_one_address_is_reached_there() {
        assert_eq!(told(&["192.0.2.7:445"], "192.0.2.7:445"), ["192.0.2.7"]);
        assert_eq!(
            told(&["192.0.2.7:445", "198.51.100.7:445"], "192.0.2.7:445"),
            ["192.0.2.7", "198.51.100.7"]
        );
        // Another port is for clients who know it.
        assert_eq!(told(&["192.0.2.7:445", "198.51.100.7:4450"], "192.0.2.7:445"), ["192.0.2.7"]);
    }

    #[test]
    fn a_client_on_this_machine_reaches_loopback_and_all_the_rest() {
        assert_eq!(told(&["127.0.0.1:445"], "127.0.0.1:445"), ["127.0.0.1"]);
        assert_eq!(told(&["0.0.0.0:445"], "127.0.0.1:445"), ["127.0.0.1", "192.0.2.7", "198.51.100.7"]);
    }

    #[test]
    fn link_local_addresses_are_for_their_link() {
        let seen = told(&["[::]:445"], "[fe80::7]:445");
        assert!(seen.contains(&"fe80::7".to_owned()), "{seen:?}");
        for local in ["198.51.100.7:445", "192.0.2.7:445"] {
            assert!(!told(&["[::]:445"], local).contains(&"fe80::7".to_owned()), "{local}");
        }
    }

    #[test]
    fn a_link_that_does_not_know_its_speed() {
        assert_eq!(speed(Some("10000\n")), 10_000_000_000);
        for unknown in [None, Some("-1\n"), Some("0\n"), Some("")] {
            assert_eq!(speed(unknown), SPEED);
        }
    }

    #[test]
    fn this_machine_has_addresses() {
        let there = interfaces().expect("listed");
        assert!(there.iter().any(|i| i.loopback && i.index > 0), "{there:?}");
    }
}
