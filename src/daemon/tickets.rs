//! Looks at what logons by ticket need: the library, and a keytab with a key for SMB.

use std::fmt::Write;
use std::path::Path;

use crate::auth::kerberos::{available, keytab};
use crate::config::Settings;

use super::Failure;

/// What clients can get tickets for, as in `cifs/nas.example.org@EXAMPLE.ORG (key versions 2, 3)`; or what is missing, and
/// what to do.
pub fn inspect(keytab: &Path) -> Result<String, String> {
    available().map_err(|why| why.to_string())?;
    let entries = keytab::read(keytab)?;
    let mut services: Vec<(String, Vec<u32>)> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_cifs()) {
        let name = entry.to_string();
        match services.iter_mut().find(|(other, _)| *other == name) {
            Some((_, versions)) => versions.push(entry.version),
            None => services.push((name, vec![entry.version])),
        }
    }
    if services.is_empty() {
        let shown = keytab.display();
        return Err(format!(
            "the keytab {shown} has no key of cifs/HOST, so no ticket can be used: add it under the name that clients connect to \
             (kadmin ktadd -k {shown} cifs/HOST)"
        ));
    }
    let mut told = String::new();
    for (name, mut versions) in services {
        versions.sort_unstable();
        versions.dedup();
        let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
        let word = if versions.len() == 1 { "version" } else { "versions" };
        let comma = if told.is_empty() { "" } else { ", " };
        let _ = write!(told, "{comma}{name} (key {word} {})", versions.join(", "));
    }
    Ok(told)
}

/// At a start: told in the log. It fails where nobody could log on at all.
pub fn look(settings: &Settings) -> Result<(), Failure> {
    let Some(keytab) = &settings.kerberos.keytab else { return Ok(()) };
    match inspect(keytab) {
        Ok(services) => log::info!("tickets are taken for {services}"),
        Err(why) if !settings.server.ntlm && available().is_err() => return Err(Failure(why)),
        // A keytab may still come.
        Err(why) => log::warn!("{why}"),
    }
    Ok(())
}

/// For `--version`.
pub fn version() -> String {
    match available() {
        Ok(_) => "Kerberos: MIT, by libgssapi_krb5.so.2".to_owned(),
        Err(why) => format!("Kerberos: none; {why}"),
    }
}
