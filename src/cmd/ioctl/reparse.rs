//! Reparse points (MS-FSA 2.1.5.10.14, .37, .3): symlinks, FIFOs and sockets on disk, opened as such, made by whoever may
//! make files. What Windows has beside them cannot be kept and is refused; so are devices.

use super::{Done, Output, Target, encoded};
use crate::fsa::change::Facets;
use crate::posix::{Kind, Node, RelPath, push_disk};
use crate::session::open::Held;
use crate::session::{FileOpen, Open, OpenKind};
use crate::types::{AccessMask, NtStatus};
use crate::wire::fscc::reparse::{NfsNode, Reparse, ReparseTag, decode_deletion};
use std::borrow::Cow;
use std::sync::Arc;

/// Bytes of the fixed part of a reparse data buffer.
const HEADER: usize = 8;

pub fn get(target: &Target<'_, '_>) -> Done {
    let object = &target.file.object;
    let found = match object.kind() {
        Kind::Symlink => symlink(&object.read_link()?),
        Kind::Special => Reparse::Other { tag: tag(target)?, guid: None, data: &[] },
        Kind::File | Kind::Directory => return Err(NtStatus::NOT_A_REPARSE_POINT.into()),
    };
    let max = target.request.max_output_response as usize;
    if max < HEADER {
        return Err(NtStatus::BUFFER_TOO_SMALL.into());
    }
    let mut data = encoded(|w| found.encode(w));
    let status = if data.len() > max { NtStatus::BUFFER_OVERFLOW } else { NtStatus::SUCCESS };
    data.truncate(max);
    Ok(Output { status, data })
}

/// The tag that is there.
fn tag(target: &Target<'_, '_>) -> Result<ReparseTag, NtStatus> {
    let export = target.open.tree.disk()?.area.export()?;
    Ok(crate::cmd::info::reparse_tag(&export.stat(&target.file.object)?))
}

pub fn set(target: &mut Target<'_, '_>) -> Done {
    target.needs(AccessMask::WRITE_DATA | AccessMask::WRITE_ATTRIBUTES)?;
    target.writable()?;
    let asked = Reparse::decode(target.request.input).map_err(|_| NtStatus::IO_REPARSE_DATA_INVALID)?;
    let wanted = Wanted::of(&asked, target.file.directory)?;
    match (target.file.object.kind(), &wanted) {
        (Kind::File | Kind::Directory, _) | (Kind::Symlink, Wanted::Symlink(_)) => {}
        (Kind::Special, Wanted::Fifo | Wanted::Socket) => {}
        (Kind::Symlink | Kind::Special, _) => return Err(NtStatus::IO_REPARSE_TAG_MISMATCH.into()),
    }
    let node = match &wanted {
        Wanted::Symlink(text) => Node::Symlink(text),
        Wanted::Fifo => Node::Fifo,
        Wanted::Socket => Node::Socket,
    };
    become_(target, node)
}

/// The request names the tag that is there, and has no data.
pub fn delete(target: &mut Target<'_, '_>) -> Done {
    target.needs(AccessMask::WRITE_DATA | AccessMask::WRITE_ATTRIBUTES)?;
    target.writable()?;
    let asked = decode_deletion(target.request.input).map_err(|_| NtStatus::IO_REPARSE_DATA_INVALID)?;
    if matches!(target.file.object.kind(), Kind::File | Kind::Directory) {
        return Err(NtStatus::NOT_A_REPARSE_POINT.into());
    }
    if asked != tag(target)? {
        return Err(NtStatus::IO_REPARSE_TAG_MISMATCH.into());
    }
    become_(target, Node::Plain)
}

/// The object on disk is another one afterwards, and so is the open behind the client's id.
fn become_(target: &mut Target<'_, '_>, node: Node<'_>) -> Done {
    let Target { open, file, .. } = target;
    let area = Arc::clone(&open.tree.disk()?.area);
    let path = {
        let rules = area.rules.lock();
        rules.may_be_replaced(open.open_id())?;
        rules.path_of(open.open_id()).ok_or(NtStatus::FILE_CLOSED)?
    };
    let at = crate::cmd::create::disk_path(&path);
    let (object, stat) = area.export()?.turn_into(&file.object, &at, node)?;
    let effects = area.rules.lock().replaced(open.open_id(), stat.key, false, area.now());
    target.ctx.effects.extend(effects);
    let successor = Arc::new(Open::new(
        open.id,
        open.session(),
        open.user.clone(),
        Arc::clone(&open.tree),
        OpenKind::File(FileOpen::new(Held::new(object, Arc::clone(&area)), &stat, file.access, file.options)),
        target.ctx.header.channel_sequence(),
    ));
    // Durable it was as a file.
    target.ctx.gate.durable.forget(open);
    let opens = &target.ctx.gate.opens;
    opens.add(Arc::clone(&successor));
    if !open.claim_close() {
        // Closed meanwhile, by whoever ended the session.
        opens.remove(open.id);
        return Err(NtStatus::FILE_CLOSED.into());
    }
    target.ctx.held = None;
    let file = crate::cmd::file_of(&successor)?;
    Target { file, open: &successor, ctx: target.ctx, request: target.request }
        .changed(Facets::ATTRIBUTES)?;
    Output::none()
}

#[derive(PartialEq, Eq, Debug)]
enum Wanted<'a> {
    /// Its text on disk.
    Symlink(Cow<'a, [u8]>),
    Fifo,
    Socket,
}

