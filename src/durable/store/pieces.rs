//! Records in the tree. One with many locks is long, and is kept in pieces ([`PIECE`]): the first one stands under the record's
//! key, each other under that with its number (2 bytes, big endian) behind it.

use std::collections::HashMap;

use crate::sys::room::PIECE;

/// FileId.Persistent, big endian.
pub type Key = [u8; 8];
/// A record and its key.
pub type Whole = (Key, Vec<u8>);

/// How many pieces there are, beside the first.
#[derive(Default)]
pub struct Pieces {
    /// At most.
    known: HashMap<Key, u16>,
    /// In the batch that is being made.
    made: Vec<(Key, u16)>,
}

impl Pieces {
    /// Whole records by their keys. What is none goes with this batch.
    pub fn read(
        tree: &sled::Tree,
        no_record: &[u8],
        bad: &mut sled::Batch,
    ) -> sled::Result<(Vec<Whole>, Pieces)> {
        let mut records: Vec<Whole> = Vec::new();
        let mut pieces = Pieces::default();
        for item in tree {
            let (key, value) = item?;
            if *key == *no_record {
                continue;
            }
            let parts = key.split_first_chunk::<8>().map(|(whole, number)| (*whole, number));
            match (parts, records.last_mut()) {
                (Some((key, [])), _) => records.push((key, value.to_vec())),
                (Some((whole, &[high, low])), Some((last, record))) if whole == *last => {
                    record.extend_from_slice(&value);
                    pieces.known.insert(whole, u16::from_be_bytes([high, low]).saturating_add(1));
                }
                _ => bad.remove(key),
            }
        }
        Ok((records, pieces))
    }

    /// A change of a record; none: it goes.
    pub fn change(&mut self, batch: &mut sled::Batch, key: &Key, value: Option<&[u8]>) {
        let mut count = 0;
        match value {
            None => batch.remove(key),
            Some(value) => {
                let (first, rest) = value.split_at(value.len().min(PIECE));
                batch.insert(key, first);
                for piece in rest.chunks(PIECE) {
                    batch.insert(numbered(key, count), piece);
                    count += 1;
                }
            }
        }
        let before = self.known.get(key).copied().unwrap_or_default();
        (count..before).for_each(|number| batch.remove(numbered(key, number)));
        if before.max(count) > 0 {
            self.known.insert(*key, before.max(count));
            self.made.push((*key, count));
        }
    }

    /// The batch is in the tree; or it may be, or not.
    pub fn done(&mut self, written: bool) {
        for (key, count) in self.made.drain(..).filter(|_| written) {
            match count {
                0 => drop(self.known.remove(&key)),
                count => drop(self.known.insert(key, count)),
            }
        }
    }
}

fn numbered(key: &Key, number: u16) -> Vec<u8> {
    [&key[..], &number.to_be_bytes()].concat()
}
