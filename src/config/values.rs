//! From one TOML value to one typed setting. Each function says what it wanted when it is given something else.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::nearest;
use super::settings::{Access, Acls, Encryption, Guest, Owner, Signing, Symlinks, Watch};
use crate::crypto::Cipher;
use crate::types::Dialect;

/// A value that will not do: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub span: Range<usize>,
    pub message: String,
}

pub type Value<'a> = Spanned<DeValue<'a>>;
pub type Read<T> = Result<T, Fault>;

pub const ENCRYPTION: &[(&str, Encryption)] =
    &[("off", Encryption::Off), ("offered", Encryption::Offered), ("required", Encryption::Required)];
pub const SIGNING: &[(&str, Signing)] = &[("required", Signing::Required), ("offered", Signing::Offered)];
pub const GUEST: &[(&str, Guest)] = &[("off", Guest::Off), ("ro", Guest::ReadOnly), ("rw", Guest::ReadWrite)];
pub const ACCESS: &[(&str, Access)] = &[("ro", Access::ReadOnly), ("rw", Access::ReadWrite)];
pub const ACLS: &[(&str, Acls)] =
    &[("windows", Acls::Windows), ("verbatim", Acls::Verbatim), ("posix", Acls::Posix)];
pub const SYMLINKS: &[(&str, Symlinks)] =
    &[("inside", Symlinks::Inside), ("never", Symlinks::Never), ("outside", Symlinks::Outside)];
pub const WATCH: &[(&str, Watch)] =
    &[("auto", Watch::Auto), ("inotify", Watch::Inotify), ("poll", Watch::Poll), ("off", Watch::Off)];
pub const CIPHERS: &[(&str, Cipher)] = &[
    ("aes-128-gcm", Cipher::Aes128Gcm),
    ("aes-256-gcm", Cipher::Aes256Gcm),
    ("aes-128-ccm", Cipher::Aes128Ccm),
    ("aes-256-ccm", Cipher::Aes256Ccm),
];

pub fn fault<T>(value: &Value<'_>, message: impl Into<String>) -> Read<T> {
    Err(Fault { span: value.span(), message: message.into() })
}

/// What was found, for messages.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn wanted<T>(value: &Value<'_>, what: &str) -> Read<T> {
    fault(value, format!("wants {what}, found {}", found(value.get_ref())))
}

pub fn string<'v>(value: &'v Value<'_>) -> Read<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        DeValue::Integer(n) => {
            fault(value, format!("wants a string, found a number: put it in quotes, \"{n}\""))
        }
        DeValue::Float(n) => {
            fault(value, format!("wants a string, found a fraction: put it in quotes, \"{n}\""))
        }
        _ => wanted(value, "a string"),
    }
}

pub fn boolean(value: &Value<'_>) -> Read<bool> {
    match value.get_ref() {
        DeValue::Boolean(b) => Ok(*b),
        DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => {
            fault(value, format!("wants true or false, found a string: write {text} without quotes"))
        }
        DeValue::String(text) if matches!(text.to_lowercase().as_str(), "yes" | "on") => {
            fault(value, format!("wants true or false, found \"{text}\": write true"))
        }
        DeValue::String(text) if matches!(text.to_lowercase().as_str(), "no" | "off") => {
            fault(value, format!("wants true or false, found \"{text}\": write false"))
        }
        _ => wanted(value, "true or false"),
    }
}

pub fn number(value: &Value<'_>, range: RangeInclusive<u32>) -> Read<u32> {
    let DeValue::Integer(n) = value.get_ref() else {
        return wanted(value, "a number");
    };
    let digits = n.as_str().replace('_', "");
    match u32::from_str_radix(&digits, n.radix()) {
        Ok(n) if range.contains(&n) => Ok(n),
        _ => fault(value, format!("{n} is not a number from {} to {}", range.start(), range.end())),
    }
}

