//! What can be sent, and how it is put together.

use smbgate::types::{MessageId, SessionId, TreeId};
use smbgate::wire::codec::Writer;
use smbgate::wire::header::{Command, Header, HeaderFlags, LEN};
use smbgate::wire::*;

use super::Client;

/// A request of the wire layer.
pub trait Request {
    const COMMAND: Command;
    fn body(&self, w: &mut Writer<'_>);
    /// The larger of what is sent and what may come back: decides CreditCharge (MS-SMB2 3.1.5.2).
    fn payload(&self) -> usize {
        0
    }
}

macro_rules! requests {
    ($($type:ty = $command:ident $(, |$me:ident| $payload:expr)?;)*) => {$(
        impl Request for $type {
            const COMMAND: Command = Command::$command;
            fn body(&self, w: &mut Writer<'_>) {
                self.encode(w);
            }
            $(fn payload(&self) -> usize {
                let $me = self;
                $payload
            })?
        }
    )*};
}

requests! {
    negotiate::NegotiateRequest<'_> = NEGOTIATE;
    session_setup::SessionSetupRequest<'_> = SESSION_SETUP;
    logoff::LogoffRequest = LOGOFF;
    tree_connect::TreeConnectRequest = TREE_CONNECT;
    tree_disconnect::TreeDisconnectRequest = TREE_DISCONNECT;
    create::CreateRequest<'_> = CREATE;
    close::CloseRequest = CLOSE;
    flush::FlushRequest = FLUSH;
    read::ReadRequest<'_> = READ, |me| me.length as usize;
    write::WriteRequest<'_> = WRITE, |me| me.data.len();
    lock::LockRequest = LOCK;
    ioctl::IoctlRequest<'_> = IOCTL, |me| me.input.len().max(me.max_output_response as usize);
    cancel::CancelRequest = CANCEL;
    echo::EchoRequest = ECHO;
    oplock_break::OplockBreak = OPLOCK_BREAK;
    oplock_break::LeaseBreakAck = OPLOCK_BREAK;
    query_directory::QueryDirectoryRequest = QUERY_DIRECTORY, |me| me.output_buffer_length as usize;
    change_notify::ChangeNotifyRequest = CHANGE_NOTIFY, |me| me.output_buffer_length as usize;
    query_info::QueryInfoRequest<'_> = QUERY_INFO, |me| me.output_buffer_length as usize;
    set_info::SetInfoRequest<'_> = SET_INFO, |me| me.buffer.len();
}

/// Several requests in one message. Each is signed for itself; the padding between belongs to the first.
pub struct Compound<'c> {
    client: &'c mut Client,
    message: Vec<u8>,
    starts: Vec<usize>,
    ids: Vec<u64>,
}

impl Compound<'_> {
    /// Adds a request of its own.
    pub fn add<R: Request>(self, request: &R) -> Self {
        self.push(request, HeaderFlags::empty(), None)
    }

    /// Adds a request that is related to the one before: session, tree and file come from there.
    pub fn related<R: Request>(self, request: &R) -> Self {
        self.push(request, HeaderFlags::RELATED, Some((SessionId(u64::MAX), TreeId(u32::MAX))))
    }

    pub fn push<R: Request>(
        mut self,
        request: &R,
        flags: HeaderFlags,
        place: Option<(SessionId, TreeId)>,
    ) -> Self {
        let mut header = self.client.header::<R>(request);
        header.flags |= flags;
        if let Some((session, tree)) = place {
            (header.session_id, header.tree_id) = (session, tree);
        }
        if let Some(&last) = self.starts.last() {
            let padded = self.message.len().next_multiple_of(8);
            self.message.resize(padded, 0);
            let next = (padded - last) as u32;
            self.message[last + 20..last + 24].copy_from_slice(&next.to_le_bytes());
        }
        self.starts.push(self.message.len());
        self.ids.push(header.message_id.0);
        let mut w = Writer::new(&mut self.message);
        header.encode(&mut w);
        request.body(&mut w);
        self
    }

    /// Signs or seals as the session wants it, sends, and gives the message ids.
    pub fn send(mut self) -> Vec<u64> {
        self.client.protect_and_send(&mut self.message, &self.starts);
        self.ids
    }
}

impl Client {
    pub fn compound(&mut self) -> Compound<'_> {
        Compound { client: self, message: Vec::new(), starts: Vec::new(), ids: Vec::new() }
    }

    /// The header of the next request. Takes its message ids and its credits.
    pub fn header<R: Request>(&mut self, request: &R) -> Header {
        let charge = match self.negotiated.multi_credit {
            true => request.payload().max(1).div_ceil(65536) as u16,
            false => 0,
        };
        let consumed = i64::from(charge.max(1));
        let id = self.next_id;
        if R::COMMAND != Command::CANCEL {
            self.next_id += consumed as u64;
            self.credits -= consumed;
        }
        Header {
            credit_charge: charge,
            command: R::COMMAND,
            credits: (self.target_credits - self.credits).clamp(1, 512) as u16,
            message_id: MessageId(id),
            session_id: self.session,
            tree_id: self.tree,
            ..Header::default()
        }
    }

    /// A message as it would be sent, before signing and sealing.
    pub fn build<R: Request>(&mut self, request: &R) -> Vec<u8> {
        let header = self.header(request);
        encode(&header, request)
    }

    /// Sends one request and gives its message id.
    pub fn send<R: Request>(&mut self, request: &R) -> u64 {
        let header = self.header(request);
        let mut message = std::mem::take(&mut self.out);
        message.clear();
        let mut w = Writer::new(&mut message);
        header.encode(&mut w);
        request.body(&mut w);
        self.protect_and_send(&mut message, &[0]);
        self.out = message;
        header.message_id.0
    }

    /// The same under a header of the caller's.
    pub fn send_as<R: Request>(&mut self, header: &Header, request: &R) {
        self.protect_and_send(&mut encode(header, request), &[0]);
    }
}

/// Header and body.
pub fn encode<R: Request>(header: &Header, request: &R) -> Vec<u8> {
    let mut message = Vec::with_capacity(LEN + 64);
    let mut w = Writer::new(&mut message);
    header.encode(&mut w);
    request.body(&mut w);
    message
}
