//! NDR 2.0, little-endian (C706 chapter 14), as much as the two services need. Alignment is counted
//! from the first byte of the stub.

use crate::wire::codec::{DecodeError, Reader, Result, Writer};

/// Reads the arguments of a call. Bytes behind the last argument are not looked at: a verification
/// trailer (MS-RPCE 2.2.2.13) may stand there.
#[derive(Debug)]
pub struct NdrReader<'a> {
    r: Reader<'a>,
}

impl<'a> NdrReader<'a> {
    pub fn new(stub: &'a [u8]) -> NdrReader<'a> {
        NdrReader { r: Reader::new(stub) }
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.r.align(4);
        self.r.u32("NDR long")
    }

    /// A unique pointer: does it point at something?
    pub fn pointer(&mut self) -> Result<bool> {
        self.u32().map(|id| id != 0)
    }

    /// A conformant and varying string of wide characters, without its NUL. Unpaired surrogates are
    /// replaced.
    pub fn string(&mut self) -> Result<String> {
        let max = self.u32()?;
        let offset = self.u32()?;
        let len = self.u32()?;
        if offset != 0 || len > max {
            return Err(DecodeError::new("NDR string"));
        }
        let bytes = self.r.bytes((len as usize).saturating_mul(2), "NDR string")?;
        let units = bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).take_while(|u| *u != 0);
        Ok(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    }

    pub fn unique_string(&mut self) -> Result<Option<String>> {
        if self.pointer()? { self.string().map(Some) } else { Ok(None) }
    }

    /// A unique pointer to a long.
    pub fn unique_u32(&mut self) -> Result<Option<u32>> {
        if self.pointer()? { self.u32().map(Some) } else { Ok(None) }
    }
}

#[derive(Debug)]
enum Pointee<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Writes results. What embedded pointers point at is written by [`NdrWriter::pointees`], in the order
/// of the pointers.
#[derive(Debug, Default)]
pub struct NdrWriter<'a> {
    out: Vec<u8>,
    pointers: u32,
    waiting: Vec<Pointee<'a>>,
}

impl<'a> NdrWriter<'a> {
    pub fn new() -> NdrWriter<'a> {
        NdrWriter::default()
    }

    pub fn u32(&mut self, v: u32) {
        let mut w = Writer::from_base(&mut self.out, 0);
        w.align(4);
        w.u32(v);
    }

    /// A pointer to what the caller writes next, or null.
    pub fn pointer(&mut self, there: bool) {
        if there {
            self.pointers += 1;
        }
        self.u32(if there { 0x0002_0000 + 4 * (self.pointers - 1) } else { 0 });
    }

    /// A pointer to a string.
    pub fn text(&mut self, text: &'a str) {
        self.pointer(true);
        self.waiting.push(Pointee::Text(text));
    }

    /// A length, then a pointer to that many bytes; none: zero and null.
    pub fn sized_bytes(&mut self, bytes: &'a [u8]) {
        self.u32(bytes.len() as u32);
        self.pointer(!bytes.is_empty());
        if !bytes.is_empty() {
            self.waiting.push(Pointee::Bytes(bytes));
        }
    }

    pub fn pointees(&mut self) {
        for pointee in std::mem::take(&mut self.waiting) {
            match pointee {
                Pointee::Text(text) => self.string(text),
                Pointee::Bytes(bytes) => {
                    self.u32(bytes.len() as u32);
                    self.out.extend_from_slice(bytes);
                }
            }
        }
    }

    /// A conformant and varying string with its NUL.
    pub fn string(&mut self, text: &str) {
        let units = text.encode_utf16().count() as u32 + 1;
        self.u32(units);
        self.u32(0);
        self.u32(units);
        let mut w = Writer::from_base(&mut self.out, 0);
        w.utf16(text);
        w.u16(0);
    }

    /// A unique pointer to a long.
    pub fn unique_u32(&mut self, v: Option<u32>) {
        self.pointer(v.is_some());
        if let Some(v) = v {
            self.u32(v);
        }
    }

    /// The stub, ended by the return value.
    pub fn finish(mut self, status: u32) -> Vec<u8> {
        self.pointees();
        self.u32(status);
        self.out
    }
}
