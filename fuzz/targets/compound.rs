//! Splitting a compounded message, and the header of each part.
#![no_main]
use libfuzzer_sys::fuzz_target;
use smbgate::wire::codec::{Reader, Writer};
use smbgate::wire::compound;
use smbgate::wire::header::{Header, LEN};

fuzz_target!(|message: &[u8]| {
    let mut covered = 0;
    for part in compound::split(message) {
        let Ok(part) = part else { return };
        covered += part.len();
        assert!(part.len() >= LEN);
        if let Ok(header) = Header::decode(&mut Reader::new(part)) {
            let mut out = Vec::new();
            header.encode(&mut Writer::new(&mut out));
            let again = Header::decode(&mut Reader::new(&out)).expect("what was encoded decodes");
            assert_eq!(again, header);
        }
    }
    assert_eq!(covered, message.len());
});
