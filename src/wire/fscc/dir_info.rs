//! Directory entries (MS-FSCC 2.4, the directory classes).

use super::chain::{Chain, ChainWriter};
use super::classes::FileInfoClass;
use crate::types::{FileAttributes, FileTime};
use crate::wire::codec::{DecodeError, Reader, Result, Writer, utf16_len};

/// An 8.3 name: up to 12 UTF-16 units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShortName {
    units: [u16; 12],
    len: u8,
}

impl ShortName {
    /// None when it is longer than 12 units.
    pub fn new(name: &str) -> Option<ShortName> {
        let mut out = ShortName::default();
        for unit in name.encode_utf16() {
            *out.units.get_mut(out.len as usize)? = unit;
            out.len += 1;
        }
        Some(out)
    }

    pub fn units(&self) -> &[u16] {
        &self.units[..self.len as usize]
    }
}

/// What the classes say of one entry; each class takes its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DirEntry {
    pub file_index: u32,
    pub creation_time: FileTime,
    pub last_access_time: FileTime,
    pub last_write_time: FileTime,
    pub change_time: FileTime,
    pub end_of_file: u64,
    pub allocation_size: u64,
    pub file_attributes: FileAttributes,
    pub ea_size: u32,
    /// Zero for what is no reparse point. With `FileAttributes::REPARSE_POINT`, the older classes carry
    /// it in EaSize.
    pub reparse_point_tag: u32,
    pub file_id: u64,
    /// The upper half of the 128-bit id (bytes 8..16 on the wire); `file_id` is the lower.
    pub file_id_high: u64,
    pub short_name: ShortName,
}

/// The longest fixed part of any class.
const MAX_FIXED: usize = 122;

/// The parts that a class is made of beyond the common 64 bytes.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Bytes before the name.
    fixed: usize,
    /// NAMES: index, length, name.
    names_only: bool,
    /// EaSize at 64, standing for the tag on a reparse point.
    ea_or_tag: bool,
    /// EaSize at 64 and ReparsePointTag at 68.
    ea_and_tag: bool,
    short_name: Option<usize>,
    id64: Option<usize>,
    id128: Option<usize>,
}

const fn shape(class: FileInfoClass) -> Option<Shape> {
    let base = Shape {
        fixed: 64,
        names_only: false,
        ea_or_tag: false,
        ea_and_tag: false,
        short_name: None,
        id64: None,
        id128: None,
    };
    Some(match class {
        FileInfoClass::DIRECTORY => base,
        FileInfoClass::FULL_DIRECTORY => Shape { fixed: 68, ea_or_tag: true, ..base },
        FileInfoClass::BOTH_DIRECTORY => Shape { fixed: 94, ea_or_tag: true, short_name: Some(68), ..base },
        FileInfoClass::NAMES => Shape { fixed: 12, names_only: true, ..base },
        FileInfoClass::ID_BOTH_DIRECTORY => {
            Shape { fixed: 104, ea_or_tag: true, short_name: Some(68), id64: Some(96), ..base }
        }
        FileInfoClass::ID_FULL_DIRECTORY => Shape { fixed: 80, ea_or_tag: true, id64: Some(72), ..base },
        FileInfoClass::ID_EXTD_DIRECTORY => Shape { fixed: 88, ea_and_tag: true, id128: Some(72), ..base },
        FileInfoClass::ID_EXTD_BOTH_DIRECTORY => {
            Shape { fixed: 114, ea_and_tag: true, id128: Some(72), short_name: Some(88), ..base }
        }
        FileInfoClass::ID_64_EXTD_DIRECTORY => Shape { fixed: 80, ea_and_tag: true, id64: Some(72), ..base },
        FileInfoClass::ID_64_EXTD_BOTH_DIRECTORY => {
            Shape { fixed: 106, ea_and_tag: true, id64: Some(72), short_name: Some(80), ..base }
        }
        FileInfoClass::ID_ALL_EXTD_DIRECTORY => {
            Shape { fixed: 96, ea_and_tag: true, id64: Some(72), id128: Some(80), ..base }
        }
        FileInfoClass::ID_ALL_EXTD_BOTH_DIRECTORY => {
            let all = Shape { fixed: 122, ea_and_tag: true, id64: Some(72), id128: Some(80), ..base };
            Shape { short_name: Some(96), ..all }
        }
        _ => return None,
    })
}

/// The offset of FileName, the least OutputBufferLength of QUERY_DIRECTORY (shorter is
/// STATUS_INFO_LENGTH_MISMATCH). None: no directory class.
pub fn fixed_size(class: FileInfoClass) -> Option<usize> {
    shape(class).map(|s| s.fixed)
}

/// Its entries tell short names.
pub fn has_short_name(class: FileInfoClass) -> bool {
    shape(class).is_some_and(|s| s.short_name.is_some())
}

/// Appends entries to a buffer of at most `max` bytes, each on a multiple of 8 from where it began.
/// Nothing is allocated but the buffer's own growth.
#[derive(Debug)]
pub struct DirWriter<'w, 'b> {
    list: ChainWriter<'w, 'b>,
    shape: Shape,
}

impl<'w, 'b> DirWriter<'w, 'b> {
    /// The buffer begins where `w` stands. None: no directory class.
    pub fn new(w: &'w mut Writer<'b>, class: FileInfoClass, max: usize) -> Option<DirWriter<'w, 'b>> {
        let shape = shape(class)?;
        Some(DirWriter { list: ChainWriter::new(w, 8, max), shape })
    }

