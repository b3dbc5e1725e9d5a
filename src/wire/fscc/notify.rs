//! FILE_NOTIFY_INFORMATION (MS-FSCC 2.7.1), the buffer of a CHANGE_NOTIFY answer.

use super::chain::{Chain, ChainWriter};
use crate::types::open_enum;
use crate::wire::codec::{Reader, Result, Writer, utf16_len};

open_enum! {
    /// MS-FSCC 2.7.1 Action.
    pub struct NotifyAction(u32) {
        ADDED = 1,
        REMOVED = 2,
        MODIFIED = 3,
        RENAMED_OLD_NAME = 4,
        RENAMED_NEW_NAME = 5,
        ADDED_STREAM = 6,
        REMOVED_STREAM = 7,
        MODIFIED_STREAM = 8,
        REMOVED_BY_DELETE = 9,
        ID_NOT_TUNNELLED = 10,
        TUNNELLED_ID_COLLISION = 11,
    }
}

/// Appends events to a buffer of at most `max` bytes. When one does not fit, the whole answer is
/// STATUS_NOTIFY_ENUM_DIR without a buffer (MS-SMB2 3.3.4.4).
#[derive(Debug)]
pub struct NotifyWriter<'w, 'b> {
    list: ChainWriter<'w, 'b>,
}

impl<'w, 'b> NotifyWriter<'w, 'b> {
    pub fn new(w: &'w mut Writer<'b>, max: usize) -> NotifyWriter<'w, 'b> {
        NotifyWriter { list: ChainWriter::new(w, 4, max) }
    }

    /// `name` is relative to the watched directory, parts separated by `\`. False: it does not fit, and
    /// the buffer is as it was.
    #[must_use]
    pub fn push(&mut self, action: NotifyAction, name: &str) -> bool {
        let fits = self.list.entry(entry_size(name));
        if fits {
            self.list.w.u32(action.0);
            super::encode_name(self.list.w, name);
        }
        fits
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.list.len()
    }
}

/// Bytes of one event without the padding before it.
pub fn entry_size(name: &str) -> usize {
    12 + utf16_len(name)
}

/// The events of an answer, for the client. Ends after the first error.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Result<(NotifyAction, String)>> + '_ {
    Chain::new(bytes).map(|entry| {
        let mut r = Reader::at(entry?, 4);
        Ok((NotifyAction(r.u32("Action")?), super::decode_name(&mut r)?))
    })
}
