//! `getdents64` into an owned buffer, so that a listing can rest between two requests.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::FileType;
use rustix::io::{Errno, Result};

use super::check;

/// Bytes of entries as the kernel wrote them, and how far they are read.
#[derive(Debug)]
pub struct DirBuf {
    bytes: Box<[u8]>,
    filled: usize,
    at: usize,
}

/// One entry, borrowed from the buffer.
#[derive(Debug)]
pub struct RawEntry<'a> {
    pub ino: u64,
    /// `Unknown` where the file system does not tell.
    pub file_type: FileType,
    /// Where the next one is: for [`DirBuf::seek`].
    pub next: u64,
    pub name: &'a [u8],
}

/// `struct linux_dirent64`: d_ino 8, d_off 8, d_reclen 2, d_type 1, then the name with its NUL.
const NAME: usize = 19;

impl DirBuf {
    pub fn new(size: usize) -> DirBuf {
        DirBuf { bytes: vec![0; size].into(), filled: 0, at: 0 }
    }

    /// The next entry of `dir`, from the buffer or from the kernel; `None` at the end.
    pub fn next<Fd: AsFd>(&mut self, dir: Fd) -> Result<Option<RawEntry<'_>>> {
        if self.at >= self.filled {
            self.at = 0;
            self.filled = getdents(dir, &mut self.bytes)?;
            if self.filled == 0 {
                return Ok(None);
            }
        }
        let entry = &self.bytes[self.at..self.filled];
        if entry.len() < NAME {
            return Err(Errno::IO);
        }
        let length = usize::from(u16::from_ne_bytes([entry[16], entry[17]]));
        if length < NAME || length > entry.len() {
            return Err(Errno::IO);
        }
        self.at += length;
        let name = &entry[NAME..length];
        let name = &name[..name.iter().position(|&b| b == 0).unwrap_or(name.len())];
        Ok(Some(RawEntry {
            ino: u64::from_ne_bytes(entry[..8].try_into().unwrap_or_default()),
            file_type: FileType::from_raw_mode(u32::from(entry[18]) << 12),
            next: u64::from_ne_bytes(entry[8..16].try_into().unwrap_or_default()),
            name,
        }))
    }
}

impl DirBuf {
    /// Goes on behind the entry whose `next` that is; 0: from the beginning.
    pub fn seek<Fd: AsFd>(&mut self, dir: Fd, next: u64) -> Result<()> {
        (self.at, self.filled) = (0, 0);
        rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(next)).map(drop)
    }
}

fn getdents<Fd: AsFd>(dir: Fd, buf: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: the kernel writes at most buf.len() bytes to buf, which lives through the call.
        let ret = unsafe {
            libc::syscall(libc::SYS_getdents64, dir.as_fd().as_raw_fd(), buf.as_mut_ptr(), buf.len())
        };
        match check(ret) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
