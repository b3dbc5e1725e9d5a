//! Security descriptors that clients set: stored beside the file, with permissions beneath them that are as wide as
//! they need.
//!
//! A stored descriptor can only narrow what the kernel grants by mode and POSIX ACL, with one exception: who was
//! granted WRITE_DAC, WRITE_OWNER, WRITE_ATTRIBUTES, READ_EA or WRITE_EA by it may do that though the kernel keeps it
//! for the owner or has no such right of its own (`Object::trust`). Whoever changes mode, owner or POSIX ACL behind it ends it: then these are what counts again.

use std::time::SystemTime;

use rustix::io::Errno;

use super::acl::{self, Entry, Tag};
use super::ntacl::{self, NtAcl};
use super::security::nobody_if_named;
use super::{Export, Kind, Missing, Object, Result, Stat, attr, of_errno};
use crate::auth::Identity;
use crate::config::Acls;
use crate::fsa::access::{self, Bearer, Token};
use crate::sys;
use crate::types::{AccessMask, FileTime, NodeKey, NtStatus};
use crate::wire::dtyp::{Control, SecurityDescriptor, Sid};

/// `security.NTACL` in the side store; the value behind the file's birth time.
const SIDE_NAME: &str = "security.NTACL";
const MAX: usize = 1 << 16;

/// What an object that is about to be made will have.
#[derive(Debug)]
pub struct Heritage {
    parent: Option<SecurityDescriptor>,
    given: Option<SecurityDescriptor>,
    directory: bool,
}

impl Export {
    /// The descriptor that was stored for the object, if it still counts. `stat`: of the object, from just now. Where
    /// none is stored this is one system call, or none if it is known (`unstored`) or with `acls = "posix"`.
    pub fn stored(&self, object: &Object, stat: &Stat) -> Result<Option<SecurityDescriptor>> {
        let root = self.root();
        if root.unstored.knows(stat) && !self.is_aside(object.key) {
            return Ok(None);
        }
        match self.value(object)? {
            Some(value) => self.if_it_counts(object, stat, value),
            None => {
                root.unstored.note(stat);
                Ok(None)
            }
        }
    }

    fn value(&self, object: &Object) -> Result<Option<NtAcl>> {
        if self.policy().acls == Acls::Posix || !matches!(object.kind, Kind::File | Kind::Directory) {
            return Ok(None);
        }
        let beside = if self.root().facts.security_xattrs { read(object)? } else { None };
        beside.map_or_else(|| self.read_side(object), |value| Ok(Some(value)))
    }

    fn if_it_counts(&self, object: &Object, stat: &Stat, value: NtAcl) -> Result<Option<SecurityDescriptor>> {
        let changed = match value.beneath {
            Some(beneath) => beneath != self.fingerprint(object, stat)?,
            None => false,
        };
        Ok((!changed).then_some(value.descriptor))
    }

