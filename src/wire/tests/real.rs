//! Packets of real clients and servers: smbclient and smbtorture 4.17 with smbd, dialects 2.0.2 to 3.1.1,
//! recorded between them. One a line: C (from the client) or S, and the message in hex.

use super::super::codec::{Reader, Writer};
use super::super::create_context::{self, name};
use super::super::header::{Command, Header, HeaderFlags};
use super::super::ioctl::{CtlCode, IoctlRequest, IoctlResponse, NetworkInterfaceInfo, SrvCopychunkCopy};
use super::super::negotiate::{NegotiateRequest, NegotiateResponse};
use super::super::negotiate_context::{ContextType, NegotiateContext};
use super::super::smb1::MultiProtocolNegotiate;
use super::super::{
    cancel, change_notify, close, compound, create, echo, error, flush, frame, header, lock, logoff,
    oplock_break, query_directory, query_info, read, session_setup, set_info, tree_connect, tree_disconnect,
    write,
};
use super::{body, message};
use crate::types::{Dialect, LeaseState, NtStatus};

/// One message as it was sent.
pub struct Packet {
    pub from_client: bool,
    pub bytes: Vec<u8>,
}

/// All of them.
pub fn packets() -> Vec<Packet> {
    include_str!("real.txt").lines().map(parse).collect()
}

fn parse(line: &str) -> Packet {
    let (from, hex) = line.split_once(' ').unwrap();
    let bytes = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    Packet { from_client: from == "C", bytes }
}

/// Every element of every packet, with its header.
fn elements() -> Vec<(bool, Header, Vec<u8>)> {
    let mut out = Vec::new();
    for packet in packets().iter().filter(|p| frame::Kind::of(&p.bytes) == Some(frame::Kind::Smb2)) {
        for element in compound::split(&packet.bytes) {
            let element = element.unwrap();
            let header = Header::decode(&mut Reader::new(element)).unwrap();
            out.push((packet.from_client, header, element.to_vec()));
        }
    }
    out
}

#[test]
fn headers_come_back_to_the_byte() {
    for (from_client, header, element) in elements() {
        assert_eq!(header.flags.contains(HeaderFlags::RESPONSE), !from_client);
        let mut again = Vec::new();
        header.encode(&mut Writer::new(&mut again));
        let mut sent = element[..header::LEN].to_vec();
        if !header.flags.contains(HeaderFlags::ASYNC) {
            sent[32..36].fill(0); // Reserved, where old clients put a process id
        }
        assert_eq!(again, sent);
    }
}

/// Decodes, encodes, decodes, and compares.
macro_rules! check {
    ($element:expr, $module:ident :: $name:ident) => {{
        let again;
        let first = $module::$name::decode(&mut body($element))
            .unwrap_or_else(|e| panic!("{} {e}: {:02x?}", stringify!($name), $element));
        again = message(|w| first.encode(w));
        assert_eq!($module::$name::decode(&mut body(&again)).unwrap(), first);
    }};
}

#[test]
fn bodies_decode_and_survive() {
    use super::super::{ioctl, negotiate};
    for (from_client, header, element) in elements() {
        let e = &element;
        let status = header.nt_status();
        if !from_client && status.is_error() && status != NtStatus::MORE_PROCESSING_REQUIRED {
            // The one error that answers with its own body (MS-SMB2 3.3.4.4).
            if header.command != Command::IOCTL || e[64] == 9 {
                check!(e, error::ErrorResponse);
                continue;
            }
        }
        if status == NtStatus::PENDING || status == NtStatus::NOTIFY_CLEANUP && e[64] == 9 {
            check!(e, error::ErrorResponse);
            continue;
        }
        match (header.command, from_client) {
            (Command::NEGOTIATE, true) => check!(e, negotiate::NegotiateRequest),
            (Command::NEGOTIATE, false) => check!(e, negotiate::NegotiateResponse),
            (Command::SESSION_SETUP, true) => check!(e, session_setup::SessionSetupRequest),
            (Command::SESSION_SETUP, false) => check!(e, session_setup::SessionSetupResponse),
            (Command::LOGOFF, true) => check!(e, logoff::LogoffRequest),
            (Command::LOGOFF, false) => check!(e, logoff::LogoffResponse),
            (Command::TREE_CONNECT, true) => check!(e, tree_connect::TreeConnectRequest),
            (Command::TREE_CONNECT, false) => check!(e, tree_connect::TreeConnectResponse),
            (Command::TREE_DISCONNECT, true) => check!(e, tree_disconnect::TreeDisconnectRequest),
            (Command::TREE_DISCONNECT, false) => check!(e, tree_disconnect::TreeDisconnectResponse),
            (Command::CREATE, true) => check!(e, create::CreateRequest),
            (Command::CREATE, false) => check!(e, create::CreateResponse),
            (Command::CLOSE, true) => check!(e, close::CloseRequest),
            (Command::CLOSE, false) => check!(e, close::CloseResponse),
            (Command::FLUSH, true) => check!(e, flush::FlushRequest),
            (Command::FLUSH, false) => check!(e, flush::FlushResponse),
            (Command::READ, true) => check!(e, read::ReadRequest),
            (Command::READ, false) => check!(e, read::ReadResponse),
            (Command::WRITE, true) => check!(e, write::WriteRequest),
            (Command::WRITE, false) => check!(e, write::WriteResponse),
            (Command::LOCK, true) => check!(e, lock::LockRequest),
            (Command::LOCK, false) => check!(e, lock::LockResponse),
            (Command::IOCTL, true) => check!(e, ioctl::IoctlRequest),
            (Command::IOCTL, false) => check!(e, ioctl::IoctlResponse),
            (Command::CANCEL, _) => check!(e, cancel::CancelRequest),
            (Command::ECHO, true) => check!(e, echo::EchoRequest),
            (Command::ECHO, false) => check!(e, echo::EchoResponse),
            (Command::QUERY_DIRECTORY, true) => check!(e, query_directory::QueryDirectoryRequest),
            (Command::QUERY_DIRECTORY, false) => check!(e, query_directory::QueryDirectoryResponse),
            (Command::CHANGE_NOTIFY, true) => check!(e, change_notify::ChangeNotifyRequest),
            (Command::CHANGE_NOTIFY, false) => check!(e, change_notify::ChangeNotifyResponse),
            (Command::QUERY_INFO, true) => check!(e, query_info::QueryInfoRequest),
            (Command::QUERY_INFO, false) => check!(e, query_info::QueryInfoResponse),
            (Command::SET_INFO, true) => check!(e, set_info::SetInfoRequest),
            (Command::SET_INFO, false) => check!(e, set_info::SetInfoResponse),
            (Command::OPLOCK_BREAK, _) => check!(e, oplock_break::OplockBreakMessage),
            (command, _) => panic!("{command:?}"),
        }
    }
}

