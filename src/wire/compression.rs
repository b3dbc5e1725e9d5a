//! Headers of a compressed message (MS-SMB2 2.2.42).

use super::codec::{DecodeError, Reader, Result, Writer};
use super::negotiate_context::CompressionAlgorithm;

/// `FC 'S' 'M' 'B'`.
pub const PROTOCOL_ID: [u8; 4] = [0xFC, b'S', b'M', b'B'];

/// CompressionFlags: unchained.
pub const FLAG_NONE: u16 = 0;
/// CompressionFlags: chained.
pub const FLAG_CHAINED: u16 = 1;

/// MS-SMB2 2.2.42.1 unchained and 2.2.42.2 chained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompressionTransform<'a> {
    Unchained {
        /// Bytes of the compressed segment once decompressed.
        original_compressed_segment_size: u32,
        compression_algorithm: CompressionAlgorithm,
        /// The part before the compressed segment, as it is.
        uncompressed: &'a [u8],
        compressed: &'a [u8],
    },
    Chained {
        /// Bytes of the whole message once decompressed.
        original_compressed_segment_size: u32,
        payloads: Vec<CompressionPayload<'a>>,
    },
}

/// MS-SMB2 2.2.42.2.1 with the data behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CompressionPayload<'a> {
    pub compression_algorithm: CompressionAlgorithm,
    pub flags: u16,
    /// Bytes once decompressed; only for LZNT1, LZ77, LZ77+Huffman and LZ4.
    pub original_payload_size: Option<u32>,
    pub data: &'a [u8],
}

/// MS-SMB2 2.2.42.2.2, the data of a PATTERN_V1 payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PatternV1 {
    pub pattern: u8,
    pub repetitions: u32,
}

const WHAT: &str = "compression header";

/// Whether OriginalPayloadSize stands in the payload header.
const fn has_original_size(algorithm: CompressionAlgorithm) -> bool {
    matches!(
        algorithm,
        CompressionAlgorithm::LZNT1
            | CompressionAlgorithm::LZ77
            | CompressionAlgorithm::LZ77_HUFFMAN
            | CompressionAlgorithm::LZ4
    )
}

impl<'a> CompressionTransform<'a> {
    /// Of a whole message. Flags at offset 10 tell the two forms apart (in the chained form they belong
    /// to the first payload, which always has CHAINED).
    pub fn decode(message: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(message);
        if r.array(WHAT)? != PROTOCOL_ID {
            return Err(DecodeError::new(WHAT));
        }
        let original_compressed_segment_size = r.u32(WHAT)?;
        let mut head = r;
        let (compression_algorithm, flags) = (CompressionAlgorithm(head.u16(WHAT)?), head.u16(WHAT)?);
        if flags & FLAG_CHAINED == 0 {
            let offset = head.u32(WHAT)?;
            let uncompressed = head.bytes(offset as usize, WHAT)?;
            return Ok(CompressionTransform::Unchained {
                original_compressed_segment_size,
                compression_algorithm,
                uncompressed,
                compressed: head.rest(),
            });
        }
        let mut payloads = Vec::new();
        while !r.is_empty() {
            payloads.push(CompressionPayload::decode(&mut r)?);
        }
        Ok(CompressionTransform::Chained { original_compressed_segment_size, payloads })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&PROTOCOL_ID);
        match self {
            CompressionTransform::Unchained {
                original_compressed_segment_size,
                compression_algorithm,
                uncompressed,
                compressed,
            } => {
                w.u32(*original_compressed_segment_size);
                w.u16(compression_algorithm.0);
                w.u16(FLAG_NONE);
                w.u32(uncompressed.len() as u32);
                w.bytes(uncompressed);
                w.bytes(compressed);
            }
            CompressionTransform::Chained { original_compressed_segment_size, payloads } => {
                w.u32(*original_compressed_segment_size);
                payloads.iter().for_each(|p| p.encode(w));
            }
        }
    }
}

impl<'a> CompressionPayload<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self> {
        let (compression_algorithm, flags) = (CompressionAlgorithm(r.u16(WHAT)?), r.u16(WHAT)?);
        let length = r.u32(WHAT)?;
        // Length counts OriginalPayloadSize.
        let mut body = r.sub(length as usize, WHAT)?;
        let original_payload_size =
            if has_original_size(compression_algorithm) { Some(body.u32(WHAT)?) } else { None };
        Ok(CompressionPayload { compression_algorithm, flags, original_payload_size, data: body.rest() })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.compression_algorithm.0);
        w.u16(self.flags);
        w.u32((self.data.len() + if self.original_payload_size.is_some() { 4 } else { 0 }) as u32);
        if let Some(size) = self.original_payload_size {
            w.u32(size);
        }
        w.bytes(self.data);
    }
}

impl PatternV1 {
    pub fn decode(data: &[u8]) -> Result<Self> {
        let mut r = Reader::new(data).sub(8, WHAT)?;
        let pattern = r.u8(WHAT)?;
        r.skip(3, WHAT)?;
        Ok(PatternV1 { pattern, repetitions: r.u32(WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.pattern);
        w.zeros(3);
        w.u32(self.repetitions);
    }
}
