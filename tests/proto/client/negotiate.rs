//! NEGOTIATE.

use smbgate::crypto::{Cipher, PreauthHash, SigningAlgorithm};
use smbgate::types::{Dialect, Guid, NtStatus};
use smbgate::wire::negotiate::{Capabilities, NegotiateRequest, NegotiateResponse, SecurityMode};
use smbgate::wire::negotiate_context::{CipherId, HashAlgorithm, NegotiateContext, SigningAlgorithmId};

use super::{Client, Reply};

/// What the client offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub dialects: Vec<Dialect>,
    /// In order of preference. Empty: no context.
    pub ciphers: Vec<Cipher>,
    pub signing: Vec<SigningAlgorithm>,
    pub security_mode: SecurityMode,
    pub capabilities: Capabilities,
    pub client_guid: Guid,
    /// Contexts besides preauth integrity, encryption and signing.
    pub more: Vec<NegotiateContext<'static>>,
}

impl Default for Offer {
    fn default() -> Offer {
        Offer {
            dialects: Dialect::ALL.to_vec(),
            ciphers: vec![Cipher::Aes128Gcm, Cipher::Aes128Ccm, Cipher::Aes256Gcm, Cipher::Aes256Ccm],
            signing: vec![SigningAlgorithm::AesGmac, SigningAlgorithm::AesCmac, SigningAlgorithm::HmacSha256],
            security_mode: SecurityMode::SIGNING_ENABLED,
            capabilities: Capabilities::LEASING
                | Capabilities::LARGE_MTU
                | Capabilities::ENCRYPTION
                | Capabilities::DIRECTORY_LEASING
                | Capabilities::MULTI_CHANNEL,
            client_guid: random_guid(),
            more: Vec::new(),
        }
    }
}

/// A client of its own: servers may tie connections of one ClientGuid together (smbd gives them one process).
fn random_guid() -> Guid {
    let mut guid = [0; 16];
    getrandom::fill(&mut guid).expect("random bytes");
    Guid(guid)
}

impl Offer {
    pub fn dialect(dialect: Dialect) -> Offer {
        Offer { dialects: vec![dialect], ..Offer::default() }
    }

    pub fn cipher(cipher: Cipher) -> Offer {
        Offer { ciphers: vec![cipher], ..Offer::default() }
    }

    pub fn signing(algorithm: SigningAlgorithm) -> Offer {
        Offer { signing: vec![algorithm], ..Offer::default() }
    }

    pub fn contexts(&self) -> Vec<NegotiateContext<'static>> {
        if !self.dialects.contains(&Dialect::SMB3_11) {
            return Vec::new();
        }
        let mut out = vec![NegotiateContext::PreauthIntegrity {
            hash_algorithms: [HashAlgorithm::SHA_512].into_iter().collect(),
            salt: b"0123456789abcdef0123456789abcdef",
        }];
        if !self.ciphers.is_empty() {
            let ciphers = self.ciphers.iter().map(|c| CipherId(c.to_wire())).collect();
            out.push(NegotiateContext::Encryption { ciphers });
        }
        if !self.signing.is_empty() {
            let signing_algorithms = self.signing.iter().map(|s| SigningAlgorithmId(s.to_wire())).collect();
            out.push(NegotiateContext::Signing { signing_algorithms });
        }
        out.extend(self.more.iter().cloned());
        out
    }

    pub fn request(&self) -> NegotiateRequest<'static> {
        NegotiateRequest {
            security_mode: self.security_mode,
            capabilities: if self.dialects.iter().any(|d| d.is_smb3()) {
                self.capabilities
            } else {
                Capabilities::empty()
            },
            client_guid: if self.dialects == [Dialect::SMB2_02] { Guid::default() } else { self.client_guid },
            dialects: self.dialects.iter().copied().collect(),
            negotiate_contexts: self.contexts(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Negotiated {
    pub dialect: Dialect,
    pub cipher: Option<Cipher>,
    pub signing: SigningAlgorithm,
    pub security_mode: SecurityMode,
    pub capabilities: Capabilities,
    pub server_guid: Guid,
    pub max_transact_size: u32,
    pub max_read_size: u32,
    pub max_write_size: u32,
    pub security_buffer: Vec<u8>,
    /// Requests carry a CreditCharge.
    pub multi_credit: bool,
    /// How many contexts the answer had.
    pub contexts: usize,
}

impl Default for Negotiated {
    fn default() -> Negotiated {
        Negotiated {
            dialect: Dialect::default(),
            cipher: None,
            signing: SigningAlgorithm::HmacSha256,
            security_mode: SecurityMode::empty(),
            capabilities: Capabilities::empty(),
            server_guid: Guid::default(),
            max_transact_size: 65536,
            max_read_size: 65536,
            max_write_size: 65536,
            security_buffer: Vec::new(),
            multi_credit: false,
            contexts: 0,
        }
    }
}

impl Client {
    /// Negotiates; a refusal is a panic.
    pub fn negotiate(&mut self, offer: &Offer) -> &Negotiated {
        self.try_negotiate(offer).expect("negotiate");
        &self.negotiated
    }

    pub fn try_negotiate(&mut self, offer: &Offer) -> Result<(), NtStatus> {
        let message = self.build(&offer.request());
        self.send_message(&message);
        self.preauth = PreauthHash::new();
        self.preauth.update(&message);
        let reply = self.receive().ok()?;
        self.take_negotiated(&reply);
        Ok(())
    }

    /// Takes what an answer to NEGOTIATE says, its part of the preauthentication hash included.
    pub fn take_negotiated(&mut self, reply: &Reply) {
        self.preauth.update(&reply.message);
        let answer = NegotiateResponse::decode(&mut reply.reader()).expect("NEGOTIATE answer");
        let dialect = answer.dialect_revision;
        let encrypts = answer.capabilities.contains(Capabilities::ENCRYPTION);
        let mut out = Negotiated {
            dialect,
            cipher: (dialect.is_smb3() && encrypts).then_some(Cipher::Aes128Ccm),
            signing: if dialect.is_smb3() { SigningAlgorithm::AesCmac } else { SigningAlgorithm::HmacSha256 },
            security_mode: answer.security_mode,
            capabilities: answer.capabilities,
            server_guid: answer.server_guid,
            max_transact_size: answer.max_transact_size,
            max_read_size: answer.max_read_size,
            max_write_size: answer.max_write_size,
            security_buffer: answer.security_buffer.to_vec(),
            multi_credit: dialect != Dialect::SMB2_02
                && answer.capabilities.contains(Capabilities::LARGE_MTU),
            contexts: answer.negotiate_contexts.len(),
        };
        for context in &answer.negotiate_contexts {
            match context {
                NegotiateContext::Encryption { ciphers } => {
                    out.cipher = ciphers.first().and_then(|c| Cipher::from_wire(c.0));
                }
                NegotiateContext::Signing { signing_algorithms } => {
                    let chosen = signing_algorithms.first().and_then(|s| SigningAlgorithm::from_wire(s.0));
                    out.signing = chosen.expect("a signing algorithm that was offered");
                }
                _ => {}
            }
        }
        self.negotiated = out;
    }
}