    /// Appends one entry. False: it does not fit, and the buffer is as it was.
    #[must_use]
    pub fn push(&mut self, entry: &DirEntry, name: &str) -> bool {
        let name_len = if name.is_ascii() { name.len() * 2 } else { utf16_len(name) };
        if !self.list.entry(self.shape.fixed + name_len) {
            return false;
        }
        let mut fixed = [0; MAX_FIXED];
        fill(&mut fixed, &self.shape, entry, name_len as u32);
        self.list.w.bytes(&fixed[4..self.shape.fixed]);
        put_utf16(self.list.w, name);
        true
    }

    /// Nothing has been appended.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.list.len()
    }
}

fn fill(out: &mut [u8; MAX_FIXED], shape: &Shape, e: &DirEntry, name_len: u32) {
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(4, &e.file_index.to_le_bytes());
    if shape.names_only {
        put(8, &name_len.to_le_bytes());
        return;
    }
    put(60, &name_len.to_le_bytes());
    put(8, &e.creation_time.0.to_le_bytes());
    put(16, &e.last_access_time.0.to_le_bytes());
    put(24, &e.last_write_time.0.to_le_bytes());
    put(32, &e.change_time.0.to_le_bytes());
    put(40, &e.end_of_file.to_le_bytes());
    put(48, &e.allocation_size.to_le_bytes());
    put(56, &e.file_attributes.bits().to_le_bytes());
    if shape.ea_or_tag {
        let reparse = e.file_attributes.contains(FileAttributes::REPARSE_POINT);
        put(64, &if reparse { e.reparse_point_tag } else { e.ea_size }.to_le_bytes());
    }
    if shape.ea_and_tag {
        put(64, &e.ea_size.to_le_bytes());
        put(68, &e.reparse_point_tag.to_le_bytes());
    }
    if let Some(at) = shape.short_name {
        put(at, &[e.short_name.len * 2]);
        for (i, unit) in e.short_name.units().iter().enumerate() {
            put(at + 2 + 2 * i, &unit.to_le_bytes());
        }
    }
    if let Some(at) = shape.id64 {
        put(at, &e.file_id.to_le_bytes());
    }
    if let Some(at) = shape.id128 {
        put(at, &e.file_id.to_le_bytes());
        put(at + 8, &e.file_id_high.to_le_bytes());
    }
}

/// UTF-16 by way of a piece of the stack: names are short, and growing the buffer two bytes at a time
/// is what a listing would spend its time on.
fn put_utf16(w: &mut Writer<'_>, name: &str) {
    let mut piece = [0; 128];
    let mut n = 0;
    for unit in name.encode_utf16() {
        if n == piece.len() {
            w.bytes(&piece);
            n = 0;
        }
        piece[n..n + 2].copy_from_slice(&unit.to_le_bytes());
        n += 2;
    }
    w.bytes(&piece[..n]);
}

/// The entries of an answer, for the client. Ends after the first error.
#[derive(Clone, Debug)]
pub struct DirEntries<'a> {
    class: FileInfoClass,
    list: Chain<'a>,
}

impl<'a> DirEntries<'a> {
    pub fn new(class: FileInfoClass, bytes: &'a [u8]) -> DirEntries<'a> {
        DirEntries { class, list: Chain::new(bytes) }
    }

    fn entry(&self, whole: &[u8]) -> Result<(DirEntry, String)> {
        let shape = shape(self.class).ok_or(DecodeError::new("directory class"))?;
        let fixed = whole.get(..shape.fixed).ok_or(DecodeError::new("directory entry"))?;
        let u32_at = |at: usize| Reader::at(fixed, at).u32("directory entry");
        let u64_at = |at: usize| Reader::at(fixed, at).u64("directory entry");
        let mut e = DirEntry { file_index: u32_at(4)?, ..DirEntry::default() };
        let name_len = u32_at(if shape.names_only { 8 } else { 60 })?;
        let name = Reader::at(whole, shape.fixed).utf16(name_len as usize, "FileName")?;
        if !shape.names_only {
            e.creation_time = FileTime(u64_at(8)?);
            e.last_access_time = FileTime(u64_at(16)?);
            e.last_write_time = FileTime(u64_at(24)?);
            e.change_time = FileTime(u64_at(32)?);
            e.end_of_file = u64_at(40)?;
            e.allocation_size = u64_at(48)?;
            e.file_attributes = FileAttributes::from_bits_retain(u32_at(56)?);
        }
        if shape.ea_or_tag {
            let reparse = e.file_attributes.contains(FileAttributes::REPARSE_POINT);
            *(if reparse { &mut e.reparse_point_tag } else { &mut e.ea_size }) = u32_at(64)?;
        }
        if shape.ea_and_tag {
            e.ea_size = u32_at(64)?;
            e.reparse_point_tag = u32_at(68)?;
        }
        if let Some(at) = shape.short_name {
            let len = usize::from(fixed[at]);
            if len > 24 || len % 2 != 0 {
                return Err(DecodeError::new("ShortNameLength"));
            }
            e.short_name.len = (len / 2) as u8;
            for i in 0..len / 2 {
                e.short_name.units[i] = u16::from_le_bytes([fixed[at + 2 + 2 * i], fixed[at + 3 + 2 * i]]);
            }
        }
        if let Some(at) = shape.id64 {
            e.file_id = u64_at(at)?;
        }
        if let Some(at) = shape.id128 {
            e.file_id = u64_at(at)?;
            e.file_id_high = u64_at(at + 8)?;
        }
        Ok((e, name))
    }
}

impl Iterator for DirEntries<'_> {
    type Item = Result<(DirEntry, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.list.next()?;
        Some(entry.and_then(|bytes| self.entry(bytes)))
    }
}
