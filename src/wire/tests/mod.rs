//! Properties of every message.

mod garbage;
mod real;
mod round_trip;
mod shapes;

use super::codec::{Reader, Writer};
use super::header;

/// A message with an empty header and the body that `write` makes.
fn message(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = vec![0xAA; 5];
    let base = buf.len();
    buf.resize(base + header::LEN, 0);
    write(&mut Writer::from_base(&mut buf, base));
    buf.split_off(base)
}

/// A reader of a message that stands behind its header.
fn body(message: &[u8]) -> Reader<'_> {
    Reader::at(message, header::LEN)
}
