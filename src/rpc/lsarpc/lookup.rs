//! LsarLookupNames to LsarLookupNames4 and LsarLookupSids to LsarLookupSids3 (MS-LSAT 3.1.4.5 to 3.1.4.11).

use super::Answer;
use crate::rpc::Context;
use crate::rpc::names::{self, Kind, Named};
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;

/// The most of one call (the range attributes of the interface).
const MOST_NAMES: u32 = 1000;
const MOST_SIDS: u32 = 20_480;

/// How an account is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// LSA_TRANSLATED_SID, LSAPR_TRANSLATED_NAME.
    Rid,
    /// LSAPR_TRANSLATED_SID_EX, LSAPR_TRANSLATED_NAME_EX.
    RidAndFlags,
    /// LSAPR_TRANSLATED_SID_EX2.
    Sid,
}

/// LSAPR_REFERENCED_DOMAIN_LIST: the domains of what was found, each once.
#[derive(Debug, Default)]
struct Domains(Vec<(Sid, String)>);

impl Domains {
    /// Where it stands in the list, which it enters if need be.
    fn index(&mut self, named: &Named) -> u32 {
        let sid = named.domain_sid();
        let at = self.0.iter().position(|(known, _)| *known == sid).unwrap_or_else(|| {
            self.0.push((sid, named.domain.clone()));
            self.0.len() - 1
        });
        at as u32
    }

    fn write(&self, w: &mut NdrWriter) {
        w.parameter(|w| {
            w.counted_array(self.0.iter(), |w, (sid, name)| {
                w.unicode(name);
                w.sid_pointer(Some(sid));
            });
            // MaxEntries, which is ignored.
            w.u32(self.0.len() as u32);
        });
    }
}

/// Ends an answer: how many of those asked for were found.
fn mapped(mut w: NdrWriter, found: usize, asked: usize) -> Vec<u8> {
    w.pointees();
    w.u32(found as u32);
    w.done(match found {
        _ if found == asked => NtStatus::SUCCESS,
        0 => NtStatus::NONE_MAPPED,
        _ => NtStatus::SOME_NOT_MAPPED,
    })
}

/// No domain.
const NONE: u32 = u32::MAX;

/// LsarLookupNames* from Count on. What follows the names (a level, options) changes nothing for a server that is
/// alone.
pub fn lookup_names(context: &Context, r: &mut NdrReader<'_>, shape: Shape) -> Answer {
    let count = r.u32()?;
    let count = r.conformant(count, MOST_NAMES)?;
    let found: Vec<Option<Named>> =
        r.unicodes(count)?.iter().map(|name| names::of_name(context, name)).collect();
    let mut domains = Domains::default();
    let indexes: Vec<u32> =
        found.iter().map(|n| n.as_ref().map_or(NONE, |named| domains.index(named))).collect();

    let mut w = NdrWriter::new();
    domains.write(&mut w);
    w.counted_array(found.iter().zip(indexes), |w, (named, index)| {
        w.align(4);
        w.u16(named.as_ref().map_or(Kind::UNKNOWN, |n| n.kind).0);
        match (named, shape) {
            (named, Shape::Sid) => w.sid_pointer(named.as_ref().map(|n| &n.sid)),
            (Some(named), _) => w.u32(named.rid()),
            (None, _) => w.u32(0),
        }
        w.u32(index);
        if shape != Shape::Rid {
            w.u32(0);
        }
    });
    Ok(mapped(w, found.iter().flatten().count(), count))
}

/// LsarLookupSids* from SidEnumBuffer on. Of an unknown SID the name is the SID itself.
pub fn lookup_sids(context: &Context, r: &mut NdrReader<'_>, shape: Shape) -> Answer {
    let sids = r.sids(MOST_SIDS)?;
    let found: Vec<Option<Named>> = sids.iter().map(|sid| names::of_sid(context, sid)).collect();
    let mut domains = Domains::default();
    let indexes: Vec<u32> =
        found.iter().map(|n| n.as_ref().map_or(NONE, |named| domains.index(named))).collect();

    let mut w = NdrWriter::new();
    domains.write(&mut w);
    w.counted_array(found.iter().zip(&sids).zip(indexes), |w, ((named, sid), index)| {
        w.align(4);
        w.u16(named.as_ref().map_or(Kind::UNKNOWN, |n| n.kind).0);
        match named {
            Some(named) => w.unicode(&named.name),
            None => w.unicode(&sid.to_string()),
        }
        w.u32(index);
        if shape != Shape::Rid {
            w.u32(0);
        }
    });
    Ok(mapped(w, found.iter().flatten().count(), sids.len()))
}
