//! `security.NTACL`: a security descriptor, in the bytes that Samba keeps (its NDR encoding, little-endian).
//!
//! The value: the version twice (16 bits each, the second is the union's tag), a pointer (32 bits, not 0), and by
//! version
//!
//! ```text
//!   1   the descriptor
//!   2   a pointer, 16 bytes that are not used, the descriptor
//!   3   a pointer, the kind of hash (16 bits, 1: SHA-256), a hash of 64 bytes, the descriptor
//!   4   the same, then a text that ends in NUL, a time (64 bits), a second hash of 64 bytes, the descriptor
//! ```
//!
//! each part at a multiple of its size, 64 bits and the descriptor at 4. The offsets in the descriptor are counted from
//! the start of the value. The second hash is of mode, owner, group and
//! POSIX ACLs as they were when the descriptor was stored: with others, somebody has changed them behind it, and it
//! does not count any more. The first hash is of what Samba would make of those; it is looked at when the
//! second does not match, and only Samba can compute it.

use sha2::{Digest, Sha256};

use super::acl::{Entry, Tag};
use super::{Kind, Stat};
use crate::types::FileTime;
use crate::wire::codec::{DecodeError, Reader, Writer};
use crate::wire::dtyp::SecurityDescriptor;

/// The attribute's name.
pub const NAME: &std::ffi::CStr = c"security.NTACL";

/// Most values are shorter than this.
pub const USUAL: usize = 1024;

const HASH: usize = 64;
const SHA256: u16 = 1;
/// What Samba names the source of the second hash.
const DESCRIPTION: &[u8] = b"posix_acl\0";

/// Mode, owner, group and POSIX ACLs in one number.
pub type Fingerprint = [u8; 32];

/// What the value says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NtAcl {
    pub descriptor: SecurityDescriptor,
    /// It counts only with these permissions beneath it. `None`: with any (versions 1 to 3).
    pub beneath: Option<Fingerprint>,
}

impl NtAcl {
    /// `None` when the bytes make no sense; the file then counts as one without.
    pub fn decode(bytes: &[u8]) -> Option<NtAcl> {
        Self::read(bytes).ok().flatten()
    }

    fn read(bytes: &[u8]) -> Result<Option<NtAcl>, DecodeError> {
        let mut r = Reader::new(bytes);
        let version = r.u16("version")?;
        if r.u16("version")? != version || r.u32("pointer")? == 0 {
            return Ok(None);
        }
        let mut beneath = None;
        match version {
            1 => {}
            2 => r.skip(4 + 16, "hash")?,
            3 | 4 => {
                r.skip(4, "pointer")?;
                let kind = r.u16("hash type")?;
                r.skip(HASH, "hash")?;
                if version == 4 {
                    let text = r.clone().rest();
                    let end = text.iter().position(|&b| b == 0).ok_or(DecodeError::new("description"))?;
                    r.skip(end + 1, "description")?;
                    r.align(4);
                    r.skip(8, "time")?;
                    let hash: [u8; HASH] = r.array("hash")?;
                    if kind != SHA256 {
                        return Ok(None);
                    }
                    beneath = hash.first_chunk().copied();
                }
            }
            _ => return Ok(None),
        }
        r.align(4);
        let descriptor = SecurityDescriptor::decode_at(bytes, r.pos())?;
        Ok(Some(NtAcl { descriptor, beneath }))
    }

    /// Version 4.
    pub fn encode(descriptor: &SecurityDescriptor, beneath: &Fingerprint, now: FileTime) -> Vec<u8> {
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out);
        w.u16(4);
        w.u16(4);
        w.u32(0x2_0000);
        w.u32(0x2_0004);
        w.u16(SHA256);
        w.zeros(HASH);
        w.bytes(DESCRIPTION);
        w.align(4);
        w.u64(now.0);
        w.bytes(beneath);
        w.zeros(HASH - beneath.len());
        w.align(4);
        descriptor.encode_from(&mut w, 0);
        out
    }
}

/// SHA-256 of Samba's encoding of what stands beneath the descriptor. `access`: with the entries of the mode where
/// there is no ACL; `default`: empty where there is none.
pub fn fingerprint(stat: &Stat, access: &[Entry], default: &[Entry]) -> Fingerprint {
    let directory = stat.kind == Kind::Directory;
    let mut bytes = Vec::with_capacity(256);
    let mut w = Writer::new(&mut bytes);
    w.u32(0x2_0000);
    w.u32(if directory { 0x2_0004 } else { 0 });
    w.u64(stat.uid.into());
    w.u64(stat.gid.into());
    w.u32(stat.mode);
    list(&mut w, access);
    if directory {
        list(&mut w, default);
    }
    Sha256::digest(&bytes).into()
}

