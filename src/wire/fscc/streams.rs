//! FILE_STREAM_INFORMATION (MS-FSCC 2.4.49).

use super::chain::{Chain, ChainWriter};
use crate::wire::codec::{Reader, Result, Writer, utf16_len};

/// One stream of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamEntry {
    pub stream_size: u64,
    pub stream_allocation_size: u64,
    /// With colons and type: `::$DATA`, `:name:$DATA`.
    pub stream_name: String,
}

/// Appends streams to a buffer of at most `max` bytes.
#[derive(Debug)]
pub struct StreamWriter<'w, 'b> {
    list: ChainWriter<'w, 'b>,
}

impl<'w, 'b> StreamWriter<'w, 'b> {
    pub fn new(w: &'w mut Writer<'b>, max: usize) -> StreamWriter<'w, 'b> {
        StreamWriter { list: ChainWriter::new(w, 8, max) }
    }

    /// `name` as in [`StreamEntry::stream_name`]. False: it does not fit (STATUS_BUFFER_OVERFLOW), and
    /// the buffer is as it was.
    #[must_use]
    pub fn push(&mut self, name: &str, size: u64, allocation: u64) -> bool {
        let name_len = utf16_len(name);
        let fits = self.list.entry(24 + name_len);
        if fits {
            let w = &mut *self.list.w;
            w.u32(name_len as u32);
            w.u64(size);
            w.u64(allocation);
            w.utf16(name);
        }
        fits
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// The streams of an answer, for the client. Ends after the first error.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Result<StreamEntry>> + '_ {
    Chain::new(bytes).map(|entry| {
        let mut r = Reader::at(entry?, 4);
        let name_len = r.u32("StreamNameLength")? as usize;
        Ok(StreamEntry {
            stream_size: r.u64("StreamSize")?,
            stream_allocation_size: r.u64("StreamAllocationSize")?,
            stream_name: r.utf16(name_len, "StreamName")?,
        })
    })
}
