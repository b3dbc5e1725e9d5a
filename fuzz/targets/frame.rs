//! The transport header and what a message is by its first bytes: SMB1, sealed, compressed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use smbgate::wire::codec::{Reader, Writer};
use smbgate::wire::frame;
use smbgate::wire::header::TransformHeader;
use smbgate::wire::smb1::MultiProtocolNegotiate;

fuzz_target!(|bytes: &[u8]| {
    let Some((prefix, message)) = bytes.split_first_chunk() else { return };
    if let Ok(len) = frame::decode(*prefix) {
        assert!(len <= frame::MAX);
        assert_eq!(frame::encode(len), *prefix);
    }
    let _ = frame::Kind::of(message);
    let _ = MultiProtocolNegotiate::decode(message);
    let _ = smbgate::wire::compression::CompressionTransform::decode(message);
    if let Ok(header) = TransformHeader::decode(&mut Reader::new(message)) {
        let mut out = Vec::new();
        header.encode(&mut Writer::new(&mut out));
        // Reserved (40..42) is not kept.
        assert!(out[..40] == message[..40] && out[42..] == message[42..52]);
    }
});