    /// Gives the object a descriptor. What it says of Unix users and groups becomes mode and POSIX ACL first, as wide
    /// as they have to be; then it is stored. The caller has checked that `token` may do it.
    pub fn set_descriptor(
        &self,
        object: &Object,
        stat: &Stat,
        descriptor: &SecurityDescriptor,
        token: &Token,
    ) -> Result<()> {
        if self.policy().acls == Acls::Posix || !matches!(object.kind, Kind::File | Kind::Directory) {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        self.give(object, stat, descriptor, token)?;
        let stat = self.stat_file(object)?;
        let before = self.entries(object, &stat)?;
        self.put_entries(object, &stat, &widest(descriptor, &stat, token)?)?;
        if let Err(status) = self.store(object, descriptor) {
            // Without what narrows it, it would be too wide.
            let _ = self.put_entries(object, &stat, &before);
            return Err(status);
        }
        Ok(())
    }

    /// Owner and group, where the descriptor names others. A user may take a file and give it to a group of his; only
    /// root gives files to others. An owner or group that is no Unix one is only stored.
    pub fn give(
        &self,
        object: &Object,
        stat: &Stat,
        descriptor: &SecurityDescriptor,
        token: &Token,
    ) -> Result<()> {
        let uid = descriptor.owner.and_then(|sid| sid.as_unix_user()).filter(|&uid| uid != stat.uid);
        let gid = descriptor.group.and_then(|sid| sid.as_unix_group()).filter(|&gid| gid != stat.gid);
        if uid.is_some_and(|uid| uid != token.uid() && !token.is_privileged()) {
            return Err(NtStatus::INVALID_OWNER);
        }
        if gid.is_some_and(|gid| !token.in_group(gid) && !token.is_privileged()) {
            return Err(NtStatus::INVALID_PRIMARY_GROUP);
        }
        if uid.is_none() && gid.is_none() {
            return Ok(());
        }
        attr::as_far_as_trusted(object, || sys::file::chown(&object.fd, uid, gid))
    }

    /// What will be of an object made at `at`, for which a descriptor may be `given`. `None`: what the kernel makes of
    /// it. `ACCESS_DENIED`: the descriptor of the directory does not let `token` add to it.
    pub fn heritage(
        &self,
        at: &Missing,
        directory: bool,
        given: Option<&SecurityDescriptor>,
        token: &Token,
    ) -> Result<Option<Heritage>> {
        if self.policy().acls == Acls::Posix {
            return Ok(None);
        }
        let parent = self.check_add(&at.parent, directory, token)?;
        let says = Control::DACL_PRESENT | Control::SACL_PRESENT;
        let given = given.filter(|sd| sd.control.intersects(says) || sd.owner.or(sd.group).is_some());
        if parent.is_none() && given.is_none() {
            return Ok(None);
        }
        Ok(Some(Heritage { parent, given: given.cloned(), directory }))
    }

    /// Whether the directory's stored descriptor lets `token` add to it; and that descriptor.
    pub fn check_add(
        &self,
        directory: &Object,
        adds_directory: bool,
        token: &Token,
    ) -> Result<Option<SecurityDescriptor>> {
        let Some(value) = self.value(directory)? else { return Ok(None) };
        let stat = self.stat_file(directory)?;
        let Some(descriptor) = self.if_it_counts(directory, &stat, value)? else { return Ok(None) };
        let bearer = Bearer::new(token, &descriptor, stat.uid, stat.gid);
        if access::allowed(&descriptor, &bearer).contains(access::needed_to_add(adds_directory)) {
            Ok(Some(descriptor))
        } else {
            Err(NtStatus::ACCESS_DENIED)
        }
    }

    /// Gives a new object what it inherits.
    pub fn endow(&self, object: &Object, stat: &Stat, heritage: &Heritage, token: &Token) -> Result<()> {
        let descriptor = access::new_descriptor(
            heritage.parent.as_ref(),
            heritage.given.as_ref(),
            heritage.directory,
            Sid::unix_user(stat.uid),
            Sid::unix_group(stat.gid),
        );
        self.set_descriptor(object, stat, &descriptor, token)
    }

    /// Mode, owner, group and POSIX ACLs as they are now.
    fn fingerprint(&self, object: &Object, stat: &Stat) -> Result<ntacl::Fingerprint> {
        let access = self.entries(object, stat)?;
        let default = match object.kind {
            Kind::Directory => self.posix_acl(object, acl::DEFAULT)?.unwrap_or_default(),
            _ => Vec::new(),
        };
        Ok(ntacl::fingerprint(stat, &access, &default))
    }

    fn entries(&self, object: &Object, stat: &Stat) -> Result<Vec<Entry>> {
        Ok(self.posix_acl(object, acl::NAME)?.unwrap_or_else(|| Entry::of_mode(stat.mode)))
    }

    /// Where the file system has no ACLs, only what a mode can say.
    fn put_entries(&self, object: &Object, stat: &Stat, entries: &[Entry]) -> Result<()> {
        let present = self.posix_acl(object, acl::NAME)?;
        if present.as_deref() == Some(entries) {
            return Ok(());
        }
        let chmod = || {
            let mode = stat.mode & 0o7000 | Entry::mode(entries);
            if mode == stat.mode & 0o7777 {
                return Ok(());
            }
            attr::as_far_as_trusted(object, || sys::file::chmod(&object.fd, mode))
        };
        if present.is_none() && entries.len() == 3 {
            return chmod();
        }
        let value = Entry::encode(entries);
        match attr::as_far_as_trusted(object, || sys::xattr::set(&object.fd, acl::NAME, &value)) {
            Err(NtStatus::NOT_SUPPORTED) => chmod(),
            other => other,
        }
    }

    fn store(&self, object: &Object, descriptor: &SecurityDescriptor) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = FileTime::from_unix(now.as_secs() as i64, now.subsec_nanos());
        let beneath = self.fingerprint(object, &self.stat_file(object)?)?;
        let value = NtAcl::encode(descriptor, &beneath, now);
        let side = &self.policy().side;
        if self.root().facts.security_xattrs {
            // CAP_SYS_ADMIN stays with a thread that acts as a user.
            match sys::xattr::set(&object.fd, ntacl::NAME, &value) {
                Ok(()) => {
                    if self.is_aside(object.key) {
                        side.put(object.key, SIDE_NAME, &[]);
                    }
                    return Ok(());
                }
                // Larger than the file system takes.
                Err(Errno::NOSPC | Errno::TOOBIG | Errno::RANGE) => {}
                Err(errno) => return Err(of_errno(errno)),
            }
            match sys::xattr::remove(&object.fd, ntacl::NAME) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(errno) => return Err(of_errno(errno)),
            }
        }
        side.put(object.key, SIDE_NAME, &[&born(object)?[..], &value].concat());
        Ok(())
    }

    /// The side store may have a descriptor of this object.
    fn is_aside(&self, key: NodeKey) -> bool {
        let side = &self.policy().side;
        side.knows(SIDE_NAME) && side.get(key, SIDE_NAME).is_some_and(|value| !value.is_empty())
    }

    fn read_side(&self, object: &Object) -> Result<Option<NtAcl>> {
        if !self.policy().side.knows(SIDE_NAME) {
            return Ok(None);
        }
        let Some(value) = self.policy().side.get(object.key, SIDE_NAME) else { return Ok(None) };
        // Of an earlier file with this inode?
        let Some((then, value)) = value.split_first_chunk() else { return Ok(None) };
        Ok(if *then == born(object)? { NtAcl::decode(value) } else { None })
    }

    /// Whether the side store may have anything of this export.
    pub(super) fn uses_side(&self) -> bool {
        !self.root().facts.xattrs || self.policy().side.knows(SIDE_NAME)
    }

    /// A node is gone, or new: what the side store has of it is of another.
    pub(super) fn forget_side(&self, key: NodeKey) {
        if self.uses_side() {
            self.policy().side.remove(key);
        }
    }
}

