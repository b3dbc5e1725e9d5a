//! Share modes: every pair of opens compared, as MS-FSA 2.1.5.1.2.2 words it.

use smbgate::fsa::{Moment, OpenAsk, Opening, RelPath, Tree};
use smbgate::types::{AccessMask, NodeKey, NtStatus, OpenId, ShareAccess};

use crate::driver::{self, Rng, same};

#[derive(Clone, Debug)]
pub enum Step {
    Open(Held, AccessMask),
    Close(u64),
}

#[derive(Clone, Debug)]
pub struct Held {
    id: u64,
    file: u64,
    stream: Option<&'static str>,
    access: AccessMask,
    share: ShareAccess,
}

pub struct World {
    tree: Tree,
    held: Vec<Held>,
}

impl driver::World for World {
    type Step = Step;

    fn new() -> World {
        World { tree: Tree::new(), held: Vec::new() }
    }

    fn random(rng: &mut Rng) -> Step {
        let id = rng.below(8);
        if rng.one_in(3) {
            return Step::Close(id);
        }
        const ACCESS: [AccessMask; 9] = [
            AccessMask::READ_DATA,
            AccessMask::WRITE_DATA,
            AccessMask::APPEND_DATA,
            AccessMask::EXECUTE,
            AccessMask::DELETE,
            AccessMask::READ_ATTRIBUTES,
            AccessMask::WRITE_ATTRIBUTES,
            AccessMask::SYNCHRONIZE,
            AccessMask::READ_CONTROL,
        ];
        let access = (0..rng.below(4)).map(|_| rng.pick(&ACCESS)).fold(AccessMask::empty(), |a, b| a | b);
        let implied =
            rng.pick(&[AccessMask::empty(), AccessMask::empty(), AccessMask::WRITE_DATA, AccessMask::DELETE]);
        // Mostly generous, or nothing ever goes together.
        let share = if rng.one_in(2) { 7 } else { rng.below(8) as u32 };
        Step::Open(
            Held {
                id,
                file: rng.below(2),
                stream: rng.pick(&[None, None, Some("s"), Some("t")]),
                access,
                share: ShareAccess::from_bits_retain(share),
            },
            implied,
        )
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Close(id) => {
                let closed = self.tree.close(OpenId(*id), false, Moment::default());
                let before = self.held.iter().find(|h| h.id == *id).map(|h| h.file);
                self.held.retain(|h| h.id != *id);
                if let Some(file) = before {
                    same("last of node", closed.last_of_node, self.held.iter().all(|h| h.file != file))?;
                }
            }
            Step::Open(new, implied) => {
                if self.held.iter().any(|h| h.id == new.id) {
                    return Ok(());
                }
                let ask = OpenAsk {
                    access: new.access,
                    implied: *implied,
                    share: new.share,
                    stream: new.stream.map(str::to_owned),
                    ..OpenAsk::new(
                        OpenId(new.id),
                        NodeKey { dev: 1, ino: new.file },
                        RelPath::new(format!("f{}", new.file)),
                    )
                };
                let should = if self.violates(new, new.access | *implied) {
                    Opening::Refused(NtStatus::SHARING_VIOLATION)
                } else {
                    self.held.push(new.clone());
                    Opening::Granted(vec![])
                };
                same("open", self.tree.open(ask, Moment::default()), should)?;
            }
        }
        same("opens", self.tree.len(), self.held.len())?;
        same("empty", self.tree.is_empty(), self.held.is_empty())
    }
}

impl World {
    fn violates(&self, new: &Held, wanted: AccessMask) -> bool {
        let read = AccessMask::READ_DATA | AccessMask::EXECUTE;
        let write = AccessMask::WRITE_DATA | AccessMask::APPEND_DATA;
        let all = read | write | AccessMask::DELETE;
        self.held.iter().filter(|old| old.file == new.file).any(|old| {
            if old.stream != new.stream {
                return new.stream.is_none()
                    && wanted.contains(AccessMask::DELETE)
                    && old.access.intersects(all)
                    && !old.share.contains(ShareAccess::DELETE);
            }
            if !wanted.intersects(all) || !old.access.intersects(all) {
                return false;
            }
            [
                (read, ShareAccess::READ),
                (write, ShareAccess::WRITE),
                (AccessMask::DELETE, ShareAccess::DELETE),
            ]
            .into_iter()
            .any(|(access, share)| {
                !old.share.contains(share) && wanted.intersects(access)
                    || !new.share.contains(share) && old.access.intersects(access)
            })
        })
    }
}
