//! What READ and WRITE say about RDMA: Channel (MS-SMB2 2.2.19), the buffer descriptors of MS-SMBD 2.2.3.1 and
//! the transforms of 2.2.43.

use super::codec::{Reader, Result, Writer};
use crate::types::open_enum;

open_enum! {
    /// MS-SMB2 2.2.19 Channel.
    pub struct Channel(u32) {
        NONE = 0,
        RDMA_V1 = 1,
        RDMA_V1_INVALIDATE = 2,
        RDMA_TRANSFORM = 3,
    }
}

impl Channel {
    /// Whether the channel info describes buffers. Other values are ignored, as dialects before 3.0 do.
    pub const fn has_info(self) -> bool {
        matches!(self, Channel::RDMA_V1 | Channel::RDMA_V1_INVALIDATE | Channel::RDMA_TRANSFORM)
    }
}

/// MS-SMBD 2.2.3.1 BUFFER_DESCRIPTOR_V1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BufferDescriptor {
    pub offset: u64,
    pub token: u32,
    pub length: u32,
}

impl BufferDescriptor {
    /// A descriptor on the wire.
    pub const LEN: usize = 16;

    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "RDMA buffer descriptor";
        Ok(BufferDescriptor { offset: r.u64(WHAT)?, token: r.u32(WHAT)?, length: r.u32(WHAT)? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.offset);
        w.u32(self.token);
        w.u32(self.length);
    }
}

/// MS-SMB2 2.2.43 SMB2_RDMA_TRANSFORM. The reader begins with it: offsets count from its first byte.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RdmaTransform<'a> {
    pub channel: Channel,
    pub rdma_descriptors: &'a [u8],
    /// The SMB2_RDMA_CRYPTO_TRANSFORMs of 2.2.43.1, in order.
    pub transforms: Vec<RdmaCryptoTransform<'a>>,
}

open_enum! {
    /// MS-SMB2 2.2.43.1 TransformType.
    pub struct RdmaTransformType(u16) {
        ENCRYPTION = 1,
        SIGNING = 2,
    }
}

/// MS-SMB2 2.2.43.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RdmaCryptoTransform<'a> {
    pub transform_type: RdmaTransformType,
    pub signature: &'a [u8],
    pub nonce: &'a [u8],
}

impl<'a> RdmaTransform<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "RDMA transform";
        let mut f = r.sub(16, WHAT)?;
        let (offset, length) = (f.u16(WHAT)?, f.u16(WHAT)?);
        let (channel, count) = (Channel(f.u32(WHAT)?), f.u16(WHAT)?);
        let mut transforms = Vec::new();
        for i in 0..count {
            if i > 0 {
                r.align(8);
            }
            transforms.push(RdmaCryptoTransform::decode(r)?);
        }
        Ok(RdmaTransform { channel, rdma_descriptors: r.buffer_at(offset, length, WHAT)?, transforms })
    }

    /// Writes to a writer that begins with it.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(0);
        w.u16(self.rdma_descriptors.len() as u16);
        w.u32(self.channel.0);
        w.u16(self.transforms.len() as u16);
        w.zeros(6);
        for (i, transform) in self.transforms.iter().enumerate() {
            if i > 0 {
                w.align(8);
            }
            transform.encode(w);
        }
        if !self.rdma_descriptors.is_empty() {
            w.align(8);
            let offset = w.pos() - at;
            w.patch_u16(at, offset as u16);
            w.bytes(self.rdma_descriptors);
        }
    }
}

impl<'a> RdmaCryptoTransform<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "RDMA crypto transform";
        let transform_type = RdmaTransformType(r.u16(WHAT)?);
        let (signature_length, nonce_length) = (r.u16(WHAT)?, r.u16(WHAT)?);
        r.skip(2, WHAT)?;
        Ok(RdmaCryptoTransform {
            transform_type,
            signature: r.bytes(usize::from(signature_length), WHAT)?,
            nonce: r.bytes(usize::from(nonce_length), WHAT)?,
        })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.transform_type.0);
        w.u16(self.signature.len() as u16);
        w.u16(self.nonce.len() as u16);
        w.u16(0);
        w.bytes(self.signature);
        w.bytes(self.nonce);
    }
}
