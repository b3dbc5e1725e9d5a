//! What no single key can tell: settings that contradict each other, or that together ask for trouble.

use std::path::Path;

use super::problem::{Problems, Severity, Spot};
use super::read::{Part, Spots};
use super::settings::{Encryption, Guest, Settings, Share, Symlinks, Watch};
use crate::crypto::Cipher;
use crate::types::Dialect;

/// Appends what is wrong between the keys.
pub(super) fn cross(settings: &Settings, spots: &Spots, problems: &mut Problems) {
    let mut check = Check { settings, spots, problems };
    check.server();
    check.kerberos();
    for (index, share) in settings.shares.iter().enumerate() {
        check.share_by_itself(index, share);
        check.share_and_server(index, share);
        for (earlier, other) in settings.shares[..index].iter().enumerate() {
            check.share_and_share(index, share, earlier, other);
        }
    }
}

struct Check<'a> {
    settings: &'a Settings,
    spots: &'a Spots,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn error(&mut self, part: Part, key: &str, message: String) {
        let spot = self.spots.of(part, key);
        self.problems.push(Severity::Error, spot, message);
    }

    fn warn(&mut self, part: Part, key: &str, message: String) {
        let spot = self.spots.of(part, key);
        self.problems.push(Severity::Warning, spot, message);
    }

    /// A spot in words, for "as in ...".
    fn told(&self, part: Part, key: &str) -> String {
        match self.spots.of(part, key) {
            Spot::Nowhere => "the default".to_owned(),
            spot => spot.to_string(),
        }
    }

    fn server(&mut self) {
        let server = &self.settings.server;
        let (min, max) = (server.min_dialect, server.max_dialect);
        if min > max {
            let key = if self.spots.is_explicit(Part::Server, "min_dialect") {
                "min_dialect"
            } else {
                "max_dialect"
            };
            let message = format!(
                "min_dialect \"{}\" is newer than max_dialect \"{}\": no client could connect",
                min.dotted(),
                max.dotted()
            );
            self.error(Part::Server, key, message);
        }
        if server.encryption == Encryption::Required && !max.is_smb3() {
            let message = format!(
                "encryption = \"required\" needs dialect 3.0 or newer, and max_dialect is \"{}\"",
                max.dotted()
            );
            self.error(Part::Server, "encryption", message);
        }
        if self.settings.offers_encryption() && server.ciphers.is_empty() {
            let message = "an empty list of ciphers leaves nothing to encrypt with: name one, or set encryption = \"off\"";
            self.error(Part::Server, "ciphers", message.to_owned());
        } else if server.encryption == Encryption::Required && !server.ciphers.contains(&Cipher::Aes128Ccm) {
            if max.is_smb3() && max < Dialect::SMB3_11 {
                let message = format!(
                    "encryption is required and max_dialect is \"{}\", which knows \"aes-128-ccm\" only: add it to ciphers",
                    max.dotted()
                );
                self.error(Part::Server, "ciphers", message);
            } else if min.is_smb3() && min < Dialect::SMB3_11 {
                let message = "encryption is required, and without \"aes-128-ccm\" clients of dialects 3.0 and 3.0.2 are refused: \
                               add it, or set min_dialect = \"3.1.1\"";
                self.warn(Part::Server, "ciphers", message.to_owned());
            }
        }
    }

    fn kerberos(&mut self) {
        let kerberos = &self.settings.kerberos;
        if kerberos.keytab.is_some() {
            if !self.settings.server.ntlm {
                let guests =
                    self.settings.shares.iter().enumerate().find(|(_, share)| share.guest != Guest::Off);
                if let Some((index, share)) = guests {
                    let message = format!(
                        "share \"{}\": guests come without a ticket, and ntlm = false ({}) keeps out whoever has none",
                        share.name,
                        self.told(Part::Server, "ntlm")
                    );
                    self.warn(Part::Share(index), "guest", message);
                }
            }
            return;
        }
        for key in ["realms", "map"] {
            if self.spots.is_explicit(Part::Kerberos, key) {
                let message = format!("`{key}` has no effect without a `keytab`");
                self.warn(Part::Kerberos, key, message);
            }
        }
        if !self.settings.server.ntlm {
            let message =
                "ntlm = false leaves Kerberos, and [kerberos] names no `keytab`: nobody could log on";
            self.error(Part::Server, "ntlm", message.to_owned());
        }
    }

    fn share_by_itself(&mut self, index: usize, share: &Share) {
        let part = Part::Share(index);
        let name = &share.name;
        if share.guest == Guest::ReadWrite && share.read_only && self.spots.is_explicit(part, "guest") {
            self.warn(
                part,
                "guest",
                format!("share \"{name}\": guest = \"rw\" has no effect, since read_only = true"),
            );
        }
        if share.allow.as_ref().is_some_and(|allow| allow.is_empty()) && share.guest == Guest::Off {
            self.warn(
                part,
                "allow",
                format!("share \"{name}\": allow is empty and guest is off: nobody can connect"),
            );
        }
        if share.symlinks == Symlinks::Outside {
            let message = format!(
                "share \"{name}\": symlinks = \"outside\" lets whoever can make a link in the share reach every file of this \
                 machine that the user may reach; \"inside\" is safe"
            );
            self.warn(part, "symlinks", message);
        }
        if share.directory_leases && self.spots.is_explicit(part, "directory_leases") {
            if !share.leases {
                let message =
                    format!("share \"{name}\": directory_leases has no effect, since leases = false");
                self.warn(part, "directory_leases", message);
            } else if share.watch == Watch::Off {
                let message = format!(
                    "share \"{name}\": with watch = \"off\" no directory lease is ever granted, since changes from outside would be missed"
                );
                self.warn(part, "directory_leases", message);
            }
        }
        if let Some(view) = &share.view
            && (inside(view, &share.path) || inside(&share.path, view))
        {
            let message = format!(
                "share \"{name}\": the view {} and the shared path {} lie one in the other; mount the view elsewhere",
                view.display(),
                share.path.display()
            );
            self.error(part, "view", message);
        }
    }

    fn share_and_server(&mut self, index: usize, share: &Share) {
        let part = Part::Share(index);
        let (name, server) = (&share.name, &self.settings.server);
        let required = self.settings.encryption_of(share) == Encryption::Required;
        if server.encryption == Encryption::Required
            && share.encryption.is_some_and(|own| own != Encryption::Required)
        {
            let message = format!(
                "share \"{name}\": the server requires encryption everywhere ({}), so a share cannot do without",
                self.told(Part::Server, "encryption")
            );
            self.error(part, "encryption", message);
        }
        if share.encryption == Some(Encryption::Required) && !server.max_dialect.is_smb3() {
            let message = format!(
                "share \"{name}\": encryption = \"required\" needs dialect 3.0 or newer, and max_dialect is \"{}\" ({})",
                server.max_dialect.dotted(),
                self.told(Part::Server, "max_dialect")
            );
            self.error(part, "encryption", message);
        }
        if share.guest != Guest::Off {
            if required {
                let message = format!(
                    "share \"{name}\": guests have no key, so they cannot encrypt, and encryption is required ({}): \
                     set guest = \"off\", or encryption = \"offered\"",
                    if share.encryption.is_some() {
                        self.told(part, "encryption")
                    } else {
                        self.told(Part::Server, "encryption")
                    }
                );
                self.error(part, "guest", message);
            } else {
                let message = format!(
                    "share \"{name}\": guests are neither signed nor encrypted, and Windows refuses them unless its policy allows insecure guest logons"
                );
                self.warn(part, "guest", message);
            }
        }
        if share.continuous_availability && !server.max_dialect.is_smb3() {
            let message = format!("share \"{name}\": continuous_availability needs dialect 3.0 or newer");
            self.error(part, "continuous_availability", message);
        }
        if inside(&server.state_dir, &share.path) {
            let message = format!(
                "share \"{name}\": the state directory {} lies inside the share, so its users could read the user database: move one of them",
                server.state_dir.display()
            );
            self.error(part, "path", message);
        }
    }

    fn share_and_share(&mut self, index: usize, share: &Share, earlier: usize, other: &Share) {
        let (part, first) = (Part::Share(index), Part::Share(earlier));
        if share.name.to_lowercase() == other.name.to_lowercase() {
            let message = format!(
                "share \"{}\" is there already ({}); names differ in more than upper and lower case",
                share.name,
                self.told(first, "name")
            );
            self.error(part, "name", message);
        } else if share.path != other.path
            && (inside(&share.path, &other.path) || inside(&other.path, &share.path))
        {
            let message = format!(
                "shares \"{}\" and \"{}\" have files in common; clients of one do not see the locks and share modes of the other",
                other.name, share.name
            );
            self.warn(part, "path", message);
        }
        for (viewed, part, exported) in [(share, part, other), (other, first, share)] {
            if let Some(view) = &viewed.view
                && viewed.path != exported.path
                && (inside(view, &exported.path) || inside(&exported.path, view))
            {
                let message = format!(
                    "share \"{}\": the view {} and the path {} of share \"{}\" lie one in the other; mount the view elsewhere",
                    viewed.name,
                    view.display(),
                    exported.path.display(),
                    exported.name
                );
                self.error(part, "view", message);
            }
        }
        if let (Some(view), Some(taken)) = (&share.view, &other.view)
            && view == taken
        {
            self.error(
                part,
                "view",
                format!("{} is the view of share \"{}\" already", view.display(), other.name),
            );
        }
    }
}

/// Whether `inner` is `outer` or lies beneath it, by their names alone.
fn inside(inner: &Path, outer: &Path) -> bool {
    inner.starts_with(outer)
}
