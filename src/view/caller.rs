//! Who makes a request: the local process, with its groups, and whether it still waits.

use parking_lot::Mutex;
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sys::creds::{self, Creds, Guard};

/// The groups of a process are looked up again after this long. (The kernel, which checks first, never errs.)
const FRESH: Duration = Duration::from_secs(1);
/// How many processes are remembered.
const MOST: usize = 1024;

/// The process behind a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pid: u32,
    creds: Creds,
}

impl Caller {
    /// This thread acts as the process does, until the next call of the kind.
    pub fn assume(&self) -> Result<Guard, Errno> {
        creds::assume(&self.creds).map_err(|_| Errno::PERM)
    }

    /// It has ended, or a signal waits to be taken by it: it does not want the answer any more.
    pub fn is_interrupted(&self) -> bool {
        // Of another process namespace: not to be seen.
        self.pid != 0 && status(self.pid).is_none_or(|text| has_signal(&text))
    }
}

/// A process, and the user and group it acts as.
type Process = (u32, u32, u32);
/// When they were looked up, and what they were.
type Groups = (Instant, Arc<[u32]>);

/// Groups by process.
#[derive(Default, Debug)]
pub struct Callers(Mutex<HashMap<Process, Groups>>);

impl Callers {
    pub fn of(&self, request: &fuser::Request) -> Caller {
        let (pid, uid, gid) = (request.pid(), request.uid(), request.gid());
        let groups = if creds::can_switch() { self.groups(pid, uid, gid) } else { [].into() };
        Caller { pid, creds: Creds { uid, gid, groups } }
    }

    fn groups(&self, pid: u32, uid: u32, gid: u32) -> Arc<[u32]> {
        let now = Instant::now();
        let mut known = self.0.lock();
        if let Some((since, groups)) = known.get(&(pid, uid, gid))
            && now.duration_since(*since) < FRESH
        {
            return Arc::clone(groups);
        }
        if known.len() >= MOST {
            known.retain(|_, (since, _)| now.duration_since(*since) < FRESH);
        }
        let groups: Arc<[u32]> = status(pid).map(|text| groups(&text)).unwrap_or_default().into();
        if known.len() < MOST {
            known.insert((pid, uid, gid), (now, Arc::clone(&groups)));
        }
        groups
    }
}

fn status(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/status")).ok()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn groups(status: &str) -> Vec<u32> {
    field(status, "Groups").unwrap_or_default().split_whitespace().filter_map(|g| g.parse().ok()).collect()
}

/// One that is neither blocked nor ignored.
fn has_signal(status: &str) -> bool {
    let mask = |name| field(status, name).and_then(|m| u64::from_str_radix(m, 16).ok()).unwrap_or(0);
    (mask("SigPnd") | mask("ShdPnd")) & !(mask("SigBlk") | mask("SigIgn")) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let text = "Name:\tcat\nGroups:\t4 24 1000 \nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n\
                    SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
        assert_eq!(groups(text), [4, 24, 1000]);
        assert!(has_signal(text), "SIGKILL");
        assert!(!has_signal(&text.replace("SigIgn:\t0000000000000000", "SigIgn:\t0000000000000100")));
        assert_eq!(groups("Groups:\n"), [0; 0]);
    }

    #[test]
    fn who_is_gone_does_not_wait() {
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let pid = child.id();
        child.wait().expect("it ends");
        let creds = Creds { uid: 0, gid: 0, groups: [].into() };
        assert!(Caller { pid, creds: creds.clone() }.is_interrupted());
        assert!(!Caller { pid: std::process::id(), creds }.is_interrupted());
    }
}
