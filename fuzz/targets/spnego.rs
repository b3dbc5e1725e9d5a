//! Tokens of SESSION_SETUP, one after the other in one attempt to log on: each is two bytes of length, then the token.
#![no_main]
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use smbgate::auth::{Acceptor, NtHash, Policy, Step, UserDb, UserRecord};

struct Somebody;

impl UserDb for Somebody {
    fn find(&self, name: &str) -> Option<UserRecord> {
        let record = UserRecord { name: name.to_owned(), nt_hash: NtHash::new([7; 16]), disabled: false };
        (!name.is_empty()).then_some(record)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut policy = Policy::new("server", Arc::new(Somebody));
    policy.anonymous = bytes.len() % 2 == 0;
    let mut acceptor = Acceptor::new(Arc::new(policy));
    let mut rest = bytes;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (token, behind) = behind.split_at(behind.len().min(usize::from(u16::from_le_bytes(*len))));
        if !matches!(acceptor.step(token), Step::Continue { .. }) {
            return;
        }
        rest = behind;
    }
});
