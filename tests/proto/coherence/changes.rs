//! What programs do to a tree.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Belief;

pub(super) struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n.max(1) as u64) as usize
    }
}

/// It worked, or would have crossed from one file system to another.
fn within(result: std::io::Result<()>) -> bool {
    match result {
        Err(e) if e.kind() == ErrorKind::CrossesDevices => false,
        other => other.map(|()| true).expect("a change of names"),
    }
}

/// One change that a program makes in the tree at `root`, in which there is `disk`.
pub(super) fn mutate(
    root: &Path,
    disk: &BTreeMap<String, Belief>,
    rng: &mut Rng,
    n: usize,
) -> Option<String> {
    let local = |name: &str| root.join(name.replace('\\', "/"));
    let pick = |rng: &mut Rng, directories: bool| {
        let of_kind: Vec<_> = disk
            .iter()
            .filter(|(name, b)| matches!(b, Belief::Listing(_)) == directories && !name.contains(".fuse"))
            .map(|(n, _)| n)
            .collect();
        of_kind.get(rng.below(of_kind.len())).map(|name| (*name).clone())
    };
    let files = disk.values().filter(|b| matches!(b, Belief::Content(_))).count();
    let directories = disk.len() - files;
    let directory = pick(rng, true)?;
    let new = local(&directory).join(format!("n{n}"));
    let step = rng.below(if files < 4 { 2 } else { 13 });
    match step {
        0 | 1 => {
            fs::write(&new, format!("{n}")).expect("a new file");
            Some(format!("create {new:?}"))
        }
        2 => {
            let name = local(&pick(rng, false)?);
            fs::write(&name, vec![b'x'; rng.below(3000)]).expect("a write");
            Some(format!("write {name:?}"))
        }
        3 => {
            let name = local(&pick(rng, false)?);
            let mut f = fs::OpenOptions::new().append(true).open(&name).expect("a file");
            f.write_all(b"more").expect("an append");
            Some(format!("append {name:?}"))
        }
        4 => {
            let name = local(&pick(rng, false)?);
            let f = fs::OpenOptions::new().write(true).open(&name).expect("a file");
            f.set_len(rng.below(100) as u64).expect("a truncate");
            Some(format!("truncate {name:?}"))
        }
        5 | 6 => {
            let name = local(&pick(rng, false)?);
            if !within(fs::rename(&name, &new)) {
                return None;
            }
            Some(format!("rename {name:?} {new:?}"))
        }
        7 | 8 if files > 12 => {
            let name = local(&pick(rng, false)?);
            fs::remove_file(&name).expect("an unlink");
            Some(format!("unlink {name:?}"))
        }
        7 | 8 => None,
        9 => {
            let name = local(&pick(rng, false)?);
            fs::set_permissions(&name, fs::Permissions::from_mode(0o644 | (n as u32 & 0o22)))
                .expect("a chmod");
            Some(format!("chmod {name:?}"))
        }
        10 if directories < 6 => {
            fs::create_dir(&new).expect("a directory");
            Some(format!("mkdir {new:?}"))
        }
        10 => {
            let name = disk
                .iter()
                .find(|(name, b)| !name.is_empty() && matches!(b, Belief::Listing(l) if l.is_empty()))?;
            fs::remove_dir(local(name.0)).expect("an rmdir");
            Some(format!("rmdir {:?}", name.0))
        }
        11 => {
            // Other bytes, of the same length: times alone tell of it.
            let name = pick(rng, false)?;
            let Some(Belief::Content(bytes)) = disk.get(&name) else { return None };
            let other = bytes.iter().map(|b| b.wrapping_add(1)).collect::<Vec<u8>>();
            let mut f = fs::OpenOptions::new().write(true).open(local(&name)).expect("a file");
            f.write_all(&other).expect("a write");
            Some(format!("rewrite {name:?}"))
        }
        _ if files > 20 => None,
        _ => {
            let name = local(&pick(rng, false)?);
            if !within(fs::hard_link(&name, &new)) {
                return None;
            }
            Some(format!("link {name:?} {new:?}"))
        }
    }
}
