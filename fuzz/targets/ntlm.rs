//! NTLM's last message against a server that has sent its challenge, bare and within SPNEGO; and a server's challenge
//! against the client's half.
#![no_main]
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use smbgate::auth::client::{NtlmClient, Quirks};
use smbgate::auth::{Acceptor, NtHash, Policy, Step, UserDb, UserRecord};

struct Somebody;

impl UserDb for Somebody {
    fn find(&self, name: &str) -> Option<UserRecord> {
        Some(UserRecord { name: name.to_owned(), nt_hash: NtHash::new([7; 16]), disabled: false })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, message)) = bytes.split_first() else { return };
    let quirks = Quirks { raw: choice & 1 == 0, ..Quirks::default() };
    let mut client = NtlmClient::new("", "user", "password").with_quirks(quirks);
    let first = client.start();
    if choice & 2 == 0 {
        let mut acceptor = Acceptor::new(Arc::new(Policy::new("server", Arc::new(Somebody))));
        assert!(matches!(acceptor.step(&first), Step::Continue { .. }));
        // Nobody here knows the hash.
        assert!(!matches!(acceptor.step(message), Step::Done { .. }));
    } else {
        let _ = client.answer(message);
    }
});
