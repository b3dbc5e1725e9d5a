//! Bodies that several commands share.

/// A message whose body is its StructureSize (4) and two reserved bytes.
macro_rules! empty_body {
    ($($(#[$meta:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name;

        impl $name {
            pub fn decode(r: &mut $crate::wire::codec::Reader<'_>) -> $crate::wire::codec::Result<$name> {
                r.body::<4>(4, $what).map(|_| $name)
            }

            pub fn encode(&self, w: &mut $crate::wire::codec::Writer<'_>) {
                w.u16(4);
                w.u16(0);
            }
        }
    )*};
}

/// A response whose body is one output buffer: StructureSize (9), OutputBufferOffset,
/// OutputBufferLength, Buffer.
///
/// Beside `encode` there are `encode_prefix`, to write the buffer in place behind it, and `patch`,
/// to state its length afterwards.
macro_rules! output_buffer_body {
    ($(#[$meta:meta])* $name:ident = $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name<'a> {
            pub buffer: &'a [u8],
        }

        impl<'a> $name<'a> {
            pub fn decode(r: &mut $crate::wire::codec::Reader<'a>) -> $crate::wire::codec::Result<Self> {
                let mut f = r.body::<8>(9, $what)?;
                let (offset, length) = (f.u16($what)?, f.u32($what)?);
                Ok($name { buffer: r.buffer_at(offset, length, $what)? })
            }

            pub fn encode(&self, w: &mut $crate::wire::codec::Writer<'_>) {
                let body = $name::encode_prefix(w);
                w.bytes(self.buffer);
                $name::patch(w, body);
            }

            /// Writes the fixed part. What is written next is the buffer. Returns the mark that `patch` takes.
            pub fn encode_prefix(w: &mut $crate::wire::codec::Writer<'_>) -> $crate::wire::codec::Mark {
                let mark = w.mark();
                w.u16(9);
                w.u16((mark.pos() + 8) as u16);
                w.u32(0);
                mark
            }

            /// States that the buffer ends here.
            pub fn patch(w: &mut $crate::wire::codec::Writer<'_>, body: $crate::wire::codec::Mark) {
                let length = w.pos() - (body.pos() + 8);
                w.patch_u32(body.pos() + 4, length as u32);
            }
        }
    };
}
