//! Extended attribute lists: FILE_FULL_EA_INFORMATION (MS-FSCC 2.4.16) and
//! FILE_GET_EA_INFORMATION (2.4.16.1).

use super::chain::{Chain, ChainWriter};
use crate::wire::codec::{DecodeError, Reader, Result, Writer};

/// One extended attribute. An empty value in a set deletes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FullEa<'a> {
    /// [`FullEa::NEED_EA`] or zero.
    pub flags: u8,
    /// ASCII without its NUL; compared without case.
    pub name: &'a [u8],
    pub value: &'a [u8],
}

impl FullEa<'_> {
    /// FILE_NEED_EA: the file cannot be understood without this attribute.
    pub const NEED_EA: u8 = 0x80;
}

/// Appends attributes to a buffer of at most `max` bytes, each on a multiple of 4.
#[derive(Debug)]
pub struct EaWriter<'w, 'b> {
    list: ChainWriter<'w, 'b>,
}

impl<'w, 'b> EaWriter<'w, 'b> {
    pub fn new(w: &'w mut Writer<'b>, max: usize) -> EaWriter<'w, 'b> {
        EaWriter { list: ChainWriter::new(w, 4, max) }
    }

    /// False: it does not fit, or cannot be said at all (a name above 255 bytes, a value above 65535);
    /// the buffer is as it was.
    #[must_use]
    pub fn push(&mut self, ea: FullEa<'_>) -> bool {
        let (Ok(name_len), Ok(value_len)) = (u8::try_from(ea.name.len()), u16::try_from(ea.value.len()))
        else {
            return false;
        };
        let fits = self.list.entry(9 + ea.name.len() + ea.value.len());
        if fits {
            let w = &mut *self.list.w;
            w.u8(ea.flags);
            w.u8(name_len);
            w.u16(value_len);
            w.bytes(ea.name);
            w.u8(0);
            w.bytes(ea.value);
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

/// The attributes of a set, of a create context or of an answer. Ends after the first error, which is
/// answered with STATUS_EA_LIST_INCONSISTENT.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Result<FullEa<'_>>> {
    Chain::new(bytes).map(|entry| {
        let mut r = Reader::at(entry?, 4);
        let flags = r.u8("Flags")?;
        let name_len = usize::from(r.u8("EaNameLength")?);
        let value_len = usize::from(r.u16("EaValueLength")?);
        let name = name_with_nul(&mut r, name_len)?;
        Ok(FullEa { flags, name, value: r.bytes(value_len, "EaValue")? })
    })
}

fn name_with_nul<'a>(r: &mut Reader<'a>, len: usize) -> Result<&'a [u8]> {
    let name = r.bytes(len, "EaName")?;
    if r.u8("EaName")? != 0 || name.contains(&0) {
        return Err(DecodeError::new("EaName"));
    }
    Ok(name)
}

/// The names asked for in a QUERY_INFO of FULL_EA. Ends after the first error.
pub fn decode_names(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8]>> {
    Chain::new(bytes).map(|entry| {
        let mut r = Reader::at(entry?, 4);
        let len = usize::from(r.u8("EaNameLength")?);
        name_with_nul(&mut r, len)
    })
}

/// A list of names to ask for, for the client. Names above 255 bytes are left out.
pub fn encode_names(names: &[&[u8]], w: &mut Writer<'_>) {
    let mut list = ChainWriter::new(w, 4, usize::MAX);
    for name in names {
        let Ok(len) = u8::try_from(name.len()) else { continue };
        if list.entry(6 + name.len()) {
            list.w.u8(len);
            list.w.bytes(name);
            list.w.u8(0);
        }
    }
}
