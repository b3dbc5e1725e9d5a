//! Negotiate contexts of dialect 3.1.1 (MS-SMB2 2.2.3.1, 2.2.4.1).

use smallvec::SmallVec;

use super::codec::{DecodeError, Reader, Result, Writer, decode_utf16};
use crate::types::open_enum;

open_enum! {
    /// MS-SMB2 2.2.3.1 ContextType.
    pub struct ContextType(u16) {
        PREAUTH_INTEGRITY = 0x0001,
        ENCRYPTION = 0x0002,
        COMPRESSION = 0x0003,
        NETNAME_NEGOTIATE_ID = 0x0005,
        TRANSPORT = 0x0006,
        RDMA_TRANSFORM = 0x0007,
        SIGNING = 0x0008,
        /// Not Microsoft's: the POSIX extensions of Samba and the Linux client.
        POSIX_EXTENSIONS = 0x0100,
    }
}

open_enum! {
    /// MS-SMB2 2.2.3.1.1 HashAlgorithms.
    pub struct HashAlgorithm(u16) {
        SHA_512 = 0x0001,
    }
}

open_enum! {
    /// MS-SMB2 2.2.3.1.2 Ciphers.
    pub struct CipherId(u16) {
        /// In an answer: none in common.
        NONE = 0x0000,
        AES_128_CCM = 0x0001,
        AES_128_GCM = 0x0002,
        AES_256_CCM = 0x0003,
        AES_256_GCM = 0x0004,
    }
}

open_enum! {
    /// MS-SMB2 2.2.3.1.3 CompressionAlgorithms.
    pub struct CompressionAlgorithm(u16) {
        NONE = 0x0000,
        LZNT1 = 0x0001,
        LZ77 = 0x0002,
        LZ77_HUFFMAN = 0x0003,
        PATTERN_V1 = 0x0004,
        LZ4 = 0x0005,
    }
}

open_enum! {
    /// MS-SMB2 2.2.3.1.6 RDMATransformIds.
    pub struct RdmaTransformId(u16) {
        NONE = 0x0000,
        ENCRYPTION = 0x0001,
        SIGNING = 0x0002,
    }
}

open_enum! {
    /// MS-SMB2 2.2.3.1.7 SigningAlgorithms.
    pub struct SigningAlgorithmId(u16) {
        HMAC_SHA256 = 0x0000,
        AES_CMAC = 0x0001,
        AES_GMAC = 0x0002,
    }
}

/// Ids in the order of preference of the sender. In an answer there is one.
pub type Ids<T> = SmallVec<[T; 8]>;

