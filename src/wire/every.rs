//! Every decoder by name, for the fuzz targets and for tests of all at once.
//!
//! Each takes any bytes and checks more than that decoding does not panic: what was decoded must survive
//! being encoded and decoded again.

use super::codec::{Reader, Writer};
use super::compression::{CompressionTransform, PatternV1};
use super::error::SymlinkErrorResponse;
use super::header::{self, Header, TransformHeader};
use super::rdma::RdmaTransform;
use super::smb1::MultiProtocolNegotiate;
use super::{
    cancel, change_notify, close, compound, create, create_context, echo, error, flush, frame, ioctl,
};
use super::{
    lock, logoff, negotiate, oplock_break, query_directory, query_info, read, session_setup, set_info,
};
use super::{tree_connect, tree_disconnect, write};

/// A name, and what takes any bytes. Panics only if the wire code is wrong.
pub type Decoder = (&'static str, fn(&[u8]));

/// A message body, behind 64 bytes that are not looked at.
macro_rules! messages {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((stringify!($name), |bytes: &[u8]| {
            let mut again = vec![0; header::LEN];
            let Ok(first) = $module::$name::decode(&mut Reader::at(bytes, header::LEN)) else { return };
            first.encode(&mut Writer::from_base(&mut again, 0));
            assert_eq!($module::$name::decode(&mut Reader::at(&again, header::LEN)).as_ref(), Ok(&first));
        })),*]
    };
}

/// Decodes from a slice, encodes to a writer.
macro_rules! payload {
    ($name:path, $bytes:expr) => {{
        use $name as Payload;
        if let Ok(first) = Payload::decode($bytes) {
            let mut again = Vec::new();
            first.encode(&mut Writer::new(&mut again));
            assert_eq!(Payload::decode(&again).as_ref(), Ok(&first));
        }
    }};
}

/// Decodes from a reader, encodes to a writer.
macro_rules! structure {
    ($name:path, $bytes:expr) => {{
        use $name as Structure;
        if let Ok(first) = Structure::decode(&mut Reader::new($bytes)) {
            let mut again = Vec::new();
            first.encode(&mut Writer::new(&mut again));
            assert_eq!(Structure::decode(&mut Reader::new(&again)).as_ref(), Ok(&first));
        }
    }};
}

/// The data of create contexts.
macro_rules! contexts {
    ($bytes:expr, $($name:ident),*) => {$(
        if let Ok(first) = create_context::$name::decode($bytes) {
            assert_eq!(create_context::$name::decode(&first.to_context().data).as_ref(), Ok(&first));
        }
    )*};
}

/// Messages, by the name of their type. The input begins with 64 bytes of header.
pub const MESSAGES: &[Decoder] = messages![
    negotiate::NegotiateRequest,
    negotiate::NegotiateResponse,
    session_setup::SessionSetupRequest,
    session_setup::SessionSetupResponse,
    logoff::LogoffRequest,
    logoff::LogoffResponse,
    tree_connect::TreeConnectRequest,
    tree_connect::TreeConnectResponse,
    tree_disconnect::TreeDisconnectRequest,
    tree_disconnect::TreeDisconnectResponse,
    create::CreateRequest,
    create::CreateResponse,
    close::CloseRequest,
    close::CloseResponse,
    flush::FlushRequest,
    flush::FlushResponse,
    read::ReadRequest,
    read::ReadResponse,
    write::WriteRequest,
    write::WriteResponse,
    lock::LockRequest,
    lock::LockResponse,
    ioctl::IoctlRequest,
    ioctl::IoctlResponse,
    cancel::CancelRequest,
    echo::EchoRequest,
    echo::EchoResponse,
    query_directory::QueryDirectoryRequest,
    query_directory::QueryDirectoryResponse,
    change_notify::ChangeNotifyRequest,
    change_notify::ChangeNotifyResponse,
    query_info::QueryInfoRequest,
    query_info::QueryInfoResponse,
    set_info::SetInfoRequest,
    set_info::SetInfoResponse,
    oplock_break::OplockBreakMessage,
    error::ErrorResponse,
];

/// What is not a message body. The input is the structure itself.
pub const PARTS: &[Decoder] = &[
    ("frame", |bytes| {
        if let Some(&first) = bytes.first_chunk()
            && let Ok(len) = frame::decode(first)
        {
            assert_eq!(frame::encode(len), first);
        }
        frame::Kind::of(bytes);
    }),
    ("compound", |bytes| {
        let mut total = 0;
        for element in compound::split(bytes).flatten() {
            assert!(element.len() >= header::LEN);
            total += element.len();
        }
        assert!(total <= bytes.len());
    }),
    ("header", |bytes| structure!(Header, bytes)),
    ("transform header", |bytes| structure!(TransformHeader, bytes)),
    ("compression", |bytes| {
        payload!(CompressionTransform, bytes);
        payload!(PatternV1, bytes);
    }),
    ("smb1", |bytes| payload!(MultiProtocolNegotiate, bytes)),
    ("rdma", |bytes| {
        // The offsets of overlapping parts need not fit once they no longer overlap: no second round.
        let _ = RdmaTransform::decode(&mut Reader::new(bytes));
    }),
    ("symlink error", |bytes| structure!(SymlinkErrorResponse, bytes)),
    ("create contexts", |bytes| {
        let mut again = Vec::new();
        if let Ok(first) = create_context::decode_list(bytes) {
            create_context::encode_list(&mut Writer::new(&mut again), &first);
            assert_eq!(create_context::decode_list(&again), Ok(first));
        }
    }),
    ("create context data", |bytes| {
        contexts!(bytes, MaximalAccessRequest, MaximalAccessResponse, QueryOnDiskIdResponse, AllocationSize);
        contexts!(bytes, TimewarpToken, Lease, AppInstanceId, AppInstanceVersion);
        contexts!(bytes, DurableHandleRequest, DurableHandleResponse, DurableHandleReconnect);
        contexts!(bytes, DurableHandleRequestV2, DurableHandleResponseV2, DurableHandleReconnectV2);
    }),
    ("ioctl payload", |bytes| {
        payload!(ioctl::ValidateNegotiateInfoRequest, bytes);
        payload!(ioctl::ValidateNegotiateInfoResponse, bytes);
        payload!(ioctl::NetworkResiliencyRequest, bytes);
        payload!(ioctl::SrvCopychunkCopy, bytes);
        payload!(ioctl::SrvCopychunkResponse, bytes);
        payload!(ioctl::SrvRequestResumeKeyResponse, bytes);
        if let Ok(first) = ioctl::NetworkInterfaceInfo::decode_list(bytes) {
            let mut again = Vec::new();
            ioctl::NetworkInterfaceInfo::encode_list(&first, &mut Writer::new(&mut again));
            assert_eq!(ioctl::NetworkInterfaceInfo::decode_list(&again), Ok(first));
        }
    }),
];
