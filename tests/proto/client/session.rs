//! Sessions: logging on, and what protects their messages.

use smbgate::auth::client::NtlmClient;
use std::sync::Arc;

use smbgate::crypto::{KeySet, NonceSource, PreauthHash, SealingKey, Sender, SessionKey, SigningKey};
use smbgate::types::{Dialect, NtStatus, SessionId};
use smbgate::wire::header::{HeaderFlags, TransformHeader, offset};
use smbgate::wire::negotiate::SecurityMode;
use smbgate::wire::session_setup::{
    SessionFlags, SessionSetupFlags, SessionSetupRequest, SessionSetupResponse,
};

use super::{Client, Reply};

pub struct Session {
    pub id: SessionId,
    pub flags: SessionFlags,
    pub key: SessionKey,
    /// That of this channel.
    signing: SigningKey,
    /// Those of the whole session.
    sealing: Arc<Sealing>,
    /// Whether requests are signed when they are not sealed.
    pub signs: bool,
}

struct Sealing {
    out: Option<SealingKey>,
    back: Option<SealingKey>,
    nonces: NonceSource,
}

impl Session {
    pub fn can_seal(&self) -> bool {
        self.sealing.out.is_some()
    }

    /// Sets the flag and signs, if the session signs.
    pub fn sign(&self, message: &mut [u8]) {
        if self.signs {
            self.sign_anyway(message);
        }
    }

    pub fn sign_anyway(&self, message: &mut [u8]) {
        message[offset::FLAGS] |= HeaderFlags::SIGNED.bits() as u8;
        self.signing.sign(message, Sender::Client);
    }

    /// Whether an answer's signature holds.
    pub fn verify(&self, message: &mut [u8]) -> bool {
        self.signing.verify(message, Sender::Server)
    }

    /// Seals in place and gives the transform header.
    pub fn seal(&self, message: &mut [u8]) -> [u8; TransformHeader::LEN] {
        let mut header = TransformHeader {
            original_message_size: message.len() as u32,
            flags: TransformHeader::ENCRYPTED,
            session_id: self.id,
            ..TransformHeader::default()
        }
        .to_bytes();
        let key = self.sealing.out.as_ref().expect("a cipher was negotiated");
        key.seal(&mut header, message, self.sealing.nonces.next().expect("a nonce"));
        header
    }

    pub fn unseal(&self, header: &[u8; TransformHeader::LEN], message: &mut [u8]) {
        let key = self.sealing.back.as_ref().expect("a cipher was negotiated");
        key.open(header, message).expect("the server sealed it");
    }
}

impl Client {
    /// Logs on with NTLM; the new session becomes the current one.
    pub fn logon(&mut self, user: &str, password: &str) -> Result<SessionId, NtStatus> {
        self.logon_as(NtlmClient::new("WORKGROUP", user, password), SessionSetupRequest::default())
    }

    /// The same with another client of the mechanism, or other fields in the requests.
    pub fn logon_as(
        &mut self,
        mut ntlm: NtlmClient,
        base: SessionSetupRequest<'_>,
    ) -> Result<SessionId, NtStatus> {
        self.session = SessionId(0);
        let mut preauth = self.preauth.clone();
        let mut token = ntlm.start();
        loop {
            let reply =
                self.session_setup(&SessionSetupRequest { security_buffer: &token, ..base }, &mut preauth);
            self.session = reply.header.session_id;
            let answer = SessionSetupResponse::decode(&mut reply.reader());
            match reply.status() {
                NtStatus::MORE_PROCESSING_REQUIRED => {
                    preauth.update(&reply.message);
                    token = ntlm
                        .answer(answer.expect("SESSION_SETUP answer").security_buffer)
                        .expect("NTLM challenge");
                }
                NtStatus::SUCCESS => {
                    let answer = answer.expect("SESSION_SETUP answer");
                    let token = Some(answer.security_buffer).filter(|t| !t.is_empty());
                    let key = ntlm.finish(token).expect("the server's proof");
                    let flags = answer.session_flags;
                    self.add_session(&reply, flags, key, &preauth, None);
                    return Ok(self.session);
                }
                status => {
                    self.session = SessionId(0);
                    return Err(status);
                }
            }
        }
    }

