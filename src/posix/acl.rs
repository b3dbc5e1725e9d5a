//! POSIX ACLs: as they stand on disk, and made from a DACL.

use super::{Kind, Stat};
use crate::types::AccessMask;
use crate::wire::dtyp::{AceBody, AceFlags, AceType, Acl, SecurityDescriptor, Sid};

/// The xattrs.
pub const NAME: &std::ffi::CStr = c"system.posix_acl_access";
pub const DEFAULT: &std::ffi::CStr = c"system.posix_acl_default";

/// Who an entry is about. The order is the one on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tag {
    Owner,
    User(u32),
    OwningGroup,
    Group(u32),
    Mask,
    Other,
}

/// One entry; `bits` as in a mode (`r` 4, `w` 2, `x` 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub tag: Tag,
    pub bits: u32,
}

impl Tag {
    fn is_named(self) -> bool {
        matches!(self, Tag::User(_) | Tag::Group(_))
    }
}

impl Entry {
    pub fn of_mode(mode: u32) -> Vec<Entry> {
        [(Tag::Owner, 6), (Tag::OwningGroup, 3), (Tag::Other, 0)]
            .map(|(tag, shift)| Entry { tag, bits: mode >> shift & 7 })
            .to_vec()
    }

    /// The permission bits of a mode; the group's are those of the mask, if there is one (as chmod has it).
    pub fn mode(entries: &[Entry]) -> u32 {
        let bits = |tag| entries.iter().find(|e| e.tag == tag).map(|e| e.bits);
        let of = |tag| bits(tag).unwrap_or(0);
        of(Tag::Owner) << 6 | bits(Tag::Mask).unwrap_or(of(Tag::OwningGroup)) << 3 | of(Tag::Other)
    }

    /// Version 2, then entries of tag 16, bits 16, id 32 bits.
    pub fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != 2 || rest.len() % 8 != 0 {
            return None;
        }
        rest.chunks_exact(8)
            .map(|e| {
                let id = u32::from_le_bytes([e[4], e[5], e[6], e[7]]);
                let tag = match u16::from_le_bytes([e[0], e[1]]) {
                    0x01 => Tag::Owner,
                    0x02 => Tag::User(id),
                    0x04 => Tag::OwningGroup,
                    0x08 => Tag::Group(id),
                    0x10 => Tag::Mask,
                    0x20 => Tag::Other,
                    _ => return None,
                };
                Some(Entry { tag, bits: u32::from(u16::from_le_bytes([e[2], e[3]])) & 7 })
            })
            .collect()
    }

    pub fn encode(entries: &[Entry]) -> Vec<u8> {
        let mut out = 2u32.to_le_bytes().to_vec();
        for entry in entries {
            let (tag, id) = match entry.tag {
                Tag::Owner => (0x01u16, u32::MAX),
                Tag::User(id) => (0x02, id),
                Tag::OwningGroup => (0x04, u32::MAX),
                Tag::Group(id) => (0x08, id),
                Tag::Mask => (0x10, u32::MAX),
                Tag::Other => (0x20, u32::MAX),
            };
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&(entry.bits as u16).to_le_bytes());
            out.extend_from_slice(&id.to_le_bytes());
        }
        out
    }
}

/// Whom an ACE speaks of.
enum Whom {
    All,
    One(Tag),
    /// The superuser needs no entry.
    Superuser,
}

