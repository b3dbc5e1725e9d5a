//! What a ticket may be refused for: the status, and the line for the administrator.

use std::path::Path;

use crate::sys::gssapi::Error;
use crate::types::NtStatus;

/// ERROR_TABLE_BASE_krb5. The protocol's own codes (RFC 4120 7.5.9) follow it by their numbers.
const BASE: i32 = -1_765_328_384;

/// Codes of libkrb5, counted from `BASE`.
mod code {
    pub const BAD_INTEGRITY: i32 = 31;
    pub const TKT_EXPIRED: i32 = 32;
    pub const TKT_NYV: i32 = 33;
    pub const REPEAT: i32 = 34;
    pub const NOT_US: i32 = 35;
    pub const SKEW: i32 = 37;
    pub const MODIFIED: i32 = 41;
    pub const BADKEYVER: i32 = 44;
    pub const NOKEY: i32 = 45;
    pub const WRONG_PRINC: i32 = 144;
    pub const RC_FIRST: i32 = 159;
    pub const RC_REPLAY: i32 = 163;
    pub const RC_LAST: i32 = 172;
    pub const KT_NOTFOUND: i32 = 181;
    pub const KT_KVNONOTFOUND: i32 = 230;
}

/// Clients are told of clocks, since only they can set theirs. All else is the same to them.
pub fn told(error: &Error, keytab: &Path) -> (NtStatus, String) {
    let shown = keytab.display();
    let why = match error.minor.wrapping_sub(BASE) {
        code::SKEW => {
            let why = "the clocks of the client and of this machine differ by more than `clockskew` of krb5.conf: set both by NTP";
            return (NtStatus::TIME_DIFFERENCE_AT_DC, why.into());
        }
        code::TKT_NYV => {
            let why = "the ticket is not valid yet: this machine's clock is behind that of the KDC: set it by NTP";
            return (NtStatus::TIME_DIFFERENCE_AT_DC, why.into());
        }
        code::TKT_EXPIRED => {
            "the ticket has expired: the client needs a new one (kinit, or logging on to his machine again); where it is new, this \
             machine's clock is ahead of the KDC's"
                .into()
        }
        code::REPEAT | code::RC_REPLAY => {
            "its AP-REQ was here before: somebody replays what he recorded, or a client sends one twice (logging on again is enough)"
                .into()
        }
        code::BADKEYVER | code::KT_KVNONOTFOUND => format!(
            "{error}: the ticket is for another version of the key than {shown} has. After a change of the key add the new one \
             beside the old (kadmin ktadd -k {shown}), and let the client get a new ticket (klist purge, kinit)"
        ),
        code::NOT_US | code::NOKEY | code::WRONG_PRINC | code::KT_NOTFOUND => format!(
            "{error}: {shown} has no key for the service the ticket is for: add it under the name that clients connect to \
             (kadmin ktadd -k {shown} cifs/HOST)"
        ),
        code::BAD_INTEGRITY | code::MODIFIED => format!(
            "{error}: the key in {shown} is not the KDC's: make the keytab again (kadmin ktadd -k {shown} cifs/HOST)"
        ),
        code::RC_FIRST..=code::RC_LAST => {
            format!("{error}: the replay cache in the state directory cannot be used: is the disk full?")
        }
        _ => format!("the ticket cannot be used: {error}"),
    };
    (NtStatus::LOGON_FAILURE, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_told_to_the_client_and_all_else_to_the_administrator() {
        let of =
            |code| told(&Error { major: 0xD0000, minor: BASE + code, text: "TEXT".into() }, Path::new("/k"));
        for (code, part) in [
            (code::TKT_EXPIRED, "has expired"),
            (code::REPEAT, "was here before"),
            (code::RC_REPLAY, "was here before"),
            (code::BADKEYVER, "TEXT: the ticket is for another version of the key than /k has"),
            (code::NOKEY, "ktadd -k /k cifs/HOST"),
            (code::MODIFIED, "is not the KDC's"),
            (code::RC_FIRST, "replay cache"),
            (1, "the ticket cannot be used: TEXT"),
        ] {
            let (status, why) = of(code);
            assert_eq!(status, NtStatus::LOGON_FAILURE);
            assert!(why.contains(part), "{code}: {why}");
        }
        for code in [code::SKEW, code::TKT_NYV] {
            let (status, why) = of(code);
            assert_eq!(status, NtStatus::TIME_DIFFERENCE_AT_DC);
            assert!(why.contains("NTP"), "{why}");
        }
        let other = Error { major: 0xD0000, minor: 2, text: "No such file".into() };
        assert_eq!(told(&other, Path::new("/k")).1, "the ticket cannot be used: No such file");
    }
}