/// One of a few words.
pub fn word<T: Copy>(value: &Value<'_>, words: &[(&'static str, T)]) -> Read<T> {
    let choices = || {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        match quoted.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => quoted.concat(),
        }
    };
    let DeValue::String(text) = value.get_ref() else {
        return wanted(value, &choices());
    };
    if let Some((_, meaning)) = words.iter().find(|(word, _)| word == text) {
        return Ok(*meaning);
    }
    let hint = nearest(text, words.iter().map(|(word, _)| *word))
        .map(|word| format!("; did you mean \"{word}\"?"))
        .unwrap_or_default();
    fault(value, format!("\"{text}\" is not {}{hint}", choices()))
}

pub fn dialect(value: &Value<'_>) -> Read<Dialect> {
    let words: Vec<(&'static str, Dialect)> = Dialect::ALL.iter().map(|d| (d.dotted(), *d)).collect();
    match value.get_ref() {
        DeValue::String(text) => match text.to_uppercase().as_str() {
            "1" | "1.0" | "NT1" | "SMB1" => {
                fault(value, "SMB 1 is not spoken; the oldest dialect is \"2.0.2\"")
            }
            "2" | "2.0" | "SMB2" | "SMB2_02" => {
                fault(value, format!("\"{text}\" is not a dialect; did you mean \"2.0.2\"?"))
            }
            "3" | "SMB3" => {
                fault(value, format!("\"{text}\" is not a dialect; did you mean \"3.0\" or \"3.1.1\"?"))
            }
            "3.1" | "SMB3_11" => {
                fault(value, format!("\"{text}\" is not a dialect; did you mean \"3.1.1\"?"))
            }
            _ => word(value, &words),
        },
        DeValue::Float(n) => fault(value, format!("put the dialect in quotes: \"{n}\"")),
        _ => word(value, &words),
    }
}

/// An array without repetitions.
pub fn list<T: PartialEq>(value: &Value<'_>, each: impl Fn(&Value<'_>) -> Read<T>) -> Read<Vec<T>> {
    let array = match value.get_ref() {
        DeValue::Array(array) => array,
        DeValue::String(text) => {
            return fault(value, format!("wants an array, found a string: write [\"{text}\"]"));
        }
        _ => return wanted(value, "an array"),
    };
    let mut items = Vec::new();
    for element in array.iter() {
        let item = each(element)?;
        if items.contains(&item) {
            return fault(element, "is in the list twice");
        }
        items.push(item);
    }
    Ok(items)
}

pub fn cipher(value: &Value<'_>) -> Read<Cipher> {
    word(value, CIPHERS)
}

pub fn address(value: &Value<'_>) -> Read<SocketAddr> {
    parse_address(string(value)?).or_else(|message| fault(value, message))
}

/// `ADDR:PORT`, as in `listen` and `--listen`.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let guess = if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Some(SocketAddr::new(ip, 445).to_string())
    } else if let Ok(port) = text.trim_start_matches(['*', ':']).parse::<u16>() {
        Some(format!("[::]:{port}"))
    } else if let Some(port) = text.strip_prefix("localhost:") {
        Some(format!("127.0.0.1:{port}"))
    } else if let Some((host, port)) = text.rsplit_once(':') {
        host.parse::<IpAddr>().ok().map(|ip| format!("[{ip}]:{port}"))
    } else {
        None
    };
    Err(match guess {
        Some(guess) => format!("\"{text}\" is not an address with a port; did you mean \"{guess}\"?"),
        None => {
            format!("\"{text}\" is not an address with a port, such as \"[::]:445\" or \"192.168.1.2:445\"")
        }
    })
}

pub fn absolute_path(value: &Value<'_>) -> Read<PathBuf> {
    let text = string(value)?;
    if text.contains('\0') {
        return fault(value, "a path cannot hold a zero byte");
    }
    if text.starts_with('~') {
        return fault(
            value,
            format!("\"{text}\": the file is not read by a shell; write the home directory out"),
        );
    }
    if !text.starts_with('/') {
        return fault(value, format!("\"{text}\" is relative; write the path from the root, \"/...\""));
    }
    Ok(PathBuf::from(text))
}