/// The entries that grant what a DACL grants, as far as three bits can say it: with a mask where somebody is named.
/// Each gets what its own ACEs and those for everybody give (MS-DTYP 2.5.3.2: the first ACE that speaks of a right
/// decides); a null DACL gives everything. None: an ACE is of a kind, or about somebody, that no entry can be about.
/// `nobody`: the account behind anonymous sessions.
///
/// Who may read a file may execute it as far as the mode let him before, somebody new as far as its owner: DACLs
/// made by clients do not tell the two apart.
pub fn of_dacl(dacl: Option<&Acl>, stat: &Stat, nobody: Option<u32>) -> Option<Vec<Entry>> {
    let mut tags = vec![Tag::Owner, Tag::OwningGroup, Tag::Other];
    let mut rules = Vec::new();
    for ace in dacl.map(|acl| acl.aces.as_slice()).unwrap_or_default() {
        if ace.flags.contains(AceFlags::INHERIT_ONLY) {
            continue;
        }
        let AceBody::Simple { mask, sid, .. } = &ace.body else { return None };
        let allows = match ace.kind {
            AceType::ACCESS_ALLOWED => true,
            AceType::ACCESS_DENIED => false,
            _ => return None,
        };
        let whom = whom(sid, stat, nobody)?;
        if let Whom::One(tag) = whom
            && !tags.contains(&tag)
        {
            tags.push(tag);
        }
        rules.push((whom, allows, mask.map_generic()));
    }
    tags.sort_unstable();
    let bits_of = |tag: Tag| {
        let (mut granted, mut denied) = (AccessMask::empty(), AccessMask::empty());
        for (whom, allows, mask) in &rules {
            match whom {
                Whom::All => {}
                Whom::One(one) if *one == tag => {}
                _ => continue,
            }
            if *allows { granted |= *mask - denied } else { denied |= *mask - granted }
        }
        bits(if dacl.is_some() { granted } else { AccessMask::FILE_ALL }, tag, stat)
    };
    Some(with_mask(tags.into_iter().map(|tag| Entry { tag, bits: bits_of(tag) }).collect()))
}

/// The same with a mask that takes nothing away, where one is needed; in the order on disk.
pub fn with_mask(mut entries: Vec<Entry>) -> Vec<Entry> {
    if entries.iter().any(|e| e.tag.is_named()) {
        let class = |e: &&Entry| e.tag.is_named() || e.tag == Tag::OwningGroup;
        let mask = entries.iter().filter(class).fold(0, |all, e| all | e.bits);
        entries.push(Entry { tag: Tag::Mask, bits: mask });
    }
    entries.sort_unstable_by_key(|e| e.tag);
    entries
}

/// The classes of a mode, and everybody else whom the DACL of a descriptor speaks of. Who has no Unix account or group
/// is passed over.
/// `nobody`: the account behind anonymous sessions.
pub fn tags(descriptor: &SecurityDescriptor, stat: &Stat, nobody: Option<u32>) -> Vec<Tag> {
    let aces = descriptor.dacl.iter().flat_map(|acl| &acl.aces);
    let in_force = aces.filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY));
    let mut tags = vec![Tag::Owner, Tag::OwningGroup, Tag::Other];
    for sid in in_force.filter_map(|ace| ace.body.sid()) {
        if let Some(Whom::One(tag)) = whom(sid, stat, nobody)
            && !tags.contains(&tag)
        {
            tags.push(tag);
        }
    }
    tags
}

fn whom(sid: &Sid, stat: &Stat, nobody: Option<u32>) -> Option<Whom> {
    let user = |uid| if uid == stat.uid { Tag::Owner } else { Tag::User(uid) };
    let group = |gid| if gid == stat.gid { Tag::OwningGroup } else { Tag::Group(gid) };
    Some(match *sid {
        Sid::EVERYONE | Sid::AUTHENTICATED_USERS => Whom::All,
        Sid::SYSTEM | Sid::BUILTIN_ADMINISTRATORS => Whom::Superuser,
        Sid::CREATOR_OWNER | Sid::OWNER_RIGHTS => Whom::One(Tag::Owner),
        Sid::CREATOR_GROUP => Whom::One(Tag::OwningGroup),
        Sid::ANONYMOUS => Whom::One(user(nobody?)),
        sid => Whom::One(sid.as_unix_user().map(user).or_else(|| sid.as_unix_group().map(group))?),
    })
}

/// Whether a file's mode let it be executed by the class of an entry; somebody new counts with its owner.
pub fn was_executable(stat: &Stat, tag: Tag) -> bool {
    let shift = match tag {
        Tag::OwningGroup => 3,
        Tag::Other => 0,
        Tag::Owner | Tag::User(_) | Tag::Group(_) | Tag::Mask => 6,
    };
    stat.mode >> shift & 1 != 0
}