#[test]
fn the_multi_protocol_negotiate_is_found() {
    let packets = packets();
    let smb1: Vec<_> =
        packets.iter().filter(|p| frame::Kind::of(&p.bytes) == Some(frame::Kind::Smb1)).collect();
    assert_eq!(smb1.len(), 1);
    let found = MultiProtocolNegotiate::decode(&smb1[0].bytes).unwrap();
    assert_eq!(found, MultiProtocolNegotiate { smb_2_002: true, smb_2_wildcard: true });
}

#[test]
fn smbclient_negotiates_311_with_contexts() {
    let request = elements()
        .into_iter()
        .filter(|(c, h, _)| *c && h.command == Command::NEGOTIATE)
        .find(|(_, _, e)| {
            NegotiateRequest::decode(&mut body(e)).unwrap().dialects.contains(&Dialect::SMB3_11)
        })
        .unwrap()
        .2;
    let request = NegotiateRequest::decode(&mut body(&request)).unwrap();
    let types: Vec<_> = request.negotiate_contexts.iter().map(NegotiateContext::context_type).collect();
    assert!(types.contains(&ContextType::PREAUTH_INTEGRITY), "{types:?}");
    assert!(types.contains(&ContextType::ENCRYPTION), "{types:?}");
    let answer = elements()
        .into_iter()
        .filter(|(c, h, _)| !*c && h.command == Command::NEGOTIATE)
        .find(|(_, _, e)| {
            NegotiateResponse::decode(&mut body(e)).unwrap().dialect_revision == Dialect::SMB3_11
        })
        .unwrap()
        .2;
    let answer = NegotiateResponse::decode(&mut body(&answer)).unwrap();
    assert!(
        matches!(answer.negotiate_contexts[0], NegotiateContext::PreauthIntegrity { salt, .. } if salt.len() == 32)
    );
    assert_eq!(answer.max_read_size, 8 << 20);
    assert_eq!(answer.security_buffer[0], 0x60);
}

#[test]
fn leases_durable_handles_and_the_rest_are_found_in_creates() {
    let mut seen = std::collections::BTreeSet::new();
    for (_, _, e) in elements().iter().filter(|(c, h, _)| *c && h.command == Command::CREATE) {
        let request = create::CreateRequest::decode(&mut body(e)).unwrap();
        for context in &request.create_contexts {
            seen.insert(context.name.to_vec());
        }
        if let Some(data) = create_context::find(&request.create_contexts, name::REQUEST_LEASE) {
            let lease = create_context::Lease::decode(data).unwrap();
            assert!(LeaseState::all().contains(lease.lease_state()));
        }
        if let Some(data) = create_context::find(&request.create_contexts, name::DURABLE_HANDLE_REQUEST_V2) {
            create_context::DurableHandleRequestV2::decode(data).unwrap();
        }
        if let Some(data) = create_context::find(&request.create_contexts, name::QUERY_MAXIMAL_ACCESS) {
            create_context::MaximalAccessRequest::decode(data).unwrap();
        }
    }
    for wanted in [name::REQUEST_LEASE, name::DURABLE_HANDLE_REQUEST_V2, name::QUERY_MAXIMAL_ACCESS] {
        assert!(seen.contains(wanted), "{:?}", String::from_utf8_lossy(wanted));
    }
}

#[test]
fn ioctl_payloads_decode() {
    let mut seen = Vec::new();
    for (from_client, _, e) in elements().iter().filter(|(_, h, _)| h.command == Command::IOCTL) {
        if *from_client {
            let request = IoctlRequest::decode(&mut body(e)).unwrap();
            if request.ctl_code == CtlCode::SRV_COPYCHUNK {
                SrvCopychunkCopy::decode(request.input).unwrap();
            }
            seen.push(request.ctl_code);
        } else if let Ok(answer) = IoctlResponse::decode(&mut body(e))
            && answer.ctl_code == CtlCode::QUERY_NETWORK_INTERFACE_INFO
        {
            NetworkInterfaceInfo::decode_list(answer.output).unwrap();
        }
    }
    assert!(seen.contains(&CtlCode::SRV_COPYCHUNK), "{seen:?}");
    assert!(seen.contains(&CtlCode::SRV_REQUEST_RESUME_KEY), "{seen:?}");
}
