//! Sessions: logging on, and what protects their messages.

use smbgate::auth::client::NtlmClient;
use smbgate::crypto::{KeySet, NonceSource, PreauthHash, Sender, SessionKey};
use smbgate::types::{Dialect, NtStatus, SessionId};
use smbgate::wire::header::{HeaderFlags, TransformHeader, offset};
use smbgate::wire::negotiate::SecurityMode;
use smbgate::wire::session_setup::{SessionFlags, SessionSetupRequest, SessionSetupResponse};

use super::{Client, Reply};

pub struct Session {
    pub id: SessionId,
    pub flags: SessionFlags,
    pub key: SessionKey,
    keys: KeySet,
    nonces: NonceSource,
    /// Whether requests are signed when they are not sealed.
    pub signs: bool,
}

impl Session {
    pub fn can_seal(&self) -> bool {
        self.keys.server_in.is_some()
    }

    /// Sets the flag and signs, if the session signs.
    pub fn sign(&self, message: &mut [u8]) {
        if self.signs {
            self.sign_anyway(message);
        }
    }

    pub fn sign_anyway(&self, message: &mut [u8]) {
        message[offset::FLAGS] |= HeaderFlags::SIGNED.bits() as u8;
        self.keys.signing.sign(message, Sender::Client);
    }

    /// Whether an answer's signature holds.
    pub fn verify(&self, message: &mut [u8]) -> bool {
        self.keys.signing.verify(message, Sender::Server)
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
        let key = self.keys.server_in.as_ref().expect("a cipher was negotiated");
        key.seal(&mut header, message, self.nonces.next().expect("a nonce"));
        header
    }

    pub fn unseal(&self, header: &[u8; TransformHeader::LEN], message: &mut [u8]) {
        let key = self.keys.server_out.as_ref().expect("a cipher was negotiated");
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
                    self.add_session(&reply, flags, key, &preauth);
                    return Ok(self.session);
                }
                status => {
                    self.session = SessionId(0);
                    return Err(status);
                }
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

    fn add_session(&mut self, reply: &Reply, flags: SessionFlags, key: SessionKey, preauth: &PreauthHash) {
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
        let session = Session {
            id: reply.header.session_id,
            flags,
            key,
            keys,
            nonces: NonceSource::new(),
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
