//! Opening for data, creating, overwriting.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::dosattrib::DosAttrib;
use super::index::Edit;
use super::stat::{KEPT, default_attributes};
use super::{DataAccess, Export, Kind, Missing, Object, RelPath, Result, Stat, of_errno, stat, status};
use crate::sys;
use crate::types::{FileAttributes, NtStatus};

/// How a new file or directory shall be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewFile {
    pub directory: bool,
    /// READONLY, HIDDEN, SYSTEM, ... ; ARCHIVE is added to files.
    pub attributes: FileAttributes,
    /// It will get a security descriptor: until then it is its owner's alone, whatever the share says of modes.
    pub guarded: bool,
}

/// What was made. `object` of a file is open for data, read and write; of a directory, for reading.
#[derive(Debug)]
pub struct Created {
    pub object: Object,
    pub stat: Stat,
    pub path: RelPath,
}

impl Export {
    /// Replaces the `O_PATH` descriptor by one for data; the kernel checks the rights. A directory is opened for
    /// reading whatever is asked. `ACCESS_DENIED` for what is neither file nor directory.
    pub fn open_data(&self, object: &mut Object, access: DataAccess) -> Result<()> {
        let (flags, data) = match object.kind {
            Kind::Directory => (OFlags::RDONLY | OFlags::DIRECTORY, DataAccess { read: true, write: false }),
            Kind::File => {
                let flags = match (access.read, access.write) {
                    (true, true) => OFlags::RDWR,
                    (false, true) => OFlags::WRONLY,
                    (true, false) => OFlags::RDONLY,
                    (false, false) => return Ok(()),
                };
                (flags, access)
            }
            Kind::Symlink | Kind::Special => return Err(NtStatus::ACCESS_DENIED),
        };
        if object.data == data {
            return Ok(());
        }
        let fd =
            sys::file::reopen(&object.fd, flags | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(of_errno)?;
        object.fd = fd;
        object.data = data;
        // A window there was is one on the file that was open before.
        object.cached = self.cached(object);
        Ok(())
    }

    /// `OBJECT_NAME_COLLISION` if somebody was first: look up again.
    pub fn create(&self, at: &Missing, how: NewFile) -> Result<Created> {
        let name = at.path.name();
        let root = self.root();
        let policy = self.policy();
        let (mode, exact) = match how.directory {
            true => (policy.dir_mode.unwrap_or(0o777 & !policy.umask), policy.dir_mode),
            false => (policy.file_mode.unwrap_or(0o666 & !policy.umask), policy.file_mode),
        };
        let (mode, exact) = if how.guarded { (mode & 0o7700, None) } else { (mode, exact) };
        let mode = Mode::from_raw_mode(mode);
        let parent = at.parent.fd.as_fd();
        let made = root.indexes.change(&[(parent, at.parent.key, &[Edit::Added(name)])], || {
            if how.directory {
                rustix::fs::mkdirat(parent, name, mode)?;
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match rustix::fs::openat(parent, name, flags | OFlags::RDONLY, Mode::empty()) {
                    // A mode that keeps its owner from reading.
                    Err(Errno::ACCESS) => {
                        let fd = rustix::fs::openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
                        Ok((fd, DataAccess::default()))
                    }
                    other => Ok((other?, DataAccess { read: true, write: false })),
                }
            } else {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW;
                let fd = rustix::fs::openat(parent, name, flags | OFlags::CLOEXEC, mode)?;
                Ok((fd, DataAccess { read: true, write: true }))
            }
        });
        let (fd, data) = made.map_err(|errno| match errno {
            // The directory was removed while we were at it.
            Errno::NOENT => NtStatus::OBJECT_PATH_NOT_FOUND,
            other => of_errno(other),
        })?;
        // A new file has no DOS attributes on disk.
        let stx = sys::file::stat_fd(&fd).map_err(of_errno)?;
        let mut object = Object {
            fd,
            key: stat::key(&stx),
            kind: stat::kind(&stx),
            mount: stx.stx_mnt_id,
            data,
            trusted: false,
            stream: None,
            cached: None,
        };
        object.cached = self.cached(&object);
        let mut stat = Stat::new(&stx, DosAttrib::default());
        // What is kept is of an earlier file with this inode, removed behind our back.
        self.forget_side(object.key);
        if !root.facts.xattrs {
            self.stream_nodes().bulk.forget(&stx, object.as_fd());
        }
        if let Some(exact) = exact
            && stat.mode & 0o777 != exact & 0o777
        {
            // A default ACL or a umask took bits away.
            sys::file::chmod(&object.fd, (stat.mode & 0o7000) | (exact & 0o777)).map_err(of_errno)?;
        }
        let attributes = new_attributes(object.kind, how.attributes);
        if attributes & KEPT != default_attributes(object.kind) {
            self.set_attributes(&object, attributes)?;
            stat = self.stat(&object)?;
        }
        Ok(Created { object, stat, path: at.path.clone() })
    }

    /// What SUPERSEDE, OVERWRITE and OVERWRITE_IF do to an existing file (MS-FSA 2.1.5.1.2): no content, and the
    /// attributes given; superseding starts its life anew. The object must be open for writing data.
    pub fn overwrite(&self, object: &Object, how: NewFile, supersede: bool) -> Result<Stat> {
        object.set_size(0)?;
        self.set_attributes(object, new_attributes(object.kind, how.attributes))?;
        let mut stat = self.stat(object)?;
        if supersede {
            let times = super::Times { created: Some(stat.version), ..Default::default() };
            self.set_times(object, times)?;
            stat = self.stat(object)?;
        }
        Ok(stat)
    }

    /// Whether a directory has no entries (before delete pending is set on it).
    pub fn is_empty(&self, directory: &Object) -> Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&directory.fd, c".", flags, Mode::empty());
        let fd = match open() {
            // Who may delete a directory need not be one who may list it.
            Err(Errno::ACCESS) if sys::creds::can_switch() => {
                sys::creds::as_process(open).map_err(|e| status::of_io(&e))?
            }
            other => other,
        };
        let fd = fd.map_err(of_errno)?;
        let mut buf = sys::dir::DirBuf::new(1024);
        while let Some(entry) = buf.next(&fd).map_err(of_errno)? {
            if entry.name != b"." && entry.name != b".." {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Files are born with ARCHIVE, and never sparse (MS-FSA 2.1.5.1.1).
fn new_attributes(kind: Kind, asked: FileAttributes) -> FileAttributes {
    let asked = (asked & KEPT) - FileAttributes::SPARSE_FILE;
    match kind {
        Kind::Directory => asked | FileAttributes::DIRECTORY,
        _ => asked | FileAttributes::ARCHIVE,
    }
}