/// The birth time, or zeros where the file system does not tell it.
fn born(object: &Object) -> Result<[u8; 12]> {
    let stx = sys::file::stat_fd(&object.fd).map_err(of_errno)?;
    let mut out = [0; 12];
    out[..8].copy_from_slice(&stx.stx_btime.tv_sec.to_le_bytes());
    out[8..].copy_from_slice(&stx.stx_btime.tv_nsec.to_le_bytes());
    Ok(out)
}

fn read(object: &Object) -> Result<Option<NtAcl>> {
    let get = |buf: &mut [u8]| match object.has_data() {
        true => sys::xattr::get_data(&object.fd, ntacl::NAME, buf),
        false => sys::xattr::get(&object.fd, ntacl::NAME, buf),
    };
    let mut small = [0; ntacl::USUAL];
    match get(&mut small) {
        Ok(len) => return Ok(NtAcl::decode(&small[..len])),
        Err(Errno::RANGE) => {}
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(None),
        Err(errno) => return Err(of_errno(errno)),
    }
    let mut large = vec![0; MAX];
    match get(&mut large) {
        Ok(len) => Ok(NtAcl::decode(&large[..len])),
        Err(Errno::NODATA) => Ok(None),
        Err(errno) => Err(of_errno(errno)),
    }
}

