//! Bytes to values and back: MS-SMB2 2.2, MS-FSCC, MS-DTYP. One file per command. No I/O, no state.
//!
//! Conventions: a message type is named as in MS-SMB2 2.2, its fields are the specification's names in
//! snake case, without offsets, lengths, counts, structure sizes and reserved fields. Requests borrow
//! from the message. Every type decodes and encodes, since the tests' and the benches' client speaks
//! with the same code.

pub mod codec;
pub mod dtyp;
pub mod fscc;
