//! The pipes: writes of any size (two bytes of length, then the data), and reads between them.
#![no_main]
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use smbgate::rpc::{Context, ShareEntry, open};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, mut rest)) = bytes.split_first() else { return };
    let shares = ["media", "IPC$"].map(|name| ShareEntry { name: name.to_owned(), ..ShareEntry::default() });
    let context = Context {
        server_name: "server".to_owned(),
        shares: shares.to_vec(),
        administrator: choice & 2 != 0,
        ..Context::default()
    };
    let name = if choice & 1 == 0 { "srvsvc" } else { "wkssvc" };
    let mut pipe = open(name, Arc::new(context)).expect("a known pipe");
    let mut answered = 0;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (data, behind) = behind.split_at(behind.len().min(usize::from(u16::from_le_bytes(*len))));
        rest = behind;
        if choice & 4 == 0 {
            answered += pipe.transceive(data, 4096).map_or(0, |(out, _)| out.len());
        } else if pipe.write(data).is_err() {
            return;
        }
        answered += pipe.read(1024).0.len();
    }
    assert!(answered <= 64 * (bytes.len() + 4096), "an answer out of all proportion");
});
