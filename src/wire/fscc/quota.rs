//! Quotas (MS-SMB2 2.2.37.1, MS-FSCC 2.4.40).

use super::chain::{Chain, ChainWriter};
use crate::types::FileTime;
use crate::wire::codec::{DecodeError, Reader, Result, Writer};
use crate::wire::dtyp::Sid;

/// Whose are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Everybody's, from where the last query of the open ended.
    All,
    /// Everybody's from this one on.
    From(Sid),
    Only(Vec<Sid>),
}

/// SMB2_QUERY_QUOTA_INFO, the input of QUERY_INFO.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryQuota {
    pub single: bool,
    pub restart: bool,
    pub whose: Whose,
}

/// A length that fits any Sid, and more than none.
const MAX_SID: usize = 68;

impl QueryQuota {
    pub fn decode(bytes: &[u8]) -> Result<QueryQuota> {
        const WHAT: &str = "SMB2_QUERY_QUOTA_INFO";
        let mut r = Reader::new(bytes);
        let (single, restart) = (r.u8(WHAT)? != 0, r.u8(WHAT)? != 0);
        r.skip(2, WHAT)?;
        let (list, start_len, start) = (r.u32(WHAT)? as usize, r.u32(WHAT)? as usize, r.u32(WHAT)? as usize);
        let sids = &bytes[r.pos()..];
        let wrong = || DecodeError::new(WHAT);
        let whose = if list > 0 {
            let list = sids.get(..list).ok_or_else(wrong)?;
            Whose::Only(Chain::new(list).map(|entry| sid_of(entry?)).collect::<Result<_>>()?)
        } else if start_len > 0 {
            let end = start.checked_add(start_len).ok_or_else(wrong)?;
            Whose::From(Sid::decode(&mut Reader::new(sids.get(start..end).ok_or_else(wrong)?))?)
        } else {
            Whose::All
        };
        Ok(QueryQuota { single, restart, whose })
    }
}

/// FILE_GET_QUOTA_INFORMATION: NextEntryOffset, SidLength, Sid.
fn sid_of(entry: &[u8]) -> Result<Sid> {
    const WHAT: &str = "FILE_GET_QUOTA_INFORMATION";
    let mut r = Reader::new(entry);
    r.skip(4, WHAT)?;
    let len = r.u32(WHAT)? as usize;
    let sid = entry.get(8..).and_then(|rest| rest.get(..len)).filter(|sid| sid.len() <= MAX_SID);
    Sid::decode(&mut Reader::new(sid.ok_or_else(|| DecodeError::new(WHAT))?))
}

/// FILE_QUOTA_INFORMATION. Bytes; -1 as a limit is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaInfo {
    pub sid: Sid,
    pub change_time: FileTime,
    pub used: u64,
    pub threshold: u64,
    pub limit: u64,
}

/// Appends them to a buffer.
#[derive(Debug)]
pub struct QuotaWriter<'w, 'b> {
    list: ChainWriter<'w, 'b>,
}

impl<'w, 'b> QuotaWriter<'w, 'b> {
    pub fn new(w: &'w mut Writer<'b>, max: usize) -> QuotaWriter<'w, 'b> {
        QuotaWriter { list: ChainWriter::new(w, 8, max) }
    }

    /// False: it does not fit.
    #[must_use]
    pub fn push(&mut self, info: &QuotaInfo) -> bool {
        let size = info.sid.size();
        if !self.list.entry(40 + size) {
            return false;
        }
        let w = &mut *self.list.w;
        w.u32(size as u32);
        w.u64(info.change_time.0);
        for value in [info.used, info.threshold, info.limit] {
            w.u64(value);
        }
        info.sid.encode(w);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(sid: &Sid) -> Vec<u8> {
        let mut out = Vec::new();
        sid.encode(&mut Writer::new(&mut out));
        out
    }

    fn asked(list: u32, start_len: u32, start: u32, sids: &[u8]) -> Vec<u8> {
        let words = [list, start_len, start];
        let mut out = vec![1, 0, 0, 0];
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        out.extend_from_slice(sids);
        out
    }

    #[test]
    fn whose_quotas_are_asked_for() {
        let sid = Sid::unix_user(1000);
        let bytes = encoded(&sid);
        let whose = |bytes: &[u8]| QueryQuota::decode(bytes).map(|query| query.whose);
        assert_eq!(whose(&asked(0, 0, 0, &[])), Ok(Whose::All));
        let all = asked(0, bytes.len() as u32, 4, &[&[0; 4], &bytes[..]].concat());
        assert_eq!(whose(&all), Ok(Whose::From(sid)));
        let entry = |next: u32| {
            let mut entry = next.to_le_bytes().to_vec();
            entry.extend((bytes.len() as u32).to_le_bytes());
            entry.extend_from_slice(&bytes);
            entry
        };
        let two = [entry(entry(0).len() as u32), entry(0)].concat();
        assert_eq!(whose(&asked(two.len() as u32, 0, 0, &two)), Ok(Whose::Only(vec![sid, sid])));
        for wrong in
            [asked(9, 0, 0, &[]), asked(0, 9, u32::MAX, &bytes), asked(8, 0, 0, &[0; 8]), vec![0; 15]]
        {
            assert!(QueryQuota::decode(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn entries_are_linked_and_cut_where_the_room_ends() {
        let info = QuotaInfo {
            sid: Sid::unix_user(1000),
            change_time: FileTime::ZERO,
            used: 1,
            threshold: 2,
            limit: u64::MAX,
        };
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out);
        let mut list = QuotaWriter::new(&mut w, 120);
        assert!(list.push(&info) && list.push(&info) && !list.push(&info));
        assert_eq!(out[..4], 56u32.to_le_bytes());
        assert_eq!(out[4..8], 16u32.to_le_bytes());
        assert_eq!(out[16..24], 1u64.to_le_bytes());
        assert_eq!(out[40..56], encoded(&info.sid)[..]);
        assert_eq!(out[56..60], [0; 4]);
    }
}
