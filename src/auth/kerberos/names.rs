//! Which principals are ours, and from principal to local user.

use std::collections::BTreeMap;

use crate::auth::UserDb;
use crate::auth::accounts::{Accounts, By};

/// `cifs/HOST@REALM`: an SMB server's.
pub fn is_cifs(principal: &str) -> bool {
    let name = principal.rsplit_once('@').map_or(principal, |(name, _)| name);
    let service = name.split_once('/').filter(|(_, host)| !host.contains('/'));
    service.is_some_and(|(service, _)| service.eq_ignore_ascii_case("cifs"))
}

/// `name@REALM` with one component: whose it is. None: another service, another machine, a name with an escape.
fn simple(principal: &str) -> Option<(&str, &str)> {
    let (name, realm) = principal.rsplit_once('@')?;
    let plain = !name.is_empty() && !name.contains(['/', '@', '\\']);
    plain.then_some((name, realm))
}

/// The local user of a principal, by the map, else by his name where the realm is one of ours. He has to be known here,
/// and root is nobody's name by chance: it takes an entry of the map or of the user database. Err says what to do.
pub fn local(
    principal: &str,
    map: &BTreeMap<String, String>,
    realms: &[String],
    users: &dyn UserDb,
    accounts: &dyn Accounts,
) -> Result<String, String> {
    let mapped = map.get(principal);
    let name = match (mapped, simple(principal)) {
        (Some(name), _) => name.as_str(),
        (None, Some((name, realm))) if realms.iter().any(|own| own == realm) => name,
        (None, Some((_, realm))) => {
            return Err(format!(
                "principal {principal} has no user here: the realm is not one of {}; name it in `realms`, or the principal in \
                 `map` of [kerberos]{}",
                realms.join(", "),
                if realms.iter().any(|own| own.eq_ignore_ascii_case(realm)) {
                    " (upper and lower case differ in realms)"
                } else {
                    ""
                }
            ));
        }
        (None, None) => {
            return Err(format!("principal {principal} has no user here: name one in `map` of [kerberos]"));
        }
    };
    if let Some(user) = users.find(name) {
        return if user.disabled {
            Err(format!("the user {} is disabled", user.name))
        } else {
            Ok(user.name)
        };
    }
    match accounts.user(By::Name(name)) {
        Some(account) if account.uid != 0 || mapped.is_some() => Ok(account.name),
        Some(_) => Err(format!(
            "principal {principal} is not root for his name: add the user (smbgate user add root), or name the principal in `map` \
             of [kerberos]"
        )),
        None => Err(format!(
            "principal {principal} has no user here: there is neither a Unix account nor a user {name:?}; make one, or name \
             another in `map` of [kerberos]"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::accounts::{UnixGroup, UnixUser};
    use crate::auth::{NtHash, UserRecord};

    #[derive(Debug)]
    struct House;

    impl UserDb for House {
        fn find(&self, name: &str) -> Option<UserRecord> {
            let record = |name: &str, disabled| UserRecord {
                name: name.into(),
                nt_hash: NtHash::new([0; 16]),
                disabled,
            };
            match name.to_lowercase().as_str() {
                "alice" => Some(record("Alice", false)),
                "mallory" => Some(record("mallory", true)),
                _ => None,
            }
        }
    }

    impl Accounts for House {
        fn user(&self, by: By<'_>) -> Option<UnixUser> {
            let of = |name: &str, uid| Some(UnixUser { name: name.into(), uid, ..UnixUser::default() });
            match by {
                By::Name("bob" | "Bob") => of("bob", 1001),
                By::Name("mallory") => of("mallory", 1002),
                By::Name("root") => of("root", 0),
                _ => None,
            }
        }
        fn group(&self, _: By<'_>) -> Option<UnixGroup> {
            None
        }
        fn groups_of(&self, _: &UnixUser) -> Vec<u32> {
            Vec::new()
        }
        fn users(&self) -> Vec<String> {
            Vec::new()
        }
        fn is_disabled(&self, _: &str) -> bool {
            false
        }
    }

    fn of(principal: &str) -> Result<String, String> {
        let map = [("eve@OTHER", "bob"), ("backup/admin@HERE", "root"), ("alice@THERE", "gone")];
        let map = map.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
        local(principal, &map, &["HERE".into(), "THERE".into()], &House, &House)
    }

    #[test]
    fn tickets_of_other_services_are_not_ours() {
        assert!(is_cifs("cifs/nas.example.org@EXAMPLE.ORG") && is_cifs("CIFS/nas@A"));
        assert!(!is_cifs("host/nas@A") && !is_cifs("cifs@A") && !is_cifs("nas$@A"));
        assert!(!is_cifs("cifs/nas/dom@A"));
    }

    #[test]
    fn the_realm_is_stripped_and_the_map_comes_first() {
        assert_eq!(of("alice@HERE").as_deref(), Ok("Alice"), "as the database spells it");
        assert_eq!(of("Bob@THERE").as_deref(), Ok("bob"), "as the system spells it");
        assert_eq!(of("eve@OTHER").as_deref(), Ok("bob"));
        assert_eq!(of("backup/admin@HERE").as_deref(), Ok("root"));
    }

    #[test]
    fn who_has_no_user_is_refused_with_advice() {
        let refused = |principal: &str, why: &str| {
            let told = of(principal).unwrap_err();
            assert!(told.contains(why), "{principal}: {told}");
        };
        refused("alice@OTHER", "the realm is not one of HERE, THERE");
        refused("alice@here", "upper and lower case differ");
        refused("alice@THERE", "\"gone\"");
        refused("carol@HERE", "neither a Unix account nor a user \"carol\"");
        refused("mallory@HERE", "disabled");
        refused("root@HERE", "not root for his name");
        refused("bob/admin@HERE", "name one in `map`");
        refused("host/nas@HERE", "name one in `map`");
        refused(r"bob\@HERE@HERE", "name one in `map`");
        refused("@HERE", "name one in `map`");
        refused("bob", "name one in `map`");
    }
}
