//! NETWORK_INTERFACE_INFO (MS-SMB2 2.2.32.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::codec::{DecodeError, Reader, Result, Writer};

bitflags::bitflags! {
    /// MS-SMB2 2.2.32.5 Capability.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct InterfaceCapability: u32 {
        const RSS_CAPABLE = 1;
        const RDMA_CAPABLE = 2;
        const _ = !0;
    }
}

/// MS-SMB2 2.2.32.5, one entry of the output of QUERY_NETWORK_INTERFACE_INFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkInterfaceInfo {
    pub if_index: u32,
    pub capability: InterfaceCapability,
    /// Bits per second.
    pub link_speed: u64,
    pub address: IpAddr,
}

/// Bytes of an entry: 24, and a SockAddr_Storage of 128.
const LEN: usize = 152;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 23;

impl NetworkInterfaceInfo {
    /// The whole list. Entries of other address families are left out.
    pub fn decode_list(output: &[u8]) -> Result<Vec<NetworkInterfaceInfo>> {
        const WHAT: &str = "NETWORK_INTERFACE_INFO";
        let mut out = Vec::new();
        let mut at = 0;
        if output.is_empty() {
            return Ok(out);
        }
        loop {
            let mut r = Reader::at(output, at).sub(LEN, WHAT)?;
            let next = r.u32(WHAT)? as usize;
            let (if_index, capability) = (r.u32(WHAT)?, InterfaceCapability::from_bits_retain(r.u32(WHAT)?));
            r.skip(4, WHAT)?;
            let link_speed = r.u64(WHAT)?;
            let family = r.u16(WHAT)?;
            r.skip(2, WHAT)?;
            let address = match family {
                AF_INET => Some(IpAddr::from(Ipv4Addr::from(r.array::<4>(WHAT)?))),
                AF_INET6 => {
                    r.skip(4, WHAT)?;
                    Some(IpAddr::from(Ipv6Addr::from(r.array::<16>(WHAT)?)))
                }
                _ => None,
            };
            out.extend(address.map(|address| NetworkInterfaceInfo {
                if_index,
                capability,
                link_speed,
                address,
            }));
            if next == 0 {
                return Ok(out);
            }
            if next < LEN {
                return Err(DecodeError::new(WHAT));
            }
            at = at.checked_add(next).ok_or(DecodeError::new(WHAT))?;
        }
    }

    pub fn encode_list(list: &[NetworkInterfaceInfo], w: &mut Writer<'_>) {
        let last = list.len().saturating_sub(1);
        for (i, entry) in list.iter().enumerate() {
            let at = w.pos();
            w.u32(if i < last { LEN as u32 } else { 0 });
            w.u32(entry.if_index);
            w.u32(entry.capability.bits());
            w.u32(0);
            w.u64(entry.link_speed);
            match entry.address {
                IpAddr::V4(v4) => {
                    w.u16(AF_INET);
                    w.u16(0);
                    w.bytes(&v4.octets());
                }
                IpAddr::V6(v6) => {
                    w.u16(AF_INET6);
                    w.u16(0);
                    w.u32(0);
                    w.bytes(&v6.octets());
                }
            }
            w.zeros(LEN - (w.pos() - at));
        }
    }
}