/// The POSIX ACL that grants everybody at least what the descriptor does, as far as it can be said: each entry gets
/// what its user, with all his groups, or its group may do. Where everybody acts as one account, so does whoever is
/// somebody of a domain by his ticket: it gets what any of them may do. (Elsewhere such a one needs the rights of his own account:
/// what Unix groups stand for those of a domain is not known here.)
fn widest(descriptor: &SecurityDescriptor, stat: &Stat, token: &Token) -> Result<Vec<Entry>> {
    let nobody = nobody_if_named(descriptor.dacl.as_ref())?;
    let mut tags = acl::tags(descriptor, stat, nobody);
    let account = if token.uid() == stat.uid { Tag::Owner } else { Tag::User(token.uid()) };
    let mut strangers: Vec<Sid> = Vec::new();
    if token.is_everybodys() {
        let named = descriptor.dacl.iter().flat_map(|acl| &acl.aces).filter_map(|ace| ace.body.sid());
        strangers.extend(named.filter(|sid| sid.is_domain_account()));
        if !strangers.is_empty() && !tags.contains(&account) {
            tags.push(account);
        }
    }
    let by_group = tags.iter().any(|tag| matches!(tag, Tag::Group(_)));
    let none = || Token::new(u32::MAX, u32::MAX, [].into(), true);
    let of_user = |uid: u32| {
        if uid == token.uid() {
            return token.clone();
        }
        let account = if by_group { Identity::of_uid(uid).ok().flatten() } else { None };
        let authenticated = nobody != Some(uid);
        match account {
            Some(account) => Token::new(uid, account.gid, account.groups, authenticated),
            None => Token::new(uid, u32::MAX, [].into(), authenticated),
        }
    };
    let bits = |tag: Tag| {
        let who = match tag {
            Tag::Owner => of_user(stat.uid),
            Tag::User(uid) => of_user(uid),
            Tag::OwningGroup => Token::new(u32::MAX, stat.gid, [].into(), true),
            Tag::Group(gid) => Token::new(u32::MAX, gid, [].into(), true),
            Tag::Mask | Tag::Other => none(),
        };
        let allowed =
            |who: &Token| access::allowed(descriptor, &Bearer::new(who, descriptor, stat.uid, stat.gid));
        let mut widest = allowed(&who);
        if tag == account {
            strangers.iter().for_each(|sid| widest |= allowed(&none().with([*sid].into())));
        }
        widest_bits(widest, tag, stat)
    };
    Ok(acl::with_mask(tags.iter().map(|&tag| Entry { tag, bits: bits(tag) }).collect()))
}

/// `r`, `w`, `x` for any right that needs them. A program on a share is run by reading it; who may do anything in a
/// directory has to get into it.
fn widest_bits(allowed: AccessMask, tag: Tag, stat: &Stat) -> u32 {
    let write = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
    let (read, write, execute) = match stat.kind {
        Kind::Directory => {
            let read = allowed.contains(AccessMask::LIST_DIRECTORY);
            let write = allowed.intersects(write | AccessMask::DELETE_CHILD);
            (read, write, read || write || allowed.contains(AccessMask::TRAVERSE))
        }
        _ => {
            let read = allowed.intersects(AccessMask::READ_DATA | AccessMask::EXECUTE);
            (read, allowed.intersects(write), read && acl::was_executable(stat, tag))
        }
    };
    u32::from(read) << 2 | u32::from(write) << 1 | u32::from(execute)
}
