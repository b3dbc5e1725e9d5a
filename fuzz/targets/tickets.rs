//! What comes with Kerberos: the logon information of a PAC, and keytabs.
#![no_main]
use libfuzzer_sys::fuzz_target;
use smbgate::auth::kerberos::{keytab, pac};

fuzz_target!(|bytes: &[u8]| {
    if let Some(entries) = keytab::decode(bytes) {
        assert!(entries.len() <= bytes.len() / 4);
        let _ = keytab::realms(&entries);
    }
    if let Ok(sids) = pac::sids(bytes) {
        assert!(sids.len() <= bytes.len() / 8 + 2);
        assert!(sids.is_sorted() && sids.iter().all(|sid| sid.is_domain_account()));
    }
});