pub fn duration(value: &Value<'_>, range: RangeInclusive<Duration>) -> Read<Duration> {
    let text = match value.get_ref() {
        DeValue::String(text) => text,
        DeValue::Integer(n) => {
            return fault(value, format!("wants a duration, found a number without a unit: write \"{n}s\""));
        }
        _ => return wanted(value, "a duration such as \"2s\", \"500ms\" or \"5m\""),
    };
    let duration = match parse_duration(text) {
        Ok(duration) => duration,
        Err(message) => return fault(value, message),
    };
    if !range.contains(&duration) {
        return fault(
            value,
            format!(
                "\"{text}\" is not between \"{}\" and \"{}\"",
                show_duration(*range.start()),
                show_duration(*range.end())
            ),
        );
    }
    Ok(duration)
}

/// `500ms`, `2s`, `5m`, `1h`; whole numbers with a unit.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    let bad = || format!("\"{text}\" is not a duration such as \"2s\", \"500ms\" or \"5m\"");
    let count: u64 = count.parse().map_err(|_| bad())?;
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(format!("\"{text}\" has no unit; did you mean \"{text}s\"?")),
        "sec" | "secs" | "second" | "seconds" => return Err(format!("{}; write \"{count}s\"", bad())),
        "min" | "mins" | "minute" | "minutes" => return Err(format!("{}; write \"{count}m\"", bad())),
        _ => return Err(bad()),
    };
    count.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(bad)
}

/// The shortest form that [`parse_duration`] reads back (whole milliseconds).
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        _ if !ms.is_multiple_of(1_000) => format!("{ms}ms"),
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ => format!("{}s", ms / 1_000),
    }
}

/// Permission bits, all of them within `most`.
pub fn mode(value: &Value<'_>, most: u32) -> Read<u32> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(n) => {
            return fault(
                value,
                format!(
                    "wants an octal string, found a number: write \"0{}\"",
                    n.as_str().trim_start_matches('0')
                ),
            );
        }
        _ => return wanted(value, "an octal string such as \"0664\""),
    };
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if digits.len() >= 3 && !digits.starts_with('+') && mode & !most == 0 => Ok(mode),
        Ok(mode) if digits.len() >= 3 && mode <= 0o7777 => {
            fault(value, format!("\"{text}\" has bits that are not allowed here (at most \"{most:04o}\")"))
        }
        _ => fault(value, format!("\"{text}\" is not a mode in octal such as \"0664\"")),
    }
}

pub fn host_name(value: &Value<'_>) -> Read<String> {
    let text = string(value)?;
    if text.is_empty() {
        return fault(value, "is empty; leave the key out for the host name");
    }
    if text.contains('.') {
        let short = text.split('.').next().unwrap_or_default();
        return fault(value, format!("\"{text}\" has a domain; did you mean \"{short}\"?"));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
        return fault(value, format!("{bad:?} cannot be in a host name: letters, digits, `-` and `_` can"));
    }
    if text.len() > 63 {
        return fault(value, "is longer than 63 characters");
    }
    Ok(text.to_owned())
}

pub fn share_name(value: &Value<'_>) -> Read<String> {
    let text = string(value)?;
    match check_share_name(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(message) => fault(value, message),
    }
}

/// Whether clients can connect to a share of that name (MS-SRVS 2.2.4, MS-FSCC 2.1.6).
pub fn check_share_name(name: &str) -> Result<(), String> {
    const FORBIDDEN: &str = "\"\\/[]:|<>+=;,*?";
    if name.is_empty() {
        return Err("a share needs a name".to_owned());
    }
    if name.encode_utf16().count() > 80 {
        return Err(format!("the share name \"{name}\" is longer than 80 characters"));
    }
    if let Some(bad) = name.chars().find(|c| FORBIDDEN.contains(*c) || c.is_control()) {
        return Err(format!("{bad:?} cannot be in the name of a share (\"{}\")", name.escape_debug()));
    }
    if name.trim() != name || name.starts_with('.') || name.ends_with('.') {
        return Err(format!("the share name \"{name}\" begins or ends with a blank or a dot"));
    }
    if ["ipc$", "pipe", "mailslot"].contains(&name.to_lowercase().as_str()) {
        return Err(format!("\"{name}\" is a name of the protocol's own; choose another"));
    }
    Ok(())
}