fn bits(granted: AccessMask, tag: Tag, stat: &Stat) -> u32 {
    let read = granted.contains(AccessMask::READ_DATA);
    let write = granted.contains(AccessMask::WRITE_DATA);
    let execute = match stat.kind {
        Kind::Directory => granted.contains(AccessMask::TRAVERSE),
        _ => read && was_executable(stat, tag),
    };
    u32::from(read) << 2 | u32::from(write) << 1 | u32::from(execute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{FileAttributes, FileTime, NodeKey};
    use crate::wire::dtyp::Ace;

    #[test]
    fn an_acl_on_disk() {
        // user::rw-, user:1000:r--, group::r--, mask::rw-, other::---
        let bytes = [
            &2u32.to_le_bytes()[..],
            &[1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0],
            &[
                4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255,
                255,
            ],
        ]
        .concat();
        let entries = Entry::decode(&bytes).unwrap();
        assert_eq!(entries[1], Entry { tag: Tag::User(1000), bits: 4 });
        assert_eq!(entries.len(), 5);
        assert_eq!(Entry::encode(&entries), bytes);
        assert_eq!(Entry::decode(&bytes[..7]), None);
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
            uid: 1000,
            gid: 100,
        }
    }

    fn allow(sid: Sid, mask: AccessMask) -> Ace {
        Ace::allow(sid, mask, AceFlags::empty())
    }

    fn entries(aces: Vec<Ace>, stat: &Stat) -> Option<Vec<(Tag, u32)>> {
        let entries = of_dacl(Some(&Acl { revision: 2, aces }), stat, Some(99))?;
        Some(entries.into_iter().map(|e| (e.tag, e.bits)).collect())
    }

    fn three(owner: u32, group: u32, other: u32) -> Option<Vec<(Tag, u32)>> {
        Some(vec![(Tag::Owner, owner), (Tag::OwningGroup, group), (Tag::Other, other)])
    }

    #[test]
    fn a_dacl_that_a_mode_can_hold() {
        let file = stat(Kind::File, 0o100_755);
        let dir = stat(Kind::Directory, 0o042_755);
        assert_eq!(entries(vec![allow(Sid::CREATOR_OWNER, AccessMask::FILE_READ)], &file), three(5, 0, 0));
        assert_eq!(entries(vec![], &file), three(0, 0, 0));
        let all = of_dacl(None, &file, None).unwrap();
        assert!(all.iter().all(|e| e.bits == 7));
        let list = vec![
            allow(Sid::unix_user(1000), AccessMask::FILE_ALL),
            allow(Sid::unix_group(100), AccessMask::GENERIC_READ),
            allow(Sid::SYSTEM, AccessMask::FILE_ALL),
        ];
        assert_eq!(entries(list.clone(), &file), three(7, 5, 0));
        assert_eq!(entries(list, &dir), three(7, 4, 0));
        let deny = Ace::deny(Sid::unix_group(100), AccessMask::FILE_WRITE, AceFlags::empty());
        assert_eq!(entries(vec![deny, allow(Sid::EVERYONE, AccessMask::FILE_ALL)], &file), three(7, 5, 7));
    }

    #[test]
    fn a_dacl_that_names_others_takes_an_acl_with_a_mask() {
        let file = stat(Kind::File, 0o100_644);
        let list = vec![
            allow(Sid::unix_user(1000), AccessMask::FILE_ALL),
            allow(Sid::unix_group(7), AccessMask::FILE_READ),
            allow(Sid::ANONYMOUS, AccessMask::FILE_ALL),
            allow(Sid::EVERYONE, AccessMask::FILE_READ),
        ];
        let want = [
            (Tag::Owner, 6),
            (Tag::User(99), 6),
            (Tag::OwningGroup, 4),
            (Tag::Group(7), 4),
            (Tag::Mask, 6),
            (Tag::Other, 4),
        ];
        assert_eq!(entries(list, &file).unwrap(), want);
        let foreign = Sid::new(5, &[21, 1, 2, 3, 1000]);
        assert_eq!(entries(vec![allow(foreign, AccessMask::FILE_READ)], &file), None);
    }
}
