//! ERROR response (MS-SMB2 2.2.2).

use super::codec::{DecodeError, Reader, Result, Writer};
use crate::types::open_enum;

open_enum! {
    /// MS-SMB2 2.2.2.1 ErrorId.
    pub struct ErrorId(u32) {
        DEFAULT = 0,
        SHARE_REDIRECT = 0x7264_5253,
    }
}

/// MS-SMB2 2.2.2.1 SMB2 ERROR Context, of dialect 3.1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ErrorContext<'a> {
    pub error_id: ErrorId,
    pub error_context_data: &'a [u8],
}

/// MS-SMB2 2.2.2. In 3.1.1 the data stand in `contexts`, before in `data`; one of them is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ErrorResponse<'a> {
    pub contexts: Vec<ErrorContext<'a>>,
    pub data: &'a [u8],
}

impl<'a> ErrorResponse<'a> {
    /// Bytes of an error without data.
    pub const PLAIN_LEN: usize = 9;

    /// Error data in the form of the dialect: within one context of id DEFAULT if `dialect_311`.
    pub fn with_data(data: &'a [u8], dialect_311: bool) -> Self {
        let mut out = ErrorResponse::default();
        if dialect_311 && !data.is_empty() {
            out.contexts.push(ErrorContext { error_id: ErrorId::DEFAULT, error_context_data: data });
        } else {
            out.data = data;
        }
        out
    }

    /// The first data, wherever they stand.
    pub fn error_data(&self) -> &'a [u8] {
        self.contexts.first().map_or(self.data, |c| c.error_context_data)
    }

    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        const WHAT: &str = "ERROR response";
        let mut f = r.body::<8>(9, WHAT)?;
        let count = f.u8(WHAT)?;
        f.skip(1, WHAT)?;
        let length = usize::try_from(f.u32(WHAT)?).map_err(|_| DecodeError::new(WHAT))?;
        let mut d = r.sub(length, WHAT)?;
        let mut out = ErrorResponse::default();
        if count == 0 {
            out.data = d.rest();
        }
        for i in 0..count {
            if i > 0 {
                d.align(8);
            }
            let (length, error_id) = (d.u32(WHAT)?, ErrorId(d.u32(WHAT)?));
            let length = usize::try_from(length).map_err(|_| DecodeError::new(WHAT))?;
            out.contexts.push(ErrorContext { error_id, error_context_data: d.bytes(length, WHAT)? });
        }
        Ok(out)
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u16(9);
        w.u8(self.contexts.len() as u8);
        w.u8(0);
        w.u32(0);
        for (i, context) in self.contexts.iter().enumerate() {
            if i > 0 {
                w.align(8);
            }
            w.u32(context.error_context_data.len() as u32);
            w.u32(context.error_id.0);
            w.bytes(context.error_context_data);
        }
        w.bytes(self.data);
        let length = w.pos() - at - 8;
        w.patch_u32(at + 4, length as u32);
        // Without data, ErrorData is one byte that ByteCount does not count.
        if length == 0 {
            w.u8(0);
        }
    }
}

/// MS-SMB2 2.2.2.2.1 Symbolic Link Error Response, the data of STATUS_STOPPED_ON_SYMLINK.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SymlinkErrorResponse {
    /// Bytes of the requested name, from its end, that were not looked up.
    pub unparsed_path_length: u16,
    /// The target is relative to where the link stands (SYMLINK_FLAG_RELATIVE).
    pub relative: bool,
    pub substitute_name: String,
    pub print_name: String,
}

const SYMLINK_TAG: u32 = 0x4C4D_5953;
const REPARSE_TAG_SYMLINK: u32 = 0xA000_000C;

impl SymlinkErrorResponse {
    /// The reader begins with SymLinkLength.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "symlink error data";
        let mut f = r.sub(28, WHAT)?;
        f.skip(4, WHAT)?;
        if f.u32(WHAT)? != SYMLINK_TAG || f.u32(WHAT)? != REPARSE_TAG_SYMLINK {
            return Err(DecodeError::new(WHAT));
        }
        f.skip(2, WHAT)?;
        let unparsed_path_length = f.u16(WHAT)?;
        let substitute = (f.u16(WHAT)?, f.u16(WHAT)?);
        let print = (f.u16(WHAT)?, f.u16(WHAT)?);
        let relative = f.u32(WHAT)? & 1 != 0;
        let names = Reader::new(r.rest());
        Ok(SymlinkErrorResponse {
            unparsed_path_length,
            relative,
            substitute_name: names.text_at(substitute.0, substitute.1, WHAT)?,
            print_name: names.text_at(print.0, print.1, WHAT)?,
        })
    }

    pub fn encode(&self, w: &mut Writer<'_>) {
        let at = w.pos();
        w.u32(0);
        w.u32(SYMLINK_TAG);
        w.u32(REPARSE_TAG_SYMLINK);
        w.u16(0);
        w.u16(self.unparsed_path_length);
        w.u64(0);
        w.u32(u32::from(self.relative));
        let names = w.pos();
        w.utf16(&self.substitute_name);
        let middle = w.pos();
        w.utf16(&self.print_name);
        let end = w.pos();
        w.patch_u32(at, (end - at - 4) as u32);
        w.patch_u16(at + 12, (end - at - 16) as u16);
        w.patch_u16(at + 18, (middle - names) as u16);
        w.patch_u16(at + 20, (middle - names) as u16);
        w.patch_u16(at + 22, (end - middle) as u16);
    }

    /// The data as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut Writer::new(&mut out));
        out
    }
}
