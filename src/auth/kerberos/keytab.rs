//! Keytab files (MIT "The Keytab Binary File Format", version 2): whose keys are there. The keys themselves are left
//! to the library.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

/// More than any keytab has.
const MAX_SIZE: u64 = 4 << 20;

/// One key, without the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub components: Vec<String>,
    pub realm: String,
    /// Key version number.
    pub version: u32,
    /// RFC 3961 8; 18 is aes256-cts-hmac-sha1-96.
    pub encryption: u16,
}

impl Entry {
    /// For tickets of SMB clients.
    pub fn is_cifs(&self) -> bool {
        super::names::is_cifs(&self.to_string())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.components.join("/"), self.realm)
    }
}

/// What a file has; the error says what is wrong with it, and what to do.
pub fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let shown = path.display();
    let told = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            format!("there is no keytab {shown}: make it with `kadmin ktadd -k {shown} cifs/HOST`")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("the keytab {shown} cannot be read: it has to belong to the user whom smbgate runs as")
        }
        _ => format!("the keytab {shown} cannot be read: {e}"),
    };
    let size = std::fs::metadata(path).map_err(told)?.len();
    if size > MAX_SIZE {
        return Err(format!("{shown} is no keytab: it has {size} bytes"));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(told)?);
    decode(&bytes).ok_or_else(|| format!("{shown} is no keytab of version 2, or is damaged"))
}

/// The realms of the keys for SMB, each once.
pub fn realms(entries: &[Entry]) -> Vec<String> {
    let mut realms: Vec<String> = entries.iter().filter(|e| e.is_cifs()).map(|e| e.realm.clone()).collect();
    realms.sort();
    realms.dedup();
    realms
}

/// None: it is none.
pub fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut rest = bytes.strip_prefix(&[5, 2])?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let size = i32::from_be_bytes(take(&mut rest)?);
        let (record, behind) = rest.split_at_checked(size.unsigned_abs() as usize)?;
        rest = behind;
        match size {
            // Zeros to the end of the file.
            0 => return rest.iter().all(|b| *b == 0).then_some(entries),
            1.. => entries.push(entry(record)?),
            // A hole, where an entry was removed.
            _ => {}
        }
    }
    Some(entries)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*head)
}

fn counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16::from_be_bytes(take(rest)?);
    let (head, behind) = rest.split_at_checked(len.into())?;
    *rest = behind;
    Some(head)
}

fn entry(mut r: &[u8]) -> Option<Entry> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let count = u16::from_be_bytes(take(&mut r)?);
    let realm = text(counted(&mut r)?);
    let components = (0..count).map(|_| counted(&mut r).map(text)).collect::<Option<_>>()?;
    let [_name_type, _time] = [take::<4>(&mut r)?, take(&mut r)?];
    let [short] = take(&mut r)?;
    let encryption = u16::from_be_bytes(take(&mut r)?);
    counted(&mut r)?;
    let long = take(&mut r).map_or(0, u32::from_be_bytes);
    let version = if long == 0 { short.into() } else { long };
    Some(Entry { components, realm, version, encryption })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(components: &[&str], realm: &str, short: u8, long: Option<u32>) -> Vec<u8> {
        let counted = |text: &[u8]| [&(text.len() as u16).to_be_bytes()[..], text].concat();
        let mut body = (components.len() as u16).to_be_bytes().to_vec();
        body.extend(counted(realm.as_bytes()));
        components.iter().for_each(|c| body.extend(counted(c.as_bytes())));
        body.extend([0, 0, 0, 1, 0, 0, 0, 0, short, 0, 18]);
        body.extend(counted(&[7; 32]));
        body.extend(long.map(u32::to_be_bytes).unwrap_or_default().iter().take(if long.is_some() {
            4
        } else {
            0
        }));
        [&(body.len() as i32).to_be_bytes()[..], &body].concat()
    }

    #[test]
    fn keys_are_told_without_their_bytes() {
        let hole = [&(-3_i32).to_be_bytes()[..], b"xyz"].concat();
        let file = [
            &[5, 2][..],
            &record(&["cifs", "nas.example.org"], "EXAMPLE.ORG", 3, None),
            &hole,
            &record(&["host", "nas"], "OTHER", 4, Some(260)),
            &record(&["CIFS", "nas"], "A", 1, Some(0)),
        ]
        .concat();
        let entries = decode(&file).unwrap();
        let shown: Vec<_> = entries.iter().map(|e| (e.to_string(), e.version, e.encryption)).collect();
        let of = |name: &str, version| (name.to_owned(), version, 18);
        assert_eq!(
            shown,
            [of("cifs/nas.example.org@EXAMPLE.ORG", 3), of("host/nas@OTHER", 260), of("CIFS/nas@A", 1)]
        );
        assert_eq!(realms(&entries), ["A", "EXAMPLE.ORG"]);
        for len in 0..file.len() {
            let ends = decode(&file[..len]).is_some_and(|some| some.len() < 3 || len == file.len());
            assert!(decode(&file[..len]).is_none() || ends, "{len}");
        }
        assert_eq!(decode(&[&file[..], &[0; 9]].concat()).map(|e| e.len()), Some(3));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        assert!(read(&path).unwrap_err().contains("kadmin ktadd"));
        std::fs::write(&path, "a text").unwrap();
        assert!(read(&path).unwrap_err().ends_with("is no keytab of version 2, or is damaged"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            decode(&bytes);
            decode(&[&[5, 2], &bytes[..]].concat());
        }
    }
}