/// Whether somebody can log on by that name (what Windows forbids in account names, MS-SAMR 3.1.1.6).
pub fn check_user_name(name: &str) -> Result<(), String> {
    const FORBIDDEN: &str = "\"\\/[]:;|=,+*?<>@";
    if name.is_empty() {
        return Err("a user needs a name".to_owned());
    }
    if name.chars().count() > 64 {
        return Err(format!("the user name \"{name}\" is longer than 64 characters"));
    }
    if let Some(bad) = name.chars().find(|c| FORBIDDEN.contains(*c) || c.is_control()) {
        return Err(format!("{bad:?} cannot be in the name of a user (\"{}\")", name.escape_debug()));
    }
    if name.trim() != name || name.starts_with('-') || name.ends_with('.') {
        return Err(format!(
            "the user name \"{name}\" begins with `-`, ends with a dot, or begins or ends with a blank"
        ));
    }
    Ok(())
}

pub fn owner(value: &Value<'_>) -> Read<Owner> {
    let text = string(value)?;
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let bad =
        |part: &str| part.is_empty() || part.chars().any(|c| c.is_whitespace() || c == ':' || c.is_control());
    if bad(user) || group.is_some_and(bad) {
        return fault(value, format!("\"{text}\" is not \"user:group\" or \"user\""));
    }
    Ok(Owner { user: user.to_owned(), group: group.map(str::to_owned) })
}

/// User names come out in lower case.
/// `realm`: as Kerberos names them, mostly in upper case.
pub fn realm(value: &Value<'_>) -> Read<String> {
    let realm = string(value)?;
    if realm.is_empty() || realm.contains(['@', '/', '\\']) || realm.contains(char::is_whitespace) {
        return fault(value, format!("\"{realm}\" is no realm; one looks like \"EXAMPLE.ORG\""));
    }
    Ok(realm.to_owned())
}

/// From principal to user.
pub fn principals(value: &Value<'_>) -> Read<BTreeMap<String, String>> {
    let DeValue::Table(table) = value.get_ref() else {
        return wanted(value, "a table such as { \"bob@OTHER.ORG\" = \"robert\" }");
    };
    let mut map = BTreeMap::new();
    for (principal, user) in table.iter() {
        let name: &str = principal.get_ref();
        if !name.split_once('@').is_some_and(|(name, realm)| !name.is_empty() && !realm.is_empty()) {
            let message =
                format!("\"{name}\" is no principal: write it with its realm, \"{name}@EXAMPLE.ORG\"");
            return Err(Fault { span: principal.span(), message });
        }
        let local = string(user)?;
        check_user_name(local).or_else(|message| fault(user, message))?;
        map.insert(name.to_owned(), local.to_owned());
    }
    Ok(map)
}

pub fn allow(value: &Value<'_>) -> Read<BTreeMap<String, Access>> {
    let table = match value.get_ref() {
        DeValue::Table(table) => table,
        DeValue::Array(array) => {
            let users: Vec<String> = array
                .iter()
                .filter_map(|user| user.get_ref().as_str())
                .map(|user| format!("{user} = \"rw\""))
                .collect();
            return fault(value, format!("wants a table, found an array: write {{ {} }}", users.join(", ")));
        }
        _ => return wanted(value, "a table such as { alice = \"rw\", bob = \"ro\" }"),
    };
    let mut allow = BTreeMap::new();
    for (user, access) in table.iter() {
        if let Err(message) = check_user_name(user.get_ref()) {
            return Err(Fault { span: user.span(), message });
        }
        if allow.insert(user.get_ref().to_lowercase(), word(access, ACCESS)?).is_some() {
            return Err(Fault {
                span: user.span(),
                message: format!("{} is in the table twice", user.get_ref()),
            });
        }
    }
    Ok(allow)
}
