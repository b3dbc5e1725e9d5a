//! Names on disk and names on the wire.
