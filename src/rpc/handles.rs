//! Context handles (C706 appendix N): what an interface gives out in one call and takes back in others. They are of one
//! association; nobody else's mean anything to it.

use super::pdu::Fault;
use crate::types::NtStatus;
use std::sync::atomic::{AtomicU64, Ordering};

pub type Handle = [u8; 20];

/// No handle: what a closed one becomes.
pub const NULL: Handle = [0; 20];

/// Handles of one association that are open at a time.
const MOST: usize = 256;

static NEXT: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
pub struct Handles<T>(Vec<(Handle, T)>);

impl<T> Default for Handles<T> {
    fn default() -> Handles<T> {
        Handles(Vec::new())
    }
}

impl<T> Handles<T> {
    pub fn open(&mut self, object: T) -> Result<Handle, NtStatus> {
        if self.0.len() >= MOST {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        let mut handle = NULL;
        // Behind the attributes, which are zero.
        handle[4..12].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        self.0.push((handle, object));
        Ok(handle)
    }

    pub fn get(&self, handle: &Handle) -> Result<&T, Fault> {
        self.0.iter().find(|(h, _)| h == handle).map(|(_, object)| object).ok_or(Fault::CONTEXT_MISMATCH)
    }

    pub fn close(&mut self, handle: &Handle) -> Result<(), Fault> {
        let at = self.0.iter().position(|(h, _)| h == handle).ok_or(Fault::CONTEXT_MISMATCH)?;
        self.0.swap_remove(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_of_their_table_and_bounded() {
        let (mut ours, mut theirs) = (Handles::default(), Handles::default());
        let a = ours.open('a').unwrap();
        let b = theirs.open('b').unwrap();
        assert_eq!(ours.get(&a), Ok(&'a'));
        assert_eq!(ours.get(&b), Err(Fault::CONTEXT_MISMATCH));
        assert_eq!(ours.get(&NULL), Err(Fault::CONTEXT_MISMATCH));
        assert_eq!(ours.close(&a), Ok(()));
        assert_eq!(ours.close(&a), Err(Fault::CONTEXT_MISMATCH));
        let opened = (0..1000).map_while(|_| ours.open('c').ok()).count();
        assert_eq!(opened, MOST);
        assert_eq!(ours.open('d'), Err(NtStatus::INSUFFICIENT_RESOURCES));
    }
}