    /// Binds this connection to a session of another one (SMB2_SESSION_FLAG_BINDING): a channel of its own key. The
    /// tree is that of the other connection. Refused, it leaves this connection as it was.
    pub fn bind(&mut self, to: &Client, user: &str, password: &str) -> Result<(), NtStatus> {
        let parent = to.current().expect("a session to bind to");
        self.bind_by(
            parent,
            SessionSetupFlags::BINDING,
            |key, message| key.sign_anyway(message),
            user,
            password,
        )?;
        self.tree = to.tree;
        Ok(())
    }

    /// The same with other flags, and with whatever is done to the requests in place of signing them.
    pub fn bind_by(
        &mut self,
        parent: &Session,
        flags: SessionSetupFlags,
        sign: impl Fn(&Session, &mut [u8]),
        user: &str,
        password: &str,
    ) -> Result<(), NtStatus> {
        let (before, mut preauth) = (self.session, self.preauth.clone());
        self.session = parent.id;
        let mut ntlm = NtlmClient::new("WORKGROUP", user, password);
        let mut token = ntlm.start();
        loop {
            let request = SessionSetupRequest {
                flags,
                security_mode: SecurityMode::SIGNING_ENABLED,
                security_buffer: &token,
                ..SessionSetupRequest::default()
            };
            let mut message = self.build(&request);
            sign(parent, &mut message);
            preauth.update(&message);
            self.send_message(&message);
            let reply = self.receive();
            if reply.status() == NtStatus::MORE_PROCESSING_REQUIRED {
                assert!(parent.verify(&mut reply.message.clone()), "signed with the session's own key");
                preauth.update(&reply.message);
                let answer = SessionSetupResponse::decode(&mut reply.reader()).expect("SESSION_SETUP answer");
                token = ntlm.answer(answer.security_buffer).expect("NTLM challenge");
            } else if reply.status() == NtStatus::SUCCESS {
                let answer = SessionSetupResponse::decode(&mut reply.reader()).expect("SESSION_SETUP answer");
                let token = Some(answer.security_buffer).filter(|t| !t.is_empty());
                let key = ntlm.finish(token).expect("the server's proof");
                let sealing = Arc::clone(&parent.sealing);
                self.add_session(&reply, answer.session_flags, key, &preauth, Some(sealing));
                return Ok(());
            } else {
                self.session = before;
                return Err(reply.status());
            }
        }
    }

    /// One request and its answer; the request enters the hash.
    pub fn session_setup(&mut self, request: &SessionSetupRequest<'_>, preauth: &mut PreauthHash) -> Reply {
        let mut request = *request;
        request.security_mode |= SecurityMode::SIGNING_ENABLED;
        let message = self.build(&request);
        preauth.update(&message);
        self.send_message(&message);
        self.receive()
    }

    pub fn preauth(&self) -> PreauthHash {
        self.preauth.clone()
    }

    fn add_session(
        &mut self,
        reply: &Reply,
        flags: SessionFlags,
        key: SessionKey,
        preauth: &PreauthHash,
        parent: Option<Arc<Sealing>>,
    ) {
        let n = &self.negotiated;
        let dialect = n.dialect;
        let keys = KeySet::derive(
            dialect,
            n.cipher,
            n.signing,
            &key,
            (dialect == Dialect::SMB3_11).then_some(preauth),
        );
        let nobody = flags.intersects(SessionFlags::IS_GUEST | SessionFlags::IS_NULL);
        let sealing = parent.unwrap_or_else(|| {
            Arc::new(Sealing { out: keys.server_in, back: keys.server_out, nonces: NonceSource::new() })
        });
        let session = Session {
            id: reply.header.session_id,
            flags,
            key,
            signing: keys.signing,
            sealing,
            signs: !nobody,
        };
        if reply.header.flags.contains(HeaderFlags::SIGNED) {
            assert!(
                session.verify(&mut reply.message.clone()),
                "the last SESSION_SETUP answer's signature does not hold"
            );
        } else {
            assert!(nobody || dialect != Dialect::SMB3_11, "3.1.1 signs the last SESSION_SETUP answer");
        }
        if flags.contains(SessionFlags::ENCRYPT_DATA) {
            self.seal = true;
        }
        self.sessions.insert(session.id.0, session);
    }
}
