//! Fixed layouts: fields one after the other, little-endian, padded with zeros to the declared size.

use crate::types::{AccessMask, FileAttributes, FileTime, Guid};
use crate::wire::codec::{Reader, Result, Writer};

/// What can stand in a fixed layout.
pub trait Field: Sized {
    /// Bytes on the wire.
    const LEN: usize;
    fn put(&self, w: &mut Writer<'_>);
    fn take(r: &mut Reader<'_>) -> Result<Self>;
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Field for $int {
            const LEN: usize = size_of::<$int>();
            fn put(&self, w: &mut Writer<'_>) {
                w.bytes(&self.to_le_bytes());
            }
            fn take(r: &mut Reader<'_>) -> Result<$int> {
                r.array(stringify!($int)).map(<$int>::from_le_bytes)
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i64);

impl Field for bool {
    const LEN: usize = 1;
    fn put(&self, w: &mut Writer<'_>) {
        w.u8(u8::from(*self));
    }
    fn take(r: &mut Reader<'_>) -> Result<bool> {
        r.u8("BOOLEAN").map(|b| b != 0)
    }
}

impl<T: Field + Default + Copy, const N: usize> Field for [T; N] {
    const LEN: usize = N * T::LEN;
    fn put(&self, w: &mut Writer<'_>) {
        self.iter().for_each(|v| v.put(w));
    }
    fn take(r: &mut Reader<'_>) -> Result<[T; N]> {
        let mut out = [T::default(); N];
        for v in &mut out {
            *v = T::take(r)?;
        }
        Ok(out)
    }
}

impl Field for FileTime {
    const LEN: usize = 8;
    fn put(&self, w: &mut Writer<'_>) {
        w.u64(self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<FileTime> {
        r.u64("FILETIME").map(FileTime)
    }
}

impl Field for Guid {
    const LEN: usize = 16;
    fn put(&self, w: &mut Writer<'_>) {
        w.bytes(&self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<Guid> {
        r.array("GUID").map(Guid)
    }
}

impl Field for FileAttributes {
    const LEN: usize = 4;
    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.bits());
    }
    fn take(r: &mut Reader<'_>) -> Result<FileAttributes> {
        r.u32("FileAttributes").map(FileAttributes::from_bits_retain)
    }
}

impl Field for AccessMask {
    const LEN: usize = 4;
    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.bits());
    }
    fn take(r: &mut Reader<'_>) -> Result<AccessMask> {
        r.u32("AccessMask").map(AccessMask::from_bits_retain)
    }
}

/// Declares structures by their fields in wire order; what the fields leave of `[size]` is reserved.
macro_rules! layout {
    ($($(#[$meta:meta])* pub struct $name:ident[$size:literal] {
        $($(#[$fmeta:meta])* $field:ident: $ty:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $ty,)*
        }

        const _: () = assert!(0 $(+ <$ty as $crate::wire::fscc::layout::Field>::LEN)* <= $size);

        impl $name {
            /// Bytes on the wire.
            pub const SIZE: usize = $size;

            pub fn encode(&self, w: &mut $crate::wire::codec::Writer<'_>) {
                let end = w.pos() + $size;
                $($crate::wire::fscc::layout::Field::put(&self.$field, w);)*
                w.zeros(end - w.pos());
            }

            pub fn decode(r: &mut $crate::wire::codec::Reader<'_>) -> $crate::wire::codec::Result<$name> {
                let mut part = $crate::wire::codec::Reader::new(r.bytes($size, stringify!($name))?);
                Ok($name { $($field: $crate::wire::fscc::layout::Field::take(&mut part)?,)* })
            }
        }

        impl $crate::wire::fscc::layout::Field for $name {
            const LEN: usize = $size;
            fn put(&self, w: &mut $crate::wire::codec::Writer<'_>) {
                self.encode(w);
            }
            fn take(r: &mut $crate::wire::codec::Reader<'_>) -> $crate::wire::codec::Result<$name> {
                $name::decode(r)
            }
        }
    )*};
}
pub(crate) use layout;

/// A length in bytes (32 bits) and that much UTF-16: how names end most structures.
pub fn encode_name(w: &mut Writer<'_>, name: &str) {
    let at = w.pos();
    w.u32(0);
    w.utf16(name);
    let len = w.pos() - at - 4;
    w.patch_u32(at, len as u32);
}

pub fn decode_name(r: &mut Reader<'_>) -> Result<String> {
    let len = r.u32("FileNameLength")? as usize;
    r.utf16(len, "FileName")
}
