//! Reparse points: symlinks on disk, opened as such (MS-FSA 2.1.5.10.11).

use super::{Done, Output, Target, encoded};
use crate::posix::{Kind, RelPath};
use crate::types::NtStatus;
use crate::wire::fscc::reparse::Reparse;

/// Bytes of the fixed part of a reparse data buffer.
const HEADER: usize = 8;

pub fn get(target: &Target<'_, '_>) -> Done {
    if target.file.object.kind() != Kind::Symlink {
        return Err(NtStatus::NOT_A_REPARSE_POINT.into());
    }
    let max = target.request.max_output_response as usize;
    if max < HEADER {
        return Err(NtStatus::BUFFER_TOO_SMALL.into());
    }
    let link = symlink(&target.file.object.read_link()?);
    let mut data = encoded(|w| link.encode(w));
    let status = if data.len() > max { NtStatus::BUFFER_OVERFLOW } else { NtStatus::SUCCESS };
    data.truncate(max);
    Ok(Output { status, data })
}

/// They are made and removed on the server only.
pub fn delete(target: &Target<'_, '_>) -> Done {
    if target.file.object.kind() != Kind::Symlink {
        return Err(NtStatus::NOT_A_REPARSE_POINT.into());
    }
    Err(NtStatus::NOT_SUPPORTED.into())
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
}
