//! Lines of Samba's smbpasswd file, to import users from.

use super::{NtHash, UserRecord};

/// Reads one line of an smbpasswd file (`name:uid:LM:NT:[U   ]:LCT-...:`). `Ok(None)`: nothing to import
/// (blank, comment, machine account, no password). The LM hash is not looked at.
pub fn parse_smbpasswd(line: &str) -> Result<Option<UserRecord>, &'static str> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut fields = line.split(':');
    let mut next = || fields.next().ok_or("too few fields");
    let (name, _uid, _lm, nt, flags) = (next()?, next()?, next()?, next()?, next()?);
    let flags = flags
        .strip_prefix('[')
        .and_then(|f| f.strip_suffix(']'))
        .ok_or("the account flags do not stand in brackets")?;
    // N: no password; W, S, I: accounts of machines and domains.
    if flags.contains(['N', 'W', 'S', 'I']) || nt.starts_with("NO PASSWORD") || nt.starts_with('X') {
        return Ok(None);
    }
    super::users::check_name(name)?;
    Ok(Some(UserRecord { name: name.into(), nt_hash: hash(nt)?, disabled: flags.contains('D') }))
}

fn hash(hex: &str) -> Result<NtHash, &'static str> {
    const WHAT: &str = "the NT hash is not 32 hexadecimal digits";
    if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(WHAT);
    }
    let n = u128::from_str_radix(hex, 16).map_err(|_| WHAT)?;
    Ok(NtHash::new(n.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX";

    #[test]
    fn a_user_is_read() {
        let line = format!("alice:1000:{X}:8846F7EAEE8FB117AD06BDD830B7586C:[U          ]:LCT-5F5E1000:\n");
        let user = parse_smbpasswd(&line).unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.disabled), ("alice", false));
        assert_eq!(user.nt_hash, NtHash::of_password("password"));
        let line = line.replace("[U  ", "[DU ");
        assert!(parse_smbpasswd(&line).unwrap().unwrap().disabled);
    }

    #[test]
    fn what_is_no_user_is_passed_over() {
        for line in [
            "",
            "   ",
            "# comment",
            &format!("nas$:1001:{X}:8846F7EAEE8FB117AD06BDD830B7586C:[W          ]:LCT-5F5E1000:"),
            &format!("bob:1002:{X}:{X}:[U          ]:LCT-5F5E1000:"),
            &format!("bob:1002:{X}:NO PASSWORDXXXXXXXXXXXXXXXXXXXXX:[NU         ]:LCT-5F5E1000:"),
        ] {
            assert_eq!(parse_smbpasswd(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, why) in [
            ("alice:1000:x", "too few fields"),
            ("alice:1000:x:8846:[U]:", "the NT hash is not 32 hexadecimal digits"),
            (
                "alice:1000:x:8846F7EAEE8FB117AD06BDD830B7586C:U:",
                "the account flags do not stand in brackets",
            ),
            (
                "a/b:1000:x:8846F7EAEE8FB117AD06BDD830B7586C:[U]:",
                "it holds a character that names must not hold",
            ),
            (
                "alice:1000:x:+846F7EAEE8FB117AD06BDD830B7586C:[U]:",
                "the NT hash is not 32 hexadecimal digits",
            ),
        ] {
            assert_eq!(parse_smbpasswd(line), Err(why));
        }
    }
}
