//! Server-side copy (MS-SMB2 2.2.31.1, 2.2.32.1, 2.2.32.3).

use crate::wire::codec::{Reader, Result, Writer};

/// The opaque name of an open, which a client got from that open and gives as the source of a copy.
pub type ResumeKey = [u8; 24];

/// MS-SMB2 2.2.31.1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SrvCopychunk {
    pub source_offset: u64,
    pub target_offset: u64,
    pub length: u32,
}

/// MS-SMB2 2.2.31.1, the input of SRV_COPYCHUNK and SRV_COPYCHUNK_WRITE.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SrvCopychunkCopy {
    pub source_key: ResumeKey,
    pub chunks: Vec<SrvCopychunk>,
}

impl SrvCopychunkCopy {
    /// ChunkCount is checked against the bytes that are there, before memory is taken for it.
    pub fn decode(input: &[u8]) -> Result<Self> {
        const WHAT: &str = "SRV_COPYCHUNK_COPY";
        let mut r = Reader::new(input);
        let (source_key, count) = (r.array(WHAT)?, r.u32(WHAT)?);
        r.skip(4, WHAT)?;
        let mut list = r.sub((count as usize).saturating_mul(24), WHAT)?;
        let mut chunks = Vec::with_capacity(count as usize);
        while !list.is_empty() {
            let chunk = SrvCopychunk {
                source_offset: list.u64(WHAT)?,
                target_offset: list.u64(WHAT)?,
                length: list.u32(WHAT)?,
            };
            list.skip(4, WHAT)?;
            chunks.push(chunk);
        }
        Ok(SrvCopychunkCopy { source_key, chunks })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.source_key);
        w.u32(self.chunks.len() as u32);
        w.u32(0);
        for chunk in &self.chunks {
            w.u64(chunk.source_offset);
            w.u64(chunk.target_offset);
            w.u32(chunk.length);
            w.u32(0);
        }
    }
}

/// MS-SMB2 2.2.32.1. With STATUS_INVALID_PARAMETER it states the server's limits instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SrvCopychunkResponse {
    pub chunks_written: u32,
    pub chunk_bytes_written: u32,
    pub total_bytes_written: u32,
}

impl SrvCopychunkResponse {
    pub fn decode(output: &[u8]) -> Result<Self> {
        const WHAT: &str = "SRV_COPYCHUNK_RESPONSE";
        let mut r = Reader::new(output);
        Ok(SrvCopychunkResponse {
            chunks_written: r.u32(WHAT)?,
            chunk_bytes_written: r.u32(WHAT)?,
            total_bytes_written: r.u32(WHAT)?,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.chunks_written);
        w.u32(self.chunk_bytes_written);
        w.u32(self.total_bytes_written);
    }
}

/// MS-SMB2 2.2.32.3. The context that may follow is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SrvRequestResumeKeyResponse {
    pub resume_key: ResumeKey,
}

impl SrvRequestResumeKeyResponse {
    pub fn decode(output: &[u8]) -> Result<Self> {
        Ok(SrvRequestResumeKeyResponse { resume_key: Reader::new(output).array("SRV_REQUEST_RESUME_KEY")? })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.resume_key);
        // ContextLength, and the four bytes of Context that Windows sends.
        w.zeros(8);
    }
}
