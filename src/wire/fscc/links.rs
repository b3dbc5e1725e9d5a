//! FILE_LINKS_INFORMATION (MS-FSCC 2.4.28): the names of a file.

use super::chain::{Chain, ChainWriter};
use crate::wire::codec::{Reader, Result, Writer, utf16_len};

/// One name of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LinkEntry {
    pub parent_file_id: u64,
    /// The last part of the path.
    pub file_name: String,
}

/// Writes the whole answer within `max` bytes; false: not all names fitted (STATUS_BUFFER_OVERFLOW),
/// BytesNeeded says what would have done.
pub fn encode(links: &[LinkEntry], w: &mut Writer<'_>, max: usize) -> bool {
    let start = w.pos();
    w.zeros(8);
    let mut needed = 8usize;
    let mut returned = 0;
    let mut all = true;
    let mut list = ChainWriter::new(w, 8, max.saturating_sub(8));
    for link in links {
        let name_len = utf16_len(&link.file_name);
        needed = needed.next_multiple_of(8) + 16 + name_len;
        all = all && list.entry(16 + name_len);
        if all {
            list.w.u64(link.parent_file_id);
            list.w.u32((name_len / 2) as u32);
            list.w.utf16(&link.file_name);
            returned += 1;
        }
    }
    w.patch_u32(start, needed as u32);
    w.patch_u32(start + 4, returned);
    all
}

/// BytesNeeded and the names, for the client.
pub fn decode(bytes: &[u8]) -> Result<(u32, Vec<LinkEntry>)> {
    let mut r = Reader::new(bytes);
    let needed = r.u32("BytesNeeded")?;
    let count = r.u32("EntriesReturned")? as usize;
    let mut links = Vec::new();
    for entry in Chain::new(r.rest()).take(count) {
        let mut r = Reader::at(entry?, 4);
        let parent_file_id = r.u64("ParentFileId")?;
        let len = r.u32("FileNameLength")? as usize;
        links.push(LinkEntry { parent_file_id, file_name: r.utf16(len.saturating_mul(2), "FileName")? });
    }
    Ok((needed, links))
}
