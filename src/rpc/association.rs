//! The server's side of an association (C706 9.4, MS-RPCE 3.3): BIND, then calls. PDUs in, PDUs out.

use super::Context;
use super::ndr::NdrReader;
use super::pdu::{self, Bind, Fault, Header, Outcome, PacketType, Proposal, Syntax};
use crate::wire::codec::{DecodeError, Reader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Answers a call: the stub of the response, return value included.
pub type Call = fn(&Context, opnum: u16, arguments: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault>;

/// One client's side of an interface: what it keeps between calls.
pub trait Calls: Send + std::fmt::Debug {
    fn call(&mut self, context: &Context, opnum: u16, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault>;
}

/// An interface that keeps nothing.
#[derive(Debug)]
pub struct Stateless(pub Call);

impl Calls for Stateless {
    fn call(&mut self, context: &Context, opnum: u16, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
        (self.0)(context, opnum, r)
    }
}

/// An interface behind a pipe.
#[derive(Debug)]
pub struct Service {
    pub interface: Syntax,
    /// Its calls look up accounts, which may take long.
    pub blocks: bool,
    pub calls: fn() -> Box<dyn Calls>,
}

/// A pipe, by its name in lower case, and the interfaces that can be bound through it.
#[derive(Debug)]
pub struct Endpoint {
    pub name: &'static str,
    pub services: &'static [&'static Service],
}

/// The arguments of one call, over all fragments.
pub const MAX_STUB: usize = 1 << 20;
/// What Windows uses; every client can take it.
const MAX_FRAG: u16 = 4280;
/// C706 12.6.3.7 MustRecvFragSize: nobody may ask for less.
const MIN_FRAG: u16 = 1432;
/// Presentation contexts of one association.
const MAX_CONTEXTS: usize = 16;

/// Association groups only have to differ; nothing is kept in them.
static NEXT_GROUP: AtomicU32 = AtomicU32::new(0x5342_0001);

/// A call whose fragments are still coming.
#[derive(Debug)]
struct Partial {
    call_id: u32,
    context_id: u16,
    opnum: u16,
    stub: Vec<u8>,
}

/// The peer broke the protocol: nothing more is taken from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

impl From<DecodeError> for Broken {
    fn from(_: DecodeError) -> Broken {
        Broken
    }
}

/// One client of one pipe.
#[derive(Debug)]
pub struct Association {
    endpoint: &'static Endpoint,
    /// For each of the endpoint's services.
    calls: Vec<Box<dyn Calls>>,
    context: Arc<Context>,
    bound: bool,
    group: u32,
    frag: u16,
    /// Accepted presentation contexts: the id, and which of the services.
    contexts: Vec<(u16, usize)>,
    partial: Option<Partial>,
}

impl Association {
    pub fn new(endpoint: &'static Endpoint, context: Arc<Context>) -> Association {
        Association {
            endpoint,
            calls: endpoint.services.iter().map(|service| (service.calls)()).collect(),
            context,
            bound: false,
            group: 0,
            frag: MIN_FRAG,
            contexts: Vec::new(),
            partial: None,
        }
    }

    /// Takes one whole PDU; gives each PDU of the answer to `out`, also when the association breaks.
    pub fn take(&mut self, pdu: &[u8], out: &mut dyn FnMut(Vec<u8>)) -> Result<(), Broken> {
        let mut r = Reader::new(pdu);
        let header = Header::decode(&mut r)?;
        match header.kind {
            PacketType::BIND | PacketType::ALTER_CONTEXT => self.bind(header, &mut r, out),
            PacketType::REQUEST => self.request(header, &mut r, out),
            PacketType::ORPHANED => {
                if self.partial.as_ref().is_some_and(|p| p.call_id == header.call_id) {
                    self.partial = None;
                }
                Ok(())
            }
            // A call is over before it can be cancelled.
            PacketType::CO_CANCEL => Ok(()),
            _ => Err(Broken),
        }
    }

    fn bind(
        &mut self,
        header: Header,
        r: &mut Reader<'_>,
        out: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), Broken> {
        let alter = header.kind == PacketType::ALTER_CONTEXT;
        if alter != self.bound || self.partial.is_some() {
            out(if alter {
                pdu::fault(header.call_id, 0, Fault::PROTO_ERROR)
            } else {
                pdu::bind_nak(header.call_id, pdu::NAK_NOT_SPECIFIED)
            });
            return Err(Broken);
        }
        // The SMB session has authenticated the client; security inside RPC is not offered.
        if header.auth_length != 0 {
            out(pdu::bind_nak(header.call_id, pdu::NAK_AUTHENTICATION));
            return Err(Broken);
        }
        let Ok(bind) = Bind::decode(r) else {
            out(pdu::bind_nak(header.call_id, pdu::NAK_NOT_SPECIFIED));
            return Err(Broken);
        };
        if !alter {
            self.bound = true;
            self.frag = bind.max_recv_frag.clamp(MIN_FRAG, MAX_FRAG);
            self.group = bind.assoc_group_id;
            while self.group == 0 {
                self.group = NEXT_GROUP.fetch_add(1, Ordering::Relaxed);
            }
        }
        let outcomes: Vec<Outcome> = bind.proposals.iter().map(|p| self.judge(p)).collect();
        let address = if alter { String::new() } else { format!("\\PIPE\\{}", self.endpoint.name) };
        let kind = if alter { PacketType::ALTER_CONTEXT_RESP } else { PacketType::BIND_ACK };
        out(pdu::bind_ack(kind, header.call_id, self.frag, self.group, &address, &outcomes));
        Ok(())
    }

    fn judge(&mut self, proposal: &Proposal) -> Outcome {
        if proposal.transfer.iter().any(Syntax::is_feature_negotiation) {
            // None of the features means anything on a pipe that answers each call at once.
            return Outcome::Features(0);
        }
        let serves = |service: &&Service| {
            let (asked, ours) = (proposal.interface, service.interface);
            let (major, minor) = (asked.version & 0xFFFF, asked.version >> 16);
            asked.uuid == ours.uuid && major == ours.version & 0xFFFF && minor <= ours.version >> 16
        };
        let Some(service) = self.endpoint.services.iter().position(serves) else {
            return Outcome::NoSuchInterface;
        };
        if !proposal.transfer.contains(&Syntax::NDR) {
            return Outcome::NoSuchTransferSyntax;
        }
        match self.contexts.iter().position(|(id, _)| *id == proposal.context_id) {
            Some(at) => self.contexts[at].1 = service,
            None if self.contexts.len() == MAX_CONTEXTS => return Outcome::TooMany,
            None => self.contexts.push((proposal.context_id, service)),
        }
        Outcome::Accepted
    }

    fn request(
        &mut self,
        header: Header,
        r: &mut Reader<'_>,
        out: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), Broken> {
        let decode = |r: &mut Reader<'_>| -> Result<(u16, u16), DecodeError> {
            r.skip(4, "alloc_hint")?;
            let ids = (r.u16("p_cont_id")?, r.u16("opnum")?);
            if header.flags & pdu::OBJECT_UUID != 0 {
                r.skip(16, "object")?;
            }
            Ok(ids)
        };
        let first = header.flags & pdu::FIRST_FRAG != 0;
        let decoded = decode(r);
        let (context_id, opnum) = match decoded {
            Ok(ids) if self.bound && header.auth_length == 0 && first == self.partial.is_none() => ids,
            _ => {
                out(pdu::fault(header.call_id, 0, Fault::PROTO_ERROR));
                return Err(Broken);
            }
        };
        let mut call = self.partial.take().unwrap_or(Partial {
            call_id: header.call_id,
            context_id,
            opnum,
            stub: Vec::new(),
        });
        let stub = r.rest();
        let refusal = if call.call_id != header.call_id {
            Some(Fault::PROTO_ERROR)
        } else {
            (call.stub.len() + stub.len() > MAX_STUB).then_some(Fault::REMOTE_NO_MEMORY)
        };
        if let Some(fault) = refusal {
            out(pdu::fault(header.call_id, context_id, fault));
            return Err(Broken);
        }
        if header.flags & pdu::LAST_FRAG == 0 {
            call.stub.extend_from_slice(stub);
            self.partial = Some(call);
            return Ok(());
        }
        let stub = if call.stub.is_empty() {
            stub
        } else {
            call.stub.extend_from_slice(stub);
            &call.stub
        };
        let answer = match self.contexts.iter().find(|(id, _)| *id == call.context_id) {
            Some(&(_, at)) => self.calls[at].call(&self.context, call.opnum, &mut NdrReader::new(stub)),
            None => Err(Fault::UNK_IF),
        };
        if header.flags & pdu::MAYBE != 0 {
            return Ok(());
        }
        match answer {
            Ok(stub) => {
                pdu::response(call.call_id, call.context_id, &stub, self.frag).into_iter().for_each(out);
            }
            Err(fault) => out(pdu::fault(call.call_id, call.context_id, fault)),
        }
        Ok(())
    }
}
