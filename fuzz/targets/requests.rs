//! Every request: a whole message from its header, whose command says what the body is. What decodes also encodes,
//! and decodes to the same again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use smbgate::wire::codec::{Reader, Writer};
use smbgate::wire::header::{Command, Header, LEN};
use smbgate::wire::*;

macro_rules! round {
    ($message:expr, $type:ty) => {
        if let Ok(value) = <$type>::decode(&mut Reader::at($message, LEN)) {
            let mut out = vec![0; LEN];
            value.encode(&mut Writer::from_base(&mut out, 0));
            let again = <$type>::decode(&mut Reader::at(&out, LEN)).expect("what was encoded decodes");
            assert_eq!(again, value);
        }
    };
}

fuzz_target!(|message: &[u8]| {
    // Longer names and buffers than the fields can state are not what a client can send.
    if message.len() > 32768 {
        return;
    }
    let Ok(header) = Header::decode(&mut Reader::new(message)) else { return };
    match header.command {
        Command::NEGOTIATE => round!(message, negotiate::NegotiateRequest<'_>),
        Command::SESSION_SETUP => round!(message, session_setup::SessionSetupRequest<'_>),
        Command::LOGOFF => round!(message, logoff::LogoffRequest),
        Command::TREE_CONNECT => round!(message, tree_connect::TreeConnectRequest),
        Command::TREE_DISCONNECT => round!(message, tree_disconnect::TreeDisconnectRequest),
        Command::CREATE => round!(message, create::CreateRequest<'_>),
        Command::CLOSE => round!(message, close::CloseRequest),
        Command::FLUSH => round!(message, flush::FlushRequest),
        Command::READ => round!(message, read::ReadRequest<'_>),
        Command::WRITE => {
            let decoded = write::WriteRequest::decode(&mut Reader::at(message, LEN));
            // What is encoded has the channel info before the data, which may not stand as far behind as that can be.
            if decoded.is_ok_and(|write| write.write_channel_info.len() <= 128) {
                round!(message, write::WriteRequest<'_>);
            }
        }
        Command::LOCK => round!(message, lock::LockRequest),
        Command::IOCTL => round!(message, ioctl::IoctlRequest<'_>),
        Command::CANCEL => round!(message, cancel::CancelRequest),
        Command::ECHO => round!(message, echo::EchoRequest),
        Command::QUERY_DIRECTORY => round!(message, query_directory::QueryDirectoryRequest),
        Command::CHANGE_NOTIFY => round!(message, change_notify::ChangeNotifyRequest),
        Command::QUERY_INFO => round!(message, query_info::QueryInfoRequest<'_>),
        Command::SET_INFO => round!(message, set_info::SetInfoRequest<'_>),
        Command::OPLOCK_BREAK => {
            let _ = oplock_break::OplockBreak::decode(&mut Reader::at(message, LEN));
        }
        _ => {}
    }
});