fn list(w: &mut Writer<'_>, entries: &[Entry]) {
    w.align(4);
    w.u32(entries.len() as u32);
    w.align(8);
    w.u32(entries.len() as u32);
    w.u32(0);
    for entry in entries {
        w.align(8);
        let (tag, id) = match entry.tag {
            Tag::User(id) => (1, Some(id)),
            Tag::Owner => (2, None),
            Tag::Group(id) => (3, Some(id)),
            Tag::OwningGroup => (4, None),
            Tag::Other => (5, None),
            Tag::Mask => (6, None),
        };
        w.u16(tag);
        w.u16(tag);
        if let Some(id) = id {
            w.align(8);
            w.u64(id.into());
        }
        w.u32(entry.bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{FileAttributes, NodeKey};

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    fn stat(kind: Kind, mode: u32) -> Stat {
        Stat {
            key: NodeKey::default(),
            kind,
            size: 0,
            allocation: 0,
            created: FileTime::ZERO,
            accessed: FileTime::ZERO,
            written: FileTime::ZERO,
            changed: FileTime::ZERO,
            version: FileTime::ZERO,
            attributes: FileAttributes::NORMAL,
            nlink: 1,
            mode,
            uid: 1001,
            gid: 1001,
        }
    }

    fn entries(text: &str) -> Vec<Entry> {
        Entry::decode(&hex(text)).unwrap()
    }

    /// Stored by Debian's smbd 4.17 for a file whose DACL was set by smbcacls, with the ACL that it made of it.
    #[test]
    fn what_samba_stored_for_a_file() {
        let value = hex(concat!(
            "0400040000000200040002000100b05e62800483f76e12c1336265a9f0b72ed9c8857e54f6e4f7ff480a1ee67f440000",
            "000000000000000000000000000000000000000000000000000000000000706f7369785f61636c0070fee324967cdd01",
            "b3d6d905d0b7c578c8cb5eb304295804ba44f7ba157d8f5430e77bcc092a310300000000000000000000000000000000",
            "0000000000000000000000000000000001000480b4000000d000000000000000ec000000010500000000000515000000",
            "4f824bc22815b963eabce9e7e80300000105000000000005150000004f824bc22815b963eabce9e70102000002009000",
            "0500000000001400ff011f0001010000000000010000000000031400a900120001010000000000010000000000001800",
            "a90012000102000000000016010000000100000000002400ff011f000105000000000005150000004f824bc22815b963",
            "eabce9e70102000000002400ff011f000105000000000005150000004f824bc22815b963eabce9e7e8030000"
        ));
        let acl = entries(concat!(
            "0200000001000700ffffffff020005000100000002000700e903000004000700ffffffff",
            "08000700e903000010000700ffffffff20000700ffffffff"
        ));
        let read = NtAcl::decode(&value).unwrap();
        assert_eq!(read.beneath, Some(fingerprint(&stat(Kind::File, 0o100_777), &acl, &[])));
        assert_ne!(read.beneath, Some(fingerprint(&stat(Kind::File, 0o100_770), &acl, &[])));
        assert_eq!(read.descriptor.dacl.as_ref().unwrap().aces.len(), 5);
        let owner = read.descriptor.owner.unwrap();
        assert_eq!(owner.to_string(), "S-1-5-21-3259728463-1673073960-3890855146-1000");
        // Ours differs from Samba's in the first hash and the time.
        let ours = NtAcl::encode(&read.descriptor, &read.beneath.unwrap(), FileTime(0));
        assert_eq!(NtAcl::decode(&ours), Some(read));
        assert_eq!(ours.len(), value.len());
        assert_eq!((&ours[..14], &ours[96..128]), (&value[..14], &value[96..128]));
    }

    /// The same of a directory: a default ACL takes part.
    #[test]
    fn what_samba_stored_for_a_directory() {
        let access = entries(concat!(
            "0200000001000700ffffffff02000700e903000004000700ffffffff08000700e9030000",
            "10000700ffffffff20000700ffffffff"
        ));
        let want = hex("5517bf056ec71f248d2bd62f51a462c21df40ddf6ef6ad8a84d4df17b0531346");
        assert_eq!(fingerprint(&stat(Kind::Directory, 0o40_777), &access, &access).to_vec(), want);
    }

    #[test]
    fn older_versions_are_read() {
        let descriptor = SecurityDescriptor {
            owner: Some(crate::wire::dtyp::Sid::unix_user(7)),
            control: crate::wire::dtyp::Control::SELF_RELATIVE,
            ..SecurityDescriptor::default()
        };
        let with = |mut head: Vec<u8>| {
            descriptor.encode_from(&mut Writer::from_base(&mut head, 0), 0);
            head
        };
        let want = Some(NtAcl { descriptor: descriptor.clone(), beneath: None });
        let v1 = with(hex("0100010000000200"));
        let v2 = with([&hex("020002000000020004000200")[..], &[7; 16]].concat());
        let v3 = with([&hex("0300030000000200040002000100")[..], &[7; 64], &[0; 2]].concat());
        for value in [v1, v2, v3] {
            assert_eq!(NtAcl::decode(&value), want);
        }
    }

    #[test]
    fn nonsense_counts_as_nothing() {
        for bytes in [&b""[..], b"\x04\0\x04\0", b"\x05\0\x05\0\0\0\x02\0", b"\x01\0\x02\0\0\0\x02\0"] {
            assert_eq!(NtAcl::decode(bytes), None);
        }
        let whole = NtAcl::encode(&SecurityDescriptor::default(), &[1; 32], FileTime(0));
        assert!((0..whole.len()).all(|end| NtAcl::decode(&whole[..end]).is_none()));
    }
}
