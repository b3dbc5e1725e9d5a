//! Records of durable handles as an older, a newer or a broken server may have left them: with a checksum that holds.
#![no_main]
use libfuzzer_sys::fuzz_target;
use smbgate::durable::store::{decode, encode, sealed};

fuzz_target!(|bytes: &[u8]| {
    let Some((key, body)) = bytes.split_first_chunk::<8>() else { return };
    let _ = decode(key, body);
    if let Ok(record) = decode(key, &sealed(key, body)) {
        let again = encode(&record);
        assert_eq!(decode(key, &again).expect("what was encoded decodes"), record);
    }
});