impl<'a> Wanted<'a> {
    fn of(asked: &Reparse<'a>, directory: bool) -> Result<Wanted<'a>, NtStatus> {
        let wanted = match asked {
            Reparse::Symlink { substitute_name, relative, .. } => {
                return Ok(Wanted::Symlink(text(substitute_name, *relative)?.into()));
            }
            Reparse::LxSymlink { target } => Wanted::Symlink(Cow::Borrowed(target)),
            Reparse::MountPoint { .. } if !directory => return Err(NtStatus::NOT_A_DIRECTORY),
            Reparse::Other { tag: ReparseTag::NFS, data, .. } => {
                match NfsNode::decode(data).map_err(|_| NtStatus::IO_REPARSE_DATA_INVALID)? {
                    NfsNode::Symlink { target } => Wanted::Symlink(target.into_bytes().into()),
                    NfsNode::Fifo => Wanted::Fifo,
                    NfsNode::Socket => Wanted::Socket,
                    NfsNode::Character { .. } | NfsNode::Block { .. } => {
                        return Err(NtStatus::ACCESS_DENIED);
                    }
                }
            }
            Reparse::Other { tag: ReparseTag::LX_FIFO, .. } => Wanted::Fifo,
            Reparse::Other { tag: ReparseTag::AF_UNIX, .. } => Wanted::Socket,
            Reparse::Other { tag: ReparseTag::LX_CHR | ReparseTag::LX_BLK, .. } => {
                return Err(NtStatus::ACCESS_DENIED);
            }
            // IO_REPARSE_TAG_RESERVED_ZERO, _ONE, _TWO.
            Reparse::Other { tag: ReparseTag(0..=2), .. } => return Err(NtStatus::IO_REPARSE_TAG_INVALID),
            Reparse::MountPoint { .. } | Reparse::Other { .. } => return Err(NtStatus::NOT_SUPPORTED),
        };
        // A directory is replaced by what may be one for those who follow it.
        if directory && !matches!(wanted, Wanted::Symlink(_)) {
            return Err(NtStatus::FILE_IS_A_DIRECTORY);
        }
        Ok(wanted)
    }
}

/// A Windows link's name as a link's text: the inverse of [`symlink`]. NOT_SUPPORTED: it leads to a drive or a server.
fn text(name: &str, relative: bool) -> Result<Vec<u8>, NtStatus> {
    if name.starts_with("\\??\\") || name.starts_with("\\\\") || relative == name.starts_with('\\') {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    let mut text = Vec::new();
    for (at, step) in name.split('\\').enumerate() {
        if at > 0 {
            text.push(b'/');
        }
        match step {
            "" | "." | ".." => text.extend_from_slice(step.as_bytes()),
            step => push_disk(step, &mut text).map_err(|_| NtStatus::IO_REPARSE_DATA_INVALID)?,
        }
    }
    Ok(text)
}

/// A link's text as a Windows link.
pub fn symlink(text: &[u8]) -> Reparse<'static> {
    let relative = !text.starts_with(b"/");
    let steps: Vec<_> = text.split(|b| *b == b'/').map(step).collect();
    let name = steps.join("\\");
    Reparse::Symlink { substitute_name: name.clone(), print_name: name, relative }
}

fn step(name: &[u8]) -> String {
    match name {
        b"" => String::new(),
        b"." => ".".into(),
        b".." => "..".into(),
        name => RelPath::root().join(name).to_smb(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> (String, bool) {
        match symlink(text.as_bytes()) {
            Reparse::Symlink { substitute_name, relative, .. } => (substitute_name, relative),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn links_are_spelled_as_windows_spells_them() {
        assert_eq!(name("../a/b.txt"), ("..\\a\\b.txt".into(), true));
        assert_eq!(name("/srv/x"), ("\\srv\\x".into(), false));
        assert_eq!(name("./x"), (".\\x".into(), true));
    }

    #[test]
    fn and_back() {
        for link in ["../a/b.txt", "/srv/x", "./x", "a:b", "x/", "...", "ends."] {
            let (name, relative) = name(link);
            assert_eq!(text(&name, relative).as_deref(), Ok(link.as_bytes()), "{name}");
        }
        for (name, relative) in
            [("\\??\\C:\\x", false), ("\\\\server\\share", false), ("\\x", true), ("x", false)]
        {
            assert_eq!(text(name, relative), Err(NtStatus::NOT_SUPPORTED), "{name}");
        }
        assert_eq!(text("a*", true), Err(NtStatus::IO_REPARSE_DATA_INVALID));
    }

    #[test]
    fn what_unix_clients_make() {
        let nfs = |node: NfsNode| {
            let data = encoded(|w| node.encode(w));
            Wanted::of(&Reparse::Other { tag: ReparseTag::NFS, guid: None, data: &data }, false)
                .map(|wanted| format!("{wanted:?}"))
        };
        assert_eq!(nfs(NfsNode::Fifo).as_deref(), Ok("Fifo"));
        assert_eq!(nfs(NfsNode::Socket).as_deref(), Ok("Socket"));
        assert_eq!(nfs(NfsNode::Block { major: 8, minor: 0 }), Err(NtStatus::ACCESS_DENIED));
        let other = |tag, directory| Wanted::of(&Reparse::Other { tag, guid: None, data: &[] }, directory);
        assert_eq!(other(ReparseTag::LX_FIFO, false), Ok(Wanted::Fifo));
        assert_eq!(other(ReparseTag::LX_FIFO, true), Err(NtStatus::FILE_IS_A_DIRECTORY));
        assert_eq!(other(ReparseTag::LX_CHR, false), Err(NtStatus::ACCESS_DENIED));
        assert_eq!(other(ReparseTag(1), false), Err(NtStatus::IO_REPARSE_TAG_INVALID));
        assert_eq!(other(ReparseTag::DEDUP, false), Err(NtStatus::NOT_SUPPORTED));
    }
}