/// One context. In a request the lists hold what the client can do, in an answer the server's choice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NegotiateContext<'a> {
    /// MS-SMB2 2.2.3.1.1.
    PreauthIntegrity { hash_algorithms: Ids<HashAlgorithm>, salt: &'a [u8] },
    /// MS-SMB2 2.2.3.1.2.
    Encryption { ciphers: Ids<CipherId> },
    /// MS-SMB2 2.2.3.1.3. Flags 1: chained compression.
    Compression { flags: u32, compression_algorithms: Ids<CompressionAlgorithm> },
    /// MS-SMB2 2.2.3.1.4.
    Netname { net_name: String },
    /// MS-SMB2 2.2.3.1.5. Flags 1: the transport is secure, no SMB encryption wanted.
    Transport { flags: u32 },
    /// MS-SMB2 2.2.3.1.6.
    RdmaTransform { rdma_transform_ids: Ids<RdmaTransformId> },
    /// MS-SMB2 2.2.3.1.7.
    Signing { signing_algorithms: Ids<SigningAlgorithmId> },
    /// Anything else, to be ignored.
    Unknown { context_type: ContextType, data: &'a [u8] },
}

impl<'a> NegotiateContext<'a> {
    pub fn context_type(&self) -> ContextType {
        match self {
            NegotiateContext::PreauthIntegrity { .. } => ContextType::PREAUTH_INTEGRITY,
            NegotiateContext::Encryption { .. } => ContextType::ENCRYPTION,
            NegotiateContext::Compression { .. } => ContextType::COMPRESSION,
            NegotiateContext::Netname { .. } => ContextType::NETNAME_NEGOTIATE_ID,
            NegotiateContext::Transport { .. } => ContextType::TRANSPORT,
            NegotiateContext::RdmaTransform { .. } => ContextType::RDMA_TRANSFORM,
            NegotiateContext::Signing { .. } => ContextType::SIGNING,
            NegotiateContext::Unknown { context_type, .. } => *context_type,
        }
    }

    /// One context, without the padding behind it. A net name that is not a name survives as `Unknown`,
    /// since nothing depends on it.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "negotiate context";
        let mut f = r.sub(8, WHAT)?;
        let (context_type, length) = (ContextType(f.u16(WHAT)?), f.u16(WHAT)?);
        let data = r.bytes(usize::from(length), WHAT)?;
        let mut d = Reader::new(data);
        Ok(match context_type {
            ContextType::PREAUTH_INTEGRITY => {
                const WHAT: &str = "preauth integrity context";
                let (count, salt_length) = (d.u16(WHAT)?, d.u16(WHAT)?);
                NegotiateContext::PreauthIntegrity {
                    hash_algorithms: ids(&mut d, count, HashAlgorithm, WHAT)?,
                    salt: d.bytes(usize::from(salt_length), WHAT)?,
                }
            }
            ContextType::ENCRYPTION => {
                const WHAT: &str = "encryption context";
                let count = d.u16(WHAT)?;
                NegotiateContext::Encryption { ciphers: ids(&mut d, count, CipherId, WHAT)? }
            }
            ContextType::COMPRESSION => {
                const WHAT: &str = "compression context";
                let count = d.u16(WHAT)?;
                d.skip(2, WHAT)?;
                NegotiateContext::Compression {
                    flags: d.u32(WHAT)?,
                    compression_algorithms: ids(&mut d, count, CompressionAlgorithm, WHAT)?,
                }
            }
            ContextType::NETNAME_NEGOTIATE_ID => match decode_utf16(data, WHAT) {
                Ok(net_name) => NegotiateContext::Netname { net_name },
                Err(DecodeError { .. }) => NegotiateContext::Unknown { context_type, data },
            },
            ContextType::TRANSPORT => NegotiateContext::Transport { flags: d.u32("transport context")? },
            ContextType::RDMA_TRANSFORM => {
                const WHAT: &str = "RDMA transform context";
                let count = d.u16(WHAT)?;
                d.skip(6, WHAT)?;
                NegotiateContext::RdmaTransform {
                    rdma_transform_ids: ids(&mut d, count, RdmaTransformId, WHAT)?,
                }
            }
            ContextType::SIGNING => {
                const WHAT: &str = "signing context";
                let count = d.u16(WHAT)?;
                NegotiateContext::Signing {
                    signing_algorithms: ids(&mut d, count, SigningAlgorithmId, WHAT)?,
                }
            }
            _ => NegotiateContext::Unknown { context_type, data },
        })
    }

    /// One context, without the padding behind it.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.context_type().0);
        let at = w.pos();
        w.u16(0);
        w.u32(0);
        match self {
            NegotiateContext::PreauthIntegrity { hash_algorithms, salt } => {
                w.u16(hash_algorithms.len() as u16);
                w.u16(salt.len() as u16);
                hash_algorithms.iter().for_each(|id| w.u16(id.0));
                w.bytes(salt);
            }
            NegotiateContext::Encryption { ciphers } => {
                w.u16(ciphers.len() as u16);
                ciphers.iter().for_each(|id| w.u16(id.0));
            }
            NegotiateContext::Compression { flags, compression_algorithms } => {
                w.u16(compression_algorithms.len() as u16);
                w.u16(0);
                w.u32(*flags);
                compression_algorithms.iter().for_each(|id| w.u16(id.0));
            }
            NegotiateContext::Netname { net_name } => w.utf16(net_name),
            NegotiateContext::Transport { flags } => w.u32(*flags),
            NegotiateContext::RdmaTransform { rdma_transform_ids } => {
                w.u16(rdma_transform_ids.len() as u16);
                w.zeros(6);
                rdma_transform_ids.iter().for_each(|id| w.u16(id.0));
            }
            NegotiateContext::Signing { signing_algorithms } => {
                w.u16(signing_algorithms.len() as u16);
                signing_algorithms.iter().for_each(|id| w.u16(id.0));
            }
            NegotiateContext::Unknown { data, .. } => w.bytes(data),
        }
        let length = w.pos() - at - 6;
        w.patch_u16(at, length as u16);
    }
}

/// `count` ids of two bytes.
fn ids<T>(d: &mut Reader<'_>, count: u16, make: fn(u16) -> T, what: &'static str) -> Result<Ids<T>> {
    let bytes = d.bytes(usize::from(count) * 2, what)?;
    Ok(bytes.chunks_exact(2).map(|b| make(u16::from_le_bytes([b[0], b[1]]))).collect())
}
