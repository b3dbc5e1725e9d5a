//! Reading a directory, resumable.

use std::ffi::CString;
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, SeekFrom};
use rustix::io::Errno;

use super::dosattrib::DosAttrib;
use super::{Export, Kind, Object, Result, Stat, Symlinks, names, of_errno, stat};
use crate::sys;
use crate::sys::dir::DirBuf;
use crate::types::NtStatus;

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// As SMB spells it.
    pub name: String,
    /// As it stands on disk.
    pub disk: Box<[u8]>,
    /// Where the file system tells it with the name.
    pub kind: Option<Kind>,
    pub ino: u64,
}

/// A place in a directory listing. It moves the position of the directory's own descriptor: one scan at a time
/// per `Object`. `.` and `..` come first. The buffer is held only between the first entry and the last.
#[derive(Debug, Default)]
pub struct DirScan {
    at: At,
    buf: Option<DirBuf>,
    unread: Option<Entry>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum At {
    #[default]
    Start,
    Parent,
    Entries,
    End,
}

const BUFFER: usize = 64 << 10;

impl DirScan {
    pub fn new() -> DirScan {
        DirScan::default()
    }

    /// Starts again from the beginning.
    pub fn rewind(&mut self) {
        *self = DirScan::default();
    }

    /// The next name without looking at it; `None` at the end. `directory` must be open for reading data.
    pub fn next(&mut self, directory: &Object) -> Result<Option<Entry>> {
        if let Some(entry) = self.unread.take() {
            return Ok(Some(entry));
        }
        match self.at {
            At::Start => {
                if !directory.data.read {
                    return Err(NtStatus::ACCESS_DENIED);
                }
                rustix::fs::seek(&directory.fd, SeekFrom::Start(0)).map_err(of_errno)?;
                self.at = At::Parent;
                return Ok(Some(dot(".", directory)));
            }
            At::Parent => {
                self.at = At::Entries;
                return Ok(Some(dot("..", directory)));
            }
            At::Entries => {}
            At::End => return Ok(None),
        }
        let buf = self.buf.get_or_insert_with(|| DirBuf::new(BUFFER));
        loop {
            let raw = match buf.next(&directory.fd) {
                Ok(raw) => raw,
                // The directory itself was removed: it has no entries.
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(of_errno(errno)),
            };
            let Some(raw) = raw else {
                self.at = At::End;
                self.buf = None;
                return Ok(None);
            };
            if raw.name == b"." || raw.name == b".." {
                continue;
            }
            let kind = (raw.file_type != FileType::Unknown).then(|| Kind::of(raw.file_type));
            return Ok(Some(Entry {
                name: names::to_smb(raw.name),
                disk: raw.name.into(),
                kind,
                ino: raw.ino,
            }));
        }
    }

    /// Puts the last entry back (it did not fit into the answer): `next` gives it again.
    pub fn unread(&mut self, entry: Entry) {
        self.unread = Some(entry);
    }
}

fn dot(name: &str, directory: &Object) -> Entry {
    Entry {
        name: name.to_owned(),
        disk: name.as_bytes().into(),
        kind: Some(Kind::Directory),
        ino: directory.key.ino,
    }
}

impl Export {
    /// The facts of one entry; `None` when it has vanished since. A symlink is followed as the policy says; one
    /// that is not, or leads nowhere, is shown as itself. Two system calls for files and directories.
    pub fn stat_entry(&self, directory: &Object, entry: &Entry) -> Result<Option<Stat>> {
        match &*entry.disk {
            b"." => return self.stat(directory).map(Some),
            b".." => return self.stat_parent(directory).map(Some),
            _ => {}
        }
        let Ok(name) = CString::new(&*entry.disk) else { return Ok(None) };
        let stx = match sys::file::stat_at(&directory.fd, name.as_c_str()) {
            Ok(stx) => stx,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(of_errno(errno)),
        };
        let mut stat = match stat::kind(&stx) {
            Kind::File | Kind::Directory => Stat::new(&stx, self.dos_attrib_at(&directory.fd, &name, &stx)),
            Kind::Symlink => match self.follow_entry(directory, entry) {
                Some((_, stat)) => return Ok(Some(stat)),
                None => Stat::new(&stx, DosAttrib::default()),
            },
            Kind::Special => Stat::new(&stx, DosAttrib::default()),
        };
        self.as_kept(&mut stat);
        Ok(Some(stat))
    }

    /// The facts of one entry, and the object. None: it has vanished since.
    pub fn object_of_entry(&self, directory: &Object, entry: &Entry) -> Result<Option<(Object, Stat)>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&directory.fd, &*entry.disk, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(of_errno(errno)),
        };
        let (object, stat) = self.object_of(fd)?;
        if object.kind == Kind::Symlink
            && let Some(target) = self.follow_entry(directory, entry)
        {
            return Ok(Some(target));
        }
        Ok(Some((object, stat)))
    }

    fn follow_entry(&self, directory: &Object, entry: &Entry) -> Option<(Object, Stat)> {
        let fd = match self.policy().symlinks {
            Symlinks::Never => return None,
            Symlinks::Outside => {
                let flags = ResolveFlags::NO_MAGICLINKS;
                let opened = sys::file::open_beneath(directory.fd.as_fd(), &entry.disk, OFlags::PATH, flags);
                opened.and_then(super::ours::not_ours).ok()?
            }
            // From the root, so that a link may lead up and down again inside the export.
            Symlinks::Inside => {
                let path = self.path_now(directory)?.join(&entry.disk);
                self.open_beneath(&self.root(), path.as_bytes(), OFlags::empty()).ok()?
            }
        };
        self.object_of(fd).ok()
    }

    /// `..` never shows what is above the root: there, it is the root.
    fn stat_parent(&self, directory: &Object) -> Result<Stat> {
        let parent = self.path_now(directory).and_then(|path| path.parent());
        let above = parent.and_then(|path| self.open_dir(&self.root(), &path).ok());
        match above.map(|fd| self.object_of(fd)) {
            Some(Ok((_, stat))) => Ok(stat),
            _ => self.stat(directory),
        }
    }
}
