//! Application instances (MS-SMB2 3.3.1.10: Open.AppInstanceId, Open.AppInstanceVersion): opens of a program that may move
//! to another machine, such as a virtual machine's disks.

use crate::types::Guid;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Which instance, and where its life has got to: high and low, if it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Instance {
    pub id: Guid,
    pub version: Option<(u64, u64)>,
}

/// The opens of each instance, by the volatile part of their ids.
#[derive(Debug, Default)]
pub struct Instances(Mutex<HashMap<Guid, Vec<u64>>>);

/// That an open is an instance's, until it is dropped.
#[derive(Debug)]
pub struct Member {
    pub instance: Instance,
    /// Of the connection it was made on.
    pub client: Guid,
    open: u64,
    all: Arc<Instances>,
}

impl Instances {
    pub fn enter(self: &Arc<Self>, instance: Instance, client: Guid, open: u64) -> Member {
        self.0.lock().entry(instance.id).or_default().push(open);
        Member { instance, client, open, all: Arc::clone(self) }
    }

    pub fn of(&self, id: Guid) -> Vec<u64> {
        self.0.lock().get(&id).cloned().unwrap_or_default()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if let Some(opens) = all.get_mut(&self.instance.id) {
            opens.retain(|open| *open != self.open);
            if opens.is_empty() {
                all.remove(&self.instance.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_opens_until_they_end() {
        let all = Arc::new(Instances::default());
        let instance = Instance { id: Guid([1; 16]), version: None };
        let first = all.enter(instance, Guid::default(), 7);
        let second = all.enter(instance, Guid::default(), 8);
        assert_eq!((all.of(instance.id), all.of(Guid([2; 16]))), (vec![7, 8], vec![]));
        drop(first);
        assert_eq!(all.of(instance.id), [8]);
        drop(second);
        assert!(all.0.lock().is_empty(), "nothing is left of it");
    }
}
