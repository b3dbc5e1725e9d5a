//! `smbgate.toml(5)`, made from the table of keys.

/// The manual page in roff.
pub fn manual() -> String {
    String::new()
}
